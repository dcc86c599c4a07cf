//! `zotferry photo`: profile photo, cover, and the scales of an image.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use zotferry::local::client::Client;
use zotferry::local::{self, PhotoScale, PhotoUse, SetPhoto, ShowPhotos};
use zotferry::text::visible;
use zotferry_protocol::photo::Crop;

use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::{output, put};

/// Sets a channel's profile photo and cover, and shows the scales of its images.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Photo {
    /// Makes an image the profile photo, on all clones. The one before is it no more.
    Profile(Set),
    /// Makes an image the cover, on all clones. The one before is it no more.
    Cover(Set),
    Show(Show),
}

/// An image, and what is to be seen of it.
#[derive(Args)]
pub(crate) struct Set {
    /// Which channel.
    channel: String,
    /// The image's path in the channel.
    path: String,
    /// What it shows of the image, in pixels from the left upper corner; without, as much as fits of its middle.
    #[arg(long, value_name = "X,Y,W,H")]
    crop: Option<Crop>,
    /// PATH is a file of this machine, to be put into `/Profile Photos` or `/Cover Photos` first.
    #[arg(long)]
    put: bool,
}

/// Shows the profile photo and the cover, or all scales of an image.
#[derive(Args)]
pub(crate) struct Show {
    /// Which channel.
    channel: String,
    /// The image's path in the channel.
    path: Option<String>,
    /// Prints JSON, one scale a line.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub photo profile alice /photos/me.jpg --crop 310,40,900,900
  zotferry --dir hub photo cover alice ~/fjord.jpg --put
  zotferry --dir hub photo show alice
  zotferry --dir hub photo show alice /photos/me.jpg --json";

impl Photo {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        match self {
            Self::Profile(photo) => photo.set(dir, PhotoUse::Profile).await,
            Self::Cover(photo) => photo.set(dir, PhotoUse::Cover).await,
            Self::Show(show) => show.run(dir).await,
        }
    }
}

impl Set {
    async fn set(self, dir: &Path, usage: PhotoUse) -> Result<Exit, Failure> {
        let client = Client::running(dir).await?;
        let path = if self.put {
            put_first(&client, &self.channel, Path::new(&self.path), usage).await?
        } else {
            self.path
        };
        let (channel, crop) = (self.channel, self.crop.map(|crop| crop.to_string()));
        let question = SetPhoto { channel, path: path.clone(), usage, crop };
        let set = client.ask(&question).await?;
        let (path, crop) = (visible(&path), set.crop);
        let what = match usage {
            PhotoUse::Profile => "profile photo",
            PhotoUse::Cover => "cover",
        };
        output::line(format!("{path} is the {what}; it shows {crop} of the image"));
        Ok(Exit::Done)
    }
}

/// Puts a file of this machine; the path that it has then.
async fn put_first(
    client: &Client,
    channel: &str,
    file: &Path,
    usage: PhotoUse,
) -> Result<String, Failure> {
    let file: PathBuf = put::absolute(file)?;
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let path = format!("/{}/{name}", usage.folder());
    let (channel, to) = (channel.to_owned(), usage.folder().to_owned());
    let question = local::Put { channel, paths: vec![file.clone()], to };
    let mut progress = Progress::new("put", put::size_of(&question.paths), false);
    let tally = put::put(client, &question, &mut progress, false).await?;
    progress.end();
    if tally.files == 1 {
        Ok(path)
    } else {
        Err(Failure::new(Exit::Failed, format!("{}: not put", output::path(&file))))
    }
}

impl Show {
    async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let client = Client::running_or_resting(dir).await?;
        let (channel, path) = (self.channel, self.path);
        let scales = client.ask(&ShowPhotos { channel, path }).await;
        client.close().await?;
        for scale in scales? {
            if self.json { output::json(&scale) } else { output::line(line(&scale)) }
        }
        Ok(Exit::Done)
    }
}

fn line(scale: &PhotoScale) -> String {
    let size = format!("{} x {}", scale.width, scale.height);
    let usage = match scale.usage {
        Some(PhotoUse::Profile) => "  profile photo",
        Some(PhotoUse::Cover) => "  cover",
        None => "",
    };
    let crop = scale.crop.as_ref().map_or(String::new(), |crop| format!("  shows {crop}"));
    let path = visible(&scale.path);
    format!("{}  {size:>13}  {:<10}  {path}{usage}{crop}", scale.scale, visible(&scale.mime))
}

//! `zotferry adopt`: entries for files that were there before.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use zotferry::files::{Adopting, Keeping, PutEvent, Way, walk, walk_inside};
use zotferry::local;
use zotferry::local::client::Client;
use zotferry::text::{bytes, visible};

use super::exit::{Exit, Failure};
use super::hubzilla::{self, Hubzilla};
use super::output;
use super::progress::Progress;
use super::put::absolute;

/// Makes entries of files that are on this machine already.
///
/// The files lie in the channel as they lie on the disk, with their sizes, types and times. `put` is for files that are new: they are
/// dated now and always copied. `watch` mirrors a folder from now on. `adopt` takes what is there once, with
/// its dates, and without writing the bytes again where the file system can share them (Btrfs, XFS) or they
/// may be linked or moved. Run again, or after it was cut off, it goes on: files that stand in the channel
/// with the same size and time are passed over.
///
/// With --hubzilla the files of a Hubzilla channel are adopted out of Hubzilla's database and its `store` folder:
/// with their ids, folders, dates, access lists, tags, photos, and the posts and comments on them. Nothing there is changed. Import the channel's
/// identity first (`zotferry channel import`).
///
/// What cannot be adopted is named; the command ends with 6 then. It works beside a running hub as well as without one.
#[derive(Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct Adopt {
    /// A file or folder, then the channel; with --hubzilla the channel alone. `FOLDER/`, with a slash, is what lies in the folder.
    #[arg(required = true, num_args = 1..=2, value_name = "PATH CHANNEL")]
    what: Vec<OsString>,
    /// The folder of the channel to put it into; made if it is not there.
    #[arg(long, default_value = "/", value_name = "FOLDER", conflicts_with = "database")]
    to: String,
    /// Links the files instead of copying them: no disk, no time. Whoever writes to one of them later changes what the channel has,
    /// which is damage: it is found when files are read again (`audit --files`, and once a week) and fetched from another clone.
    #[arg(long, conflicts_with_all = ["moves", "database"])]
    link: bool,
    /// Moves the files: each goes from where it was once the channel has it. Folders stay.
    #[arg(long = "move", conflicts_with = "database")]
    moves: bool,
    /// Reads also those files that have the size and time of what the channel has.
    #[arg(long)]
    checksum: bool,
    #[command(flatten)]
    hubzilla: Hubzilla,
    /// Prints JSON, one line for each file.
    #[arg(long)]
    json: bool,
}

const USAGE: &str = "\
zotferry adopt [OPTIONS] <PATH> <CHANNEL>
       zotferry adopt [OPTIONS] --hubzilla <DB_URL> --store <DIR> <CHANNEL>";

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub adopt ~/photos alice
  zotferry --dir hub adopt ~/photos/ alice --to /photos     what lies in ~/photos
  zotferry --dir hub adopt /srv/films/ alice --link         same file system: nothing is copied
  zotferry --dir hub channel import alice.json
  ZOTFERRY_DB_PASSWORD=secret zotferry --dir hub adopt \\
      --hubzilla mysql://hubzilla@localhost/hubzilla --store /var/www/hubzilla/store alice
  zotferry --dir hub adopt --hubzilla 'postgres://hubzilla@%2Frun%2Fpostgresql/hubzilla' \\
      --store /var/www/hubzilla/store alice --json";

impl Adopt {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let usage = |text: &str| Failure::new(Exit::Usage, format!("{text}\n\nUsage: {USAGE}"));
        let mut what = self.what;
        let channel = what.pop().and_then(|channel| channel.into_string().ok());
        let channel = channel.ok_or_else(|| usage("a channel's name is UTF-8"))?;
        match (what.pop(), self.hubzilla.database.is_some()) {
            (None, true) => {
                hubzilla::run(dir, channel, self.hubzilla, self.checksum, self.json).await
            }
            (Some(path), false) => {
                let keeping = match (self.link, self.moves) {
                    (true, _) => Keeping::Link,
                    (_, true) => Keeping::Move,
                    _ => Keeping::Copy,
                };
                let inside = path.as_bytes().ends_with(b"/");
                let how = Adopting { keeping, checksum: self.checksum, inside };
                let path = absolute(&PathBuf::from(path))?;
                let question = local::Adopt { channel, path, to: self.to, how };
                adopt(dir, &question, self.json).await
            }
            (None, false) => Err(usage("which channel? Give a path and a channel")),
            (Some(_), true) => Err(usage("with --hubzilla there is no path, but --store")),
        }
    }
}

/// What has been adopted.
#[derive(Default)]
struct Tally {
    files: u64,
    bytes: u64,
    here: u64,
    ways: [(Option<Way>, &'static str, u64); 4],
    skipped: u64,
}

async fn adopt(dir: &Path, question: &local::Adopt, json: bool) -> Result<Exit, Failure> {
    let client = Client::running_or_resting(dir).await?;
    let mut progress = Progress::new("adopt", size_of(question), json);
    let tally = take(&client, question, &mut progress, json).await;
    client.close().await?;
    progress.end();
    let tally = tally?;
    if !json {
        output::line(tally.told());
    }
    Ok(if tally.skipped > 0 { Exit::Partly } else { Exit::Done })
}

async fn take(
    client: &Client,
    question: &local::Adopt,
    progress: &mut Progress,
    json: bool,
) -> Result<Tally, Failure> {
    let mut events = client.lines(question).await?;
    let mut tally = Tally::new();
    while let Some(event) = events.next().await? {
        if json {
            output::json(&event);
        }
        match event {
            PutEvent::Done { folder: true, .. } => {}
            PutEvent::Done { size, change, way, .. } => {
                tally.note(size, &change, way);
                progress.at(tally.bytes, || format!("{} files", tally.files + tally.here));
            }
            PutEvent::Skipped(skipped) => {
                tally.skipped += 1;
                let (path, reason) = (visible(&skipped.path), visible(&skipped.reason));
                progress.say(&format!("skipped {path}: {reason}"));
            }
        }
    }
    Ok(tally)
}

impl Tally {
    fn new() -> Self {
        let ways = [
            (Some(Way::Copied), "copied", 0),
            (Some(Way::Shared), "sharing their blocks", 0),
            (Some(Way::Linked), "linked", 0),
            (Some(Way::Moved), "moved", 0),
        ];
        Self { ways, ..Self::default() }
    }

    fn note(&mut self, size: u64, change: &str, way: Option<Way>) {
        self.bytes += size;
        if change == "unchanged" && way != Some(Way::Moved) {
            self.here += 1;
            return;
        }
        self.files += 1;
        for (_, _, count) in self.ways.iter_mut().filter(|(named, ..)| *named == way) {
            *count += 1;
        }
    }

    /// `adopted 3 files, 2 of them linked, 1 copied; 4 were here; 7.0 MiB looked at; 0 skipped`.
    fn told(&self) -> String {
        let ways: Vec<String> = self
            .ways
            .iter()
            .filter(|(_, _, count)| *count > 0)
            .map(|(_, what, count)| format!("{count} {what}"))
            .collect();
        let ways = if ways.is_empty() { String::new() } else { format!(" ({})", ways.join(", ")) };
        let files = if self.files == 1 { "file" } else { "files" };
        format!(
            "adopted {} {files}{ways}; {} were here; {} in all; {} skipped",
            self.files,
            self.here,
            bytes(self.bytes),
            self.skipped
        )
    }
}

fn size_of(question: &local::Adopt) -> u64 {
    let mut bytes = 0;
    let mut count = |item: Result<zotferry::files::Found, _>| {
        bytes += item.ok().filter(|found| !found.is_folder).map_or(0, |found| found.size);
        true
    };
    match question.how.inside {
        true => walk_inside(&question.path, &[], &mut count),
        false => walk(&question.path, &[], &mut count),
    };
    bytes
}

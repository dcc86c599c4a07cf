//! `zotferry put`: files into a channel.

use std::path::{Path, PathBuf};

use clap::Args;
use zotferry::files::{PutEvent, walk};
use zotferry::local;
use zotferry::local::client::Client;
use zotferry::text::visible;

use super::exit::{Exit, Failure};
use super::output;
use super::progress::Progress;

/// Puts files and folders into a channel of a running hub.
///
/// The hub reads them itself, so it must be able to. Symbolic links, pipes and names that are not
/// UTF-8 are named and skipped (exit code 6).
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Put {
    /// Which channel.
    channel: String,
    /// Files and folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The folder of the channel to put them into; made if it is not there.
    #[arg(long, default_value = "/", value_name = "FOLDER")]
    to: String,
    /// Prints JSON, one file a line.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub put alice ~/photos
  zotferry --dir hub put alice notes.txt letter.pdf --to /papers/2026";

/// What a put has done.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) folders: u64,
    pub(crate) bytes: u64,
    pub(crate) skipped: u64,
}

impl Put {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let paths = self.paths.iter().map(|path| absolute(path)).collect::<Result<Vec<_>, _>>()?;
        let client = Client::running(dir).await?;
        let mut progress = Progress::new("put", size_of(&paths), self.json);
        let question = local::Put { channel: self.channel, paths, to: self.to };
        let tally = put(&client, &question, &mut progress, self.json).await?;
        progress.end();
        if !self.json {
            let amount = output::amount(tally.files, tally.bytes);
            output::line(format!("put {amount}; {} skipped", tally.skipped));
        }
        Ok(if tally.skipped > 0 { Exit::Partly } else { Exit::Done })
    }
}

/// Puts, and tells how far it is.
pub(crate) async fn put(
    client: &Client,
    question: &local::Put,
    progress: &mut Progress,
    json: bool,
) -> Result<Tally, Failure> {
    let mut events = client.lines(question).await?;
    let mut tally = Tally::default();
    while let Some(event) = events.next().await? {
        if json {
            output::json(&event);
        }
        match event {
            PutEvent::Done { folder: true, .. } => tally.folders += 1,
            PutEvent::Done { size, .. } => {
                tally.files += 1;
                tally.bytes += size;
                progress.at(tally.bytes, || format!("{} files", tally.files));
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

/// A path that means the same to the hub.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let found = match path.file_name() {
        Some(_) => std::path::absolute(path),
        // `..` has no name of its own.
        None => path.canonicalize(),
    };
    let found = found.map_err(|e| Failure::file(path, &e))?;
    match found.to_str() {
        Some(_) => Ok(found),
        None => {
            let text = format!("{}: a path that is not UTF-8 cannot be put", output::path(path));
            Err(Failure::new(Exit::Usage, text))
        }
    }
}

/// How many bytes lie below some paths.
pub(crate) fn size_of(paths: &[PathBuf]) -> u64 {
    let mut bytes = 0;
    for path in paths {
        walk(path, &[], &mut |item| {
            bytes += item.ok().filter(|found| !found.is_folder).map_or(0, |found| found.size);
            true
        });
    }
    bytes
}

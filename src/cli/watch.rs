//! `zotferry watch`: mirrors a folder of this machine into a channel.

use std::path::{Path, PathBuf};

use clap::Args;
use zotferry::local;
use zotferry::local::client::Client;
use zotferry::text::{bytes, visible};
use zotferry::watch::{Tally, WatchEvent};

use super::exit::{Exit, Failure};
use super::{output, put};

/// Mirrors a folder of this machine into a channel, as it changes, until Ctrl-C.
///
/// One way: what changes in the folder changes in the channel. What others change in the channel does
/// not come to the folder, and stays where the folder does not change the same file later. A file is
/// put when nobody has written to it for a second. What changed while nothing watched is found at
/// the start: files that are the same are not read again, and those that were moved or renamed are
/// moved in the channel.
///
/// What is deleted in the folder is removed from the channel, if it came from there and is still the
/// same. When the folder is not there, is empty all of a sudden, or more than half of it is gone at the
/// start, nothing is removed before --confirm says so: a disk may not be mounted.
///
/// A [[watch]] section in config.toml does the same for as long as the hub runs; this command then shows
/// what it does. Symbolic links, special files and names that are not UTF-8 are skipped and counted.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    /// Which channel.
    channel: String,
    /// The folder of this machine.
    folder: PathBuf,
    /// The folder of the channel to mirror it into; made if it is not there.
    #[arg(long, default_value = "/", value_name = "FOLDER")]
    into: String,
    /// Removes from the channel what was held back because so much was gone.
    #[arg(long)]
    confirm: bool,
    /// Ends when all that has changed is mirrored.
    #[arg(long)]
    once: bool,
    /// Prints JSON, one event a line.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub watch alice ~/photos --into /photos
  zotferry --dir hub watch alice ~/photos --into /photos --once    from cron
  zotferry --dir hub watch alice /mnt/disk --confirm               yes, it was meant to be emptied

In config.toml:
  [[watch]]
  channel = \"alice\"
  dir = \"/home/alice/photos\"
  into = \"/photos\"";

impl Watch {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let client = Client::running(dir).await?;
        let question = local::Watch {
            channel: self.channel,
            dir: put::absolute(&self.folder)?,
            into: self.into,
            confirm: self.confirm,
            once: self.once,
        };
        let mut events = client.lines(&question).await?;
        let (mut last, mut held) = (Tally::default(), false);
        while let Some(event) = events.next().await? {
            if let WatchEvent::Settled(tally) = &event {
                last = *tally;
            }
            held |= matches!(event, WatchEvent::Held { .. });
            if self.json { output::json(&event) } else { show(&event) }
        }
        Ok(if last.skipped > 0 || held { Exit::Partly } else { Exit::Done })
    }
}

fn show(event: &WatchEvent) {
    match event {
        WatchEvent::Put { change, .. } if change == "unchanged" => {}
        WatchEvent::Put { path, folder: true, .. } => {
            output::line(format!("folder   {}/", visible(path)));
        }
        WatchEvent::Put { path, size, change, .. } => {
            output::line(format!("{change:8} {}  {}", visible(path), bytes(*size)));
        }
        WatchEvent::Moved { from, to } => {
            output::line(format!("moved    {} -> {}", visible(from), visible(to)));
        }
        WatchEvent::Removed { path, entries } => {
            let more = if *entries > 1 { format!("  {entries} entries") } else { String::new() };
            output::line(format!("removed  {}{more}", visible(path)));
        }
        WatchEvent::Kept { path, reason } => {
            eprintln!("zotferry: kept {} in the channel: {}", visible(path), visible(reason));
        }
        WatchEvent::Skipped(skipped) => {
            let (path, reason) = (visible(&skipped.path), visible(&skipped.reason));
            eprintln!("zotferry: skipped {path}: {reason}");
        }
        WatchEvent::Held { reason, .. } => eprintln!("zotferry: {reason}"),
        WatchEvent::Settled(tally) => output::line(settled(tally)),
    }
}

fn settled(tally: &Tally) -> String {
    let mut text = format!(
        "up to date: {} entries; {} put, {} moved, {} removed",
        tally.known,
        output::amount(tally.put, tally.bytes),
        tally.moved,
        tally.removed
    );
    for (count, what) in [(tally.skipped, "skipped"), (tally.held, "held back")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

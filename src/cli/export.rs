//! `zotferry export`: a channel's files into a plain folder.

use std::path::PathBuf;

use clap::Args;
use zotferry::backup::{ExportEvent, Exported};
use zotferry::channels::SealKey;
use zotferry::local::client::Client;
use zotferry::local::{ExportBackup, StatusOf};
use zotferry::text::visible;

use super::exit::{Exit, Failure};
use super::output;
use super::passphrase::PassphraseArgs;
use super::progress::Progress;
use super::put::absolute;

/// Saves all files of a channel into a plain folder, with all that is known of them.
///
/// Works beside a running hub and without one. A second run into the same folder writes only what is new
/// or has changed, also after one that was killed; nothing is deleted unless --prune says so. README.txt
/// in the folder says how to read it without Zotferry.
///
/// Where the folder is on the same file system as the hub, the files of the backup are second names (hard
/// links) of the hub's own files and take no room: content never changes there. A disk that fails takes both,
/// and who edits one edits both; use --copy, or better another disk, for a backup that stands by itself.
///
/// Files that have not arrived on the hub are named, and the command ends with 6.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    /// The hub's folder.
    hub: PathBuf,
    /// Which channel.
    channel: String,
    /// The folder to write to; made if it is not there.
    target: PathBuf,
    /// Writes real copies, also where links would do.
    #[arg(long)]
    copy: bool,
    /// Removes what earlier runs left and the channel does not have any more.
    #[arg(long)]
    prune: bool,
    /// Puts the channel's identity in as well, its private key encrypted under a passphrase.
    #[arg(long)]
    with_identity: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Prints JSON, one line for each missing file, and the sum.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry export hub alice /mnt/disk/alice
  zotferry export hub alice /mnt/disk/alice --prune           every night
  zotferry export hub alice alice.backup --copy               a copy on the same disk
  zotferry export hub alice alice.backup --with-identity      with the channel's key, for another hub";

impl Export {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let target = absolute(&self.target)?;
        let client = Client::running_or_resting(&self.hub).await?;
        let done = self.save(&client, target).await;
        client.close().await?;
        done
    }

    async fn save(&self, client: &Client, target: PathBuf) -> Result<Exit, Failure> {
        let identity = match self.with_identity {
            true => Some(SealKey::new(&self.passphrase.choose()?).map_err(Failure::failed)?),
            false => None,
        };
        let status = client.ask(&StatusOf {}).await?;
        let of = status.channels.iter().find(|channel| channel.nick == self.channel);
        let mut progress = Progress::new("export", of.map_or(0, |of| of.present.bytes), self.json);
        let (channel, copy, prune) = (self.channel.clone(), self.copy, self.prune);
        let question = ExportBackup { channel, target, copy, prune, identity };
        let mut events = client.lines(&question).await?;
        let mut sum = Exported::default();
        while let Some(event) = events.next().await? {
            if self.json && !matches!(event, ExportEvent::Progress(_)) {
                output::json(&event);
            }
            match event {
                ExportEvent::Progress(done) => {
                    progress.at(done.bytes, || format!("{} entries", done.entries));
                }
                ExportEvent::Missing { path, reason } => {
                    progress.say(&format!("not in the backup: {}: {reason}", visible(&path)));
                }
                ExportEvent::Done(done) => sum = done,
            }
        }
        progress.end();
        if !self.json {
            output::line(said(&sum));
        }
        Ok(if sum.missing > 0 { Exit::Partly } else { Exit::Done })
    }
}

fn said(sum: &Exported) -> String {
    let amount = output::amount(sum.files, sum.bytes);
    let parts = [
        (sum.there, "there before"),
        (sum.linked, "linked"),
        (sum.copied, "written"),
        (sum.missing, "missing"),
        (sum.pruned, "old ones removed"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match parts.is_empty() {
        true => format!("saved {amount}"),
        false => format!("saved {amount}: {}", parts.join(", ")),
    }
}

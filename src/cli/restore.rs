//! `zotferry restore`: a backup back into a hub.

use std::path::{Path, PathBuf};

use clap::Args;
use zotferry::channels::SealKey;
use zotferry::channels::export::ExportError;
use zotferry::local::client::{Client, ClientError};
use zotferry::local::{self, ListChannels, RestoreBackup};
use zotferry::text::{bytes, visible};
use zotferry_backup::{Backup, RestoreEvent, Restored};
use zotferry_protocol::identity::BaseUrl;

use super::bring::{self, KeyArgs};
use super::exit::{Exit, Failure};
use super::output;
use super::passphrase::PassphraseArgs;
use super::progress::Progress;
use super::put::absolute;
use super::verify::broken;

/// Brings a backup back into a hub: one on this machine, or one at a URL.
///
/// The channel has to live on the hub: import its identity first. If the backup was made --with-identity,
/// the command does that itself, and asks for the passphrase.
///
/// Works beside a running hub and without one. Entries are merged as if another clone had announced them:
/// what is newer on the hub stays, and running it twice changes nothing. Every byte is compared before it
/// counts; what is damaged is named, and fetched from another clone if there is one (exit code 6).
///
/// To a URL, everything is signed with the channel's key, which comes from the identity in the backup, an
/// identity file (--identity), or a hub on this machine (--key-from). Several files travel at the same time;
/// what breaks off goes on where it was.
///
/// Where backup and hub are on one file system, the hub's files become second names (hard links) of the
/// backup's, and take no room; do not edit the backup then. --copy makes real copies.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Restore {
    /// The backup's folder.
    backup: PathBuf,
    /// The hub's folder, or its URL.
    #[arg(long, value_name = "HUB|URL")]
    to: String,
    #[command(flatten)]
    key: KeyArgs,
    /// Changes nothing, only says what would come.
    #[arg(long)]
    dry_run: bool,
    /// Makes real copies, also where links would do.
    #[arg(long)]
    copy: bool,
    /// The channel's name on the hub, if it is not there yet; by default its name in the backup.
    #[arg(long)]
    nick: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Prints JSON, one line for each trouble, and the sum.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub channel import alice.id && zotferry restore /mnt/disk/alice --to hub
  zotferry restore /mnt/disk/alice --to hub --dry-run
  zotferry restore alice.backup --to hub --nick alice-2       with the identity in the backup
  zotferry restore /mnt/disk/alice --to https://hub.example --identity alice.id";

impl Restore {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let path = absolute(&self.backup)?;
        let backup = Backup::open(&path).map_err(broken)?;
        if let Some(url) = bring::url(&self.to)? {
            return self.send(backup, &url).await;
        }
        let client = Client::running_or_resting(Path::new(&self.to)).await?;
        let done = self.bring(&client, &path, &backup).await;
        client.close().await?;
        done
    }

    async fn bring(&self, client: &Client, path: &Path, backup: &Backup) -> Result<Exit, Failure> {
        let identity = self.identity(client, backup).await?;
        let (nick, copy, dry_run) = (self.nick.clone(), self.copy, self.dry_run);
        let question = RestoreBackup { backup: path.to_owned(), identity, nick, copy, dry_run };
        let mut events = client.lines(&question).await?;
        let mut progress = Progress::new("restore", backup.header().bytes, self.json);
        let mut sum = Restored::default();
        while let Some(event) = events.next().await? {
            self.tell(&event, &mut progress, &mut sum);
        }
        Ok(self.end(&progress, &sum))
    }

    /// To a hub elsewhere.
    async fn send(&self, backup: Backup, url: &BaseUrl) -> Result<Exit, Failure> {
        if self.dry_run || self.copy || self.nick.is_some() {
            let text = "--dry-run, --copy and --nick are for a hub on this machine";
            return Err(Failure::new(Exit::Usage, text));
        }
        let key = self.key.key(&backup, &self.passphrase).await?;
        let mut progress = Progress::new("restore", backup.header().bytes, self.json);
        let mut sum = Restored::default();
        let told = |event| self.tell(&event, &mut progress, &mut sum);
        bring::bring(backup, url, key, told).await?;
        Ok(self.end(&progress, &sum))
    }

    fn tell(&self, event: &RestoreEvent, progress: &mut Progress, sum: &mut Restored) {
        if self.json && !matches!(event, RestoreEvent::Progress(_)) {
            output::json(event);
        }
        match event {
            RestoreEvent::Begun { .. } => {}
            RestoreEvent::Progress(done) => {
                progress.at(done.bytes, || format!("{} entries", done.entries));
            }
            RestoreEvent::Trouble { path, reason } => {
                progress.say(&format!("{}: {}", visible(path), visible(reason)));
            }
            RestoreEvent::Done(done) => *sum = *done,
        }
    }

    fn end(&self, progress: &Progress, sum: &Restored) -> Exit {
        progress.end();
        if !self.json {
            output::line(self.said(sum));
        }
        if sum.troubles > 0 { Exit::Partly } else { Exit::Done }
    }

    /// What opens the identity in the backup, where it is needed.
    async fn identity(&self, client: &Client, backup: &Backup) -> Result<Option<SealKey>, Failure> {
        let id = backup.header().channel.0.to_string();
        let here = client.ask(&ListChannels {}).await?.iter().any(|channel| channel.id == id);
        let file = if here { None } else { backup.identity().map_err(broken)? };
        let Some(file) = file else { return Ok(None) };
        let key = SealKey::of(&file, &self.passphrase.recall()?);
        let failed = |error| local::Failure::from(ExportError::from(error));
        Ok(Some(key.map_err(|error| ClientError::from(failed(error)))?))
    }

    fn said(&self, sum: &Restored) -> String {
        let what = if self.dry_run { "would bring" } else { "brought" };
        let files = if sum.files == 1 { "file" } else { "files" };
        let mut text = format!(
            "{what} {} {files}; looked at {} entries, {}",
            sum.files,
            sum.entries,
            bytes(sum.bytes)
        );
        if sum.missing > 0 {
            text += &format!("; {} are not in the backup, other clones are asked", sum.missing);
        }
        if sum.troubles > 0 {
            text += &format!("; {} did not come", sum.troubles);
        }
        text
    }
}

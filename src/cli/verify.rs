//! `zotferry verify`: whether a backup is what was signed, and mending it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::Args;
use serde_json::json;
use tokio::runtime::Handle;
use zotferry::local::Piece;
use zotferry::local::client::Client;
use zotferry::text::visible;
use zotferry_backup::{
    Backup, BackupError, Finding, Lock, Part, Pieces, Sums, Text, Trouble, verify,
};
use zotferry_protocol::ids::Digest;

use super::exit::{Exit, Failure};
use super::output;
use super::progress::Progress;

/// Reads a backup again, every byte, and names what is not what the channel's key signed.
///
/// Needs no hub. Names each damaged, missing and extra file; ends with 6 when something is damaged or
/// missing. Extra files do no harm; `zotferry export --prune` removes those that earlier runs left.
///
/// With --repair-from, what is damaged or missing is made whole: each chunk from the file itself where it
/// is good, else from another backup or from a hub of the channel.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// The backup's folder.
    backup: PathBuf,
    /// A hub's folder, or that of another backup of the channel, to take good bytes from.
    #[arg(long, value_name = "HUB|BACKUP")]
    repair_from: Option<PathBuf>,
    /// How many files are read at the same time; by default one for each core.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Prints JSON, one finding a line, and the sum.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry verify /mnt/disk/alice
  zotferry verify /mnt/disk/alice --repair-from hub
  zotferry verify /mnt/disk/alice --repair-from /mnt/other/alice";

impl Verify {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let backup = Backup::open(&self.backup).map_err(broken)?;
        let source = match &self.repair_from {
            Some(from) => Some(Source::open(from).await?),
            None => None,
        };
        let (bytes, json, threads) = (backup.header().bytes, self.json, self.threads);
        let reading = move || {
            let done = read(&backup, source.as_ref(), threads, &Teller::new(bytes, json));
            (done, source)
        };
        let (sums, source) = tokio::task::spawn_blocking(reading).await.map_err(Failure::failed)?;
        if let Some(Source::Hub(client, _)) = source {
            client.close().await?;
        }
        let sums = sums.map_err(broken)?;
        self.end(&sums);
        Ok(if sums.bad > 0 { Exit::Partly } else { Exit::Done })
    }

    fn end(&self, sums: &Sums) {
        if self.json {
            output::json(&json!({
                "entries": sums.entries, "files": sums.files, "bytes": sums.bytes, "bad": sums.bad,
                "mended": sums.mended, "extra": sums.extra, "not_in_backup": sums.not_then,
            }));
            return;
        }
        let amount = output::amount(sums.files, sums.bytes);
        let mut text = format!("read {} entries, {amount}: ", sums.entries);
        text += &match sums.bad {
            0 => "all as they were signed".to_owned(),
            1 => "1 damaged or missing".to_owned(),
            bad => format!("{bad} damaged or missing"),
        };
        let parts =
            [(sums.mended, "mended"), (sums.extra, "extra"), (sums.not_then, "not in the backup")];
        for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!(", {count} {what}");
        }
        output::line(text);
    }
}

fn read(
    backup: &Backup,
    source: Option<&Source>,
    threads: Option<usize>,
    teller: &Teller,
) -> Result<Sums, BackupError> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(cores);
    let lock = source.map(|_| Lock::take(backup.path())).transpose()?;
    let mender = lock.as_ref().zip(source.map(|source| source as &dyn Pieces));
    let sums = verify(backup, threads, mender, &|found| teller.tell(&found), &|n| teller.read(n));
    teller.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0.end();
    sums
}

/// Says what was found, whichever thread found it.
struct Teller {
    progress: Mutex<(Progress, u64)>,
    json: bool,
}

impl Teller {
    fn new(bytes: u64, json: bool) -> Self {
        Self { progress: Mutex::new((Progress::new("verify", bytes, json), 0)), json }
    }

    fn read(&self, bytes: u64) {
        let mut progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        progress.1 += bytes;
        let done = progress.1;
        progress.0.at(done, String::new);
    }

    fn tell(&self, found: &Finding) {
        let (state, detail) = match &found.trouble {
            Trouble::Damaged(why) => ("damaged", why.as_str()),
            Trouble::Missing => ("missing", ""),
            Trouble::Extra(true) => {
                ("extra", "of an earlier run; `zotferry export --prune` removes it")
            }
            Trouble::Extra(false) => ("extra", "no part of a backup"),
            Trouble::NotThen => ("not in the backup", "it was not on the hub"),
        };
        if self.json {
            output::json(&json!({
                "name": found.name, "part": part(found.part), "path": found.path, "state": state,
                "detail": detail, "mended": found.mended,
            }));
            return;
        }
        let mended = if found.mended { ", mended" } else { "" };
        let mut text = format!("{state}{mended}: {}", visible(&found.name));
        if let Some(path) = &found.path {
            text += &format!(" ({})", visible(path));
        }
        if !detail.is_empty() {
            text += &format!(": {}", visible(detail));
        }
        output::line(text);
    }
}

fn part(part: Part) -> &'static str {
    match part {
        Part::Index => "index",
        Part::Identity => "identity",
        Part::List => "list",
        Part::Metadata => "metadata",
        Part::Digests => "digests",
        Part::Data => "data",
        Part::Other => "other",
    }
}

/// Where good bytes are.
enum Source {
    Backup(Box<Backup>),
    Hub(Client, Handle),
}

impl Source {
    async fn open(from: &Path) -> Result<Self, Failure> {
        match Backup::open(from) {
            Ok(backup) => Ok(Self::Backup(Box::new(backup))),
            Err(BackupError::None(_)) => {
                Ok(Self::Hub(Client::running_or_resting(from).await?, Handle::current()))
            }
            Err(error) => Err(broken(error)),
        }
    }
}

impl Pieces for Source {
    fn chunk(&self, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        let (client, runtime) = match self {
            Self::Backup(backup) => return backup.chunk(content, offset, buffer),
            Self::Hub(client, runtime) => (client, runtime),
        };
        let question = Piece { root: Text(*content), offset, len: buffer.len() as u64 };
        let bytes = runtime.block_on(client.piece(&question)).map_err(io::Error::other)?;
        let bytes = bytes.filter(|bytes| bytes.len() == buffer.len());
        if let Some(bytes) = &bytes {
            buffer.copy_from_slice(bytes);
        }
        Ok(bytes.is_some())
    }

    fn file(&self, name: &str) -> io::Result<Option<Box<dyn Read>>> {
        match self {
            Self::Backup(backup) => Pieces::file(&**backup, name),
            Self::Hub(..) => Ok(None),
        }
    }
}

/// How a backup that cannot be read ends the command.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes errors by value")]
pub(super) fn broken(error: BackupError) -> Failure {
    let exit = if matches!(error, BackupError::None(_)) { Exit::NotFound } else { Exit::Failed };
    Failure::new(exit, visible(&error.to_string()))
}

//! Opens the folder in which sled lies, whatever state it is in.
//!
//! Owns: telling a folder that is broken from a disk that is; moving the broken one aside.
//! Not here: rewriting a folder that has grown (see `compact`).
//! Invariant: a folder is moved aside only when its content is to blame, never because the disk is
//! full, may not be read, or the queue is open elsewhere; and it is never deleted.
//! Spec: QUEUE-8.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use zotferry_protocol::ids::Millis;

use super::quiet::quietly;
use super::records;
use super::table::Row;
use crate::durable::folder_of;
use crate::queue::QueueError;

/// For sled's pages; the window is a few MiB.
const CACHE_BYTES: u64 = 4 << 20;
/// How often sled reuses what is free in its file; this thread alone does it.
const CLEAN_EVERY_MS: u64 = 500;
/// How long sled's lock may outlive its owner: its threads let go of the file a moment after the last
/// handle is dropped, and so do processes forked meanwhile; neither tells anybody.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_STEP: Duration = Duration::from_millis(5);

/// An open folder with everything that was in it.
pub(super) struct Loaded {
    pub(super) db: ::sled::Db,
    pub(super) rows: Vec<Row>,
    /// Bytes in live keys and values.
    pub(super) live: u64,
}

/// Why a folder was not opened.
pub(super) enum Refusal {
    /// Its content is to blame: move it aside.
    Broken(String),
    /// Something else is.
    Other(QueueError),
}

impl From<::sled::Error> for Refusal {
    fn from(error: ::sled::Error) -> Self {
        match error {
            // Offsets read from damaged data lead beyond the end or to none that exists.
            ::sled::Error::Io(error) => match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                    Self::Broken(error.to_string())
                }
                _ => Self::Other(QueueError::Io(error)),
            },
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Other(QueueError::Io(error))
    }
}

/// `path` with `suffix` behind its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// One queue at a time has the path: sled's own lock does not cover the moving of folders.
pub(super) struct Lock(File);

impl Lock {
    /// Takes `<path>.lock`.
    pub(super) fn take(path: &Path) -> Result<Self, QueueError> {
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(beside(path, ".lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(QueueError::Locked),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Drop for Lock {
    /// Closing would leave the lock to a process that was forked and has not called exec yet.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the queue's lock could not be released");
        }
    }
}

/// Opens the folder, made new if need be, and reads all of it, so that damage shows now.
pub(super) fn load(path: &Path, instance: &uuid::Uuid) -> Result<Loaded, Refusal> {
    let is_new = !path.try_exists()?;
    if is_new {
        DirBuilder::new().mode(0o700).create(path)?;
    }
    drop_unfinished_snapshots(path)?;
    let loaded = quietly(|| {
        let db = open_sled(path)?;
        if is_new {
            db.insert(records::OWNER, records::owner(instance))?;
            db.flush()?;
        }
        read_all(db, instance)
    });
    let loaded = loaded.unwrap_or_else(|panic| Err(Refusal::Broken(panic)))?;
    sync_folder(path)?;
    Ok(loaded)
}

/// Removes snapshots that a crash left half-written: sled 0.34 takes the newest name for the best
/// snapshot, finds it corrupt and gives up, though the one before is whole.
fn drop_unfinished_snapshots(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// How sled is set up. Its `mode` is left out: 0.34.7 never reads it.
pub(super) fn config(path: &Path) -> ::sled::Config {
    ::sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(CLEAN_EVERY_MS))
}

fn open_sled(path: &Path) -> Result<::sled::Db, Refusal> {
    let config = config(path);
    let mut waited = Duration::ZERO;
    loop {
        match config.open() {
            Err(::sled::Error::Io(error)) if error.to_string().contains("acquire lock") => {
                if waited >= LINGER {
                    return Err(Refusal::Other(QueueError::Locked));
                }
                waited += LINGER_STEP;
                thread::sleep(LINGER_STEP);
            }
            other => return Ok(other?),
        }
    }
}

fn read_all(db: ::sled::Db, instance: &uuid::Uuid) -> Result<Loaded, Refusal> {
    match db.get(records::OWNER)? {
        None => return Err(Refusal::Broken("it does not say whose queue it is".into())),
        Some(owner) if owner[..] == records::owner(instance) => {}
        Some(owner) if owner.first() != Some(&records::FORMAT) => {
            return Err(Refusal::Broken("it is of another format".into()));
        }
        Some(_) => return Err(Refusal::Broken("it belongs to another catalog".into())),
    }
    let (mut rows, mut live) = (Vec::new(), 0);
    for entry in db.iter() {
        let (key, value) = entry?;
        live += (key.len() + value.len()) as u64;
        rows.extend(records::row(&key, &value).map_err(Refusal::Broken)?);
    }
    Ok(Loaded { db, rows, live })
}

/// Makes the folder's files, and the folder itself, survive a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()?;
    File::open(folder_of(path))?.sync_all()
}

/// Bytes that the folder takes on disk.
pub(super) fn disk_size(path: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(path)? {
        let meta = entry?.metadata()?;
        total += if meta.is_file() { meta.len() } else { 0 };
    }
    Ok(total)
}

/// Renames a broken folder to `<path>.broken-<unix ms>` and says where it is.
pub(super) fn move_aside(path: &Path, now: Millis) -> io::Result<PathBuf> {
    let mut stamp = now.0;
    let mut aside = beside(path, &format!(".broken-{stamp}"));
    while aside.try_exists()? {
        stamp += 1;
        aside = beside(path, &format!(".broken-{stamp}"));
    }
    fs::rename(path, &aside)?;
    File::open(folder_of(path))?.sync_all()?;
    Ok(aside)
}

//! Makes changes durable, those of several callers together.
//!
//! Owns: sled's tree, the own handle of its file, the line of changes that wait. Not here: what the
//! changes mean.
//! Invariant: changes reach the disk in the order in which they were lined up, each caller's as one
//! atomic step; after a write failed nothing more is written or acknowledged.
//! Spec: QUEUE-6, QUEUE-7.
//!
//! sled's `flush` alone does not survive a power cut (it ends in sync_file_range), so an fdatasync of
//! `<folder>/db` follows it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::records::Change;
use crate::queue::QueueError;

/// Makes written data of a file durable; replaced in tests.
pub type SyncFile = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// Stands for a place in the line: see [`Store::settle`].
pub(super) struct Ticket(u64);

pub(super) struct Store {
    db: ::sled::Db,
    file: File,
    sync: SyncFile,
    syncs: AtomicU64,
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Default)]
struct Line {
    waiting: Vec<Change>,
    /// Tickets given out, and those whose changes are durable.
    last: u64,
    durable: u64,
    /// One of the callers is writing for all.
    writing: bool,
    failed: Option<String>,
}

impl Line {
    fn check(&self) -> Result<(), QueueError> {
        self.failed.clone().map_or(Ok(()), |reason| Err(QueueError::Failed(reason)))
    }
}

impl Store {
    /// `folder` is where `db` lies.
    pub(super) fn new(db: ::sled::Db, folder: &Path, sync: SyncFile) -> io::Result<Self> {
        let file = File::options().write(true).open(folder.join("db"))?;
        let (line, moved) = Default::default();
        Ok(Self { db, file, sync, syncs: AtomicU64::new(0), line, moved })
    }

    /// Whether work is still accepted.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        self.line().check()
    }

    /// Puts changes in line, after all that are in it. Quick: nothing is written yet.
    pub(super) fn line_up(&self, changes: Vec<Change>) -> Ticket {
        let mut line = self.line();
        line.last += u64::from(!changes.is_empty());
        line.waiting.extend(changes);
        Ticket(line.last)
    }

    /// Waits until the ticket's changes, and all before them, are durable. Whoever finds nobody
    /// writing writes everything in line.
    pub(super) fn settle(&self, ticket: &Ticket) -> Result<(), QueueError> {
        let mut line = self.line();
        loop {
            if line.durable >= ticket.0 {
                return Ok(());
            }
            line.check()?;
            line = if line.writing {
                self.moved.wait(line).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.write_line(line)
            };
        }
    }

    fn write_line<'a>(&'a self, mut line: MutexGuard<'a, Line>) -> MutexGuard<'a, Line> {
        line.writing = true;
        let (changes, last) = (std::mem::take(&mut line.waiting), line.last);
        drop(line);
        let written = catch_unwind(AssertUnwindSafe(|| self.write(changes)))
            .unwrap_or_else(|_| Err("the write panicked".to_owned()));
        let mut line = self.line();
        line.writing = false;
        match written {
            Ok(()) => line.durable = last,
            Err(reason) => {
                tracing::error!(%reason, "the queue stops: a write failed");
                line.failed = Some(reason);
            }
        }
        self.moved.notify_all();
        line
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), String> {
        let batch = self.batch(changes).map_err(|error| error.to_string())?;
        self.db.apply_batch(batch).map_err(|error| error.to_string())?;
        self.db.flush().map_err(|error| error.to_string())?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        (self.sync)(&self.file).map_err(|error| error.to_string())
    }

    /// The changes as one batch; later ones overrule earlier ones.
    fn batch(&self, changes: Vec<Change>) -> ::sled::Result<::sled::Batch> {
        let mut net = BTreeMap::new();
        for change in changes {
            match change {
                Change::Put(key, value) => _ = net.insert(key, Some(value)),
                Change::Delete(key) => _ = net.insert(key, None),
                Change::DeleteAll(prefix) => {
                    net.retain(|key: &Vec<u8>, _| !key.starts_with(&prefix));
                    for key in self.db.scan_prefix(&prefix).keys() {
                        net.insert(key?.to_vec(), None);
                    }
                }
            }
        }
        let mut batch = ::sled::Batch::default();
        for (key, value) in net {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        Ok(batch)
    }

    /// A value as it was last made durable, or a little newer.
    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, QueueError> {
        self.check()?;
        let value = self.db.get(key).map_err(|error| QueueError::Backend(error.to_string()))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// How many syncs were asked of the disk.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

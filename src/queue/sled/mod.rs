//! The queue on sled: what a hub runs on.
//!
//! Owns: opening, and the order "change the window, line up, wait until durable". Not here: the
//! window (`table`), the bytes (`records`), the disk (`store`, `folder`, `compact`).
//! Invariant: the window may be ahead of the disk, never behind; what is lost with it was not
//! acknowledged, or is done again.
//! Spec: QUEUE-6 to QUEUE-9.
//!
//! sled has crash bugs: it may fail or panic when it opens. Then its folder is moved aside and the
//! queue begins anew, to be filled from the catalog. Damage that sled takes for an unclean end may
//! also bring back an older state without a word; so at every start the receiver compares the
//! catalog with [`Queue::window`] and [`Queue::contains`], and pushes what is missing.

mod compact;
mod folder;
mod quiet;
mod records;
mod store;
mod table;

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;
use zotferry_protocol::ids::Millis;
use zotferry_protocol::manifest::ChunkRange;

use self::folder::{Loaded, Lock, Refusal};
use self::quiet::quietly;
use self::records::Change;
pub use self::store::SyncFile;
use self::store::{Store, Ticket};
use self::table::Table;
use super::{Accept, Counts, Finish, HeldPage, Job, Kind, Lane, NewJob, Policy, Queue, QueueError};
use crate::durable;

/// How a queue is opened.
#[derive(Clone)]
pub struct Options {
    /// How retries are spaced.
    pub policy: Policy,
    /// Decides the jitter of retries.
    pub seed: u64,
    /// How the store's file is made durable.
    pub sync: SyncFile,
    /// A folder of more bytes than this that is mostly waste is rewritten when it is opened.
    pub rewrite_above: u64,
}

impl Options {
    /// Syncs with fdatasync, rewrites above 64 MiB.
    pub fn new(policy: Policy, seed: u64) -> Self {
        let sync = Arc::new(File::sync_data);
        Self { policy, seed, sync, rewrite_above: compact::WORTH_BYTES }
    }
}

/// A queue and where it comes from.
pub struct Opened {
    /// The queue.
    pub queue: SledQueue,
    /// Whether it began anew.
    pub rebuilt: Rebuilt,
}

/// Whether a queue must be filled from the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuilt {
    /// It is the one that was there.
    No,
    /// It is empty, and why. Chunks on disk are held only after they were verified again.
    Yes(String),
}

/// Jobs in a window in memory and a sled folder behind it.
pub struct SledQueue {
    table: Mutex<Table>,
    store: Store,
    /// Released last.
    _lock: Lock,
}

impl SledQueue {
    /// Opens the queue in the folder `path`, or begins a new one there.
    ///
    /// A folder that sled cannot open, that cannot be read, or that belongs to another catalog than
    /// `instance` is renamed to `<path>.broken-<now>`, with a warning. Errors: [`QueueError::Locked`]
    /// while the queue is open elsewhere; [`QueueError::Io`] when the disk and not the folder is to
    /// blame. Beside `path` lie `<path>.lock` and, during a rewrite, `<path>.rewrite` and `.old`.
    pub fn open_or_rebuild(
        path: &Path,
        instance: &Uuid,
        options: &Options,
        now: Millis,
    ) -> Result<Opened, QueueError> {
        fs::create_dir_all(durable::folder_of(path))?;
        let lock = Lock::take(path)?;
        compact::settle(path)?;
        let mut rebuilt = Rebuilt::No;
        if !path.try_exists()? {
            rebuilt = Rebuilt::Yes("there was no queue".into());
        }
        let loaded = match folder::load(path, instance) {
            Err(Refusal::Broken(reason)) => {
                let aside = folder::move_aside(path, now)?;
                tracing::warn!(%reason, moved_to = %aside.display(), "the queue begins anew");
                rebuilt = Rebuilt::Yes(reason);
                load_sound(path, instance)?
            }
            Err(Refusal::Other(error)) => return Err(error),
            Ok(loaded) => shrink(loaded, path, instance, options.rewrite_above)?,
        };
        let Loaded { db, rows, .. } = loaded;
        let table = Mutex::new(Table::new(options.policy, options.seed, rows));
        let store = Store::new(db, path, Arc::clone(&options.sync))?;
        Ok(Opened { queue: Self { table, store, _lock: lock }, rebuilt })
    }

    /// How often the disk was asked to make data durable since the queue was opened.
    pub fn syncs(&self) -> u64 {
        self.store.syncs()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the window, then waits, with the window free for others, until that is durable.
    fn change<T>(
        &self,
        edit: impl FnOnce(&mut Table, &mut Vec<Change>) -> T,
    ) -> Result<T, QueueError> {
        let (result, ticket) = self.line_up(edit)?;
        self.store.settle(&ticket)?;
        Ok(result)
    }

    fn line_up<T>(
        &self,
        edit: impl FnOnce(&mut Table, &mut Vec<Change>) -> T,
    ) -> Result<(T, Ticket), QueueError> {
        let mut table = self.table();
        self.store.check()?;
        let mut changes = Vec::new();
        let result = edit(&mut table, &mut changes);
        Ok((result, self.store.line_up(changes)))
    }
}

/// Opens a folder that has no excuse.
fn load_sound(path: &Path, instance: &Uuid) -> Result<Loaded, QueueError> {
    folder::load(path, instance).map_err(|refusal| match refusal {
        Refusal::Broken(reason) => QueueError::Backend(reason),
        Refusal::Other(error) => error,
    })
}

/// Rewrites the folder if it is mostly waste. When that fails the folder stays as it is.
fn shrink(loaded: Loaded, path: &Path, instance: &Uuid, above: u64) -> Result<Loaded, QueueError> {
    let disk = folder::disk_size(path)?;
    if !compact::is_worth_it(disk, loaded.live, above) {
        return Ok(loaded);
    }
    let copied = quietly(|| compact::copy(&loaded.db, path).map_err(|error| error.to_string()));
    if let Err(reason) = copied.flatten() {
        tracing::warn!(%reason, "the queue's folder could not be rewritten");
        compact::settle(path)?;
        return Ok(loaded);
    }
    drop(loaded);
    compact::swap(path)?;
    let loaded = load_sound(path, instance)?;
    tracing::info!(
        before = disk,
        after = folder::disk_size(path)?,
        "the queue's folder was rewritten"
    );
    Ok(loaded)
}

impl Queue for SledQueue {
    fn push(&self, jobs: &[NewJob]) -> Result<(), QueueError> {
        jobs.iter().try_for_each(NewJob::check)?;
        self.change(|table, changes| jobs.iter().for_each(|new| table.push(new, changes)))
    }

    fn lease(
        &self,
        now: Millis,
        accept: &Accept<'_>,
        limit: usize,
    ) -> Result<Vec<Job>, QueueError> {
        // Nothing to wait for: a lease is not on disk.
        let (jobs, _) = self.line_up(|table, _| table.lease(now, accept, limit))?;
        Ok(jobs)
    }

    fn commit(
        &self,
        finished: &[(u64, Finish)],
        held: &[HeldPage],
        now: Millis,
    ) -> Result<(), QueueError> {
        held.iter().try_for_each(HeldPage::check)?;
        self.change(|table, changes| {
            for (id, finish) in finished {
                table.finish(*id, finish, now, changes);
            }
            changes.extend(held.iter().map(|page| {
                Change::Put(records::held_key(page.wanted, page.page), page.bits.clone())
            }));
        })
    }

    fn held(&self, wanted: i64, page: u32) -> Result<Option<Vec<u8>>, QueueError> {
        self.store.read(&records::held_key(wanted, page))
    }

    fn health(&self) -> Result<(), QueueError> {
        self.store.check()
    }

    fn set_stamp(&self, stamp: u64) -> Result<(), QueueError> {
        let put = Change::Put(records::STAMP.to_vec(), stamp.to_be_bytes().to_vec());
        self.change(|_, changes| changes.push(put))
    }

    fn stamp(&self) -> Result<Option<u64>, QueueError> {
        let value = self.store.read(records::STAMP)?;
        Ok(value.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes))
    }

    fn forget(&self, wanted: i64) -> Result<(), QueueError> {
        self.change(|table, changes| table.forget(wanted, changes))
    }

    fn keep_to(&self, lane: &Lane, wanted: &[i64]) -> Result<(), QueueError> {
        self.change(|table, changes| table.keep_to(lane, wanted, changes))
    }

    fn wake(&self, lanes: &dyn Fn(&Lane) -> bool, now: Millis) -> Result<usize, QueueError> {
        self.change(|table, changes| table.wake(lanes, now, changes))
    }

    fn next_due(&self, now: Millis) -> Option<Millis> {
        self.table().next_due(now)
    }

    fn window(&self, wanted: i64) -> Vec<ChunkRange> {
        self.table().window(wanted)
    }

    fn pending(&self, lane: &Lane, kind: Kind) -> usize {
        self.table().pending(lane, kind)
    }

    fn named(&self, wanted: i64) -> Vec<(Lane, bool)> {
        self.table().named(wanted)
    }

    fn dead(&self) -> Vec<Job> {
        self.table().dead()
    }

    fn retry_dead(&self, which: &dyn Fn(&Job) -> bool) -> Result<usize, QueueError> {
        self.change(|table, changes| table.retry_dead(which, changes))
    }

    fn counts(&self, now: Millis) -> Counts {
        self.table().counts(now)
    }

    fn len(&self) -> usize {
        self.table().len()
    }
}

//! Fetches what this hub's channels want: from the catalog into the queue, from the queue into
//! requests, from answers into the storage.
//!
//! Owns: which files are being filled, which hub is asked for what, and how hard. Not here: what a
//! transfer does next (the protocol's `transfer`), bytes on disk (`chunker`), jobs on disk (`queue`).
//! Invariant: a job ends when what it fetched is durable, and not before; whatever dies in between
//! is asked for again, and only that.
//! Spec: FETCH-1 to FETCH-6, FETCH-31 to FETCH-37, FETCH-40 to FETCH-46, FETCH-54, STREAM-8, SYNC-11.

mod asking;
mod bundle;
mod chunks;
mod complete;
mod digests;
mod exchange;
mod file;
mod hands;
mod origin;
mod outcome;
mod reader;
mod reading;
mod refill;
mod reuse;
mod sink;
mod sources;
mod stream;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use zotferry_protocol::ids::Millis;

use crate::catalog::{CatalogError, SiteNo};
use crate::chunker::ChunkerError;
use crate::hub::{CallError, Hub, StoredError};
use crate::queue::{Job, Kind, Lane, Queue, QueueError, Task};
use crate::storage::StorageError;
pub use file::{ActiveFile, FileProgress};
use origin::Origin;
pub use reading::{ReadError, Reading};

/// How long the loop rests at most when nothing rings.
const LONGEST_REST: u64 = 60_000;

/// Something of this hub's own failed.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Another hub, or this one's own jobs.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What a channel has.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// A partial file.
    #[error(transparent)]
    Chunker(#[from] ChunkerError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// The receiver of one hub.
pub struct Receiver {
    hub: Arc<Hub>,
    files: Mutex<HashMap<i64, Arc<ActiveFile>>>,
    /// Contents that are in hand, or about to be, or in a bundle in flight.
    claims: Mutex<HashSet<i64>>,
    /// Rings when a content arrived, or somebody lets go of one.
    moved: watch::Sender<()>,
    origins: Mutex<HashMap<SiteNo, Arc<Origin>>>,
    /// Origins that did their work again after they had failed.
    back: Mutex<BTreeSet<SiteNo>>,
    /// Which hub is not asked for which small content, until when, and for which time.
    avoided: Mutex<HashMap<(SiteNo, i64), (Millis, u32)>>,
    /// How many more may read what is not here.
    readers: Semaphore,
    backlogs: tokio::sync::Mutex<Vec<refill::Backlog>>,
    /// The lanes of the backlogs: none of a channel that rests.
    lanes: Mutex<BTreeSet<Lane>>,
    /// Set when a file was passed over because its content is in hand for another.
    passed_over: AtomicBool,
    /// When the last request has to be over; set once the hub stops.
    end: OnceLock<Instant>,
    tasks: TaskTracker,
}

impl Receiver {
    /// A receiver that has nothing in hand.
    pub fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self {
            hub,
            files: Mutex::default(),
            claims: Mutex::default(),
            moved: watch::Sender::new(()),
            origins: Mutex::default(),
            back: Mutex::default(),
            avoided: Mutex::default(),
            readers: Semaphore::new(reading::READERS),
            backlogs: tokio::sync::Mutex::default(),
            lanes: Mutex::default(),
            passed_over: AtomicBool::new(false),
            end: OnceLock::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Works until the hub stops, then puts back what is in flight.
    pub async fn run(self: &Arc<Self>) {
        while !self.hub.stop.is_cancelled() {
            let rest = match self.round().await {
                Ok(rest) => rest,
                Err(error) => {
                    tracing::error!(%error, "the receiver cannot go on for now");
                    // What was passed over is found again from the start.
                    self.hub.news.store(true, std::sync::atomic::Ordering::Relaxed);
                    5_000
                }
            };
            tokio::select! {
                () = self.hub.work.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(rest)) => {}
                () = self.hub.stop.cancelled() => {}
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Fills the queue, starts what may start, and says how long to rest, in ms.
    async fn round(self: &Arc<Self>) -> Result<u64, ReceiverError> {
        self.welcome().await?;
        let sites = refill::refill(self).await?;
        // Before the queue is asked: what becomes due while it is asked was not found and is still to come.
        let now = self.hub.clock.now();
        for site in sites {
            let origin = self.origin(site);
            while self.start(&origin).await? {}
        }
        let pauses = lock(&self.origins).values().filter_map(|o| o.wake_at(now)).min();
        let due = [self.hub.queue.next_due(now), pauses];
        let next = due.into_iter().flatten().min();
        Ok(next.map_or(LONGEST_REST, |at| at.since(now).clamp(1, LONGEST_REST)))
    }

    /// Starts one request to an origin, if there is work and room for it.
    async fn start(self: &Arc<Self>, origin: &Arc<Origin>) -> Result<bool, ReceiverError> {
        let now = self.hub.clock.now();
        if self.hub.stop.is_cancelled() || !origin.may_start(now) {
            return Ok(false);
        }
        let streaming = self.hub.config.transfer.streaming && origin.streams(now);
        let jobs = self.lease(origin, now, streaming).await?;
        let Some(first) = jobs.first() else { return Ok(false) };
        tracing::debug!(site = origin.site, task = ?first.task, jobs = jobs.len(), streaming, "asks");
        let run = outcome::Run::begin(self, origin, now);
        let receiver = Arc::clone(self);
        match (first.task.kind(), streaming) {
            (Kind::Bundle, _) => {
                let underway = origin.bundling();
                drop(self.tasks.spawn(bundle::fetch(receiver, run, jobs, underway)));
            }
            (_, true) => drop(self.tasks.spawn(stream::fetch(receiver, run, jobs))),
            (_, false) => drop(self.tasks.spawn(chunks::fetch(receiver, run, jobs))),
        }
        Ok(true)
    }

    /// FETCH-57: jobs for one request: ranges that somebody waits for, or one bundle, or other ranges, of about
    /// as many bytes as the pacer says. A stream is of one file, so its ranges are.
    async fn lease(
        &self,
        origin: &Origin,
        now: Millis,
        streaming: bool,
    ) -> Result<Vec<Job>, ReceiverError> {
        let all: Vec<Arc<ActiveFile>> = lock(&self.files).values().cloned().collect();
        let mine = |f: &&Arc<ActiveFile>| f.ready() && f.may_ask(self, origin.site);
        let mine: Vec<_> = all.iter().filter(mine).collect();
        let bytes = origin.request_bytes(mine.iter().map(|file| file.share(self)).sum());
        // Who failed is tried again with little.
        let doubt = |f: &ActiveFile| origin.in_doubt() && f.elsewhere(self, origin.site);
        let jobs = |file: &ActiveFile| if doubt(file) { 1 } else { file.jobs_for(bytes) };
        let open = |read: bool| -> Vec<(i64, usize)> {
            let some = mine.iter().filter(|file| file.is_read() == read);
            some.map(|file| (file.id(), jobs(file))).collect()
        };
        let (read, others) = (open(true), open(false));
        let lanes = lock(&self.lanes).clone();
        let (queue, site) = (Arc::clone(&self.hub.queue), origin.site);
        let leasing = move || -> Result<Vec<Job>, QueueError> {
            let jobs = ranges(&*queue, now, &read, streaming)?;
            if !jobs.is_empty() {
                return Ok(jobs);
            }
            let bundle = |lane: &Lane, task: &Task| {
                lane.site == site && task.kind() == Kind::Bundle && lanes.contains(lane)
            };
            let jobs = queue.lease(now, &bundle, 1)?;
            if !jobs.is_empty() {
                return Ok(jobs);
            }
            ranges(&*queue, now, &others, streaming)
        };
        Ok(tokio::task::spawn_blocking(leasing).await??)
    }

    /// An origin did its work again after it had failed.
    fn is_back(&self, site: SiteNo) {
        lock(&self.back).insert(site);
        self.hub.work.notify_one();
    }

    /// QUEUE-15: what waits for those that are back may be tried now.
    async fn welcome(&self) -> Result<(), ReceiverError> {
        let back = std::mem::take(&mut *lock(&self.back));
        for site in back {
            self.hub.wake(site).await?;
            self.hub.news.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    }

    fn origin(&self, site: SiteNo) -> Arc<Origin> {
        let transfer = &self.hub.config.transfer;
        let mut origins = lock(&self.origins);
        Arc::clone(origins.entry(site).or_insert_with(|| Arc::new(Origin::new(site, transfer))))
    }

    /// The file of a wanted row, while it is being filled.
    fn file(&self, wanted: i64) -> Option<Arc<ActiveFile>> {
        lock(&self.files).get(&wanted).cloned()
    }

    /// Every file in hand, for people.
    pub fn progress(&self) -> Vec<FileProgress> {
        let mut all: Vec<_> = lock(&self.files).values().map(|file| file.progress()).collect();
        all.sort_by_key(|file| file.wanted);
        all
    }

    /// Ends what is being fetched for a channel: its jobs stay in the queue, its bytes on disk.
    pub fn drop_channel(&self, channel: i64) {
        let files = lock(&self.files);
        files.values().filter(|f| f.channel() == channel).for_each(|file| file.rest(true));
    }
}

/// Due ranges of some files, of each at most so many.
fn ranges(
    queue: &dyn Queue,
    now: Millis,
    open: &[(i64, usize)],
    streaming: bool,
) -> Result<Vec<Job>, QueueError> {
    let of = |task: &Task, file: i64| task.kind() == Kind::Range && task.wanted() == [file];
    if !streaming {
        let limit = open.iter().map(|(_, jobs)| *jobs).max().unwrap_or(1);
        let any = |_: &Lane, task: &Task| open.iter().any(|(file, _)| of(task, *file));
        return queue.lease(now, &any, limit);
    }
    for (file, limit) in open {
        let jobs = queue.lease(now, &|_, task| of(task, *file), *limit)?;
        if !jobs.is_empty() {
            return Ok(jobs);
        }
    }
    Ok(Vec::new())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

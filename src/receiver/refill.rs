//! From the catalog into the queue: a bounded window of what is wanted.
//!
//! Owns: how far ahead the queue is filled. Not here: the order of jobs (the queue), the ranges of a
//! file (its transfer).
//! Invariant: the queue holds a few thousand files and the window of some large ones, however many
//! are wanted.
//! Spec: FETCH-1, QUEUE-2, QUEUE-8.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::file::ActiveFile;
use super::{Receiver, ReceiverError, lock};
use crate::catalog::{Cursor, Data, DataState, SizeClass, WantedLane};
use crate::queue::{Kind, Lane, NewJob, QueueError, Task};
use crate::storage::Retry;

/// Files in one bundle: what one request may name.
const BUNDLE: usize = 256;
/// Content bytes in one bundle.
const BUNDLE_BYTES: u64 = 8 << 20;
/// Bundles of one lane that are queued at a time.
const BUNDLES: usize = 16;
/// Files of more than one chunk that are filled at a time, per lane.
const FILES: usize = 32;
/// Beyond so many bytes no further file is begun.
const FILE_BYTES: u64 = 512 << 20;

/// How long a file rests that could not be begun.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is still to be queued of one lane.
#[derive(Debug)]
pub(super) struct Backlog {
    lane: Lane,
    /// Whether files of one chunk may be left, and after which to look.
    small: Option<Option<Cursor>>,
    /// The same for larger ones.
    large: Option<Option<Cursor>>,
}

/// Fills the window of every lane; returns the sites that have work. The catalog is looked through
/// from the start only when there is news.
pub(super) async fn refill(receiver: &Arc<Receiver>) -> Result<BTreeSet<i64>, ReceiverError> {
    let mut backlogs = receiver.backlogs.lock().await;
    if receiver.hub.news.swap(false, Relaxed) {
        let lanes = receiver.hub.catalog.lanes_with_wanted().await?;
        let others = lanes.iter().filter(|lane| lane.site != receiver.hub.site);
        *backlogs = others.map(Backlog::fresh).collect();
        *lock(&receiver.lanes) = backlogs.iter().map(|backlog| backlog.lane).collect();
        let_go(receiver).await?;
    }
    for backlog in backlogs.iter_mut() {
        bundles(receiver, backlog).await?;
        files(receiver, backlog).await?;
    }
    Ok(backlogs.iter().map(|b| b.lane.site).collect())
}

impl Backlog {
    fn fresh(lane: &WantedLane) -> Self {
        let lane = Lane { channel: lane.channel, site: lane.site };
        Self { lane, small: Some(None), large: Some(None) }
    }
}

/// Files whose channel rests, whose entry has other content by now, or that another hub announced
/// while nothing comes from the first leave the hand; the last are taken up again when they have left.
async fn let_go(receiver: &Receiver) -> Result<(), ReceiverError> {
    let files: Vec<Arc<ActiveFile>> = lock(&receiver.files).values().cloned().collect();
    if files.is_empty() {
        return Ok(());
    }
    let catalog = &receiver.hub.catalog;
    let ids: Vec<i64> = files.iter().map(|file| file.id()).collect();
    let rows = catalog.contents(&ids).await?;
    let rows: HashMap<i64, &Data> = rows.iter().map(|row| (row.id, row)).collect();
    let channels = catalog.channels().await?;
    for file in files {
        let row = rows.get(&file.id());
        let wanted = row.filter(|r| matches!(r.state, DataState::Wanted | DataState::Present));
        let elsewhere = |row: &Data| row.site != Some(file.site());
        let moved = |row: &Data| row.state == DataState::Wanted && elsewhere(row) && file.rests();
        let rests = || channels.iter().any(|c| c.id == file.channel() && c.paused);
        match wanted {
            None => file.let_go(true),
            Some(row) if moved(row) || rests() => file.let_go(false),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Small files, many to a job.
async fn bundles(receiver: &Arc<Receiver>, backlog: &mut Backlog) -> Result<(), ReceiverError> {
    let Some(mut after) = backlog.small else { return Ok(()) };
    let queue = Arc::clone(&receiver.hub.queue);
    let mut room = BUNDLES.saturating_sub(queue.pending(&backlog.lane, Kind::Bundle));
    if room <= BUNDLES / 2 {
        return Ok(());
    }
    let mut jobs = Vec::new();
    while room > 0 {
        let some = next(receiver, &backlog.lane, SizeClass::OneChunk, after).await?;
        let Some(last) = some.last() else {
            backlog.small = None;
            break;
        };
        after = Some(Cursor::from(last));
        backlog.small = Some(after);
        let fresh = receiver.unqueued(&backlog.lane, some).await?;
        for bundle in split(receiver.without_empty(fresh).await?) {
            jobs.push(NewJob {
                lane: backlog.lane,
                task: Task::Bundle { wanted: bundle },
                priority: 1,
                not_before: receiver.hub.clock.now(),
                key: None,
            });
            room = room.saturating_sub(1);
        }
    }
    if !jobs.is_empty() {
        tokio::task::spawn_blocking(move || queue.push(&jobs)).await??;
    }
    Ok(())
}

/// Cuts a list of files into bundles of bounded count and size.
fn split(files: Vec<Data>) -> Vec<Vec<i64>> {
    let mut bundles: Vec<Vec<i64>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        let full =
            bundles.last().is_none_or(|b| b.len() == BUNDLE) || bytes + file.size > BUNDLE_BYTES;
        if full {
            bundles.push(Vec::new());
            bytes = 0;
        }
        bytes += file.size;
        if let Some(bundle) = bundles.last_mut() {
            bundle.push(file.id);
        }
    }
    bundles
}

/// Larger files: some are begun, the others wait.
async fn files(receiver: &Arc<Receiver>, backlog: &mut Backlog) -> Result<(), ReceiverError> {
    while let Some(after) = backlog.large {
        if receiver.hands_full(&backlog.lane) {
            return Ok(());
        }
        let some = next(receiver, &backlog.lane, SizeClass::Larger, after).await?;
        if some.is_empty() {
            backlog.large = None;
        }
        for data in some {
            if receiver.hands_full(&backlog.lane) {
                return Ok(());
            }
            backlog.large = Some(Some(Cursor::from(&data)));
            receiver.begin(data).await?;
        }
    }
    Ok(())
}

async fn next(
    receiver: &Arc<Receiver>,
    lane: &Lane,
    class: SizeClass,
    after: Option<Cursor>,
) -> Result<Vec<Data>, ReceiverError> {
    let catalog = &receiver.hub.catalog;
    Ok(catalog.next_wanted(lane.channel, lane.site, class, after, BUNDLE as u32).await?)
}

impl Receiver {
    /// Whether enough files of a lane are being filled.
    fn hands_full(&self, lane: &Lane) -> bool {
        let files = lock(&self.files);
        let mine = files.values().filter(|f| (f.channel(), f.site()) == (lane.channel, lane.site));
        let (open, bytes) = mine.fold((0, 0), |(n, bytes), file| (n + 1, bytes + file.unasked()));
        open >= FILES || (open > 0 && bytes >= FILE_BYTES)
    }

    /// Those of a lane's small files that no job of it names. Jobs of other lanes let go of them.
    async fn unqueued(&self, lane: &Lane, files: Vec<Data>) -> Result<Vec<Data>, ReceiverError> {
        let (queue, lane) = (Arc::clone(&self.hub.queue), *lane);
        let sorting = move || -> Result<Vec<Data>, QueueError> {
            let ids: Vec<i64> = files.iter().map(|data| data.id).collect();
            queue.keep_to(&lane, &ids)?;
            Ok(files.into_iter().filter(|data| !queue.contains(data.id)).collect())
        };
        Ok(tokio::task::spawn_blocking(sorting).await??)
    }

    /// Empty files need no bytes: they are stored at once.
    async fn without_empty(&self, files: Vec<Data>) -> Result<Vec<Data>, ReceiverError> {
        let (empty, rest): (Vec<Data>, Vec<Data>) = files.into_iter().partition(|f| f.size == 0);
        if let Some(first) = empty.first() {
            let _until_named = self.hub.storing.read().await;
            let (storage, root) = (Arc::clone(&self.hub.storage), first.root);
            let storing = move || storage.put_many(&[(root, bytes::Bytes::new())]);
            tokio::task::spawn_blocking(storing).await??;
            let all: Vec<(i64, i64)> = empty.iter().map(|f| (f.id, f.channel)).collect();
            self.arrived(&all).await?;
        }
        Ok(rest)
    }

    /// Bytes that are in storage already, for whatever channel: nothing is fetched.
    async fn here_already(&self, data: &Data) -> Result<bool, ReceiverError> {
        let _until_named = self.hub.storing.read().await;
        let (storage, root) = (Arc::clone(&self.hub.storage), data.root);
        if !tokio::task::spawn_blocking(move || storage.contains(&root)).await?? {
            return Ok(false);
        }
        self.hub.metrics.bytes_copied.add(data.size);
        self.arrived(&[(data.id, data.channel)]).await?;
        let (queue, wanted) = (Arc::clone(&self.hub.queue), data.id);
        tokio::task::spawn_blocking(move || queue.forget(wanted)).await??;
        Ok(true)
    }

    /// Takes a larger file in hand.
    async fn begin(self: &Arc<Self>, data: Data) -> Result<(), ReceiverError> {
        if lock(&self.files).contains_key(&data.id) || self.here_already(&data).await? {
            return Ok(());
        }
        // The same content under two names comes once.
        if lock(&self.files).values().any(|file| file.data.root == data.root) {
            self.passed_over.store(true, Relaxed);
            return Ok(());
        }
        let (hub, id) = (Arc::clone(&self.hub), data.id);
        let opening = tokio::task::spawn_blocking(move || ActiveFile::open(&hub, data)).await?;
        let file = match opening {
            Ok(file) => file,
            Err(error) if error.retry() != Retry::Never => {
                tracing::warn!(wanted = id, %error, "a file cannot be begun yet");
                self.look_again();
                return Ok(());
            }
            Err(error) => {
                tracing::error!(wanted = id, %error, "a file cannot be begun");
                self.hub.catalog.mark_failed(id, &error.to_string()).await?;
                return Ok(());
            }
        };
        lock(&self.files).insert(id, Arc::clone(&file));
        self.tasks.spawn(file.drive(Arc::clone(self)));
        Ok(())
    }

    /// A file left the hand. Others of the same content may have waited for it.
    pub(super) fn forget(&self, wanted: i64) {
        lock(&self.files).remove(&wanted);
        if self.passed_over.swap(false, Relaxed) {
            self.hub.tell_receiver();
        }
        self.hub.work.notify_one();
    }

    /// Looks through the catalog again after a while: something of this hub's own stood in the way.
    fn look_again(self: &Arc<Self>) {
        let hub = Arc::clone(&self.hub);
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => hub.tell_receiver(),
                () = hub.stop.cancelled() => {}
            }
        });
    }

    /// Contents are durable in storage: the catalog says so, and the other clones hear of it.
    pub(super) async fn arrived(&self, contents: &[(i64, i64)]) -> Result<(), ReceiverError> {
        let ids: Vec<i64> = contents.iter().map(|(id, _)| *id).collect();
        self.hub.catalog.mark_present(&ids).await?;
        self.hub.metrics.files_committed.add(ids.len() as u64);
        self.hub.metrics.last_commit_ms.last(self.hub.clock.now());
        let channels: BTreeSet<i64> = contents.iter().map(|(_, channel)| *channel).collect();
        for channel in channels {
            self.hub.report_soon(channel);
        }
        Ok(())
    }
}

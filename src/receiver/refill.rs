//! From the catalog into the queue: a bounded window of what is wanted.
//!
//! Owns: how far ahead the queue is filled, and which hub's lane gets a small file. Not here: the order
//! of jobs (the queue), the ranges of a file (its transfer), which files are in hand (`hands`).
//! Invariant: the queue holds a few thousand files and the window of some large ones, however many
//! are wanted.
//! Spec: FETCH-1, FETCH-54, FETCH-55, SYNC-11, QUEUE-2, QUEUE-8.
//!
//! Each hub that has contents of a channel has a lane, and each lane goes through all that its hub
//! has, in the same order; what stands in another lane is passed over. So several hubs share the work
//! as each can, and what a hub does not do is taken over by the next.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::file::ActiveFile;
use super::{Receiver, ReceiverError, lock};
use crate::catalog::{Cursor, Data, DataState, SizeClass};
use crate::queue::{Kind, Lane, NewJob, QueueError, Task};

/// Files in one bundle: what one request may name.
const BUNDLE: usize = 256;
/// Content bytes in one bundle.
const BUNDLE_BYTES: u64 = 8 << 20;
/// Times that a lane looks on in the catalog in one round.
const PAGES: usize = 32;
/// Bundles of one lane that are queued at a time.
const BUNDLES: usize = 16;
/// While so many are asked for, files gather for the next until they fill it. The end of each rings.
const ENOUGH: u32 = 2;

/// What is still to be queued of one lane.
#[derive(Debug)]
pub(super) struct Backlog {
    lane: Lane,
    /// Whether files of one chunk may be left, and after which to look.
    small: Option<Option<Cursor>>,
    /// Whether some were left to gather.
    gathers: bool,
    /// The same for larger ones.
    large: Option<Option<Cursor>>,
}

/// Fills the window of every lane; returns the sites that have work. The catalog is looked through
/// from the start only when there is news.
pub(super) async fn refill(receiver: &Arc<Receiver>) -> Result<BTreeSet<i64>, ReceiverError> {
    let mut backlogs = receiver.backlogs.lock().await;
    if receiver.hub.news.swap(false, Relaxed) {
        let lanes = receiver.hub.catalog.fetch_lanes(receiver.hub.site).await?;
        let lanes = lanes.into_iter().map(|(channel, site)| Lane { channel, site });
        *backlogs = lanes.map(Backlog::fresh).collect();
        *lock(&receiver.lanes) = backlogs.iter().map(|backlog| backlog.lane).collect();
        look_over(receiver).await?;
    }
    for backlog in backlogs.iter_mut() {
        bundles(receiver, backlog).await?;
        files(receiver, backlog).await?;
    }
    Ok(backlogs.iter().map(|b| b.lane.site).collect())
}

impl Backlog {
    fn fresh(lane: Lane) -> Self {
        Self { lane, small: Some(None), gathers: false, large: Some(None) }
    }
}

/// Looks over what is in hand: files of a channel that rests, that nobody has any more, or whose entry
/// has other content by now, leave the hand; who has the others may have changed.
async fn look_over(receiver: &Receiver) -> Result<(), ReceiverError> {
    let files: Vec<Arc<ActiveFile>> = lock(&receiver.files).values().cloned().collect();
    if files.is_empty() {
        return Ok(());
    }
    let (catalog, here) = (&receiver.hub.catalog, receiver.hub.site);
    let ids: Vec<i64> = files.iter().map(|file| file.id()).collect();
    let rows = catalog.contents(&ids).await?;
    let rows: HashMap<i64, &Data> = rows.iter().map(|row| (row.id, row)).collect();
    let sources = catalog.sources_of(here, &ids).await?;
    let channels = catalog.channels().await?;
    let mut gained = HashSet::new();
    for file in files {
        let row = rows.get(&file.id());
        let wanted = row.filter(|r| matches!(r.state, DataState::Wanted | DataState::Present));
        if wanted.is_none() {
            file.let_go(true);
            continue;
        }
        let sites = sources.get(&file.id()).map_or(&[][..], Vec::as_slice);
        if lock(&file.sources).set(sites) {
            gained.insert(file.id());
        }
        let rests = channels.iter().any(|c| c.id == file.channel() && c.paused);
        file.rest(rests || sites.is_empty());
    }
    wake(receiver, gained).await
}

/// Another hub has these files now: what waited, or was given up, is tried there at once.
async fn wake(receiver: &Receiver, gained: HashSet<i64>) -> Result<(), ReceiverError> {
    if gained.is_empty() {
        return Ok(());
    }
    let (queue, now) = (Arc::clone(&receiver.hub.queue), receiver.hub.clock.now());
    let waking = move || -> Result<(), QueueError> {
        queue.wake(&|lane| lane.site == Lane::ANY, now)?;
        let theirs = |task: &Task| task.kind() == Kind::Range && gained.contains(&task.wanted()[0]);
        queue.retry_dead(&|job| theirs(&job.task))?;
        Ok(())
    };
    Ok(tokio::task::spawn_blocking(waking).await??)
}

/// Small files, many to a job. Those that do not fill one gather while others are asked for.
async fn bundles(receiver: &Arc<Receiver>, backlog: &mut Backlog) -> Result<(), ReceiverError> {
    let Some(from) = backlog.small else { return Ok(()) };
    let queue = Arc::clone(&receiver.hub.queue);
    let enough = receiver.origin(backlog.lane.site).bundles() >= ENOUGH;
    let room = BUNDLES.saturating_sub(queue.pending(&backlog.lane, Kind::Bundle));
    if room <= BUNDLES / 2 || (backlog.gathers && enough) {
        return Ok(());
    }
    let mut bundles = split(gather(receiver, backlog, from, room).await?);
    let partial = bundles.last().is_some_and(|last| last.len() < BUNDLE && !is_heavy(last));
    backlog.gathers = backlog.small.is_none() && partial && enough;
    if backlog.gathers {
        bundles.pop();
        let last = bundles.last().and_then(|files| files.last());
        backlog.small = Some(last.map(Cursor::from).or(from));
    }
    let job = |files: Vec<Data>| NewJob {
        lane: backlog.lane,
        task: Task::Bundle { wanted: files.iter().map(|file| file.id).collect() },
        priority: 1,
        not_before: receiver.hub.clock.now(),
        key: None,
    };
    let jobs: Vec<NewJob> = bundles.into_iter().map(job).collect();
    if !jobs.is_empty() {
        tokio::task::spawn_blocking(move || queue.push(&jobs)).await??;
    }
    Ok(())
}

/// The next small files that nobody sees to, for about so many bundles; the backlog stands behind them.
async fn gather(
    receiver: &Arc<Receiver>,
    backlog: &mut Backlog,
    mut after: Option<Cursor>,
    room: usize,
) -> Result<Vec<Data>, ReceiverError> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    for page in 0.. {
        if files.len() >= room * BUNDLE || bytes >= room as u64 * BUNDLE_BYTES {
            break;
        }
        if page == PAGES {
            // The rest in the next round: others wait.
            receiver.hub.work.notify_one();
            break;
        }
        let some = next(receiver, &backlog.lane, SizeClass::OneChunk, after).await?;
        let Some(last) = some.last() else {
            backlog.small = None;
            break;
        };
        after = Some(Cursor::from(last));
        backlog.small = Some(after);
        let some = receiver.better_asked_here(&backlog.lane, some).await?;
        let fresh = receiver.unqueued(&backlog.lane, some).await?;
        let fresh = receiver.without_empty(fresh).await?;
        bytes += fresh.iter().map(|file| file.size).sum::<u64>();
        files.extend(fresh);
    }
    Ok(files)
}

/// Whether files are worth a request of their own, few as they are.
fn is_heavy(files: &[Data]) -> bool {
    files.iter().map(|file| file.size).sum::<u64>() >= BUNDLE_BYTES / 2
}

/// Cuts a list of files into bundles of bounded count and size.
fn split(files: Vec<Data>) -> Vec<Vec<Data>> {
    let mut bundles: Vec<Vec<Data>> = Vec::new();
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
            bundle.push(file);
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
    /// FETCH-54: without the files that another hub has and this one, at present, had better not be
    /// asked for.
    async fn better_asked_here(
        &self,
        lane: &Lane,
        files: Vec<Data>,
    ) -> Result<Vec<Data>, ReceiverError> {
        let now = self.hub.clock.now();
        if self.avoids_nothing(lane.site, now) {
            return Ok(files);
        }
        let ids: Vec<i64> = files.iter().map(|file| file.id).collect();
        let sources = self.hub.catalog.sources_of(self.hub.site, &ids).await?;
        let better = |id: i64| {
            let sites = sources.get(&id).map_or(&[][..], Vec::as_slice);
            sites.iter().any(|site| *site != lane.site && self.is_fit(*site, id, now))
        };
        let here = |file: &Data| self.is_fit(lane.site, file.id, now) || !better(file.id);
        Ok(files.into_iter().filter(here).collect())
    }

    /// Those of a lane's small files that no job names and nobody sees to. Jobs of lanes whose hub does
    /// not do its work let go of them, if this one's does.
    async fn unqueued(
        self: &Arc<Self>,
        lane: &Lane,
        files: Vec<Data>,
    ) -> Result<Vec<Data>, ReceiverError> {
        let (receiver, lane, now) = (Arc::clone(self), *lane, self.hub.clock.now());
        let lanes = lock(&self.lanes).clone();
        let idle: BTreeSet<Lane> =
            lanes.iter().filter(|l| !self.origin(l.site).is_well(now)).copied().collect();
        let sorting = move || -> Result<Vec<Data>, QueueError> {
            let queue = &receiver.hub.queue;
            let stuck = |(theirs, dead): &(Lane, bool)| {
                *dead || !lanes.contains(theirs) || (idle.contains(theirs) && !idle.contains(&lane))
            };
            let mut taken_over = Vec::new();
            for file in &files {
                let named = queue.named(file.id);
                if named.iter().any(|(theirs, _)| theirs.site == Lane::ANY) {
                    receiver.drop_ranges(file.id)?;
                } else if named.iter().all(|n| n.0 != lane && stuck(n)) && !named.is_empty() {
                    taken_over.push(file.id);
                }
            }
            if !taken_over.is_empty() {
                queue.keep_to(&lane, &taken_over)?;
            }
            let claims = lock(&receiver.claims);
            let free = |data: &Data| !claims.contains(&data.id) && !queue.contains(data.id);
            Ok(files.into_iter().filter(free).collect())
        };
        Ok(tokio::task::spawn_blocking(sorting).await??)
    }

    /// A small file was in hand for a reader and is no more: it goes by bundle again. Blocking.
    fn drop_ranges(&self, wanted: i64) -> Result<(), QueueError> {
        if !lock(&self.claims).insert(wanted) {
            return Ok(());
        }
        let dropped = self.hub.queue.forget(wanted);
        lock(&self.claims).remove(&wanted);
        dropped
    }
}

//! Tells the other clones: where the channel lives, what was done here, what has arrived here.
//!
//! Owns: deliveries, each announced once to each clone. Not here: what a clone does with them
//! (`packets`), the order of jobs (`queue`), how far each clone has got (the catalog).
//! Invariant: a clone's cursor moves only past operations that it has answered for, or that no
//! packet can carry.
//! Spec: SYNC-29 to SYNC-32, ID-12 to ID-14, ID-17, QUEUE-1, QUEUE-12 to QUEUE-14, REF-5.

mod announce;
mod deliver;
mod pack;
mod report;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;
use zotferry_protocol::refusal::Retry;

use crate::catalog::{CatalogError, Channel, LocationState};
use crate::hub::{CallError, Hub, Peer};
use crate::queue::{Finish, Job, Lane, QueueError, Task};

/// Deliveries at the same time.
const PARALLEL: u32 = 8;
/// How many of them to one hub: a slow one leaves room for the others.
const PER_SITE: u32 = 2;
/// How long the loop rests at most, in ms.
const LONGEST_REST: u64 = 60_000;

/// Deliveries in flight, by site.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<HashMap<i64, u32>>>);

impl Busy {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sites to which no more is to be sent at present.
    fn full(&self) -> HashSet<i64> {
        let busy = self.lock();
        busy.iter().filter(|(_, n)| **n >= PER_SITE).map(|(site, _)| *site).collect()
    }

    fn all(&self) -> u32 {
        self.lock().values().sum()
    }

    fn begin(&self, hub: &Arc<Hub>, site: i64) -> Delivery {
        *self.lock().entry(site).or_default() += 1;
        Delivery { busy: self.clone(), hub: Arc::clone(hub), site }
    }
}

/// One delivery in flight, however it ends.
struct Delivery {
    busy: Busy,
    hub: Arc<Hub>,
    site: i64,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(n) = self.busy.lock().get_mut(&self.site) {
            *n = n.saturating_sub(1);
        }
        self.hub.deliveries.notify_one();
    }
}

/// Delivers until the hub stops.
pub async fn run(hub: Arc<Hub>) {
    let (tasks, busy) = (TaskTracker::new(), Busy::default());
    if let Err(error) = greet(&hub).await {
        tracing::error!(%error, "the other clones could not be greeted");
    }
    while !hub.stop.is_cancelled() {
        let rest = match round(&hub, &tasks, &busy).await {
            Ok(rest) => rest,
            Err(error) => {
                tracing::error!(%error, "deliveries cannot go on for now");
                5_000
            }
        };
        tokio::select! {
            () = hub.deliveries.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(rest)) => {}
            () = hub.stop.cancelled() => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// A hub that starts says so to every clone, and looks what it has for them: who waits for it sends
/// at once, and what a lost queue forgot is delivered all the same.
async fn greet(hub: &Arc<Hub>) -> Result<(), CallError> {
    for channel in hub.catalog.channels().await? {
        for location in hub.catalog.locations(channel.id).await? {
            if location.site == hub.site || location.deleted || location.foreign {
                continue;
            }
            let lane = Lane { channel: channel.id, site: location.site };
            hub.push_keyed(lane, Task::Announce).await?;
            if location.state == LocationState::Listed {
                hub.push_keyed(lane, Task::Deliver).await?;
                hub.push_keyed(lane, Task::Report).await?;
            }
        }
    }
    Ok(())
}

async fn round(hub: &Arc<Hub>, tasks: &TaskTracker, busy: &Busy) -> Result<u64, QueueError> {
    let now = hub.clock.now();
    while busy.all() < PARALLEL {
        let full = busy.full();
        let mine = |lane: &Lane, task: &Task| {
            !full.contains(&lane.site)
                && matches!(task, Task::Deliver | Task::Report | Task::Announce)
        };
        let Some(job) = hub.queue.lease(now, &mine, 1)?.pop() else { break };
        let delivery = busy.begin(hub, job.lane.site);
        tasks.spawn(async move { serve(&delivery.hub, job).await });
    }
    let next = hub.queue.next_due(now);
    Ok(next.map_or(LONGEST_REST, |at| at.since(now).clamp(1, LONGEST_REST)))
}

async fn serve(hub: &Arc<Hub>, job: Job) {
    let finish = match attempt(hub, &job).await {
        Ok(()) => Finish::Done,
        // ID-17: it was removed while it was spoken to: there is nothing to come back to.
        Err(_) if is_gone(hub, &job.lane).await => Finish::Done,
        Err(error) => {
            let (channel, site) = (job.lane.channel, job.lane.site);
            let text = error.to_string();
            tracing::info!(site, task = ?job.task, error = text, "a delivery has to wait");
            if let Err(error) = hub.catalog.note_attempt(channel, site, Some(&text)).await {
                tracing::error!(%error, "the catalog");
            }
            // QUEUE-15: what is given up in a long absence begins again when the clone says where it is.
            let not_before = error.retry_after().map(|ms| hub.clock.now().plus(ms));
            match error.retry() {
                Retry::Never if matches!(job.task, Task::Announce) => Finish::Dead { reason: text },
                _ => Finish::Retry { reason: text, not_before },
            }
        }
    };
    let (queue, now) = (Arc::clone(&hub.queue), hub.clock.now());
    let (id, failed) = (job.id, !matches!(finish, Finish::Done));
    let ended = tokio::task::spawn_blocking(move || queue.commit(&[(id, finish)], &[], now));
    if let Ok(Err(error)) = ended.await {
        tracing::error!(%error, "a delivery's lease could not be ended");
    }
    // ID-17: removed between the failure and now, so that nobody saw this job among those that wait.
    if failed
        && is_gone(hub, &job.lane).await
        && let Err(error) = hub.let_go_of(job.lane.channel, job.lane.site).await
    {
        tracing::error!(%error, "what waits for a removed clone could not be let go");
    }
}

async fn attempt(hub: &Arc<Hub>, job: &Job) -> Result<(), CallError> {
    let (peer, channel) = match hub.peer_and_channel(job.lane.site, job.lane.channel).await {
        // It was taken off this hub: there is nobody to speak for any more.
        Err(CallError::Catalog(CatalogError::UnknownChannel)) => return Ok(()),
        found => found?,
    };
    let done = async {
        match job.task {
            Task::Announce => announce::announce(hub, &peer, &channel).await,
            Task::Deliver => deliver::deliver(hub, &peer, &channel).await,
            Task::Report => report::report(hub, &peer, &channel).await,
            Task::Range { .. } | Task::Bundle { .. } => Ok(()),
        }
    };
    tokio::select! {
        done = done => done?,
        () = hub.stop.cancelled() => return Err(CallError::Local("the hub stops".into())),
    }
    hub.catalog.note_attempt(channel.id, peer.row, None).await?;
    Ok(())
}

/// Whether a hub is a clone no more.
async fn is_gone(hub: &Hub, lane: &Lane) -> bool {
    let place = hub.catalog.location(lane.channel, lane.site).await;
    matches!(place, Ok(Some(place)) if place.deleted)
}

/// ID-17: whether a peer is a listed clone of a channel that lives here, so that it may be told things.
async fn is_listed(hub: &Hub, peer: &Peer, channel: &Channel) -> Result<bool, CallError> {
    if !hub.lives_here(channel.id).await? {
        return Ok(false);
    }
    let location = hub.catalog.location(channel.id, peer.row).await?;
    Ok(location.is_some_and(|l| !l.deleted && !l.foreign && l.state == LocationState::Listed))
}

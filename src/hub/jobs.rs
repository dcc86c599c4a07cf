//! Jobs that the parts of a hub leave for each other.
//!
//! Owns: the keys that make such a job unique in its lane. Not here: who works on it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{CallError, Hub};
use crate::catalog::{ChannelNo, LocationState, SiteNo};
use crate::queue::{Lane, NewJob, Task};

/// How long news of arrivals gather before they are reported.
const GATHER: Duration = Duration::from_millis(500);

impl Hub {
    /// Queues a delivery, a report or an announcement; one of each kind in a lane is enough.
    pub async fn push_keyed(&self, lane: Lane, task: Task) -> Result<(), CallError> {
        let key = format!("{:?}/{}/{}", task.kind(), lane.channel, lane.site).into_bytes();
        let not_before = self.clock.now();
        let job = NewJob { lane, task, priority: 0, not_before, key: Some(key) };
        let queue = Arc::clone(&self.queue);
        self.settled(tokio::task::spawn_blocking(move || queue.push(&[job])).await)?;
        self.deliveries.notify_one();
        Ok(())
    }

    /// What waits for a hub may be tried now: it came back.
    pub async fn wake(&self, site: SiteNo) -> Result<(), CallError> {
        let (queue, now) = (Arc::clone(&self.queue), self.clock.now());
        let channels = self.catalog.channels_at(site).await?;
        let can = move |lane: &Lane| {
            lane.site == site || (lane.site == Lane::ANY && channels.contains(&lane.channel))
        };
        let waking = move || queue.wake(&can, now).map(|_| ());
        self.settled(tokio::task::spawn_blocking(waking).await)?;
        self.work.notify_one();
        self.deliveries.notify_one();
        self.comebacks.notify_waiters();
        Ok(())
    }

    /// Tells every listed clone of a channel what was done here.
    pub async fn deliver_soon(&self, channel: ChannelNo) -> Result<(), CallError> {
        self.for_each_clone(channel, Task::Deliver).await
    }

    /// SYNC-10: tells every listed clone of a channel what has arrived here, all that arrives within
    /// half a second in one report. A report lost with the process is made when the hub starts again.
    pub fn report_soon(self: &Arc<Self>, channel: ChannelNo) {
        self.changes.notify_one();
        let mut due = self.reports_due.lock().unwrap_or_else(PoisonError::into_inner);
        if !due.insert(channel) {
            return;
        }
        let hub = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                () = hub.stop.cancelled() => {}
            }
            hub.reports_due.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
            if let Err(error) = hub.for_each_clone(channel, Task::Report).await {
                tracing::error!(%error, "a report could not be queued");
            }
        });
    }

    async fn for_each_clone(&self, channel: ChannelNo, task: Task) -> Result<(), CallError> {
        for location in self.catalog.locations(channel).await? {
            let listed = location.state == LocationState::Listed && !location.deleted;
            if listed && !location.foreign && location.site != self.site {
                self.push_keyed(Lane { channel, site: location.site }, task.clone()).await?;
            }
        }
        Ok(())
    }

    fn settled<E: std::fmt::Display>(
        &self,
        done: Result<Result<(), E>, tokio::task::JoinError>,
    ) -> Result<(), CallError> {
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(CallError::Local(error.to_string())),
            Err(error) => Err(CallError::Local(error.to_string())),
        }
    }
}

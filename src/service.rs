//! A hub at work: everything that runs while it runs, started and stopped in order.
//!
//! Owns: the order. Not here: any of the parts.
//! Invariant: when it has stopped, no job is leased, nothing written waits for a sync, and the
//! catalog says that the stop was clean.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::audit;
use crate::backup;
use crate::clone_sync;
use crate::hook;
use crate::hub::{Hub, HubError};
use crate::receiver::Receiver;
use crate::sweep::{KEPT, REMEMBERED, forget, sweep, sweep_partials, sweep_unfinished};
use crate::watch::Watches;
use crate::web;

/// How often packets that cannot come again and superseded content are cleared away.
const PURGE_EVERY: Duration = Duration::from_secs(300);
/// Tombstones are looked at each so many times.
const FORGET_EVERY: u64 = 12;

/// A hub that serves.
pub struct Service {
    /// The hub.
    pub hub: Arc<Hub>,
    /// What is being fetched.
    pub receiver: Arc<Receiver>,
    /// Folders that are mirrored.
    pub watches: Arc<Watches>,
    tasks: Vec<JoinHandle<()>>,
}

impl Service {
    /// Starts everything on a bound socket.
    pub async fn start(hub: Arc<Hub>, listener: TcpListener) -> Result<Self, HubError> {
        hub.catalog.mark_running().await?;
        if let Err(error) = sweep_unfinished(&hub).await {
            tracing::error!(%error, "unfinished uploads could not be removed");
        }
        if let Err(error) = backup::clear_uploads(&hub) {
            tracing::error!(%error, "unfinished uploads of a backup could not be removed");
        }
        let receiver = Receiver::new(Arc::clone(&hub));
        let router = web::router(Arc::clone(&hub), Arc::clone(&receiver));
        let working = Arc::clone(&receiver);
        let watches = Watches::new(Arc::clone(&hub));
        let tasks = vec![
            tokio::spawn(web::serve(listener, router, Arc::clone(&hub))),
            tokio::spawn(async move { working.run().await }),
            tokio::spawn(clone_sync::run(Arc::clone(&hub))),
            tokio::spawn(hook::run(Arc::clone(&hub))),
            tokio::spawn(purge(Arc::clone(&hub))),
            tokio::spawn(Arc::clone(&watches).run()),
            tokio::spawn(audit::run(Arc::clone(&hub))),
            tokio::spawn(audit::scrub(Arc::clone(&hub))),
            tokio::spawn(Arc::clone(&hub).watch()),
        ];
        Ok(Self { hub, receiver, watches, tasks })
    }

    /// Puts back what is in flight, and closes the hub. A hub that cannot write any more is stopped
    /// all the same; [`Hub::fault`] tells.
    pub async fn stop(self) -> Result<(), HubError> {
        self.hub.stop.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the hub ended badly");
            }
        }
        // What failed in the last moment counts as well.
        self.hub.examine().await;
        let closed = self.hub.close().await;
        self.hub.examine().await;
        if self.hub.fault().is_some() { Ok(()) } else { closed }
    }
}

async fn purge(hub: Arc<Hub>) {
    for round in 0u64.. {
        if hub.stop.is_cancelled() {
            return;
        }
        match hub.catalog.replay_purge(hub.clock.now()).await {
            Ok(0) => {}
            Ok(n) => tracing::debug!(n, "packets that cannot come again were forgotten"),
            Err(error) => tracing::error!(%error, "the replay memory could not be purged"),
        }
        if let Err(error) = sweep(&hub, KEPT).await {
            tracing::error!(%error, "superseded content could not be removed");
        }
        if let Err(error) = sweep_partials(&hub).await {
            tracing::error!(%error, "partial files that nobody needs could not be removed");
        }
        if round % FORGET_EVERY == 0
            && let Err(error) = forget(&hub, REMEMBERED).await
        {
            tracing::error!(%error, "tombstones could not be forgotten");
        }
        tokio::select! {
            () = tokio::time::sleep(PURGE_EVERY) => {}
            () = hub.stop.cancelled() => {}
        }
    }
}

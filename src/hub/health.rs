//! Whether this hub can still keep what it is given.
//!
//! Owns: noticing that a write or a sync failed for good, and stopping the hub for it. Not here: the
//! writes. After such a failure nobody knows what the disk holds, so the parts refuse all further
//! work; what was acknowledged before is on disk, and the next start looks at all of it again.
//! Invariant: a hub that met such a failure ends with it, and its stop does not count as clean.

use std::sync::Arc;
use std::time::Duration;

use super::{Hub, HubError};

/// How often the parts are asked.
const EVERY: Duration = Duration::from_secs(1);

impl Hub {
    /// The first part that cannot write any more, if there is one. Blocking.
    pub fn health(&self) -> Result<(), HubError> {
        self.catalog.health()?;
        self.queue.health()?;
        Ok(self.storage.health()?)
    }

    /// Why the hub stopped by itself.
    pub fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// Looks whether every part can still write; the first fault that is found stays.
    pub async fn examine(self: &Arc<Self>) {
        let hub = Arc::clone(self);
        // Whoever is asked may be writing just now.
        let asking = tokio::task::spawn_blocking(move || hub.health().map_err(|e| e.to_string()));
        if let Ok(Err(fault)) = asking.await {
            self.fault.get_or_init(|| fault);
        }
    }

    /// Stops the hub when a part of it cannot write any more.
    pub async fn watch(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            self.examine().await;
            if let Some(fault) = self.fault() {
                tracing::error!(fault, "the hub stops: it cannot keep what it is given");
                self.stop.cancel();
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

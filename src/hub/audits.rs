//! What the parts of a hub tell each other about comparing with other clones.
//!
//! Owns: that one comparison runs at a time, who asks us at present, how much is to go. Not here:
//! comparing (`audit`), what was found (the catalog).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use zotferry_protocol::ids::Millis;

use crate::queue::Lane;

/// Comparisons as they go on.
#[derive(Debug, Default)]
pub struct Audits {
    wake: Notify,
    running: tokio::sync::Mutex<()>,
    asked: Mutex<HashMap<(i64, i64), Millis>>,
    to_go: Mutex<HashMap<(i64, i64), u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place(lane: Lane) -> (i64, i64) {
    (lane.channel, lane.site)
}

impl Audits {
    /// There may be something to compare.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Until somebody says so.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Held by whoever compares.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.running.lock().await
    }

    /// A clone asks how things stand here.
    pub fn asked(&self, lane: Lane, now: Millis) {
        lock(&self.asked).insert(place(lane), now);
    }

    /// When a clone asked last, since this hub runs.
    pub fn last_asked(&self, lane: Lane) -> Option<Millis> {
        lock(&self.asked).get(&place(lane)).copied()
    }

    /// So many entries of a clone are still to be asked for.
    pub fn set_to_go(&self, lane: Lane, entries: u64) {
        let mut to_go = lock(&self.to_go);
        match entries {
            0 => to_go.remove(&place(lane)),
            _ => to_go.insert(place(lane), entries),
        };
    }

    /// How many entries of a clone are still to be asked for.
    pub fn to_go(&self, lane: Lane) -> u64 {
        lock(&self.to_go).get(&place(lane)).copied().unwrap_or(0)
    }
}

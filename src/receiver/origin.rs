//! One hub that is asked for bytes: how hard, and whether by stream.
//!
//! Owns: the pacer and the path policy of one origin. Not here: the policies themselves (protocol).

use std::sync::Mutex;

use zotferry_protocol::ids::Millis;
use zotferry_protocol::pacing::{Event, Pacer, PacingConfig};
use zotferry_protocol::path::{StreamEvent, StreamPath};

use super::lock;
use crate::config::Transfer;

/// What was learnt about one origin since the start of the process.
pub(super) struct Origin {
    /// Its row in the catalog.
    pub(super) site: i64,
    pacer: Mutex<Pacer>,
    path: Mutex<StreamPath>,
}

impl Origin {
    pub(super) fn new(site: i64, transfer: &Transfer) -> Self {
        let pacing = PacingConfig {
            start: transfer.connections,
            max: transfer.max_connections,
            ..PacingConfig::default()
        };
        let pacer = Mutex::new(Pacer::new(pacing));
        Self { site, pacer, path: Mutex::new(StreamPath::new()) }
    }

    pub(super) fn may_start(&self, now: Millis) -> bool {
        lock(&self.pacer).may_start(now)
    }

    pub(super) fn wake_at(&self, now: Millis) -> Option<Millis> {
        lock(&self.pacer).wake_at(now)
    }

    pub(super) fn request_bytes(&self, remaining: u64) -> u64 {
        lock(&self.pacer).request_bytes(remaining)
    }

    /// The pacer hears what happened; whether more may be asked for at a time than before.
    pub(super) fn paced(&self, now: Millis, event: Event) -> bool {
        let mut pacer = lock(&self.pacer);
        let before = pacer.level();
        pacer.handle(now, event);
        if pacer.level() != before {
            let (from, to, rate) = (before, pacer.level(), pacer.connection_rate());
            tracing::debug!(site = self.site, from, to, rate, "requests in flight");
        }
        pacer.level() > before
    }

    /// Whether streams are to be tried now.
    pub(super) fn streams(&self, now: Millis) -> bool {
        lock(&self.path).allows(now)
    }

    pub(super) fn path(&self, now: Millis, event: StreamEvent) {
        let mut path = lock(&self.path);
        let before = path.allows(now);
        path.handle(now, event);
        if before && !path.allows(now) {
            tracing::info!(site = self.site, ?event, "streams are unavailable; asking for chunks");
        }
    }
}

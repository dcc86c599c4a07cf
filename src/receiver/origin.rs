//! One hub that is asked for bytes: how hard, whether by stream, and whether it does its work.
//!
//! Owns: the pacer, the path policy and the health of one origin. Not here: the policies themselves
//! (protocol), which files it has (`sources`).
//! Spec: FETCH-54.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex};

use zotferry_protocol::ids::Millis;
use zotferry_protocol::pacing::{Backoff, Event, How, Pacer, PacingConfig};
use zotferry_protocol::path::{StreamEvent, StreamPath};

use super::lock;
use crate::config::Transfer;

/// Small files that a request may name (FETCH-8).
const MOST_FILES: usize = 256;

/// How long others are asked in the place of a hub that failed.
const LEFT: Backoff = Backoff { base: 1000, max: 60_000 };

/// What was learnt about one origin since the start of the process.
pub(super) struct Origin {
    /// Its row in the catalog.
    pub(super) site: i64,
    pacer: Mutex<Pacer>,
    path: Mutex<StreamPath>,
    health: Mutex<Health>,
    bundles: AtomicU32,
    /// Small files that one request names at most.
    files: AtomicUsize,
}

/// A bundle that is asked for, until it is dropped.
pub(super) struct Bundling(Arc<Origin>);

impl Drop for Bundling {
    fn drop(&mut self) {
        self.0.bundles.fetch_sub(1, Relaxed);
    }
}

/// How its requests end.
#[derive(Debug, Default)]
struct Health {
    /// Failures since the last success.
    failures: u32,
    /// Whether the last failure was that bytes were wrong.
    lied: bool,
    /// Until then others are asked, if there are others.
    left_until: Millis,
}

impl Origin {
    pub(super) fn new(site: i64, transfer: &Transfer) -> Self {
        let pacing = PacingConfig {
            start: transfer.connections,
            max: transfer.max_connections,
            ..PacingConfig::default()
        };
        let pacer = Mutex::new(Pacer::new(pacing));
        let (path, health) = (Mutex::new(StreamPath::new()), Mutex::default());
        let files = AtomicUsize::new(MOST_FILES);
        Self { site, pacer, path, health, bundles: AtomicU32::default(), files }
    }

    /// A bundle is asked for from now on.
    pub(super) fn bundling(self: &Arc<Self>) -> Bundling {
        self.bundles.fetch_add(1, Relaxed);
        Bundling(Arc::clone(self))
    }

    /// Bundles that are asked for now.
    pub(super) fn bundles(&self) -> u32 {
        self.bundles.load(Relaxed)
    }

    /// FETCH-46: how many small files one request is to name at most.
    pub(super) fn files_at_a_time(&self) -> usize {
        self.files.load(Relaxed)
    }

    /// FETCH-46: a request for so many small files ended so. After a 413 half as many go into one, and one more with
    /// each answer that is complete.
    pub(super) fn named(&self, files: usize, how: How) {
        let most = match how {
            How::TooLarge => self.files_at_a_time().min(files / 2).max(1),
            How::Done => (self.files_at_a_time() + 1).min(MOST_FILES),
            _ => return,
        };
        self.files.store(most, Relaxed);
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

    /// Whether it does its work, or has been left alone long enough to be tried again.
    pub(super) fn is_well(&self, now: Millis) -> bool {
        lock(&self.health).left_until <= now
    }

    /// Whether the last thing that it did was to fail.
    pub(super) fn in_doubt(&self) -> bool {
        lock(&self.health).failures > 0
    }

    /// A request ended so; whether that shows that the origin is back after failures.
    pub(super) fn ended(&self, now: Millis, how: How, bytes: u64, lied: bool) -> bool {
        let failed = match how {
            How::Unsent | How::Refused if !lied => return false,
            How::Done | How::Limit => lied,
            How::Cut => lied || bytes == 0,
            _ => true,
        };
        let mut health = lock(&self.health);
        if failed && now < health.left_until {
            // What fails together counts once.
            return false;
        }
        if failed {
            health.left_until = now.plus(LEFT.ceiling(health.failures));
            (health.failures, health.lied) = (health.failures + 1, lied);
            tracing::debug!(site = self.site, failures = health.failures, "others are asked first");
            return false;
        }
        let back = health.failures > 0 && !health.lied;
        *health = Health::default();
        back
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

#[cfg(test)]
mod tests {
    use super::*;

    /// FETCH-54: a hub that fails is left for a second, then longer; one success ends that.
    #[test]
    fn a_hub_that_fails_is_left_for_a_while() {
        let origin = Origin::new(1, &Transfer::default());
        let ends = |at, how| origin.ended(Millis(at), how, 0, false);
        assert!(!ends(0, How::Refused) && !ends(0, How::Unsent) && !ends(0, How::Done));
        assert!(origin.is_well(Millis(0)) && !origin.in_doubt());
        assert!(!ends(10, How::Stalled));
        assert!(!origin.is_well(Millis(1009)) && origin.is_well(Millis(1010)));
        assert!(!ends(1010, How::Cut));
        assert!(!origin.is_well(Millis(3009)) && origin.in_doubt());
        assert!(ends(3009, How::Done), "it is back");
        assert!(origin.is_well(Millis(3009)) && !ends(3010, How::Done));
    }

    /// FETCH-46: after a 413 fewer files are named, down to one, and slowly more again.
    #[test]
    fn fewer_files_are_named_after_a_413() {
        let origin = Origin::new(1, &Transfer::default());
        let after = |files, how| {
            origin.named(files, how);
            origin.files_at_a_time()
        };
        assert_eq!(after(20, How::Cut), MOST_FILES);
        assert_eq!(after(20, How::TooLarge), 10);
        assert_eq!(after(10, How::TooLarge), 5);
        assert_eq!(after(5, How::Done), 6);
        assert_eq!((after(2, How::TooLarge), after(1, How::TooLarge)), (1, 1));
    }

    /// FETCH-5: so is one whose bytes were wrong, although all of them came.
    #[test]
    fn a_hub_that_lies_is_left_for_a_while() {
        let origin = Origin::new(1, &Transfer::default());
        assert!(!origin.ended(Millis(0), How::Done, 9, true));
        assert!(!origin.is_well(Millis(1)));
    }
}

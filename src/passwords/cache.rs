//! Which passwords were found to fit a moment ago.
//!
//! Owns: marks (HMAC-SHA-256 of channel and password under a key of this process) and when they lapse.
//! Invariant: no password is in it, and none can be told from a mark without the key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use aws_lc_rs::{hmac, rand};
use tokio::sync::OnceCell;

use super::PasswordError;

/// How long a password is not checked again.
const KEPT: Duration = Duration::from_secs(300);
/// Most passwords that are remembered.
const MOST: usize = 1024;

/// What stands for a channel and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark([u8; 32]);

pub(super) struct Cache {
    key: hmac::Key,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    marks: HashMap<Mark, Instant>,
    /// Checks under way, for all who ask the same.
    checks: HashMap<Mark, Weak<OnceCell<bool>>>,
    /// How often all was forgotten.
    age: u64,
}

impl Cache {
    pub(super) fn new() -> Result<Self, PasswordError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())
            .map_err(|_| PasswordError::Hash("no random bytes"))?;
        Ok(Self { key, known: Mutex::default() })
    }

    /// A channel's row never comes again, its nick may.
    pub(super) fn mark(&self, channel: Option<i64>, nick: &str, shown: &str) -> Mark {
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(&channel.unwrap_or(0).to_be_bytes());
        mac.update(&(nick.len() as u64).to_be_bytes());
        mac.update(nick.as_bytes());
        mac.update(shown.as_bytes());
        let tag = mac.sign();
        Mark(tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes"))
    }

    pub(super) fn knows(&self, mark: &Mark, now: Instant) -> bool {
        self.known().marks.get(mark).is_some_and(|until| now < *until)
    }

    /// The check of a mark that is under way, or a new one.
    pub(super) fn check_of(&self, mark: Mark) -> Arc<OnceCell<bool>> {
        let mut known = self.known();
        if let Some(check) = known.checks.get(&mark).and_then(Weak::upgrade) {
            return check;
        }
        known.checks.retain(|_, check| check.strong_count() > 0);
        let check = Arc::new(OnceCell::new());
        known.checks.insert(mark, Arc::downgrade(&check));
        check
    }

    /// Changes whenever all is forgotten.
    pub(super) fn age(&self) -> u64 {
        self.known().age
    }

    /// Remembers a mark, unless all was forgotten since the age was asked.
    pub(super) fn remember(&self, mark: Mark, age: u64, now: Instant) {
        let mut known = self.known();
        if known.age != age {
            return;
        }
        if known.marks.len() >= MOST {
            known.marks.retain(|_, until| now < *until);
        }
        if known.marks.len() >= MOST {
            let oldest = known.marks.iter().min_by_key(|(_, until)| **until).map(|(mark, _)| *mark);
            oldest.map(|mark| known.marks.remove(&mark));
        }
        known.marks.insert(mark, now + KEPT);
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        let mut known = self.known();
        known.age += 1;
        known.marks.clear();
        // Who asks from now on is not told what was found before.
        known.checks.clear();
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    /// A mark lapses; those of other channels and passwords are others.
    #[test]
    fn a_mark_is_known_for_a_while() {
        let (cache, now) = (Cache::new().unwrap(), Instant::now());
        let mark = cache.mark(Some(1), "alice", "secret");
        assert!(!cache.knows(&mark, now));
        cache.remember(mark, cache.age(), now);
        assert!(cache.knows(&mark, now + KEPT / 2));
        assert!(!cache.knows(&mark, now + KEPT));
        for other in [("alic", "esecret"), ("alice", "secre"), ("alices", "ecret")] {
            assert!(!cache.knows(&cache.mark(Some(1), other.0, other.1), now));
            assert!(!cache.knows(&cache.mark(Some(2), "alice", "secret"), now), "a later alice");
        }
        assert_ne!(Cache::new().unwrap().mark(Some(1), "alice", "secret"), mark, "another key");
    }

    /// What was found before all was forgotten does not come back after it.
    #[test]
    fn what_was_checked_before_a_removal_is_not_remembered_after_it() {
        let (cache, now) = (Cache::new().unwrap(), Instant::now());
        let (mark, age) = (cache.mark(Some(1), "alice", "secret"), cache.age());
        cache.clear();
        cache.remember(mark, age, now);
        assert!(!cache.knows(&mark, now));
    }

    /// A check that began before a removal is nobody's after it.
    #[test]
    fn a_check_is_shared_until_all_is_forgotten() {
        let cache = Cache::new().unwrap();
        let mark = cache.mark(Some(1), "alice", "secret");
        let check = cache.check_of(mark);
        assert!(Arc::ptr_eq(&check, &cache.check_of(mark)));
        cache.clear();
        assert!(!Arc::ptr_eq(&check, &cache.check_of(mark)));
    }

    /// The cache is bounded; what lapses first goes first.
    #[test]
    fn the_cache_is_bounded() {
        let (cache, now) = (Cache::new().unwrap(), Instant::now());
        let mark = |n: usize| cache.mark(Some(1), "alice", &n.to_string());
        for n in 0..=MOST {
            cache.remember(mark(n), 0, now + Duration::from_millis(n as u64));
        }
        assert_eq!(cache.known().marks.len(), MOST);
        assert!(!cache.knows(&mark(0), now));
        assert!(cache.knows(&mark(MOST), now));
    }
}

//! Which paths have changed, and since when they are quiet.
//!
//! Owns: the waiting. Not here: clocks (the time is a parameter), what is at a path.
//! Invariant: a path is given out only after it was quiet for [`QUIET`], or for [`CLOSED`] after its
//! writer had closed it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a path rests before it is looked at.
pub(super) const QUIET: Duration = Duration::from_secs(1);
/// The same once its writer has closed it: others may follow.
pub(super) const CLOSED: Duration = Duration::from_millis(100);
/// Paths that wait; with more, all is looked through instead.
const MOST: usize = 200_000;

#[derive(Debug, Clone, Copy)]
struct Touched {
    due: Instant,
    came: bool,
}

/// Paths that wait until they are quiet.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    paths: BTreeMap<String, Touched>,
    overflow: bool,
}

/// A path that is quiet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) path: String,
    /// Whether a folder has come, so that all in it is to be looked at.
    pub(super) came: bool,
    /// Whether nothing has happened to it for a while.
    pub(super) quiet: bool,
}

impl Dirty {
    /// Something happened to a path.
    pub(super) fn touch(&mut self, path: String, closed: bool, came: bool, now: Instant) {
        if self.paths.len() >= MOST {
            self.overflow();
            return;
        }
        let due = now + if closed { CLOSED } else { QUIET };
        let touched = self.paths.entry(path).or_insert(Touched { due, came });
        touched.due = due;
        touched.came |= came;
    }

    /// Events were lost, so that everything may have changed.
    pub(super) fn overflow(&mut self) {
        self.paths.clear();
        self.overflow = true;
    }

    /// Whether events were lost since this was last asked.
    pub(super) fn take_overflow(&mut self) -> bool {
        std::mem::take(&mut self.overflow)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.overflow
    }

    /// When something has to be done next.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        if self.overflow {
            return Some(now);
        }
        self.paths.values().map(|touched| touched.due).min()
    }

    /// What is quiet now, in the order of paths.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Due> {
        let taken = self.paths.extract_if(.., |_, touched| touched.due <= now);
        taken.map(|(path, touched)| Due { path, came: touched.came, quiet: true }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that is still written to waits; one that was closed waits less.
    #[test]
    fn paths_wait_until_they_are_quiet() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut dirty = Dirty::default();
        dirty.touch("a".into(), false, false, at(0));
        dirty.touch("b".into(), false, true, at(0));
        dirty.touch("a".into(), false, false, at(900));
        dirty.touch("b".into(), true, false, at(100));
        assert_eq!(dirty.next(at(100)), Some(at(200)));
        assert_eq!(dirty.take(at(199)), []);
        assert_eq!(dirty.take(at(200)), [Due { path: "b".into(), came: true, quiet: true }]);
        assert_eq!(dirty.next(at(200)), Some(at(1900)));
        assert!(!dirty.is_empty());
        assert_eq!(dirty.take(at(1900)), [Due { path: "a".into(), came: false, quiet: true }]);
        assert!(dirty.is_empty());
        dirty.overflow();
        assert_eq!(dirty.next(at(0)), Some(at(0)));
        assert!(dirty.take_overflow() && !dirty.take_overflow());
    }
}

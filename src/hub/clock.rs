//! The time, as this hub sees it.
//!
//! Owns: the one place where the wall clock is read. Not here: other hubs' clocks (see `call`).

use std::time::{SystemTime, UNIX_EPOCH};

use zotferry_protocol::ids::Millis;

/// The wall clock, moved by `ZOTFERRY_CLOCK_OFFSET_MS` so that tests can run a hub whose clock is wrong.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    offset: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::from_env()
    }
}

impl Clock {
    /// The wall clock moved by so many ms, for a hub of a test.
    pub fn ahead_by(offset: i64) -> Self {
        Self { offset }
    }

    /// Reads the offset from the environment; 0 without one.
    pub fn from_env() -> Self {
        let text = std::env::var("ZOTFERRY_CLOCK_OFFSET_MS").unwrap_or_default();
        Self { offset: text.parse().unwrap_or(0) }
    }

    /// Now.
    pub fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)).offset(self.offset)
    }
}

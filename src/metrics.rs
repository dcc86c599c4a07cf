//! What this process has done, counted.
//!
//! Owns: the counters that `status`, the demo and the benchmarks print. Not here: history.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};
use zotferry_protocol::ids::Millis;

macro_rules! counters {
    ($( $(#[$doc:meta])* $name:ident, )*) => {
        /// Counters since the start of the process.
        #[derive(Debug, Default)]
        pub struct Metrics { $( $(#[$doc])* pub $name: Counter, )* }

        /// The counters at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Counts { $( $(#[$doc])* pub $name: u64, )* }

        impl Metrics {
            /// The counters now.
            pub fn counts(&self) -> Counts {
                Counts { $( $name: self.$name.value(), )* }
            }
        }
    };
}

counters! {
    /// Requests sent to other hubs.
    requests,
    /// RSA signatures made.
    signatures,
    /// Chunks verified and written.
    chunks,
    /// Chunks whose bytes did not match.
    bad_chunks,
    /// Content bytes received.
    bytes_fetched,
    /// Content bytes received that were here already, or that came in vain.
    bytes_fetched_twice,
    /// Content bytes taken from files that were here already.
    bytes_copied,
    /// Content bytes sent to other hubs.
    bytes_served,
    /// Files committed that came from other hubs.
    files_committed,
    /// Syncs to disk.
    syncs,
    /// Packets answered.
    packets,
    /// Packets refused.
    refusals,
    /// When the first content was announced to this process that was not here: Unix ms, 0 for never.
    first_wanted_ms,
    /// When content from elsewhere was committed last: Unix ms, 0 for never.
    last_commit_ms,
}

/// One counter, or one moment.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Counts one more.
    pub fn one(&self) {
        self.add(1);
    }

    /// Keeps a moment, unless an earlier one is kept already.
    pub fn first(&self, at: Millis) {
        self.0.compare_exchange(0, at.0, Relaxed, Relaxed).ok();
    }

    /// Keeps a moment, unless a later one is kept already.
    pub fn last(&self, at: Millis) {
        self.0.fetch_max(at.0, Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Peak resident memory of this process in bytes; `None` where the system does not say.
pub fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

//! Work that is still to be done, and which chunks of a file are held: intent that survives a restart.
//!
//! Owns: the [`Queue`] trait, which job comes next, retries, dead letters, the bitmaps of verified
//! chunks. Not here: what a job means (the catalog knows), sockets, clocks: time is passed in.
//! Invariant: what a call acknowledged is on disk; the whole queue may be lost all the same, because
//! it is made again from the catalog. A job is leased to one worker at a time.
//! Spec: QUEUE-1 to QUEUE-9.
//!
//! A job is **due**, **leased**, **delayed** or **dead**:
//!
//! ```text
//! push --> delayed --(not_before reached, or woken)--> due --lease--> leased
//!             ^                                         ^               |
//!             +------------- Retry ---------------------|---------------+--> Done: gone
//!                                                       +--- Release ---+
//!                                  retry_dead, or pushed again          +--> Dead, or the last Retry: dead
//! ```
//!
//! [`sled`] is what a hub runs on. [`memory`] is the same queue written to be read, with nothing
//! shared but the types and the backoff; a model test holds one against the other.

pub mod backoff;
mod job;
pub mod memory;
mod schedule;
pub mod sled;

use std::io;

use zotferry_protocol::ids::Millis;
use zotferry_protocol::manifest::ChunkRange;

pub use backoff::Policy;
pub use job::{
    Counts, Finish, HeldPage, Job, Kind, Lane, MAX_BUNDLE, MAX_KEY, MAX_PAGE, NewJob, Task,
};
pub use memory::MemoryQueue;
pub use sled::{Opened, Options, Rebuilt, SledQueue};

/// Why the queue did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// A write did not reach the disk. What was acknowledged before holds; nothing more is accepted
    /// until the queue is opened again.
    #[error("the queue stopped after a failed write: {0}")]
    Failed(String),
    /// Another process, or another part of this one, has the queue open.
    #[error("the queue is in use by another process")]
    Locked,
    /// The caller's value is above a limit of this module.
    #[error("{0}")]
    TooLarge(&'static str),
    /// The folder could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The backend failed to read.
    #[error("the queue's store: {0}")]
    Backend(String),
}

/// Asked of a lane and a task: may a job like this be leased now?
///
/// The answer may depend on the lane, the kind of task and, for ranges, the wanted file. It is asked
/// once for all jobs that agree in those, and under the queue's lock: it must not call the queue.
pub type Accept<'a> = dyn Fn(&Lane, &Task) -> bool + 'a;

/// Jobs by lane and priority, and the chunks held.
///
/// Every call blocks (async callers use a blocking thread). Calls that return `Result<()>` return
/// when their change is durable. Time should not run backwards: a job that has become due may stay so.
pub trait Queue: Send + Sync {
    /// Adds jobs, all or none.
    ///
    /// A job with a key that is already queued changes the queued one instead of adding another: it
    /// keeps its id, lane and task, takes the better priority and the earlier `not_before`, and its
    /// attempts start again. A dead job comes back to life so. A leased one is marked, and when it is
    /// finished, however it is finished, this push counts as made right after.
    fn push(&self, jobs: &[NewJob]) -> Result<(), QueueError>;

    /// Takes up to `limit` due jobs of one lane, one priority and one kind of task; empty when
    /// nothing acceptable is due.
    ///
    /// The best priority comes first. Within it origins take turns, then an origin's channels, then
    /// a channel's kinds of task: whose last turn is longest ago. Ranges come by file (smallest
    /// `wanted` first) and ascend within it, so neighbours arrive together; other tasks in the order
    /// in which they were pushed. A lease lasts until [`commit`](Self::commit) or a restart.
    fn lease(&self, now: Millis, accept: &Accept<'_>, limit: usize)
    -> Result<Vec<Job>, QueueError>;

    /// Ends leases and records held chunks, as one atomic, durable change.
    ///
    /// Jobs that are not leased (forgotten meanwhile, or finished before) are passed over. A held
    /// page replaces what was held of that page.
    fn commit(
        &self,
        finished: &[(u64, Finish)],
        held: &[HeldPage],
        now: Millis,
    ) -> Result<(), QueueError>;

    /// The chunks held of one manifest page: bit n (least significant first) is chunk
    /// `page * PAGE + n`; `None` when none was recorded.
    fn held(&self, wanted: i64, page: u32) -> Result<Option<Vec<u8>>, QueueError>;

    /// Whether changes are still accepted: none are after a write failed ([`QueueError::Failed`]).
    fn health(&self) -> Result<(), QueueError>;

    /// Remembers a number, after everything else before a stop: a queue that still has it has lost
    /// nothing since.
    fn set_stamp(&self, stamp: u64) -> Result<(), QueueError>;

    /// The number last remembered.
    fn stamp(&self) -> Result<Option<u64>, QueueError>;

    /// Drops a file: its bitmaps, its ranges, its places in bundles, whatever their state.
    fn forget(&self, wanted: i64) -> Result<(), QueueError>;

    /// Drops the places of files in jobs of every lane but this one: another hub is asked for them
    /// now. Bitmaps stay, and so do bundles that are leased: what was asked for may come.
    fn keep_to(&self, lane: &Lane, wanted: &[i64]) -> Result<(), QueueError>;

    /// Makes the delayed jobs of some lanes due: a clone came back. Returns how many. Attempts stay
    /// counted.
    fn wake(&self, lanes: &dyn Fn(&Lane) -> bool, now: Millis) -> Result<usize, QueueError>;

    /// When the next delayed job becomes due; after `now`, since what is due already waits for a
    /// worker and not for the clock.
    fn next_due(&self, now: Millis) -> Option<Millis>;

    /// The ranges of a file that are queued in any state, in order: what a refill need not push.
    fn window(&self, wanted: i64) -> Vec<ChunkRange>;

    /// Jobs of one kind in a lane, in any state but dead.
    fn pending(&self, lane: &Lane, kind: Kind) -> usize;

    /// The lanes of the jobs that name this file, ranges and bundles, and of each whether it is dead.
    fn named(&self, wanted: i64) -> Vec<(Lane, bool)>;

    /// Whether any job, range or bundle, names this file.
    fn contains(&self, wanted: i64) -> bool {
        !self.named(wanted).is_empty()
    }

    /// The dead letters by id, each with its reason in `last_error`.
    fn dead(&self) -> Vec<Job>;

    /// Makes dead jobs due with their attempts at 0. Returns how many.
    fn retry_dead(&self, which: &dyn Fn(&Job) -> bool) -> Result<usize, QueueError>;

    /// How many jobs are in each state.
    fn counts(&self, now: Millis) -> Counts;

    /// How many jobs there are, dead ones too.
    fn len(&self) -> usize;

    /// Whether there is no job at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

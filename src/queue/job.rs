//! What a job is, and what becomes of it.
//!
//! Owns: the queue's vocabulary and its size limits. Not here: the order of jobs.
//! Invariant: a job that passed [`NewJob::check`] takes less than 32 KiB on disk.
//! Spec: QUEUE-1, QUEUE-2.

use serde::{Deserialize, Serialize};
use zotferry_protocol::ids::Millis;
use zotferry_protocol::manifest::{ChunkRange, PAGE};

use super::QueueError;

/// Files in one bundle: a chunk-request has at most 256 items.
pub const MAX_BUNDLE: usize = 256;
/// Bytes in a job's key.
pub const MAX_KEY: usize = 256;
/// Bytes in the bitmap of one manifest page.
pub const MAX_PAGE: usize = PAGE as usize / 8;
/// Bytes kept of the reason of a failure.
const MAX_REASON: usize = 1024;

/// Whose files, and which hub is asked: rows of the catalog. Lanes of equal priority take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// The channel.
    pub channel: i64,
    /// The hub; [`Lane::ANY`] for whichever hub can.
    pub site: i64,
}

impl Lane {
    /// No row of the catalog: ranges of a file are asked of every hub that has it.
    pub const ANY: i64 = 0;
}

/// What is to be done in a lane. Files are named by their row among the catalog's wanted files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Fetch consecutive chunks of one file.
    Range {
        /// The file.
        wanted: i64,
        /// The first chunk.
        first: u32,
        /// How many.
        count: u32,
    },
    /// Fetch small files whole.
    Bundle {
        /// The files, at most [`MAX_BUNDLE`].
        wanted: Vec<i64>,
    },
    /// Send the operations that wait for a clone.
    Deliver,
    /// Send the `sync-report`s that wait for a clone.
    Report,
    /// Announce this hub's location.
    Announce,
}

/// [`Task`] without its particulars: jobs leased together are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Task::Announce`].
    Announce,
    /// [`Task::Deliver`].
    Deliver,
    /// [`Task::Report`].
    Report,
    /// [`Task::Bundle`].
    Bundle,
    /// [`Task::Range`].
    Range,
}

impl Task {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Range { .. } => Kind::Range,
            Self::Bundle { .. } => Kind::Bundle,
            Self::Deliver => Kind::Deliver,
            Self::Report => Kind::Report,
            Self::Announce => Kind::Announce,
        }
    }

    /// The chunks it names, all of one file.
    pub fn chunks(&self) -> Option<ChunkRange> {
        match self {
            Self::Range { first, count, .. } => Some(ChunkRange { first: *first, count: *count }),
            _ => None,
        }
    }

    /// The files it names.
    pub fn wanted(&self) -> &[i64] {
        match self {
            Self::Range { wanted, .. } => std::slice::from_ref(wanted),
            Self::Bundle { wanted } => wanted,
            Self::Deliver | Self::Report | Self::Announce => &[],
        }
    }
}

/// A job to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Where it belongs.
    pub lane: Lane,
    /// What is to be done.
    pub task: Task,
    /// 0 comes first.
    pub priority: u8,
    /// Not leased earlier than this; 0 for at once.
    pub not_before: Millis,
    /// At most one job has a given key (at most [`MAX_KEY`] bytes); see
    /// [`push`](super::Queue::push).
    pub key: Option<Vec<u8>>,
}

impl NewJob {
    /// Whether it keeps to the limits.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        if self.task.wanted().len() > MAX_BUNDLE {
            return Err(QueueError::TooLarge("a bundle has at most 256 files"));
        }
        if self.key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
            return Err(QueueError::TooLarge("a job's key has at most 256 bytes"));
        }
        Ok(())
    }
}

/// A job in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Names it until it is done; ids ascend in the order of pushing.
    pub id: u64,
    /// Where it belongs.
    pub lane: Lane,
    /// What is to be done.
    pub task: Task,
    /// 0 comes first.
    pub priority: u8,
    /// Not leased earlier than this.
    pub not_before: Millis,
    /// How often it failed since it was pushed.
    pub attempts: u32,
    /// Why it failed last, cut to 1 KiB.
    pub last_error: Option<String>,
}

/// How a lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The work is done; the job goes.
    Done,
    /// The worker gives it back untouched, because it stops for instance. Not an attempt.
    Release,
    /// It failed and may succeed later. Counts as an attempt; after the policy's last one it is dead.
    Retry {
        /// Why it failed.
        reason: String,
        /// When to try again, where the peer said so; otherwise the policy's backoff.
        not_before: Option<Millis>,
    },
    /// It cannot succeed.
    Dead {
        /// Why.
        reason: String,
    },
}

/// The chunks held of one manifest page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPage {
    /// The file.
    pub wanted: i64,
    /// The page.
    pub page: u32,
    /// At most [`MAX_PAGE`] bytes; bit n, least significant first, is the page's chunk n.
    pub bits: Vec<u8>,
}

impl HeldPage {
    /// Whether it keeps to the limits.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        if self.bits.len() > MAX_PAGE {
            return Err(QueueError::TooLarge("a page's bitmap has at most 512 bytes"));
        }
        Ok(())
    }
}

/// How many jobs are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Could be leased now.
    pub due: usize,
    /// Being worked on.
    pub leased: usize,
    /// Waiting for their time.
    pub delayed: usize,
    /// Given up.
    pub dead: usize,
}

/// A reason as it is kept: at most 1 KiB, cut between characters.
pub(super) fn kept_reason(reason: &str) -> String {
    reason[..reason.floor_char_boundary(MAX_REASON)].to_owned()
}

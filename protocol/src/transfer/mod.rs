//! Receives one file: decides what to ask for, what to write, when to sync, and when it is whole.
//!
//! Owns: the state of every chunk, a few pages of digests. Not here: bytes, hashing, sockets,
//! clocks, disks; the caller does that outside the lock and says how it went.
//! Invariant: a chunk is in one request at most; it is held only after a sync that began when its
//! verified bytes were written; [`Output::Commit`] means that all chunks are held.
//! Spec: FETCH-1 to FETCH-6, FETCH-31 to FETCH-37, FILE-9, FILE-10.
//!
//! ```text
//!           job        request     verified      written      synced
//!  Missing ────▶ Queued ────▶ Asked ────▶ Writing ────▶ Written ────▶ Held ──▶ Commit
//!     ▲            ▲            │            │             │           │
//!     └────────────┴────────────┴────────────┴─────────────┴───────────┘
//!       request over without it     write failed       sync failed
//!
//!  Suspect ────▶ Checking ────▶ Written or Missing           (after an unclean stop)
//! ```

mod chunks;
mod events;
mod inputs;
mod outputs;
mod pages;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{ChunkNo, Digest, Millis};
use crate::manifest::{ChunkRange, Manifest, TooLarge, page_of};
use chunks::{Chunks, State, runs};
pub use events::{HeldBits, Input, Output, Progress, Reason, Verdict};
use pages::Pages;
use sync::Syncs;
pub use sync::{GroupCommit, Ticket};

/// How a file is received. Each number bounds memory or work; none is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferConfig {
    /// Most chunks in one job.
    pub range: u32,
    /// Most chunks of the file that are queued or asked for at a time; as many are read back.
    pub window: u32,
    /// Pages of digests kept, beyond those with chunks asked for.
    pub pages: usize,
    /// When written chunks are made durable.
    pub group: GroupCommit,
}

impl Default for TransferConfig {
    fn default() -> Self {
        Self { range: 16, window: 1024, pages: 4, group: GroupCommit::default() }
    }
}

/// The receiver of one file. All times are of one clock that is not set back.
#[derive(Debug)]
pub struct Transfer {
    root: Digest,
    config: TransferConfig,
    chunks: Chunks,
    pages: Pages,
    syncs: Syncs,
    /// What is in requests: disjoint, one entry for each `Leased`.
    leases: Vec<ChunkRange>,
    /// Pages whose bitmaps differ from those that are stored.
    changed_pages: BTreeSet<u32>,
    record_due: bool,
    /// Pages of which jobs stood in the queue at the start and whose digests are not here yet.
    unproven: BTreeSet<u32>,
    /// Chunks that failed verification, by who sent them.
    bad: BTreeMap<i64, u32>,
    bytes_fetched: u64,
    bytes_twice: u64,
    file: u32,
    abandon: bool,
    committed: bool,
}

impl Transfer {
    /// A file of which nothing is here yet. What is already here or queued goes in as
    /// [`Input::Held`], [`Input::Suspect`] and [`Input::Queued`] before the first poll.
    pub fn new(root: Digest, size: u64, config: TransferConfig) -> Result<Self, TooLarge> {
        Ok(Self::with_manifest(root, Manifest::of(size)?, config))
    }

    /// For tests that cut files smaller than FILE-1 does.
    #[doc(hidden)]
    pub fn with_manifest(root: Digest, manifest: Manifest, config: TransferConfig) -> Self {
        Self {
            root,
            config,
            chunks: Chunks::new(manifest),
            pages: Pages::new(config.pages),
            syncs: Syncs::new(config.group),
            leases: Vec::new(),
            changed_pages: BTreeSet::new(),
            record_due: false,
            unproven: BTreeSet::new(),
            bad: BTreeMap::new(),
            bytes_fetched: 0,
            bytes_twice: 0,
            file: 0,
            abandon: false,
            committed: false,
        }
    }

    /// When to poll although nothing happened.
    pub fn wake_at(&self) -> Option<Millis> {
        self.syncs.wake_at()
    }

    /// What is neither here nor asked for, whether or not its digests are known: what may be copied
    /// from other content.
    pub fn open(&self, range: ChunkRange) -> Vec<ChunkRange> {
        runs(&self.chunks.those(range, &[State::Missing, State::Queued]))
    }

    /// FETCH-2: what still has to be asked for of a job's range; all of it goes into [`Input::Leased`]
    /// under the same lock. Chunks whose digests are not here are left out, and their page comes next.
    pub fn wanted(&mut self, range: ChunkRange) -> Vec<ChunkRange> {
        let mut open = self.chunks.those(range, &[State::Missing, State::Queued]);
        open.retain(|&chunk| {
            self.need_digests(page_of(chunk));
            self.pages.has(page_of(chunk))
        });
        runs(&open)
    }

    /// Whether the digests of all chunks that stand in the queue are here: nothing that is leased
    /// has to wait for them.
    pub fn is_proven(&self) -> bool {
        self.unproven.is_empty()
    }

    /// FETCH-3, FETCH-4: judges a chunk that came whole. `origin` is any number for who sent it.
    pub fn receive(&mut self, chunk: ChunkNo, digest: &Digest, origin: i64) -> Verdict {
        let verdict = match (self.chunks.state(chunk), self.pages.digest(chunk)) {
            (Some(State::Asked), Some(right)) if right == digest => {
                Verdict::Write { file: self.file }
            }
            (Some(State::Asked), Some(_)) => Verdict::Discard(Reason::BadDigest),
            (Some(State::Writing | State::Written | State::Held), _) => {
                Verdict::Discard(Reason::Duplicate)
            }
            _ => Verdict::Discard(Reason::NotAsked),
        };
        let bytes = self.chunks.len(chunk);
        self.bytes_fetched += bytes;
        match verdict {
            Verdict::Write { .. } => self.chunks.set(chunk, State::Writing),
            Verdict::Discard(_) => self.bytes_twice += bytes,
        }
        if verdict == Verdict::Discard(Reason::BadDigest) {
            *self.bad.entry(origin).or_default() += 1;
        }
        verdict
    }

    /// Whether all of a range came, durable or not, or may be on disk: nobody needs to ask for it. What
    /// is then not on disk after all is queued anew.
    pub fn has_come(&self, range: ChunkRange) -> bool {
        let come = [State::Writing, State::Written, State::Held];
        self.chunks.all(range, &[&come[..], &[State::Suspect, State::Checking]].concat())
    }

    /// FETCH-3: whether a chunk is in the partial file and verified, durable or not: it may be read
    /// from there.
    pub fn is_readable(&self, chunk: ChunkNo) -> bool {
        let there = matches!(self.chunks.state(chunk), Some(State::Written | State::Held));
        there && !self.abandon
    }

    /// Whether all of a range is durable: a job for it is done.
    pub fn holds(&self, range: ChunkRange) -> bool {
        self.chunks.all(range, &[State::Held])
    }

    /// Whether everything that came is durable and recorded: nothing is lost by ending here.
    pub fn is_settled(&self) -> bool {
        let open = self.chunks.count(State::Writing) + self.chunks.count(State::Written);
        let unrecorded = self.record_due && !self.changed_pages.is_empty();
        open == 0 && !unrecorded && !self.abandon
    }

    /// Chunks that still have to be read back from disk. While there are any, the stored bitmaps say
    /// more than is known, and a stop does not count as a clean one.
    pub fn unchecked(&self) -> u32 {
        self.chunks.count(State::Suspect) + self.chunks.count(State::Checking)
    }

    /// The number of the partial file: how many were abandoned before it.
    pub fn file(&self) -> u32 {
        self.file
    }

    /// How the file is cut.
    pub fn manifest(&self) -> &Manifest {
        &self.chunks.manifest
    }

    /// What names the file's content.
    pub fn root(&self) -> &Digest {
        &self.root
    }

    /// FETCH-5: bad chunks counted against an origin.
    pub fn bad_from(&self, origin: i64) -> u32 {
        self.bad.get(&origin).copied().unwrap_or(0)
    }

    /// How far the file is.
    pub fn progress(&self) -> Progress {
        Progress {
            held: self.chunks.count(State::Held),
            total: self.chunks.total(),
            bytes_held: self.chunks.bytes_held,
            bytes_fetched: self.bytes_fetched,
            bytes_twice: self.bytes_twice,
        }
    }
}

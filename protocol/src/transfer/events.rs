//! What goes into a transfer and what comes out of it.

use super::Ticket;
use crate::ids::{ChunkNo, Digest};
use crate::manifest::ChunkRange;

/// What happened. Chunks and pages beyond the end of the file are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// At start: chunks that are durable, from the queue's bitmap (LSB first).
    Held {
        /// The page.
        page: u32,
        /// One bit for each of its chunks.
        bits: &'a [u8],
    },
    /// At start, after an unclean stop: chunks that may be on disk and are read back first.
    Suspect {
        /// The page.
        page: u32,
        /// One bit for each of its chunks.
        bits: &'a [u8],
    },
    /// At start: a job for these chunks stands in the queue.
    Queued(ChunkRange),
    /// The digests of a page, already verified against the root.
    Digests {
        /// The page.
        page: u32,
        /// One for each of its chunks.
        digests: Vec<Digest>,
    },
    /// The digests of a page could not be had. They are asked for again as soon as they are needed,
    /// so say this when it is time to try again.
    NoDigests {
        /// The page.
        page: u32,
    },
    /// Answers [`Output::Recheck`]: what a chunk on disk hashes to; `None` when it is not there.
    Checked {
        /// The chunk.
        chunk: ChunkNo,
        /// Its leaf digest as read back.
        digest: Option<Digest>,
    },
    /// A chunk was copied into place from other content and read back. Copy only what
    /// [`Transfer::open`](super::Transfer::open) gives, before [`Input::Digests`] of its page, so
    /// that nobody asks for it meanwhile; say so right after.
    Copied {
        /// The chunk.
        chunk: ChunkNo,
        /// Its leaf digest as read back.
        digest: Digest,
        /// The partial file it was copied into, see [`Transfer::file`](super::Transfer::file).
        file: u32,
    },
    /// These chunks, as [`Transfer::wanted`](super::Transfer::wanted) gave them under the same
    /// lock, are in a request now.
    Leased(ChunkRange),
    /// The request for a range that was `Leased` is over. What did not come goes back.
    Ended {
        /// Exactly as leased.
        range: ChunkRange,
        /// Whether a job for the range still stands in the queue.
        queued: bool,
    },
    /// A chunk for which the verdict was [`Verdict::Write`] is written.
    Wrote {
        /// The chunk.
        chunk: ChunkNo,
        /// As in the verdict.
        file: u32,
    },
    /// A chunk for which the verdict was [`Verdict::Write`] could not be written.
    WriteFailed {
        /// The chunk.
        chunk: ChunkNo,
        /// As in the verdict.
        file: u32,
    },
    /// Answers [`Output::Sync`]: it is done.
    Synced(Ticket),
    /// A sync or the commit failed: nothing that was in the partial file counts any more.
    SyncFailed,
}

/// What to do. After every input, poll until there is nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Store these bitmaps, in one batch with the jobs that they finish.
    Record(Vec<HeldBits>),
    /// Give the partial file up and begin a new one, the next in number.
    Abandon,
    /// All chunks are held: make the file visible.
    Commit,
    /// Make durable what has been written.
    Sync(Ticket),
    /// Read these chunks back from disk and hash them.
    Recheck(ChunkRange),
    /// Put jobs for these chunks into the queue, one for each range.
    Enqueue(Vec<ChunkRange>),
    /// Get the digests of a page: from storage, or else from an origin.
    NeedDigests(u32),
}

/// What the queue is to remember of a page: chunks that are held, and those that were given as
/// suspect and have not turned out wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBits {
    /// The page.
    pub page: u32,
    /// One bit for each of its chunks, LSB first; at most 512 bytes.
    pub bits: Vec<u8>,
}

/// What becomes of a chunk that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is verified: write it, then say [`Input::Wrote`].
    Write {
        /// The partial file to write it into, see [`Transfer::file`](super::Transfer::file).
        file: u32,
    },
    /// Forget it.
    Discard(Reason),
}

/// Why a chunk is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// FETCH-4: its digest differs from the manifest.
    BadDigest,
    /// It is here already.
    Duplicate,
    /// It is in no request.
    NotAsked,
}

/// How far the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Chunks that are durable.
    pub held: u32,
    /// Chunks in the file.
    pub total: u32,
    /// Bytes that are durable.
    pub bytes_held: u64,
    /// Bytes of whole chunks that came since the start.
    pub bytes_fetched: u64,
    /// Bytes that came in vain: bad, not wanted, or lost again with what was in the partial file.
    pub bytes_twice: u64,
}

//! From a source to content in the storage, in one pass.
//!
//! Owns: the choice between rows, one file and a staging file; [`SmallBatch`].
//! Not here: hashing (`cut`), reading (`source`).
//! Invariant: what is hashed is what is stored, also when the source changes meanwhile: the root is
//! that of the bytes that were read, and those are the bytes written. After an error no staging
//! file is left.
//! Spec: FILE-1, FILE-2, FILE-5 to FILE-8.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::{MAX_FILE, MIN_CHUNK, Manifest, TooLarge};
use zotferry_protocol::merkle;

use super::cut::Cutter;
use super::source::{FileSource, Got, ReadSource, Source};
use super::{ChunkerError, READ, Result};
use crate::storage::{Partial, PartialKey, Storage, StorageError};

/// A source that has become content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What the content is called.
    pub root: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Number of chunks.
    pub chunks: u32,
    /// The leaf digests of all chunks, when there are at most 32.
    pub inline_digests: Option<Vec<Digest>>,
}

/// How much a staging file grows when a source turns out longer than it said.
const GROWTH: u64 = 64 << 20;
/// The first buffer for a source that has not said its size.
const HEAD: usize = 64 << 10;

/// Stores a file from its first byte to its last; holes stay holes. Durable when it returns.
/// The position of `source` is not defined afterwards.
///
/// # Errors
/// Those of the storage; the source cannot be read or is larger than 16 TiB.
pub fn store_file(storage: &dyn Storage, source: &File) -> Result<Stored> {
    let mut source = FileSource::new(source).map_err(ChunkerError::Source)?;
    let plan = Plan::of(&source);
    match take_head(&mut source, &plan)? {
        Head::Whole(bytes) => store_whole(storage, bytes),
        Head::Start(head) => stage(storage, &mut source, &plan, head),
    }
}

/// Stores what a reader gives up to its end; `size` is what it is expected to be, in bytes.
/// Durable when it returns.
///
/// # Errors
/// As [`store_file`].
pub fn store_reader(storage: &dyn Storage, source: impl Read, size: Option<u64>) -> Result<Stored> {
    let mut source = ReadSource(source);
    let plan = Plan { size, sparse: false };
    match take_head(&mut source, &plan)? {
        Head::Whole(bytes) => store_whole(storage, bytes),
        Head::Start(head) => stage(storage, &mut source, &plan, head),
    }
}

/// Stores many files; those of one chunk in groups.
pub struct SmallBatch<'s> {
    storage: &'s dyn Storage,
    items: Vec<(Digest, Bytes)>,
    bytes: usize,
}

impl<'s> SmallBatch<'s> {
    /// Most contents in one group.
    pub const ITEMS: usize = 256;
    /// Most bytes that wait.
    pub const BYTES: usize = 8 << 20;

    /// A batch with nothing waiting in it.
    pub fn new(storage: &'s dyn Storage) -> Self {
        Self { storage, items: Vec::new(), bytes: 0 }
    }

    /// Takes a file of any size. It is durable after the next [`SmallBatch::flush`], not before.
    ///
    /// # Errors
    /// As [`store_file`]; also those of earlier contents that had to go first.
    pub fn add_file(&mut self, source: &File) -> Result<Stored> {
        let mut source = FileSource::new(source).map_err(ChunkerError::Source)?;
        let plan = Plan::of(&source);
        match take_head(&mut source, &plan)? {
            Head::Whole(bytes) => self.add(bytes),
            Head::Start(head) => stage(self.storage, &mut source, &plan, head),
        }
    }

    /// Takes the whole bytes of a content of at most 1 MiB; durable after the next flush.
    ///
    /// # Errors
    /// Those of the storage, when earlier contents had to go first.
    pub fn add(&mut self, bytes: Bytes) -> Result<Stored> {
        if self.items.len() == Self::ITEMS || self.bytes + bytes.len() > Self::BYTES {
            self.flush()?;
        }
        let stored = describe(&bytes);
        self.bytes += bytes.len();
        self.items.push((stored.root, bytes));
        Ok(stored)
    }

    /// Makes everything that was added durable.
    ///
    /// # Errors
    /// Those of the storage; what waited still waits.
    pub fn flush(&mut self) -> Result<()> {
        if !self.items.is_empty() {
            self.storage.put_many(&self.items)?;
            self.items.clear();
            self.bytes = 0;
        }
        Ok(())
    }
}

/// What is known of a source before it is read.
struct Plan {
    /// Its size in bytes, if it says one; it may be wrong.
    size: Option<u64>,
    /// Whether disk is to be left unreserved because much of it is holes.
    sparse: bool,
}

impl Plan {
    fn of(source: &FileSource<'_>) -> Self {
        Self { size: Some(source.size), sparse: source.sparse }
    }
}

/// The beginning of a source.
enum Head {
    /// All of it: at most one chunk.
    Whole(Bytes),
    /// More is to come.
    Start(Vec<u8>),
}

/// Reads all of a source that may be one chunk; nothing of one that says it is more.
fn take_head(source: &mut dyn Source, plan: &Plan) -> Result<Head> {
    let most = MIN_CHUNK as usize + 1;
    let expected = plan.size.unwrap_or(0);
    if expected > u64::from(MIN_CHUNK) {
        return Ok(Head::Start(Vec::new()));
    }
    // One byte more than expected shows the end of it without another buffer.
    let mut head = vec![0; expected as usize + 1];
    let mut len = 0;
    loop {
        let more = source.bytes(&mut head[len..]).map_err(ChunkerError::Source)?;
        len += more;
        if more == 0 {
            head.truncate(len);
            return Ok(Head::Whole(head.into()));
        }
        if len == most {
            return Ok(Head::Start(head));
        }
        if len == head.len() {
            head.resize((len * 2).clamp(HEAD, most), 0);
        }
    }
}

fn describe(bytes: &[u8]) -> Stored {
    let root = if bytes.is_empty() { merkle::root(&[]) } else { merkle::leaf(bytes) };
    let inline: Vec<_> = (!bytes.is_empty()).then_some(root).into_iter().collect();
    Stored {
        root,
        size: bytes.len() as u64,
        chunks: inline.len() as u32,
        inline_digests: Some(inline),
    }
}

fn store_whole(storage: &dyn Storage, bytes: Bytes) -> Result<Stored> {
    let stored = describe(&bytes);
    storage.put_many(&[(stored.root, bytes)])?;
    Ok(stored)
}

/// Stores by way of a staging file: `head`, which was read already, then the rest of the source.
fn stage(
    storage: &dyn Storage,
    source: &mut dyn Source,
    plan: &Plan,
    head: Vec<u8>,
) -> Result<Stored> {
    let size = plan.size.unwrap_or(0).max(head.len() as u64);
    let chunk_size = Manifest::of(size)?.chunk_size();
    let mut staging = Staging {
        storage,
        partial: storage.partial(&PartialKey::staging(), size)?,
        sparse: plan.sparse,
        at: 0,
        cutter: Cutter::new(storage, chunk_size),
    };
    let stored = staging.fill(source, head).and_then(|()| staging.finish());
    if stored.is_err()
        && let Err(error) = staging.partial.discard()
    {
        tracing::warn!(%error, "a staging file stays behind");
    }
    stored
}

/// A source on its way through a staging file.
struct Staging<'s> {
    storage: &'s dyn Storage,
    partial: Arc<dyn Partial>,
    /// Disk is not reserved, so that holes take none.
    sparse: bool,
    /// Bytes that have come, holes included.
    at: u64,
    cutter: Cutter<'s>,
}

impl<'s> Staging<'s> {
    fn fill(&mut self, source: &mut dyn Source, head: Vec<u8>) -> Result<()> {
        self.reserve(self.partial.size())?;
        let len = head.len();
        self.data(head, len)?;
        let mut buffer = vec![0; READ];
        loop {
            match source.next(&mut buffer).map_err(ChunkerError::Source)? {
                Got::Data(len) => buffer = self.data(buffer, len)?,
                Got::Hole(len) => self.hole(len)?,
                Got::End => return Ok(()),
            }
        }
    }

    fn reserve(&self, size: u64) -> Result<()> {
        self.partial.resize(size)?;
        if !self.sparse {
            self.partial.allocate()?;
        }
        Ok(())
    }

    /// Room for bytes up to `end`; a source that grows gets it in large steps.
    fn reach(&mut self, end: u64) -> Result<()> {
        if end > MAX_FILE {
            return Err(TooLarge(end).into());
        }
        if end > self.partial.size() {
            let ample = end.saturating_add(GROWTH).min(MAX_FILE);
            match self.reserve(ample) {
                // What is left of a nearly full disk may do.
                Err(ChunkerError::Storage(StorageError::NoSpace(_))) => self.reserve(end)?,
                reserved => reserved?,
            }
        }
        Ok(())
    }

    /// Hashes and writes the first `len` bytes of the buffer, and gives the buffer back.
    fn data(&mut self, buffer: Vec<u8>, len: usize) -> Result<Vec<u8>> {
        let end = self.at + len as u64;
        self.reach(end)?;
        self.cutter.data(&buffer[..len])?;
        let whole = Bytes::from(buffer);
        self.partial.write_at(self.at, &[whole.slice(..len)])?;
        self.at = end;
        // The only reference to it by now, so this does not copy.
        Ok(whole.into())
    }

    fn hole(&mut self, len: u64) -> Result<()> {
        let end = self.at.saturating_add(len);
        self.reach(end)?;
        self.cutter.hole(len)?;
        self.at = end;
        Ok(())
    }

    fn finish(&mut self) -> Result<Stored> {
        let size = self.at;
        if self.partial.size() != size {
            self.partial.resize(size)?;
        }
        let manifest = Manifest::of(size)?;
        if self.cutter.chunk_size() != manifest.chunk_size() {
            self.cut_again(manifest.chunk_size())?;
        }
        let cutter = std::mem::replace(&mut self.cutter, Cutter::new(self.storage, MIN_CHUNK));
        let (root, pages) = cutter.finish()?;
        pages.keep(&root)?;
        self.partial.commit(&root)?;
        let inline_digests = pages.inline();
        Ok(Stored { root, size, chunks: manifest.chunks(), inline_digests })
    }

    /// The size asks for other chunks than were cut: hashes what was written once more.
    fn cut_again(&mut self, chunk_size: u32) -> Result<()> {
        self.cutter = Cutter::new(self.storage, chunk_size);
        let mut buffer = vec![0; READ];
        let mut at = 0;
        while at < self.at {
            match self.partial.read_at(at, &mut buffer)? {
                0 => return Err(StorageError::Damaged("a staging file").into()),
                len => {
                    self.cutter.data(&buffer[..len])?;
                    at += len as u64;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;
    use crate::storage::memory::MemoryStorage;

    /// FILE-1: when the size asks for other chunks than the source had promised, the staged bytes
    /// are cut again, and only they: the source was read once.
    #[test]
    fn chunks_follow_the_size_that_came() {
        let storage = MemoryStorage::default();
        let size = 5 * MIN_CHUNK as usize + 3;
        let bytes: Vec<u8> = (0..size).map(|at| (at / 1000) as u8).collect();
        let mut staging = Staging {
            storage: &storage,
            partial: storage.partial(&PartialKey::staging(), 0).unwrap(),
            sparse: false,
            at: 0,
            cutter: Cutter::new(&storage, 2 * MIN_CHUNK),
        };
        staging.fill(&mut ReadSource(&bytes[..]), Vec::new()).unwrap();
        let stored = staging.finish().unwrap();
        let leaves: Vec<_> = bytes.chunks(MIN_CHUNK as usize).map(merkle::leaf).collect();
        assert_eq!(stored.root, merkle::root(&leaves));
        assert_eq!((stored.chunks, stored.inline_digests), (6, Some(leaves)));
    }

    /// Nothing larger than any file may be is read to its end.
    #[test]
    fn more_than_any_file_may_have_is_refused() {
        let storage = MemoryStorage::default();
        let mut staging = Staging {
            storage: &storage,
            partial: storage.partial(&PartialKey::staging(), 0).unwrap(),
            sparse: true,
            at: MAX_FILE,
            cutter: Cutter::new(&storage, MIN_CHUNK),
        };
        let error = staging.data(vec![0], 1).unwrap_err();
        assert!(matches!(error, ChunkerError::TooLarge(_)), "{error}");
    }
}

//! Content on its way in whose root is not known yet: a staging file.
//!
//! Owns: room for it, writing and hashing, the end that makes it content. Not here: where the bytes
//! come from (`split`, `intake`).
//! Invariant: what is hashed is what is written.
//! Spec: FILE-1, FILE-2, FILE-5 to FILE-8.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use zotferry_protocol::manifest::{MAX_FILE, MIN_CHUNK, Manifest, TooLarge};

use super::cut::Cutter;
use super::source::{Got, Source};
use super::split::Stored;
use super::{ChunkerError, READ, Result};
use crate::storage::{Partial, PartialKey, Storage, StorageError};

/// How much a staging file grows when a source turns out longer than it said.
const GROWTH: u64 = 64 << 20;

/// A storage, for one call or for as long as it takes.
#[derive(Clone)]
pub(super) enum Store<'s> {
    /// For one call.
    Lent(&'s (dyn Storage + 'static)),
    /// For as long as it takes.
    Shared(Arc<dyn Storage>),
}

impl Deref for Store<'_> {
    type Target = dyn Storage;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Lent(storage) => *storage,
            Self::Shared(storage) => &**storage,
        }
    }
}

/// A source on its way through a staging file.
pub(super) struct Staging<'s> {
    storage: Store<'s>,
    partial: Arc<dyn Partial>,
    /// Disk is not reserved, so that holes take none.
    sparse: bool,
    /// Bytes that have come, holes included.
    at: u64,
    cutter: Cutter<'s>,
}

impl<'s> Staging<'s> {
    /// Begins the staging file of a source that is expected to have `size` bytes.
    pub(super) fn begin(storage: Store<'s>, size: u64, sparse: bool) -> Result<Self> {
        let chunk_size = Manifest::of(size)?.chunk_size();
        let partial = storage.partial(&PartialKey::staging(), size)?;
        let cutter = Cutter::new(storage.clone(), chunk_size);
        Ok(Self { storage, partial, sparse, at: 0, cutter })
    }

    /// A staging file that has all its bytes, and is hashed by [`Self::read_back`].
    pub(super) fn of(storage: Store<'s>, partial: Arc<dyn Partial>) -> Result<Self> {
        let at = partial.size();
        let cutter = Cutter::new(storage.clone(), Manifest::of(at)?.chunk_size());
        Ok(Self { storage, partial, sparse: true, at, cutter })
    }

    /// Hashes what is in it.
    pub(super) fn read_back(&mut self) -> Result<()> {
        self.cut_again(self.cutter.chunk_size())
    }

    /// Bytes that have come.
    pub(super) fn len(&self) -> u64 {
        self.at
    }

    /// Removes the staging file, unless it has become content.
    pub(super) fn discard(&self) {
        if let Err(error) = self.partial.discard() {
            tracing::warn!(%error, "a staging file stays behind");
        }
    }

    pub(super) fn fill(&mut self, source: &mut dyn Source, head: Vec<u8>) -> Result<()> {
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

    pub(super) fn reserve(&self, size: u64) -> Result<()> {
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
        let whole = Bytes::from(buffer);
        self.pieces(&[whole.slice(..len)])?;
        // The only reference to it by now, so this does not copy.
        Ok(whole.into())
    }

    /// Hashes and writes what comes next.
    pub(super) fn pieces(&mut self, pieces: &[Bytes]) -> Result<()> {
        let end = self.at + pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.reach(end)?;
        pieces.iter().try_for_each(|piece| self.cutter.data(piece))?;
        self.partial.write_at(self.at, pieces)?;
        self.at = end;
        Ok(())
    }

    fn hole(&mut self, len: u64) -> Result<()> {
        let end = self.at.saturating_add(len);
        self.reach(end)?;
        self.cutter.hole(len)?;
        self.at = end;
        Ok(())
    }

    /// Makes it content; durable when it returns.
    pub(super) fn finish(&mut self) -> Result<Stored> {
        let size = self.at;
        if self.partial.size() != size {
            self.partial.resize(size)?;
        }
        let manifest = Manifest::of(size)?;
        if self.cutter.chunk_size() != manifest.chunk_size() {
            self.cut_again(manifest.chunk_size())?;
        }
        let cutter =
            std::mem::replace(&mut self.cutter, Cutter::new(self.storage.clone(), MIN_CHUNK));
        let (root, pages) = cutter.finish()?;
        pages.keep(&root)?;
        self.partial.commit(&root)?;
        let inline_digests = pages.inline();
        Ok(Stored { root, size, chunks: manifest.chunks(), inline_digests })
    }

    /// The size asks for other chunks than were cut: hashes what was written once more.
    fn cut_again(&mut self, chunk_size: u32) -> Result<()> {
        self.cutter = Cutter::new(self.storage.clone(), chunk_size);
        let mut buffer = vec![0; READ];
        let mut at = 0;
        while at < self.at {
            // Not beyond: a file that is linked may grow meanwhile.
            let want = usize::try_from(self.at - at).unwrap_or(READ).min(READ);
            match self.partial.read_at(at, &mut buffer[..want])? {
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

    use zotferry_protocol::merkle;

    use super::super::source::ReadSource;
    use super::*;
    use crate::storage::memory::MemoryStorage;

    /// FILE-1: when the size asks for other chunks than the source had promised, the staged bytes
    /// are cut again, and only they: the source was read once.
    #[test]
    fn chunks_follow_the_size_that_came() {
        let storage = MemoryStorage::default();
        let size = 5 * MIN_CHUNK as usize + 3;
        let bytes: Vec<u8> = (0..size).map(|at| (at / 1000) as u8).collect();
        let mut staging = Staging::begin(Store::Lent(&storage), 0, false).unwrap();
        staging.cutter = Cutter::new(Store::Lent(&storage), 2 * MIN_CHUNK);
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
        let mut staging = Staging::begin(Store::Lent(&storage), 0, true).unwrap();
        staging.at = MAX_FILE;
        let error = staging.data(vec![0], 1).unwrap_err();
        assert!(matches!(error, ChunkerError::TooLarge(_)), "{error}");
    }
}

//! The leaf digests of a file whose root is not known yet.
//!
//! Owns: one page in memory; whole pages before it in a staging file of their own, so that memory
//! does not grow with the number of chunks (a million digests are 32 MiB).
//! Not here: their final place, the storage's digest pages.

use std::sync::Arc;

use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::{INLINE_DIGESTS, PAGE};

use super::Result;
use super::staging::Store;
use crate::storage::{Partial, PartialKey, StorageError, read_full};

const PAGE_BYTES: usize = PAGE as usize * Digest::LEN;

/// Digests in chunk order.
pub(super) struct Pages<'s> {
    storage: Store<'s>,
    /// The page being filled.
    last: Vec<Digest>,
    /// Whole pages before it.
    whole: u32,
    /// Where those are.
    spool: Option<Arc<dyn Partial>>,
}

impl<'s> Pages<'s> {
    pub(super) fn new(storage: Store<'s>) -> Self {
        Self { storage, last: Vec::new(), whole: 0, spool: None }
    }

    /// The next chunk's digest.
    pub(super) fn push(&mut self, leaf: Digest) -> Result<()> {
        if self.last.len() == PAGE as usize {
            self.spill()?;
        }
        self.last.push(leaf);
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let spool = match self.spool.take() {
            Some(spool) => spool,
            None => self.storage.partial(&PartialKey::staging(), 0)?,
        };
        let spool = self.spool.insert(spool);
        let at = u64::from(self.whole) * PAGE_BYTES as u64;
        spool.resize(at + PAGE_BYTES as u64)?;
        let joined: Vec<u8> = self.last.drain(..).flat_map(|digest| digest.0).collect();
        spool.write_at(at, &[joined.into()])?;
        self.whole += 1;
        Ok(())
    }

    /// Number of chunks so far.
    pub(super) fn chunks(&self) -> u32 {
        self.whole * PAGE + self.last.len() as u32
    }

    /// All digests, when they are few enough to travel with an operation.
    pub(super) fn inline(&self) -> Option<Vec<Digest>> {
        (self.chunks() <= INLINE_DIGESTS).then(|| self.last.clone())
    }

    /// Puts every page where the storage keeps those of `root`. One chunk needs none.
    pub(super) fn keep(&self, root: &Digest) -> Result<()> {
        let chunks = self.chunks();
        if chunks < 2 {
            return Ok(());
        }
        for page in 0..self.whole {
            self.storage.put_digests(root, chunks, page, &self.read(page)?)?;
        }
        Ok(self.storage.put_digests(root, chunks, self.whole, &self.last)?)
    }

    fn read(&self, page: u32) -> Result<Vec<Digest>> {
        let damaged = StorageError::Damaged("the digests of a file being stored");
        let Some(spool) = &self.spool else {
            return Err(damaged.into());
        };
        let mut bytes = vec![0; PAGE_BYTES];
        let at = u64::from(page) * PAGE_BYTES as u64;
        if read_full(&mut bytes, at, |at, buf| spool.read_at(at, buf))? < PAGE_BYTES {
            return Err(damaged.into());
        }
        let (digests, _) = bytes.as_chunks();
        Ok(digests.iter().copied().map(Digest).collect())
    }
}

impl Drop for Pages<'_> {
    fn drop(&mut self) {
        if let Some(spool) = &self.spool
            && let Err(error) = spool.discard()
        {
            tracing::warn!(%error, "a staging file stays behind");
        }
    }
}

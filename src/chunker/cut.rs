//! Bytes in file order become leaf digests, pages and a root.
//!
//! Owns: the chunk being hashed, the tree. Not here: where the bytes come from and go to.
//! Spec: FILE-1, FILE-5.

use zotferry_protocol::ids::Digest;
use zotferry_protocol::merkle::{self, LeafHasher, TreeBuilder};

use super::Result;
use super::pages::Pages;
use super::staging::Store;

/// Zeros are hashed from here.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Cuts a sequence of bytes into chunks of one size.
pub(super) struct Cutter<'s> {
    chunk_size: u32,
    leaf: LeafHasher,
    /// Bytes hashed of the current chunk; less than a chunk.
    filled: u32,
    tree: TreeBuilder,
    pages: Pages<'s>,
    /// The leaf digest of a whole chunk of zeros, once there was one: a sparse file has many.
    zero_leaf: Option<Digest>,
}

impl<'s> Cutter<'s> {
    pub(super) fn new(storage: Store<'s>, chunk_size: u32) -> Self {
        Self {
            chunk_size,
            leaf: LeafHasher::new(),
            filled: 0,
            tree: TreeBuilder::new(),
            pages: Pages::new(storage),
            zero_leaf: None,
        }
    }

    pub(super) fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// The next bytes of the file.
    pub(super) fn data(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = (self.chunk_size - self.filled) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.leaf.update(now);
            self.filled += now.len() as u32;
            self.end_full_chunk()?;
            bytes = later;
        }
        Ok(())
    }

    /// The next `len` bytes of the file are zeros.
    pub(super) fn hole(&mut self, mut len: u64) -> Result<()> {
        let chunk = u64::from(self.chunk_size);
        while len > 0 {
            if self.filled == 0 && len >= chunk {
                let leaf = *self.zero_leaf.get_or_insert_with(|| zero_leaf(self.chunk_size));
                self.push(leaf)?;
                len -= chunk;
                continue;
            }
            let now = len.min(ZEROS.len() as u64).min(chunk - u64::from(self.filled));
            self.data(&ZEROS[..now as usize])?;
            len -= now;
        }
        Ok(())
    }

    fn end_full_chunk(&mut self) -> Result<()> {
        if self.filled == self.chunk_size {
            let leaf = std::mem::take(&mut self.leaf).finish();
            self.filled = 0;
            self.push(leaf)?;
        }
        Ok(())
    }

    fn push(&mut self, leaf: Digest) -> Result<()> {
        self.tree.push(leaf);
        self.pages.push(leaf)
    }

    /// The root, and the digests that lead to it.
    pub(super) fn finish(mut self) -> Result<(Digest, Pages<'s>)> {
        if self.filled > 0 {
            let leaf = std::mem::take(&mut self.leaf).finish();
            self.push(leaf)?;
        }
        Ok((self.tree.finish(), self.pages))
    }
}

fn zero_leaf(chunk_size: u32) -> Digest {
    merkle::leaf(&vec![0; chunk_size as usize])
}

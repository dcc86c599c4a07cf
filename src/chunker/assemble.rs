//! One wanted file being put together from its chunks.
//!
//! Owns: the partial file, its allocation, who is filling which chunk.
//! Not here: which digest a chunk must have (the caller compares), which chunks are held.
//! Invariant: one writer per chunk at a time. Bytes in the partial file count only once the caller
//! has accepted their digest, [`FilledChunk::write`] has returned, and a [`Assembly::sync`] after it.
//! Spec: FETCH-3, FETCH-4, FETCH-31, FETCH-33, FETCH-37.
//!
//! ```text
//! sink.push(bytes)...  sink.finish() -> filled   filled.digest() accepted?  filled.write()
//! assembly.sync()      record the chunks as held      last one: assembly.commit()
//! ```

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::{MIN_CHUNK, Manifest, Span};
use zotferry_protocol::merkle::LeafHasher;

use super::{ChunkerError, READ, Result};
use crate::storage::{Content, Partial, PartialKey, Storage, StorageError, read_full};

/// Bytes of one chunk that are collected before they are written through to their place.
const COLLECT: usize = MIN_CHUNK as usize;
/// Shorter pieces are copied together: each would cost more to keep than it holds.
const SHORT_PIECE: usize = 4 << 10;

/// A wanted file on its way in.
pub struct Assembly {
    partial: Arc<dyn Partial>,
    root: Digest,
    manifest: Manifest,
    /// Disk is reserved, which the first verified chunk brings about.
    allocated: Mutex<bool>,
    /// Chunks that somebody is filling.
    claimed: Mutex<HashSet<u32>>,
}

impl Assembly {
    /// Opens the partial file of this content of a channel or begins it.
    ///
    /// # Errors
    /// Those of the storage; it is busy while another `Assembly` of the same is alive.
    pub fn open(
        storage: &dyn Storage,
        channel: i64,
        root: Digest,
        manifest: Manifest,
    ) -> Result<Arc<Self>> {
        let key = PartialKey::wanted(channel, root, manifest.size());
        let partial = storage.partial(&key, manifest.size())?;
        let allocated = Mutex::new(partial.existed());
        Ok(Arc::new(Self { partial, root, manifest, allocated, claimed: Mutex::default() }))
    }

    /// How the file is cut.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether the partial file was here before. If not, no chunk is in it, whatever was recorded.
    pub fn resumed(&self) -> bool {
        self.partial.existed()
    }

    /// Begins to receive a chunk that is not held.
    ///
    /// # Errors
    /// The file has no such chunk, or somebody is filling it.
    pub fn sink(self: &Arc<Self>, chunk: ChunkNo) -> Result<ChunkSink> {
        let span = self.span(chunk)?;
        let claim = Claim::take(self, chunk)?;
        Ok(ChunkSink {
            claim,
            span,
            leaf: LeafHasher::new(),
            received: 0,
            written: 0,
            pieces: Vec::new(),
            short: BytesMut::new(),
        })
    }

    /// Hashes a chunk as it lies in the partial file (Invariant 5); `None` when it is not all there.
    ///
    /// # Errors
    /// Those of the storage; the file has no such chunk.
    pub fn leaf(&self, chunk: ChunkNo) -> Result<Option<Digest>> {
        let span = self.span(chunk)?;
        let mut leaf = LeafHasher::new();
        let mut buffer = vec![0; READ];
        let mut done = 0;
        while done < span.len as usize {
            let want = (span.len as usize - done).min(READ);
            let at = span.offset + done as u64;
            let got = read_full(&mut buffer[..want], at, |at, buf| self.partial.read_at(at, buf))?;
            if got < want {
                return Ok(None);
            }
            leaf.update(&buffer[..got]);
            done += got;
        }
        Ok(Some(leaf.finish()))
    }

    /// Reads at `offset` what is in the partial file, up to the length of `buf`. Whether that counts the
    /// caller knows.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        Ok(read_full(buf, offset, |at, buf| self.partial.read_at(at, buf))?)
    }

    /// Copies a chunk from older content and hashes what arrived. False when that is not `digest`,
    /// or when somebody is filling the chunk.
    ///
    /// # Errors
    /// Those of the storage; the file has no such chunk.
    pub(super) fn copy_in(
        self: &Arc<Self>,
        chunk: ChunkNo,
        digest: &Digest,
        from: &dyn Content,
        at: Span,
    ) -> Result<bool> {
        let span = self.span(chunk)?;
        let Ok(_claim) = Claim::take(self, chunk) else {
            return Ok(false);
        };
        if span.len != at.len {
            return Ok(false);
        }
        self.partial.copy_from(from, at.offset, span.offset, u64::from(span.len))?;
        if self.leaf(chunk)? != Some(*digest) {
            return Ok(false);
        }
        self.allocate()?;
        Ok(true)
    }

    /// Makes every chunk durable whose write has returned.
    ///
    /// # Errors
    /// Those of the storage. After a failed sync the file is gone, and with it every chunk held:
    /// drop this and everything made from it, and open it anew.
    pub fn sync(&self) -> Result<()> {
        Ok(self.partial.sync()?)
    }

    /// Makes it content, durably. The caller has verified and synced every chunk. Repeatable.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn commit(&self) -> Result<()> {
        Ok(self.partial.commit(&self.root)?)
    }

    /// Gives it up and frees the disk.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn discard(&self) -> Result<()> {
        Ok(self.partial.discard()?)
    }

    fn span(&self, chunk: ChunkNo) -> Result<Span> {
        self.manifest.span(chunk).ok_or(ChunkerError::NoSuchChunk(chunk.0))
    }

    fn allocate(&self) -> std::result::Result<(), StorageError> {
        let mut allocated = self.allocated.lock().unwrap_or_else(PoisonError::into_inner);
        if !*allocated {
            self.partial.allocate()?;
            *allocated = true;
        }
        Ok(())
    }

    /// Pieces of unverified chunks go to their place as they come: the disk is reserved, and
    /// collecting a whole chunk would take up to 16 MiB for every connection.
    fn writes_through(&self) -> bool {
        self.manifest.chunk_size() > MIN_CHUNK
            && *self.allocated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to write one chunk.
struct Claim {
    assembly: Arc<Assembly>,
    chunk: ChunkNo,
}

impl Claim {
    fn take(assembly: &Arc<Assembly>, chunk: ChunkNo) -> Result<Self> {
        let mut claimed = assembly.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if !claimed.insert(chunk.0) {
            return Err(ChunkerError::ChunkBusy(chunk.0));
        }
        Ok(Self { assembly: Arc::clone(assembly), chunk })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = self.assembly.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.remove(&self.chunk.0);
    }
}

/// One chunk being received. It may outlive the response that its first bytes came in.
pub struct ChunkSink {
    claim: Claim,
    span: Span,
    leaf: LeafHasher,
    /// Bytes that came.
    received: u32,
    /// Bytes of those that are in the partial file.
    written: u32,
    pieces: Vec<Bytes>,
    /// Short pieces, copied together; they follow `pieces`.
    short: BytesMut,
}

impl ChunkSink {
    /// Which chunk it is.
    pub fn chunk(&self) -> ChunkNo {
        self.claim.chunk
    }

    /// How many of its bytes have come.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// How many of its bytes are still to come.
    pub fn missing(&self) -> u32 {
        self.span.len - self.received
    }

    /// Takes the next bytes: hashes them, and keeps them or writes them through.
    ///
    /// # Errors
    /// [`ChunkerError::TooLong`], and nothing of the piece is taken; those of the storage.
    pub fn push(&mut self, piece: Bytes) -> Result<()> {
        if piece.len() > self.missing() as usize {
            return Err(ChunkerError::TooLong { chunk: self.claim.chunk.0, len: self.span.len });
        }
        self.leaf.update(&piece);
        self.received += piece.len() as u32;
        self.keep(piece);
        if (self.received - self.written) as usize >= COLLECT && self.assembly().writes_through() {
            self.write()?;
        }
        Ok(())
    }

    /// Ends the chunk.
    ///
    /// # Errors
    /// [`ChunkerError::Short`] when bytes are missing.
    pub fn finish(mut self) -> Result<FilledChunk> {
        if self.missing() > 0 {
            let (chunk, len) = (self.claim.chunk.0, self.span.len);
            return Err(ChunkerError::Short { chunk, len, received: self.received });
        }
        let digest = std::mem::take(&mut self.leaf).finish();
        Ok(FilledChunk { sink: self, digest })
    }

    fn assembly(&self) -> &Arc<Assembly> {
        &self.claim.assembly
    }

    fn keep(&mut self, piece: Bytes) {
        if piece.len() < SHORT_PIECE {
            self.short.extend_from_slice(&piece);
        } else {
            self.end_short();
            self.pieces.push(piece);
        }
    }

    fn end_short(&mut self) {
        if !self.short.is_empty() {
            self.pieces.push(self.short.split().freeze());
        }
    }

    /// Writes what was collected to its place.
    fn write(&mut self) -> Result<()> {
        self.end_short();
        let at = self.span.offset + u64::from(self.written);
        self.assembly().partial.write_at(at, &self.pieces)?;
        self.pieces.clear();
        self.written = self.received;
        Ok(())
    }
}

/// A chunk that has all its bytes, not yet accepted. Dropping it rejects it.
pub struct FilledChunk {
    sink: ChunkSink,
    digest: Digest,
}

impl FilledChunk {
    /// Which chunk it is.
    pub fn chunk(&self) -> ChunkNo {
        self.sink.claim.chunk
    }

    /// The leaf digest of the bytes that came, for the caller to compare.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Writes an accepted chunk to its place; the first one reserves disk for the whole file.
    /// It is durable after the next [`Assembly::sync`].
    ///
    /// # Errors
    /// Those of the storage; the chunk then counts as not received.
    pub fn write(mut self) -> Result<()> {
        self.sink.assembly().allocate()?;
        self.sink.write()
    }
}

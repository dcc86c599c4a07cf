//! A file as numbered chunks: sizes, offsets, pages. Arithmetic only.
//!
//! Owns: the one function from a file's size to its chunk size. Not here: digests (see `merkle`).
//! Invariant: equal sizes are cut equally everywhere, so equal bytes have equal roots.
//! Spec: FILE-1 to FILE-3, FILE-6.

use serde::{Deserialize, Serialize};

use crate::ids::ChunkNo;

/// The smallest chunk, and the size of every chunk in files up to 16 GiB.
pub const MIN_CHUNK: u32 = 1 << 20;
/// The largest chunk.
pub const MAX_CHUNK: u32 = 16 << 20;
/// While a file has more chunks than this, its chunk size doubles (up to [`MAX_CHUNK`]).
pub const TARGET_CHUNKS: u64 = 16_384;
/// FILE-3: no file has more chunks than this.
pub const MAX_CHUNKS: u64 = 1_048_576;
/// The largest file: 16 TiB.
pub const MAX_FILE: u64 = MAX_CHUNKS * MAX_CHUNK as u64;
/// Chunk digests on one manifest page.
pub const PAGE: u32 = 4096;
/// A file of at most this many chunks has its digests in the `clone-sync` itself.
pub const INLINE_DIGESTS: u32 = 32;

/// A size above [`MAX_FILE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file of {0} bytes is larger than the protocol's 16 TiB")]
pub struct TooLarge(pub u64);

/// How a file of one size is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    size: u64,
    chunk_size: u32,
}

/// Where a chunk lies in its file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u32,
}

/// A run of consecutive chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkRange {
    /// The first chunk.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl ChunkRange {
    /// One past the last chunk. Wide, because a peer's range may claim anything.
    pub fn end(&self) -> u64 {
        u64::from(self.first) + u64::from(self.count)
    }

    /// Each chunk in order.
    pub fn iter(&self) -> impl Iterator<Item = ChunkNo> + use<> {
        (self.first..self.first.saturating_add(self.count)).map(ChunkNo)
    }

    /// Whether `chunk` lies in it.
    pub fn contains(&self, chunk: ChunkNo) -> bool {
        chunk.0 >= self.first && u64::from(chunk.0) < self.end()
    }
}

impl Manifest {
    /// FILE-1: the chunk size is a function of the size alone.
    pub fn of(size: u64) -> Result<Self, TooLarge> {
        if size > MAX_FILE {
            return Err(TooLarge(size));
        }
        let mut chunk_size = MIN_CHUNK;
        while chunk_size < MAX_CHUNK && size.div_ceil(u64::from(chunk_size)) > TARGET_CHUNKS {
            chunk_size *= 2;
        }
        Ok(Self { size, chunk_size })
    }

    /// For tests: many chunks in few bytes, which FILE-1 does not allow.
    #[doc(hidden)]
    pub fn with_chunk_size(size: u64, chunk_size: u32) -> Self {
        assert!(chunk_size > 0 && size.div_ceil(u64::from(chunk_size)) <= MAX_CHUNKS);
        Self { size, chunk_size }
    }

    /// Bytes in the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes in every chunk but the last.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// FILE-2: number of chunks; an empty file has none.
    pub fn chunks(&self) -> u32 {
        u32::try_from(self.size.div_ceil(u64::from(self.chunk_size))).expect("at most 2^20 chunks")
    }

    /// All chunks.
    pub fn all(&self) -> ChunkRange {
        ChunkRange { first: 0, count: self.chunks() }
    }

    /// Where a chunk lies; `None` beyond the end.
    pub fn span(&self, chunk: ChunkNo) -> Option<Span> {
        let offset = u64::from(chunk.0) * u64::from(self.chunk_size);
        (offset < self.size).then(|| Span {
            offset,
            len: u32::try_from((self.size - offset).min(u64::from(self.chunk_size)))
                .expect("at most a chunk"),
        })
    }

    /// Bytes in a run of chunks, cut at the end of the file.
    pub fn bytes(&self, range: ChunkRange) -> u64 {
        let size = u64::from(self.chunk_size);
        let end = (range.end().saturating_mul(size)).min(self.size);
        end.saturating_sub(u64::from(range.first) * size)
    }

    /// Number of manifest pages.
    pub fn pages(&self) -> u32 {
        self.chunks().div_ceil(PAGE)
    }

    /// The chunks whose digests stand on a page; empty beyond the end.
    pub fn page_chunks(&self, page: u32) -> ChunkRange {
        let first = u64::from(page) * u64::from(PAGE);
        let chunks = u64::from(self.chunks());
        if first >= chunks {
            return ChunkRange { first: self.chunks(), count: 0 };
        }
        let count = (chunks - first).min(u64::from(PAGE));
        ChunkRange { first: first as u32, count: count as u32 }
    }
}

/// The page on which a chunk's digest stands.
pub fn page_of(chunk: ChunkNo) -> u32 {
    chunk.0 / PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FILE-1: 1 MiB, doubled while there would be more than 16,384 chunks, at most 16 MiB.
    #[test]
    fn chunk_size_follows_from_size_alone() {
        let gib = 1 << 30;
        for (size, chunk) in [
            (0, 1),
            (1, 1),
            (16 * gib, 1),
            (16 * gib + 1, 2),
            (64 * gib, 4),
            (256 * gib, 16),
            (MAX_FILE, 16),
        ] {
            let manifest = Manifest::of(size).expect("within limits");
            assert_eq!(manifest.chunk_size(), chunk << 20, "size {size}");
        }
        assert_eq!(Manifest::of(MAX_FILE + 1), Err(TooLarge(MAX_FILE + 1)));
    }

    /// FILE-2: chunk n starts at n times the chunk size, the last may be short, an empty file has none.
    #[test]
    fn spans_cover_the_file_exactly() {
        let chunk = u64::from(MIN_CHUNK);
        for size in [0, 1, chunk - 1, chunk, chunk + 1, 5 * chunk + 1, 4097 * chunk] {
            let manifest = Manifest::of(size).expect("within limits");
            let mut at = 0;
            for no in manifest.all().iter() {
                let span = manifest.span(no).expect("inside");
                assert_eq!(span.offset, at);
                assert!(span.len > 0);
                at += u64::from(span.len);
            }
            assert_eq!(at, size);
            assert_eq!(manifest.bytes(manifest.all()), size);
            assert_eq!(manifest.span(ChunkNo(manifest.chunks())), None);
            let paged: u32 = (0..manifest.pages()).map(|p| manifest.page_chunks(p).count).sum();
            assert_eq!(paged, manifest.chunks());
        }
    }
}

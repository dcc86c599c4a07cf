//! Cuts files into chunks and puts chunks together.
//!
//! Owns: the way from a source to content in the storage ([`split`]), from bytes that are pushed to
//! content ([`intake`]), from verified chunks to content ([`assemble`]), from older content to chunks
//! ([`copy`]), and from content to its root once more ([`verify`]).
//! Not here: which chunks to ask for, whose digest to believe (`protocol::transfer`), jobs.
//! Invariant: memory does not grow with the size of a file (Invariant 7).
//! Spec: FILE-1, FILE-2, FILE-5 to FILE-8, FILE-13, FETCH-36, FETCH-37.
//!
//! Every call blocks, as those of the storage do.

pub mod assemble;
pub mod copy;
mod cut;
pub mod intake;
mod pages;
mod source;
pub mod split;
mod staging;
pub mod verify;

#[cfg(test)]
mod tests;

use zotferry_protocol::manifest::TooLarge;

use crate::storage::{Fault, Retry, StorageError};

pub use assemble::{Assembly, ChunkSink, FilledChunk};
pub use copy::copy_page;
pub use intake::Intake;
pub use split::{SmallBatch, Stored, store_file, store_reader};

/// Bytes read at once: 512 KiB keeps the disk busy (measured, ARCHITECTURE.md).
const READ: usize = 512 << 10;

type Result<T> = std::result::Result<T, ChunkerError>;

/// Why a file was not cut or not put together.
#[derive(Debug, thiserror::Error)]
pub enum ChunkerError {
    /// The storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What was to be stored cannot be read.
    #[error("reading the source: {0}")]
    Source(std::io::Error),
    /// What was to be stored is larger than any file may be.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// More bytes came than the chunk has.
    #[error("chunk {chunk} has {len} bytes, and more came")]
    TooLong {
        /// The chunk's number.
        chunk: u32,
        /// Its length in bytes.
        len: u32,
    },
    /// A chunk was ended before its last byte.
    #[error("chunk {chunk} has {len} bytes, {received} came")]
    Short {
        /// The chunk's number.
        chunk: u32,
        /// Its length in bytes.
        len: u32,
        /// How many bytes came.
        received: u32,
    },
    /// The chunk is being received or copied already; two writers could spoil it.
    #[error("chunk {0} is being filled already")]
    ChunkBusy(u32),
    /// The file has no chunk of this number.
    #[error("the file has no chunk {0}")]
    NoSuchChunk(u32),
}

impl ChunkerError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Storage(error) => error.fault(),
            Self::TooLong { .. } | Self::Short { .. } => Fault::Peer,
            Self::Source(_) => Fault::Us,
            Self::TooLarge(_) | Self::ChunkBusy(_) | Self::NoSuchChunk(_) => Fault::Caller,
        }
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Storage(error) => error.retry(),
            Self::TooLong { .. } | Self::Short { .. } => Retry::Elsewhere,
            Self::Source(_) | Self::ChunkBusy(_) => Retry::Later,
            Self::TooLarge(_) | Self::NoSuchChunk(_) => Retry::Never,
        }
    }
}

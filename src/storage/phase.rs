//! How far a partial file has come, the same for every backend.
//!
//! Owns: what is still allowed. Not here: the file.
//! Invariant: content never changes, so what has become content takes no more writes.

use super::{Result, StorageError};

/// How far a partial file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is being filled.
    Open,
    /// It has become content.
    Committed,
    /// It was discarded, or a sync of it failed.
    Abandoned,
}

impl Phase {
    /// Leave to write.
    pub(super) fn writable(self) -> Result<()> {
        match self {
            Self::Open => Ok(()),
            Self::Committed => Err(StorageError::Misuse("the partial file has become content")),
            Self::Abandoned => Err(StorageError::Abandoned("the partial file")),
        }
    }

    /// Leave to read, sync and commit.
    pub(super) fn usable(self) -> Result<()> {
        if self == Self::Committed { Ok(()) } else { self.writable() }
    }
}

//! What can go wrong when bytes are kept.
//!
//! Owns: the storage's errors, whose fault each is and whether trying again can help.
//! Not here: refusals that travel (see `zotferry_protocol::refusal`).

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::PartialKey;

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Who sent the bytes. Never the case for the storage itself, which knows no peers.
    Peer,
    /// This hub: its disk, its limits, its operator.
    Us,
    /// The code that called: a bug here, never a peer's doing.
    Caller,
}

/// Whether the same call can succeed when it is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No: the call itself is wrong.
    Never,
    /// Yes, once something has changed: room made, a disk mended, another writer gone.
    Later,
    /// Yes, at once, with a partial file begun anew.
    Anew,
    /// Yes, with bytes from somebody else.
    Elsewhere,
}

/// Why the storage did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk or the operator's quota is full (`ENOSPC`, `EDQUOT`, `SQLITE_FULL`).
    #[error("no space is left for {0}")]
    NoSpace(&'static str),
    /// Bytes were handed over but the disk did not confirm them; what was written is lost.
    #[error("syncing {what} failed: {source}")]
    SyncFailed {
        /// What was being made durable.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A sync failed before (Invariant 4), or it was discarded: it takes nothing any more.
    #[error("{0} is abandoned: a sync of it failed, or it was discarded")]
    Abandoned(&'static str),
    /// Somebody else has this partial file open; two writers could spoil each other's chunks.
    #[error("the partial file {0} is open already")]
    Busy(PartialKey),
    /// A commit of a partial file that never got its whole length.
    #[error("the partial file {key} has {have} of {size} bytes allocated")]
    Incomplete {
        /// Which one.
        key: PartialKey,
        /// Its length, in bytes.
        have: u64,
        /// The length it was opened with.
        size: u64,
    },
    /// Bytes beyond the size of their file.
    #[error("bytes {offset} to {end} lie outside a file of {size} bytes")]
    OutOfBounds {
        /// First byte.
        offset: u64,
        /// One past the last.
        end: u64,
        /// Size of the file.
        size: u64,
    },
    /// A call that can never be right, with the reason.
    #[error("{0}")]
    Misuse(&'static str),
    /// Kept bytes that cannot be what was stored: damage on the disk.
    #[error("{0} is damaged")]
    Damaged(&'static str),
    /// A part of a storage that may hold content is gone or cannot be trusted.
    #[error(
        "{} cannot be used ({detail}): restore the storage folder from a backup, or initialise a new hub and rebuild by importing each channel from a clone; nothing was changed",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A later release wrote the file.
    #[error(
        "{} has schema {found}, this program knows up to {known}: run the newer program, or restore a backup made before the upgrade",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema in the file.
        found: i64,
        /// The newest schema of this program.
        known: i64,
    },
    /// The system refused something else.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refused something else.
    #[error("{what}: {source}")]
    Rows {
        /// What was being done.
        what: &'static str,
        /// What SQLite said.
        source: sqlx::Error,
    },
}

impl StorageError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Busy(_) | Self::Incomplete { .. } => Fault::Caller,
            Self::OutOfBounds { .. } | Self::Misuse(_) => Fault::Caller,
            _ => Fault::Us,
        }
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::SyncFailed { .. } | Self::Abandoned(_) => Retry::Anew,
            Self::Incomplete { .. } | Self::OutOfBounds { .. } | Self::Misuse(_) => Retry::Never,
            Self::Damaged(_) | Self::Unusable { .. } | Self::Newer { .. } => Retry::Never,
            Self::NoSpace(_) | Self::Busy(_) | Self::Io { .. } | Self::Rows { .. } => Retry::Later,
        }
    }

    /// Names what was being done; a full disk or quota becomes [`StorageError::NoSpace`].
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let errno = source.raw_os_error();
            if errno == Some(Errno::NOSPC.raw_os_error())
                || errno == Some(Errno::DQUOT.raw_os_error())
            {
                return Self::NoSpace(what);
            }
            Self::Io { what, source }
        }
    }

    /// The same for what rustix returns.
    pub(crate) fn errno(what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::io(what)(errno.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full disk and a full quota are told apart from every other failure.
    #[test]
    fn full_disk_and_full_quota_are_no_space() {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            let error = StorageError::errno("a write")(errno);
            assert!(matches!(error, StorageError::NoSpace("a write")), "{error}");
            assert_eq!((error.fault(), error.retry()), (Fault::Us, Retry::Later));
        }
        let error = StorageError::errno("a write")(Errno::IO);
        assert!(matches!(error, StorageError::Io { .. }), "{error}");
    }
}

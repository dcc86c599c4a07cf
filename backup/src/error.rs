//! Why a backup cannot be written or read.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// On which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// There is no backup in the folder.
    #[error("{} is no backup: it has no file backup.jsonl; `zotferry export` makes one", .0.display())]
    None(PathBuf),
    /// A later release wrote it.
    #[error(
        "the backup has format version {0}, this program reads version 1: run the newer program"
    )]
    Newer(u64),
    /// The head says something that cannot be.
    #[error("the head of the backup, backup.jsonl, does not hold: {0}")]
    Header(String),
    /// The index is not the one that was signed.
    #[error("the index of the backup is damaged or missing: {0}")]
    Index(String),
    /// A metadata file says something that cannot be.
    #[error("a metadata file does not hold: {0}")]
    Entry(String),
    /// Another program is at work on the folder.
    #[error("{} is being written by another program; wait until it is done", .0.display())]
    Busy(PathBuf),
    /// A backup of another channel lies there.
    #[error("{} holds a backup of another channel, {channel}; choose another folder", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        channel: String,
    },
    /// The folder holds something else.
    #[error("{} is not empty and is no backup; choose another folder", .0.display())]
    NotEmpty(PathBuf),
    /// The key could not sign.
    #[error("the index could not be signed: {0}")]
    Sign(String),
    /// A thread of this program ended.
    #[error("a worker thread ended")]
    Worker,
}

impl BackupError {
    /// Names the file that something was done to.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

pub(crate) type Result<T> = std::result::Result<T, BackupError>;

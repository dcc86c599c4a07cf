//! What reading a backup again finds, and what it adds up to.
//!
//! Spec: BACKUP-12, BACKUP-18 to BACKUP-20.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Which part of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The index.
    Index,
    /// The identity under a passphrase.
    Identity,
    /// The list for people.
    List,
    /// A metadata file.
    Metadata,
    /// The digests of a large content.
    Digests,
    /// A data file.
    Data,
    /// None of them.
    Other,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It is not what was signed.
    Damaged(String),
    /// It is not there.
    Missing,
    /// The index does not name it. Harmless; `true` for what an earlier run made.
    Extra(bool),
    /// BACKUP-12: it was not on the hub when the backup was made.
    NotThen,
}

/// One file that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub part: Part,
    /// Its name in the backup's folder.
    pub name: String,
    /// The path of the entry that it belongs to.
    pub path: Option<String>,
    /// What is wrong.
    pub trouble: Trouble,
    /// Whether it was made whole.
    pub mended: bool,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Entries.
    pub entries: u64,
    /// Data files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that are damaged or missing and were not mended.
    pub bad: u64,
    /// Files that were mended.
    pub mended: u64,
    /// Files that the index does not name.
    pub extra: u64,
    /// Contents that were not on the hub when the backup was made.
    pub not_then: u64,
}

/// The sums as the threads add them up.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) entries: AtomicU64,
    pub(crate) files: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) bad: AtomicU64,
    pub(crate) mended: AtomicU64,
    pub(crate) extra: AtomicU64,
    pub(crate) not_then: AtomicU64,
}

impl Tally {
    pub(crate) fn sums(&self) -> Sums {
        let of = |count: &AtomicU64| count.load(Relaxed);
        Sums {
            entries: of(&self.entries),
            files: of(&self.files),
            bytes: of(&self.bytes),
            bad: of(&self.bad),
            mended: of(&self.mended),
            extra: of(&self.extra),
            not_then: of(&self.not_then),
        }
    }
}

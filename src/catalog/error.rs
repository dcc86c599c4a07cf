//! What can go wrong with the catalog, and what a person can do about it.
//!
//! Owns: the error type and its sorting of SQLite's codes. Not here: where they arise.
//! Invariant: the text of an error that stops the hub names the file and the next step.

use std::path::PathBuf;

use zotferry_protocol::version::VersionError;

/// Why the catalog did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Nothing lies at the path.
    #[error(
        "no catalog at {}: initialise the hub, or restore the file from a backup",
        path.display()
    )]
    Missing {
        /// Where it was expected.
        path: PathBuf,
    },
    /// Something lies already at the path of a catalog to be created.
    #[error("{} exists already and is left as it is: choose another data folder", path.display())]
    Exists {
        /// What is in the way.
        path: PathBuf,
    },
    /// The creation of the catalog was cut short: nothing was ever in it.
    #[error(
        "the catalog {} was never finished or has been emptied: restore it from a backup, or remove it and initialise the hub again",
        path.display()
    )]
    Unfinished {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error(
        "{} is not a catalog ({detail}): restore it from a backup; the file was left untouched",
        path.display()
    )]
    NotACatalog {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        detail: String,
    },
    /// The file is a catalog and cannot be trusted.
    #[error(
        "the catalog {} is damaged ({detail}): restore it from a backup, or initialise a new hub and rebuild by importing each channel from a clone; the damaged file was left untouched",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found.
        detail: String,
    },
    /// A later release wrote the file.
    #[error(
        "the catalog {} has schema {found}, this program knows up to {known}: run the newer program, or restore a backup made before the upgrade",
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
    /// A stored value is not what was ever stored there, or a page cannot be read.
    #[error(
        "the catalog is damaged ({0}): stop the hub, then restore a backup or rebuild by importing each channel from a clone"
    )]
    Corrupt(String),
    /// SYNC-21: the versions of an entry leave no room for one more edit. Only a clone that lies about its edits brings
    /// that about.
    #[error(
        "this entry cannot be changed any more: {0}. A clone of the channel claimed more edits than can be counted; copy the \
         file under another name, remove that clone, and rotate the channel's key"
    )]
    Unchangeable(VersionError),
    /// Another process holds the catalog for longer than we wait.
    #[error("the catalog is busy: another process is writing to it")]
    Busy,
    /// The disk below the catalog is full. Nothing was changed.
    #[error("no space left for the catalog")]
    Full,
    /// A write failed below us earlier, so that what is on disk is not known any more.
    #[error("the catalog stopped after a failed write: check the disk, then restart the hub")]
    Failed,
    /// No such channel.
    #[error("no such channel")]
    UnknownChannel,
    /// A channel of that nick or id is there already.
    #[error("a channel of that nick or id is here already")]
    ChannelTaken,
    /// A name that no entry can have.
    #[error("\"{}\" cannot be a file name: {why}", name.escape_debug())]
    BadName {
        /// The name.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A value that the catalog cannot hold.
    #[error("{0}")]
    BadValue(&'static str),
    /// The channel has no room for it.
    #[error("over the channel's quota: {needed} bytes needed, the quota is {quota}")]
    OverQuota {
        /// Bytes used and reserved if this were stored.
        needed: u64,
        /// Bytes allowed.
        quota: u64,
    },
    /// What was replaced or removed is kept for a while, and there is no room for more of it.
    #[error(
        "what was replaced or removed takes {kept} bytes, beside a quota of {quota}, until every clone has heard of it: try again later"
    )]
    OverKept {
        /// Bytes kept.
        kept: u64,
        /// Bytes that the channel may use.
        quota: u64,
    },
    /// The channel has as many entries and items as it may.
    #[error("a channel may have {0} entries and items on this hub, removed ones among them")]
    TooManyEntries(u64),
    /// Titles, tags, access lists, items and dead properties take as much as they may.
    #[error("titles, tags, posts and properties of a channel may take {0} bytes on this hub")]
    TooMuchText(u64),
    /// A stored version was not understood by the caller.
    #[error("a stored version cannot be read: {0}")]
    Version(String),
    /// The file system below the catalog.
    #[error("the catalog's file: {0}")]
    Io(#[from] std::io::Error),
    /// Anything else that SQLite says.
    #[error("the catalog's database: {0}")]
    Sql(#[source] sqlx::Error),
}

impl From<sqlx::Error> for CatalogError {
    fn from(error: sqlx::Error) -> Self {
        match primary_code(&error) {
            Some(5 | 6) => Self::Busy,
            Some(11 | 26) => Self::Corrupt(error.to_string()),
            Some(13) => Self::Full,
            _ => match error {
                sqlx::Error::PoolTimedOut => Self::Busy,
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                    Self::Corrupt(error.to_string())
                }
                _ => Self::Sql(error),
            },
        }
    }
}

impl CatalogError {
    /// Whether the channel may not hold more.
    pub fn is_over_bounds(&self) -> bool {
        matches!(
            self,
            Self::OverQuota { .. }
                | Self::OverKept { .. }
                | Self::TooManyEntries(_)
                | Self::TooMuchText(_)
        )
    }

    /// Whether a write may have reached the disk in part (SQLITE_IOERR), so that no later write can be relied on.
    pub(super) fn leaves_disk_unknown(&self) -> bool {
        matches!(self, Self::Sql(error) if primary_code(error) == Some(10))
    }

    /// Whether it is a UNIQUE constraint that refused.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

/// SQLite's primary result code: the low byte of the extended one (sqlite.org/rescode.html).
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

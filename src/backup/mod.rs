//! A channel's files out of this hub into a backup, and back.
//!
//! Owns: what of a channel goes into a backup, and how it comes out of one. Not here: the format
//! (`zotferry_backup`), merging (`packets`), who asks (`local`).
//! Invariant: what comes out of a backup is treated as what came from another clone: merged by its
//! versions, its bytes compared with their digests before anybody sees them.
//!
//! | file | knows |
//! |---|---|
//! | `export.rs` | the pass over the catalog, page by page, and who writes |
//! | `shelve.rs` | an entry's contents: digests, and bytes by link, copy or row |
//! | `restore.rs` | entries of a backup into the catalog, then their bytes |
//! | `bring.rs` | bytes of a backup into the storage |
//! | `receive.rs` | a backup that is brought over the network: statements, and bytes |
//! | `spool.rs`, `upload.rs`, `waiting.rs` | one that is uploaded file by file, in any order: what waits for what, and how much |
//!
//! Spec: BACKUP-9 to BACKUP-13, BACKUP-16, BACKUP-22 to BACKUP-25, ID-20.

mod bring;
mod export;
mod receive;
mod restore;
mod shelve;
mod spool;
mod upload;
mod waiting;

use zotferry_backup::BackupError;
use zotferry_protocol::refusal::Refusal;

use crate::catalog::CatalogError;
use crate::channels::ChannelError;
use crate::channels::export::ExportError;
use crate::hub::HubError;
use crate::items::ItemError;
use crate::storage::StorageError;

pub use bring::Brought;
pub use export::{ExportEvent, ExportOptions, Exported, export};
pub use receive::{Body, Bringers};
pub use restore::{RestoreOptions, restore};
pub use spool::{Held, PER_FILE, Spool, clear_uploads, take as take_upload};
pub use waiting::Waiting;

/// Why a backup was not made, or not brought back.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The channel has another key than the one that is here.
    #[error(
        "the newest key of {0} is not on this hub, so that nothing can be signed; import it first"
    )]
    OldKey(String),
    /// The channel is not here.
    #[error(
        "the backup is of the channel {nick} ({id}), which does not live on this hub; import its identity \
         first (`zotferry channel import`), or make the backup with --with-identity"
    )]
    NoChannel {
        /// Its name where the backup was made.
        nick: String,
        /// Its id.
        id: String,
    },
    /// The backup is signed by a key that the channel's chain here does not have.
    #[error(
        "the key that signed the backup is not one of the channel's keys on this hub; if the key was \
         rotated, import the channel's identity first"
    )]
    OtherKey,
    /// The channel has left.
    #[error("the channel {0} has left this hub; import its identity to bring it back")]
    Left(String),
    /// The identity in the backup.
    #[error("the identity in the backup: {0}")]
    Identity(#[from] ExportError),
    /// The identity could not be taken.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A row of an item.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// What came out of a backup could not be merged.
    #[error("entries could not be merged: {0}")]
    Merge(Refusal),
    /// A row of the catalog that does not hold together.
    #[error("{0}")]
    Row(String),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
    /// Nobody waits for it any more.
    #[error("it was broken off; the next run goes on from here")]
    Stopped,
}

//! The catalog: channels, their locations, entries and contents, and what was answered to whom.
//!
//! It is the truth of the hub, in one SQLite file (WAL, `synchronous = FULL`). The queue and the
//! partial files can be rebuilt from it; it can be rebuilt from nothing but a backup or a clone.
//!
//! Owns: the file, its schema (`migrations/`), its transactions. Not here: bytes of files (storage),
//! jobs (queue), private keys (files of their own), the meaning of versions (the caller compares them
//! inside a transaction of [`Apply`]).
//! Invariant: a function that has returned `Ok` has its change on disk; one that returns an error
//! has changed nothing.
//!
//! One writer: every change is one `BEGIN IMMEDIATE` transaction on one connection, a few readers
//! beside it. A call costs tens of microseconds, so lists go in as one JSON parameter (`json_each`),
//! and a packet of 256 operations takes about ten statements.
//!
//! | file | knows |
//! |---|---|
//! | `open.rs`, `hub.rs` | creating, opening, damage, migrations; facts about the whole catalog |
//! | `channels.rs` | channels, quota, clock |
//! | `sites.rs`, `locations.rs` | hubs; which channel is where, and how far each clone has got |
//! | `attach.rs`, `tree.rs`, `listing.rs` | entries as rows; as a tree of names; as a folder is told |
//! | `data.rs`, `wanted.rs`, `arrived.rs`, `serve.rs` | contents: rows, what to fetch, what came or was given up, what may be served |
//! | `sources.rs` | whom to ask for what is wanted |
//! | `bounds.rs` | what a channel may hold, and whether a change kept to it |
//! | `put.rs`, `filing.rs` | local puts, many to a transaction |
//! | `edit/` | other local edits: make, move, copy, remove, describe; entries brought from other hub software |
//! | `places.rs` | what is derived: where folders lie, which removed ones come back |
//! | `passwords.rs`, `properties.rs` | app passwords and dead properties, for WebDAV |
//! | `item.rs`, `news.rs` | posts, comments and likes on entries; what the hook has not been told |
//! | `apply.rs` | a received packet as one transaction |
//! | `watch.rs` | what was mirrored from folders of this machine |
//! | `trie.rs`, `ranges.rs`, `compared.rs` | what a channel adds up to; parts of it; how clones were found |
//! | `tombstones.rs`, `scrub.rs` | removed entries that nobody needs; contents that are damaged |
//! | `overview.rs` | how channels and clones are, for whoever runs the hub |
//! | `saved.rs` | all entries in the order of their ids, for a backup |
//! | `outbox.rs`, `reports.rs`, `replay.rs` | operations to deliver; what clones answered; what we answered |
//!
//! Spec: SYNC-3 to SYNC-32, SIGN-8, SIGN-9, SIGN-12.

mod apply;
mod arrived;
mod attach;
mod bounds;
mod channels;
mod columns;
mod compared;
mod data;
mod edit;
mod error;
mod filing;
mod hub;
mod item;
mod keys;
mod leaving;
mod listing;
mod locations;
mod migrations;
mod news;
mod open;
mod outbox;
mod overview;
mod passwords;
mod photos;
mod places;
mod properties;
mod put;
mod ranges;
mod replay;
mod reports;
mod saved;
mod scrub;
mod serve;
mod sites;
mod sources;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tombstones;
mod tree;
mod trie;
mod wanted;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqlitePool, Transaction};

pub use apply::{Apply, Want, Wanted};
pub use attach::Attach;
pub use bounds::{FREE_TEXT, Most};
pub use channels::{Channel, NewChannel};
pub use columns::VersionBytes;
pub use compared::{Compared, Comparison};
pub use data::{Data, DataState, Source};
pub use edit::{Became, Brought, EditError, ItemsFiled, Maker, MetaChange, Renamed, RoleContent};
pub use error::CatalogError;
pub use hub::LastStop;
pub use item::{Item, Named};
pub use keys::{NoticeRow, Turn};
pub use listing::Listed;
pub use locations::{Lag, Located, Location, LocationState, NewLocation, Placed, primary};
pub use news::{News, Subject};
pub use outbox::{Arrivals, Heads, Outbox, OutboxEntry};
pub use overview::{ChannelOverview, CloneOverview, Overview};
pub use passwords::{AppPassword, SecretHash};
pub use photos::plain_rows;
pub use properties::{MAX_PROPERTIES, MAX_PROPERTY, Property};
pub use put::{Access, Author, Change, Clash, Filed, LocalContent, LocalPut, PutBatch};
pub use ranges::{ListedLeaf, Whole};
pub use reports::OpReport;
pub use saved::{Saved, SavedPage};
pub use scrub::{GivenUp, ScrubMark};
pub use serve::{ContentName, Served};
pub use sites::{NewSite, Site};
pub use wanted::{Cursor, SizeClass, Tally};
pub use watch::{Mark, Watched, join};

/// The row id of a channel in this catalog; means nothing elsewhere.
pub type ChannelNo = i64;
/// The row id of a site in this catalog.
pub type SiteNo = i64;
/// The row id of one content of one entry: what the queue's jobs refer to. Never used twice.
pub type WantedNo = i64;

/// The row id of a folder that is mirrored into a channel.
pub type WatchNo = i64;

/// An open catalog.
#[derive(Debug)]
pub struct Catalog {
    writer: SqlitePool,
    readers: SqlitePool,
    /// One more, for [`Catalog::overview`] alone.
    owner: SqlitePool,
    instance: [u8; 16],
    last_stop: LastStop,
    failed: AtomicBool,
    most: Most,
}

impl Catalog {
    /// A random number of this catalog, so that a queue or a partial file made for another one is known as such.
    pub fn instance(&self) -> [u8; 16] {
        self.instance
    }

    /// How the last process that served from this catalog ended, as found when it was opened.
    pub fn last_stop(&self) -> LastStop {
        self.last_stop
    }

    /// Whether changes are still accepted: none are after a write failed ([`CatalogError::Failed`]).
    pub fn health(&self) -> Result<(), CatalogError> {
        match self.failed.load(Ordering::Acquire) {
            true => Err(CatalogError::Failed),
            false => Ok(()),
        }
    }

    /// Closes every connection and folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.owner.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, CatalogError> {
        Ok(self.readers.acquire().await?)
    }

    /// One snapshot for several reads.
    async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        Ok(self.readers.begin().await?)
    }

    /// The one write transaction; others wait. It rolls back when dropped.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        self.health()?;
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Durable when it returns. After an I/O error nothing more is written: what the disk then
    /// holds is not known, and a later success would stand on it.
    async fn commit(&self, transaction: Transaction<'static, Sqlite>) -> Result<(), CatalogError> {
        transaction.commit().await.map_err(|error| {
            let error = CatalogError::from(error);
            if error.leaves_disk_unknown() {
                self.failed.store(true, Ordering::Release);
            }
            error
        })
    }
}

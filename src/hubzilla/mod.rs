//! The files of a Hubzilla channel, adopted out of Hubzilla's database and its `store` folder.
//!
//! Owns: the order: folders, files with their photos, items; what is told. Not here: what an entry becomes in
//! the catalog (`catalog::edit::bring`), whether an item is taken (`files::add_items`).
//! Invariant: nothing of Hubzilla's is written. Whatever stands in the database is a claim: a name, a path or a
//! size that does not hold is told and left out; no entry is made for bytes that are not there.
//! Spec: SYNC-6, SYNC-7, SYNC-19, PHOTO-2, PHOTO-3, ITEM-3.
//!
//! | file | knows |
//! |---|---|
//! | `address.rs` | the URL of a database, without its password where a person sees it |
//! | `database.rs` | two kinds of database, asked for lines of text |
//! | `table.rs` | the columns of a table; a line as a map |
//! | `queries.rs` | what is asked, page by page |
//! | `row.rs` | maps as rows that travel |
//! | `store.rs` | the folder that the bytes lie in |
//! | `folders.rs`, `files.rs`, `content.rs`, `items.rs` | what becomes of each |
//!
//! Memory is bounded by a page of rows: every page is a statement of its own, so that no cursor waits while
//! files are read.

mod address;
mod content;
mod database;
mod files;
mod folders;
mod items;
mod people;
mod queries;
mod row;
mod store;
mod table;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use zotferry_protocol::identity::BaseUrl;

use crate::catalog::{CatalogError, Channel};
use crate::chunker::ChunkerError;
use crate::files::{AddItemsError, EditError, Skipped};
use crate::hub::Hub;
use queries::Queries;
use store::Store;

pub use address::{Address, BadAddress};

/// Why adopting ended early. What was entered before stays.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The database's URL.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// It could not be opened.
    #[error("the database {0} cannot be opened: {1}")]
    Open(Address, sqlx::Error),
    /// It does not answer.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// It is not Hubzilla's, or of a version that is not known.
    #[error("the database has no column {1} in a table {0}: is it Hubzilla's?")]
    Schema(&'static str, &'static str),
    /// Another channel's, perhaps.
    #[error("the database has no channel with the id of {0}; it has {1}")]
    NoChannel(String, String),
    /// Its URL is not in the database.
    #[error(
        "the database does not say at which URL Hubzilla runs, by which links in posts are known; say it with --url"
    )]
    NoUrl,
    /// The store folder.
    #[error("the store {path}: {1}", path = .0.display())]
    Store(PathBuf, std::io::Error),
    /// The catalog; over quota among other things.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The storage; a full disk among other things.
    #[error(transparent)]
    Chunker(#[from] ChunkerError),
    /// An item.
    #[error(transparent)]
    Items(#[from] AddItemsError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

impl From<CatalogError> for AdoptError {
    fn from(error: CatalogError) -> Self {
        Self::Edit(error.into())
    }
}

/// What is to be adopted.
pub struct Adopting {
    /// The database.
    pub database: Address,
    /// Hubzilla's folder `store`.
    pub store: PathBuf,
    /// The URL at which Hubzilla runs; without it the database is asked.
    pub url: Option<BaseUrl>,
    /// Reads also files that the channel has already.
    pub checksum: bool,
}

/// What is told on the way.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HubzillaEvent {
    /// What the database says that there is.
    Begin {
        /// Folders.
        folders: u64,
        /// Files.
        files: u64,
        /// Bytes of all files.
        bytes: u64,
    },
    /// A file or folder is in the catalog.
    Done {
        /// Its id.
        hash: String,
        /// Its path as the database has it.
        path: String,
        /// Whether it is a folder.
        folder: bool,
        /// Bytes.
        size: u64,
        /// `created`, `replaced` or `unchanged`.
        change: String,
    },
    /// Bytes are not there, or not as many as the row says: no entry was made of them.
    Missing {
        /// The path of the file as the database has it.
        path: String,
        /// Where its bytes should be, below the store.
        store: String,
        /// How many there should be.
        expected: u64,
        /// How many there are; nothing where there is no file.
        found: Option<u64>,
        /// The scale of a photo; nothing for the file itself.
        scale: Option<u8>,
    },
    /// Something was left out.
    Skipped(Skipped),
    /// Something was adopted, but not as it was.
    Changed(Skipped),
    /// Posts and comments, some of them.
    Items {
        /// New ones.
        added: u64,
        /// Changed ones.
        changed: u64,
        /// Ones that were here.
        unchanged: u64,
        /// Ones that have nothing to do with files.
        elsewhere: u64,
    },
}

/// One run.
struct Import<'a> {
    hub: &'a Arc<Hub>,
    channel: &'a Channel,
    queries: Queries,
    store: Arc<Store>,
    checksum: bool,
    /// Folders that were not come upon yet.
    folders_left: u64,
    events: &'a mpsc::Sender<HubzillaEvent>,
}

/// Adopts the channel's files out of a database and a store. What is here already is passed over: run again,
/// it goes on.
pub async fn adopt(
    hub: &Arc<Hub>,
    channel: &Channel,
    what: Adopting,
    events: &mpsc::Sender<HubzillaEvent>,
) -> Result<(), AdoptError> {
    let Adopting { database, store, url, checksum } = what;
    let store = Store::open(&store).map_err(|error| AdoptError::Store(store, error))?;
    let queries = Queries::open(&database, channel).await?;
    let store = Arc::new(store);
    let folders_left = 0;
    let mut import = Import { hub, channel, queries, store, checksum, folders_left, events };
    import.begin().await?;
    import.folders().await?;
    import.files().await?;
    import.items(url).await
}

impl Import<'_> {
    async fn begin(&mut self) -> Result<(), AdoptError> {
        let (folders, files, bytes) = self.queries.count().await?;
        self.folders_left = folders;
        self.tell(HubzillaEvent::Begin { folders, files, bytes }).await;
        let doubled = self.queries.doubled().await?;
        if doubled > 0 {
            let reason = format!("{doubled} rows have the id of an earlier row");
            self.skip("attach", reason).await;
        }
        Ok(())
    }

    async fn tell(&self, event: HubzillaEvent) {
        // Who does not listen any more need not hear.
        self.events.send(event).await.ok();
    }

    async fn skip(&self, path: &str, reason: impl ToString) {
        let (path, reason) = (path.to_owned(), reason.to_string());
        self.tell(HubzillaEvent::Skipped(Skipped { path, reason })).await;
    }
}

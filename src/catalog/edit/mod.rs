//! Edits made here: folders made, entries moved, copied, removed, described.
//!
//! Owns: the transaction that an edit is, one file per kind of edit. Not here: puts (`put`), received
//! edits (`apply`), what is derived from them (`places`).
//! Invariant: each changed entry gets an operation id and the channel's next number together with the
//! change, in one transaction; a register gets a version only if it changed.
//! Spec: SYNC-3, SYNC-6, SYNC-23, SYNC-33, SYNC-39.

mod bring;
mod copy;
mod item;
mod meta;
mod mkdir;
mod remove;
mod rename;
mod sight;

use std::collections::HashMap;

use sqlx::{Sqlite, SqliteConnection, Transaction};
use zotferry_protocol::codec;
use zotferry_protocol::ids::{Millis, ResourceId};
use zotferry_protocol::packets::Op;
use zotferry_protocol::version::Version;

use super::attach::{self, check_name};
use super::bounds::Bounds;
use super::channels::{Channel, channel_in};
use super::columns::{VersionBytes, integer};
use super::error::CatalogError;
use super::put::Author;
use super::{Attach, Catalog, ChannelNo, data, places, tree};

pub use bring::{Became, Brought};
pub use item::ItemsFiled;
pub use meta::{MetaChange, RoleContent};

/// Why an edit was not made. Nothing was changed, or (removing and copying what does not fit one
/// transaction) whole entries were.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Nothing is at the path.
    #[error("no such file or folder")]
    NotFound,
    /// The folder that should hold it is missing, or is a file.
    #[error("the folder that it would lie in does not exist")]
    NoParent,
    /// Something of that name is there.
    #[error("something of that name is there already")]
    Exists,
    /// A file was asked for.
    #[error("it is a folder")]
    IsFolder,
    /// A folder cannot be moved or copied below itself, nor replace what it lies in.
    #[error("a folder cannot be put into itself")]
    IntoItself,
    /// The channel's top is no entry.
    #[error("the top of a channel cannot be changed")]
    Top,
    /// The catalog: a bad name, over quota, a full disk.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<sqlx::Error> for EditError {
    fn from(error: sqlx::Error) -> Self {
        Self::Catalog(error.into())
    }
}

/// What an entry became by a move or as a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// As it is now.
    pub entry: Attach,
    /// Whether something was there that it replaced.
    pub replaced: bool,
}

/// Who edits, and when.
pub struct Maker<'a> {
    /// Whose entries.
    pub channel: ChannelNo,
    /// Portable id of who makes what is new.
    pub creator: String,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    pub date: String,
    /// The time.
    pub now: Millis,
    /// Makes ids and versions.
    pub author: &'a mut dyn Author,
}

/// SYNC-44: the version that an edit of an entry's content replaces: what a removal had seen counts as seen, or
/// the entry would stay removed.
pub(super) fn seen_content(row: &Attach) -> Result<Option<VersionBytes>, CatalogError> {
    let (Some(content), Some(removed)) = (&row.content_version, &row.removed_version) else {
        return Ok(row.content_version.clone().or_else(|| row.removed_version.clone()));
    };
    let joined = Version::joined(&[decoded(content)?, decoded(removed)?]);
    let joined = joined.map_err(|e| CatalogError::Corrupt(e.to_string()))?;
    Ok(joined.map(|version| VersionBytes(codec::encode(&version))))
}

fn decoded(bytes: &VersionBytes) -> Result<Version, CatalogError> {
    codec::decode_owned(&bytes.0).map_err(|e| CatalogError::Corrupt(format!("a version: {e}")))
}

/// Entries of a folder looked at in one go.
const PAGE: u32 = 500;

/// One edit on its way into the catalog.
struct Edit<'c, 'm, 'a> {
    catalog: &'c Catalog,
    tx: Transaction<'static, Sqlite>,
    maker: &'m mut Maker<'a>,
    channel: Channel,
    bounds: Bounds,
    hlc: u64,
    seq: u64,
    before: HashMap<ResourceId, Attach>,
    changed: Vec<Attach>,
}

impl<'c, 'm, 'a> Edit<'c, 'm, 'a> {
    async fn begin(catalog: &'c Catalog, maker: &'m mut Maker<'a>) -> Result<Self, CatalogError> {
        let mut tx = catalog.begin().await?;
        let channel = channel_in(&mut tx, maker.channel).await?;
        let bounds = Bounds::of(catalog, &mut tx, &channel).await?;
        let (hlc, seq) = (channel.hlc, channel.seq);
        let (before, changed) = (HashMap::new(), Vec::new());
        Ok(Self { catalog, tx, maker, channel, bounds, hlc, seq, before, changed })
    }

    /// The entry at a path.
    async fn at(&mut self, path: &[String]) -> Result<Option<Attach>, CatalogError> {
        tree::walk(&mut self.tx, self.channel.id, path).await
    }

    /// The folder at a path: `None` is the top.
    async fn folder_at(&mut self, path: &[String]) -> Result<Option<ResourceId>, EditError> {
        if path.is_empty() {
            return Ok(None);
        }
        let found = self.at(path).await?.filter(|row| row.is_dir);
        found.map(|row| Some(row.hash)).ok_or(EditError::NoParent)
    }

    /// The next entries of a folder (`None`: the top) after one by name and id.
    async fn page(
        &mut self,
        folder: Option<&ResourceId>,
        after: Option<&(String, ResourceId)>,
    ) -> Result<Vec<Attach>, CatalogError> {
        let after = after.map(|(name, hash)| (name.as_str(), hash));
        tree::children_in(&mut self.tx, self.channel.id, folder, after, PAGE).await
    }

    /// A fresh version of a register.
    fn version(&mut self, previous: Option<&VersionBytes>) -> Result<VersionBytes, CatalogError> {
        self.maker.author.version(previous, &mut self.hlc)
    }

    /// Files a row that an edit changed: its operation and its number are new.
    fn file(&mut self, before: Option<Attach>, mut row: Attach, op: Op) {
        self.seq += 1;
        row.op = op;
        row.op_id = self.maker.author.operation();
        row.seq = Some(self.seq);
        if let Some(before) = before {
            self.before.entry(before.hash.clone()).or_insert(before);
        }
        self.changed.push(row);
    }

    /// A new entry of the maker's with neither content nor access lists.
    fn blank(&mut self, name: &str, folder: Option<ResourceId>) -> Result<Attach, CatalogError> {
        check_name(name)?;
        let version = self.version(None)?;
        let hash = self.maker.author.resource();
        Ok(attach::blank(
            hash,
            name,
            folder,
            &version,
            &self.maker.creator,
            &self.maker.date,
            self.maker.author.operation(),
        ))
    }

    /// Writes what was filed so far; the transaction stays open.
    async fn write(&mut self) -> Result<(), CatalogError> {
        let changed = std::mem::take(&mut self.changed);
        let before = std::mem::take(&mut self.before);
        write_rows(&mut self.tx, self.channel.id, &changed, &before, self.maker.now).await
    }

    /// Writes the rest, looks whether the channel may hold it all, and commits: durable when it returns.
    async fn commit(mut self) -> Result<(), CatalogError> {
        self.write().await?;
        self.bounds.keep(&mut self.tx).await?;
        sqlx::query("UPDATE channel SET seq = ?2, hlc = ?3 WHERE id = ?1")
            .bind(self.channel.id)
            .bind(integer(self.seq)?)
            .bind(self.hlc.cast_signed())
            .execute(&mut *self.tx)
            .await?;
        self.catalog.commit(self.tx).await
    }
}

/// Rows with all that follows from them: contents of what is gone are released, folders lie and live
/// as the registers say.
pub(super) async fn write_rows(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    changed: &[Attach],
    before: &HashMap<ResourceId, Attach>,
    now: Millis,
) -> Result<(), CatalogError> {
    attach::upsert(tx, channel, changed).await?;
    let gone = changed.iter().filter(|row| !row.alive && !row.is_dir).map(|row| &row.hash);
    data::release_entries(tx, channel, gone, now).await?;
    places::settle(tx, channel, changed, before).await
}

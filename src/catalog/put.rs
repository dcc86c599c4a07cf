//! Local puts: many files and folders, made on this hub, entered in one transaction.
//!
//! Owns: what a caller says about them, the writing. Not here: which row each becomes (`filing`),
//! storing their bytes, the versions (an [`Author`] makes them).
//! Invariant: every change gets an operation id and the channel's next number, in one transaction
//! with the change: nothing is stored that will not be delivered, and nothing is delivered that is not.
//! Spec: SYNC-3, SYNC-12, SYNC-14, SYNC-22, SYNC-23.

use sqlx::SqliteConnection;
use zotferry_protocol::ids::{Digest, Millis, OpId, ResourceId, Role};

use super::arrived::mark_present;
use super::attach::{self, Attach, check_name};
use super::bounds::Bounds;
use super::channels::channel_in;
use super::columns::{Hex, VersionBytes, integer, list};
use super::data::{self, NewData, Origin, Source};
use super::error::CatalogError;
use super::filing::{Content, Entered, Filing, Tree};
use super::{Catalog, ChannelNo};
use crate::photo::Picture;

/// Who may see an entry: Hubzilla's four columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Channels that may.
    pub allow_cid: String,
    /// Groups that may.
    pub allow_gid: String,
    /// Channels that may not.
    pub deny_cid: String,
    /// Groups that may not.
    pub deny_gid: String,
}

impl Access {
    /// Nobody but the channel itself.
    pub fn owner(portable_id: &str) -> Self {
        Self { allow_cid: format!("<{portable_id}>"), ..Self::default() }
    }

    /// As an entry has it.
    pub(super) fn of(row: &Attach) -> Self {
        Self {
            allow_cid: row.allow_cid.clone(),
            allow_gid: row.allow_gid.clone(),
            deny_cid: row.deny_cid.clone(),
            deny_gid: row.deny_gid.clone(),
        }
    }

    /// The entry has it from now on.
    pub(super) fn give(self, row: &mut Attach) {
        row.allow_cid = self.allow_cid;
        row.allow_gid = self.allow_gid;
        row.deny_cid = self.deny_cid;
        row.deny_gid = self.deny_gid;
    }
}

/// Puts that belong together.
#[derive(Debug, Clone)]
pub struct PutBatch {
    /// Whose.
    pub channel: ChannelNo,
    /// Portable id of who makes what is new.
    pub creator: String,
    /// Who may see what is new at the top; below, what is new has the lists of its folder.
    pub access: Access,
    /// The time as `created` and `edited` say it: `YYYY-MM-DD HH:MM:SS`, UTC.
    pub date: String,
    /// The files and folders, up to about 1000.
    pub puts: Vec<LocalPut>,
}

/// One file or folder to be put. Folders above it are made when they are missing.
#[derive(Debug, Clone)]
pub struct LocalPut {
    /// The folders above it, from the top.
    pub folders: Vec<String>,
    /// Its name.
    pub name: String,
    /// Its bytes, which are durable in storage already; `None` for a folder.
    pub content: Option<LocalContent>,
    /// Mime type of a file.
    pub filetype: String,
    /// Whether Hubzilla treats it as a photo.
    pub is_photo: bool,
    /// What its header says, where it is an image.
    pub picture: Option<Picture>,
    /// Modification time of its source.
    pub mtime: Option<Millis>,
    /// Whether its source is executable.
    pub executable: Option<bool>,
    /// When it was made and edited, as `YYYY-MM-DD HH:MM:SS`, UTC, where that is not the time of the put. A
    /// folder that is dated has its modification time, too.
    pub dated: Option<String>,
}

/// The bytes of a put.
#[derive(Debug, Clone)]
pub struct LocalContent {
    /// Their name in storage.
    pub root: Digest,
    /// How many.
    pub size: u64,
    /// The chunks' digests, when few enough to travel with the announcement.
    pub digests: Option<Vec<Digest>>,
}

/// Makes what the catalog does not: fresh ids and the versions of edited registers.
pub trait Author: Send {
    /// A new entry's id.
    fn resource(&mut self) -> ResourceId;
    /// A new operation's id.
    fn operation(&mut self) -> OpId;
    /// The version of a register after an edit here; `previous` is `None` for a new entry. `hlc` is
    /// the channel's clock: the last value used on the way in, the one used now on the way out.
    fn version(
        &mut self,
        previous: Option<&VersionBytes>,
        hlc: &mut u64,
    ) -> Result<VersionBytes, CatalogError>;
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A new entry.
    Created,
    /// New content of an entry; the one before it is superseded.
    Replaced {
        /// The content before.
        previous: Option<Digest>,
    },
    /// The entry had that content already: no operation.
    Unchanged,
}

/// An entry as it is after a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// Its id.
    pub hash: ResourceId,
    /// What the put did.
    pub change: Change,
}

/// Why one put of a batch was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// A file was to be put where a folder is.
    #[error("a folder of that name is there")]
    FolderInTheWay,
    /// A folder was to be where a file is.
    #[error("a file of that name is there")]
    FileInTheWay,
}

impl Catalog {
    /// What stands where each put would go, as a put finds it: a file for a file, a folder for a folder.
    pub async fn standing(
        &self,
        channel: ChannelNo,
        puts: &[LocalPut],
    ) -> Result<Vec<Option<Attach>>, CatalogError> {
        let tree = Tree::load(&mut *self.reader().await?, channel, puts).await?;
        Ok(puts.iter().map(|put| tree.standing(put).cloned()).collect())
    }

    /// Enters a batch: one answer per put, in order. All of it, or (on an error) nothing.
    pub async fn local_put(
        &self,
        batch: &PutBatch,
        author: &mut dyn Author,
        now: Millis,
    ) -> Result<Vec<Result<Filed, Clash>>, CatalogError> {
        for put in &batch.puts {
            put.folders.iter().chain([&put.name]).try_for_each(|name| check_name(name))?;
        }
        let mut tx = self.begin().await?;
        let before = channel_in(&mut tx, batch.channel).await?;
        let bounds = Bounds::of(self, &mut tx, &before).await?;
        let tree = Tree::load(&mut tx, batch.channel, &batch.puts).await?;
        let mut filing = Filing::new(batch, tree, author, before.hlc, before.seq);
        let filed = batch.puts.iter().map(|put| filing.file(put)).collect::<Result<_, _>>()?;
        write(&mut tx, batch.channel, &filing.finish(), now).await?;
        bounds.keep(&mut tx).await?;
        self.commit(tx).await?;
        Ok(filed)
    }
}

async fn write(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    entered: &Entered<'_>,
    now: Millis,
) -> Result<(), CatalogError> {
    attach::upsert(tx, channel, &entered.rows).await?;
    let contents: Vec<_> = entered.contents.iter().map(new_data).collect();
    arrive_at_last(tx, channel, &contents).await?;
    data::write(tx, channel, Origin::MadeHere, &contents, now).await?;
    sqlx::query("UPDATE channel SET seq = ?2, hlc = ?3 WHERE id = ?1")
        .bind(channel)
        .bind(integer(entered.seq)?)
        .bind(entered.hlc.cast_signed())
        .execute(tx)
        .await?;
    Ok(())
}

fn new_data<'a>(content: &'a Content<'_>) -> NewData<'a> {
    NewData {
        hash: &content.hash,
        role: Role::File,
        root: &content.content.root,
        size: content.content.size,
        mime: content.mime,
        source: Source::Fetch,
        digests: content.content.digests.as_deref(),
        site: None,
        op_id: &content.op_id,
    }
}

/// What another clone announced and a person here put: it has arrived, and the others hear so.
pub(super) async fn arrive_at_last(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    contents: &[NewData<'_>],
) -> Result<(), CatalogError> {
    let awaited: Vec<i64> = sqlx::query_scalar(
        "SELECT d.id FROM json_each(?2) j CROSS JOIN data d
         WHERE d.channel = ?1 AND d.hash = j.value ->> 0 AND d.role = j.value ->> 1
           AND d.root = unhex(j.value ->> 2) AND d.state IN ('wanted', 'failed')",
    )
    .bind(channel)
    .bind(list(contents.iter().map(|c| (c.hash, c.role.as_str(), Hex(&c.root.0)))))
    .fetch_all(&mut *tx)
    .await?;
    mark_present(tx, &awaited).await?;
    Ok(())
}

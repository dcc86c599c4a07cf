//! Contents: which bytes an entry has, wants, had.
//!
//! Owns: the row's columns, writing many at once. Not here: the bytes (storage), chunks held (queue).
//! Invariant: one row per (channel, entry, role, root); of one (channel, entry, role) at most one is
//! not superseded. The tallies follow by trigger.
//! Spec: SYNC-12, FETCH-47, FILE-13.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::{Digest, Millis, OpId, ResourceId, Role};

use super::columns::{
    Hex, checked, digests, hex_text, integer, list, maybe_checked, maybe_number, number, parsed,
};
use super::error::CatalogError;
use super::{ChannelNo, SiteNo, WantedNo};

/// What a content's bytes are to this hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataState {
    /// Announced, to be fetched. Counts as reserved.
    Wanted,
    /// In storage, complete. Counts as used.
    Present,
    /// The entry has other content now; the bytes may be kept for clones that still ask.
    Superseded,
    /// Given up, until announced or tried again.
    Failed,
}

impl std::str::FromStr for DataState {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "wanted" => Ok(Self::Wanted),
            "present" => Ok(Self::Present),
            "superseded" => Ok(Self::Superseded),
            "failed" => Ok(Self::Failed),
            _ => Err("not a state of a content"),
        }
    }
}

/// Where the bytes are to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Ask a location.
    Fetch,
    /// A backup brings them: do not ask the web.
    Backup,
}

impl Source {
    /// The source as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Backup => "backup",
        }
    }
}

impl std::str::FromStr for Source {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fetch" => Ok(Self::Fetch),
            "backup" => Ok(Self::Backup),
            _ => Err("a source is fetch or backup"),
        }
    }
}

/// One content of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Its row: what jobs refer to.
    pub id: WantedNo,
    /// Whose.
    pub channel: ChannelNo,
    /// The entry.
    pub hash: ResourceId,
    /// Which bytes of the entry.
    pub role: Role,
    /// The content's name.
    pub root: Digest,
    /// Bytes.
    pub size: u64,
    /// Mime type.
    pub mime: String,
    /// Where the bytes are to come from.
    pub source: Source,
    /// The chunks' digests, when they came with the announcement.
    pub digests: Option<Vec<Digest>>,
    /// What the bytes are to this hub.
    pub state: DataState,
    /// Whether the bytes are in storage.
    pub held: bool,
    /// Who announced it: whom to ask.
    pub site: Option<SiteNo>,
    /// The operation that brought it.
    pub op_id: OpId,
    /// When it was announced, or put.
    pub announced_at: Millis,
    /// Its number among what arrived here; `None` until then, and for what was made here.
    pub present_seq: Option<u64>,
    /// Why it was given up.
    pub error: Option<String>,
    /// Whether it was made here.
    pub local: bool,
    /// Its place in the order of fetching: the small before the large, of like sizes the latest first.
    pub turn: i64,
}

pub(super) fn data(row: &SqliteRow) -> Result<Data, CatalogError> {
    Ok(Data {
        id: row.try_get("id")?,
        channel: row.try_get("channel")?,
        hash: parsed(row, "hash")?,
        role: parsed(row, "role")?,
        root: checked(row, "root", Digest::from_slice)?,
        size: number(row, "size")?,
        mime: row.try_get("mime")?,
        source: parsed(row, "source")?,
        digests: maybe_checked(row, "digests", digests)?,
        state: parsed(row, "state")?,
        held: row.try_get("held")?,
        site: row.try_get("site")?,
        op_id: checked(row, "op_id", OpId::from_slice)?,
        announced_at: Millis(number(row, "announced_at")?),
        present_seq: maybe_number(row, "present_seq")?,
        error: row.try_get("error")?,
        local: row.try_get("local")?,
        turn: row.try_get("turn")?,
    })
}

/// A content to be written: announced by a site, or made here.
pub(super) struct NewData<'a> {
    pub(super) hash: &'a ResourceId,
    pub(super) role: Role,
    pub(super) root: &'a Digest,
    pub(super) size: u64,
    pub(super) mime: &'a str,
    pub(super) source: Source,
    pub(super) digests: Option<&'a [Digest]>,
    /// `None`: made here.
    pub(super) site: Option<SiteNo>,
    pub(super) op_id: &'a OpId,
}

impl NewData<'_> {
    fn columns(&self) -> impl Serialize {
        let digests = self
            .digests
            .map(|digests| digests.iter().map(|digest| hex_text(&digest.0)).collect::<String>());
        (
            self.hash.as_str().to_owned(),
            self.role.as_str(),
            hex_text(&self.root.0),
            self.size,
            self.mime.to_owned(),
            self.source.as_str(),
            digests,
            self.site,
            hex_text(&self.op_id.0),
        )
    }

    fn check(&self) -> Result<(), CatalogError> {
        integer(self.size)?;
        if self.mime.contains('\0') {
            return Err(CatalogError::BadValue("a mime type contains a NUL"));
        }
        Ok(())
    }
}

macro_rules! insert_data {
    ($state:literal, $held:literal, $local:literal, $on_conflict:literal) => {
        concat!(
            "INSERT INTO data (channel, hash, role, root, size, mime, source, digests, site, op_id,
                announced_at, edited, state, held, local)
             SELECT ?1, value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4,
                value ->> 5, unhex(value ->> 6), value ->> 7, unhex(value ->> 8), ?3,
                min(?3, coalesce((
                    SELECT coalesce(a.mtime, unixepoch(a.edited) * 1000) FROM attach a
                    WHERE a.channel = ?1 AND a.hash = value ->> 0), ?3)), ",
            $state,
            ", ",
            $held,
            ", ",
            $local,
            " FROM jsonb_each(?2) WHERE true
             ON CONFLICT (channel, hash, role, root) DO UPDATE SET ",
            $on_conflict
        )
    };
}

/// What is wanted or present stays so. What was given up or superseded is wanted again; if nothing
/// of it is here, the new announcement is also believed about size and digests.
const ANNOUNCE: &str = insert_data!(
    "'wanted'", "0", "0",
    "state = iif(data.state IN ('superseded', 'failed'), 'wanted', data.state),
     size = iif(data.held OR data.state = 'wanted', data.size, excluded.size),
     digests = iif(data.held OR data.state = 'wanted', coalesce(data.digests, excluded.digests), excluded.digests),
     site = iif(data.state = 'present', data.site, excluded.site),
     op_id = excluded.op_id, announced_at = excluded.announced_at, edited = excluded.edited,
     source = excluded.source,
     mime = excluded.mime, superseded_at = NULL, error = NULL"
);

/// Bytes made here are here. A content that comes back is new again; one that is there already
/// stays what it is.
const MADE_HERE: &str = insert_data!(
    "'present'",
    "1",
    "1",
    "op_id = iif(data.state = 'superseded', excluded.op_id, data.op_id),
     state = 'present', held = 1, local = 1, size = excluded.size, mime = excluded.mime,
     digests = coalesce(excluded.digests, data.digests), superseded_at = NULL, error = NULL"
);

/// Of each (entry, role) in the list only that root stays.
const SUPERSEDE: &str = "
    UPDATE data SET state = 'superseded', superseded_at = ?3, error = NULL
    WHERE id IN (
        SELECT d.id FROM json_each(?2) j CROSS JOIN data d
        WHERE d.channel = ?1 AND d.hash = j.value ->> 0 AND d.role = j.value ->> 1
          AND d.root <> unhex(j.value ->> 2) AND d.state <> 'superseded')";

/// Whether bytes are made here or announced from elsewhere.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    Announced,
    MadeHere,
}

/// Writes many contents; what they replace is superseded. Of several contents for one (entry,
/// role) the last one in the list counts.
pub(super) async fn write(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    origin: Origin,
    new: &[NewData<'_>],
    now: Millis,
) -> Result<(), CatalogError> {
    new.iter().try_for_each(NewData::check)?;
    if new.is_empty() {
        return Ok(());
    }
    let now = integer(now.0)?;
    let insert = match origin {
        Origin::Announced => ANNOUNCE,
        Origin::MadeHere => MADE_HERE,
    };
    let columns = list(new.iter().map(NewData::columns));
    sqlx::query(insert).bind(channel).bind(columns).bind(now).execute(&mut *tx).await?;
    let last: HashMap<_, _> =
        new.iter().map(|d| ((d.hash.as_str(), d.role.as_str()), d.root)).collect();
    let kept = list(last.into_iter().map(|((hash, role), root)| (hash, role, Hex(&root.0))));
    sqlx::query(SUPERSEDE).bind(channel).bind(kept).bind(now).execute(tx).await?;
    Ok(())
}

/// SYNC-34: nobody needs the bytes of these entries any more.
pub(super) async fn release_entries(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    entries: impl IntoIterator<Item = &ResourceId>,
    now: Millis,
) -> Result<(), CatalogError> {
    let entries: Vec<_> = entries.into_iter().collect();
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE data SET state = 'superseded', superseded_at = ?3, error = NULL
         WHERE id IN (
             SELECT d.id FROM json_each(?2) j CROSS JOIN data d
             WHERE d.channel = ?1 AND d.hash = j.value AND d.state <> 'superseded')",
    )
    .bind(channel)
    .bind(list(entries))
    .bind(integer(now.0)?)
    .execute(tx)
    .await?;
    Ok(())
}

/// The cropped photos of entries, but those of the roles beside each, are not theirs any more.
pub(super) async fn release_roles(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    entries: &[(ResourceId, Vec<Role>)],
    now: Millis,
) -> Result<(), CatalogError> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE data SET state = 'superseded', superseded_at = ?3, error = NULL
         WHERE id IN (
             SELECT d.id FROM json_each(?2) j CROSS JOIN data d
             WHERE d.channel = ?1 AND d.hash = j.value ->> 0 AND d.role <> 'file'
               AND d.state <> 'superseded'
               AND d.role NOT IN (SELECT value FROM json_each(j.value, '$[1]')))",
    )
    .bind(channel)
    .bind(list(entries))
    .bind(integer(now.0)?)
    .execute(tx)
    .await?;
    Ok(())
}

/// A content that another entry gets as well: of which entry, its root, for which, by which operation.
pub(super) type Copied = (ResourceId, Digest, ResourceId, OpId);

/// Contents that are here, or still wanted, belong to other entries too.
pub(super) async fn copy(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    copies: &[Copied],
    now: Millis,
) -> Result<(), CatalogError> {
    if copies.is_empty() {
        return Ok(());
    }
    let columns = copies.iter().map(|(from, root, to, op)| (from, Hex(&root.0), to, Hex(&op.0)));
    sqlx::query(
        "INSERT INTO data (channel, hash, role, root, size, mime, source, digests, site, op_id,
            announced_at, edited, state, held, local)
         SELECT d.channel, j.value ->> 2, d.role, d.root, d.size, d.mime, d.source, d.digests, d.site,
            unhex(j.value ->> 3), ?3, d.edited, iif(d.held, 'present', iif(d.site IS NULL, 'failed', 'wanted')),
            d.held, d.held
         FROM json_each(?2) j CROSS JOIN data d
         WHERE d.channel = ?1 AND d.hash = j.value ->> 0 AND d.role = 'file'
           AND d.root = unhex(j.value ->> 1)
         ON CONFLICT (channel, hash, role, root) DO NOTHING",
    )
    .bind(channel)
    .bind(list(columns))
    .bind(integer(now.0)?)
    .execute(tx)
    .await?;
    Ok(())
}

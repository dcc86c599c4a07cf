//! Entries, files and folders alike, as rows of `attach`.
//!
//! Owns: the row's columns, reading and writing many at once. Not here: entries as a tree (`tree`),
//! who may change them and to what (the caller decides, inside a transaction).
//! Invariant: a name that no entry can have is never stored, whoever sent it.
//! Spec: SYNC-6, SYNC-7, SYNC-19.

use std::collections::HashMap;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::codec;
use zotferry_protocol::ids::{Digest, Millis, OpId, ResourceId};
use zotferry_protocol::packets::Op;

use super::columns::{
    Hex, VersionBytes, checked, integer, list, maybe_checked, maybe_number, number, parsed,
};
use super::error::CatalogError;
use super::trie::{self, Leaf};
use super::{Catalog, ChannelNo, photos};

/// One entry, under Hubzilla's column names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// Its id on every clone.
    pub hash: ResourceId,
    /// Portable id of who made it.
    pub creator: String,
    /// Its name: UTF-8, 1 to 255 bytes, compared byte by byte.
    pub filename: String,
    /// Mime type; `multipart/mixed` for a folder.
    pub filetype: String,
    /// Bytes.
    pub filesize: u64,
    /// How often its content was replaced: information for people.
    pub revision: u64,
    /// The folder it lies in; `None` at the top. As `place_folder` unless moves made a cycle (SYNC-40).
    pub folder: Option<ResourceId>,
    /// The folder that its place register names.
    pub place_folder: Option<ResourceId>,
    /// SYNC-39: the folder that it was moved from.
    pub was: Option<ResourceId>,
    /// Hubzilla's flags.
    pub flags: i64,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Whether Hubzilla treats it as a photo.
    pub is_photo: bool,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    pub created: String,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    pub edited: String,
    /// Channels that may see it.
    pub allow_cid: String,
    /// Groups that may see it.
    pub allow_gid: String,
    /// Channels that may not.
    pub deny_cid: String,
    /// Groups that may not.
    pub deny_gid: String,
    /// A title for people.
    pub title: Option<String>,
    /// Its photo rows as they travel: a MessagePack array of bin, or nothing. Part of the meta register.
    pub photos: Vec<u8>,
    /// Fields that this release does not know, kept as they came.
    pub extra: Vec<u8>,
    /// Modification time of the file it was made from.
    pub mtime: Option<Millis>,
    /// Whether that file was executable.
    pub executable: Option<bool>,
    /// Version of folder and name.
    pub place_version: VersionBytes,
    /// Version of all that is neither place nor content.
    pub meta_version: VersionBytes,
    /// Version of the content; `None` for a folder.
    pub content_version: Option<VersionBytes>,
    /// SYNC-33: all that those who removed it had seen; `None` if nobody did.
    pub removed_version: Option<VersionBytes>,
    /// Whether it is there: not removed, or put again concurrently, or a folder with something inside.
    pub alive: bool,
    /// The content; `None` for a folder.
    pub root: Option<Digest>,
    /// Which edit the last one was.
    pub op: Op,
    /// The last operation that changed it.
    pub op_id: OpId,
    /// Its number in the outbox; set when the last edit was made here.
    pub seq: Option<u64>,
}

impl Attach {
    /// Bytes of its texts; what is beyond [`super::FREE_TEXT`] counts, as its column `text` says.
    pub fn text_bytes(&self) -> usize {
        let texts = [
            &self.creator,
            &self.filetype,
            &self.allow_cid,
            &self.allow_gid,
            &self.deny_cid,
            &self.deny_gid,
        ];
        let texts = texts.into_iter().chain(self.title.as_ref()).map(String::len).sum::<usize>();
        texts + self.extra.len() + self.photos.len()
    }
}

/// What `ATTACH_UPSERT` reads by position.
struct Columns<'a>(&'a Attach);

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let a = self.0;
        let mut row = serializer.serialize_seq(Some(32))?;
        row.serialize_element(a.hash.as_str())?;
        for text in [&a.creator, &a.filename, &a.filetype] {
            row.serialize_element(text)?;
        }
        row.serialize_element(&a.filesize)?;
        row.serialize_element(&a.revision)?;
        row.serialize_element(folder_text(a.folder.as_ref()))?;
        row.serialize_element(&a.flags)?;
        row.serialize_element(&a.is_dir)?;
        row.serialize_element(&a.is_photo)?;
        for text in [&a.created, &a.edited, &a.allow_cid, &a.allow_gid, &a.deny_cid, &a.deny_gid] {
            row.serialize_element(text)?;
        }
        row.serialize_element(&Hex(&a.extra))?;
        row.serialize_element(&a.mtime)?;
        row.serialize_element(&a.executable)?;
        row.serialize_element(&a.place_version)?;
        row.serialize_element(&a.meta_version)?;
        row.serialize_element(&a.content_version)?;
        row.serialize_element(&a.root.as_ref().map(|root| Hex(&root.0)))?;
        row.serialize_element(&Hex(&a.op_id.0))?;
        row.serialize_element(&a.seq)?;
        row.serialize_element(a.op.as_str())?;
        row.serialize_element(&a.removed_version)?;
        row.serialize_element(&a.alive)?;
        row.serialize_element(folder_text(a.place_folder.as_ref()))?;
        row.serialize_element(folder_text(a.was.as_ref()))?;
        row.serialize_element(&a.title)?;
        row.serialize_element(&Hex(&a.photos))?;
        row.end()
    }
}

const ATTACH_UPSERT: &str = "
    INSERT INTO attach (channel, hash, creator, filename, filetype, filesize, revision, folder, flags,
        is_dir, is_photo, created, edited, allow_cid, allow_gid, deny_cid, deny_gid, extra, mtime,
        executable, place_version, meta_version, content_version, root, op_id, seq, op,
        removed_version, alive, place_folder, was_folder, title, photos)
    SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
        value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12,
        value ->> 13, value ->> 14, value ->> 15, unhex(value ->> 16), value ->> 17, value ->> 18,
        unhex(value ->> 19), unhex(value ->> 20), unhex(value ->> 21), unhex(value ->> 22),
        unhex(value ->> 23), value ->> 24, value ->> 25, unhex(value ->> 26), value ->> 27,
        value ->> 28, value ->> 29, value ->> 30, unhex(value ->> 31)
    FROM jsonb_each(?2) WHERE true
    ON CONFLICT (channel, hash) DO UPDATE SET
        creator = excluded.creator, filename = excluded.filename, filetype = excluded.filetype,
        filesize = excluded.filesize, revision = excluded.revision, folder = excluded.folder,
        flags = excluded.flags, is_dir = excluded.is_dir, is_photo = excluded.is_photo,
        created = excluded.created, edited = excluded.edited, allow_cid = excluded.allow_cid,
        allow_gid = excluded.allow_gid, deny_cid = excluded.deny_cid, deny_gid = excluded.deny_gid,
        extra = excluded.extra, mtime = excluded.mtime, executable = excluded.executable,
        place_version = excluded.place_version, meta_version = excluded.meta_version,
        content_version = excluded.content_version, root = excluded.root, op_id = excluded.op_id,
        seq = excluded.seq, op = excluded.op, removed_version = excluded.removed_version,
        alive = excluded.alive, place_folder = excluded.place_folder,
        was_folder = excluded.was_folder, title = excluded.title, photos = excluded.photos";

/// The column of a parent: the empty text stands for the top.
pub(super) fn folder_text(folder: Option<&ResourceId>) -> &str {
    folder.map_or("", ResourceId::as_str)
}

/// The empty text stands for the top.
pub(super) fn maybe_folder(
    row: &SqliteRow,
    column: &str,
) -> Result<Option<ResourceId>, CatalogError> {
    let text: &str = row.try_get(column)?;
    if text.is_empty() { Ok(None) } else { parsed(row, column).map(Some) }
}

pub(super) fn attach(row: &SqliteRow) -> Result<Attach, CatalogError> {
    Ok(Attach {
        hash: parsed(row, "hash")?,
        creator: row.try_get("creator")?,
        filename: row.try_get("filename")?,
        filetype: row.try_get("filetype")?,
        filesize: number(row, "filesize")?,
        revision: number(row, "revision")?,
        folder: maybe_folder(row, "folder")?,
        place_folder: maybe_folder(row, "place_folder")?,
        was: maybe_folder(row, "was_folder")?,
        flags: row.try_get("flags")?,
        is_dir: row.try_get("is_dir")?,
        is_photo: row.try_get("is_photo")?,
        created: row.try_get("created")?,
        edited: row.try_get("edited")?,
        allow_cid: row.try_get("allow_cid")?,
        allow_gid: row.try_get("allow_gid")?,
        deny_cid: row.try_get("deny_cid")?,
        deny_gid: row.try_get("deny_gid")?,
        title: row.try_get("title")?,
        photos: row.try_get("photos")?,
        extra: row.try_get("extra")?,
        mtime: maybe_number(row, "mtime")?.map(Millis),
        executable: row.try_get("executable")?,
        place_version: VersionBytes(row.try_get("place_version")?),
        meta_version: VersionBytes(row.try_get("meta_version")?),
        content_version: row.try_get::<Option<_>, _>("content_version")?.map(VersionBytes),
        removed_version: row.try_get::<Option<_>, _>("removed_version")?.map(VersionBytes),
        alive: row.try_get("alive")?,
        root: maybe_checked(row, "root", Digest::from_slice)?,
        op: parsed(row, "op")?,
        op_id: checked(row, "op_id", OpId::from_slice)?,
        seq: maybe_number(row, "seq")?,
    })
}

/// SYNC-6: what no entry can be called.
pub(super) fn check_name(name: &str) -> Result<(), CatalogError> {
    let why = match name {
        "" => "it is empty",
        "." | ".." => "it means a folder",
        _ if name.len() > 255 => "it is longer than 255 bytes",
        _ if name.contains('/') => "it contains a slash",
        _ if name.contains('\0') => "it contains a NUL",
        _ => return Ok(()),
    };
    Err(CatalogError::BadName { name: name.into(), why })
}

/// NUL would end a text half way inside SQLite's functions; numbers there are signed.
fn check(a: &Attach) -> Result<(), CatalogError> {
    check_name(&a.filename)?;
    let texts = [
        &a.creator,
        &a.filetype,
        &a.created,
        &a.edited,
        &a.allow_cid,
        &a.allow_gid,
        &a.deny_cid,
        &a.deny_gid,
    ];
    if texts.iter().any(|text| text.contains('\0')) || a.title.iter().any(|t| t.contains('\0')) {
        return Err(CatalogError::BadValue("a text of an entry contains a NUL"));
    }
    for value in [a.filesize, a.revision, a.mtime.map_or(0, |mtime| mtime.0)] {
        integer(value)?;
    }
    Ok(())
}

/// Inserts or replaces many rows of a channel in one statement.
pub(super) async fn upsert(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    rows: impl IntoIterator<Item = &Attach>,
) -> Result<(), CatalogError> {
    let rows: Vec<&Attach> = rows.into_iter().collect();
    rows.iter().try_for_each(|row| check(row))?;
    if rows.is_empty() {
        return Ok(());
    }
    let columns = list(rows.iter().map(|row| Columns(row)));
    sqlx::query(ATTACH_UPSERT).bind(channel).bind(columns).execute(&mut *tx).await?;
    photos::note_uses(tx, channel, rows.iter().copied()).await?;
    trie::enter(tx, channel, rows.into_iter().map(Leaf::of)).await
}

/// The stored rows of many hashes in one statement.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    hashes: &[ResourceId],
) -> Result<HashMap<ResourceId, Attach>, CatalogError> {
    let rows = sqlx::query(
        "SELECT a.* FROM json_each(?2) j CROSS JOIN attach a
         WHERE a.channel = ?1 AND a.hash = j.value",
    )
    .bind(channel)
    .bind(list(hashes))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| attach(row).map(|a| (a.hash.clone(), a))).collect()
}

/// A folder or (once the caller has given it content) a file that is new: no access lists, no content,
/// one version for all its registers.
pub(super) fn blank(
    hash: ResourceId,
    name: &str,
    folder: Option<ResourceId>,
    version: &VersionBytes,
    creator: &str,
    date: &str,
    op_id: OpId,
) -> Attach {
    Attach {
        hash,
        creator: creator.to_owned(),
        filename: name.to_owned(),
        filetype: "multipart/mixed".to_owned(),
        filesize: 0,
        revision: 0,
        place_folder: folder.clone(),
        folder,
        was: None,
        flags: 0,
        is_dir: false,
        is_photo: false,
        created: date.to_owned(),
        edited: date.to_owned(),
        allow_cid: String::new(),
        allow_gid: String::new(),
        deny_cid: String::new(),
        deny_gid: String::new(),
        title: None,
        photos: Vec::new(),
        extra: Vec::new(),
        mtime: None,
        executable: None,
        place_version: version.clone(),
        meta_version: version.clone(),
        content_version: None,
        removed_version: None,
        alive: true,
        root: None,
        op: Op::Put,
        op_id,
        seq: None,
    }
}

/// Fields as they are kept in `extra`: name, raw MessagePack value.
type Extra = Vec<(String, serde_bytes::ByteBuf)>;

impl Attach {
    /// The raw value of a field that this release keeps as it came, such as `term`.
    pub fn extra_field(&self, name: &str) -> Result<Option<Vec<u8>>, CatalogError> {
        let found = self.extra_fields()?.into_iter().find(|(field, _)| field == name);
        Ok(found.map(|(_, raw)| raw.into_vec()))
    }

    /// SYNC-7: the fields that this release keeps as they came.
    pub fn extra_fields(&self) -> Result<Extra, CatalogError> {
        if self.extra.is_empty() {
            return Ok(Vec::new());
        }
        codec::decode_owned(&self.extra)
            .map_err(|e| CatalogError::Corrupt(format!("extra fields: {e}")))
    }

    /// Sets or takes away one of them.
    pub(super) fn set_extra(
        &mut self,
        name: &str,
        raw: Option<Vec<u8>>,
    ) -> Result<(), CatalogError> {
        let mut fields = self.extra_fields()?;
        fields.retain(|(field, _)| field != name);
        fields.extend(raw.map(|raw| (name.to_owned(), raw.into())));
        self.extra = if fields.is_empty() { Vec::new() } else { codec::encode(&fields) };
        Ok(())
    }
}

impl Catalog {
    /// The entry of a hash, which may be a tombstone ([`Attach::alive`]).
    pub async fn entry(
        &self,
        channel: ChannelNo,
        hash: &ResourceId,
    ) -> Result<Option<Attach>, CatalogError> {
        let row = sqlx::query("SELECT * FROM attach WHERE channel = ?1 AND hash = ?2")
            .bind(channel)
            .bind(hash.as_str())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(attach).transpose()
    }

    /// The entry of a hash in any channel, the channel that came first here before others.
    pub async fn entry_anywhere(
        &self,
        hash: &ResourceId,
    ) -> Result<Option<(ChannelNo, Attach)>, CatalogError> {
        let row = sqlx::query(
            "SELECT a.* FROM channel c CROSS JOIN attach a ON a.channel = c.id AND a.hash = ?1
             WHERE a.alive = 1 ORDER BY c.id LIMIT 1",
        )
        .bind(hash.as_str())
        .fetch_optional(&mut *self.reader().await?)
        .await?;
        row.as_ref().map(|row| Ok((row.try_get("channel")?, attach(row)?))).transpose()
    }

    /// The entries of many hashes, tombstones too; those that do not exist are left out.
    pub async fn entries(
        &self,
        channel: ChannelNo,
        hashes: &[ResourceId],
    ) -> Result<HashMap<ResourceId, Attach>, CatalogError> {
        load(&mut *self.reader().await?, channel, hashes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{Fixture, entry, resource};

    /// SYNC-7: every column comes back as it was stored, unknown fields too.
    #[tokio::test]
    async fn an_entry_comes_back_as_it_was() {
        let hub = Fixture::create().await;
        let mut file = entry("f1", None, "a.txt");
        file.creator = "quote ' \" \\ and \u{1F600}".into();
        file.allow_cid = "<one>\n<two>\t\u{7f}\u{202e}".into();
        file.extra = (0..=255).collect();
        file.filesize = 16 << 40;
        file.flags = -1;
        file.mtime = Some(Millis(1_700_000_000_123));
        file.executable = Some(true);
        file.seq = Some(9);
        let mut folder = entry("d1", Some("d0"), "dir");
        (folder.is_dir, folder.root, folder.content_version) = (true, None, None);
        hub.store(&[file.clone(), folder.clone()]).await;
        assert_eq!(hub.entry(hub.alice, &file.hash).await.expect("read"), Some(file.clone()));
        let hashes = [resource("d1"), resource("nothing"), resource("f1")];
        let found = hub.entries(hub.alice, &hashes).await.expect("read");
        assert_eq!(found.len(), 2);
        assert_eq!(found[&folder.hash], folder);
        file.filename = "b.txt".into();
        file.seq = None;
        hub.store(&[file.clone()]).await;
        assert_eq!(hub.entry(hub.alice, &file.hash).await.expect("read"), Some(file));
    }

    /// SYNC-6: names travel as bytes; the only ones refused are those that name no entry.
    #[tokio::test]
    async fn names_are_kept_byte_for_byte() {
        let hub = Fixture::create().await;
        let long = "\u{e9}".repeat(127);
        let names = [
            "it's",
            "say \"hi\"",
            "a\nb",
            "a\\b",
            "\u{1}",
            "e\u{301}",
            "\u{e9}",
            "E",
            "e",
            " ",
            "...",
            "'); DROP TABLE attach; --",
            "[1]",
            "null",
            "\u{fffd}",
            &long,
        ];
        let rows: Vec<_> =
            names.iter().enumerate().map(|(n, name)| entry(&format!("h{n}"), None, name)).collect();
        hub.store(&rows).await;
        for row in rows {
            let found = hub.by_path(hub.alice, &[&row.filename]).await.expect("read");
            assert_eq!(found, Some(row));
        }
        let too_long = "x".repeat(256);
        for name in ["", ".", "..", "a/b", "a\0b", &too_long] {
            let mut tx = hub.begin().await.expect("writer");
            let refused = upsert(&mut tx, hub.alice, &[entry("bad", None, name)]).await;
            assert!(matches!(refused, Err(CatalogError::BadName { .. })), "{name:?}");
        }
    }
}

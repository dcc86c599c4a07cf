//! Items: posts, comments and likes that sit on entries, as rows of `item`.
//!
//! Owns: their columns, reading and writing many at once, whose a named thing is. Not here: what is
//! inside a row, URLs and signatures (`items`), edits made here (`edit/item.rs`).
//! Invariant: an item's name never changes; a row is kept with the home in whose form it is.
//! Spec: ITEM-4 to ITEM-9.

use std::collections::{HashMap, HashSet};

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::ResourceId;

use super::columns::{Hex, VersionBytes, bound, integer, list, maybe_number, parsed};
use super::error::CatalogError;
use super::trie::{self, Leaf};
use super::{Apply, Catalog, ChannelNo};

/// A post, comment or like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its message id: its name on every clone.
    pub mid: String,
    /// Its UUID, which stands in URLs.
    pub uuid: String,
    /// The entry that it sits on.
    pub resource: ResourceId,
    /// Portable id of its author; empty where there is none.
    pub author: String,
    /// The row as it travels; `None` once it was removed.
    pub row: Option<Vec<u8>>,
    /// Base URL of the hub in whose form the row is.
    pub url: String,
    /// The channel's nick there.
    pub nick: String,
    /// The channel's number there.
    pub uid: Option<u64>,
    /// Version of the whole row.
    pub version: VersionBytes,
    /// Number of the operation that told of it; set when the last edit was made here.
    pub seq: Option<u64>,
}

/// Whose things are that a text names: those that the catalog knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Entries and items of the channel.
    pub own: HashSet<String>,
    /// Entries and items of others.
    pub others: HashSet<String>,
}

struct Columns<'a>(&'a Item);

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let item = self.0;
        let mut row = serializer.serialize_seq(Some(10))?;
        for text in [&item.mid, &item.uuid] {
            row.serialize_element(text)?;
        }
        row.serialize_element(item.resource.as_str())?;
        row.serialize_element(&item.author)?;
        row.serialize_element(&item.row.as_deref().map(Hex))?;
        for text in [&item.url, &item.nick] {
            row.serialize_element(text)?;
        }
        row.serialize_element(&item.uid)?;
        row.serialize_element(&item.version)?;
        row.serialize_element(&item.seq)?;
        row.end()
    }
}

pub(super) fn item(row: &SqliteRow) -> Result<Item, CatalogError> {
    Ok(Item {
        mid: row.try_get("mid")?,
        uuid: row.try_get("uuid")?,
        resource: parsed(row, "resource")?,
        author: row.try_get("author")?,
        row: row.try_get("row_bytes")?,
        url: row.try_get("url")?,
        nick: row.try_get("nick")?,
        uid: maybe_number(row, "uid")?,
        version: VersionBytes(row.try_get("version")?),
        seq: maybe_number(row, "seq")?,
    })
}

/// Inserts or replaces many items in one statement.
pub(super) async fn upsert(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    items: &[Item],
) -> Result<(), CatalogError> {
    if items.is_empty() {
        return Ok(());
    }
    for item in items {
        let texts = [&item.mid, &item.uuid, &item.author, &item.url, &item.nick];
        if texts.iter().any(|text| text.contains('\0')) {
            return Err(CatalogError::BadValue("a text of an item contains a NUL"));
        }
        integer(item.uid.unwrap_or(0))?;
    }
    sqlx::query(
        "INSERT INTO item (channel, mid, uuid, resource, author, row_bytes, url, nick, uid, version, seq)
         SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4), value ->> 5,
             value ->> 6, value ->> 7, unhex(value ->> 8), value ->> 9
         FROM json_each(?2) WHERE true
         ON CONFLICT (channel, mid) DO UPDATE SET
             uuid = excluded.uuid, resource = excluded.resource, author = excluded.author,
             row_bytes = excluded.row_bytes, url = excluded.url, nick = excluded.nick, uid = excluded.uid,
             version = excluded.version, seq = excluded.seq",
    )
    .bind(channel)
    .bind(list(items.iter().map(Columns)))
    .execute(&mut *tx)
    .await?;
    trie::enter(tx, channel, items.iter().map(Leaf::of_item)).await
}

/// The items of many names.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    mids: &[&str],
) -> Result<HashMap<String, Item>, CatalogError> {
    let rows = sqlx::query(
        "SELECT i.* FROM json_each(?2) j CROSS JOIN item i WHERE i.channel = ?1 AND i.mid = j.value",
    )
    .bind(channel)
    .bind(list(mids))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| item(row).map(|i| (i.mid.clone(), i))).collect()
}

impl Apply<'_> {
    /// The stored items of every name that a packet touches.
    pub async fn load_items(
        &mut self,
        channel: ChannelNo,
        mids: &[&str],
    ) -> Result<HashMap<String, Item>, CatalogError> {
        load(self.connection(), channel, mids).await
    }

    /// Inserts or replaces items exactly as they are given.
    pub async fn write_items(
        &mut self,
        channel: ChannelNo,
        items: &[Item],
    ) -> Result<(), CatalogError> {
        upsert(self.connection(), channel, items).await
    }
}

impl Catalog {
    /// The items of many names; those that do not exist are left out.
    pub async fn items(
        &self,
        channel: ChannelNo,
        mids: &[&str],
    ) -> Result<HashMap<String, Item>, CatalogError> {
        load(&mut *self.reader().await?, channel, mids).await
    }

    /// The next items of a channel, or of one entry, by name; removed ones too.
    pub async fn items_after(
        &self,
        channel: ChannelNo,
        resource: Option<&ResourceId>,
        mid: &str,
        limit: u32,
    ) -> Result<Vec<Item>, CatalogError> {
        let sql = match resource {
            None => "SELECT * FROM item WHERE channel = ?1 AND mid > ?2 ORDER BY mid LIMIT ?3",
            Some(_) => {
                "SELECT * FROM item INDEXED BY item_resource
                 WHERE channel = ?1 AND mid > ?2 AND resource = ?4 ORDER BY mid LIMIT ?3"
            }
        };
        let mut query = sqlx::query(sql).bind(channel).bind(mid).bind(limit);
        if let Some(resource) = resource {
            query = query.bind(resource.as_str());
        }
        let rows = query.fetch_all(&mut *self.reader().await?).await?;
        rows.iter().map(item).collect()
    }

    /// ITEM-8: the next items of an entry that were edited here after an operation, in the order of their names.
    pub async fn items_edited(
        &self,
        channel: ChannelNo,
        resource: &ResourceId,
        after_seq: u64,
        mid: &str,
        limit: u32,
    ) -> Result<Vec<Item>, CatalogError> {
        let rows = sqlx::query(
            "SELECT * FROM item INDEXED BY item_resource
             WHERE channel = ?1 AND resource = ?2 AND mid > ?3 AND seq > ?4 ORDER BY mid LIMIT ?5",
        )
        .bind(channel)
        .bind(resource.as_str())
        .bind(mid)
        .bind(bound(after_seq))
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(item).collect()
    }

    /// Which entries have items that were edited here after an operation.
    pub async fn with_items(
        &self,
        channel: ChannelNo,
        resources: &[&ResourceId],
        after_seq: u64,
    ) -> Result<HashSet<ResourceId>, CatalogError> {
        let rows = sqlx::query(
            "SELECT j.value AS resource FROM json_each(?2) j
             WHERE EXISTS (SELECT 1 FROM item INDEXED BY item_seq
                 WHERE channel = ?1 AND resource = j.value AND seq > ?3)",
        )
        .bind(channel)
        .bind(list(resources.iter().map(|id| id.as_str())))
        .bind(bound(after_seq))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(|row| parsed(row, "resource")).collect()
    }

    /// Whose entries (by hash) and items (by UUID) are. The author of an item says whose it is.
    pub async fn named(
        &self,
        channel: ChannelNo,
        resources: &[&str],
        uuids: &[&str],
    ) -> Result<Named, CatalogError> {
        let mut reader = self.reader().await?;
        let mut named = Named::default();
        let entries = sqlx::query(
            "SELECT j.value AS name, c.id = ?1 AS own FROM json_each(?2) j CROSS JOIN channel c
             WHERE EXISTS (SELECT 1 FROM attach a WHERE a.channel = c.id AND a.hash = j.value)",
        )
        .bind(channel)
        .bind(list(resources))
        .fetch_all(&mut *reader)
        .await?;
        let items = sqlx::query(
            "SELECT i.uuid AS name, i.channel = ?1 AND i.author = c.portable_id AS own
             FROM json_each(?2) j CROSS JOIN item i JOIN channel c ON c.id = ?1
             WHERE i.uuid = j.value",
        )
        .bind(channel)
        .bind(list(uuids))
        .fetch_all(&mut *reader)
        .await?;
        for row in entries.iter().chain(&items) {
            let set = if row.try_get("own")? { &mut named.own } else { &mut named.others };
            set.insert(row.try_get("name")?);
        }
        Ok(named)
    }

    /// The channel's number in the hub software beside this hub, if its items have told it.
    pub async fn uid(&self, channel: ChannelNo) -> Result<Option<u64>, CatalogError> {
        let row = sqlx::query("SELECT uid FROM channel WHERE id = ?1")
            .bind(channel)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.map_or(Ok(None), |row| maybe_number(&row, "uid"))
    }

    /// Keeps the channel's number in the hub software beside this hub.
    pub async fn set_uid(&self, channel: ChannelNo, uid: u64) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE channel SET uid = ?2 WHERE id = ?1")
            .bind(channel)
            .bind(integer(uid)?)
            .execute(&mut *tx)
            .await?;
        self.commit(tx).await
    }
}

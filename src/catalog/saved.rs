//! All entries of a channel in the order of their ids, with all that a backup needs of each.
//!
//! Owns: reading them, page by page. Not here: the backup.
//! Invariant: a page is of one moment, and its size does not depend on what lies in it.
//! Spec: BACKUP-13, SYNC-5, SYNC-41.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use zotferry_protocol::ids::{Digest, ResourceId};

use super::attach::{Attach, attach};
use super::columns::{list, parsed};
use super::data::{Data, data};
use super::error::CatalogError;
use super::outbox::{OutboxEntry, with_parents};
use super::tree::{chain, folders_above, shown_in};
use super::{Catalog, ChannelNo};

/// An entry, removed or not.
#[derive(Debug, Clone)]
pub struct Saved {
    /// It, the folders above it and its contents.
    pub entry: OutboxEntry,
    /// The names from the top down to it, as they are shown; `None` where it is not there.
    pub path: Option<Vec<String>>,
    /// Whether items sit on it.
    pub has_items: bool,
}

/// Some entries.
pub type SavedPage = Vec<Saved>;

impl Catalog {
    /// The next entries behind an id; removed ones too.
    pub async fn saved_after(
        &self,
        channel: ChannelNo,
        after: Option<&ResourceId>,
        limit: u32,
    ) -> Result<SavedPage, CatalogError> {
        let mut snapshot = self.snapshot().await?;
        let rows = sqlx::query(
            "SELECT * FROM attach WHERE channel = ?1 AND hash > ?2 ORDER BY hash LIMIT ?3",
        )
        .bind(channel)
        .bind(after.map_or("", ResourceId::as_str))
        .bind(limit)
        .fetch_all(&mut *snapshot)
        .await?;
        let rows = rows.iter().map(attach).collect::<Result<Vec<_>, _>>()?;
        let mut paths = paths(&mut snapshot, channel, &rows).await?;
        let with_items = with_items(&mut snapshot, channel, &rows).await?;
        let entries = with_parents(&mut snapshot, channel, rows).await?;
        let saved = entries.into_iter().map(|entry| Saved {
            path: paths.remove(&entry.entry.hash),
            has_items: with_items.contains(&entry.entry.hash),
            entry,
        });
        Ok(saved.collect())
    }

    /// The contents of this root that a channel's entries have, here or not.
    pub async fn rows_of(
        &self,
        channel: ChannelNo,
        root: &Digest,
    ) -> Result<Vec<Data>, CatalogError> {
        let rows = sqlx::query(
            "SELECT * FROM data INDEXED BY data_root
             WHERE root = ?2 AND channel = ?1 AND state <> 'superseded' ORDER BY id",
        )
        .bind(channel)
        .bind(root.as_bytes())
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(data).collect()
    }

    /// BACKUP-23: the contents of some entries that are not here yet, given up or not.
    pub async fn lacking(
        &self,
        channel: ChannelNo,
        entries: &[ResourceId],
    ) -> Result<Vec<Data>, CatalogError> {
        let rows = sqlx::query(
            "SELECT d.* FROM json_each(?2) j CROSS JOIN data d
             WHERE d.channel = ?1 AND d.hash = j.value AND d.state IN ('wanted', 'failed')",
        )
        .bind(channel)
        .bind(list(entries))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(data).collect()
    }
}

/// The shown names above and of those that are there.
async fn paths(
    snapshot: &mut SqliteConnection,
    channel: ChannelNo,
    rows: &[Attach],
) -> Result<HashMap<ResourceId, Vec<String>>, CatalogError> {
    let there = || rows.iter().filter(|row| row.alive);
    let folders = folders_above(snapshot, channel, there()).await?;
    let named: Vec<&Attach> = folders.values().chain(there()).collect();
    let shown = shown_in(snapshot, channel, &named).await?;
    let shown: HashMap<&ResourceId, String> =
        named.iter().map(|row| &row.hash).zip(shown).collect();
    let path = |row: &Attach| {
        let above = chain(&folders, row);
        let top = above.first().map_or(row, |top| top);
        let names = above.iter().copied().chain([row]);
        let names = names.map(|row| shown.get(&row.hash).cloned()).collect::<Option<Vec<_>>>()?;
        top.folder.is_none().then_some((row.hash.clone(), names))
    };
    Ok(there().filter_map(path).collect())
}

async fn with_items(
    snapshot: &mut SqliteConnection,
    channel: ChannelNo,
    rows: &[Attach],
) -> Result<HashSet<ResourceId>, CatalogError> {
    let found = sqlx::query(
        "SELECT j.value AS resource FROM json_each(?2) j
         WHERE EXISTS (SELECT 1 FROM item INDEXED BY item_resource
             WHERE channel = ?1 AND resource = j.value)",
    )
    .bind(channel)
    .bind(list(rows.iter().map(|row| &row.hash)))
    .fetch_all(snapshot)
    .await?;
    found.iter().map(|row| parsed(row, "resource")).collect()
}

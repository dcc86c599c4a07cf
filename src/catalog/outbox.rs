//! What clones have not heard yet: operations made here, contents that arrived here.
//!
//! Owns: reading both in the order of their numbers. Not here: packets, deliveries, what each clone
//! has answered for (`locations`).
//! Invariant: an entry edited twice is delivered once, as it is now; `through` is a number up to
//! which nothing is missing, also where numbers were taken over by later edits.
//! Spec: SYNC-5, SYNC-30, SYNC-31.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};
use zotferry_protocol::ids::ResourceId;

use super::attach::{Attach, attach};
use super::columns::{bound, list, number};
use super::data::{Data, data};
use super::error::CatalogError;
use super::tree::{registered_above, registered_chain};
use super::{Catalog, ChannelNo};

/// One operation to be delivered.
#[derive(Debug, Clone)]
pub struct OutboxEntry {
    /// The folders above the entry, the topmost first; shared between entries.
    pub parents: Vec<Arc<Attach>>,
    /// The entry. Its `op_id` and `seq` are the operation's.
    pub entry: Attach,
    /// Its contents in every role.
    pub data: Vec<Data>,
}

/// A run of operations.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// In the order of their numbers.
    pub entries: Vec<OutboxEntry>,
    /// A clone that answered for all of these has heard everything up to here.
    pub through: u64,
}

/// A run of contents that arrived.
#[derive(Debug, Clone)]
pub struct Arrivals {
    /// In the order of their numbers (`present_seq`).
    pub contents: Vec<Data>,
    /// A clone that answered for all of these has heard everything up to here.
    pub through: u64,
}

/// The last numbers of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Of operations made here.
    pub seq: u64,
    /// Of contents that arrived here.
    pub present_seq: u64,
}

impl Catalog {
    /// SYNC-30: operations made here after `seq`, with all that their delivery needs.
    pub async fn ops_after(
        &self,
        channel: ChannelNo,
        seq: u64,
        limit: u32,
    ) -> Result<Outbox, CatalogError> {
        let mut snapshot = self.snapshot().await?;
        let head = heads(&mut snapshot, channel).await?.seq;
        let rows = sqlx::query(
            "SELECT * FROM attach WHERE channel = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )
        .bind(channel)
        .bind(bound(seq))
        .bind(limit)
        .fetch_all(&mut *snapshot)
        .await?;
        let rows = rows.iter().map(attach).collect::<Result<Vec<_>, _>>()?;
        let last = rows.last().and_then(|row| row.seq);
        let entries = with_parents(&mut snapshot, channel, rows).await?;
        Ok(Outbox { through: through(entries.len(), limit, last, head), entries })
    }

    /// SYNC-31: contents that arrived here after `present_seq` and are here still.
    pub async fn present_after(
        &self,
        channel: ChannelNo,
        present_seq: u64,
        limit: u32,
    ) -> Result<Arrivals, CatalogError> {
        let mut snapshot = self.snapshot().await?;
        let head = heads(&mut snapshot, channel).await?.present_seq;
        let rows = sqlx::query(
            "SELECT * FROM data INDEXED BY data_present_seq
             WHERE channel = ?1 AND present_seq > ?2 AND state = 'present'
             ORDER BY present_seq LIMIT ?3",
        )
        .bind(channel)
        .bind(bound(present_seq))
        .bind(limit)
        .fetch_all(&mut *snapshot)
        .await?;
        let contents = rows.iter().map(data).collect::<Result<Vec<_>, _>>()?;
        let last = contents.last().and_then(|content| content.present_seq);
        Ok(Arrivals { through: through(contents.len(), limit, last, head), contents })
    }

    /// The contents of entries, superseded ones left out, by entry.
    pub async fn contents_of(
        &self,
        channel: ChannelNo,
        rows: &[Attach],
    ) -> Result<HashMap<ResourceId, Vec<Data>>, CatalogError> {
        contents_of(&mut self.snapshot().await?, channel, rows).await
    }

    /// The last numbers of a channel.
    pub async fn heads(&self, channel: ChannelNo) -> Result<Heads, CatalogError> {
        heads(&mut self.snapshot().await?, channel).await
    }
}

async fn heads(
    snapshot: &mut Transaction<'static, Sqlite>,
    channel: ChannelNo,
) -> Result<Heads, CatalogError> {
    let row = sqlx::query("SELECT seq, present_seq FROM channel WHERE id = ?1")
        .bind(channel)
        .fetch_optional(&mut **snapshot)
        .await?
        .ok_or(CatalogError::UnknownChannel)?;
    Ok(Heads { seq: number(&row, "seq")?, present_seq: number(&row, "present_seq")? })
}

/// A run shorter than its limit reaches the head: numbers above its last are borne by nothing any more.
fn through(found: usize, limit: u32, last: Option<u64>, head: u64) -> u64 {
    match last {
        Some(last) if found >= limit as usize => last,
        _ => head,
    }
}

pub(super) async fn with_parents(
    snapshot: &mut Transaction<'static, Sqlite>,
    channel: ChannelNo,
    rows: Vec<Attach>,
) -> Result<Vec<OutboxEntry>, CatalogError> {
    let folders = registered_above(snapshot, channel, &rows).await?;
    let shared: HashMap<_, _> =
        folders.iter().map(|(hash, row)| (hash, Arc::new(row.clone()))).collect();
    let mut contents = contents_of(snapshot, channel, &rows).await?;
    let entries = rows.into_iter().map(|entry| OutboxEntry {
        parents: registered_chain(&folders, &entry)
            .into_iter()
            .map(|a| shared[&a.hash].clone())
            .collect(),
        data: contents.remove(&entry.hash).unwrap_or_default(),
        entry,
    });
    Ok(entries.collect())
}

async fn contents_of(
    snapshot: &mut Transaction<'static, Sqlite>,
    channel: ChannelNo,
    rows: &[Attach],
) -> Result<HashMap<ResourceId, Vec<Data>>, CatalogError> {
    let rows = sqlx::query(
        "SELECT d.* FROM json_each(?2) j CROSS JOIN data d
         WHERE d.channel = ?1 AND d.hash = j.value AND d.state <> 'superseded'
         ORDER BY d.hash, d.role",
    )
    .bind(channel)
    .bind(list(rows.iter().map(|row| &row.hash)))
    .fetch_all(&mut **snapshot)
    .await?;
    grouped(&rows)
}

fn grouped(rows: &[SqliteRow]) -> Result<HashMap<ResourceId, Vec<Data>>, CatalogError> {
    let mut by_hash: HashMap<ResourceId, Vec<Data>> = HashMap::new();
    for row in rows {
        let data = data(row)?;
        by_hash.entry(data.hash.clone()).or_default().push(data);
    }
    Ok(by_hash)
}

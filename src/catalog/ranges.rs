//! How a catalog answers when it is compared: sums, lists, entries by key.
//!
//! Owns: reading leaves. Not here: keeping them (`trie`), packets.
//! Invariant: a read goes along the key, from the beginning of a range to its end or to its limit.
//! Spec: AUDIT-4, AUDIT-8, AUDIT-10.

use std::collections::{HashMap, HashSet};

use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::{Digest, ResourceId};
use zotferry_protocol::trie::{FAN_OUT, Sum};

use super::columns::{Hex, checked, list};
use super::error::CatalogError;
use super::item::{Item, item};
use super::outbox::{OutboxEntry, with_parents};
use super::{Catalog, ChannelNo, attach, trie};

/// A leaf as it is listed.
pub type ListedLeaf = (Digest, Digest);

/// What a whole catalog adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// All leaves.
    pub sum: Sum,
    /// After how many changes.
    pub edition: u64,
}

impl Catalog {
    /// What all leaves of a channel add up to. Costs one row.
    pub async fn whole(&self, channel: ChannelNo) -> Result<Whole, CatalogError> {
        let (sum, edition) = trie::stored(&mut *self.reader().await?, channel, trie::ALL).await?;
        Ok(Whole { sum, edition: edition.unsigned_abs() })
    }

    /// What the leaves of a range add up to.
    pub async fn sum(&self, channel: ChannelNo, prefix: &[u8]) -> Result<Sum, CatalogError> {
        match prefix {
            [] => Ok(self.whole(channel).await?.sum),
            [byte] => {
                let row = i64::from(*byte);
                Ok(trie::stored(&mut *self.reader().await?, channel, row).await?.0)
            }
            _ => {
                let mut sum = Sum::default();
                for (_, digest) in self.leaves(channel, prefix, None, u32::MAX).await? {
                    sum.add(&digest);
                }
                Ok(sum)
            }
        }
    }

    /// The 256 sums below a range.
    pub async fn below(&self, channel: ChannelNo, prefix: &[u8]) -> Result<Vec<Sum>, CatalogError> {
        let mut below = vec![Sum::default(); FAN_OUT];
        if prefix.is_empty() {
            let rows = sqlx::query("SELECT * FROM trie WHERE channel = ?1 AND prefix < ?2")
                .bind(channel)
                .bind(trie::ALL)
                .fetch_all(&mut *self.reader().await?)
                .await?;
            for row in rows {
                let prefix: i64 = row.try_get("prefix")?;
                let count = super::columns::number(&row, "count")?;
                let digest = checked(&row, "digest", Digest::from_slice)?;
                if let Some(sum) = usize::try_from(prefix).ok().and_then(|p| below.get_mut(p)) {
                    *sum = Sum { count, digest };
                }
            }
            return Ok(below);
        }
        for (key, digest) in self.leaves(channel, prefix, None, u32::MAX).await? {
            below[usize::from(key.0[prefix.len()])].add(&digest);
        }
        Ok(below)
    }

    /// Leaves of a range behind a key, in the order of their keys.
    pub async fn leaves(
        &self,
        channel: ChannelNo,
        prefix: &[u8],
        after: Option<&Digest>,
        limit: u32,
    ) -> Result<Vec<ListedLeaf>, CatalogError> {
        let (first, last) = (padded(prefix, 0), padded(prefix, u8::MAX));
        // Behind nothing: the least of all byte strings.
        let after: &[u8] = after.map_or(&[], |key| &key.0);
        let rows = sqlx::query(
            "SELECT key, digest FROM leaf
             WHERE channel = ?1 AND key BETWEEN max(?2, ?4) AND ?3 AND key > ?4
             ORDER BY key LIMIT ?5",
        )
        .bind(channel)
        .bind(&first[..])
        .bind(&last[..])
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let pair = |row| {
            let key = checked(row, "key", Digest::from_slice)?;
            Ok((key, checked(row, "digest", Digest::from_slice)?))
        };
        rows.iter().map(pair).collect()
    }

    /// The digests of those keys at which something stands.
    pub async fn leaves_at(
        &self,
        channel: ChannelNo,
        keys: &[Digest],
    ) -> Result<HashMap<Digest, Digest>, CatalogError> {
        trie::digests(&mut *self.reader().await?, channel, keys).await
    }

    /// AUDIT-16: those of the keys at which a tombstone stood that was forgotten.
    pub async fn forgotten(
        &self,
        channel: ChannelNo,
        keys: &[Digest],
    ) -> Result<HashSet<Digest>, CatalogError> {
        let rows = sqlx::query(
            "SELECT f.key FROM json_each(?2) j CROSS JOIN forgotten f
             WHERE f.channel = ?1 AND f.key = unhex(j.value)",
        )
        .bind(channel)
        .bind(list(keys.iter().map(|key| Hex(&key.0))))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(|row| checked(row, "key", Digest::from_slice)).collect()
    }

    /// AUDIT-10: the entries that stand at some keys, or whose items do, with all that their delivery
    /// needs, in the order of the keys. Keys at which nothing stands are left out.
    pub async fn entries_at(
        &self,
        channel: ChannelNo,
        keys: &[Digest],
    ) -> Result<Vec<OutboxEntry>, CatalogError> {
        let mut snapshot = self.snapshot().await?;
        let hashes = hashes(&mut snapshot, channel, keys).await?;
        let mut rows = attach::load(&mut snapshot, channel, &hashes).await?;
        let rows = hashes.iter().filter_map(|hash| rows.remove(hash)).collect();
        with_parents(&mut snapshot, channel, rows).await
    }

    /// The items that stand at some keys.
    pub async fn items_at(
        &self,
        channel: ChannelNo,
        keys: &[Digest],
    ) -> Result<Vec<Item>, CatalogError> {
        let rows = sqlx::query(
            "SELECT i.* FROM json_each(?2) j CROSS JOIN leaf l CROSS JOIN item i
             WHERE l.channel = ?1 AND l.key = unhex(j.value) AND l.kind = 1
               AND i.channel = ?1 AND i.mid = l.id ORDER BY j.key",
        )
        .bind(channel)
        .bind(list(keys.iter().map(|key| Hex(&key.0))))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(item).collect()
    }
}

/// The entries to which the leaves at some keys belong, each once.
async fn hashes(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    keys: &[Digest],
) -> Result<Vec<ResourceId>, CatalogError> {
    let rows = sqlx::query(
        "SELECT CASE l.kind WHEN 0 THEN l.id ELSE (
             SELECT i.resource FROM item i WHERE i.channel = ?1 AND i.mid = l.id) END AS hash
         FROM json_each(?2) j CROSS JOIN leaf l
         WHERE l.channel = ?1 AND l.key = unhex(j.value) ORDER BY j.key",
    )
    .bind(channel)
    .bind(list(keys.iter().map(|key| Hex(&key.0))))
    .fetch_all(connection)
    .await?;
    let mut hashes: Vec<ResourceId> = Vec::with_capacity(rows.len());
    let mut seen = HashSet::new();
    for row in &rows {
        let hash: ResourceId = super::columns::parsed(row, "hash")?;
        if seen.insert(hash.clone()) {
            hashes.push(hash);
        }
    }
    Ok(hashes)
}

/// The first or the last key of a range.
fn padded(prefix: &[u8], with: u8) -> [u8; Digest::LEN] {
    let mut key = [with; Digest::LEN];
    key[..prefix.len()].copy_from_slice(prefix);
    key
}

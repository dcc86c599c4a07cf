//! Tombstones go when nobody needs them any more.
//!
//! Owns: which ones every clone is known to have, and the memory of those that went. Not here: when
//! it is looked (`sweep`), what a removal is (`edit`).
//! Invariant: a tombstone is kept while any clone of the channel, listed or not, or removed a while ago and perhaps allowed
//! again, has not been found equal to this one since the tombstone came.
//! Spec: AUDIT-15, AUDIT-16, AUDIT-19.

use std::collections::{HashMap, HashSet};

use sqlx::{Row, SqliteConnection};
use zotferry_protocol::codec;
use zotferry_protocol::ids::{Digest, Millis, ResourceId};
use zotferry_protocol::trie::{Kind, key};
use zotferry_protocol::version::Version;

use super::columns::{Hex, checked, integer, list, parsed};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, SiteNo, trie};

/// Tombstones looked at in one transaction.
const AT_ONCE: i64 = 1000;

/// Removed entries in which nothing lies any more, not even another removed one, or one that a cycle
/// displaced from there.
const DEAD: &str = "
    SELECT a.hash, a.removed_version FROM attach a INDEXED BY attach_removed
    WHERE a.channel = ?1 AND a.alive = 0 AND a.hash > ?2
      AND NOT EXISTS (SELECT 1 FROM attach c INDEXED BY attach_removed_in
                      WHERE c.channel = ?1 AND c.folder = a.hash AND c.alive = 0)
      AND NOT EXISTS (SELECT 1 FROM attach c INDEXED BY attach_displaced
                      WHERE c.channel = ?1 AND c.folder <> c.place_folder AND c.place_folder = a.hash)
    ORDER BY a.hash LIMIT ?3";

impl Catalog {
    /// AUDIT-15: forgets the tombstones of a channel that are older than `before` and that every other
    /// clone has, also those that were heard of after `away` and removed. Returns how many went.
    pub async fn forget_tombstones(
        &self,
        channel: ChannelNo,
        here: SiteNo,
        before: Millis,
        away: Millis,
    ) -> Result<u64, CatalogError> {
        let mut gone = 0;
        loop {
            // A folder goes once nothing lies in it: in the pass after what lay there.
            match self.forget_once(channel, here, before, away).await? {
                0 => return Ok(gone),
                some => gone += some,
            }
        }
    }

    /// One pass over all tombstones of a channel.
    async fn forget_once(
        &self,
        channel: ChannelNo,
        here: SiteNo,
        before: Millis,
        away: Millis,
    ) -> Result<u64, CatalogError> {
        let (mut gone, mut after) = (0, String::new());
        loop {
            let mut tx = self.begin().await?;
            let known = known_to_all(&mut tx, channel, here, away).await?;
            let rows = sqlx::query(DEAD)
                .bind(channel)
                .bind(&after)
                .bind(AT_ONCE)
                .fetch_all(&mut *tx)
                .await?;
            let Some(last) = rows.last() else { break };
            after = last.try_get("hash")?;
            let mut old: Vec<ResourceId> = Vec::new();
            for row in &rows {
                let version: Option<&[u8]> = row.try_get("removed_version")?;
                let version = version.and_then(|v| codec::decode_owned::<Version>(v).ok());
                if version.is_some_and(|version| version.hlc().millis() < before) {
                    old.push(parsed(row, "hash")?);
                }
            }
            let keys = settled(&mut tx, channel, &old, known).await?;
            if !keys.is_empty() {
                gone += forget(&mut tx, channel, &keys).await?;
                self.commit(tx).await?;
            }
        }
        Ok(gone)
    }

    /// AUDIT-16: what every clone has forgotten as well needs no remembering.
    pub async fn forget_forgotten(
        &self,
        channel: ChannelNo,
        here: SiteNo,
        away: Millis,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let known = known_to_all(&mut tx, channel, here, away).await?;
        let done = sqlx::query("DELETE FROM forgotten WHERE channel = ?1 AND edition <= ?2")
            .bind(channel)
            .bind(known)
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() > 0 {
            self.commit(tx).await?;
        }
        Ok(())
    }
}

/// The edition that every other clone has been found equal to, or a later one; all where there is none. A place that
/// was heard of after `away`, by a statement about it or by itself, counts also when it was removed.
async fn known_to_all(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    here: SiteNo,
    away: Millis,
) -> Result<i64, CatalogError> {
    let known: Option<i64> = sqlx::query_scalar(
        "SELECT min(coalesce(c.edition, 0)) FROM location l
         JOIN site s ON s.id = l.site
         LEFT JOIN notice n ON n.channel = l.channel AND n.site_id = s.site_id
         LEFT JOIN compared c ON c.channel = l.channel AND c.site = l.site
         WHERE l.channel = ?1 AND l.site <> ?2 AND l.is_foreign = 0
           AND (l.deleted = 0
                OR max(l.serial, coalesce(n.serial, 0), coalesce(s.last_seen, 0)) > ?3)",
    )
    .bind(channel)
    .bind(here)
    .bind(integer(away.0)?)
    .fetch_one(connection)
    .await?;
    Ok(known.unwrap_or(i64::MAX))
}

/// The keys of those, and of their items, that have been as they are since an edition that all know.
async fn settled(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
    hashes: &[ResourceId],
    known: i64,
) -> Result<Vec<Digest>, CatalogError> {
    let items = sqlx::query(
        "SELECT i.resource, i.mid FROM json_each(?2) j
         CROSS JOIN item i INDEXED BY item_resource WHERE i.channel = ?1 AND i.resource = j.value",
    )
    .bind(channel)
    .bind(list(hashes))
    .fetch_all(&mut *connection)
    .await?;
    let mut leaves: HashMap<String, Vec<Digest>> = HashMap::new();
    for hash in hashes {
        leaves.insert(hash.to_string(), vec![key(Kind::Attach, hash.as_str())]);
    }
    for row in &items {
        let (hash, mid): (String, String) = (row.try_get("resource")?, row.try_get("mid")?);
        leaves.entry(hash).or_default().push(key(Kind::Item, &mid));
    }
    let keys = leaves.values().flatten().map(|key| Hex(&key.0));
    let rows = sqlx::query(
        "SELECT l.key FROM json_each(?2) j CROSS JOIN leaf l
         WHERE l.channel = ?1 AND l.key = unhex(j.value) AND l.since <= ?3",
    )
    .bind(channel)
    .bind(list(keys))
    .bind(known)
    .fetch_all(connection)
    .await?;
    let known = rows.iter().map(|row| checked(row, "key", Digest::from_slice));
    let known = known.collect::<Result<HashSet<Digest>, _>>()?;
    let all = leaves.into_values().filter(|keys| keys.iter().all(|key| known.contains(key)));
    Ok(all.flatten().collect())
}

async fn forget(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    keys: &[Digest],
) -> Result<u64, CatalogError> {
    let listed = list(keys.iter().map(|key| Hex(&key.0)));
    let gone = sqlx::query(
        "DELETE FROM attach WHERE channel = ?1 AND hash IN (
             SELECT l.id FROM json_each(?2) j CROSS JOIN leaf l
             WHERE l.channel = ?1 AND l.key = unhex(j.value) AND l.kind = 0)",
    )
    .bind(channel)
    .bind(&listed)
    .execute(&mut *tx)
    .await?;
    let edition = trie::leave(tx, channel, keys).await?;
    sqlx::query(
        "INSERT OR REPLACE INTO forgotten (channel, key, edition)
         SELECT ?1, unhex(value), ?3 FROM json_each(?2)",
    )
    .bind(channel)
    .bind(listed)
    .bind(edition)
    .execute(tx)
    .await?;
    Ok(gone.rows_affected())
}

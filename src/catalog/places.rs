//! After entries changed: where folders lie, and which of the removed ones come back.
//!
//! Owns: the two derived columns of `attach`, `folder` and `alive`, and nothing else of it. Not here: the
//! registers that they are derived from, breaking a cycle (the protocol crate).
//! Invariant: both follow from the registers of all entries, never from the order in which they came.
//! Spec: SYNC-33, SYNC-35, SYNC-39, SYNC-40.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::codec;
use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::places::{Place, displaced};

use super::attach::{folder_text, maybe_folder};
use super::columns::{list, parsed};
use super::error::CatalogError;
use super::{Attach, ChannelNo};

/// Every folder above some, along what the registers say and said. UNION ends at a cycle.
const ABOVE: &str = "
    WITH RECURSIVE up (hash) AS (
        SELECT value FROM json_each(?2)
        UNION
        SELECT CASE j.n WHEN 0 THEN a.place_folder ELSE a.was_folder END
        FROM up CROSS JOIN attach a ON a.channel = ?1 AND a.hash = up.hash
            CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1) j
    )
    SELECT a.hash, a.folder, a.place_folder, a.was_folder, a.place_version
    FROM up CROSS JOIN attach a ON a.channel = ?1 AND a.hash = up.hash AND a.is_dir = 1";

/// Whether the way up from some folders comes back to one that it passed: then the way is longer than it
/// has different folders.
const CIRCULAR: &str = "
    WITH RECURSIVE up (start, hash, depth) AS (
        SELECT value, value, 0 FROM json_each(?2)
        UNION ALL
        SELECT up.start, a.place_folder, up.depth + 1
        FROM up CROSS JOIN attach a ON a.channel = ?1 AND a.hash = up.hash
        WHERE up.depth < 1000 AND NOT (up.depth > 0 AND up.hash = up.start)
    )
    SELECT EXISTS (SELECT 1 FROM up WHERE (depth > 0 AND hash = start) OR depth >= 1000)";

const DISPLACED: &str = "SELECT hash FROM attach INDEXED BY attach_displaced
    WHERE channel = ?1 AND folder <> place_folder";

const INSIDE: &str = "
    SELECT a.hash, a.folder, a.alive, EXISTS (
        SELECT 1 FROM attach c INDEXED BY attach_folder
        WHERE c.channel = ?1 AND c.folder = a.hash AND c.alive = 1) AS inside
    FROM json_each(?2) j CROSS JOIN attach a
    WHERE a.channel = ?1 AND a.hash = j.value AND a.is_dir = 1 AND a.removed_version IS NOT NULL";

/// Derives what has to be derived after `changed` rows were written; `before` holds those that were
/// there before, as they were.
pub(super) async fn settle(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    changed: &[Attach],
    before: &HashMap<ResourceId, Attach>,
) -> Result<(), CatalogError> {
    let moved = changed.iter().filter(|row| row.is_dir && has_moved(row, before));
    let moved: BTreeSet<ResourceId> = moved.map(|row| row.hash.clone()).collect();
    let mut look = BTreeSet::new();
    if !moved.is_empty() {
        look = settle_places(tx, channel, &moved).await?;
    }
    for row in changed {
        let old = before.get(&row.hash).and_then(|old| old.folder.clone());
        look.extend(row.folder.iter().cloned().chain(old));
        if row.is_dir {
            look.insert(row.hash.clone());
        }
    }
    settle_alive(tx, channel, look).await
}

fn has_moved(row: &Attach, before: &HashMap<ResourceId, Attach>) -> bool {
    before.get(&row.hash).is_none_or(|old| old.place_version != row.place_version)
}

/// SYNC-40: breaks cycles. Answers the folders that gained or lost something by it.
async fn settle_places(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    moved: &BTreeSet<ResourceId>,
) -> Result<BTreeSet<ResourceId>, CatalogError> {
    let rows = sqlx::query(DISPLACED).bind(channel).fetch_all(&mut *tx).await?;
    let strays = rows.iter().map(|row| parsed(row, "hash")).collect::<Result<BTreeSet<_>, _>>()?;
    if strays.is_empty() && !is_circular(tx, channel, moved).await? {
        return Ok(BTreeSet::new());
    }
    let from: BTreeSet<ResourceId> = moved.union(&strays).cloned().collect();
    let rows = sqlx::query(ABOVE).bind(channel).bind(list(&from)).fetch_all(&mut *tx).await?;
    let (mut places, mut lies) = (BTreeMap::new(), HashMap::new());
    for row in &rows {
        let hash: ResourceId = parsed(row, "hash")?;
        lies.insert(hash.clone(), maybe_folder(row, "folder")?);
        places.insert(hash, place(row)?);
    }
    let returned = displaced(&places, from);
    let mut look = BTreeSet::new();
    for (hash, place) in &places {
        let to = returned.get(hash).unwrap_or(&place.folder);
        let at = &lies[hash];
        if at != to {
            write_folder(tx, channel, hash, to.as_ref()).await?;
            look.extend(at.iter().chain(to).chain([hash]).cloned());
        }
    }
    Ok(look)
}

async fn is_circular(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    moved: &BTreeSet<ResourceId>,
) -> Result<bool, CatalogError> {
    Ok(sqlx::query_scalar(CIRCULAR).bind(channel).bind(list(moved)).fetch_one(tx).await?)
}

fn place(row: &SqliteRow) -> Result<Place, CatalogError> {
    let version: &[u8] = row.try_get("place_version")?;
    Ok(Place {
        folder: maybe_folder(row, "place_folder")?,
        was: maybe_folder(row, "was_folder")?,
        version: codec::decode_owned(version)
            .map_err(|e| CatalogError::Corrupt(format!("a version: {e}")))?,
    })
}

async fn write_folder(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    hash: &ResourceId,
    folder: Option<&ResourceId>,
) -> Result<(), CatalogError> {
    sqlx::query("UPDATE attach SET folder = ?3 WHERE channel = ?1 AND hash = ?2")
        .bind(channel)
        .bind(hash.as_str())
        .bind(folder_text(folder))
        .execute(tx)
        .await?;
    Ok(())
}

/// SYNC-35: a removed folder is there while something is inside; from the changed ones upwards.
async fn settle_alive(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    mut look: BTreeSet<ResourceId>,
) -> Result<(), CatalogError> {
    while !look.is_empty() {
        let rows = sqlx::query(INSIDE).bind(channel).bind(list(&look)).fetch_all(&mut *tx).await?;
        look.clear();
        for row in &rows {
            let (alive, inside): (bool, bool) = (row.try_get("alive")?, row.try_get("inside")?);
            if alive == inside {
                continue;
            }
            let hash: ResourceId = parsed(row, "hash")?;
            sqlx::query("UPDATE attach SET alive = ?3 WHERE channel = ?1 AND hash = ?2")
                .bind(channel)
                .bind(hash.as_str())
                .bind(inside)
                .execute(&mut *tx)
                .await?;
            look.extend(maybe_folder(row, "folder")?);
        }
    }
    Ok(())
}

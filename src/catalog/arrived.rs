//! The end of a wanted content: it arrived, it was given up, nobody wants it any more.
//!
//! Owns: every change of state that is not an announcement. Not here: removing bytes (storage).
//! Invariant: the numbers of what arrived (`present_seq`) only rise per channel and none is given
//! twice, so that a clone can be told "all up to here".
//! Spec: SYNC-10, SYNC-31.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::{Digest, Millis};

use super::columns::{Hex, checked, integer, list};
use super::data::{Data, data};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, WantedNo};
use crate::storage::Announced;

/// The bytes came although the entry has other content by now: they are here until removed.
/// The plus keeps the planner to the ids; all superseded rows may be many.
const HELD_ANYWAY: &str = "
    UPDATE data SET held = 1
    WHERE +state = 'superseded' AND held = 0 AND id IN (SELECT value FROM json_each(?1))";

const PRESENT: &str = "
    UPDATE data SET state = 'present', held = 1, present_seq = arrived.seq, error = NULL
    FROM (
        SELECT d.id, c.present_seq + row_number() OVER (PARTITION BY d.channel ORDER BY j.key) AS seq
        FROM json_each(?1) j CROSS JOIN data d JOIN channel c ON c.id = d.channel
        WHERE d.id = j.value AND d.state IN ('wanted', 'failed')
    ) AS arrived
    WHERE data.id = arrived.id";

const LAST_PRESENT: &str = "
    UPDATE channel SET present_seq = max(present_seq, (
        SELECT coalesce(max(d.present_seq), 0) FROM data d
        WHERE d.channel = channel.id AND d.present_seq IS NOT NULL))
    WHERE id IN (SELECT d.channel FROM json_each(?1) j CROSS JOIN data d WHERE d.id = j.value)";

/// The bytes of these contents are in storage. Repeating it changes nothing. Returns how many became present.
pub(super) async fn mark_present(
    tx: &mut SqliteConnection,
    ids: &[WantedNo],
) -> Result<u64, CatalogError> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(0);
    }
    let ids = list(ids);
    sqlx::query(HELD_ANYWAY).bind(&ids).execute(&mut *tx).await?;
    let present = sqlx::query(PRESENT).bind(&ids).execute(&mut *tx).await?.rows_affected();
    sqlx::query(LAST_PRESENT).bind(&ids).execute(tx).await?;
    Ok(present)
}

async fn fetch_instead(tx: &mut SqliteConnection, channel: ChannelNo) -> Result<u64, CatalogError> {
    let changed = sqlx::query(
        "UPDATE data SET source = 'fetch'
         WHERE channel = ?1 AND state = 'wanted' AND source = 'backup'",
    )
    .bind(channel)
    .execute(tx)
    .await?;
    Ok(changed.rows_affected())
}

impl Catalog {
    /// SYNC-31: the bytes of these contents are durable in storage: they count as used, may be
    /// served, and are reported. One transaction however many. Returns how many became present.
    pub async fn mark_present(&self, ids: &[WantedNo]) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let present = mark_present(&mut tx, ids).await?;
        self.commit(tx).await?;
        Ok(present)
    }

    /// Gives a wanted content up; its room is free again.
    pub async fn mark_failed(&self, id: WantedNo, reason: &str) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE data SET state = 'failed', error = ?2 WHERE id = ?1 AND state = 'wanted'",
        )
        .bind(id)
        .bind(reason)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// Wants again whatever a channel gave up. Returns how many.
    pub async fn retry_failed(&self, channel: ChannelNo) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let retried = sqlx::query(
            "UPDATE data SET state = 'wanted', error = NULL
             WHERE channel = ?1 AND state = 'failed' AND site IS NOT NULL",
        )
        .bind(channel)
        .execute(&mut *tx)
        .await?;
        let given_up = fetch_instead(&mut tx, channel).await?;
        self.commit(tx).await?;
        Ok(retried.rows_affected() + given_up)
    }

    /// BACKUP-25: what a backup was to bring and has not is asked of the hubs from now on. Returns how much.
    pub async fn fetch_instead(&self, channel: ChannelNo) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let changed = fetch_instead(&mut tx, channel).await?;
        self.commit(tx).await?;
        Ok(changed)
    }

    /// Wants one content again that was given up: somebody waits for it.
    pub async fn want_again(&self, id: WantedNo) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE data SET state = 'wanted', error = NULL
             WHERE id = ?1 AND state = 'failed' AND site IS NOT NULL",
        )
        .bind(id)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// Of these contents those that their channel wants under no name.
    pub async fn unwanted(&self, contents: &[Announced]) -> Result<Vec<Announced>, CatalogError> {
        let named = contents.iter().map(|c| (Hex(&c.root.0), c.channel, c.size));
        let rows = sqlx::query(
            "SELECT j.key FROM json_each(?1) j
             WHERE NOT EXISTS (SELECT 1 FROM data d INDEXED BY data_root
                               WHERE d.root = unhex(j.value ->> 0) AND d.channel = j.value ->> 1
                                 AND d.size = j.value ->> 2 AND d.state IN ('wanted', 'failed'))
             ORDER BY j.key",
        )
        .bind(list(named))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        chosen(&rows, contents)
    }

    /// Nobody needs these contents any more, wanted or not: the room they took is free again. What
    /// is in storage stays there, and is served, until it is forgotten.
    pub async fn release(&self, ids: &[WantedNo], now: Millis) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE data SET state = 'superseded', superseded_at = ?2, error = NULL
             WHERE state <> 'superseded' AND id IN (SELECT value FROM json_each(?1))",
        )
        .bind(list(ids))
        .bind(integer(now.0)?)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// Contents superseded before `before`, the longest ago first; none of the channels in `but`.
    pub async fn superseded(
        &self,
        before: Millis,
        limit: u32,
        but: &[ChannelNo],
    ) -> Result<Vec<Data>, CatalogError> {
        let rows = sqlx::query(
            "SELECT * FROM data WHERE state = 'superseded' AND superseded_at < ?1
               AND channel NOT IN (SELECT value FROM json_each(?3))
             ORDER BY superseded_at, id LIMIT ?2",
        )
        .bind(integer(before.0)?)
        .bind(limit)
        .bind(list(but))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(data).collect()
    }

    /// Forgets superseded contents and returns the roots that no content of any channel has now,
    /// which the caller may remove from storage. Rows first, bytes after: a crash between leaves
    /// bytes that nobody names, never a name without bytes. The caller sees to it that none of
    /// these roots is stored anew meanwhile. FETCH-29: that they were here is known for a while yet.
    pub async fn forget(&self, ids: &[WantedNo], now: Millis) -> Result<Vec<Digest>, CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT OR REPLACE INTO gone (channel, hash, role, root, at)
             SELECT channel, hash, role, root, ?2 FROM data
             WHERE +state = 'superseded' AND id IN (SELECT value FROM json_each(?1))",
        )
        .bind(list(ids))
        .bind(integer(now.0)?)
        .execute(&mut *tx)
        .await?;
        let rows = sqlx::query(
            "DELETE FROM data
             WHERE +state = 'superseded' AND id IN (SELECT value FROM json_each(?1)) RETURNING root",
        )
        .bind(list(ids))
        .fetch_all(&mut *tx)
        .await?;
        let roots = rows.iter().map(|row| checked(row, "root", Digest::from_slice));
        let mut roots = roots.collect::<Result<Vec<_>, _>>()?;
        roots.sort_unstable();
        roots.dedup();
        let free = unnamed(&mut tx, &roots).await?;
        self.commit(tx).await?;
        Ok(free)
    }

    /// FETCH-29: lets go what contents went before `before`.
    pub async fn forget_gone(&self, before: Millis) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let deleted = sqlx::query("DELETE FROM gone WHERE at < ?1").bind(integer(before.0)?);
        deleted.execute(&mut *tx).await?;
        self.commit(tx).await
    }
}

/// Those of the roots that no row names.
pub(super) async fn unnamed(
    tx: &mut SqliteConnection,
    roots: &[Digest],
) -> Result<Vec<Digest>, CatalogError> {
    let rows = sqlx::query(
        "SELECT j.key FROM json_each(?1) j
         WHERE NOT EXISTS (SELECT 1 FROM data d WHERE d.root = unhex(j.value)) ORDER BY j.key",
    )
    .bind(list(roots.iter().map(|root| Hex(&root.0))))
    .fetch_all(tx)
    .await?;
    chosen(&rows, roots)
}

/// Those of a list that a statement names by their places in it.
fn chosen<T: Copy>(rows: &[SqliteRow], all: &[T]) -> Result<Vec<T>, CatalogError> {
    rows.iter()
        .map(|row| {
            let index: i64 = row.try_get("key")?;
            let found = usize::try_from(index).ok().and_then(|index| all.get(index));
            found.copied().ok_or_else(|| CatalogError::Corrupt("a list came back longer".into()))
        })
        .collect()
}

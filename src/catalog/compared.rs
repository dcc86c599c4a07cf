//! How each clone was found when it was compared with this one, and when it is to be compared again.
//!
//! Owns: the rows of `compared`. Not here: comparing, deliveries.
//! Invariant: what is noted as equal was equal: the edition is the one whose sum both had.
//! Spec: AUDIT-12 to AUDIT-15.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::Millis;

use super::columns::{bound, integer, maybe_number, number};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, SiteNo, trie};

/// How a clone was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Whose clone.
    pub channel: ChannelNo,
    /// Where.
    pub site: SiteNo,
    /// When it is to be compared again.
    pub due: Millis,
    /// When it was compared last.
    pub at: Option<Millis>,
    /// When both were equal last.
    pub equal_at: Option<Millis>,
    /// Entries that differed, the last time.
    pub differing: u64,
    /// Whether it is brought up by comparing, instead of by each operation that it missed.
    pub by_audit: bool,
    /// Whether it does not know how to compare.
    pub unable: bool,
}

fn compared(row: &SqliteRow) -> Result<Compared, CatalogError> {
    Ok(Compared {
        channel: row.try_get("channel")?,
        site: row.try_get("site")?,
        due: Millis(number(row, "due")?),
        at: maybe_number(row, "at")?.map(Millis),
        equal_at: maybe_number(row, "equal_at")?.map(Millis),
        differing: number(row, "differing")?,
        by_audit: row.try_get("by_audit")?,
        unable: row.try_get("unable")?,
    })
}

/// What a comparison found.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// When.
    pub at: Millis,
    /// The edition of ours that was equal to theirs, if one was.
    pub equal: Option<u64>,
    /// Entries that differ.
    pub differing: u64,
    /// When it is to be compared again.
    pub due: Millis,
}

/// How the clones of a channel were found, where they were looked at.
pub(super) async fn compared_in(
    connection: &mut SqliteConnection,
    channel: ChannelNo,
) -> Result<Vec<Compared>, CatalogError> {
    let sql = "SELECT * FROM compared WHERE channel = ?1";
    sqlx::query(sql).bind(channel).fetch_all(connection).await?.iter().map(compared).collect()
}

impl Catalog {
    /// How a clone was found, if it was ever looked at.
    pub async fn compared(
        &self,
        channel: ChannelNo,
        site: SiteNo,
    ) -> Result<Option<Compared>, CatalogError> {
        let row = sqlx::query("SELECT * FROM compared WHERE channel = ?1 AND site = ?2")
            .bind(channel)
            .bind(site)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(compared).transpose()
    }

    /// AUDIT-12: gives each live clone, other than the one at `here`, a time to be compared: at once
    /// where the channel has no entry yet, else `later`. Returns all of them, the next one due first.
    pub async fn comparisons(
        &self,
        here: SiteNo,
        now: Millis,
        later: Millis,
    ) -> Result<Vec<Compared>, CatalogError> {
        let missing: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM location l
             LEFT JOIN compared c ON c.channel = l.channel AND c.site = l.site
             WHERE l.site <> ?1 AND l.deleted = 0 AND l.is_foreign = 0 AND l.state = 'listed'
               AND c.site IS NULL",
        )
        .bind(here)
        .fetch_one(&mut *self.reader().await?)
        .await?;
        if missing > 0 {
            self.begin_comparing(here, now, later).await?;
        }
        let rows = sqlx::query(
            "SELECT c.* FROM compared c JOIN location l ON l.channel = c.channel AND l.site = c.site
             WHERE l.site <> ?1 AND l.deleted = 0 AND l.is_foreign = 0 AND l.state = 'listed'
             ORDER BY c.due",
        )
        .bind(here)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(compared).collect()
    }

    async fn begin_comparing(
        &self,
        here: SiteNo,
        now: Millis,
        later: Millis,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT OR IGNORE INTO compared (channel, site, due)
             SELECT l.channel, l.site, iif(coalesce(t.count, 0) = 0, ?2, ?3)
             FROM location l LEFT JOIN trie t ON t.channel = l.channel AND t.prefix = ?4
             WHERE l.site <> ?1 AND l.deleted = 0 AND l.is_foreign = 0 AND l.state = 'listed'",
        )
        .bind(here)
        .bind(integer(now.0)?)
        .bind(integer(later.0)?)
        .bind(trie::ALL)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// Every comparison is due by then, however late it would have been.
    pub async fn compare_by(&self, due: Millis) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE compared SET due = min(due, ?1)")
            .bind(integer(due.0)?)
            .execute(&mut *tx)
            .await?;
        self.commit(tx).await
    }

    /// Notes what a comparison found. A clone that was found equal needs no bringing up.
    pub async fn note_compared(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        found: &Comparison,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let equal_at = found.equal.map(|_| integer(found.at.0)).transpose()?;
        sqlx::query(
            "INSERT INTO compared (channel, site, due, at, equal_at, edition, differing)
             VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, 0), ?7)
             ON CONFLICT (channel, site) DO UPDATE SET
                 due = excluded.due, at = excluded.at, differing = excluded.differing,
                 equal_at = coalesce(excluded.equal_at, equal_at),
                 edition = max(edition, excluded.edition),
                 by_audit = iif(excluded.equal_at IS NULL, by_audit, 0), unable = 0",
        )
        .bind(channel)
        .bind(site)
        .bind(integer(found.due.0)?)
        .bind(integer(found.at.0)?)
        .bind(equal_at)
        .bind(found.equal.map(trie::edition).transpose()?)
        .bind(integer(found.differing)?)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// AUDIT-14: a clone for which too many operations wait hears of none of them: it is compared at
    /// `due` and brought up then.
    pub async fn bring_up_by_audit(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        due: Millis,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO compared (channel, site, due, by_audit) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT (channel, site) DO UPDATE SET by_audit = 1, due = min(due, excluded.due)",
        )
        .bind(channel)
        .bind(site)
        .bind(integer(due.0)?)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "UPDATE location SET acked_seq = (SELECT seq FROM channel WHERE id = ?1)
             WHERE channel = ?1 AND site = ?2",
        )
        .bind(channel)
        .bind(site)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// A clone does not know how to compare: if it was to be brought up so, it hears of every operation.
    pub async fn cannot_compare(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        due: Millis,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE location SET acked_seq = 0 WHERE channel = ?1 AND site = ?2
             AND EXISTS (SELECT 1 FROM compared c WHERE c.channel = ?1 AND c.site = ?2 AND c.by_audit = 1)",
        )
        .bind(channel)
        .bind(site)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "UPDATE compared SET by_audit = 0, unable = 1, due = ?3 WHERE channel = ?1 AND site = ?2",
        )
        .bind(channel)
        .bind(site)
        .bind(integer(due.0)?)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// How many operations wait for a clone, counted up to a limit.
    pub async fn waiting(
        &self,
        channel: ChannelNo,
        acked: u64,
        limit: u32,
    ) -> Result<u64, CatalogError> {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT 1 FROM attach WHERE channel = ?1 AND seq > ?2 LIMIT ?3)",
        )
        .bind(channel)
        .bind(bound(acked))
        .bind(limit)
        .fetch_one(&mut *self.reader().await?)
        .await?;
        Ok(waiting.unsigned_abs())
    }
}

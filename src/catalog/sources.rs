//! Whom to ask for what is wanted: every listed location that announced a content or reported it.
//!
//! Owns: the questions about who has a content. Not here: what is wanted (`wanted`), who of several is
//! asked (the receiver).
//! Invariant: a location that is pending, removed, foreign or this hub's own is never in an answer.
//! Spec: SYNC-11.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::columns::list;
use super::error::CatalogError;
use super::{Catalog, ChannelNo, SiteNo, WantedNo};

impl Catalog {
    /// The channels that want something and do not rest, each with every hub that may have it, other
    /// than the one at `here`: by channel, then by site. Costs nothing, however much is wanted.
    pub async fn fetch_lanes(
        &self,
        here: SiteNo,
    ) -> Result<Vec<(ChannelNo, SiteNo)>, CatalogError> {
        let rows = sqlx::query(
            "SELECT l.channel, l.site
             FROM tally t JOIN channel c ON c.id = t.channel JOIN location l ON l.channel = c.id
             WHERE t.state = 'wanted' AND t.files > 0 AND c.paused = 0
               AND l.site <> ?1 AND l.state = 'listed' AND l.deleted = 0 AND l.is_foreign = 0
             ORDER BY l.channel, l.site",
        )
        .bind(here)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(|row| Ok((row.try_get("channel")?, row.try_get("site")?))).collect()
    }

    /// SYNC-11, BACKUP-25: a clone with an equal catalog may have whatever is wanted here, whoever announced it: its
    /// report may have come before anything here named the content. A guess, and kept as one: its time is 0. Returns
    /// how many that are news.
    pub async fn may_have(&self, channel: ChannelNo, site: SiteNo) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let added = sqlx::query(
            "INSERT OR IGNORE INTO present_at (channel, site, root, at)
             SELECT d.channel, ?2, d.root, 0 FROM data d INDEXED BY data_wanted
             WHERE d.state = 'wanted' AND d.channel = ?1 AND d.source = 'fetch' AND d.site IS NOT ?2",
        )
        .bind(channel)
        .bind(site)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await?;
        Ok(added.rows_affected())
    }

    /// SYNC-11: the hubs, other than the one at `here`, that may be asked for each of these contents,
    /// by site. One that nobody has, or that a backup is bringing, is left out.
    pub async fn sources_of(
        &self,
        here: SiteNo,
        ids: &[WantedNo],
    ) -> Result<HashMap<WantedNo, Vec<SiteNo>>, CatalogError> {
        let rows = sqlx::query(
            "SELECT d.id, l.site
             FROM json_each(?1) j CROSS JOIN data d CROSS JOIN location l
             WHERE d.id = j.value AND l.channel = d.channel AND d.source = 'fetch'
               AND l.site <> ?2 AND l.state = 'listed' AND l.deleted = 0 AND l.is_foreign = 0
               AND (d.site = l.site OR EXISTS (
                    SELECT 1 FROM present_at p
                    WHERE p.channel = d.channel AND p.root = d.root AND p.site = l.site))
             ORDER BY d.id, l.site",
        )
        .bind(list(ids))
        .bind(here)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut sources: HashMap<WantedNo, Vec<SiteNo>> = HashMap::new();
        for row in &rows {
            let (id, site) = source(row)?;
            sources.entry(id).or_default().push(site);
        }
        Ok(sources)
    }
}

fn source(row: &SqliteRow) -> Result<(WantedNo, SiteNo), CatalogError> {
    Ok((row.try_get("id")?, row.try_get("site")?))
}

//! Other hubs (and this one): their address, key and clock.
//!
//! Owns: site rows. Not here: which channels are at a site (`locations`).
//! Spec: ID-3, SIGN-3, SIGN-16.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zotferry_protocol::ids::{Millis, SiteId};

use super::columns::{integer, maybe_number, parsed};
use super::error::CatalogError;
use super::{Catalog, SiteNo};

/// A sighting of a site is written down at most this often, so that a packet does not cost a sync.
const SEEN_EVERY: u64 = 60_000;

/// A hub to be known. Its id is a hash of the other two.
#[derive(Debug, Clone)]
pub struct NewSite {
    /// Its id.
    pub site_id: SiteId,
    /// Its base URL, normalised.
    pub url: String,
    /// Its site key: SPKI PEM.
    pub key_pem: String,
}

/// A known hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its row.
    pub id: SiteNo,
    /// Its id.
    pub site_id: SiteId,
    /// Its base URL, normalised.
    pub url: String,
    /// Its site key: SPKI PEM.
    pub key_pem: String,
    /// How far its clock is ahead of ours, in ms.
    pub clock_offset: i64,
    /// When it was last heard from, to the minute.
    pub last_seen: Option<Millis>,
}

pub(super) fn site(row: &SqliteRow) -> Result<Site, CatalogError> {
    Ok(Site {
        id: row.try_get("id")?,
        site_id: parsed(row, "site_id")?,
        url: row.try_get("url")?,
        key_pem: row.try_get("key_pem")?,
        clock_offset: row.try_get("clock_offset")?,
        last_seen: maybe_number(row, "last_seen")?.map(Millis),
    })
}

impl Catalog {
    /// The row of a site, made if it is new. An id that is known keeps its address and key: it is their hash.
    pub async fn upsert_site(&self, new: &NewSite) -> Result<SiteNo, CatalogError> {
        if let Some(known) = self.site_by_id(&new.site_id).await? {
            return Ok(known.id);
        }
        let mut tx = self.begin().await?;
        let id = sqlx::query_scalar(
            "INSERT INTO site (site_id, url, key_pem) VALUES (?1, ?2, ?3)
             ON CONFLICT (site_id) DO UPDATE SET site_id = excluded.site_id RETURNING id",
        )
        .bind(new.site_id.as_str())
        .bind(&new.url)
        .bind(&new.key_pem)
        .fetch_one(&mut *tx)
        .await?;
        self.commit(tx).await?;
        Ok(id)
    }

    /// The site of a row.
    pub async fn site(&self, id: SiteNo) -> Result<Option<Site>, CatalogError> {
        let row = sqlx::query("SELECT * FROM site WHERE id = ?1")
            .bind(id)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(site).transpose()
    }

    /// The site of an id.
    pub async fn site_by_id(&self, id: &SiteId) -> Result<Option<Site>, CatalogError> {
        let row = sqlx::query("SELECT * FROM site WHERE site_id = ?1")
            .bind(id.as_str())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(site).transpose()
    }

    /// Every known site, in the order of acquaintance.
    pub async fn sites(&self) -> Result<Vec<Site>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM site ORDER BY id")
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.iter().map(site).collect()
    }

    /// SIGN-16: how far a site's clock is ahead of ours, in ms.
    pub async fn set_clock_offset(&self, id: SiteNo, ms: i64) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE site SET clock_offset = ?2 WHERE id = ?1")
            .bind(id)
            .bind(ms)
            .execute(&mut *tx)
            .await?;
        self.commit(tx).await
    }

    /// A site was heard from. Cheap when it was within the last minute.
    pub async fn seen(&self, id: SiteNo, now: Millis) -> Result<(), CatalogError> {
        let last = self.site(id).await?.and_then(|site| site.last_seen);
        if last.is_some_and(|last| now.since(last) < SEEN_EVERY) {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE site SET last_seen = max(coalesce(last_seen, 0), ?2) WHERE id = ?1")
            .bind(id)
            .bind(integer(now.0)?)
            .execute(&mut *tx)
            .await?;
        self.commit(tx).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{Fixture, new_site};

    /// ID-3: a site is known by its id, once.
    #[tokio::test]
    async fn a_site_is_kept_once() {
        let hub = Fixture::create().await;
        let first = hub.upsert_site(&new_site('x')).await.expect("stored");
        let again = hub.upsert_site(&new_site('x')).await.expect("known");
        let other = hub.upsert_site(&new_site('y')).await.expect("stored");
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(hub.sites().await.expect("read").len(), 5);
        let known = hub.site_by_id(&new_site('x').site_id).await.expect("read");
        assert_eq!(known.map(|site| (site.id, site.url)), Some((first, "https://x.test".into())));
    }

    /// SIGN-16: the clock offset is kept per hub; a sighting does not go back in time.
    #[tokio::test]
    async fn clock_and_sighting_are_kept() {
        let hub = Fixture::create().await;
        let id = hub.upsert_site(&new_site('b')).await.expect("stored");
        hub.set_clock_offset(id, -7_000).await.expect("stored");
        for now in [90_000, 91_000, 200_000, 100_000] {
            hub.seen(id, Millis(now)).await.expect("stored");
        }
        let site = hub.site(id).await.expect("read").expect("there");
        assert_eq!((site.clock_offset, site.last_seen), (-7_000, Some(Millis(200_000))));
    }
}

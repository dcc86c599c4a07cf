//! How a channel's key came from its first one, and what clones state about each other's places.
//!
//! Owns: rows of rotations and notices. Not here: whether they hold, and what follows from them.
//! Invariant: a rotation, the places that it does not keep and the key of the channel change together.
//! Spec: ID-26, ID-28, ID-37, ID-38.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zotferry_protocol::ids::SiteId;

use super::columns::{integer, number, parsed};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, SiteNo};

/// A notice as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// The hub that is spoken of.
    pub site: SiteId,
    /// Whether it is a clone no more.
    pub removed: bool,
    /// Whether it is to be the primary location.
    pub primary: bool,
    /// Which of two notices counts.
    pub serial: u64,
    /// The whole signed notice.
    pub record: Vec<u8>,
}

/// A new chain of keys and what follows from it.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// All rotations, signed, in their order.
    pub rotations: Vec<Vec<u8>>,
    /// The key that counts now: SPKI PEM.
    pub newest: String,
    /// Locations whose records do not hold any more.
    pub gone: Vec<SiteNo>,
    /// Notices that the new key signed.
    pub notices: Vec<NoticeRow>,
}

fn notice(row: &SqliteRow) -> Result<NoticeRow, CatalogError> {
    Ok(NoticeRow {
        site: parsed(row, "site_id")?,
        removed: row.try_get("removed")?,
        primary: row.try_get("is_primary")?,
        serial: number(row, "serial")?,
        record: row.try_get("record")?,
    })
}

impl Catalog {
    /// The rotations of a channel, signed, in their order.
    pub async fn rotations(&self, channel: ChannelNo) -> Result<Vec<Vec<u8>>, CatalogError> {
        let sql = "SELECT record FROM rotation WHERE channel = ?1 ORDER BY number";
        let mut reader = self.reader().await?;
        Ok(sqlx::query_scalar(sql).bind(channel).fetch_all(&mut *reader).await?)
    }

    /// ID-28: the channel has other keys from now on.
    pub async fn turn(&self, channel: ChannelNo, turn: &Turn) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM rotation WHERE channel = ?1")
            .bind(channel)
            .execute(&mut *tx)
            .await?;
        for (number, record) in (1_i64..).zip(&turn.rotations) {
            sqlx::query("INSERT INTO rotation (channel, number, record) VALUES (?1, ?2, ?3)")
                .bind(channel)
                .bind(number)
                .bind(record)
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query("UPDATE channel SET public_pem = ?2 WHERE id = ?1")
            .bind(channel)
            .bind(&turn.newest)
            .execute(&mut *tx)
            .await?;
        for site in &turn.gone {
            set_deleted(&mut tx, channel, *site, true).await?;
        }
        for notice in &turn.notices {
            keep_notice(&mut tx, channel, notice).await?;
        }
        self.commit(tx).await
    }

    /// Every notice about a channel's places.
    pub async fn notices(&self, channel: ChannelNo) -> Result<Vec<NoticeRow>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM notice WHERE channel = ?1 ORDER BY site_id")
            .bind(channel)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.iter().map(notice).collect()
    }

    /// The notice about one hub.
    pub async fn notice(
        &self,
        channel: ChannelNo,
        site: &SiteId,
    ) -> Result<Option<NoticeRow>, CatalogError> {
        let row = sqlx::query("SELECT * FROM notice WHERE channel = ?1 AND site_id = ?2")
            .bind(channel)
            .bind(site.as_str())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(notice).transpose()
    }

    /// ID-38: keeps a notice in the place of an earlier one; `place` is the row of the hub that it
    /// speaks of, and whether it is gone from now on.
    pub async fn put_notice(
        &self,
        channel: ChannelNo,
        new: &NoticeRow,
        place: Option<(SiteNo, bool)>,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        keep_notice(&mut tx, channel, new).await?;
        if let Some((site, gone)) = place {
            set_deleted(&mut tx, channel, site, gone).await?;
        }
        self.commit(tx).await
    }
}

async fn keep_notice(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    new: &NoticeRow,
) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT OR REPLACE INTO notice (channel, site_id, removed, is_primary, serial, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(channel)
    .bind(new.site.as_str())
    .bind(new.removed)
    .bind(new.primary)
    .bind(integer(new.serial)?)
    .bind(&new.record)
    .execute(tx)
    .await?;
    Ok(())
}

/// A place that comes back has to prove itself again.
async fn set_deleted(
    tx: &mut SqliteConnection,
    channel: ChannelNo,
    site: SiteNo,
    deleted: bool,
) -> Result<(), CatalogError> {
    sqlx::query(
        "UPDATE location SET deleted = ?3, state = iif(deleted = 1 AND ?3 = 0, 'pending', state),
                attempts = 0, last_error = NULL
         WHERE channel = ?1 AND site = ?2 AND deleted <> ?3",
    )
    .bind(channel)
    .bind(site)
    .bind(deleted)
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{Fixture, new_location, new_site};
    use crate::catalog::{LocationState, primary};

    fn about(site: char, removed: bool, serial: u64) -> NoticeRow {
        let (site, record) = (new_site(site).site_id, vec![1, 2]);
        NoticeRow { site, removed, primary: !removed, serial, record }
    }

    /// ID-38: a place that a notice removed stays removed, whatever records follow, until another
    /// notice lets it in; then it has to prove itself again.
    #[tokio::test]
    async fn a_removal_outlasts_records() {
        let hub = Fixture::create().await;
        let state = async || {
            let found = hub.location(hub.alice, hub.site_b).await.expect("read").expect("kept");
            (found.deleted, found.state)
        };
        hub.put_notice(hub.alice, &about('b', true, 5), None).await.expect("kept");
        hub.upsert_location(&new_location(hub.alice, hub.site_b, 1)).await.expect("kept");
        assert_eq!(state().await, (true, LocationState::Pending));
        hub.upsert_location(&new_location(hub.alice, hub.site_b, 99)).await.expect("kept");
        assert!(state().await.0);
        let back = about('b', false, 6);
        hub.put_notice(hub.alice, &back, Some((hub.site_b, false))).await.expect("kept");
        assert_eq!(state().await, (false, LocationState::Pending));
        assert_eq!(hub.notices(hub.alice).await.expect("read"), [back]);
    }

    /// ID-28: keys, places and notices turn together and are there after a restart.
    #[tokio::test]
    async fn a_turn_is_one_change() {
        let hub = Fixture::create().await;
        hub.upsert_location(&new_location(hub.alice, hub.site_b, 1)).await.expect("kept");
        let turn = Turn {
            rotations: vec![vec![1], vec![2]],
            newest: "the new key".into(),
            gone: vec![hub.site_b],
            notices: vec![about('b', true, 5)],
        };
        hub.turn(hub.alice, &turn).await.expect("kept");
        let hub = hub.reopen().await;
        assert_eq!(hub.rotations(hub.alice).await.expect("read"), turn.rotations);
        assert_eq!(hub.channel(hub.alice).await.expect("read").public_pem, "the new key");
        let place = hub.location(hub.alice, hub.site_b).await.expect("read").expect("kept");
        assert!(place.deleted);
        assert_eq!(hub.notices(hub.alice).await.expect("read"), turn.notices);
        assert!(hub.rotations(hub.bob).await.expect("read").is_empty());
    }

    /// ID-11, ID-39: of several claims the highest serial counts, also where a notice makes it.
    #[tokio::test]
    async fn the_latest_claim_makes_the_primary_location() {
        let hub = Fixture::create().await;
        let first = async || {
            let rows = hub.locations(hub.alice).await.expect("read");
            primary(&rows).map(|row| row.site)
        };
        for (site, serial, claims) in
            [(hub.here, 10, true), (hub.site_b, 12, true), (hub.site_c, 14, false)]
        {
            let new = new_location(hub.alice, site, serial);
            let new = super::super::NewLocation { primary: claims, ..new };
            hub.upsert_location(&new).await.expect("kept");
        }
        assert_eq!(first().await, None, "none has proved itself");
        for site in [hub.here, hub.site_b, hub.site_c] {
            let listed = LocationState::Listed;
            hub.set_location_state(hub.alice, site, listed).await.expect("kept");
        }
        assert_eq!(first().await, Some(hub.site_b));
        hub.put_notice(hub.alice, &about('c', false, 13), None).await.expect("kept");
        assert_eq!(first().await, Some(hub.site_c));
        hub.put_notice(hub.alice, &about('c', true, 15), Some((hub.site_c, true)))
            .await
            .expect("kept");
        assert_eq!(first().await, Some(hub.site_b));
    }
}

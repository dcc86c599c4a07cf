//! A channel goes from this hub: what only it has, and its rows.
//!
//! Owns: which contents no other clone reported, and the end of a channel's rows in every table. Not
//! here: the bytes (storage), the private key (a file).
//! Invariant: rows go before bytes, contents before the channel: a crash between leaves a channel that
//! can be taken away again.
//! Spec: ID-17.

use sqlx::{AssertSqlSafe, Row};
use zotferry_protocol::ids::Digest;

use super::arrived::unnamed;
use super::columns::{checked, number};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, SiteNo, WantedNo};

impl Catalog {
    /// How many contents of a channel are here and were reported by no other listed clone.
    pub async fn only_here(&self, channel: ChannelNo, here: SiteNo) -> Result<u64, CatalogError> {
        let row = sqlx::query(
            "SELECT count(*) AS n FROM data d WHERE d.channel = ?1 AND d.state = 'present'
             AND NOT EXISTS (
                 SELECT 1 FROM present_at p JOIN location l ON l.channel = p.channel AND l.site = p.site
                 WHERE p.channel = d.channel AND p.root = d.root AND p.site <> ?2 AND p.at > 0
                   AND l.deleted = 0 AND l.state = 'listed')",
        )
        .bind(channel)
        .bind(here)
        .fetch_one(&mut *self.reader().await?)
        .await?;
        number(&row, "n")
    }

    /// Deletes some contents of a channel. Returns their rows, none when there are no more, and the
    /// roots that nothing names any longer. The caller sees to it that nothing is stored meanwhile.
    pub async fn forget_some(
        &self,
        channel: ChannelNo,
        limit: u32,
    ) -> Result<(Vec<WantedNo>, Vec<Digest>), CatalogError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "DELETE FROM data WHERE id IN (SELECT id FROM data WHERE channel = ?1 LIMIT ?2)
             RETURNING id, root",
        )
        .bind(channel)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        let ids = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<_>, _>>()?;
        let roots = rows.iter().map(|row| checked(row, "root", Digest::from_slice));
        let mut roots = roots.collect::<Result<Vec<_>, _>>()?;
        roots.sort_unstable();
        roots.dedup();
        let free = unnamed(&mut tx, &roots).await?;
        self.commit(tx).await?;
        Ok((ids, free))
    }

    /// Deletes a channel and whatever any table says of it. Its contents have gone before.
    pub async fn remove_channel(&self, channel: ChannelNo) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        // Tables refer to one another in ways that this place need not know.
        sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *tx).await?;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' AND c.name = 'channel' ORDER BY m.name",
        )
        .fetch_all(&mut *tx)
        .await?;
        for table in tables {
            // The names are those of our own migrations.
            let sql = AssertSqlSafe(format!("DELETE FROM \"{table}\" WHERE channel = ?1"));
            sqlx::query(sql).bind(channel).execute(&mut *tx).await?;
        }
        let gone = sqlx::query("DELETE FROM channel WHERE id = ?1").bind(channel);
        if gone.execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(CatalogError::UnknownChannel);
        }
        self.commit(tx).await
    }
}

#[cfg(test)]
mod tests {
    use zotferry_protocol::ids::Role;
    use zotferry_protocol::packets::PresentData;

    use crate::catalog::testing::{Fixture, NOW, digest, new_location, new_site, resource, want};
    use crate::catalog::{LocationState, NoticeRow};

    /// A channel goes whole, and leaves what another channel has in common with it.
    #[tokio::test]
    async fn nothing_of_a_channel_stays() {
        let hub = Fixture::create().await;
        hub.upsert_location(&new_location(hub.alice, hub.site_b, 1)).await.expect("kept");
        let wanted = hub.announce(&[want("a", 1, 5), want("b", 2, 5), want("c", 3, 5)]).await;
        hub.mark_present(&[wanted[0].id]).await.expect("kept");
        let notice = NoticeRow {
            site: new_site('b').site_id,
            removed: true,
            primary: false,
            serial: 1,
            record: vec![1],
        };
        hub.put_notice(hub.alice, &notice, None).await.expect("kept");
        let mut forgotten = 0;
        loop {
            let (ids, _) = hub.forget_some(hub.alice, 2).await.expect("deleted");
            if ids.is_empty() {
                break;
            }
            forgotten += ids.len();
        }
        assert_eq!(forgotten, 3);
        hub.remove_channel(hub.alice).await.expect("deleted");
        assert!(hub.channel(hub.alice).await.is_err());
        assert!(hub.remove_channel(hub.alice).await.is_err(), "it is gone already");
        assert!(hub.locations(hub.alice).await.expect("read").is_empty());
        assert_eq!(hub.channels().await.expect("read").len(), 1, "bob stays");
    }

    /// What no other listed clone has reported would be lost.
    #[tokio::test]
    async fn contents_that_nobody_else_has_are_counted() {
        let hub = Fixture::create().await;
        let wanted = hub.announce(&[want("a", 1, 5), want("b", 2, 5)]).await;
        hub.mark_present(&[wanted[0].id, wanted[1].id]).await.expect("kept");
        let only = async || hub.only_here(hub.alice, hub.here).await.expect("read");
        assert_eq!(only().await, 2);
        let present = PresentData { resource: resource("a"), role: Role::File, root: digest(1) };
        hub.note_present_at(hub.alice, hub.site_b, &[present], NOW).await.expect("kept");
        assert_eq!(only().await, 2, "it is no clone");
        hub.upsert_location(&new_location(hub.alice, hub.site_b, 1)).await.expect("kept");
        let listed = LocationState::Listed;
        hub.set_location_state(hub.alice, hub.site_b, listed).await.expect("kept");
        assert_eq!(only().await, 1);
    }
}

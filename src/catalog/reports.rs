//! What clones answered about our operations, where it was not plainly "stored".
//!
//! Owns: the last such answers per channel, for people. Not here: how far a clone has got (`locations`).
//! Invariant: bounded: a clone that refuses everything for years fills nothing.
//! Spec: SYNC-11, SYNC-32.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zotferry_protocol::ids::{Millis, OpId};
use zotferry_protocol::packets::PresentData;

use super::columns::{Hex, checked, integer, list, number};
use super::error::CatalogError;
use super::{Catalog, ChannelNo, SiteNo};

/// Answers kept per channel.
const KEPT: u32 = 1000;

/// One answer of one clone about one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpReport {
    /// Who answered.
    pub site: SiteNo,
    /// About which operation.
    pub op_id: OpId,
    /// What: the status or the refusal, in the words of the protocol.
    pub status: String,
    /// When it was received.
    pub at: Millis,
}

impl Catalog {
    /// Keeps answers of a clone; the oldest beyond 1000 go.
    pub async fn note_reports(
        &self,
        channel: ChannelNo,
        reports: &[OpReport],
    ) -> Result<(), CatalogError> {
        let rows = reports.iter().map(|r| {
            let at = integer(r.at.0)?;
            Ok((r.site, Hex(&r.op_id.0), &r.status, at))
        });
        let rows = list(rows.collect::<Result<Vec<_>, CatalogError>>()?);
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO op_report (channel, site, op_id, status, at)
             SELECT ?1, value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3
             FROM json_each(?2) ORDER BY key",
        )
        .bind(channel)
        .bind(rows)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "DELETE FROM op_report WHERE channel = ?1 AND id <= (
                SELECT id FROM op_report WHERE channel = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(channel)
        .bind(KEPT)
        .execute(&mut *tx)
        .await?;
        self.commit(tx).await
    }

    /// SYNC-11: a clone has these contents. Whether one of them is wanted here.
    pub async fn note_present_at(
        &self,
        channel: ChannelNo,
        site: SiteNo,
        contents: &[PresentData],
        now: Millis,
    ) -> Result<bool, CatalogError> {
        let roots = list(contents.iter().map(|c| Hex(&c.root.0)));
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO present_at (channel, site, root, at)
             SELECT ?1, ?2, unhex(value), ?4 FROM json_each(?3)
             WHERE EXISTS (SELECT 1 FROM data INDEXED BY data_root
                           WHERE root = unhex(value) AND channel = ?1)
             ON CONFLICT (channel, root, site) DO UPDATE SET at = excluded.at",
        )
        .bind(channel)
        .bind(site)
        .bind(&roots)
        .bind(integer(now.0)?)
        .execute(&mut *tx)
        .await?;
        let wanted = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM json_each(?2) j CROSS JOIN data d INDEXED BY data_root
             WHERE d.root = unhex(j.value) AND d.channel = ?1 AND d.state = 'wanted')",
        )
        .bind(channel)
        .bind(roots)
        .fetch_one(&mut *tx)
        .await?;
        self.commit(tx).await?;
        Ok(wanted)
    }

    /// The last answers about a channel's operations, the latest first.
    pub async fn reports(
        &self,
        channel: ChannelNo,
        limit: u32,
    ) -> Result<Vec<OpReport>, CatalogError> {
        let rows = sqlx::query(
            "SELECT site, op_id, status, at FROM op_report
             WHERE channel = ?1 ORDER BY id DESC LIMIT ?2",
        )
        .bind(channel)
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(report).collect()
    }
}

fn report(row: &SqliteRow) -> Result<OpReport, CatalogError> {
    Ok(OpReport {
        site: row.try_get("site")?,
        op_id: checked(row, "op_id", OpId::from_slice)?,
        status: row.try_get("status")?,
        at: Millis(number(row, "at")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::Fixture;

    /// SYNC-32: the latest answers are kept, and no more than a bounded number.
    #[tokio::test]
    async fn the_latest_reports_are_kept() {
        let hub = Fixture::create().await;
        let report = |n: u64| OpReport {
            site: hub.site_b,
            op_id: OpId([7; 16]),
            status: format!("quota \"{n}\""),
            at: Millis(n),
        };
        let many: Vec<_> = (0..1500).map(report).collect();
        hub.note_reports(hub.alice, &many[..800]).await.expect("stored");
        hub.note_reports(hub.bob, &many[..1]).await.expect("stored");
        hub.note_reports(hub.alice, &many[800..]).await.expect("stored");
        let kept = hub.reports(hub.alice, 9999).await.expect("read");
        assert_eq!(kept.len(), 1000);
        assert_eq!((&kept[0], &kept[999]), (&many[1499], &many[500]));
        assert_eq!(hub.reports(hub.bob, 9).await.expect("read"), many[..1]);
    }
}

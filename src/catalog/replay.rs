//! The replay memory: which packets changed something, and what they were answered.
//!
//! Owns: ids and answers until they can no longer be presented; the mark of what was purged.
//! Not here: freshness.
//! Invariant: the mark only rises, so that a clock set back reopens nothing that was purged.
//! Spec: SIGN-8, SIGN-9, SIGN-12.

use sqlx::SqliteConnection;
use zotferry_protocol::ids::{Millis, PacketId};

use super::Catalog;
use super::columns::{bound, integer};
use super::error::CatalogError;

/// SIGN-8: how long after its `expires` a packet's id is kept, in ms.
const KEPT_AFTER_EXPIRY: u64 = 5 * 60 * 1000;

pub(super) async fn lookup(
    connection: &mut SqliteConnection,
    packet: &PacketId,
) -> Result<Option<Vec<u8>>, CatalogError> {
    let answer = sqlx::query_scalar("SELECT answer FROM replay WHERE packet_id = ?1")
        .bind(packet.as_bytes())
        .fetch_optional(connection)
        .await?;
    Ok(answer)
}

/// The first answer stays: a packet is remembered once.
pub(super) async fn remember(
    tx: &mut SqliteConnection,
    packet: &PacketId,
    expires: Millis,
    answer: &[u8],
) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO replay (packet_id, expires, answer) VALUES (?1, ?2, ?3)
         ON CONFLICT (packet_id) DO NOTHING",
    )
    .bind(packet.as_bytes())
    .bind(integer(expires.0)?)
    .bind(answer)
    .execute(tx)
    .await?;
    Ok(())
}

impl Catalog {
    /// SIGN-9: what a packet was answered the first time; `None` when it is new, or was purged.
    pub async fn replay_lookup(&self, packet: &PacketId) -> Result<Option<Vec<u8>>, CatalogError> {
        lookup(&mut *self.reader().await?, packet).await
    }

    /// Remembers a packet whose effects lie outside the catalog. For one that changes entries see [`super::Apply`].
    pub async fn replay_remember(
        &self,
        packet: &PacketId,
        expires: Millis,
        answer: &[u8],
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        remember(&mut tx, packet, expires, answer).await?;
        self.commit(tx).await
    }

    /// SIGN-12: the greatest `expires` ever purged. A packet that expires then or before counts as
    /// presented already, whatever the clock says.
    pub async fn purged_through(&self) -> Result<Millis, CatalogError> {
        let mark: i64 = sqlx::query_scalar("SELECT value FROM hub WHERE key = 'purged_through'")
            .fetch_one(&mut *self.reader().await?)
            .await?;
        Ok(Millis(mark.unsigned_abs()))
    }

    /// Forgets the packets that cannot be presented any more. Returns how many.
    pub async fn replay_purge(&self, now: Millis) -> Result<u64, CatalogError> {
        let through = bound(now.0.saturating_sub(KEPT_AFTER_EXPIRY));
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE hub SET value = max(value,
                (SELECT coalesce(max(expires), 0) FROM replay WHERE expires < ?1))
             WHERE key = 'purged_through'",
        )
        .bind(through)
        .execute(&mut *tx)
        .await?;
        let purged = sqlx::query("DELETE FROM replay WHERE expires < ?1").bind(through);
        let purged = purged.execute(&mut *tx).await?.rows_affected();
        self.commit(tx).await?;
        Ok(purged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::Fixture;

    const MINUTE: u64 = 60_000;

    /// SIGN-9: the first answer is the answer.
    #[tokio::test]
    async fn a_packet_is_remembered_with_its_first_answer() {
        let hub = Fixture::create().await;
        let id = PacketId([1; 16]);
        assert_eq!(hub.replay_lookup(&id).await.expect("read"), None);
        hub.replay_remember(&id, Millis(9), b"first").await.expect("stored");
        hub.replay_remember(&id, Millis(99), b"second").await.expect("kept");
        assert_eq!(hub.replay_lookup(&id).await.expect("read").as_deref(), Some(&b"first"[..]));
    }

    /// SIGN-8, SIGN-12: ids are kept five minutes beyond their expiry; the mark is the greatest expiry really purged.
    #[tokio::test]
    async fn purging_marks_what_it_forgot() {
        let hub = Fixture::create().await;
        let base = 100 * MINUTE;
        for minute in [0, 1, 2, 9] {
            let id = PacketId([u8::try_from(minute).expect("small"); 16]);
            hub.replay_remember(&id, Millis(base + minute * MINUTE), b"").await.expect("stored");
        }
        assert_eq!(hub.replay_purge(Millis(base + 5 * MINUTE)).await.expect("purge"), 0);
        assert_eq!(hub.purged_through().await.expect("read"), Millis(0));
        assert_eq!(hub.replay_purge(Millis(base + 8 * MINUTE)).await.expect("purge"), 3);
        let mark = Millis(base + 2 * MINUTE);
        assert_eq!(hub.purged_through().await.expect("read"), mark);
        assert_eq!(hub.replay_lookup(&PacketId([2; 16])).await.expect("read"), None);
        assert!(hub.replay_lookup(&PacketId([9; 16])).await.expect("read").is_some());
        assert_eq!(hub.replay_purge(Millis(base)).await.expect("clock set back"), 0);
        assert_eq!(hub.purged_through().await.expect("read"), mark);
        let hub = hub.reopen().await;
        assert_eq!(hub.purged_through().await.expect("read"), mark);
    }
}

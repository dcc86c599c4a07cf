//! Facts about the catalog as a whole.
//!
//! Owns: the instance number, whether a hub is running on it, the replay memory's mark.
//! Not here: what follows from them.
//! Invariant: the running mark is on disk before the hub serves its first request.

use sqlx::SqliteConnection;
use zotferry_protocol::ids::Millis;

use super::Catalog;
use super::columns::integer;
use super::error::CatalogError;

/// How the last hub that ran on a catalog ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastStop {
    /// It said goodbye, or none ever ran.
    Clean,
    /// It was cut off, or it is running still.
    Unclean,
}

impl Catalog {
    /// A hub starts to serve from this catalog. Before anything else that it does.
    pub async fn mark_running(&self) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        remember_running(&mut tx, true).await?;
        self.commit(tx).await
    }

    /// The hub has finished its work. After everything else, and before [`Catalog::close`]. The queue
    /// was given the same stamp before.
    pub async fn mark_clean(&self, stamp: u64) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        sqlx::query("INSERT OR REPLACE INTO hub (key, value) VALUES ('stamp', ?1)")
            .bind(stamp.cast_signed())
            .execute(&mut *tx)
            .await?;
        remember_running(&mut tx, false).await?;
        self.commit(tx).await
    }

    /// The stamp of the last clean stop.
    pub async fn stamp(&self) -> Result<Option<u64>, CatalogError> {
        let stamp = sqlx::query_scalar("SELECT value FROM hub WHERE key = 'stamp'");
        let stamp: Option<i64> = stamp.fetch_optional(&self.readers).await?;
        Ok(stamp.map(i64::cast_unsigned))
    }
}

async fn remember_running(
    connection: &mut SqliteConnection,
    running: bool,
) -> Result<(), CatalogError> {
    sqlx::query("UPDATE hub SET value = ?1 WHERE key = 'running'")
        .bind(i64::from(running))
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes the facts of a new catalog.
pub(super) async fn initialise(
    connection: &mut SqliteConnection,
    now: Millis,
) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO hub (key, value)
         VALUES ('instance', randomblob(16)), ('running', 0), ('purged_through', 0), ('created', ?1)",
    )
    .bind(integer(now.0)?)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn instance(connection: &mut SqliteConnection) -> Result<[u8; 16], CatalogError> {
    let bytes: Vec<u8> = sqlx::query_scalar("SELECT value FROM hub WHERE key = 'instance'")
        .fetch_one(connection)
        .await?;
    let bytes = bytes.try_into();
    bytes.map_err(|_| CatalogError::Corrupt("the instance number is not 16 bytes".into()))
}

pub(super) async fn last_stop(connection: &mut SqliteConnection) -> Result<LastStop, CatalogError> {
    let running: i64 = sqlx::query_scalar("SELECT value FROM hub WHERE key = 'running'")
        .fetch_one(connection)
        .await?;
    Ok(if running == 0 { LastStop::Clean } else { LastStop::Unclean })
}

//! Lets superseded content and tombstones go when nobody asks for them any more, and what was begun of
//! content that nobody wants any more.
//!
//! Owns: when it goes. Not here: which content is superseded (the catalog), the bytes (storage), files
//! in hand (the receiver lets those go itself).
//! Invariant: bytes are removed only while nothing is being stored, so that content which is put
//! again at that moment is either found whole or stored anew.
//! Spec: FETCH-29, FETCH-47, FETCH-48, SYNC-34, AUDIT-15, AUDIT-19.

use std::sync::Arc;

use zotferry_protocol::ids::Millis;

use crate::catalog::CatalogError;
use crate::hub::Hub;
use crate::photos;
use crate::queue::QueueError;
use crate::storage::{Announced, PartialKey, StorageError};

/// FETCH-47: how long superseded content is kept at least, in ms.
pub const KEPT: u64 = 24 * 3600 * 1000;
/// Contents looked at in one go.
const SOME: u32 = 1000;

/// AUDIT-15, FETCH-29: how long a tombstone is kept at least, and what went is known, in ms: 30 days.
pub const REMEMBERED: u64 = 30 * 24 * 3600 * 1000;

/// AUDIT-19: how long a clone that was removed may still be allowed again without bringing back what was removed meanwhile, in
/// ms: a year.
const AWAY: u64 = 365 * 24 * 3600 * 1000;

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// Removes content that was superseded `kept` ms ago or earlier, in channels of which every clone has
/// heard everything; FETCH-48: earlier where it takes too much room. Returns how many contents went.
pub async fn sweep(hub: &Arc<Hub>, kept: u64) -> Result<usize, SweepError> {
    let now = hub.clock.now().0;
    let before = Millis(now.saturating_sub(kept).saturating_add(1));
    let lagging = hub.catalog.lagging(hub.site).await?;
    let lagging: Vec<i64> = lagging.iter().map(|lag| lag.channel).collect();
    let mut rows = hub.catalog.superseded(before, SOME, &lagging).await?;
    let crowding = hub.catalog.crowding(SOME).await?;
    rows.extend(crowding.into_iter().filter(|row| !lagging.contains(&row.channel)));
    let old: Vec<i64> = rows.iter().map(|row| row.id).collect();
    if old.is_empty() {
        return Ok(0);
    }
    let unfetched: Vec<i64> = rows.iter().filter(|row| !row.held).map(|row| row.id).collect();
    let queue = Arc::clone(&hub.queue);
    let forgetting = move || unfetched.iter().try_for_each(|id| queue.forget(*id));
    tokio::task::spawn_blocking(forgetting).await??;
    let _nothing_is_stored = hub.storing.write().await;
    let roots = hub.catalog.forget(&old, hub.clock.now()).await?;
    let (hub, count) = (Arc::clone(hub), roots.len());
    let removing = move || {
        photos::forget(&hub, &roots);
        roots.iter().try_for_each(|root| hub.storage.remove(root))
    };
    tokio::task::spawn_blocking(removing).await??;
    tracing::info!(count, "superseded content that every clone has replaced was removed");
    Ok(count)
}

/// Forgets tombstones that were made `kept` ms ago or earlier and that every clone has, and contents that went so long
/// ago. Returns how many tombstones.
pub async fn forget(hub: &Arc<Hub>, kept: u64) -> Result<u64, SweepError> {
    let before = Millis(hub.clock.now().0.saturating_sub(kept).saturating_add(1));
    hub.catalog.forget_gone(before).await?;
    let away = Millis(hub.clock.now().0.saturating_sub(AWAY));
    let mut gone = 0;
    for channel in hub.catalog.channels().await? {
        gone += hub.catalog.forget_tombstones(channel.id, hub.site, before, away).await?;
        hub.catalog.forget_forgotten(channel.id, hub.site, away).await?;
    }
    if gone > 0 {
        tracing::info!(gone, "tombstones that every clone has were forgotten");
    }
    Ok(gone)
}

/// Removes what uploads left that a crash cut off: their roots are not known, so nobody can go on with
/// them. Nothing may be being stored yet. Returns how many went.
pub async fn sweep_unfinished(hub: &Hub) -> Result<usize, SweepError> {
    let storage = Arc::clone(&hub.storage);
    let removing = move || -> Result<usize, StorageError> {
        let partials = storage.partials()?;
        let staged = partials.iter().filter(|key| matches!(key, PartialKey::Staging(_)));
        let removed = staged.map(|key| storage.partial(key, 0)?.discard());
        removed.collect::<Result<Vec<()>, _>>().map(|removed| removed.len())
    };
    let count = tokio::task::spawn_blocking(removing).await??;
    if count > 0 {
        tracing::info!(count, "unfinished uploads from before were removed");
    }
    Ok(count)
}

/// Removes partial files of content that is wanted under no name. Those in hand are left to the
/// receiver. Returns how many went.
pub async fn sweep_partials(hub: &Arc<Hub>) -> Result<usize, SweepError> {
    let storage = Arc::clone(&hub.storage);
    let keys = tokio::task::spawn_blocking(move || storage.partials()).await??;
    let contents: Vec<Announced> = keys
        .iter()
        .filter_map(|key| match key {
            PartialKey::Wanted(announced) => Some(*announced),
            PartialKey::Staging(_) => None,
        })
        .collect();
    let unwanted = hub.catalog.unwanted(&contents).await?;
    let storage = Arc::clone(&hub.storage);
    let removing = move || -> Result<usize, StorageError> {
        let mut removed = 0;
        for announced in unwanted {
            match storage.partial(&PartialKey::Wanted(announced), 0) {
                Ok(partial) => {
                    partial.discard()?;
                    removed += 1;
                }
                Err(StorageError::Busy(..)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    };
    Ok(tokio::task::spawn_blocking(removing).await??)
}

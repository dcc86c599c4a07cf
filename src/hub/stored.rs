//! The bytes of a channel's contents.
//!
//! Owns: whose the bytes in storage are. Not here: the bytes (storage), which entry has which content (the catalog).
//! Invariant: contents are kept once for the whole hub, and a channel gets those that it brought here itself: who names the
//! root of another one's content gets nothing by that.
//! Spec: FETCH-28, FETCH-58.

use std::sync::Arc;

use zotferry_protocol::ids::Digest;

use super::Hub;
use crate::catalog::{CatalogError, ChannelNo};
use crate::storage::{Content, StorageError};

/// Why it cannot be said whether bytes are here.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

impl Hub {
    /// A content that a channel has, under whatever name; `None` when its bytes are not here or are another channel's.
    pub async fn stored(
        &self,
        channel: ChannelNo,
        root: Digest,
    ) -> Result<Option<Box<dyn Content>>, StoredError> {
        let Some(size) = self.catalog.holding(channel, &[root]).await?.remove(&root) else {
            return Ok(None);
        };
        let storage = Arc::clone(&self.storage);
        let content = tokio::task::spawn_blocking(move || storage.open(&root)).await??;
        Ok(content.filter(|content| content.size() == size))
    }
}

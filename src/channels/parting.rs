//! A channel that has left this hub goes from it: contents, what was made of them or had begun to come, rows, keys.
//!
//! Invariant: only what has left goes; what another channel has too stays in storage; a crash between
//! leaves a channel that can be taken away again.
//! Spec: ID-17.

use std::sync::Arc;

use super::ChannelError;
use crate::catalog::Channel;
use crate::hub::Hub;
use crate::photos;
use crate::storage::{PartialKey, StorageError};

/// Contents removed in one go.
const SOME: u32 = 500;

/// Removes everything that this hub has of a channel that has left it.
pub async fn forget(hub: &Arc<Hub>, channel: &Channel) -> Result<(), ChannelError> {
    if hub.lives_here(channel.id).await? {
        return Err(ChannelError::Here(channel.nick.clone()));
    }
    loop {
        let _nothing_is_stored = hub.storing.write().await;
        let (ids, roots) = hub.catalog.forget_some(channel.id, SOME).await?;
        if ids.is_empty() {
            break;
        }
        let (queue, storage) = (Arc::clone(&hub.queue), Arc::clone(&hub.storage));
        let hub = Arc::clone(hub);
        let removing = move || -> Result<(), ChannelError> {
            ids.iter().try_for_each(|id| queue.forget(*id))?;
            photos::forget(&hub, &roots);
            Ok(roots.iter().try_for_each(|root| storage.remove(root))?)
        };
        tokio::task::spawn_blocking(removing).await??;
    }
    let (clearing, gone) = (Arc::clone(hub), channel.clone());
    tokio::task::spawn_blocking(move || clear(&clearing, &gone)).await??;
    hub.catalog.remove_channel(channel.id).await?;
    // Files in hand find that nobody wants them.
    hub.tell_receiver();
    hub.destroy_keys(channel)?;
    Ok(())
}

/// Removes what had begun to come, by fetching or by a backup that was uploaded. What is in hand removes itself.
fn clear(hub: &Hub, channel: &Channel) -> Result<(), ChannelError> {
    for key in hub.storage.partials()? {
        let own = matches!(key, PartialKey::Wanted(announced) if announced.channel == channel.id);
        match own.then(|| hub.storage.partial(&key, 0)).transpose() {
            Ok(partial) => partial.map_or(Ok(()), |partial| partial.discard())?,
            Err(StorageError::Busy(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match std::fs::remove_dir_all(hub.folder.restoring(&channel.portable_id)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::io("removing an uploaded backup")(error).into())
        }
        _ => Ok(()),
    }
}

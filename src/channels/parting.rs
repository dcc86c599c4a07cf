//! A channel that has left this hub goes from it: contents, rows, keys.
//!
//! Invariant: only what has left goes; what another channel has too stays in storage; a crash between
//! leaves a channel that can be taken away again.
//! Spec: ID-17.

use std::sync::Arc;

use super::ChannelError;
use crate::catalog::Channel;
use crate::hub::Hub;

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
        let removing = move || -> Result<(), ChannelError> {
            ids.iter().try_for_each(|id| queue.forget(*id))?;
            Ok(roots.iter().try_for_each(|root| storage.remove(root))?)
        };
        tokio::task::spawn_blocking(removing).await??;
    }
    hub.catalog.remove_channel(channel.id).await?;
    // Files in hand find that nobody wants them.
    hub.tell_receiver();
    hub.destroy_keys(channel)?;
    Ok(())
}

//! One at a time in each channel.
//!
//! Owns: who may go on. Not here: with what.
//! Invariant: what takes long for one channel is waited for by no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::catalog::ChannelNo;

/// A lock for each channel.
#[derive(Debug, Default)]
pub struct Alone(Mutex<HashMap<ChannelNo, Arc<tokio::sync::Mutex<()>>>>);

impl Alone {
    /// Waits until nobody else is at it in this channel.
    pub async fn in_channel(&self, channel: ChannelNo) -> OwnedMutexGuard<()> {
        let own = {
            let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(channels.entry(channel).or_default())
        };
        own.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A channel that is held up holds up no other.
    #[tokio::test]
    async fn channels_do_not_wait_for_each_other() {
        let alone = Alone::default();
        let first = alone.in_channel(1).await;
        let _other = alone.in_channel(2).await;
        let mut second = std::pin::pin!(alone.in_channel(1));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        second.await;
    }
}

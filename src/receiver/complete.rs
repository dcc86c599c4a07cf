//! How a file ends: whole and visible, or given up and begun anew.
//!
//! Owns: the commit, the change of one partial file for another. Not here: when either happens
//! (the protocol's `transfer`), the partial file itself (`chunker`).
//! Invariant: every step of a commit may be repeated; none overtakes the one before it.
//! Spec: FETCH-33, FETCH-37, SYNC-10.

use std::sync::Arc;

use super::file::ActiveFile;
use super::{Receiver, ReceiverError, lock};
use crate::chunker::Assembly;
use crate::storage::Retry;

impl ActiveFile {
    /// Begins a new partial file in the place of one whose sync failed. It can be opened only when
    /// the last request has let go of the old one.
    pub(super) async fn abandon(&self) {
        let old = lock(&self.assembly).take();
        let manifest = *lock(&self.transfer).manifest();
        if let Some(old) = old {
            let discarding = tokio::task::spawn_blocking(move || old.discard());
            if let Ok(Err(error)) = discarding.await {
                tracing::error!(file = %self.name(), %error, "a partial file stays behind");
            }
        }
        while !self.is_over() {
            let (hub, root, channel) = (Arc::clone(&self.hub), self.data.root, self.data.channel);
            let opening = tokio::task::spawn_blocking(move || {
                Assembly::open(&*hub.storage, channel, root, manifest)
            });
            match opening.await {
                Ok(Ok(new)) => {
                    *lock(&self.assembly) = Some(new);
                    return;
                }
                Ok(Err(error)) => {
                    tracing::info!(file = %self.name(), %error, "no new partial file yet");
                }
                Err(error) => tracing::error!(file = %self.name(), %error, "no new partial file"),
            }
            self.pause(50).await;
        }
    }

    /// Makes the file visible, however often it takes; `false` when the partial file was lost in the
    /// attempt and all of it has to come again.
    pub(super) async fn commit(self: &Arc<Self>, receiver: &Arc<Receiver>) -> bool {
        loop {
            match self.try_commit(receiver).await {
                Ok(whole) => return whole,
                Err(error) => {
                    tracing::error!(file = %self.name(), %error, "not committed; tried again later");
                }
            }
            if self.is_over() {
                // Every step can be repeated: the next time it is taken in hand.
                receiver.forget(self.data.id);
                self.hub.tell_receiver();
                return true;
            }
            self.pause(1000).await;
        }
    }

    async fn try_commit(self: &Arc<Self>, receiver: &Arc<Receiver>) -> Result<bool, ReceiverError> {
        let _until_named = self.hub.storing.read().await;
        if let Some(assembly) = self.assembly() {
            match tokio::task::spawn_blocking(move || assembly.commit()).await? {
                Ok(()) => {}
                Err(error) if error.retry() == Retry::Later => return Err(error.into()),
                Err(error) => {
                    self.sync_failed(&error.to_string());
                    return Ok(false);
                }
            }
        }
        receiver.arrived(&[(self.data.id, self.data.channel)]).await?;
        let (queue, wanted) = (Arc::clone(&self.hub.queue), self.data.id);
        tokio::task::spawn_blocking(move || queue.forget(wanted)).await??;
        self.leave.cancel();
        receiver.forget(self.data.id);
        Ok(true)
    }
}

//! Answers with content, or uploads, at the same time: each holds buffers and, now and then, a thread.
//!
//! Owns: how many there may be, of all channels and of one. Not here: what they carry (`packets`).
//! Invariant: who waits is served in the order of coming, and nobody waits for long: then the answer is that there is no room.
//! Spec: QUEUE-10, QUEUE-11.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zotferry_protocol::refusal::{Code, Refusal};

use crate::catalog::ChannelNo;

/// How long somebody waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds after which another try is worth while.
pub const LATER: u32 = 5;

/// Places of one hub for the answers, or the uploads, of all channels.
pub struct Turns {
    all: Arc<Semaphore>,
    of_channel: usize,
    channels: Mutex<HashMap<ChannelNo, Arc<Semaphore>>>,
    patience: Duration,
}

/// One of them underway, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _channel: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    /// So many in all, and of one channel.
    pub fn new(all: u32, of_channel: u32) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all as usize)),
            of_channel: of_channel as usize,
            channels: Mutex::default(),
            patience: PATIENCE,
        }
    }

    /// Waits for a place, first among the channel's own, so that a busy channel keeps no other waiting.
    pub async fn take(&self, channel: ChannelNo) -> Result<Turn, Refusal> {
        let own = self.own(channel);
        let waiting = async {
            let _channel = own.acquire_owned().await.ok()?;
            let _all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(Turn { _channel, _all })
        };
        match tokio::time::timeout(self.patience, waiting).await {
            Ok(Some(turn)) => Ok(turn),
            _ => {
                let text = "no place is free at the moment";
                Err(Refusal::with(Code::Unavailable, text).after(LATER))
            }
        }
    }

    /// A place if one is free now.
    pub fn try_take(&self, channel: ChannelNo) -> Option<Turn> {
        let _channel = self.own(channel).try_acquire_owned().ok()?;
        let _all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Turn { _channel, _all })
    }

    fn own(&self, channel: ChannelNo) -> Arc<Semaphore> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(self.of_channel));
        Arc::clone(channels.entry(channel).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QUEUE-10, QUEUE-11: a channel that takes all its places leaves others theirs; who waits in vain hears for how long.
    #[tokio::test]
    async fn a_channel_has_so_many_answers_at_once() {
        let turns = Turns { patience: Duration::from_millis(20), ..Turns::new(3, 2) };
        let first = turns.take(1).await.expect("a turn");
        let _second = turns.take(1).await.expect("a turn");
        let _other = turns.take(2).await.expect("another channel's turn");
        let refused = turns.take(1).await.expect_err("no place");
        assert_eq!((refused.code, refused.retry_after), (Code::Unavailable, Some(LATER)));
        assert!(turns.take(2).await.is_err(), "no place in all");
        assert!(turns.try_take(3).is_none(), "nor at once");
        drop(first);
        assert!(turns.try_take(3).is_some());
        turns.take(2).await.expect("there is room again");
    }
}

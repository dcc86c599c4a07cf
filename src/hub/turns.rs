//! Answers with content at the same time: each holds buffers and, now and then, a thread.
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
use crate::config::Limits;

/// How long an asker waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds after which another try is worth while.
const LATER: u32 = 5;

/// Places for the answers of one hub.
pub struct Turns {
    all: Arc<Semaphore>,
    of_channel: usize,
    channels: Mutex<HashMap<ChannelNo, Arc<Semaphore>>>,
    patience: Duration,
}

/// One answer underway, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _channel: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    /// Under a hub's settings.
    pub fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.answers as usize)),
            of_channel: limits.answers_per_channel as usize,
            channels: Mutex::default(),
            patience: PATIENCE,
        }
    }

    /// Waits for a place, first among the channel's own, so that a busy channel keeps no other waiting.
    pub async fn take(&self, channel: ChannelNo) -> Result<Turn, Refusal> {
        let own = {
            let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(self.of_channel));
            Arc::clone(channels.entry(channel).or_insert_with(new))
        };
        let waiting = async {
            let _channel = own.acquire_owned().await.ok()?;
            let _all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(Turn { _channel, _all })
        };
        match tokio::time::timeout(self.patience, waiting).await {
            Ok(Some(turn)) => Ok(turn),
            _ => {
                let text = "too many answers at once";
                Err(Refusal::with(Code::Unavailable, text).after(LATER))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QUEUE-10, QUEUE-11: a channel that takes all its places leaves others theirs; who waits in vain hears for how long.
    #[tokio::test]
    async fn a_channel_has_so_many_answers_at_once() {
        let limits = Limits { answers: 3, answers_per_channel: 2, ..Limits::default() };
        let turns = Turns { patience: Duration::from_millis(20), ..Turns::new(&limits) };
        let first = turns.take(1).await.expect("a turn");
        let _second = turns.take(1).await.expect("a turn");
        let _other = turns.take(2).await.expect("another channel's turn");
        let refused = turns.take(1).await.expect_err("no place");
        assert_eq!((refused.code, refused.retry_after), (Code::Unavailable, Some(LATER)));
        assert!(turns.take(2).await.is_err(), "no place in all");
        drop(first);
        turns.take(2).await.expect("there is room again");
    }
}

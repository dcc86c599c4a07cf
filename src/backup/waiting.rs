//! How much of a backup waits that is uploaded file by file, and whether more may come.
//!
//! Owns: the sum for each channel. Not here: the files (`spool`), the quota (the catalog).
//! Invariant: what is known is at least what lies there, but for pieces that are on their way while it is
//! counted; so nobody has to tell what went.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::spool::Spool;
use crate::catalog::ChannelNo;

/// Bytes that wait, of each channel: what was counted last and what came since. They are counted anew when
/// they seem too many.
#[derive(Default)]
pub struct Waiting {
    channels: Mutex<HashMap<ChannelNo, Sum>>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    /// None until they were counted.
    known: Option<u64>,
    /// All that ever came.
    came: u64,
}

impl Waiting {
    /// Takes room for more bytes, before they are written; false if all together would be more than `room`.
    ///
    /// # Errors
    /// What the system says.
    pub async fn take(
        &self,
        spool: &Spool,
        channel: ChannelNo,
        bytes: u64,
        room: u64,
    ) -> io::Result<bool> {
        let before = {
            let mut channels = self.channels();
            let sum = channels.entry(channel).or_default();
            if sum.take(bytes, room) {
                return Ok(true);
            }
            sum.came
        };
        let counting = spool.clone();
        let lies = tokio::task::spawn_blocking(move || counting.bytes()).await??;
        let mut channels = self.channels();
        let sum = channels.entry(channel).or_default();
        sum.known = Some(lies.saturating_add(sum.came - before));
        Ok(sum.take(bytes, room))
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<ChannelNo, Sum>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sum {
    fn take(&mut self, bytes: u64, room: u64) -> bool {
        let all = self.known.and_then(|known| known.checked_add(bytes));
        let fits = all.is_some_and(|all| all <= room);
        if fits {
            self.known = all;
            self.came = self.came.saturating_add(bytes);
        }
        fits
    }
}

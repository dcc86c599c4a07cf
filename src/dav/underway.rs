//! Bytes of a channel's uploads that lie on the disk and are nobody's yet.
//!
//! Owns: their sum for each channel. Not here: how many uploads there may be (`hub`), the quota that each
//! keeps to when it is entered (`catalog`).
//! Invariant: together they are never more than one quota: many slow uploads cannot each have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::ChannelNo;

/// Of every channel.
#[derive(Default)]
pub(super) struct Underway(Mutex<HashMap<ChannelNo, u64>>);

/// What one upload has of it, until it is dropped.
pub(super) struct Share {
    all: Arc<Underway>,
    channel: ChannelNo,
    bytes: u64,
}

impl Underway {
    /// Of an upload that begins.
    pub(super) fn share(self: &Arc<Self>, channel: ChannelNo) -> Share {
        Share { all: Arc::clone(self), channel, bytes: 0 }
    }

    fn change<T>(&self, channel: ChannelNo, change: impl FnOnce(&mut u64) -> T) -> T {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(channels.entry(channel).or_default())
    }
}

impl Share {
    /// More bytes come; false, and nothing is changed, if all of the channel would be more than `most`.
    pub(super) fn grow(&mut self, bytes: u64, most: u64) -> bool {
        let fits = self.all.change(self.channel, |all| {
            let more = all.saturating_add(bytes);
            if more <= most {
                *all = more;
            }
            more <= most
        });
        self.bytes += if fits { bytes } else { 0 };
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.change(self.channel, |all| *all -= self.bytes);
    }
}

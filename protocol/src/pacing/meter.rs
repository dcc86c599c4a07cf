//! What arrives, measured in epochs.

use crate::ids::Millis;

/// Epochs last eight round trips, within these bounds in ms.
const EPOCH: std::ops::RangeInclusive<u64> = 250..=1000;

/// After so many ms a connection's rate can be guessed.
const IMPRESSION: u64 = 50;

/// The running epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    pub(super) in_flight: u32,
    pub(super) bytes: u64,
    /// Shortest time to a first byte in ms: the round trip, or a little more.
    round_trip: Option<u64>,
    since: Millis,
    last: Millis,
    /// Requests in flight, summed over each ms of the epoch.
    busy: u64,
}

/// One epoch that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Epoch {
    /// Payload bytes a second from this origin.
    pub(super) goodput: u64,
    /// Payload bytes a second of one connection; `None` when nothing was in flight.
    pub(super) per_connection: Option<u64>,
    ms: u64,
    busy: u64,
}

impl Meter {
    /// Lets time go by up to `now`.
    pub(super) fn advance(&mut self, now: Millis) {
        self.busy += u64::from(self.in_flight) * now.since(self.last);
        self.last = self.last.max(now);
    }

    /// The first epoch begins with the first byte of all: what goes before is connecting.
    pub(super) fn first_byte(&mut self, now: Millis, after: u64) {
        if self.round_trip.is_none() {
            self.begin(now);
        }
        self.round_trip = Some(self.round_trip.map_or(after, |least| least.min(after)));
    }

    /// The shortest time to a first byte so far, in ms.
    pub(super) fn round_trip(&self) -> Option<u64> {
        self.round_trip
    }

    /// The length of an epoch in ms.
    pub(super) fn epoch_ms(&self) -> u64 {
        let round_trips = self.round_trip.unwrap_or(0).saturating_mul(8);
        round_trips.clamp(*EPOCH.start(), *EPOCH.end())
    }

    /// Payload bytes a second of one connection in the epoch so far, once that says something.
    pub(super) fn first_impression(&self, now: Millis) -> Option<u64> {
        let long_enough = self.round_trip.is_some() && now.since(self.since) >= IMPRESSION;
        let rate = self.bytes.saturating_mul(1000).checked_div(self.busy)?;
        (long_enough && rate > 0).then_some(rate)
    }

    /// Ends the epoch if it is long enough.
    pub(super) fn close_epoch(&mut self, now: Millis) -> Option<Epoch> {
        let ms = now.since(self.since);
        if self.round_trip.is_none() || ms < self.epoch_ms() {
            return None;
        }
        let epoch = Epoch {
            goodput: self.bytes.saturating_mul(1000) / ms,
            per_connection: self.bytes.saturating_mul(1000).checked_div(self.busy),
            ms,
            busy: self.busy,
        };
        self.begin(now);
        Some(epoch)
    }

    fn begin(&mut self, now: Millis) {
        (self.since, self.last, self.bytes, self.busy) = (now, now, 0, 0);
    }
}

impl Epoch {
    /// Whether the epoch says something about `level` requests in flight: so many were, on average,
    /// give or take a quarter, and something arrived.
    pub(super) fn is_about(&self, level: u32) -> bool {
        let (busy, level) = (self.busy * 4, self.ms * u64::from(level));
        self.goodput > 0 && (level * 3..=level * 5).contains(&busy)
    }
}

//! How much one request asks for.
//!
//! Spec: FETCH-45, FETCH-46.

use super::PacingConfig;

/// A request should keep its connection busy for so many ms at least, except at the very end.
const LEAST_MS: u64 = 250;

/// How many requests are in flight at a time: at present, and at most in the near future.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connections {
    pub(super) now: u32,
    pub(super) soon: u32,
}

/// What answers taught about the size of requests.
#[derive(Debug, Clone)]
pub(super) struct RequestSize {
    /// Bytes a second of one connection.
    rate: Option<u64>,
    /// Whether no epoch has confirmed it yet.
    guessed: bool,
    /// What a 413 left; grows again slowly with every complete answer.
    accepted: u64,
    /// The most that an answer brought before something cut it.
    answer_limit: Option<u64>,
}

impl RequestSize {
    pub(super) fn new(request_max: u64) -> Self {
        Self { rate: None, guessed: false, accepted: request_max, answer_limit: None }
    }

    pub(super) fn rate(&self) -> Option<u64> {
        self.rate
    }

    pub(super) fn learn_rate(&mut self, measured: Option<u64>) {
        if let Some(measured) = measured.filter(|&rate| rate > 0) {
            let before = self.rate.filter(|_| !self.guessed);
            self.rate = Some(before.map_or(measured, |rate| rate.midpoint(measured)));
            self.guessed = false;
        }
    }

    /// A rate until the first epoch is over: a fast path would be asked for hundreds of small
    /// answers meanwhile.
    pub(super) fn guess_rate(&mut self, impression: Option<u64>) {
        if self.rate.is_none() && impression.is_some() {
            (self.rate, self.guessed) = (impression, true);
        }
    }

    /// FETCH-45: an answer that is cut after `bytes` teaches what is useful to ask for.
    pub(super) fn cut_after(&mut self, bytes: u64) {
        self.answer_limit = self.answer_limit.max(Some(bytes));
    }

    /// An answer that brought more than the limit shows that there is none.
    pub(super) fn completed(&mut self, bytes: u64) {
        self.answer_limit = self.answer_limit.filter(|&limit| bytes <= limit);
        self.accepted = self.accepted.saturating_add(bytes / 32);
    }

    /// FETCH-46: after a 413, half of what would have been asked for.
    pub(super) fn too_large(&mut self, config: &PacingConfig, connections: Connections) {
        self.accepted = self.next(config, u64::MAX, connections, 0) / 2;
    }

    /// Bytes for the next request: a few seconds' worth, and near the end a share of what remains
    /// so small that the connections finish together (guided self-scheduling).
    pub(super) fn next(
        &self,
        config: &PacingConfig,
        remaining: u64,
        connections: Connections,
        round_trip: u64,
    ) -> u64 {
        let round_trips = |n: u64| round_trip.saturating_mul(n).min(config.request_ms);
        let worth = |rate: u64| rate.saturating_mul(config.request_ms) / 1000;
        let share = match self.rate {
            None => remaining / (2 * u64::from(connections.now)),
            // All that may come are to share what remains. A request that is over in a
            // quarter of a second, or in eight round trips, would be waited for more than used.
            Some(rate) => {
                let least = rate.saturating_mul(round_trips(8).max(LEAST_MS)) / 1000;
                (remaining / (2 * u64::from(connections.soon))).max(least)
            }
        };
        self.rate
            .map_or(config.request_first, worth)
            .min(self.accepted)
            .min(self.useful())
            .min(share)
            .clamp(config.request_min, config.request_max)
            .min(remaining)
    }

    /// A request is presented again after each cut, so asking for several answers' worth saves
    /// signatures; more only binds chunks to one origin.
    fn useful(&self) -> u64 {
        self.answer_limit.map_or(u64::MAX, |limit| limit.saturating_mul(8))
    }
}

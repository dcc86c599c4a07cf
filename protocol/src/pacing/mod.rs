//! How hard one origin is asked: requests in flight, bytes per request, pauses after trouble.
//!
//! Owns: what was learnt about one origin. Not here: clocks, sockets, which chunks to ask for.
//! Invariant: between `min` and `max` requests are in flight, and none starts during a pause that
//! the origin asked for.
//! Spec: FETCH-40 to FETCH-46; QUEUE-4 for [`Backoff`].

mod backoff;
mod climb;
mod meter;
#[cfg(test)]
mod path_model;
mod request;
#[cfg(test)]
mod tests;

pub use backoff::Backoff;

use crate::ids::Millis;
use crate::manifest::MIN_CHUNK;
use climb::Climb;
use meter::Meter;
use request::{Connections, RequestSize};

/// However long an origin asks to be left alone, it is tried again after this many ms.
pub const MAX_PAUSE: u64 = 10 * 60 * 1000;

/// The bounds within which a [`Pacer`] moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacingConfig {
    /// Fewest requests in flight.
    pub min: u32,
    /// FETCH-40: requests in flight before anything is known.
    pub start: u32,
    /// Most requests in flight.
    pub max: u32,
    /// Least bytes in a request: one chunk.
    pub request_min: u64,
    /// Bytes in a request while the rate is unknown.
    pub request_first: u64,
    /// Most bytes in a request.
    pub request_max: u64,
    /// How long one request should keep one connection busy, in ms.
    pub request_ms: u64,
    /// Pauses after trouble that came without a Retry-After.
    pub pause: Backoff,
}

impl Default for PacingConfig {
    fn default() -> Self {
        Self {
            min: 1,
            start: 4,
            max: 32,
            request_min: u64::from(MIN_CHUNK),
            request_first: 4 << 20,
            request_max: 256 << 20,
            request_ms: 4000,
            pause: Backoff { base: 1000, max: 60_000 },
        }
    }
}

/// What happened on the way to one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A request was sent.
    Started,
    /// The first byte of an answer came, so many ms after its request was sent.
    FirstByte {
        /// Ms since the request was sent.
        after: u64,
    },
    /// So many payload bytes came.
    Bytes(u64),
    /// A request is over.
    Finished {
        /// In which way.
        how: How,
        /// Payload bytes that its answer brought.
        bytes: u64,
    },
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// With all that was asked for.
    Done,
    /// With the end frame "limit": the origin gives no more in one answer.
    Limit,
    /// Without an end frame: something on the path cuts answers, or the connection broke.
    Cut,
    /// No byte came for too long.
    Stalled,
    /// No answer came in time.
    TimedOut,
    /// 413: the request asked for too much.
    TooLarge,
    /// 429, with its Retry-After in ms.
    TooMany {
        /// Ms to wait, if the origin said so.
        retry_after: Option<u64>,
    },
    /// 503, with its Retry-After in ms.
    Unavailable {
        /// Ms to wait, if the origin said so.
        retry_after: Option<u64>,
    },
    /// It was not sent after all.
    Unsent,
    /// A signed refusal: it speaks about the file, not about the path.
    Refused,
}

/// The pace at which one origin is asked. All times are of one clock that is not set back.
#[derive(Debug, Clone)]
pub struct Pacer {
    config: PacingConfig,
    meter: Meter,
    climb: Climb,
    request: RequestSize,
    paused_until: Millis,
    /// When trouble last counted; what follows at once has the same cause.
    trouble_at: Option<Millis>,
    /// Troubles that counted since payload last came.
    barren: u32,
}

impl Pacer {
    /// A pacer that knows nothing of its origin yet.
    pub fn new(config: PacingConfig) -> Self {
        Self {
            config,
            meter: Meter::default(),
            climb: Climb::new(config.min, config.start, config.max),
            request: RequestSize::new(config.request_max),
            paused_until: Millis::default(),
            trouble_at: None,
            barren: 0,
        }
    }

    /// Learns from what happened at `now`.
    pub fn handle(&mut self, now: Millis, event: Event) {
        self.meter.advance(now);
        match event {
            Event::Started => self.meter.in_flight += 1,
            Event::FirstByte { after } => self.meter.first_byte(now, after),
            Event::Bytes(bytes) => {
                self.meter.bytes += bytes;
                self.barren = 0;
            }
            Event::Finished { how, bytes } => {
                self.meter.in_flight = self.meter.in_flight.saturating_sub(1);
                self.finished(now, how, bytes);
            }
        }
        if self.request.rate().is_none() {
            self.request.guess_rate(self.meter.first_impression(now));
        }
        if let Some(epoch) = self.meter.close_epoch(now) {
            self.request.learn_rate(epoch.per_connection);
            if epoch.is_about(self.climb.level()) {
                self.climb.epoch(now, epoch.goodput);
            }
        }
    }

    /// Whether one more request may be sent now.
    pub fn may_start(&self, now: Millis) -> bool {
        self.meter.in_flight < self.climb.level() && now >= self.paused_until
    }

    /// Bytes to ask for in the next request, when `remaining` bytes have not been asked for yet.
    pub fn request_bytes(&self, remaining: u64) -> u64 {
        let round_trip = self.meter.round_trip().unwrap_or(0);
        self.request.next(&self.config, remaining, self.connections(), round_trip)
    }

    /// When a pause ends; `None` outside a pause.
    pub fn wake_at(&self, now: Millis) -> Option<Millis> {
        (now < self.paused_until).then_some(self.paused_until)
    }

    /// Requests in flight that are aimed at.
    pub fn level(&self) -> u32 {
        self.climb.level()
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.meter.in_flight
    }

    /// Measured bytes a second of one connection; `None` before anything came.
    pub fn connection_rate(&self) -> Option<u64> {
        self.request.rate()
    }

    fn connections(&self) -> Connections {
        Connections { now: self.climb.level(), soon: self.climb.prospect() }
    }

    fn finished(&mut self, now: Millis, how: How, bytes: u64) {
        match how {
            How::Done => self.request.completed(bytes),
            How::Limit | How::Cut if bytes > 0 => self.request.cut_after(bytes),
            How::TooLarge => self.request.too_large(&self.config, self.connections()),
            How::TooMany { retry_after } | How::Unavailable { retry_after } => {
                let first = self.config.pause.ceiling(self.barren);
                self.pause(now, retry_after.map_or(first, |wish| wish.max(first)));
                self.trouble(now);
            }
            How::Limit | How::Cut | How::Stalled | How::TimedOut => {
                if self.barren > 0 {
                    self.pause(now, self.config.pause.ceiling(self.barren - 1));
                }
                self.trouble(now);
            }
            How::Refused | How::Unsent => {}
        }
    }

    /// FETCH-44: a Retry-After is honoured, within [`MAX_PAUSE`]; pauses never shorten each other.
    fn pause(&mut self, now: Millis, ms: u64) {
        self.paused_until = self.paused_until.max(now.plus(ms.min(MAX_PAUSE)));
    }

    /// FETCH-43: halves the requests in flight, once for all that fail for the same cause.
    fn trouble(&mut self, now: Millis) {
        let epoch = self.meter.epoch_ms();
        if self.trouble_at.is_some_and(|at| now.since(at) < epoch) {
            return;
        }
        self.trouble_at = Some(now);
        self.barren = self.barren.saturating_add(1);
        self.climb.halve(now);
    }
}

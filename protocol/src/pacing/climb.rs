//! How many requests in flight: doubles where it pays, halves on trouble.
//!
//! Many connections help where each one is held back (loss, a long way, a cap for each); where the
//! line or a processor is the limit they only cost. Which of both it is cannot be seen, so it is tried.
//! Spec: FETCH-41 to FETCH-43.

use crate::ids::Millis;

/// Ms until the first probe after one that did not pay; doubles each time.
const PROBE_FIRST: u64 = 4000;
/// Longest time between probes, in ms.
const PROBE_MAX: u64 = 60_000;

/// The search for the right number of requests in flight.
#[derive(Debug, Clone)]
pub(super) struct Climb {
    min: u32,
    max: u32,
    level: u32,
    phase: Phase,
    /// The level that last brought trouble.
    ceiling: Option<u32>,
    /// Goodput of the epoch before, on the same level.
    last: Option<u64>,
    probe_at: Millis,
    interval: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// On a level; a probe follows when goodput has settled and the time has come.
    Level,
    /// Trying twice as many as `from`, which brought `before` bytes a second.
    Probe { from: u32, before: u64 },
    /// Back from a probe of `above`, which brought `brought`: did it really not pay?
    Doubt { above: u32, brought: u64 },
    /// Coming back after trouble.
    Recover,
}

impl Climb {
    pub(super) fn new(min: u32, start: u32, max: u32) -> Self {
        Self {
            min,
            max,
            level: start.clamp(min, max),
            phase: Phase::Level,
            ceiling: None,
            last: None,
            probe_at: Millis::default(),
            interval: PROBE_FIRST,
        }
    }

    pub(super) fn level(&self) -> u32 {
        self.level
    }

    /// The most requests in flight that the near future may bring: the level, once doubling it did
    /// not pay.
    pub(super) fn prospect(&self) -> u32 {
        let vain = self.phase == Phase::Level && self.interval > PROBE_FIRST;
        if vain { self.level } else { self.max }
    }

    /// An epoch is over in which the level was used and brought `goodput` bytes a second.
    pub(super) fn epoch(&mut self, now: Millis, goodput: u64) {
        let settled = self.last.is_some_and(|last| grew_less(goodput, last, 125));
        self.last = Some(goodput);
        match self.phase {
            Phase::Level if settled => self.probe(now, goodput),
            Phase::Probe { from, before } if settled => self.judge(now, from, before, goodput),
            Phase::Doubt { above, brought } if settled => {
                self.reconsider(now, above, brought, goodput);
            }
            Phase::Recover => self.recover(),
            Phase::Level | Phase::Probe { .. } | Phase::Doubt { .. } => {}
        }
    }

    /// FETCH-43: trouble halves the level; the way back is one step an epoch. A probe from just
    /// below known trouble that meets it again goes back to where it began.
    pub(super) fn halve(&mut self, now: Millis) {
        match self.phase {
            Phase::Probe { from, .. } if self.ceiling == Some(from + 1) => {
                self.phase = Phase::Level;
                self.move_to(from);
            }
            _ => {
                self.phase = Phase::Recover;
                self.ceiling = Some(self.level);
                self.move_to((self.level / 2).max(self.min));
            }
        }
        self.wait(now);
    }

    /// FETCH-41: when it is time, doubles the level to see whether that pays.
    fn probe(&mut self, now: Millis, goodput: u64) {
        if now < self.probe_at || self.level == self.max {
            return;
        }
        self.phase = Phase::Probe { from: self.level, before: goodput };
        self.move_to(self.level.saturating_mul(2).min(self.max));
    }

    /// FETCH-42: keeps a doubling that brought 1.3 times as much, and tries the next at once.
    fn judge(&mut self, now: Millis, from: u32, before: u64, goodput: u64) {
        if grew_less(goodput, before, 130) {
            self.phase = Phase::Doubt { above: self.level, brought: goodput };
            self.move_to(from);
            self.wait(now);
        } else {
            self.phase = Phase::Level;
            self.paid(now);
            self.probe(now, goodput);
        }
    }

    /// Connections that begin fast and slow down with their first losses make a doubling look vain.
    /// If clearly less comes now than came with it, it did pay.
    fn reconsider(&mut self, now: Millis, above: u32, brought: u64, goodput: u64) {
        self.phase = Phase::Level;
        if !grew_less(brought, goodput, 130) {
            self.move_to(above);
            self.paid(now);
        }
    }

    fn paid(&mut self, now: Millis) {
        self.ceiling = None;
        (self.interval, self.probe_at) = (PROBE_FIRST, now);
    }

    /// One step up, staying below where the trouble was; beyond it only by a probe.
    fn recover(&mut self) {
        if self.ceiling.is_some_and(|ceiling| self.level + 1 < ceiling) {
            self.move_to(self.level + 1);
        } else {
            self.phase = Phase::Level;
        }
    }

    fn move_to(&mut self, level: u32) {
        self.level = level;
        self.last = None;
    }

    fn wait(&mut self, now: Millis) {
        self.probe_at = now.plus(self.interval);
        self.interval = (self.interval * 2).min(PROBE_MAX);
    }
}

/// Whether `now` is less than `percent` of `before`.
fn grew_less(now: u64, before: u64, percent: u64) -> bool {
    u128::from(now) * 100 < u128::from(before) * u128::from(percent)
}

//! How long to wait before trying again.

/// Exponential backoff: each attempt may wait twice as long as the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait before the second attempt, in ms.
    pub base: u64,
    /// Longest wait at all, in ms.
    pub max: u64,
}

impl Default for Backoff {
    /// QUEUE-4: 5 seconds to 1 hour.
    fn default() -> Self {
        Self { base: 5000, max: 3_600_000 }
    }
}

impl Backoff {
    /// QUEUE-4: ms to wait after failed attempt number `attempt` (the first is 0): the upper half
    /// of [`Self::ceiling`], where `jitter`, any random number, chooses. What failed together is
    /// so not tried again together, and nothing is tried again at once.
    pub fn delay(&self, attempt: u32, jitter: u64) -> u64 {
        let ceiling = self.ceiling(attempt);
        let half = ceiling / 2;
        ceiling - jitter % (half + 1)
    }

    /// The longest wait after failed attempt number `attempt`, in ms.
    pub fn ceiling(&self, attempt: u32) -> u64 {
        let doubled = 1u64.checked_shl(attempt).map_or(u64::MAX, |by| self.base.saturating_mul(by));
        doubled.min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QUEUE-4: waits double from 5 s and stop at one hour, however often it failed.
    #[test]
    fn ceilings_double_up_to_the_longest() {
        let backoff = Backoff::default();
        let ceilings: Vec<_> =
            [0, 1, 2, 9, 10, 63, 64, u32::MAX].map(|a| backoff.ceiling(a)).into();
        let hour = 3_600_000;
        assert_eq!(ceilings, [5000, 10_000, 20_000, 2_560_000, hour, hour, hour, hour]);
    }

    /// QUEUE-4: jitter spreads over the upper half of the wait and never leaves it.
    #[test]
    fn jitter_stays_in_the_upper_half() {
        let backoff = Backoff::default();
        let mut seen = std::collections::BTreeSet::new();
        for jitter in 0..5000u64 {
            let delay = backoff.delay(1, jitter.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            assert!((5000..=10_000).contains(&delay), "{delay}");
            seen.insert(delay / 1000);
        }
        assert_eq!(seen.len(), 6, "all of the upper half is used: {seen:?}");
        assert_eq!(Backoff { base: 0, max: 0 }.delay(3, 7), 0);
    }
}

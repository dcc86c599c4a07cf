//! When a failed job is tried again, and when it is given up.
//!
//! Owns: the delays. Not here: what failed.
//! Invariant: a delay follows from the seed, the job and the attempt alone, so a restart or another
//! backend computes the same one.
//! Spec: QUEUE-4, QUEUE-5.

/// How retries are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The first delay, in ms; each further one is twice as long.
    pub base: u64,
    /// No delay is longer than this, in ms.
    pub cap: u64,
    /// A job that failed this often is dead.
    pub max_attempts: u32,
}

impl Default for Policy {
    /// From 1 s to 1 h, given up after two to three days: a clone that was away for a weekend.
    fn default() -> Self {
        Self { base: 1_000, cap: 3_600_000, max_attempts: 80 }
    }
}

impl Policy {
    /// QUEUE-4: ms to wait after failure number `attempt` (from 1). Half of the exponential delay is
    /// certain, half is jitter, so that jobs which failed together do not come back together.
    pub fn delay(&self, seed: u64, job: u64, attempt: u32) -> u64 {
        let doublings = attempt.saturating_sub(1).min(63);
        let full = self.base.saturating_mul(1 << doublings).min(self.cap);
        let dice = mix(seed ^ mix(job ^ mix(u64::from(attempt))));
        full - full / 2 + dice % (full / 2 + 1)
    }
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { base: 100, cap: 10_000, max_attempts: 9 };

    /// QUEUE-4: delays double from the base to the cap, and jitter takes away at most half.
    #[test]
    fn delays_double_up_to_the_cap() {
        for (attempt, full) in [(1, 100), (2, 200), (5, 1_600), (8, 10_000), (u32::MAX, 10_000)] {
            for job in 0..200 {
                let delay = POLICY.delay(7, job, attempt);
                assert!((full / 2..=full).contains(&delay), "attempt {attempt}: {delay}");
            }
        }
    }

    /// QUEUE-4: jobs that failed together come back spread over the jittered half.
    #[test]
    fn jitter_spreads_jobs_and_seeds() {
        let spread = |f: &dyn Fn(u64) -> u64| {
            (0..500).map(f).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert!(spread(&|job| POLICY.delay(7, job, 8)) > 400);
        assert!(spread(&|seed| POLICY.delay(seed, 1, 8)) > 400);
        assert_eq!(POLICY.delay(7, 3, 4), POLICY.delay(7, 3, 4));
    }
}

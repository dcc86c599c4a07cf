//! How fast each channel's bytes arrive: a sample every second, a few of them remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Local;

/// Samples that are remembered: the rate is that of so many seconds less one.
const WINDOW: usize = 6;
const EVERY: Duration = Duration::from_secs(1);

/// Bytes that are here, by channel, at a moment.
type Sample = (Instant, HashMap<i64, u64>);

/// The last samples.
#[derive(Default)]
pub(super) struct Rates(Mutex<VecDeque<Sample>>);

impl Rates {
    /// Bytes a second over the last samples; `None` while there are fewer than two.
    pub(super) fn of(&self, channel: i64) -> Option<u64> {
        let samples = self.samples();
        let ((then, before), (now, after)) = (samples.front()?, samples.back()?);
        let bytes = after.get(&channel)?.saturating_sub(*before.get(&channel)?);
        let ms = u64::try_from(now.duration_since(*then).as_millis()).ok().filter(|ms| *ms > 0)?;
        Some(bytes.saturating_mul(1000) / ms)
    }

    fn add(&self, sample: Sample) {
        let mut samples = self.samples();
        if samples.len() == WINDOW {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    fn samples(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Samples until the hub stops.
pub(super) async fn sample(local: Arc<Local>) {
    loop {
        if let Ok(channels) = local.hub.catalog.channels().await {
            let bytes = channels.iter().map(|c| (c.id, c.used + local.underway(c.id))).collect();
            local.rates.add((Instant::now(), bytes));
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = local.hub.stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (rates, start) = (Rates::default(), Instant::now());
        assert_eq!(rates.of(1), None);
        for second in 0..20 {
            let bytes = if second < 10 { 0 } else { 500 * second };
            rates.add((start + Duration::from_secs(second), HashMap::from([(1, bytes)])));
        }
        assert_eq!(rates.of(1), Some(500));
        assert_eq!(rates.of(2), None, "a channel that came a moment ago");
    }
}

//! How many refusals are signed for one hub: a signature costs more than asking for it.
//!
//! Invariant: bounded: one count for each hub that was refused something within the last minute.
//! Spec: REF-6.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use zotferry_protocol::ids::{Millis, SiteId};

/// REF-6: signed refusals to one hub in one minute.
const MOST: u32 = 600;
/// How long refusals are counted together, in ms.
const MINUTE: u64 = 60_000;

/// Refusals that were signed, by hub.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<SiteId, (Millis, u32)>>);

impl Refusals {
    /// Counts one refusal more. `Err`: there were too many; seconds after which one may be signed.
    pub fn one_more(&self, to: &SiteId, now: Millis) -> Result<(), u32> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (since, _)| now.since(*since) < MINUTE && *since <= now);
        let (since, count) = counts.entry(to.clone()).or_insert((now, 0));
        if *count >= MOST {
            let rest = MINUTE.saturating_sub(now.since(*since));
            return Err(u32::try_from(rest.div_ceil(1000)).unwrap_or(60));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REF-6: one hub's refusals leave those of others alone, and a minute later there are new ones.
    #[test]
    fn refusals_are_counted_by_hub_and_minute() {
        let refusals = Refusals::default();
        let hub = |c: char| SiteId::new(c.to_string().repeat(86)).expect("an id");
        for _ in 0..MOST {
            assert_eq!(refusals.one_more(&hub('a'), Millis(1_000)), Ok(()));
        }
        assert_eq!(refusals.one_more(&hub('a'), Millis(31_000)), Err(30));
        assert_eq!(refusals.one_more(&hub('b'), Millis(31_000)), Ok(()));
        assert_eq!(refusals.one_more(&hub('a'), Millis(61_000)), Ok(()));
    }

    /// A clock that is set back does not silence anybody for the difference.
    #[test]
    fn a_clock_set_back_begins_a_new_count() {
        let refusals = Refusals::default();
        let hub = SiteId::new("a".repeat(86)).expect("an id");
        for _ in 0..MOST {
            refusals.one_more(&hub, Millis(9_000_000)).expect("not too many");
        }
        assert_eq!(refusals.one_more(&hub, Millis(1_000)), Ok(()));
    }
}

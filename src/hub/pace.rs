//! How often somebody may ask: requests of an address, packets of a channel, changes of a clone, challenges to a host.
//!
//! Owns: the rates. Not here: connections and bodies (`web`), how a refusal travels (`packets`).
//! Invariant: bounded: who was not heard of for a while is forgotten, and costs nothing.
//! Spec: QUEUE-10, ID-42, ID-43, SIGN-8.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::catalog::{ChannelNo, SiteNo};
use crate::config::Limits;

/// A rate allows so many times its number at once.
const BURST: u32 = 10;
/// How long an id may have to be remembered: a packet's life, the time after it, and the next purge.
const REMEMBERED: Duration = Duration::from_secs(20 * 60);
/// Challenges to one host, and hubs that introduce themselves for one channel, at once; then one each [`SELDOM`].
const AT_ONCE: u32 = 60;
/// The pause between two of them.
const SELDOM: Duration = Duration::from_secs(10);
/// Keys after which those that are idle are looked for.
const MANY: usize = 10_000;

/// Counts by key how often something happened.
struct Rate<K: Hash + Eq + Clone> {
    limiter: Option<RateLimiter<K, HashMapStateStore<K>, MonotonicClock>>,
}

impl<K: Hash + Eq + Clone> Rate<K> {
    /// So many a second, and [`BURST`] times as many at once; 0 for no limit.
    fn per_second(number: u32) -> Self {
        let burst = number.saturating_mul(BURST);
        let quota = NonZeroU32::new(number).map(Quota::per_second);
        Self::of(quota.zip(NonZeroU32::new(burst)).map(|(quota, burst)| quota.allow_burst(burst)))
    }

    fn of(quota: Option<Quota>) -> Self {
        let limiter = |quota| RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock);
        Self { limiter: quota.map(limiter) }
    }

    /// Counts one more. `Err`: there were too many; seconds after which there may be one.
    fn one_more(&self, key: &K) -> Result<(), u32> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if limiter.len() > MANY {
            limiter.retain_recent();
        }
        limiter.check_key(key).map_err(|refused| {
            let wait = refused.wait_time_from(MonotonicClock.now());
            u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX)
        })
    }
}

/// The rates of one hub.
pub struct Paces {
    addresses: Rate<IpAddr>,
    channels: Rate<ChannelNo>,
    changes: Rate<(ChannelNo, SiteNo)>,
    challenges: Rate<String>,
    introductions: Rate<ChannelNo>,
}

impl Paces {
    /// Under a hub's settings.
    pub fn new(limits: &Limits) -> Self {
        Self {
            addresses: Rate::per_second(limits.requests_per_second),
            channels: Rate::per_second(limits.packets_per_second),
            changes: Rate::of(changes(limits.remembered)),
            challenges: Rate::of(seldom()),
            introductions: Rate::of(seldom()),
        }
    }

    /// A request of an address; all addresses of an IPv6 network of 64 bits are one.
    pub fn request(&self, from: IpAddr) -> Result<(), u32> {
        self.addresses.one_more(&network(from))
    }

    /// A packet that speaks for a channel.
    pub fn packet(&self, channel: ChannelNo) -> Result<(), u32> {
        self.channels.one_more(&channel)
    }

    /// A packet of a clone that changes something, so that its id and answer have to be remembered.
    pub fn change(&self, channel: ChannelNo, site: SiteNo) -> Result<(), u32> {
        self.changes.one_more(&(channel, site))
    }

    /// ID-42: a challenge to a host that somebody said a channel lives at.
    pub fn challenge(&self, host: &str) -> Result<(), u32> {
        self.challenges.one_more(&host.to_owned())
    }

    /// ID-43: a hub that is not known introduces itself for a channel.
    pub fn introduction(&self, channel: ChannelNo) -> Result<(), u32> {
        self.introductions.one_more(&channel)
    }
}

/// What happens once in a while.
fn seldom() -> Option<Quota> {
    let quota = Quota::with_period(SELDOM)?;
    Some(quota.allow_burst(NonZeroU32::new(AT_ONCE)?))
}

/// At no time more than `most` ids of one clone: half of them at once, the other half in the time for which the
/// first half is remembered.
fn changes(most: u32) -> Option<Quota> {
    let half = NonZeroU32::new(most / 2)?;
    let quota = Quota::with_period(REMEMBERED / half.get())?;
    Some(quota.allow_burst(half))
}

/// What counts as one asker.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paces(change: impl FnOnce(&mut Limits)) -> Paces {
        let mut limits = Limits::default();
        change(&mut limits);
        Paces::new(&limits)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// QUEUE-10: an address has its own count, and a network of IPv6 has one together; the refusal says how long.
    #[test]
    fn an_address_that_asks_too_often_is_told_when_to_come_back() {
        let paces = paces(|limits| limits.requests_per_second = 1);
        for n in 0..BURST {
            assert_eq!(paces.request(ip(&format!("2001:db8::{n:x}"))), Ok(()));
        }
        assert_eq!(paces.request(ip("2001:db8::ffff:1")), Err(1));
        assert_eq!(paces.request(ip("2001:db8:0:1::1")), Ok(()));
        assert_eq!(paces.request(ip("192.0.2.1")), Ok(()));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    /// QUEUE-10: 0 stands for no limit.
    #[test]
    fn a_rate_of_nothing_is_no_limit() {
        let paces = paces(|limits| limits.packets_per_second = 0);
        assert!((0..100_000).all(|_| paces.packet(1).is_ok()));
    }

    /// SIGN-8: ids are never forgotten early; so a clone may only make so many that have to be remembered.
    #[test]
    fn a_clone_makes_no_more_ids_than_are_remembered() {
        let paces = paces(|limits| limits.remembered = 100);
        let taken = (0..100).filter(|_| paces.change(1, 2).is_ok()).count();
        assert_eq!(taken, 50);
        assert!(paces.change(1, 2).is_err_and(|seconds| (1..=25).contains(&seconds)));
        assert_eq!(paces.change(1, 3), Ok(()), "another clone");
    }

    /// ID-42: however many places are said to be at one host, it hears of them in small numbers.
    #[test]
    fn a_host_is_challenged_seldom() {
        let paces = paces(|_| {});
        let taken = (0..10_000).filter(|_| paces.challenge("victim.example").is_ok()).count();
        assert_eq!(taken, AT_ONCE as usize);
        assert_eq!(paces.challenge("other.example"), Ok(()));
    }

    /// Who comes once costs no memory for ever.
    #[test]
    fn askers_are_forgotten() {
        let rate = Rate::<u32>::per_second(u32::MAX);
        for key in 0..200_000 {
            assert_eq!(rate.one_more(&key), Ok(()));
        }
        let kept = rate.limiter.expect("a limit").len();
        assert!(kept <= MANY + 1, "{kept}");
    }
}

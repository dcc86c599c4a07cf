//! The hubs that may be asked for one file, and which of them is asked.
//!
//! Owns: who has the file, who refused it lately, how many requests each has. Not here: how a hub
//! does in general (`origin`), whose chunks were wrong (the transfer counts them).
//! Invariant: while any hub has the file, at least one may be asked.
//! Spec: SYNC-11, FETCH-5, FETCH-54.

use std::collections::{BTreeMap, BTreeSet};

use zotferry_protocol::ids::Millis;
use zotferry_protocol::pacing::Backoff;

use crate::catalog::SiteNo;

/// How long others are asked for a content that a hub did not give.
pub(super) const LEFT: Backoff = Backoff { base: 60_000, max: 3_600_000 };

/// The hubs that have a file.
#[derive(Debug, Default)]
pub(super) struct Sources {
    sites: BTreeMap<SiteNo, Source>,
}

#[derive(Debug, Default)]
struct Source {
    /// Requests in flight.
    requests: u32,
    /// How often it gave nothing of this file.
    refusals: u32,
    /// So long others are asked.
    left_until: Millis,
}

/// What else counts when one of several hubs is chosen.
pub(super) struct Judge<'a> {
    pub(super) now: Millis,
    /// Chunks of the file that came wrong from a hub.
    pub(super) bad: &'a dyn Fn(SiteNo) -> u32,
    /// Whether a hub does its work at present.
    pub(super) well: &'a dyn Fn(SiteNo) -> bool,
}

impl Sources {
    /// These hubs have the file, and no others. Whether one of them is new.
    pub(super) fn set(&mut self, sites: &[SiteNo]) -> bool {
        self.sites.retain(|site, _| sites.contains(site));
        let before = self.sites.len();
        for site in sites {
            self.sites.entry(*site).or_default();
        }
        self.sites.len() > before
    }

    pub(super) fn has(&self, site: SiteNo) -> bool {
        self.sites.contains_key(&site)
    }

    /// A request to a hub begins.
    pub(super) fn begin(&mut self, site: SiteNo) {
        if let Some(source) = self.sites.get_mut(&site) {
            source.requests += 1;
        }
    }

    /// A request to a hub is over.
    pub(super) fn end(&mut self, site: SiteNo) {
        if let Some(source) = self.sites.get_mut(&site) {
            source.requests = source.requests.saturating_sub(1);
        }
    }

    /// A hub gives nothing of this file; others are asked for a while, each time longer.
    pub(super) fn refused(&mut self, site: SiteNo, now: Millis) {
        if let Some(source) = self.sites.get_mut(&site) {
            source.left_until = now.plus(LEFT.ceiling(source.refusals));
            source.refusals += 1;
        }
    }

    /// How many hubs are being asked at present.
    pub(super) fn asked(&self) -> u32 {
        self.sites.values().map(|source| u32::from(source.requests > 0)).sum()
    }

    /// Whether a hub may be asked: it is fit, or none is.
    pub(super) fn may_ask(&self, site: SiteNo, judge: &Judge<'_>) -> bool {
        let fit = self.fit(judge);
        self.has(site) && (fit.is_empty() || fit.contains(&site))
    }

    /// Whether another hub than this one is fit.
    pub(super) fn elsewhere(&self, site: SiteNo, judge: &Judge<'_>) -> bool {
        self.fit(judge).iter().any(|fit| *fit != site)
    }

    /// Among how many the rest of the file is shared.
    pub(super) fn shares(&self, judge: &Judge<'_>) -> u64 {
        self.fit(judge).len().max(1) as u64
    }

    /// The hub to ask first, of those that were not asked in vain: one that is fit, and of those the
    /// one with the fewest requests.
    pub(super) fn pick(&self, vain: &BTreeSet<SiteNo>, judge: &Judge<'_>) -> Option<SiteNo> {
        let fit = self.fit(judge);
        let open = self.sites.iter().filter(|(site, _)| !vain.contains(site));
        let first = open.min_by_key(|(site, source)| (!fit.contains(site), source.requests));
        first.map(|(site, _)| *site)
    }

    /// FETCH-5, FETCH-54: those that do their work, did not refuse the file lately, and did not send
    /// many more wrong chunks than the best of them.
    fn fit(&self, judge: &Judge<'_>) -> Vec<SiteNo> {
        let least = self.sites.keys().map(|site| (judge.bad)(*site)).min().unwrap_or(0);
        let is_fit = |(site, source): &(&SiteNo, &Source)| {
            source.left_until <= judge.now
                && (judge.bad)(**site) <= 2 + 4 * least
                && (judge.well)(**site)
        };
        self.sites.iter().filter(is_fit).map(|(site, _)| *site).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1000);

    fn judge<'a>(bad: &'a dyn Fn(SiteNo) -> u32, well: &'a dyn Fn(SiteNo) -> bool) -> Judge<'a> {
        Judge { now: NOW, bad, well }
    }

    fn sources(sites: &[SiteNo]) -> Sources {
        let mut sources = Sources::default();
        assert!(sources.set(sites));
        sources
    }

    /// FETCH-5: a hub that sends wrong chunks is left when another sends fewer, and not when it is
    /// the only one.
    #[test]
    fn a_liar_is_left_for_another() {
        let bad = |site| if site == 1 { 3 } else { 0 };
        let well = |_| true;
        let judge = judge(&bad, &well);
        let both = sources(&[1, 2]);
        assert_eq!([1, 2, 3].map(|site| both.may_ask(site, &judge)), [false, true, false]);
        assert!(both.elsewhere(1, &judge) && !both.elsewhere(2, &judge));
        assert!(sources(&[1]).may_ask(1, &judge));
    }

    /// FETCH-54: who refused the file, or does not answer, is asked again later, or when all do.
    #[test]
    fn who_refuses_is_left_for_a_while() {
        let bad = |_| 0;
        let well = |site| site != 2;
        let judge = judge(&bad, &well);
        let mut three = sources(&[1, 2, 3]);
        three.refused(1, NOW);
        assert_eq!([1, 2, 3].map(|site| three.may_ask(site, &judge)), [false, false, true]);
        assert_eq!(three.shares(&judge), 1);
        three.refused(3, NOW);
        assert_eq!([1, 2, 3].map(|site| three.may_ask(site, &judge)), [true; 3]);
        three.refused(3, NOW);
        let judge = Judge { now: NOW.plus(60_000), ..judge };
        assert!(three.may_ask(1, &judge) && !three.may_ask(3, &judge));
    }

    /// SYNC-11: the least busy fit hub comes first, one asked in vain not at all; a removed one is gone.
    #[test]
    fn the_least_busy_is_picked() {
        let bad = |_| 0;
        let well = |site| site != 1;
        let judge = judge(&bad, &well);
        let mut three = sources(&[1, 2, 3]);
        three.begin(2);
        assert_eq!(three.asked(), 1);
        let pick =
            |three: &Sources, vain: &[SiteNo]| three.pick(&vain.iter().copied().collect(), &judge);
        assert_eq!(pick(&three, &[]), Some(3));
        assert_eq!(pick(&three, &[3]), Some(2));
        assert_eq!(pick(&three, &[3, 2]), Some(1));
        assert_eq!(pick(&three, &[3, 2, 1]), None);
        assert!(!three.set(&[1, 3]));
        three.end(2);
        assert!(!three.has(2) && three.asked() == 0);
    }
}

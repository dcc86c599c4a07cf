//! Goes from the sum of everything down to the leaves that differ, a packet at a time.
//!
//! Owns: which ranges are still to be looked at. Not here: what is done about what differs.
//! Invariant: memory does not grow with the channel: what one answer shows is given out before the
//! next is asked for, and ranges wait by their prefix.
//! Spec: AUDIT-5 to AUDIT-8.

use std::collections::BTreeMap;

use serde_bytes::ByteBuf;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::{AuditAnswer, AuditRange, AuditRequest, Packet};
use zotferry_protocol::trie::Sum;

use crate::catalog::{Channel, ListedLeaf};
use crate::hub::{CallError, Hub, Peer};

/// Ranges in one request: what most answers have room for.
const RANGES: usize = 64;
/// Own leaves given out at once that need no asking.
const OWN: u32 = 4096;

/// A range that may differ.
#[derive(Debug, Clone)]
struct Range {
    prefix: Vec<u8>,
    ours: Sum,
    list: bool,
    after: Option<Digest>,
}

/// Leaves that differ.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Only there.
    pub(super) theirs: Vec<Digest>,
    /// Only here.
    pub(super) ours: Vec<Digest>,
    /// At both, with the other's digest.
    pub(super) differing: Vec<ListedLeaf>,
}

/// What went over the wire, and what is where.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) exchanges: u32,
    pub(super) bytes: u64,
}

/// One way through both catalogs.
pub(super) struct Walk<'a> {
    hub: &'a Hub,
    peer: &'a Peer,
    channel: &'a Channel,
    /// To be asked about; the last first, so that few wait.
    pending: Vec<Range>,
    /// Of which the other has nothing: behind which key to go on.
    own: Vec<(Vec<u8>, Option<Digest>)>,
    /// What the whole was here when it began, and there.
    pub(super) ours: crate::catalog::Whole,
    pub(super) theirs: Option<Sum>,
    pub(super) cost: Cost,
}

impl<'a> Walk<'a> {
    pub(super) async fn begin(
        hub: &'a Hub,
        peer: &'a Peer,
        channel: &'a Channel,
    ) -> Result<Self, CallError> {
        let ours = hub.catalog.whole(channel.id).await?;
        let list = ours.sum.count == 0;
        let all = Range { prefix: Vec::new(), ours: ours.sum, list, after: None };
        let (pending, own) = (vec![all], Vec::new());
        Ok(Self { hub, peer, channel, pending, own, ours, theirs: None, cost: Cost::default() })
    }

    /// Whether both were the same in everything; known after the first step.
    pub(super) fn is_equal(&self) -> bool {
        self.theirs.is_some_and(|theirs| theirs.digest == self.ours.sum.digest)
    }

    /// The next differences, maybe none; `None` when there are no more.
    pub(super) async fn step(&mut self) -> Result<Option<Found>, CallError> {
        if let Some((prefix, after)) = self.own.pop() {
            return self.only_here(prefix, after).await.map(Some);
        }
        if self.pending.is_empty() {
            return Ok(None);
        }
        let asked = self.pending.split_off(self.pending.len().saturating_sub(RANGES));
        let answers = self.ask(&asked).await?;
        let mut found = Found::default();
        for (number, range) in (0u32..).zip(asked) {
            match answers.iter().find(|answer| answer.range == number) {
                Some(answer) => self.take(range, answer, &mut found).await?,
                None => self.pending.push(range),
            }
        }
        Ok(Some(found))
    }

    async fn ask(&mut self, ranges: &[Range]) -> Result<Vec<AuditAnswer>, CallError> {
        let range = |range: &Range| AuditRange {
            prefix: ByteBuf::from(range.prefix.clone()),
            digest: range.ours.digest,
            list: range.list,
            after: range.after,
        };
        let ask = Packet::from(AuditRequest { ranges: ranges.iter().map(range).collect() });
        let (answer, bytes) =
            self.hub.call_weighed(self.peer, &self.channel.portable_id, &ask, None).await?;
        self.cost.exchanges += 1;
        self.cost.bytes += bytes;
        match answer.into_packet() {
            Packet::AuditPage(page) if page.ranges.iter().any(|answer| answer.range == 0) => {
                Ok(page.ranges)
            }
            other => Err(CallError::Local(format!("a {} instead of ranges", other.kind()))),
        }
    }

    async fn take(
        &mut self,
        range: Range,
        answer: &AuditAnswer,
        found: &mut Found,
    ) -> Result<(), CallError> {
        if range.prefix.is_empty() && self.theirs.is_none() {
            self.theirs = Some(Sum { count: answer.count, digest: answer.digest });
        }
        if let Some(below) = answer.below() {
            return self.divide(&range, &below).await;
        }
        let Some(leaves) = answer.leaves() else { return Ok(()) };
        let ours = self.ours_beside(&range, &leaves, answer.more).await?;
        differences(&ours, &leaves, found);
        if answer.more {
            let after = leaves.last().map(|(key, _)| *key);
            self.pending.push(Range { after, list: true, ..range });
        }
        Ok(())
    }

    /// Looks at those ranges below that differ.
    async fn divide(&mut self, range: &Range, theirs: &[Sum]) -> Result<(), CallError> {
        let ours = self.hub.catalog.below(self.channel.id, &range.prefix).await?;
        for (byte, (ours, theirs)) in (0..=u8::MAX).zip(ours.into_iter().zip(theirs)) {
            let prefix = [range.prefix.as_slice(), &[byte]].concat();
            match (ours.count, theirs.count) {
                _ if ours == *theirs => {}
                (_, 0) => self.own.push((prefix, None)),
                (here, _) => {
                    self.pending.push(Range { prefix, ours, list: here == 0, after: None });
                }
            }
        }
        Ok(())
    }

    /// Our leaves of that part of a range that was listed.
    async fn ours_beside(
        &self,
        range: &Range,
        leaves: &[ListedLeaf],
        more: bool,
    ) -> Result<Vec<ListedLeaf>, CallError> {
        let last = leaves.last().filter(|_| more).map(|(key, _)| *key);
        let (channel, catalog) = (self.channel.id, &self.hub.catalog);
        let (mut ours, mut after) = (Vec::new(), range.after);
        loop {
            let some = catalog.leaves(channel, &range.prefix, after.as_ref(), OWN).await?;
            after = some.last().map(|(key, _)| *key);
            let whole = some.len() < OWN as usize;
            ours.extend(some.into_iter().filter(|(key, _)| last.is_none_or(|last| *key <= last)));
            if whole || last.zip(after).is_some_and(|(last, after)| after >= last) {
                return Ok(ours);
            }
        }
    }

    async fn only_here(
        &mut self,
        prefix: Vec<u8>,
        after: Option<Digest>,
    ) -> Result<Found, CallError> {
        let leaves = self.hub.catalog.leaves(self.channel.id, &prefix, after.as_ref(), OWN).await?;
        if let Some((last, _)) = leaves.last().filter(|_| leaves.len() == OWN as usize) {
            self.own.push((prefix, Some(*last)));
        }
        let ours = leaves.into_iter().map(|(key, _)| key).collect();
        Ok(Found { ours, ..Found::default() })
    }
}

fn differences(ours: &[ListedLeaf], theirs: &[ListedLeaf], found: &mut Found) {
    let mut left: BTreeMap<Digest, Digest> = ours.iter().copied().collect();
    for (key, digest) in theirs {
        match left.remove(key) {
            None => found.theirs.push(*key),
            Some(own) if own != *digest => found.differing.push((*key, *digest)),
            Some(_) => {}
        }
    }
    found.ours.extend(left.into_keys());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUDIT-8: of two lists, what either lacks and what differs is found.
    #[test]
    fn two_lists_are_told_apart() {
        let digest = |n: u8| Digest([n; 32]);
        let ours = [(digest(1), digest(9)), (digest(2), digest(9)), (digest(3), digest(9))];
        let theirs = [(digest(2), digest(9)), (digest(3), digest(8)), (digest(4), digest(9))];
        let mut found = Found::default();
        differences(&ours, &theirs, &mut found);
        assert_eq!((found.theirs, found.ours), (vec![digest(4)], vec![digest(1)]));
        assert_eq!(found.differing, [(digest(3), digest(8))]);
    }
}

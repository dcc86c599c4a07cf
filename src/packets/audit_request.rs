//! Another clone compares its catalog with this one: how ranges stand here.
//!
//! Spec: AUDIT-6 to AUDIT-8.

use std::sync::Arc;

use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::{
    AuditAnswer, AuditPage, AuditRange, AuditRequest, LISTED, Packet,
};
use zotferry_protocol::refusal::Refusal;
use zotferry_protocol::trie::{FAN_OUT, MAX_PREFIX, Sum};

use super::{Caller, unavailable};
use crate::catalog::{CatalogError, Comparison};
use crate::hub::Hub;
use crate::queue::Lane;

/// Bytes of answers in one packet; head, key and signature have room beside them.
const ROOM: usize = 900 << 10;
/// Bytes of an answer beside digests and leaves, at most.
const HEAD: usize = 128;
/// Bytes of a divided range: digests, and counts of up to five bytes.
const DIVIDED: usize = HEAD + FAN_OUT * (Digest::LEN + 5);
/// Bytes of a leaf in a list.
const LEAF: usize = 2 * Digest::LEN;

/// AUDIT-6: as many of the ranges as fit, in their order.
pub(super) async fn receive(
    hub: &Arc<Hub>,
    caller: &Caller,
    ask: &AuditRequest,
) -> Result<Packet, Refusal> {
    let channel = caller.channel.id;
    hub.audits.asked(Lane { channel, site: caller.site.id }, hub.clock.now());
    let mut page = AuditPage::default();
    let mut room = ROOM;
    for (number, range) in (0..).zip(&ask.ranges) {
        if room < DIVIDED && !page.ranges.is_empty() {
            break;
        }
        let answer = answer(hub, caller, number, range, room).await.map_err(|e| unavailable(&e))?;
        room = room.saturating_sub(weight(&answer));
        page.ranges.push(answer);
    }
    Ok(page.into())
}

fn weight(answer: &AuditAnswer) -> usize {
    let listed = answer.leaves.as_ref().map_or(0, |leaves| leaves.len());
    if answer.digests.is_some() { DIVIDED } else { HEAD + listed }
}

async fn answer(
    hub: &Hub,
    caller: &Caller,
    number: u32,
    range: &AuditRange,
    room: usize,
) -> Result<AuditAnswer, CatalogError> {
    let (channel, prefix) = (caller.channel.id, range.prefix.as_slice());
    let sum = whole_or_part(hub, caller, range).await?;
    let answer = AuditAnswer::of(number, &sum);
    // AUDIT-7.
    if sum.digest == range.digest && range.after.is_none() {
        return Ok(answer);
    }
    // AUDIT-8.
    if !range.list && sum.count > LISTED && prefix.len() < MAX_PREFIX {
        return Ok(answer.divided(&hub.catalog.below(channel, prefix).await?));
    }
    let fit = room.saturating_sub(HEAD) / LEAF;
    let limit = u32::try_from(fit + 1).unwrap_or(u32::MAX);
    let mut leaves = hub.catalog.leaves(channel, prefix, range.after.as_ref(), limit).await?;
    let more = leaves.len() > fit;
    leaves.truncate(fit);
    Ok(answer.listed(&leaves, more))
}

/// The sum of a range. That both have the same of everything is worth remembering: it is as good as
/// a comparison of our own.
async fn whole_or_part(
    hub: &Hub,
    caller: &Caller,
    range: &AuditRange,
) -> Result<Sum, CatalogError> {
    let channel = caller.channel.id;
    if !range.prefix.is_empty() {
        return hub.catalog.sum(channel, &range.prefix).await;
    }
    let whole = hub.catalog.whole(channel).await?;
    if whole.sum.digest == range.digest && range.after.is_none() {
        let now = hub.clock.now();
        let found =
            Comparison { at: now, equal: Some(whole.edition), differing: 0, due: hub.next_audit() };
        hub.catalog.note_compared(channel, caller.site.id, &found).await?;
    }
    Ok(whole.sum)
}

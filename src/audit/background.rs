//! Compares with each clone from time to time, one after the other.
//!
//! Owns: whose turn it is, pauses after failures. Not here: comparing.
//! Spec: AUDIT-12 to AUDIT-14.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use zotferry_protocol::ids::Millis;
use zotferry_protocol::refusal::Code;

use super::compare::{Account, Mode, compare};
use crate::catalog::Compared;
use crate::hub::{CallError, Hub};
use crate::queue::Lane;

/// How long it rests at most, in ms.
const LONGEST_REST: u64 = 60_000;
/// A clone that has asked us within so many ms is finding out by itself, and is left to it.
const ASKING: u64 = 10_000;
/// A clone that is new to a channel with entries has so long to ask by itself, in ms.
const BY_ITSELF: u64 = 600_000;
/// After a stop that was not clean, everything is compared by then, in ms.
const AFTER_UNCLEAN: u64 = 60_000;

/// When clones that could not be compared are tried again, and how often they failed.
type Pauses = HashMap<(i64, i64), (Millis, u32)>;

/// Compares until the hub stops.
pub async fn run(hub: Arc<Hub>) {
    if hub.config.audit.every_hours == 0 {
        return;
    }
    if hub.recheck {
        let soon = hub.clock.now().plus(AFTER_UNCLEAN);
        if let Err(error) = hub.catalog.compare_by(soon).await {
            tracing::error!(%error, "comparisons after an unclean stop");
        }
    }
    let mut pauses = Pauses::new();
    while !hub.stop.is_cancelled() {
        let rest = match round(&hub, &mut pauses).await {
            Ok(rest) => rest,
            Err(error) => {
                tracing::error!(%error, "comparisons cannot go on for now");
                LONGEST_REST
            }
        };
        tokio::select! {
            () = hub.audits.woken() => {}
            // Who was away is tried again at once.
            () = hub.comebacks.notified() => pauses.clear(),
            () = tokio::time::sleep(Duration::from_millis(rest)) => {}
            () = hub.stop.cancelled() => {}
        }
    }
}

/// Compares with whoever is due; returns how long there is nothing to do, in ms.
async fn round(hub: &Arc<Hub>, pauses: &mut Pauses) -> Result<u64, CallError> {
    loop {
        let now = hub.clock.now();
        let all = hub.catalog.comparisons(hub.site, now, now.plus(BY_ITSELF)).await?;
        let turn = |clone: &&Compared| starts(hub, pauses, clone) <= now;
        let Some(clone) = all.iter().find(turn) else {
            let next = all.iter().map(|clone| starts(hub, pauses, clone)).min();
            return Ok(next.map_or(LONGEST_REST, |at| at.since(now).clamp(1, LONGEST_REST)));
        };
        one(hub, pauses, clone).await?;
        if hub.stop.is_cancelled() {
            return Ok(LONGEST_REST);
        }
    }
}

/// When a clone may be compared.
fn starts(hub: &Hub, pauses: &Pauses, clone: &Compared) -> Millis {
    let paused = pauses.get(&(clone.channel, clone.site)).map_or(Millis(0), |(until, _)| *until);
    let lane = Lane { channel: clone.channel, site: clone.site };
    let asking = match clone.by_audit {
        true => hub.audits.last_asked(lane).map_or(Millis(0), |at| at.plus(ASKING)),
        false => Millis(0),
    };
    clone.due.max(paused).max(asking)
}

async fn one(hub: &Arc<Hub>, pauses: &mut Pauses, clone: &Compared) -> Result<(), CallError> {
    let (peer, channel) = hub.peer_and_channel(clone.site, clone.channel).await?;
    let place = (clone.channel, clone.site);
    match compare(hub, &peer, &channel, Mode::Repair).await {
        Ok(account) => {
            pauses.remove(&place);
            tell(&account, &channel.nick);
        }
        Err(error) if error.is(Code::UnknownType) => {
            tracing::info!(site = %peer.url, "a clone does not know how to compare");
            hub.catalog.cannot_compare(clone.channel, clone.site, hub.next_audit()).await?;
            hub.deliver_soon(clone.channel).await?;
        }
        Err(error) => {
            let failures = pauses.get(&place).map_or(0, |(_, failures)| *failures) + 1;
            let limits = &hub.config.limits;
            let pause = limits.backoff_ms.saturating_mul(1 << failures.min(20));
            let until = hub.clock.now().plus(pause.min(limits.max_backoff_ms));
            pauses.insert(place, (until, failures));
            tracing::info!(site = %peer.url, %error, "a comparison has to wait");
        }
    }
    Ok(())
}

fn tell(account: &Account, nick: &str) {
    let (site, found) = (&account.url, account.differences());
    if account.in_sync && found == 0 {
        tracing::debug!(site, nick, entries = account.entries, "in sync");
    } else {
        let (fetched, sent) = (account.fetched, account.sent);
        tracing::info!(site, nick, found, fetched, sent, in_sync = account.in_sync, "compared");
    }
}

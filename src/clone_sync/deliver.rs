//! Delivers operations to one clone, as many as share a packet.
//!
//! Spec: SYNC-8, SYNC-29, SYNC-30, SYNC-32, AUDIT-14.

use std::sync::Arc;

use zotferry_protocol::ids::OpId;
use zotferry_protocol::packets::{CloneSync, MAX_OPERATIONS, OpReport, OpStatus, Packet};
use zotferry_protocol::refusal::{Code, Retry};

use super::is_listed;
use super::pack::{Begun, Packed, pack};
use crate::catalog::{self, Channel};
use crate::hub::{CallError, Hub, Peer};

/// A new clone for which more operations wait asks for them itself, by ranges.
const NEW: u32 = 1024;
/// How long it has to begin with that, in ms.
const BY_ITSELF: u64 = 600_000;

/// Sends everything that this clone has not answered for. What is done meanwhile goes with the
/// next packet: operations gather while one is in flight, without a timer. A packet that is full
/// is made ready while the one before it is in flight.
pub(super) async fn deliver(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
) -> Result<(), CallError> {
    let mut ready: Option<Next> = None;
    let mut begun = Begun::default();
    loop {
        if !is_listed(hub, peer, channel).await? {
            return Ok(());
        }
        let Some(location) = hub.catalog.location(channel.id, peer.row).await? else {
            return Ok(());
        };
        if left_to_audit(hub, channel, &location).await? {
            ready = None;
            continue;
        }
        let next = match ready.take() {
            Some(next) => next,
            None => next(hub, channel, location.acked_seq, begun).await?,
        };
        if next.is_last {
            return Ok(());
        }
        let Packed { operations, through, oversized } = next.packed;
        begun = next.begun;
        if !operations.is_empty() {
            let packet = Packet::from(CloneSync { operations });
            let ahead = ahead(hub, channel, through, begun.clone());
            let (reports, ahead) = tokio::join!(send(hub, peer, channel, &packet), ahead);
            note(hub, peer, channel, &reports?).await?;
            ready = ahead?;
        }
        leave_out(hub, peer, channel, &oversized).await?;
        hub.catalog.acked(channel.id, peer.row, through).await?;
        tracing::debug!(site = %peer.url, through, "delivered");
    }
}

/// What goes next.
struct Next {
    packed: Packed,
    begun: Begun,
    /// Whether nothing is left.
    is_last: bool,
}

async fn next(
    hub: &Hub,
    channel: &Channel,
    after: u64,
    mut begun: Begun,
) -> Result<Next, CallError> {
    let outbox = hub.catalog.ops_after(channel.id, after, MAX_OPERATIONS as u32).await?;
    let is_last = outbox.entries.is_empty();
    let packed = pack(hub, channel, &outbox, after, &mut begun).await?;
    Ok(Next { packed, begun, is_last })
}

/// The next packet, if it is full already.
async fn ahead(
    hub: &Hub,
    channel: &Channel,
    after: u64,
    begun: Begun,
) -> Result<Option<Next>, CallError> {
    let next = next(hub, channel, after, begun).await?;
    Ok(Some(next).filter(|next| next.packed.operations.len() == MAX_OPERATIONS))
}

/// Sends operations; what the clone says about each.
async fn send(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
    packet: &Packet,
) -> Result<Vec<OpReport>, CallError> {
    let Packet::CloneSync(CloneSync { operations }) = packet else { return Ok(Vec::new()) };
    let answer = hub.call(peer, &channel.portable_id, packet, None).await?;
    let Packet::SyncReport(report) = &*answer else {
        return Err(CallError::Local(format!("a {} instead of a report", answer.kind())));
    };
    if report.operations.len() != operations.len() {
        return Err(CallError::Local("a report on other operations".into()));
    }
    Ok(report.operations.clone())
}

/// AUDIT-14: a clone for which too many operations wait hears of none of them: both are compared, a
/// new one by itself, one that was away when it is there again.
async fn left_to_audit(
    hub: &Hub,
    channel: &Channel,
    location: &catalog::Location,
) -> Result<bool, CallError> {
    if hub.config.audit.every_hours == 0 {
        return Ok(false);
    }
    let compared = hub.catalog.compared(channel.id, location.site).await?;
    if compared.is_some_and(|found| found.unable) {
        return Ok(false);
    }
    let new = location.acked_seq == 0 && compared.is_none_or(|found| found.equal_at.is_none());
    let limit = if new { NEW.min(hub.config.limits.backlog) } else { hub.config.limits.backlog };
    let head = hub.catalog.heads(channel.id).await?.seq;
    if head.saturating_sub(location.acked_seq) <= limit.into() {
        return Ok(false);
    }
    let waiting =
        hub.catalog.waiting(channel.id, location.acked_seq, limit.saturating_add(1)).await?;
    if waiting <= limit.into() {
        return Ok(false);
    }
    let now = hub.clock.now();
    let due = if new { now.plus(BY_ITSELF) } else { now };
    tracing::info!(site = %location.url, waiting, "a clone is brought up by comparing catalogs");
    hub.catalog.bring_up_by_audit(channel.id, location.site, due).await?;
    hub.audits.wake();
    Ok(true)
}

/// PKT-3: what no packet can carry is reported as refused for its size, and stands in nobody's way.
async fn leave_out(
    hub: &Hub,
    peer: &Peer,
    channel: &Channel,
    oversized: &[(OpId, String)],
) -> Result<(), CallError> {
    let mut rows = Vec::new();
    for (op_id, name) in oversized {
        let name = crate::text::visible(name);
        tracing::error!(name, site = %peer.url, "an entry is too large for a packet: it stays here");
        let (status, at) = (Code::TooLarge.to_string(), hub.clock.now());
        rows.push(catalog::OpReport { site: peer.row, op_id: *op_id, status, at });
    }
    if !rows.is_empty() {
        hub.catalog.note_reports(channel.id, &rows).await?;
    }
    Ok(())
}

/// Keeps what was not plainly stored. An operation that may be taken later stops the delivery here:
/// it is sent again, and what the clone has by then it answers with `duplicate`.
async fn note(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
    reports: &[OpReport],
) -> Result<(), CallError> {
    let refused: Vec<&OpReport> =
        reports.iter().filter(|r| r.status == OpStatus::Refused).collect();
    let rows: Vec<catalog::OpReport> = refused
        .iter()
        .map(|r| catalog::OpReport {
            site: peer.row,
            op_id: r.id,
            status: r.code.map_or_else(|| "refused".to_owned(), |code| code.to_string()),
            at: hub.clock.now(),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    hub.catalog.note_reports(channel.id, &rows).await?;
    let later = refused.iter().filter_map(|r| r.code).find(|code| code.retry() != Retry::Never);
    match later {
        None => Ok(()),
        Some(code) => Err(CallError::Refused {
            site: peer.url.clone(),
            code,
            text: format!("{} of {} operations", refused.len(), reports.len()),
            retry_after: None,
        }),
    }
}

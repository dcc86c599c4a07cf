//! Reports which bytes have arrived here, many in one packet.
//!
//! Spec: SYNC-10, SYNC-31.

use std::sync::Arc;

use zotferry_protocol::packets::{Packet, PresentData, SyncReport};

use super::is_listed;
use crate::catalog::{Channel, Data};
use crate::hub::{CallError, Hub, Peer};

/// Sends everything that this clone was not told yet.
pub(super) async fn report(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
) -> Result<(), CallError> {
    loop {
        if !is_listed(hub, peer, channel).await? {
            return Ok(());
        }
        let Some(location) = hub.catalog.location(channel.id, peer.row).await? else {
            return Ok(());
        };
        let limit = SyncReport::MAX_PRESENT as u32;
        let arrivals = hub.catalog.present_after(channel.id, location.reported_seq, limit).await?;
        if arrivals.contents.is_empty() {
            return Ok(());
        }
        let present = arrivals.contents.iter().map(present).collect();
        let packet = Packet::from(SyncReport { operations: Vec::new(), present });
        let answer = hub.call(peer, &channel.portable_id, &packet, None).await?;
        if !matches!(&*answer, Packet::SyncReport(_)) {
            return Err(CallError::Local(format!("a {} instead of a report", answer.kind())));
        }
        hub.catalog.reported(channel.id, peer.row, arrivals.through).await?;
    }
}

fn present(content: &Data) -> PresentData {
    PresentData { resource: content.hash.clone(), role: content.role, root: content.root }
}

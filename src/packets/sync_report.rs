//! A clone tells which bytes have arrived there.
//!
//! Spec: SYNC-11, SYNC-31.

use std::sync::Arc;

use zotferry_protocol::packets::{Packet, SyncReport};
use zotferry_protocol::refusal::Refusal;

use super::{Caller, unavailable};
use crate::hub::Hub;

/// Remembers that the caller has these bytes: it can be asked for them, and need not be told again.
pub(super) async fn receive(
    hub: &Arc<Hub>,
    caller: &Caller,
    report: SyncReport,
) -> Result<Packet, Refusal> {
    let (channel, site, now) = (caller.channel.id, caller.site.id, hub.clock.now());
    let noted = hub.catalog.note_present_at(channel, site, &report.present, now).await;
    if noted.map_err(|e| unavailable(&e))? {
        hub.tell_receiver();
    }
    Ok(SyncReport::default().into())
}

//! Another clone asks for entries by their keys.
//!
//! Owns: as many operations as fit one packet. Not here: what a clone lacks (`audit`).
//! Spec: AUDIT-10.

use std::collections::HashMap;
use std::sync::Arc;

use zotferry_protocol::codec::{MAX_PACKET, encode};
use zotferry_protocol::ids::{Digest, ResourceId};
use zotferry_protocol::packets::{
    CloneSync, EntryRequest, Item, MAX_OPERATIONS, Operation, Packet,
};
use zotferry_protocol::refusal::{Code, Refusal};

use super::rows::operation_of;
use super::{Caller, unavailable};
use crate::catalog::ChannelNo;
use crate::hub::Hub;
use crate::items;
use crate::queue::Lane;

/// Bytes of operations in one packet; head, key and signature have room beside them.
const ROOM: usize = MAX_PACKET - (16 << 10);

/// AUDIT-10: the entries as they are now.
pub(super) async fn receive(
    hub: &Arc<Hub>,
    caller: &Caller,
    ask: &EntryRequest,
) -> Result<Packet, Refusal> {
    let channel = caller.channel.id;
    hub.audits.asked(Lane { channel, site: caller.site.id }, hub.clock.now());
    let operations = pack(hub, channel, &ask.keys).await?;
    if operations.is_empty() {
        return Err(Code::UnknownResource.into());
    }
    Ok(CloneSync { operations }.into())
}

/// As many operations as fit one packet, in the order of the keys: entries as they are now, and those
/// items that were named. What fits no packet, or does not hold together, is passed over.
pub(crate) async fn pack(
    hub: &Hub,
    channel: ChannelNo,
    keys: &[Digest],
) -> Result<Vec<Operation>, Refusal> {
    let entries = hub.catalog.entries_at(channel, keys).await.map_err(|e| unavailable(&e))?;
    let mut items: HashMap<ResourceId, Vec<Item>> = HashMap::new();
    for item in hub.catalog.items_at(channel, keys).await.map_err(|e| unavailable(&e))? {
        let item_row = items::wire(&item).map_err(|e| unavailable(&e))?;
        items.entry(item.resource).or_default().push(item_row);
    }
    let (mut operations, mut room) = (Vec::new(), ROOM);
    for entry in &entries {
        let mut operation = match operation_of(entry) {
            Ok(operation) => operation,
            Err(error) => {
                tracing::error!(error, "an entry cannot be told to another clone");
                continue;
            }
        };
        let size = encode(&operation).len();
        if size > ROOM {
            tracing::error!(size, "an entry is too large for a packet");
            continue;
        }
        if size > room || operations.len() == MAX_OPERATIONS {
            break;
        }
        room -= size;
        for item in items.remove(&entry.entry.hash).unwrap_or_default() {
            let size = encode(&item).len();
            if size <= room {
                room -= size;
                operation.item.push(item);
            }
        }
        operations.push(operation);
    }
    Ok(operations)
}

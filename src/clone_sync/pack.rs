//! Fills packets with operations, and operations with the items of their entries.
//!
//! Owns: what fits. Not here: sending it.
//! Invariant: a clone's cursor may pass an entry only when all its items were in packets, or fit none.
//! Spec: SYNC-3, PKT-3, ITEM-8.

use std::collections::HashSet;

use zotferry_protocol::codec::{MAX_PACKET, encode};
use zotferry_protocol::ids::{OpId, ResourceId};
use zotferry_protocol::packets::Operation;

use crate::catalog::{Channel, Outbox, OutboxEntry};
use crate::hub::{CallError, Hub};
use crate::items;

/// Bytes of operations in one packet; head, key and signature have room beside them.
const ROOM: usize = MAX_PACKET - (16 << 10);
/// Items read at once: each may have half a packet.
const PAGE: u32 = 16;
/// Most items in one operation.
const MOST_ITEMS: usize = 4096;

/// What goes into one packet.
pub(super) struct Packed {
    pub(super) operations: Vec<Operation>,
    /// How far the clone has heard once it has answered for them.
    pub(super) through: u64,
    /// Operations that fit no packet, with their names.
    pub(super) oversized: Vec<(OpId, String)>,
}

/// An operation whose items did not fit one packet: it, and the last item that went.
#[derive(Default, Clone)]
pub(super) struct Begun(Option<(OpId, String)>);

/// As many operations as fit one packet. An operation that was begun goes on.
pub(super) async fn pack(
    hub: &Hub,
    channel: &Channel,
    outbox: &Outbox,
    acked: u64,
    begun: &mut Begun,
) -> Result<Packed, CallError> {
    let mut packed = Packed { operations: Vec::new(), through: acked, oversized: Vec::new() };
    let hashes: Vec<&ResourceId> = outbox.entries.iter().map(|entry| &entry.entry.hash).collect();
    let with_items = hub.catalog.with_items(channel.id, &hashes, acked).await?;
    let mut room = ROOM;
    for entry in &outbox.entries {
        let operation = crate::packets::operation_of(entry).map_err(CallError::Local)?;
        let size = encode(&operation).len();
        if size > ROOM {
            packed.oversized.push((operation.id, entry.entry.filename.clone()));
        } else if size > room {
            return Ok(packed);
        } else {
            let filled = Filling { hub, channel, entry, acked, room: room - size };
            let whole = filled.fill(operation, &with_items, &mut packed, begun).await?;
            room = match whole {
                Some(room) => room,
                None => return Ok(packed),
            };
        }
        packed.through = entry.entry.seq.unwrap_or(packed.through);
    }
    packed.through = outbox.through;
    Ok(packed)
}

/// One operation on its way into a packet.
struct Filling<'a> {
    hub: &'a Hub,
    channel: &'a Channel,
    entry: &'a OutboxEntry,
    acked: u64,
    room: usize,
}

impl Filling<'_> {
    /// Adds the operation with as many of its items as there is room for. The room that is left; `None`
    /// if items are left.
    async fn fill(
        mut self,
        mut operation: Operation,
        with_items: &HashSet<ResourceId>,
        packed: &mut Packed,
        begun: &mut Begun,
    ) -> Result<Option<usize>, CallError> {
        let id = operation.id;
        let mut after = match begun.0.take() {
            Some((same, mid)) if same == id => mid,
            _ => String::new(),
        };
        let from = after.clone();
        let mut left = with_items.contains(&self.entry.entry.hash);
        while left {
            let page = self.page(&after).await?;
            left = !page.is_empty();
            for item in page {
                let item = items::wire(&item).map_err(|e| CallError::Local(e.to_string()))?;
                let size = encode(&item).len();
                if size > self.room || operation.item.len() == MOST_ITEMS {
                    if packed.operations.is_empty() && operation.item.is_empty() {
                        packed.oversized.push((id, item.mid.clone()));
                        after = item.mid;
                        continue;
                    }
                    // An operation without any of its items would only say again what the next one says.
                    if after != from {
                        packed.operations.push(operation);
                    }
                    begun.0 = Some((id, after));
                    return Ok(None);
                }
                self.room -= size;
                after.clone_from(&item.mid);
                operation.item.push(item);
            }
        }
        packed.operations.push(operation);
        Ok(Some(self.room))
    }

    async fn page(&self, after: &str) -> Result<Vec<crate::catalog::Item>, CallError> {
        let (channel, hash) = (self.channel.id, &self.entry.entry.hash);
        Ok(self.hub.catalog.items_edited(channel, hash, self.acked, after, PAGE).await?)
    }
}

//! What this hub does with each packet; file names mirror those of the protocol crate.
//!
//! Owns: the way of a packet from bytes to answer. Not here: HTTP (see `web`), what a packet is.
//! Invariant: a handler gets a [`Verified`] packet of a listed clone, or of a hub that introduced
//! itself and asks for nothing but to be listed. 2xx only after what must not be lost is on disk.
//! Spec: PKT-11 to PKT-13, SIGN-14, SIGN-17, REF-2, REF-3, REF-6.

mod admit;
mod audit_request;
mod challenge;
mod chunk_request;
mod clone_sync;
mod entry_request;
mod locations;
mod manifest_request;
mod merge;
mod registers;
mod rows;
mod serve;
pub(crate) mod statements;
mod stream_request;
mod sync_report;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use zotferry_protocol::envelope::Verified;
use zotferry_protocol::packets::{Packet, RefusalPacket};
use zotferry_protocol::refusal::{Code, Refusal};

use crate::hub::Hub;
pub use admit::{Caller, Denied};
pub use chunk_request::Presentation;
pub use clone_sync::merge_answer;
pub(crate) use entry_request::pack;
pub(crate) use rows::{attach_of, operation_of};
pub use serve::Pieces;
pub use stream_request::{Ranged, Stream, StreamAsk, parse_range, pieces, stream};

/// An answer to a packet.
pub enum Reply {
    /// A signed packet and its HTTP status.
    Packet(u16, Vec<u8>),
    /// Frames, until they end.
    Frames(Pieces),
    /// An unsigned hint: the asker is not certain, so it gets no signature.
    Hint(Refusal),
}

/// Takes a packet and says what to answer.
pub async fn receive(hub: &Arc<Hub>, presentation: Presentation) -> Reply {
    hub.metrics.packets.one();
    // Whether a refusal may be signed is for the full check to say.
    if let Some(Ok(reply)) = chunk_request::again(hub, &presentation).await {
        return reply;
    }
    let (caller, packet) = match admit::admit(hub, &presentation.bytes).await {
        Ok(admitted) => admitted,
        Err(denied) => return deny(hub, denied).await,
    };
    let done = match &*packet {
        Packet::ChunkRequest(_) => {
            chunk_request::present(hub, &caller, &packet, &presentation).await
        }
        _ => change(hub, &caller, packet.clone()).await,
    };
    match done {
        Ok(reply) => reply,
        Err(refusal) => deny(hub, Denied::Signed(packet.header().clone(), refusal)).await,
    }
}

/// Packets that are answered by a packet.
async fn change(
    hub: &Arc<Hub>,
    caller: &Caller,
    packet: Verified<Packet>,
) -> Result<Reply, Refusal> {
    let header = packet.header().clone();
    let answer = match packet.into_packet() {
        Packet::CloneSync(sync) => return clone_sync::receive(hub, caller, &header, sync).await,
        Packet::SyncReport(report) => sync_report::receive(hub, caller, report).await?,
        Packet::ManifestRequest(ask) => manifest_request::receive(hub, caller, &ask).await?,
        Packet::AuditRequest(ask) => audit_request::receive(hub, caller, &ask).await?,
        Packet::EntryRequest(ask) => entry_request::receive(hub, caller, &ask).await?,
        Packet::Locations(records) => locations::receive(hub, caller, records).await?,
        Packet::Challenge(challenge) => challenge::receive(challenge),
        other => return Err(Refusal::with(Code::UnknownType, other.kind())),
    };
    let bytes =
        hub.seal_answer(&header.from, header.id, answer).await.map_err(|e| unavailable(&e))?;
    Ok(Reply::Packet(200, bytes))
}

async fn deny(hub: &Arc<Hub>, denied: Denied) -> Reply {
    hub.metrics.refusals.one();
    match denied {
        Denied::Unsigned(refusal) => {
            tracing::info!(code = %refusal.code, "a packet was refused before its sender was certain");
            Reply::Hint(refusal)
        }
        Denied::Signed(header, refusal) => {
            tracing::info!(code = %refusal.code, from = %header.from.hub, "a packet was refused");
            // REF-6: who is refused over and over gets no more signatures for a while.
            if let Err(seconds) = hub.refusals.one_more(&header.from.hub, hub.clock.now()) {
                return Reply::Hint(Refusal::new(Code::TooMany).after(seconds));
            }
            // SIGN-12: towards others this hub's clock never stands before what it has forgotten, or
            // a clock that was set back would make it deaf until the time comes round again.
            let purged = hub.catalog.purged_through().await.unwrap_or_default();
            let packet = RefusalPacket::new(&refusal, hub.clock.now().max(purged));
            match hub.seal_answer(&header.from, header.id, packet.into()).await {
                // PKT-13: the status of the table.
                Ok(bytes) => Reply::Packet(refusal.code.http(), bytes),
                Err(_) => Reply::Hint(refusal),
            }
        }
        Denied::Again(answer) => Reply::Packet(200, answer),
    }
}

/// QUEUE-11: something of ours failed: the peer may come back later, and the log says what it was.
pub(crate) fn unavailable(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "a packet could not be handled");
    Refusal::new(Code::Unavailable).after(30)
}

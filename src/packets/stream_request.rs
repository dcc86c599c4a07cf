//! Streams: one content, or a range of it, as it is.
//!
//! Owns: who may stream what, and RFC 9110's ranges and conditions. Not here: HTTP types.
//! Spec: STREAM-1 to STREAM-4, STREAM-6, STREAM-14; RFC 9110, sections 13.1.5 and 14.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use zotferry_protocol::ids::{Digest, ResourceId, Role};
use zotferry_protocol::packets::{Packet, StreamRequest};
use zotferry_protocol::refusal::{Code, Refusal};

use super::serve::{Buffer, Pieces, READ, Source, pump};
use super::{Denied, Reply, admit, manifest_request, unavailable};
use crate::catalog::Served;
use crate::hub::{Hub, Turn};
use crate::storage::Content;

/// A GET of a stream, taken out of HTTP.
#[derive(Debug, Clone)]
pub struct StreamAsk {
    /// The entry in the path.
    pub resource: ResourceId,
    /// The role in the path.
    pub role: Role,
    /// The root in the path.
    pub root: Digest,
    /// The packet in `Authorization`.
    pub packet: Bytes,
    /// `Range`, if it came.
    pub range: Option<String>,
    /// `If-Range`, if it came.
    pub if_range: Option<String>,
}

/// What to answer to a GET.
pub enum Stream {
    /// Bytes: 206 with a range, 200 without.
    Content {
        /// Size of the whole content.
        size: u64,
        /// The part that follows; `None` for all of it.
        range: Option<Range<u64>>,
        /// The part's bytes.
        pieces: Pieces,
    },
    /// STREAM-14: this hub does not stream.
    Off,
    /// 416: the range lies outside.
    Unsatisfiable(u64),
    /// A refusal.
    Refused(Reply),
}

/// Answers a GET, or a HEAD, whose pieces are not read.
pub async fn stream(hub: &Arc<Hub>, ask: &StreamAsk) -> Stream {
    hub.metrics.packets.one();
    if !hub.config.transfer.streaming {
        return Stream::Off;
    }
    match check(hub, ask).await {
        Ok(permit) => open(hub, ask, permit).await,
        Err(denied) => Stream::Refused(super::deny(hub, denied).await),
    }
}

/// What a clone may stream, for how long, and its turn to.
struct Permit {
    served: Served,
    right: CancellationToken,
    turn: Turn,
}

/// STREAM-2: the packet counts, is of a clone, and names what the path names.
async fn check(hub: &Arc<Hub>, ask: &StreamAsk) -> Result<Permit, Denied> {
    let (caller, packet) = admit::admit(hub, &ask.packet).await?;
    let signed = |refusal: Refusal| Denied::Signed(packet.header().clone(), refusal);
    let named = StreamRequest { resource: ask.resource.clone(), role: ask.role, root: ask.root };
    match &*packet {
        Packet::StreamRequest(request) if *request == named => {}
        _ => return Err(signed(Refusal::with(Code::BadField, "the packet is for another stream"))),
    }
    let right = hub.rights.of(caller.channel.id, caller.site.id);
    let name = (named.resource, named.role, named.root);
    let found = manifest_request::served(hub, caller.channel.id, &[name]).await.map_err(signed)?;
    match found.into_iter().next() {
        Some(Ok(served)) => {
            let turn = hub.turns.take(caller.channel.id).await.map_err(signed)?;
            Ok(Permit { served, right, turn })
        }
        Some(Err(refusal)) => Err(signed(refusal)),
        None => Err(signed(Code::UnknownResource.into())),
    }
}

async fn open(hub: &Arc<Hub>, ask: &StreamAsk, Permit { served, right, turn }: Permit) -> Stream {
    let size = served.size;
    let condition = ask.if_range.as_ref().is_none_or(|tag| *tag == format!("\"{}\"", served.root));
    let range = match ask.range.as_deref().filter(|_| condition).map(|r| parse_range(r, size)) {
        None | Some(Ranged::Ignored) => None,
        Some(Ranged::Part(range)) => Some(range),
        Some(Ranged::Outside) => return Stream::Unsatisfiable(size),
    };
    let (storage, root) = (Arc::clone(&hub.storage), served.root);
    let opened = tokio::task::spawn_blocking(move || storage.open(&root)).await;
    let content = match opened {
        Ok(Ok(Some(content))) => content,
        Ok(Ok(None)) => return Stream::Refused(Reply::Hint(Code::Unavailable.into())),
        Ok(Err(error)) => return Stream::Refused(Reply::Hint(unavailable(&error))),
        Err(error) => return Stream::Refused(Reply::Hint(unavailable(&error))),
    };
    let left = range.clone().unwrap_or(0..size);
    let pieces = pump(Reading { content, left, hub: Arc::clone(hub), turn: Some(turn) }, right);
    Stream::Content { size, range, pieces }
}

/// A part of a content, piece by piece, for somebody whose right to it does not end.
pub fn pieces(hub: &Arc<Hub>, content: Box<dyn Content>, left: Range<u64>) -> Pieces {
    let reading = Reading { content, left, hub: Arc::clone(hub), turn: None };
    pump(reading, CancellationToken::new())
}

struct Reading {
    content: Box<dyn Content>,
    left: Range<u64>,
    hub: Arc<Hub>,
    #[expect(dead_code, reason = "held until the answer has ended")]
    turn: Option<Turn>,
}

impl Source for Reading {
    fn next_piece(&mut self) -> std::io::Result<Option<Bytes>> {
        let len = self.next_len();
        if len == 0 {
            return Ok(None);
        }
        let mut buffer = Buffer::take();
        let place = buffer.next(len);
        crate::storage::read_exact_at(&*self.content, self.left.start, place)
            .map_err(std::io::Error::other)?;
        Ok(Some(self.took(buffer, len)))
    }

    fn piece_at_hand(&mut self) -> Option<std::io::Result<Option<Bytes>>> {
        let len = self.next_len();
        if len == 0 {
            return Some(Ok(None));
        }
        let mut buffer = Buffer::take();
        let read = self.content.read_now(self.left.start, buffer.next(len));
        let at_hand = matches!(read, Ok(Some(read)) if read == len);
        at_hand.then(|| Ok(Some(self.took(buffer, len))))
    }
}

impl Reading {
    fn next_len(&self) -> usize {
        (self.left.end - self.left.start).min(READ as u64) as usize
    }

    fn took(&mut self, mut buffer: Buffer, len: usize) -> Bytes {
        buffer.grow(len);
        self.left.start += len as u64;
        self.hub.metrics.bytes_served.add(len as u64);
        buffer.freeze()
    }
}

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Ranged {
    /// These bytes.
    Part(Range<u64>),
    /// None that are there.
    Outside,
    /// Something that is answered with the whole.
    Ignored,
}

/// One byte range (RFC 9110, section 14.1.2). Several ranges, other units and what does not parse
/// are ignored, as the RFC allows: the whole content is the answer.
pub fn parse_range(text: &str, size: u64) -> Ranged {
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|s| s.split_once('-'))
    else {
        return Ranged::Ignored;
    };
    let range = match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), "") => first..size,
        (Ok(first), last) => match last.parse::<u64>() {
            Ok(last) if last >= first => first..last.saturating_add(1).min(size),
            _ => return Ranged::Ignored,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(0) => return Ranged::Outside,
            Ok(suffix) => size.saturating_sub(suffix)..size,
            Err(_) => return Ranged::Ignored,
        },
        _ => return Ranged::Ignored,
    };
    if range.start >= size { Ranged::Outside } else { Ranged::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// STREAM-6: one range is honoured, what cannot be is answered as the RFC says.
    #[test]
    fn ranges_follow_the_rfc() {
        for (text, want) in [
            ("bytes=0-0", Ranged::Part(0..1)),
            ("bytes=5-", Ranged::Part(5..10)),
            ("bytes=5-99", Ranged::Part(5..10)),
            ("bytes=-3", Ranged::Part(7..10)),
            ("bytes=-99", Ranged::Part(0..10)),
            ("bytes=10-", Ranged::Outside),
            ("bytes=-0", Ranged::Outside),
            ("bytes=5-4", Ranged::Ignored),
            ("bytes=0-1,3-4", Ranged::Ignored),
            ("lines=1-2", Ranged::Ignored),
            ("bytes=x-", Ranged::Ignored),
        ] {
            assert_eq!(parse_range(text, 10), want, "{text}");
        }
    }
}

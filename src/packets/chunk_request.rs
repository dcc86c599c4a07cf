//! Numbered chunks, asked for by a capability and answered by frames.
//!
//! Owns: what a presentation asks for, which items may be served, the frames. Not here: the plan of
//! a response (the protocol's `frames`), buffers (`serve`).
//! Spec: FETCH-8, FETCH-9, FETCH-11 to FETCH-18, FETCH-20 to FETCH-30.

use std::sync::Arc;

use bytes::Bytes;
use zotferry_protocol::envelope::Verified;
use zotferry_protocol::frames::{
    Frame, FrameRefusal, Plan, Resume, Step, Wanted, data_header, end_frame, refusal_frame,
};
use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::Manifest;
use zotferry_protocol::packets::{ChunkItem, Packet};
use zotferry_protocol::refusal::{Code, Refusal};

use super::serve::{Buffer, READ, Source, pump};
use super::{Caller, Reply, unavailable};
use crate::catalog::{ContentName, LocationState, Served};
use crate::hub::{Grant, Hub, Presented, Turn};
use crate::storage::{Content, SMALL, Storage};

/// Small contents read from storage at a time.
const READ_AHEAD: usize = 64;

/// The headers that come with a capability.
#[derive(Debug, Clone, Default)]
pub struct Presentation {
    /// Where in the list the answer is to begin.
    pub resume: Resume,
    /// Most content bytes that are wanted.
    pub max_bytes: Option<u64>,
    /// The capability's bytes.
    pub bytes: Bytes,
}

/// A capability that was verified before, presented again: the location is asked for each time.
pub(super) async fn again(
    hub: &Arc<Hub>,
    presentation: &Presentation,
) -> Option<Result<Reply, Refusal>> {
    let grant = hub.grants.find(&presentation.bytes, hub.clock.now())?;
    Some(match still_a_clone(hub, &grant).await {
        // QUEUE-10: counted like a packet that comes for the first time.
        Ok((channel, site)) => match hub.paces.packet(channel) {
            Ok(()) => answer(hub, channel, site, grant, presentation).await,
            Err(seconds) => Err(Refusal::new(Code::TooMany).after(seconds)),
        },
        Err(refusal) => Err(refusal),
    })
}

async fn still_a_clone(hub: &Arc<Hub>, grant: &Grant) -> Result<(i64, i64), Refusal> {
    let from = &grant.header.from;
    let located = hub.catalog.located(&from.channel, &from.hub).await;
    let located = located.map_err(|e| unavailable(&e))?.ok_or(Code::NotAClone)?;
    if located.location.deleted || located.location.state != LocationState::Listed {
        return Err(Code::NotAClone.into());
    }
    if !hub.lives_here(located.channel.id).await.map_err(|e| unavailable(&e))? {
        return Err(Code::UnknownChannel.into());
    }
    Ok((located.channel.id, located.site.id))
}

/// A capability seen for the first time.
pub(super) async fn present(
    hub: &Arc<Hub>,
    caller: &Caller,
    packet: &Verified<Packet>,
    presentation: &Presentation,
) -> Result<Reply, Refusal> {
    let Packet::ChunkRequest(request) = &**packet else { return Err(Code::UnknownType.into()) };
    let header = packet.header().clone();
    let grant = hub.grants.keep(&presentation.bytes, header, request.clone());
    answer(hub, caller.channel.id, caller.site.id, grant, presentation).await
}

async fn answer(
    hub: &Arc<Hub>,
    channel: i64,
    site: i64,
    grant: Arc<Grant>,
    presentation: &Presentation,
) -> Result<Reply, Refusal> {
    let right = hub.rights.of(channel, site);
    let items = resolve(hub, channel, &grant.request.items).await?;
    let wanted = flatten(&grant.request.items, &items)?;
    let asked = wanted.iter().filter_map(|w| w.len).map(u64::from).sum();
    let presented = grant.present(asked)?;
    let own = match hub.config.limits.response_bytes {
        0 => u64::MAX,
        limit => limit,
    };
    // FETCH-22: the lower of the two limits.
    let budget = presentation.max_bytes.unwrap_or(u64::MAX).min(own);
    let plan = Plan::new(wanted, presentation.resume, budget)
        .map_err(|e| Refusal::with(Code::BadRange, e))?;
    let turn = hub.turns.take(channel).await?;
    let (storage, hub) = (Arc::clone(&hub.storage), Arc::clone(hub));
    let (open, small, stuck) = (None, None, None);
    let frames = Frames { plan, items, storage, presented, turn, hub, open, small, stuck };
    Ok(Reply::Frames(pump(frames, right)))
}

/// What each item is here.
async fn resolve(
    hub: &Arc<Hub>,
    channel: i64,
    items: &[ChunkItem],
) -> Result<Vec<Result<Served, Refusal>>, Refusal> {
    let names: Vec<ContentName> =
        items.iter().map(|i| (i.resource.clone(), i.role, i.root)).collect();
    super::manifest_request::served(hub, channel, &names).await
}

/// Items in order, each item's chunks in order.
fn flatten(
    items: &[ChunkItem],
    served: &[Result<Served, Refusal>],
) -> Result<Vec<Wanted>, Refusal> {
    let mut wanted = Vec::new();
    for (n, (item, here)) in (0u32..).zip(items.iter().zip(served)) {
        let manifest = match here {
            Ok(here) => Some(Manifest::of(here.size).map_err(|e| unavailable(&e))?),
            Err(_) => None,
        };
        for chunk in item.ranges.iter().flat_map(|range| range.iter()) {
            let len = match manifest {
                Some(manifest) => Some(manifest.span(chunk).ok_or(Code::BadRange)?.len),
                None => None,
            };
            wanted.push(Wanted { item: n, chunk: chunk.0, len });
        }
    }
    Ok(wanted)
}

/// The frames of one response.
struct Frames {
    plan: Plan,
    items: Vec<Result<Served, Refusal>>,
    storage: Arc<dyn Storage>,
    presented: Presented,
    #[expect(dead_code, reason = "held until the answer has ended")]
    turn: Turn,
    hub: Arc<Hub>,
    /// The content that the last frame was read from.
    open: Option<(u32, Box<dyn Content>)>,
    /// Small contents that were read ahead: the first one's item, and they.
    small: Option<(u32, Vec<Option<Bytes>>)>,
    /// A frame that was next and for which a disk has to be waited.
    stuck: Option<Frame>,
}

impl Source for Frames {
    fn next_piece(&mut self) -> std::io::Result<Option<Bytes>> {
        self.fill(Reading::Wait)
    }

    fn piece_at_hand(&mut self) -> Option<std::io::Result<Option<Bytes>>> {
        let piece = self.fill(Reading::AtHand);
        let stuck = matches!(piece, Ok(None)) && self.stuck.is_some();
        (!stuck).then_some(piece)
    }
}

/// Whether a disk may be waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Wait,
    AtHand,
}

/// What became of one frame.
enum Read {
    Done,
    /// The storage has not what the catalog says.
    Lost,
    /// Only a disk has it.
    Away,
}

impl Frames {
    /// As many frames as one buffer takes, or as can be had.
    fn fill(&mut self, reading: Reading) -> std::io::Result<Option<Bytes>> {
        let mut buffer = Buffer::take();
        let mut content = 0;
        // The largest frame has to fit, whatever comes next.
        while buffer.room() > READ / 2 + 1024 || buffer.is_empty() {
            let step = self.stuck.take().map(Step::Frame).or_else(|| self.plan.next());
            match step {
                None => break,
                Some(Step::End(end)) => buffer.put(&end_frame(end)),
                Some(Step::Refuse(item)) => self.refuse(item, &mut buffer),
                Some(Step::Frame(frame)) => match self.read(&frame, &mut buffer, reading)? {
                    Read::Done => content += u64::from(frame.len),
                    Read::Lost => self.lost(frame.item, &mut buffer),
                    Read::Away => {
                        self.stuck = Some(frame);
                        break;
                    }
                },
            }
        }
        self.presented.0.sent(content);
        self.hub.metrics.bytes_served.add(content);
        Ok((!buffer.is_empty()).then(|| buffer.freeze()))
    }

    fn root(&self, item: u32) -> Option<(Digest, u64)> {
        self.items.get(item as usize)?.as_ref().ok().map(|s| (s.root, s.size))
    }

    /// One frame.
    fn read(
        &mut self,
        frame: &Frame,
        buffer: &mut Buffer,
        reading: Reading,
    ) -> std::io::Result<Read> {
        let Some((root, size)) = self.root(frame.item) else { return Ok(Read::Lost) };
        let head = data_header(frame.item, frame.chunk, frame.offset, frame.len);
        let len = frame.len as usize;
        if size <= SMALL as u64 {
            let at = frame.offset as usize;
            if reading == Reading::AtHand && !self.has_small(frame.item) {
                return Ok(Read::Away);
            }
            let Some(bytes) = self.small(frame.item)? else { return Ok(Read::Lost) };
            let Some(part) = bytes.get(at..at + len) else { return Ok(Read::Lost) };
            buffer.put(&head);
            buffer.put(part);
            return Ok(Read::Done);
        }
        let Ok(manifest) = Manifest::of(size) else { return Ok(Read::Lost) };
        let Some(span) = manifest.span(ChunkNo(frame.chunk)) else { return Ok(Read::Lost) };
        if self.open.as_ref().is_none_or(|(item, _)| *item != frame.item) {
            if reading == Reading::AtHand {
                return Ok(Read::Away);
            }
            let Some(content) = self.storage.open(&root).map_err(other)? else {
                return Ok(Read::Lost);
            };
            self.open = Some((frame.item, content));
        }
        let Some((_, content)) = &self.open else { return Ok(Read::Lost) };
        let offset = span.offset + u64::from(frame.offset);
        let place = &mut buffer.next(head.len() + len)[head.len()..];
        match reading {
            Reading::Wait => {
                crate::storage::read_exact_at(&**content, offset, place).map_err(other)?;
            }
            Reading::AtHand if matches!(content.read_now(offset, place), Ok(Some(n)) if n == len) =>
                {}
            Reading::AtHand => return Ok(Read::Away),
        }
        buffer.put(&head);
        buffer.grow(len);
        Ok(Read::Done)
    }

    /// Whether a small item was read ahead.
    fn has_small(&self, item: u32) -> bool {
        let behind = |(first, have): &(u32, Vec<_>)| {
            item.checked_sub(*first).is_some_and(|n| (n as usize) < have.len())
        };
        self.small.as_ref().is_some_and(behind)
    }

    /// A small item's bytes; reads some of those that follow as well.
    fn small(&mut self, item: u32) -> std::io::Result<Option<Bytes>> {
        let behind = |first: u32, have: &Vec<Option<Bytes>>| {
            item.checked_sub(first).filter(|n| (*n as usize) < have.len())
        };
        if let Some((first, have)) = &self.small
            && let Some(n) = behind(*first, have)
        {
            return Ok(have[n as usize].clone());
        }
        let roots: Vec<Digest> = (item..)
            .take(READ_AHEAD)
            .map_while(|n| self.root(n))
            .take_while(|(_, size)| *size <= SMALL as u64)
            .map(|(root, _)| root)
            .collect();
        let have = self.storage.read_small(&roots).map_err(other)?;
        let first = have.first().cloned().flatten();
        self.small = Some((item, have));
        Ok(first)
    }

    /// An item that may not be served.
    fn refuse(&self, item: u32, buffer: &mut Buffer) {
        let refusal = match self.items.get(item as usize) {
            Some(Err(refusal)) => refusal.clone(),
            _ => Code::UnknownResource.into(),
        };
        let (code, text) = (refusal.code.number(), refusal.text);
        buffer.put(&refusal_frame(item, &FrameRefusal { code, text }));
    }

    /// An item whose bytes are not where they should be.
    fn lost(&mut self, item: u32, buffer: &mut Buffer) {
        tracing::error!(root = ?self.root(item), "content is missing from the storage");
        self.plan.drop_item(item);
        let refusal = Refusal::new(Code::NotHere);
        let (code, text) = (refusal.code.number(), refusal.text);
        buffer.put(&refusal_frame(item, &FrameRefusal { code, text }));
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> std::io::Error {
    std::io::Error::other(error)
}

//! What the cases of this folder share: who asked for what, lies that are told once, and what the hub under test has
//! in the end.
//!
//! Owns: counting, and the bytes that were given. Not here: the honest answers (`desk`).
//! Invariant: what is called honest here is the desk's own answer, or the desk's frames one by one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::actor::{Actor, Incoming, Packet};
use crate::case::{Miss, Outcome, need};
use crate::content::Content;
use crate::desk;
use crate::entry::{Entry, name};
use crate::http::Response;
use crate::wire::{Value, list, map, read_first};
use crate::world::World;

/// Counts from 0 whoever asks for it.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<AtomicUsize>);

impl Turn {
    /// The number of this time.
    pub(super) fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    /// How many times so far.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// The `chunk-request` in a request, if it is one.
pub(super) fn chunks(incoming: &Incoming) -> Option<&Packet> {
    of_kind(incoming, "chunk-request")
}

/// The packet in a POST, if it has this type.
pub(super) fn of_kind<'a>(incoming: &'a Incoming, kind: &str) -> Option<&'a Packet> {
    incoming.packet.as_ref().filter(|p| p.kind == kind && incoming.request.method == "POST")
}

/// Whether a request is one for a stream.
pub(super) fn is_stream(incoming: &Incoming) -> bool {
    incoming.request.method == "GET" && incoming.request.path.starts_with("/zot/file/")
}

/// A path on which no stream passes, so that everything goes by `chunk-request`.
pub(super) fn no_streams(incoming: &Incoming) -> Option<Response> {
    is_stream(incoming).then(|| Response::new(404, "text/html", "<h1>not here</h1>"))
}

/// An origin without streams: `chunk-requests` are answered by a function of how many there were before, where it
/// has something to say.
pub(super) fn by_chunks(
    origin: &Actor,
    answer: impl Fn(usize, &Actor, &Incoming, &Packet) -> Option<Response> + Send + Sync + 'static,
) -> Turn {
    let turn = Turn::default();
    let counted = turn.clone();
    origin.hook(move |origin, incoming| {
        no_streams(incoming).or_else(|| {
            let packet = chunks(incoming)?;
            answer(counted.next(), origin, incoming, packet)
        })
    });
    turn
}

/// A file of noise at a listed hub of ours, not announced yet.
pub(super) async fn file(
    world: &World,
    what: &str,
    len: usize,
) -> Result<(Actor, Entry, Arc<Content>), Miss> {
    let origin = world.second().await?;
    let (entry, content) = noise(&origin, what, len);
    Ok((origin, entry, content))
}

/// A file of noise, not announced yet.
pub(super) fn noise(origin: &Actor, what: &str, len: usize) -> (Entry, Arc<Content>) {
    let content = Arc::new(Content::noise(len));
    (Entry::file(origin, &name(what), &content), content)
}

/// Frames as an answer.
pub(super) fn frames(frames: &[Vec<u8>]) -> Response {
    Response::new(200, "application/x-zot-chunks", frames.concat())
}

/// How many times the hub has presented a `chunk-request` to an origin.
pub(super) fn presented(origin: &Actor) -> usize {
    origin.inbox().iter().filter(|incoming| chunks(incoming).is_some()).count()
}

/// The chunks of a content that the hub asked an origin for, once for each signed request that names it.
pub(super) fn asked(origin: &Actor, content: &Content) -> Vec<u64> {
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    for incoming in origin.inbox() {
        let Some(packet) = chunks(&incoming) else { continue };
        if !seen.insert(packet.body.bin("id").unwrap_or_default().to_vec()) {
            continue;
        }
        let root = Some(content.root.as_slice());
        for item in packet.body.list("items").iter().filter(|item| item.bin("root") == root) {
            for range in item.list("ranges") {
                let first = range.uint("first").unwrap_or(0);
                all.extend(first..first + range.uint("count").unwrap_or(0));
            }
        }
    }
    all
}

/// A hub of ours reports a content as present, and serves it.
pub(super) async fn has_too(origin: &Actor, entry: &Entry, content: &Arc<Content>) -> Outcome {
    origin.serve(content);
    let present = map([
        ("resource", entry.hash().into()),
        ("role", "file".into()),
        ("root", content.root.into()),
    ]);
    let body = origin.packet("sync-report", [("present", list([present]))]);
    let reply = origin.ask(&body).await?;
    crate::case::Want::Packet("sync-report").check(&reply)
}

/// The hub under test gives a content byte by byte as it is: by `chunk-request` to our first hub.
pub(super) async fn holds(world: &World, entry: &Entry, content: &Content) -> Outcome {
    let mut found = Vec::new();
    let count = u64::from(content.chunks());
    if count == 0 {
        return Ok(());
    }
    let body = request(world, entry, content, count);
    let envelope = world.me().seal(&body).bytes();
    while found.len() < content.bytes.len() {
        let (done, part) = (found.len() >> 20, found.len() & 0xf_ffff);
        let resume = format!("{done}:{part}");
        let answer = world.me().post(envelope.clone(), &[("zot-resume", &resume)]).await?;
        let before = found.len();
        payload(&answer.body, &mut found)
            .ok_or_else(|| format!("the hub does not give what it reported: {}", answer.shown()))?;
        need(found.len() > before, "the hub gives no further byte of what it reported")?;
    }
    need(found == content.bytes, "the hub gives other bytes than it was given")
}

/// The hub under test does not give a content: it says `not-here` (FETCH-30).
pub(super) async fn lacks(world: &World, entry: &Entry, content: &Content) -> Outcome {
    let body = request(world, entry, content, 1);
    let answer = world.me().post(world.me().seal(&body).bytes(), &[]).await?;
    let code = read_first(&answer.body).ok().and_then(|(frame, _)| frame.uint("2.code"));
    need(code == Some(43), format_args!("43 not-here is expected, not {}", answer.shown()))
}

fn request(world: &World, entry: &Entry, content: &Content, count: u64) -> Value {
    let range = map([("first", 0u64.into()), ("count", count.into())]);
    let item = map([
        ("resource", entry.hash().into()),
        ("role", "file".into()),
        ("root", content.root.into()),
        ("ranges", list([range])),
    ]);
    world.me().packet("chunk-request", [("items", list([item]))])
}

/// Puts the payload of data frames behind what is there; none if there is none in them.
fn payload(mut rest: &[u8], found: &mut Vec<u8>) -> Option<()> {
    while !rest.is_empty() {
        let (frame, left) = read_first(rest).ok()?;
        rest = left;
        match (frame.at("0"), frame.bin("3")) {
            (Some(Value::Uint(_)), Some(bytes)) => found.extend_from_slice(bytes),
            (Some(Value::Nil), _) => {}
            _ => return None,
        }
    }
    Some(())
}

/// Frames that were given, byte by byte, whoever asked for them how often.
#[derive(Clone, Default)]
pub(super) struct Given(Arc<Mutex<Vec<Piece>>>);

/// Id of the request, number of the chunk, offset, length.
type Piece = (Vec<u8>, u64, usize, usize);

impl Given {
    /// The desk's frames up to so many bytes of payload, noted, and whether that is all that was asked for.
    pub(super) fn some(
        &self,
        origin: &Actor,
        incoming: &Incoming,
        packet: &Packet,
        most: usize,
    ) -> (Vec<Vec<u8>>, bool) {
        let (mut out, mut room) = (Vec::new(), most);
        for frame in desk::frames_of(origin, incoming, packet) {
            let Ok((value, _)) = read_first(&frame) else { continue };
            let Some(bytes) = value.bin("3") else {
                if room > 0 {
                    out.push(frame);
                }
                continue;
            };
            if room == 0 {
                return (out, false);
            }
            let taken = bytes.len().min(room);
            room -= taken;
            let number = |place: &str| value.uint(place).unwrap_or(0);
            self.note(packet, number("1"), number("2"), taken);
            out.push(desk::frame(number("0"), number("1"), number("2"), &bytes[..taken]));
            if taken < bytes.len() {
                return (out, false);
            }
        }
        (out, true)
    }

    fn note(&self, packet: &Packet, chunk: u64, offset: u64, len: usize) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let id = packet.body.bin("id").unwrap_or_default().to_vec();
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.push((id, chunk, offset, len));
    }

    /// How many bytes were given more than once.
    pub(super) fn twice(&self) -> usize {
        let anyhow = |(_, chunk, offset, len): Piece| (Vec::new(), chunk, offset, len);
        overlap(self.pieces().into_iter().map(anyhow).collect())
    }

    /// How many bytes were given more than once to one and the same request.
    pub(super) fn twice_to_one_request(&self) -> usize {
        overlap(self.pieces())
    }

    fn pieces(&self) -> Vec<Piece> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many bytes were given, those that were given twice counted twice.
    pub(super) fn total(&self) -> usize {
        self.pieces().iter().map(|(.., len)| len).sum()
    }
}

/// How many bytes of one request's chunk stand in more than one piece.
fn overlap(mut pieces: Vec<Piece>) -> usize {
    pieces.sort_unstable();
    let (mut twice, mut place, mut end) = (0, None, 0usize);
    for (id, chunk, offset, len) in pieces {
        let here = Some((id, chunk));
        if here != place {
            (place, end) = (here, 0);
        }
        twice += end.saturating_sub(offset).min(len);
        end = end.max(offset + len);
    }
    twice
}

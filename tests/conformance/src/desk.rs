//! What an honest hub of ours answers: it takes every operation, has nothing of its own to compare, and serves
//! what is on its shelf by frames, pages and streams.
//!
//! Not here: lies; they are hooks of the cases that tell them.
//! Spec: ID-18, ID-23, SYNC-8, FETCH-11, FETCH-14, FETCH-51, STREAM-4, STREAM-6.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zotferry_protocol::manifest::Manifest;
use zotferry_protocol::merkle;
use zotferry_protocol::refusal::Code;

use crate::actor::{Actor, Incoming, Packet};
use crate::content::{Content, joined};
use crate::http::Response;
use crate::keys::now;
use crate::wire::{Value, list, map};

/// The most bytes of one frame (FETCH-11).
const FRAME: usize = 256 << 10;

/// base64url without padding.
pub fn to_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The reverse; none if it is not that.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The honest answer to whatever came.
pub fn answer(actor: &Actor, incoming: &Incoming) -> Response {
    let request = &incoming.request;
    match (&incoming.packet, request.method.as_str(), request.path.as_str()) {
        (Some(packet), "POST", "/zot") => packets(actor, incoming, packet),
        (Some(packet), "GET", path) if path.starts_with("/zot/file/") => {
            stream(actor, packet, request.header("range"))
        }
        (_, "GET", "/.well-known/zot-file") => document(actor),
        _ => Response::new(404, "text/plain", "nothing is here\n"),
    }
}

fn packets(actor: &Actor, incoming: &Incoming, packet: &Packet) -> Response {
    match packet.kind.as_str() {
        "challenge" => {
            let nonce = packet.body.at("nonce").cloned().unwrap_or(Value::Nil);
            actor.reply(packet, "challenge", [("nonce", nonce)])
        }
        "locations" => {
            let place = actor.state(&actor.place());
            actor.reply(packet, "locations", [("records", list([place]))])
        }
        "clone-sync" => {
            let reports = packet.body.list("operations").iter().map(|operation| {
                let id = operation.at("id").cloned().unwrap_or(Value::Nil);
                map([("id", id), ("status", "stored".into())])
            });
            let empty = list(Vec::<Value>::new());
            actor.reply(packet, "sync-report", [("operations", list(reports)), ("present", empty)])
        }
        "sync-report" => {
            let empty = || list(Vec::<Value>::new());
            actor.reply(packet, "sync-report", [("operations", empty()), ("present", empty())])
        }
        "audit-request" => actor.reply(packet, "audit-page", [("ranges", equal(packet))]),
        "manifest-request" => pages(actor, packet),
        "chunk-request" => frames(actor, incoming, packet),
        "entry-request" => refuse(actor, packet, Code::UnknownResource),
        _ => refuse(actor, packet, Code::UnknownType),
    }
}

/// A signed refusal of a packet that came.
pub fn refuse(actor: &Actor, packet: &Packet, code: Code) -> Response {
    let number = u64::from(code.number()).into();
    let fields = [("code", number), ("text", code.sentence().into()), ("clock", now().into())];
    let mut response = actor.reply(packet, "refusal", fields);
    response.status = code.http();
    response
}

/// As if the catalogs were equal: nothing of ours is to be fetched, and nothing to be told.
fn equal(packet: &Packet) -> Value {
    let ranges = packet.body.list("ranges").iter().zip(0u64..).map(|(range, number)| {
        let digest = range.at("digest").cloned().unwrap_or(Value::Nil);
        map([("range", number.into()), ("digest", digest), ("count", 0u64.into())])
    });
    list(ranges)
}

fn pages(actor: &Actor, packet: &Packet) -> Response {
    let (mut pages, mut refused) = (Vec::new(), Vec::new());
    for (item, number) in packet.body.list("items").iter().zip(0u64..) {
        let content = item.bin("root").and_then(|root| actor.content(root));
        let Some(content) = content else {
            let code = u64::from(Code::UnknownResource.number());
            refused.push(map([("item", number.into()), ("code", code.into())]));
            continue;
        };
        let (first, count) = (item.uint("first").unwrap_or(0), item.uint("count").unwrap_or(0));
        for page in first..first.saturating_add(count) {
            pages.extend(page_of(&content, number, page));
        }
    }
    let (pages, refused) = (list(pages), list(refused));
    actor.reply(packet, "manifest-page", [("pages", pages), ("refused", refused)])
}

/// A page with its path; none beyond the last.
fn page_of(content: &Content, item: u64, page: u64) -> Option<Value> {
    let number = u32::try_from(page).ok()?;
    let range = Manifest::of(content.size()).ok()?.page_chunks(number);
    let digests = content.digests.get(range.first as usize..usize::try_from(range.end()).ok()?)?;
    if digests.is_empty() {
        return None;
    }
    let roots: Vec<_> = content.digests.chunks(4096).map(merkle::root).collect();
    let path = merkle::page_path(&roots, number);
    Some(map([
        ("item", item.into()),
        ("page", page.into()),
        ("digests", joined(digests).into()),
        ("path", joined(&path).into()),
    ]))
}

/// One of the chunks that a request asks for: item, number, and its bytes where they are here.
pub struct Wanted {
    /// Number of the item.
    pub item: u64,
    /// Number of the chunk.
    pub chunk: u64,
    /// The content; none if it is not on the shelf.
    pub content: Option<std::sync::Arc<Content>>,
}

/// The flattened list of a `chunk-request`.
pub fn wanted(actor: &Actor, packet: &Packet) -> Vec<Wanted> {
    let mut all = Vec::new();
    for (item, number) in packet.body.list("items").iter().zip(0u64..) {
        let content = item.bin("root").and_then(|root| actor.content(root));
        for range in item.list("ranges") {
            let (first, count) =
                (range.uint("first").unwrap_or(0), range.uint("count").unwrap_or(0));
            let chunks = first..first + count.min(1024);
            all.extend(chunks.map(|chunk| Wanted {
                item: number,
                chunk,
                content: content.clone(),
            }));
        }
    }
    all
}

/// A data frame.
pub fn frame(item: u64, chunk: u64, offset: u64, bytes: &[u8]) -> Vec<u8> {
    let head = [item.into(), chunk.into(), offset.into(), bytes.to_vec().into()];
    Value::List(head.to_vec()).bytes()
}

/// An end frame.
pub fn end(word: &str) -> Vec<u8> {
    Value::List(vec![Value::Nil, word.into()]).bytes()
}

/// A refusal frame.
pub fn refusal(item: u64, code: Code) -> Vec<u8> {
    let why = map([("code", u64::from(code.number()).into()), ("text", code.sentence().into())]);
    Value::List(vec![item.into(), Value::Nil, why]).bytes()
}

/// `Zot-Resume` of a request: chunks and bytes.
pub fn resume(incoming: &Incoming) -> (usize, usize) {
    let (chunks, bytes) = incoming.request.header("zot-resume").split_once(':').unwrap_or_default();
    (chunks.parse().unwrap_or(0), bytes.parse().unwrap_or(0))
}

/// The honest frames, each by itself, from where the asker wants them on.
pub fn frames_of(actor: &Actor, incoming: &Incoming, packet: &Packet) -> Vec<Vec<u8>> {
    let (chunks, bytes) = resume(incoming);
    let most = incoming.request.header("zot-max-bytes").parse().unwrap_or(usize::MAX);
    let (mut frames, mut room, mut refused) = (Vec::new(), most, None);
    for (wanted, number) in wanted(actor, packet).iter().zip(0usize..).skip(chunks) {
        let Some(content) = &wanted.content else {
            if refused != Some(wanted.item) {
                frames.push(refusal(wanted.item, Code::UnknownResource));
                refused = Some(wanted.item);
            }
            continue;
        };
        let chunk = content.chunk(usize::try_from(wanted.chunk).unwrap_or(usize::MAX));
        let from = if number == chunks { bytes.min(chunk.len()) } else { 0 };
        for (piece, n) in chunk[from..].chunks(FRAME).zip(0usize..) {
            let taken = piece.len().min(room);
            room -= taken;
            if taken > 0 {
                let offset = (from + n * FRAME) as u64;
                frames.push(frame(wanted.item, wanted.chunk, offset, &piece[..taken]));
            }
            if taken < piece.len() {
                frames.push(end("limit"));
                return frames;
            }
        }
    }
    frames.push(end("done"));
    frames
}

fn frames(actor: &Actor, incoming: &Incoming, packet: &Packet) -> Response {
    let body = frames_of(actor, incoming, packet).concat();
    Response::new(200, "application/x-zot-chunks", body)
}

fn stream(actor: &Actor, packet: &Packet, range: &str) -> Response {
    let Some(content) = packet.body.bin("root").and_then(|root| actor.content(root)) else {
        return refuse(actor, packet, Code::UnknownResource);
    };
    let size = content.bytes.len();
    let asked = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let span = asked.and_then(|(first, last)| {
        let first: usize = first.parse().ok()?;
        let last = last.parse().unwrap_or(size.saturating_sub(1)).min(size.saturating_sub(1));
        (first <= last).then_some((first, last))
    });
    let kind = "application/x-zot-file";
    let response = match span {
        Some((first, last)) => Response::new(206, kind, &content.bytes[first..=last])
            .with("content-range", format_args!("bytes {first}-{last}/{size}")),
        None => Response::new(200, kind, content.bytes.as_slice()),
    };
    response.with("etag", format_args!("\"{}\"", content.hex()))
}

fn document(actor: &Actor) -> Response {
    let text = serde_json::json!({
        "protocol": "zot-file",
        "versions": [1],
        "algorithms": ["rsa-sha256"],
        "site_id": actor.site(),
        "url": actor.url(),
        "site_key": actor.key().public().pem(),
        "packets": "/zot",
        "streams": "/zot/file/{resource}/{role}/{root}",
        "max_packet": 1_048_576,
        "operations": ["put", "place", "meta", "remove"],
        "software": "zotferry-conformance",
    });
    Response::new(200, "application/json", text.to_string())
}

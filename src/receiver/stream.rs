//! Fetches a run of chunks of one file by a Range stream.
//!
//! Owns: whether an answer is a stream of ours, and what it says about the path if not. Not here:
//! when streams are tried again (the protocol's `path`).
//! Spec: STREAM-1, STREAM-3, STREAM-5, STREAM-7, STREAM-9 to STREAM-13.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Response;
use zotferry_protocol::ids::ChunkNo;
use zotferry_protocol::manifest::{ChunkRange, Manifest};
use zotferry_protocol::pacing::How;
use zotferry_protocol::packets::{Packet, StreamRequest};
use zotferry_protocol::path::{Asked, Head, StreamEvent};

use super::chunks::Outcome;
use super::file::ActiveFile;
use super::outcome::Run;
use super::sink::{Piece, Sink};
use super::{Receiver, lock};
use crate::catalog::Channel;
use crate::hub::{CallError, Capability, Hub, Peer, refused};
use crate::queue::{Finish, Job};
use crate::transport::{PACKET_TYPE, content_type};

/// Serves leased jobs of one file with one stream, and ends their leases.
pub(super) async fn fetch(receiver: Arc<Receiver>, mut run: Run, jobs: Vec<Job>) {
    let wanted = jobs.first().and_then(|job| job.task.wanted().first().copied()).unwrap_or(0);
    let mut finished: Vec<(u64, Finish)> = Vec::new();
    match receiver.file(wanted) {
        None => finished.extend(jobs.iter().map(|job| (job.id, Finish::Release))),
        Some(file) => {
            let site = run.site();
            let asked = file.ask(site, &jobs);
            let outcome = stream(&receiver, &mut run, &file, first_run(&asked)).await;
            // What the hub is worth is known before its files are asked for again.
            drop(run);
            let unserved = file.ended(site, &asked, &jobs);
            let finish = outcome.of_file(&receiver, &file, site);
            finished.extend(unserved.into_iter().map(|id| (id, finish.clone())));
        }
    }
    if let Err(error) = receiver.end(finished).await {
        tracing::error!(%error, "leases could not be ended; they end with this process");
    }
}

/// The chunks that follow each other from the first on.
fn first_run(ranges: &[ChunkRange]) -> Option<ChunkRange> {
    let mut run = *ranges.first()?;
    for range in &ranges[1..] {
        if u64::from(range.first) != run.end() {
            break;
        }
        run.count += range.count;
    }
    Some(run)
}

async fn stream(
    receiver: &Arc<Receiver>,
    run: &mut Run,
    file: &Arc<ActiveFile>,
    chunks: Option<ChunkRange>,
) -> Outcome {
    let Some(chunks) = chunks else { return Outcome::Again };
    let hub = &receiver.hub;
    let found = hub.peer_and_channel(run.site(), file.channel()).await;
    let attempt = match found {
        Ok((mut peer, channel)) => open(hub, run, file, &mut peer, &channel, chunks).await,
        Err(error) => Err(Denied::Call(error)),
    };
    let now = hub.clock.now();
    match attempt {
        Ok(response) => {
            let (found, whole) = read(hub, run, file, response, chunks).await;
            let event =
                if found.written > 0 { StreamEvent::Progress } else { StreamEvent::NoProgress };
            if !hub.stop.is_cancelled() && found.failed.is_none() {
                run.origin.path(now, event);
            }
            run.ends(if whole { How::Done } else { How::Cut });
            if found.bad > 0 {
                run.lied();
            }
            match Outcome::of(&found) {
                Outcome::Again if !whole && found.written == 0 && !hub.stop.is_cancelled() => {
                    Outcome::Trouble("a stream was cut before its first chunk".into())
                }
                outcome => outcome,
            }
        }
        // STREAM-13, STREAM-12: it speaks about the path; what is verified stays, and chunks may be had where streams may not.
        Err(Denied::Path(event)) => {
            run.origin.path(now, event);
            run.ends(How::Refused);
            Outcome::Again
        }
        Err(Denied::Call(error)) => {
            if !matches!(error, CallError::Refused { .. }) {
                run.origin.path(now, StreamEvent::NoProgress);
            }
            run.fails(&error);
            Outcome::Failed(error)
        }
    }
}

/// Why there is no stream.
enum Denied {
    Path(StreamEvent),
    Call(CallError),
}

impl From<CallError> for Denied {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

async fn open(
    hub: &Arc<Hub>,
    run: &mut Run,
    file: &ActiveFile,
    peer: &mut Peer,
    channel: &Channel,
    chunks: ChunkRange,
) -> Result<Response, Denied> {
    let manifest = Manifest::of(file.data.size).map_err(|e| CallError::Local(e.to_string()))?;
    let start = u64::from(chunks.first) * u64::from(manifest.chunk_size());
    let end = start + manifest.bytes(chunks);
    let data = &file.data;
    let path = format!("/zot/file/{}/{}/{}", data.hash, data.role, data.root);
    for last in [false, true] {
        let capability = capability(hub, file, peer, channel).await?;
        let headers = [
            ("authorization", format!("Zot {}", URL_SAFE_NO_PAD.encode(&capability.bytes))),
            ("range", format!("bytes={start}-{}", end - 1)),
            ("accept-encoding", "identity".to_owned()),
        ];
        run.sent();
        let sent = hub.transport.fetch(&peer.url, &path, &headers).await;
        let response = sent.map_err(CallError::from)?;
        run.answered();
        if response.status().is_success() || content_type(&response) != Some(PACKET_TYPE) {
            judge(&response, start..end, data.size).map_err(Denied::Path)?;
            return Ok(response);
        }
        let answer = hub.transport.packet_body(response).await.map_err(CallError::from)?;
        let packet = hub.believe(peer, capability.id, answer)?;
        let Packet::Refusal(refusal) = &*packet else {
            return Err(Denied::Path(StreamEvent::NoProgress));
        };
        if last || !hub.corrected(peer, refusal).await? {
            return Err(refused(peer, refusal).into());
        }
        lock(&file.capabilities).remove(&peer.row);
    }
    Err(Denied::Path(StreamEvent::NoProgress))
}

/// Whether an answer is the stream that was asked for.
fn judge(response: &Response, range: std::ops::Range<u64>, size: u64) -> Result<(), StreamEvent> {
    let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
    let head = Head {
        status: response.status().as_u16(),
        content_type: text("content-type"),
        content_encoding: text("content-encoding"),
        content_range: text("content-range"),
    };
    head.judge(&Asked { first: range.start, last: range.end - 1, size })
}

/// The file's stream-request, signed again when it is about to expire.
async fn capability(
    hub: &Arc<Hub>,
    file: &ActiveFile,
    peer: &Peer,
    channel: &Channel,
) -> Result<Capability, CallError> {
    if let Some(kept) = lock(&file.capabilities).get(&peer.row).cloned()
        && hub.clock.now() < kept.until
    {
        return Ok(kept);
    }
    let data = &file.data;
    let (resource, role, root) = (data.hash.clone(), data.role, data.root);
    let packet = StreamRequest { resource, role, root }.into();
    let fresh = hub.seal(peer, &channel.portable_id, packet, None).await?;
    lock(&file.capabilities).insert(peer.row, fresh.clone());
    Ok(fresh)
}

/// Cuts a stream at the chunks' boundaries; whether all of it came.
async fn read(
    hub: &Arc<Hub>,
    run: &mut Run,
    file: &Arc<ActiveFile>,
    mut response: Response,
    chunks: ChunkRange,
) -> (super::sink::Found, bool) {
    let sink = Sink::start(hub, vec![Arc::clone(file)], run.site());
    let Ok(manifest) = Manifest::of(file.data.size) else { return (sink.finish().await, false) };
    let mut numbers = chunks.iter();
    let mut open: Option<(ChunkNo, u32)> = None;
    let whole = 'stream: loop {
        let next = tokio::select! {
            next = hub.transport.next(&mut response) => next,
            () = run.stops(open.is_some()) => break false,
        };
        let Ok(Some(mut bytes)) = next else { break open.is_none() && numbers.next().is_none() };
        run.got(bytes.len() as u64);
        while !bytes.is_empty() {
            if open.is_none() && hub.stop.is_cancelled() {
                hub.metrics.bytes_fetched_twice.add(bytes.len() as u64);
                break 'stream false;
            }
            let Some((chunk, missing)) = open.take().or_else(|| {
                let chunk = numbers.next()?;
                Some((chunk, manifest.span(chunk)?.len))
            }) else {
                break 'stream true;
            };
            let piece = bytes.split_to(bytes.len().min(missing as usize));
            let missing = missing - piece.len() as u32;
            open = (missing > 0).then_some((chunk, missing));
            if !sink.push(Piece { item: 0, chunk, bytes: piece }).await {
                break 'stream false;
            }
        }
    };
    (sink.finish().await, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_the_chunks_that_follow_each_other() {
        let range = |first, count| ChunkRange { first, count };
        assert_eq!(first_run(&[]), None);
        let ranges = [range(4, 2), range(6, 1), range(9, 3)];
        assert_eq!(first_run(&ranges), Some(range(4, 3)));
    }
}

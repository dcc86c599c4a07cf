//! Presents a chunk-request until everything in it was answered, and passes the bytes on.
//!
//! Owns: the position in the request, presentations, what each way of ending means. Not here: what
//! the bytes are for (`chunks`, `bundle`).
//! Invariant: bytes that came are never asked for again in the same exchange: the next presentation
//! begins at the very byte where the last one was cut.
//! Spec: FETCH-6, FETCH-10, FETCH-19, FETCH-20, FETCH-25, QUEUE-12, SIGN-15, SIGN-16.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use zotferry_protocol::frames::{End, FrameEvent, FrameReader, Resume};
use zotferry_protocol::ids::ChunkNo;
use zotferry_protocol::pacing::How;
use zotferry_protocol::packets::{ChunkRequest, Packet};
use zotferry_protocol::refusal::{Code, CodeNumber};

use super::outcome::Run;
use crate::catalog::Channel;
use crate::hub::{CallError, Capability, Hub, Peer, refused};
use crate::transport::{FRAMES_TYPE, RESUME_HEADER, content_type};

/// Presentations in a row that may bring nothing.
const FRUITLESS: u32 = 2;
/// A pause within a chunk is no longer than this, in ms; beyond, others are asked and the chunk begins anew.
const LONGEST_PAUSE: u64 = 60_000;

/// One chunk of a request, in the order in which it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// Position of its item in the request.
    pub(super) item: u32,
    /// Which chunk.
    pub(super) chunk: ChunkNo,
    /// Its bytes.
    pub(super) len: u32,
}

/// Where the bytes of an exchange go.
pub(super) trait Taker {
    /// The next bytes of a chunk; `false` to stop.
    async fn take(&mut self, item: u32, chunk: ChunkNo, bytes: Bytes) -> bool;
    /// The origin gives nothing of an item.
    fn refused(&mut self, item: u32, code: CodeNumber, text: String);
}

/// How an exchange ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Everything was answered.
    Whole,
    /// The hub stops, or the taker had enough.
    Stopped,
    /// It failed.
    Failed(CallError),
}

/// An exchange with one origin.
pub(super) struct Exchange<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) peer: Peer,
    pub(super) channel: &'a Channel,
    pub(super) request: ChunkRequest,
    pub(super) expected: Vec<Expected>,
}

/// How one presentation ended.
enum Presented {
    Done,
    Limit,
    Cut(Option<CallError>),
    Stopped,
}

impl Exchange<'_> {
    /// Presents the request until it is answered.
    pub(super) async fn run<T: Taker>(mut self, run: &mut Run, taker: &mut T) -> Ended {
        match self.go_on(run, taker).await {
            Ok(true) => {
                run.ends(How::Done);
                Ended::Whole
            }
            Ok(false) => {
                run.ends(How::Done);
                Ended::Stopped
            }
            Err(error) => {
                run.fails(&error);
                Ended::Failed(error)
            }
        }
    }

    async fn go_on<T: Taker>(&mut self, run: &mut Run, taker: &mut T) -> Result<bool, CallError> {
        let mut at = Position::default();
        let mut fruitless = 0;
        let mut capability = self.seal().await?;
        let (mut sealed_at, mut paused_at) = (run.bytes, run.bytes);
        while at.next < self.expected.len() {
            if self.hub.clock.now() >= capability.until {
                capability = self.seal().await?;
                sealed_at = run.bytes;
            }
            let before = run.bytes;
            run.sent();
            let headers = [(RESUME_HEADER, at.resume().to_string())];
            let bytes = capability.bytes.clone();
            let response = match self.hub.transport.post(&self.peer.url, bytes, &headers).await {
                Ok(response) => response,
                Err(error) if fruitless + 1 < FRUITLESS && run.bytes > 0 => {
                    tracing::debug!(%error, "a presentation did not get through");
                    fruitless += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            run.answered();
            if content_type(&response) != Some(FRAMES_TYPE) || response.status() != 200 {
                match self.not_frames(&capability, response).await {
                    Ok(()) => {}
                    // FETCH-13: cut often, a capability is used up before all of it has come.
                    Err(error)
                        if error.is(Code::TooMany)
                            && error.retry_after().is_none()
                            && run.bytes > sealed_at => {}
                    Err(error) => {
                        let progress = at.bytes > 0 && run.bytes > paused_at;
                        paused_at = run.bytes;
                        if progress && self.pauses(&error, run).await {
                            continue;
                        }
                        return Err(error);
                    }
                }
                capability = self.seal().await?;
                sealed_at = run.bytes;
                fruitless += 1;
                if fruitless > FRUITLESS {
                    return Err(CallError::Local("the clocks do not come together".into()));
                }
                continue;
            }
            let cut = match self.read(response, &mut at, run, taker).await {
                Presented::Done => return Ok(true),
                Presented::Stopped => return Ok(false),
                Presented::Limit => None,
                Presented::Cut(error) => error,
            };
            if run.bytes > before {
                fruitless = 0;
                continue;
            }
            fruitless += 1;
            if fruitless >= FRUITLESS {
                let nothing = || CallError::Local("answers without content".into());
                return Err(cut.unwrap_or_else(nothing));
            }
        }
        Ok(true)
    }

    /// QUEUE-12, FETCH-20: an origin that asks for a pause within a chunk is waited for, as long as it gives something between
    /// two pauses. Else what came of the chunk would come again, and of an origin that gives less than a chunk at a
    /// time nothing would ever be whole.
    async fn pauses(&self, error: &CallError, run: &mut Run) -> bool {
        let Some(ms) = error.retry_after().filter(|ms| *ms <= LONGEST_PAUSE) else { return false };
        tracing::debug!(site = %self.peer.url, ms, "a pause within a chunk");
        run.pauses(error);
        let over = tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => true,
            () = run.stops(true) => false,
        };
        run.goes_on();
        over
    }

    async fn seal(&self) -> Result<Capability, CallError> {
        let packet = Packet::from(self.request.clone());
        self.hub.seal(&self.peer, &self.channel.portable_id, packet, None).await
    }

    /// An answer that is no frames: a refusal of our date is taken into account, all else is an error.
    async fn not_frames(
        &mut self,
        capability: &Capability,
        response: Response,
    ) -> Result<(), CallError> {
        let answer = self.hub.transport.packet_body(response).await?;
        let packet = self.hub.believe(&self.peer, capability.id, answer)?;
        let Packet::Refusal(refusal) = &*packet else {
            return Err(CallError::Local(format!("a {} instead of frames", packet.kind())));
        };
        if self.hub.corrected(&mut self.peer, refusal).await? {
            return Ok(());
        }
        Err(refused(&self.peer, refusal))
    }

    async fn read<T: Taker>(
        &self,
        mut response: Response,
        at: &mut Position,
        run: &mut Run,
        taker: &mut T,
    ) -> Presented {
        let mut frames = FrameReader::new();
        loop {
            let next = tokio::select! {
                next = self.hub.transport.next(&mut response) => next,
                () = run.stops(at.bytes > 0) => return Presented::Stopped,
            };
            let mut bytes = match next {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Presented::Cut(None),
                Err(error) => return Presented::Cut(Some(error.into())),
            };
            loop {
                match frames.feed(&mut bytes) {
                    Ok(None) => break,
                    Ok(Some(event)) => match self.event(event, at, run, taker).await {
                        None => {}
                        // The connection is kept only if its answer was read to the end.
                        Some(Presented::Done) => {
                            self.hub.transport.next(&mut response).await.ok();
                            return Presented::Done;
                        }
                        Some(Presented::Limit) => {
                            self.hub.transport.next(&mut response).await.ok();
                            return Presented::Limit;
                        }
                        Some(end) => return end,
                    },
                    Err(error) => return self.garbled(&error),
                }
            }
        }
    }

    fn garbled(&self, what: &dyn std::fmt::Display) -> Presented {
        Presented::Cut(Some(CallError::NotOurs {
            site: self.peer.url.clone(),
            status: 200,
            hint: format!(": {what}"),
            retry_after: None,
        }))
    }

    async fn event<T: Taker>(
        &self,
        event: FrameEvent,
        at: &mut Position,
        run: &mut Run,
        taker: &mut T,
    ) -> Option<Presented> {
        match event {
            FrameEvent::Header { item, chunk, offset, len } => {
                let Some(next) = self.expected.get(at.next) else {
                    return Some(self.garbled(&"a frame after all that was asked for"));
                };
                let fits = (item, chunk, offset) == (next.item, next.chunk.0, at.bytes)
                    && offset.checked_add(len).is_some_and(|end| end <= next.len);
                if !fits {
                    return Some(self.garbled(&"a frame that was not next"));
                }
                None
            }
            FrameEvent::Data(bytes) => {
                let next = *self.expected.get(at.next)?;
                let len = bytes.len() as u32;
                run.got(u64::from(len));
                at.bytes += len;
                if at.bytes == next.len {
                    at.next += 1;
                    at.bytes = 0;
                }
                let go_on = taker.take(next.item, next.chunk, bytes).await;
                let enough = !go_on || (at.bytes == 0 && self.hub.stop.is_cancelled());
                enough.then_some(Presented::Stopped)
            }
            FrameEvent::Refused { item, code, text } => {
                if self.expected.get(at.next).map(|e| e.item) != Some(item) {
                    return Some(self.garbled(&"a refusal of an item that was not next"));
                }
                while self.expected.get(at.next).is_some_and(|e| e.item == item) {
                    at.next += 1;
                    at.bytes = 0;
                }
                taker.refused(item, CodeNumber(code), text);
                None
            }
            FrameEvent::End(End::Done) if at.next == self.expected.len() => Some(Presented::Done),
            FrameEvent::End(End::Done) => Some(self.garbled(&"`done` before everything came")),
            FrameEvent::End(End::Limit) => Some(Presented::Limit),
        }
    }
}

/// How far an exchange has come.
#[derive(Debug, Default)]
struct Position {
    next: usize,
    bytes: u32,
}

impl Position {
    fn resume(&self) -> Resume {
        Resume { chunks: u32::try_from(self.next).unwrap_or(u32::MAX), bytes: self.bytes }
    }
}

//! A hub that has the file and answers requests for it, with the manners that it has.

use bytes::Bytes;
use zotferry_protocol::frames::{FrameRefusal, Plan, Resume, Step, Wanted};
use zotferry_protocol::frames::{data_header, end_frame, refusal_frame};
use zotferry_protocol::pacing::How;
use zotferry_protocol::path::{Asked, Head, STREAM_TYPE};

use crate::rng::Rng;
use crate::scenario::{File, Manners, Streams};

/// What is asked of an origin.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// A `chunk-request` for the chunks of one file, in this order.
    Chunks { list: Vec<u32>, resume: Resume, max_bytes: u64 },
    /// A stream of these bytes.
    Stream(Asked),
}

/// How the body of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Cut,
    Stalled,
}

#[derive(Debug)]
pub(crate) enum Answer {
    /// Not even a status.
    Nothing,
    /// Turned away before anything was looked at.
    Status(How),
    /// A status and a body, in pieces.
    Body { head: Option<OwnedHead>, pieces: Vec<Bytes>, ending: Ending },
}

/// The head of an answer to a stream request.
#[derive(Debug, Clone)]
pub(crate) struct OwnedHead {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) content_range: String,
}

impl OwnedHead {
    pub(crate) fn borrow(&self) -> Head<'_> {
        Head {
            status: self.status,
            content_type: Some(self.content_type),
            content_encoding: None,
            content_range: Some(&self.content_range),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) manners: Manners,
    pub(crate) up: bool,
    pub(crate) in_flight: usize,
}

impl Origin {
    pub(crate) fn new(manners: Manners) -> Self {
        Self { manners, up: true, in_flight: 0 }
    }

    pub(crate) fn answer(&self, rng: &mut Rng, file: &File, ask: &Ask) -> Answer {
        if !self.up || rng.permille(self.manners.lost) {
            return Answer::Nothing;
        }
        if self.in_flight > self.manners.at_most {
            let retry_after = rng.permille(500).then_some(1000);
            return Answer::Status(How::TooMany { retry_after });
        }
        if rng.permille(self.manners.turns_away) {
            let busy = How::Unavailable { retry_after: Some(rng.range(0..3000)) };
            return Answer::Status(rng.pick(&[busy, How::TooLarge]));
        }
        match ask {
            Ask::Chunks { list, resume, max_bytes } => {
                let body = self.frames(rng, file, list, *resume, *max_bytes);
                self.send(rng, None, body)
            }
            Ask::Stream(asked) => self.stream(rng, file, asked),
        }
    }

    fn frames(&self, rng: &mut Rng, file: &File, list: &[u32], from: Resume, max: u64) -> Vec<u8> {
        let refused = rng.permille(self.manners.refuses);
        let len = |chunk: u32| (!refused).then(|| file.place(chunk).len() as u32);
        let wanted = list.iter().map(|&chunk| Wanted { item: 0, chunk, len: len(chunk) }).collect();
        let budget = self.manners.limit.unwrap_or(u64::MAX).min(max);
        let mut out = Vec::new();
        for step in Plan::new(wanted, from, budget).expect("resumes where it stopped") {
            match step {
                Step::Frame(frame) => {
                    self.chunk_part(rng, file, &mut out, (frame.chunk, frame.offset, frame.len));
                }
                Step::Refuse(item) => {
                    let gone = FrameRefusal { code: 410, text: "gone for now".to_owned() };
                    out.extend(refusal_frame(item, &gone));
                }
                Step::End(end) => out.extend(end_frame(end)),
            }
        }
        out
    }

    /// A part of a chunk, in one frame or two.
    fn chunk_part(&self, rng: &mut Rng, file: &File, out: &mut Vec<u8>, part: (u32, u32, u32)) {
        let (chunk, offset, len) = part;
        let first =
            if len > 1 && rng.permille(300) { rng.range(1..len.into()) as u32 } else { len };
        for (offset, len) in [(offset, first), (offset + first, len - first)] {
            if len > 0 {
                let bytes = &file.chunk(chunk)[offset as usize..(offset + len) as usize];
                out.extend(data_header(0, chunk, offset, len));
                out.extend(self.perhaps_corrupt(rng, bytes.to_vec()));
            }
        }
    }

    fn stream(&self, rng: &mut Rng, file: &File, asked: &Asked) -> Answer {
        let Asked { first, last, size } = *asked;
        let content_range = format!("bytes {first}-{last}/{size}");
        let ours = OwnedHead { status: 206, content_type: STREAM_TYPE, content_range };
        match self.manners.streams {
            Streams::WebPage => {
                let head = OwnedHead { status: 200, content_type: "text/html", ..ours };
                self.send(rng, Some(head), b"<html>Welcome</html>".to_vec())
            }
            Streams::Empty => {
                Answer::Body { head: Some(ours), pieces: Vec::new(), ending: Ending::Cut }
            }
            Streams::Pass => {
                let bytes = file.bytes[first as usize..=last as usize].to_vec();
                let body = self.perhaps_corrupt(rng, bytes);
                self.send(rng, Some(ours), body)
            }
        }
    }

    fn perhaps_corrupt(&self, rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
        if rng.permille(self.manners.corrupts) {
            let at = rng.range(0..bytes.len() as u64) as usize;
            bytes[at] ^= 1 << rng.range(0..8);
        }
        bytes
    }

    /// Puts a body on its way: cut anywhere, perhaps, and in pieces of any size.
    fn send(&self, rng: &mut Rng, head: Option<OwnedHead>, mut body: Vec<u8>) -> Answer {
        let mut ending = Ending::Complete;
        if let Some(most) = self.manners.proxy_cuts_after.filter(|&most| body.len() as u64 > most) {
            body.truncate(most as usize);
            ending = Ending::Cut;
        }
        for (rate, how) in
            [(self.manners.cuts, Ending::Cut), (self.manners.stalls, Ending::Stalled)]
        {
            if rng.permille(rate) {
                body.truncate(rng.range(0..body.len() as u64 + 1) as usize);
                ending = how;
            }
        }
        Answer::Body { head, pieces: pieces(rng, Bytes::from(body)), ending }
    }
}

fn pieces(rng: &mut Rng, mut body: Bytes) -> Vec<Bytes> {
    let most = rng.pick(&[4, 100, 5000]).max(body.len() as u64 / 20);
    let mut pieces = Vec::new();
    while !body.is_empty() {
        let len = rng.range(1..most + 1).min(body.len() as u64);
        pieces.push(body.split_to(len as usize));
    }
    pieces
}

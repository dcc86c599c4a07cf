//! One request under way: its chunks in order, the unfinished one, and where to go on.

use bytes::Bytes;
use zotferry_protocol::frames::{End, FrameEvent, FrameReader, Resume};
use zotferry_protocol::ids::Millis;
use zotferry_protocol::manifest::{ChunkRange, Manifest};
use zotferry_protocol::pacing::How;
use zotferry_protocol::path::Asked;

use crate::origin::{Ask, Ending};
use crate::queue::Job;

#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) origin: usize,
    pub(crate) jobs: Vec<Job>,
    pub(crate) leases: Vec<ChunkRange>,
    list: Vec<u32>,
    complete: usize,
    unfinished: Vec<u8>,
    manifest: Manifest,
    pub(crate) presentations: u32,
    /// Of this presentation only, from here on.
    reader: Reader,
    pub(crate) sent: Millis,
    pub(crate) got: u64,
    pub(crate) verified: u32,
    end: Option<End>,
    refused: bool,
}

#[derive(Debug)]
enum Reader {
    Frames(FrameReader),
    Stream,
}

/// Bytes that nobody asked for; the answer is given up.
#[derive(Debug)]
pub(crate) struct Nonsense;

impl Download {
    pub(crate) fn new(
        origin: usize,
        jobs: Vec<Job>,
        leases: Vec<ChunkRange>,
        manifest: Manifest,
    ) -> Self {
        let list = leases.iter().flat_map(ChunkRange::iter).map(|chunk| chunk.0).collect();
        Self {
            origin,
            jobs,
            leases,
            list,
            complete: 0,
            unfinished: Vec::new(),
            manifest,
            presentations: 0,
            reader: Reader::Stream,
            sent: Millis(0),
            got: 0,
            verified: 0,
            end: None,
            refused: false,
        }
    }

    /// What to send now, as a stream if that may be tried and the rest is one run of chunks.
    pub(crate) fn present(&mut self, now: Millis, may_stream: bool, max_bytes: u64) -> Ask {
        self.presentations += 1;
        (self.sent, self.got, self.verified) = (now, 0, 0);
        (self.end, self.refused) = (None, false);
        let rest = &self.list[self.complete..];
        let one_run = rest.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        if may_stream && one_run {
            self.reader = Reader::Stream;
            return Ask::Stream(self.asked_bytes());
        }
        self.reader = Reader::Frames(FrameReader::new());
        let (chunks, bytes) = (self.complete as u32, self.unfinished.len() as u32);
        Ask::Chunks { list: self.list.clone(), resume: Resume { chunks, bytes }, max_bytes }
    }

    /// The rest as a range of bytes.
    pub(crate) fn asked_bytes(&self) -> Asked {
        let rest = &self.list[self.complete..];
        let run = ChunkRange { first: rest[0], count: rest.len() as u32 };
        let start = u64::from(run.first) * u64::from(self.manifest.chunk_size());
        let first = start + self.unfinished.len() as u64;
        Asked { first, last: start + self.manifest.bytes(run) - 1, size: self.manifest.size() }
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.reader, Reader::Stream)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete == self.list.len()
    }

    /// Takes bytes as they arrive; gives the chunks that became whole.
    pub(crate) fn body(&mut self, mut bytes: Bytes) -> Result<Vec<(u32, Vec<u8>)>, Nonsense> {
        let mut whole = Vec::new();
        if self.is_stream() {
            while !bytes.is_empty() {
                let room = self.room()?.min(bytes.len());
                self.add(&bytes.split_to(room), &mut whole)?;
            }
            return Ok(whole);
        }
        while let Some(event) = self.next_event(&mut bytes)? {
            match event {
                FrameEvent::Header { item, chunk, offset, len } => {
                    self.check(item, chunk, offset, len)?;
                }
                FrameEvent::Data(data) => self.add(&data, &mut whole)?,
                FrameEvent::Refused { .. } => self.refused = true,
                FrameEvent::End(end) => self.end = Some(end),
            }
        }
        Ok(whole)
    }

    fn next_event(&mut self, bytes: &mut Bytes) -> Result<Option<FrameEvent>, Nonsense> {
        match &mut self.reader {
            Reader::Frames(reader) => reader.feed(bytes).map_err(|_| Nonsense),
            Reader::Stream => Ok(None),
        }
    }

    /// Bytes missing from the unfinished chunk.
    fn room(&self) -> Result<usize, Nonsense> {
        let first = *self.list.get(self.complete).ok_or(Nonsense)?;
        let len = self.manifest.bytes(ChunkRange { first, count: 1 });
        Ok(len as usize - self.unfinished.len())
    }

    fn check(&self, item: u32, chunk: u32, offset: u32, len: u32) -> Result<(), Nonsense> {
        let next = self.list.get(self.complete) == Some(&chunk);
        let goes_on = offset as usize == self.unfinished.len() && len as usize <= self.room()?;
        if item == 0 && next && goes_on { Ok(()) } else { Err(Nonsense) }
    }

    fn add(&mut self, bytes: &[u8], whole: &mut Vec<(u32, Vec<u8>)>) -> Result<(), Nonsense> {
        self.got += bytes.len() as u64;
        self.unfinished.extend_from_slice(bytes);
        if self.room()? == 0 {
            whole.push((self.list[self.complete], std::mem::take(&mut self.unfinished)));
            self.complete += 1;
        }
        Ok(())
    }

    /// How this presentation ended.
    pub(crate) fn how(&self, ending: Ending) -> How {
        match ending {
            _ if self.refused => How::Refused,
            _ if self.is_complete() => How::Done,
            Ending::Stalled => How::Stalled,
            Ending::Complete if self.end == Some(End::Limit) => How::Limit,
            Ending::Complete | Ending::Cut => How::Cut,
        }
    }
}

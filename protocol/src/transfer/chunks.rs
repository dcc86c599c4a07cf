//! The state of every chunk of one file: nine bits each, at most 1.2 MiB.

use crate::ids::ChunkNo;
use crate::manifest::{ChunkRange, Manifest, PAGE};

/// How far a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Nobody sees to it.
    Missing,
    /// May be on disk.
    Suspect,
    /// Is being read back from disk.
    Checking,
    /// A job for it stands in the queue.
    Queued,
    /// Is in a request.
    Asked,
    /// Is verified and being written.
    Writing,
    /// Is written, not yet durable.
    Written,
    /// Is durable.
    Held,
}

const STATES: usize = State::Held as usize + 1;

/// All chunks, with what is asked about them often kept at hand.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) manifest: Manifest,
    states: Vec<State>,
    counts: [u32; STATES],
    /// No chunk before this one is in the state.
    lowest: [u32; STATES],
    /// One bit for each chunk; pages begin at whole bytes.
    recorded: Vec<u8>,
    pub(super) bytes_held: u64,
}

impl Chunks {
    pub(super) fn new(manifest: Manifest) -> Self {
        let total = manifest.chunks();
        let mut counts = [0; STATES];
        counts[State::Missing as usize] = total;
        let mut lowest = [total; STATES];
        lowest[State::Missing as usize] = 0;
        Self {
            manifest,
            states: vec![State::Missing; total as usize],
            counts,
            lowest,
            recorded: vec![0; total.div_ceil(8) as usize],
            bytes_held: 0,
        }
    }

    pub(super) fn total(&self) -> u32 {
        self.manifest.chunks()
    }

    pub(super) fn count(&self, state: State) -> u32 {
        self.counts[state as usize]
    }

    /// `None` beyond the end of the file.
    pub(super) fn state(&self, chunk: ChunkNo) -> Option<State> {
        self.states.get(chunk.0 as usize).copied()
    }

    /// Bytes in a chunk; 0 beyond the end of the file.
    pub(super) fn len(&self, chunk: ChunkNo) -> u64 {
        self.manifest.span(chunk).map_or(0, |span| u64::from(span.len))
    }

    /// The chunk must lie in the file.
    pub(super) fn set(&mut self, chunk: ChunkNo, to: State) {
        let from = std::mem::replace(&mut self.states[chunk.0 as usize], to);
        self.counts[from as usize] -= 1;
        self.counts[to as usize] += 1;
        self.lowest[to as usize] = self.lowest[to as usize].min(chunk.0);
        if from == State::Held {
            self.bytes_held -= self.len(chunk);
        }
        if to == State::Held {
            self.bytes_held += self.len(chunk);
        }
    }

    /// A range without what lies beyond the end of the file.
    pub(super) fn clip(&self, range: ChunkRange) -> ChunkRange {
        let end = range.end().min(u64::from(self.total())) as u32;
        ChunkRange { first: range.first, count: end.saturating_sub(range.first) }
    }

    /// The chunks of a range that are in one of these states.
    pub(super) fn those(&self, range: ChunkRange, states: &[State]) -> Vec<ChunkNo> {
        let is = |chunk: &ChunkNo| states.contains(&self.states[chunk.0 as usize]);
        self.clip(range).iter().filter(is).collect()
    }

    /// Whether every chunk of a range is in one of these states.
    pub(super) fn all(&self, range: ChunkRange, states: &[State]) -> bool {
        self.clip(range).iter().all(|chunk| states.contains(&self.states[chunk.0 as usize]))
    }

    /// The first chunk in a state.
    pub(super) fn first(&mut self, state: State) -> Option<ChunkNo> {
        let from = if self.count(state) == 0 { self.total() } else { self.lowest[state as usize] };
        let found = self.states[from as usize..].iter().position(|&s| s == state);
        self.lowest[state as usize] = found.map_or(self.total(), |at| from + at as u32);
        found.map(|at| ChunkNo(from + at as u32))
    }

    /// Moves the first run of chunks, at most `most` and all on one page, from one state to another.
    pub(super) fn take_run(&mut self, from: State, to: State, most: u32) -> Option<ChunkRange> {
        let ChunkNo(first) = self.first(from)?;
        let page_end = self.manifest.page_chunks(first / PAGE).end() as u32;
        let end = page_end.min(first.saturating_add(most));
        let run = self.states[first as usize..end as usize].iter().take_while(|&&s| s == from);
        let range = ChunkRange { first, count: run.count() as u32 };
        range.iter().for_each(|chunk| self.set(chunk, to));
        Some(range)
    }

    /// The chunks of a page whose bits are set, LSB first.
    pub(super) fn of_bits(&self, page: u32, bits: &[u8]) -> Vec<ChunkNo> {
        let range = self.manifest.page_chunks(page);
        let set = |chunk: &ChunkNo| {
            let at = (chunk.0 - range.first) as usize;
            bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
        };
        range.iter().filter(set).collect()
    }

    /// Notes what the stored bitmap is to say of a chunk.
    pub(super) fn record(&mut self, chunk: ChunkNo, held: bool) {
        let (byte, bit) = (&mut self.recorded[chunk.0 as usize / 8], 1 << (chunk.0 % 8));
        *byte = if held { *byte | bit } else { *byte & !bit };
    }

    /// From now on no bitmap is to say anything. Gives the pages whose bitmaps said something.
    pub(super) fn forget_recorded(&mut self) -> Vec<u32> {
        let said = |page: &u32| self.recorded(*page).iter().any(|&byte| byte != 0);
        let pages = (0..self.manifest.pages()).filter(said).collect();
        self.recorded.fill(0);
        pages
    }

    /// What the stored bitmap is to say of a page, LSB first.
    pub(super) fn recorded(&self, page: u32) -> &[u8] {
        let range = self.manifest.page_chunks(page);
        &self.recorded[range.first as usize / 8..range.end().div_ceil(8) as usize]
    }
}

/// Consecutive chunks as ranges.
pub(super) fn runs(chunks: &[ChunkNo]) -> Vec<ChunkRange> {
    let mut runs: Vec<ChunkRange> = Vec::new();
    for chunk in chunks {
        match runs.last_mut() {
            Some(run) if run.end() == u64::from(chunk.0) => run.count += 1,
            _ => runs.push(ChunkRange { first: chunk.0, count: 1 }),
        }
    }
    runs
}

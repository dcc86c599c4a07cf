//! What must hold in every run, checked as it happens.

use std::collections::BTreeMap;

use zotferry_protocol::manifest::ChunkRange;
use zotferry_protocol::transfer::{HeldBits, Reason, Transfer, Verdict};

use crate::disk::Disk;
use crate::queue::Queue;
use crate::scenario::File;

#[derive(Debug)]
pub(crate) struct Ledger {
    /// Which request a chunk is in.
    asked: BTreeMap<u32, u64>,
    /// How often each chunk came and was right.
    came: Vec<u32>,
    /// How often each chunk may come: once, and once more for each time it was lost.
    may_come: Vec<u32>,
    /// Chunks whose bits are hints only, until they were read back and synced.
    doubted: Vec<bool>,
    /// Chunks that were recorded and are durable in the partial file that there is.
    known: Vec<bool>,
    pub(crate) bad: u32,
    pub(crate) crashes: u32,
    pub(crate) restarts: u32,
    pub(crate) presentations: u32,
    pub(crate) streams: u32,
    /// Right chunks from each origin.
    pub(crate) from: BTreeMap<usize, u32>,
    /// Chunks asked of each origin while another was fit to be asked.
    pub(crate) asked_of: BTreeMap<usize, u32>,
    pub(crate) committed: bool,
    /// A digest of everything that happened, to compare runs.
    pub(crate) trace: u64,
}

impl Ledger {
    pub(crate) fn new(file: &File) -> Self {
        let chunks = file.leaves.len();
        Self {
            asked: BTreeMap::new(),
            came: vec![0; chunks],
            may_come: vec![1; chunks],
            doubted: vec![false; chunks],
            known: vec![false; chunks],
            bad: 0,
            crashes: 0,
            restarts: 0,
            presentations: 0,
            streams: 0,
            from: BTreeMap::new(),
            asked_of: BTreeMap::new(),
            committed: false,
            trace: 0,
        }
    }

    /// FETCH-2: a chunk is asked of one origin at a time.
    pub(crate) fn asked(
        &mut self,
        request: u64,
        (origin, elsewhere): (usize, bool),
        range: ChunkRange,
    ) {
        if elsewhere {
            *self.asked_of.entry(origin).or_default() += range.count;
        }
        for chunk in range.iter() {
            let other = self.asked.insert(chunk.0, request);
            assert_eq!(other, None, "chunk {} is in two requests", chunk.0);
        }
    }

    pub(crate) fn ended(&mut self, range: ChunkRange) {
        for chunk in range.iter() {
            self.asked.remove(&chunk.0);
        }
    }

    /// FETCH-3, FETCH-4: right bytes are written once, wrong bytes never.
    pub(crate) fn judged(
        &mut self,
        file: &File,
        origin: usize,
        (chunk, bytes): (u32, &[u8]),
        verdict: Verdict,
    ) {
        match verdict {
            Verdict::Write { .. } => {
                assert!(bytes == file.chunk(chunk), "chunk {chunk} is wrong and was accepted");
                self.came[chunk as usize] += 1;
                *self.from.entry(origin).or_default() += 1;
                let (came, may) = (self.came[chunk as usize], self.may_come[chunk as usize]);
                assert!(came <= may, "chunk {chunk} came {came} times, needed {may}");
            }
            Verdict::Discard(Reason::BadDigest) => {
                assert!(bytes != file.chunk(chunk), "chunk {chunk} is right and was refused");
                self.bad += 1;
            }
            Verdict::Discard(reason) => panic!("chunk {chunk} was asked for in vain: {reason:?}"),
        }
    }

    /// FETCH-31: a bitmap says held of durable chunks only; what was given as suspect is a hint.
    /// FETCH-35: and it forgets none that is still there.
    pub(crate) fn recorded(
        &mut self,
        file: &File,
        disk: &Disk,
        transfer: &Transfer,
        page: &HeldBits,
    ) {
        let range = file.manifest.page_chunks(page.page);
        assert_eq!(page.bits.len(), range.count.div_ceil(8) as usize);
        for (at, chunk) in range.iter().enumerate() {
            let no = chunk.0 as usize;
            let held = transfer.holds(ChunkRange { first: chunk.0, count: 1 });
            let durable = disk.is_durable(file, chunk.0);
            self.doubted[no] &= !held;
            if page.bits[at / 8] >> (at % 8) & 1 == 1 {
                assert!(held && durable || self.doubted[no], "{chunk:?} is not durable");
                self.known[no] |= held;
            } else {
                assert!(!held, "{chunk:?} is held and not recorded");
                assert!(!self.known[no], "{chunk:?} is forgotten");
            }
        }
    }

    /// The bits of a page are hints only, until its chunks were read back and synced.
    pub(crate) fn doubt(&mut self, file: &File, page: u32, bits: &[u8]) {
        for (at, chunk) in file.manifest.page_chunks(page).iter().enumerate() {
            let bit = bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
            self.doubted[chunk.0 as usize] |= bit;
        }
    }

    /// FETCH-34: a crash costs what was not recorded yet, or was recorded as a hint only.
    pub(crate) fn crashed(&mut self, file: &File, disk: &Disk, queue: &Queue) {
        self.crashes += 1;
        self.asked.clear();
        for chunk in file.manifest.all().iter() {
            if !queue.is_recorded(chunk) || !disk.is_durable(file, chunk.0) {
                self.lost(chunk.0);
            }
        }
    }

    /// A chunk that had come may come once more.
    pub(crate) fn lost(&mut self, chunk: u32) {
        let chunk = chunk as usize;
        self.may_come[chunk] = self.may_come[chunk].max(self.came[chunk] + 1);
    }

    /// FETCH-33: the partial file is given up, and all that is in it.
    pub(crate) fn abandoned(&mut self) {
        self.known.fill(false);
        (0..self.came.len() as u32).for_each(|chunk| self.lost(chunk));
    }

    /// FETCH-37: only what is complete, right and durable becomes visible.
    pub(crate) fn committed(&mut self, file: &File, disk: &Disk) {
        for chunk in file.manifest.all().iter() {
            assert!(disk.is_durable(file, chunk.0), "{chunk:?} is committed and wrong");
        }
        self.committed = true;
    }

    /// Chunks that came more than once.
    pub(crate) fn came_twice(&self) -> u32 {
        self.came.iter().map(|&came| came.saturating_sub(1)).sum()
    }

    /// Chunks that came.
    pub(crate) fn came(&self) -> u32 {
        self.came.iter().sum()
    }

    pub(crate) fn note(&mut self, what: u64) {
        self.trace = (self.trace.rotate_left(5) ^ what).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

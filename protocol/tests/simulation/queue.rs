//! The persistent queue: jobs and bitmaps are durable, leases are not.

use std::collections::{BTreeMap, BTreeSet};

use zotferry_protocol::ids::{ChunkNo, Millis};
use zotferry_protocol::manifest::{ChunkRange, PAGE, page_of};
use zotferry_protocol::pacing::Backoff;
use zotferry_protocol::transfer::HeldBits;

use crate::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) range: ChunkRange,
    not_before: Millis,
    attempts: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    jobs: BTreeMap<u64, Job>,
    leased: BTreeSet<u64>,
    pub(crate) held: BTreeMap<u32, Vec<u8>>,
    next: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, ranges: &[ChunkRange]) {
        for &range in ranges {
            let id = self.next;
            self.next += 1;
            self.jobs.insert(id, Job { id, range, not_before: Millis(0), attempts: 0 });
        }
    }

    pub(crate) fn lease(&mut self, now: Millis) -> Option<Job> {
        let due = |job: &&Job| job.not_before <= now && !self.leased.contains(&job.id);
        let job = self.jobs.values().find(due).copied()?;
        self.leased.insert(job.id);
        Some(job)
    }

    /// When the next job is due that is not due yet.
    pub(crate) fn next_due(&self, now: Millis) -> Option<Millis> {
        let waiting = |job: &&Job| !self.leased.contains(&job.id) && job.not_before > now;
        self.jobs.values().filter(waiting).map(|job| job.not_before).min()
    }

    /// Put back as it was, due at once.
    pub(crate) fn release(&mut self, job: Job) {
        self.leased.remove(&job.id);
    }

    pub(crate) fn retry(&mut self, job: Job, now: Millis, rng: &mut Rng) {
        self.leased.remove(&job.id);
        let backoff = Backoff { base: 200, max: 10_000 };
        if let Some(stored) = self.jobs.get_mut(&job.id) {
            stored.not_before = now.plus(backoff.delay(stored.attempts, rng.next()));
            stored.attempts += 1;
        }
    }

    /// One atomic, durable batch.
    pub(crate) fn commit(&mut self, finished: &[Job], held: Vec<HeldBits>) {
        for job in finished {
            self.jobs.remove(&job.id);
            self.leased.remove(&job.id);
        }
        self.held.extend(held.into_iter().map(|page| (page.page, page.bits)));
    }

    pub(crate) fn ranges(&self) -> Vec<ChunkRange> {
        self.jobs.values().map(|job| job.range).collect()
    }

    pub(crate) fn is_recorded(&self, chunk: ChunkNo) -> bool {
        let at = (chunk.0 % PAGE) as usize;
        let byte = self.held.get(&page_of(chunk)).and_then(|bits| bits.get(at / 8));
        byte.is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    }

    /// Nothing is in it: it is new, or was begun anew.
    pub(crate) fn is_new(&self) -> bool {
        self.next == 0
    }

    /// All jobs are due again.
    pub(crate) fn reopened(&mut self) {
        self.leased.clear();
        self.jobs.values_mut().for_each(|job| job.not_before = Millis(0));
    }

    /// It would not open and was begun anew.
    pub(crate) fn lost(&mut self) {
        *self = Self::default();
    }
}

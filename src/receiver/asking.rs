//! Asking for a file: of whom, for which chunks, and what a request leaves behind.
//!
//! Owns: what of a file is in requests. Not here: the requests themselves, what comes (`file`).
//! Invariant: a chunk is asked of one origin at a time, whoever asks: a job, or somebody who reads.
//! Spec: SYNC-11, FETCH-2, FETCH-5, FETCH-6, FETCH-54.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use zotferry_protocol::manifest::ChunkRange;
use zotferry_protocol::transfer::Input;

use super::file::ActiveFile;
use super::sources::{Judge, Sources};
use super::{Receiver, lock};
use crate::catalog::SiteNo;
use crate::queue::Job;

impl ActiveFile {
    fn judge<T>(&self, receiver: &Receiver, judging: impl FnOnce(&Sources, &Judge<'_>) -> T) -> T {
        let now = self.hub.clock.now();
        let bad = |site| lock(&self.transfer).bad_from(site);
        let well = |site| receiver.origin(site).is_well(now);
        judging(&lock(&self.sources), &Judge { now, bad: &bad, well: &well })
    }

    /// Whether this hub is to be asked for it now.
    pub(super) fn may_ask(&self, receiver: &Receiver, site: SiteNo) -> bool {
        self.judge(receiver, |sources, judge| sources.may_ask(site, judge))
    }

    /// Whether another hub than this one can be asked instead.
    pub(super) fn elsewhere(&self, receiver: &Receiver, site: SiteNo) -> bool {
        self.judge(receiver, |sources, judge| sources.elsewhere(site, judge))
    }

    /// The hub to ask first, other than those that were asked in vain.
    pub(super) fn pick(&self, receiver: &Receiver, vain: &BTreeSet<SiteNo>) -> Option<SiteNo> {
        self.judge(receiver, |sources, judge| sources.pick(vain, judge))
    }

    /// Bytes that are neither here nor asked for: of those, one hub's share.
    pub(super) fn share(&self, receiver: &Receiver) -> u64 {
        self.unasked() / self.judge(receiver, Sources::shares)
    }

    /// Bytes that are neither here nor asked for.
    pub(super) fn unasked(&self) -> u64 {
        let held = lock(&self.transfer).progress().bytes_held;
        self.data.size.saturating_sub(held).saturating_sub(self.asked.load(Relaxed))
    }

    /// A hub gave nothing of it, and said so.
    pub(super) fn refused_by(&self, site: SiteNo) {
        lock(&self.sources).refused(site, self.hub.clock.now());
    }

    /// Whether a hub is known to have it.
    pub(super) fn is_at(&self, site: SiteNo) -> bool {
        lock(&self.sources).has(site)
    }

    /// Number of jobs that make about so many bytes.
    pub(super) fn jobs_for(&self, bytes: u64) -> usize {
        let chunk = u64::from(lock(&self.transfer).manifest().chunk_size());
        let job = chunk * u64::from(self.range);
        usize::try_from((bytes / job).clamp(1, 256)).unwrap_or(1)
    }

    /// What of some jobs' ranges is to be asked of a hub now; marked as asked until [`Self::ended`].
    pub(super) fn ask(&self, site: SiteNo, jobs: &[Job]) -> Vec<ChunkRange> {
        let ranges = jobs.iter().filter_map(|job| job.task.chunks());
        self.mark_asked(site, ranges, u32::MAX)
    }

    /// The same for somebody who reads: at most so many chunks, none if they are asked for already.
    pub(super) fn ask_now(&self, site: SiteNo, range: ChunkRange, most: u32) -> Vec<ChunkRange> {
        self.mark_asked(site, [range], most)
    }

    /// Whether something of a range can be asked for now.
    pub(super) fn is_open(&self, range: ChunkRange) -> bool {
        let open = !lock(&self.transfer).wanted(range).is_empty();
        // Digests may be wanted for it.
        self.bell.notify_one();
        open
    }

    fn mark_asked(
        &self,
        site: SiteNo,
        ranges: impl IntoIterator<Item = ChunkRange>,
        most: u32,
    ) -> Vec<ChunkRange> {
        let now = self.hub.clock.now();
        let mut transfer = lock(&self.transfer);
        let (mut wanted, mut bytes, mut room) = (Vec::new(), 0, most);
        // One after the other: two jobs may name the same chunk.
        for range in ranges {
            for mut range in transfer.wanted(range) {
                range.count = range.count.min(room);
                if range.count == 0 {
                    break;
                }
                room -= range.count;
                bytes += transfer.manifest().bytes(range);
                transfer.handle(now, Input::Leased(range));
                wanted.push(range);
            }
        }
        drop(transfer);
        self.asked.fetch_add(bytes, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        lock(&self.sources).begin(site);
        wanted
    }

    /// The request is over: what did not come may be asked for again. Returns the jobs that are
    /// not served by it, whose leases the caller ends; the others end when their chunks are durable.
    /// Where there were no jobs, what did not come is queued anew.
    pub(super) fn ended(&self, site: SiteNo, asked: &[ChunkRange], jobs: &[Job]) -> Vec<u64> {
        let (now, queued) = (self.hub.clock.now(), !jobs.is_empty());
        let mut transfer = lock(&self.transfer);
        let mut bytes = 0;
        for &range in asked {
            bytes += transfer.manifest().bytes(range);
            transfer.handle(now, Input::Ended { range, queued });
        }
        self.asked.fetch_sub(bytes, Relaxed);
        self.requests.fetch_sub(1, Relaxed);
        let mut parked = lock(&self.parked);
        let mut unserved = Vec::new();
        for job in jobs {
            let Some(range) = job.task.chunks() else { continue };
            if transfer.has_come(range) {
                parked.push((job.id, range));
            } else {
                unserved.push(job.id);
            }
        }
        drop((transfer, parked));
        lock(&self.sources).end(site);
        self.news();
        unserved
    }
}

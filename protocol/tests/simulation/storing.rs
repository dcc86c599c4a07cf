//! The receiver and its disk: writes, syncs, reading back, what is recorded and committed.

use zotferry_protocol::ids::{ChunkNo, Digest, Millis};
use zotferry_protocol::manifest::ChunkRange;
use zotferry_protocol::merkle;
use zotferry_protocol::transfer::{HeldBits, Input, Ticket};

use crate::queue::Job;
use crate::receiver::Receiver;
use crate::world::{Local, Outside};

impl Receiver {
    pub(crate) fn record(&mut self, out: &mut Outside, pages: Vec<HeldBits>) {
        for page in &pages {
            out.ledger.recorded(&out.scenario.file, &out.disk, &self.transfer, page);
        }
        let transfer = &self.transfer;
        let done: Vec<Job> =
            self.settling.extract_if(.., |job| transfer.holds(job.range)).collect();
        out.queue.commit(&done, pages);
    }

    pub(crate) fn commit(&mut self, out: &mut Outside) {
        assert!(self.transfer.holds(out.scenario.file.manifest.all()));
        if out.disk_fails(100) {
            self.sync_failed(out);
        } else {
            out.ledger.committed(&out.scenario.file, &out.disk);
        }
    }

    pub(crate) fn sync(&mut self, out: &mut Outside, ticket: Ticket) {
        let file = self.transfer.file();
        assert!(!self.syncing.contains(&file), "one sync at a time");
        self.syncing.push(file);
        self.unsynced = None;
        out.disk.begin_sync(&out.scenario.file);
        let ok = !out.disk_fails(20);
        self.later(out, 100, Local::Synced { ticket, file, ok });
    }

    pub(crate) fn synced(&mut self, out: &mut Outside, ticket: Ticket, file: u32, ok: bool) {
        self.syncing.retain(|&syncing| syncing != file);
        let current = file == self.transfer.file();
        match ok {
            true if current => out.disk.end_sync(&out.scenario.file),
            true => {}
            false if current => {
                out.disk.fail_sync();
                return self.sync_failed(out);
            }
            false => return,
        }
        self.transfer.handle(out.now, Input::Synced(ticket));
    }

    fn sync_failed(&mut self, out: &mut Outside) {
        out.ledger.abandoned();
        self.transfer.handle(out.now, Input::SyncFailed);
    }

    pub(crate) fn new_file(&mut self, out: &mut Outside) {
        out.disk.new_file();
        self.unsynced = None;
    }

    pub(crate) fn wrote(&mut self, out: &mut Outside, chunk: u32, file: u32) {
        let bytes = self.writing.remove(&(file, chunk)).expect("was begun");
        if file == self.transfer.file() {
            out.disk.write(&out.scenario.file, chunk, &bytes);
            self.note_unsynced(out, chunk, &merkle::leaf(&bytes));
        }
        let chunk = ChunkNo(chunk);
        self.transfer.handle(out.now, Input::Wrote { chunk, file });
    }

    /// The chunk alone is lost, or the whole partial file with it, as after an I/O error.
    pub(crate) fn write_failed(&mut self, out: &mut Outside, chunk: u32, file: u32) {
        self.writing.remove(&(file, chunk));
        if file == self.transfer.file() && out.rng.permille(300) {
            return self.sync_failed(out);
        }
        out.ledger.lost(chunk);
        let chunk = ChunkNo(chunk);
        self.transfer.handle(out.now, Input::WriteFailed { chunk, file });
    }

    pub(crate) fn read_back(&mut self, out: &mut Outside, range: ChunkRange) {
        self.reading_back -= 1;
        for chunk in range.iter() {
            let digest = Some(merkle::leaf(out.disk.read(&out.scenario.file, chunk.0)));
            self.transfer.handle(out.now, Input::Checked { chunk, digest });
        }
    }

    pub(crate) fn note_unsynced(&mut self, out: &Outside, chunk: u32, digest: &Digest) {
        if *digest == out.scenario.file.leaves[chunk as usize] {
            let (bytes, since) = self.unsynced.unwrap_or((0, out.now));
            let len = out.scenario.file.chunk(chunk).len() as u64;
            self.unsynced = Some((bytes + len, since));
        }
    }

    /// FETCH-32: what a crash can cost is bounded, since a sync begins when it is due.
    pub(crate) fn check_group_commit(&self, out: &Outside) {
        let group = out.scenario.transfer.group;
        let due = |(bytes, since): (u64, Millis)| {
            bytes >= group.bytes || out.now.since(since) >= group.ms
        };
        let running = self.syncing.contains(&self.transfer.file());
        assert!(running || !self.unsynced.is_some_and(due), "a sync is due: {:?}", self.unsynced);
    }
}

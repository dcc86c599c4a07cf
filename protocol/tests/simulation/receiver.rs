//! The receiver's process: the real state machines, and around them what the engine does.

use std::collections::BTreeMap;

use zotferry_protocol::ids::{ChunkNo, Digest, Millis};
use zotferry_protocol::manifest::INLINE_DIGESTS;
use zotferry_protocol::merkle;
use zotferry_protocol::pacing::Pacer;
use zotferry_protocol::path::StreamPath;
use zotferry_protocol::transfer::{Input, Output, Transfer};

use crate::download::Download;
use crate::queue::Job;
use crate::world::{Event, Local, Outside};

/// What is known of one origin.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) pacer: Pacer,
    pub(crate) streams: StreamPath,
    /// FETCH-54: until then others are asked.
    pub(crate) left_until: Millis,
    pub(crate) failures: u32,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) number: u32,
    pub(crate) transfer: Transfer,
    pub(crate) ways: Vec<Way>,
    pub(crate) downloads: BTreeMap<u64, Download>,
    /// Jobs whose chunks all came and are not all durable yet.
    pub(crate) settling: Vec<Job>,
    /// Chunks being written, with the number of their partial file.
    pub(crate) writing: BTreeMap<(u32, u32), Vec<u8>>,
    pub(crate) stopping: bool,
    /// The partial files of running syncs.
    pub(crate) syncing: Vec<u32>,
    pub(crate) reading_back: u32,
    /// Bytes written that no sync covers, and since when.
    pub(crate) unsynced: Option<(u64, Millis)>,
    wake: Option<Millis>,
}

impl Receiver {
    pub(crate) fn start(out: &mut Outside, number: u32, clean: bool) -> Self {
        let file = &out.scenario.file;
        let config = out.scenario.transfer;
        let new_way = |_| Way {
            pacer: Pacer::new(out.scenario.pacing),
            streams: StreamPath::new(),
            left_until: Millis(0),
            failures: 0,
        };
        let mut receiver = Self {
            number,
            transfer: Transfer::with_manifest(file.root, file.manifest, config),
            ways: out.scenario.manners.iter().map(new_way).collect(),
            downloads: BTreeMap::new(),
            settling: Vec::new(),
            writing: BTreeMap::new(),
            stopping: false,
            syncing: Vec::new(),
            reading_back: 0,
            unsynced: None,
            wake: None,
        };
        receiver.restore(out, clean);
        if file_has_inline_digests(out) {
            receiver.learn_page(out, 0, out.scenario.file.page(0));
        }
        receiver
    }

    /// FETCH-34, FETCH-35: what is known to be held, or has to be read back first.
    fn restore(&mut self, out: &mut Outside, clean: bool) {
        for page in 0..out.scenario.file.manifest.pages() {
            let all = || {
                vec![0xff; out.scenario.file.manifest.page_chunks(page).count.div_ceil(8) as usize]
            };
            let stored = out.queue.held.get(&page).cloned().unwrap_or_default();
            let bits = if out.queue.is_new() && !clean { all() } else { stored };
            let bits = bits.as_slice();
            if clean {
                self.transfer.handle(out.now, Input::Held { page, bits });
            } else {
                out.ledger.doubt(&out.scenario.file, page, bits);
                self.transfer.handle(out.now, Input::Suspect { page, bits });
            }
        }
        for range in out.queue.ranges() {
            self.transfer.handle(out.now, Input::Queued(range));
        }
    }

    /// Does what there is to do, and arranges to be woken.
    pub(crate) fn go_on(&mut self, out: &mut Outside) {
        self.poll(out);
        if !out.ledger.committed && !self.stopping {
            self.send_requests(out);
            self.poll(out);
        }
        let wakes = self.ways.iter().filter_map(|way| way.pacer.wake_at(out.now));
        let wakes = wakes.chain(self.transfer.wake_at()).chain(out.queue.next_due(out.now));
        let next = wakes.filter(|&at| at > out.now).min();
        let planned = self.wake.filter(|&at| at > out.now);
        if let Some(at) = next.filter(|&at| planned.is_none_or(|planned| at < planned)) {
            self.wake = Some(at);
            let wake = Event::Local { receiver: self.number, what: Local::Wake };
            out.after(at.since(out.now), wake);
        }
    }

    /// Whether a graceful stop is through, and if so, whether it was a clean one.
    pub(crate) fn has_stopped(&self) -> Option<bool> {
        let busy = !self.syncing.is_empty() || self.reading_back > 0 || !self.writing.is_empty();
        let through = self.stopping && !busy && self.transfer.wake_at().is_none();
        through.then(|| self.transfer.unchecked() == 0)
    }

    pub(crate) fn stop(&mut self, out: &mut Outside) {
        self.stopping = true;
        for connection in self.downloads.keys().copied().collect::<Vec<_>>() {
            self.end(out, connection, true);
        }
    }

    /// Writes that were under way into the current partial file.
    pub(crate) fn writing(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let current = |((file, _), _): &(&(u32, u32), &Vec<u8>)| *file == self.transfer.file();
        self.writing.iter().filter(current).map(|((_, chunk), bytes)| (*chunk, bytes.as_slice()))
    }

    fn poll(&mut self, out: &mut Outside) {
        while let Some(output) = self.transfer.poll(out.now) {
            match output {
                Output::Record(pages) => self.record(out, pages),
                Output::Abandon => self.new_file(out),
                Output::Commit => self.commit(out),
                Output::Sync(ticket) => self.sync(out, ticket),
                Output::Recheck(range) => {
                    self.reading_back += 1;
                    self.later(out, 50, Local::ReadBack(range));
                }
                Output::Enqueue(ranges) => out.queue.push(&ranges),
                Output::NeedDigests(page) => self.fetch_page(out, page),
            }
        }
        self.check_group_commit(out);
    }

    pub(crate) fn later(&self, out: &mut Outside, most: u64, what: Local) {
        let ms = out.rng.range(0..most);
        out.after(ms, Event::Local { receiver: self.number, what });
    }

    fn fetch_page(&mut self, out: &mut Outside, page: u32) {
        if let Some(digests) = out.pages.get(&page).cloned() {
            return self.learn_page(out, page, digests);
        }
        let origin = out.rng.range(0..self.ways.len() as u64) as usize;
        let trip = out.trip();
        out.after(trip, Event::AskPage { receiver: self.number, origin, page });
    }

    /// FETCH-36: copies what can be copied before anything of the page is asked for.
    fn learn_page(&mut self, out: &mut Outside, page: u32, digests: Vec<Digest>) {
        let mut copied = Vec::new();
        for range in self.transfer.open(out.scenario.file.manifest.page_chunks(page)) {
            for ChunkNo(chunk) in range.iter() {
                if out.rng.permille(out.scenario.reusable) {
                    let mut bytes = out.scenario.file.chunk(chunk).to_vec();
                    bytes[0] ^= u8::from(out.rng.permille(200));
                    out.disk.write(&out.scenario.file, chunk, &bytes);
                    copied.push((ChunkNo(chunk), merkle::leaf(&bytes)));
                }
            }
        }
        self.transfer.handle(out.now, Input::Digests { page, digests });
        let file = self.transfer.file();
        for (chunk, digest) in copied {
            self.note_unsynced(out, chunk.0, &digest);
            self.transfer.handle(out.now, Input::Copied { chunk, digest, file });
        }
    }

    pub(crate) fn local(&mut self, out: &mut Outside, what: Local) {
        match what {
            Local::Wake => {}
            Local::Wrote { chunk, file } => self.wrote(out, chunk, file),
            Local::WriteFailed { chunk, file } => self.write_failed(out, chunk, file),
            Local::Synced { ticket, file, ok } => self.synced(out, ticket, file, ok),
            Local::ReadBack(range) => self.read_back(out, range),
            Local::Page { page, proof } => self.page_came(out, page, proof),
            Local::PageAgain(page) => self.transfer.handle(out.now, Input::NoDigests { page }),
        }
    }

    /// FILE-9: a page counts when its path leads to the root.
    fn page_came(
        &mut self,
        out: &mut Outside,
        page: u32,
        proof: Option<(Vec<Digest>, Vec<Digest>)>,
    ) {
        let file = &out.scenario.file;
        let right = |(digests, path): &(Vec<Digest>, Vec<Digest>)| {
            merkle::verify_page(&file.root, &file.manifest, page, digests, path).is_ok()
        };
        match proof.filter(right) {
            Some((digests, _)) => {
                out.pages.insert(page, digests.clone());
                self.learn_page(out, page, digests);
            }
            None => self.later(out, 2000, Local::PageAgain(page)),
        }
    }
}

fn file_has_inline_digests(out: &Outside) -> bool {
    (2..=INLINE_DIGESTS).contains(&out.scenario.file.manifest.chunks())
}

//! The receiver's requests: whom to ask for what, and what to make of the answers.

use bytes::Bytes;
use zotferry_protocol::ids::{ChunkNo, Digest, Millis};
use zotferry_protocol::merkle::LeafHasher;
use zotferry_protocol::pacing::{Backoff, Event as Paced, How};
use zotferry_protocol::path::StreamEvent;
use zotferry_protocol::transfer::{Input, Verdict};

use crate::download::Download;
use crate::origin::{Ending, OwnedHead};
use crate::queue::Job;
use crate::receiver::Receiver;
use crate::world::{Event, Local, Outside, Part};

/// How long others are asked in the place of an origin that failed.
const LEFT: Backoff = Backoff { base: 1000, max: 60_000 };
/// A request is presented so often at most; then it has expired.
const PRESENTATIONS: u32 = 50;

impl Receiver {
    /// Sends requests while there is due work and an origin that may be asked.
    pub(crate) fn send_requests(&mut self, out: &mut Outside) {
        let first = out.rng.range(0..self.ways.len() as u64) as usize;
        for turn in 0..self.ways.len() {
            let origin = (first + turn) % self.ways.len();
            while self.may_ask(out, origin) && self.ways[origin].pacer.may_start(out.now) {
                let Some(download) = self.next_download(out, origin) else {
                    break;
                };
                self.present(out, download);
            }
        }
    }

    /// FETCH-5, FETCH-54: an origin that sends bad chunks, or failed, is left when another is fit.
    fn may_ask(&self, out: &Outside, origin: usize) -> bool {
        self.is_fit(out, origin) || !self.has_fit(out, None)
    }

    fn is_fit(&self, out: &Outside, origin: usize) -> bool {
        let bad = |origin: usize| self.transfer.bad_from(origin as i64);
        let least = (0..self.ways.len()).map(bad).min().unwrap_or(0);
        bad(origin) <= 2 + 4 * least && self.ways[origin].left_until <= out.now
    }

    fn has_fit(&self, out: &Outside, other_than: Option<usize>) -> bool {
        (0..self.ways.len()).any(|origin| Some(origin) != other_than && self.is_fit(out, origin))
    }

    fn next_download(&mut self, out: &mut Outside, origin: usize) -> Option<Download> {
        let progress = self.transfer.progress();
        let remaining = self.transfer.manifest().size() - progress.bytes_held;
        let most = self.ways[origin].pacer.request_bytes(remaining);
        let (mut jobs, mut leases, mut bytes) = (Vec::new(), Vec::new(), 0);
        while bytes < most {
            let Some(job) = out.queue.lease(out.now) else {
                break;
            };
            let wanted = self.transfer.wanted(job.range);
            if wanted.is_empty() {
                self.put_by(out, job);
                continue;
            }
            for &range in &wanted {
                self.transfer.handle(out.now, Input::Leased(range));
                bytes += self.transfer.manifest().bytes(range);
            }
            leases.extend(wanted);
            jobs.push(job);
        }
        let manifest = *self.transfer.manifest();
        (!leases.is_empty()).then(|| Download::new(origin, jobs, leases, manifest))
    }

    /// A job that needs no asking now: done, soon done, or without digests yet.
    fn put_by(&mut self, out: &mut Outside, job: Job) {
        if self.transfer.holds(job.range) {
            out.queue.commit(&[job], Vec::new());
        } else if self.transfer.open(job.range).is_empty() {
            self.settling.push(job);
        } else {
            out.queue.retry(job, out.now, &mut out.rng);
        }
    }

    fn present(&mut self, out: &mut Outside, mut download: Download) {
        let origin = download.origin;
        let may_stream = self.ways[origin].streams.allows(out.now);
        let chunk = u64::from(self.transfer.manifest().chunk_size());
        let max_bytes = if out.rng.permille(100) { 1 + chunk / 2 } else { u64::MAX };
        let ask = download.present(out.now, may_stream, max_bytes);
        let connection = out.rng.next();
        if download.presentations == 1 {
            let whom = (origin, self.has_fit(out, Some(origin)));
            download.leases.iter().for_each(|&range| out.ledger.asked(connection, whom, range));
        }
        out.ledger.presentations += 1;
        out.ledger.streams += u32::from(download.is_stream());
        self.ways[origin].pacer.handle(out.now, Paced::Started);
        self.downloads.insert(connection, download);
        let trip = out.trip();
        out.after(trip, Event::Ask { connection, origin, ask });
    }

    pub(crate) fn answered(&mut self, out: &mut Outside, connection: u64, part: Part) {
        if !self.downloads.contains_key(&connection) {
            return;
        }
        match part {
            Part::Status(how) => self.over(out, connection, how),
            Part::Head(head) => self.head(out, connection, head),
            Part::Piece(bytes) => self.piece(out, connection, bytes),
            Part::Over(ending) => {
                let how = self.downloads[&connection].how(ending);
                self.over(out, connection, how);
            }
        }
    }

    pub(crate) fn origin_gone(&mut self, out: &mut Outside, origin: usize) {
        let there = self.downloads.iter().filter(|(_, download)| download.origin == origin);
        for connection in there.map(|(&connection, _)| connection).collect::<Vec<_>>() {
            self.answered(out, connection, Part::Over(Ending::Cut));
        }
    }

    /// STREAM-5: a stream that is not ours is nothing but a lesson about the path.
    fn head(&mut self, out: &mut Outside, connection: u64, head: Option<OwnedHead>) {
        let download = &self.downloads[&connection];
        let way = &mut self.ways[download.origin];
        let after = out.now.since(download.sent);
        way.pacer.handle(out.now, Paced::FirstByte { after });
        let Some(head) = head else { return };
        if let Err(event) = head.borrow().judge(&download.asked_bytes()) {
            way.streams.handle(out.now, event);
            way.pacer.handle(out.now, Paced::Finished { how: How::Refused, bytes: 0 });
            let download = self.downloads.remove(&connection).expect("looked up above");
            self.present(out, download);
        }
    }

    fn piece(&mut self, out: &mut Outside, connection: u64, bytes: Bytes) {
        let download = self.downloads.get_mut(&connection).expect("checked by the caller");
        let origin = download.origin;
        let before = download.got;
        let whole = download.body(bytes);
        let payload = download.got - before;
        self.ways[origin].pacer.handle(out.now, Paced::Bytes(payload));
        match whole {
            Ok(chunks) => chunks.into_iter().for_each(|c| self.chunk(out, connection, c.0, c.1)),
            Err(_) => self.over(out, connection, How::Cut),
        }
    }

    fn chunk(&mut self, out: &mut Outside, connection: u64, chunk: u32, bytes: Vec<u8>) {
        let download = self.downloads.get_mut(&connection).expect("checked by the caller");
        let verdict =
            self.transfer.receive(ChunkNo(chunk), &digest(&bytes), download.origin as i64);
        out.ledger.judged(&out.scenario.file, download.origin, (chunk, &bytes), verdict);
        let Verdict::Write { file } = verdict else {
            return;
        };
        download.verified += 1;
        if download.is_stream() {
            self.ways[download.origin].streams.handle(out.now, StreamEvent::Progress);
        }
        self.writing.insert((file, chunk), bytes);
        let failed = out.disk_fails(20);
        let what =
            if failed { Local::WriteFailed { chunk, file } } else { Local::Wrote { chunk, file } };
        let slow = out.rng.permille(20);
        let ms = out.rng.range(0..if slow { 3000 } else { 30 });
        out.after(ms, Event::Local { receiver: self.number, what });
    }

    /// FETCH-6: an answer is over. The same request goes on where it stopped, or it ends.
    fn over(&mut self, out: &mut Outside, connection: u64, how: How) {
        let download = self.downloads.get(&connection).expect("checked by the caller");
        let way = &mut self.ways[download.origin];
        way.pacer.handle(out.now, Paced::Finished { how, bytes: download.got });
        if download.got == 0 && how != How::Refused {
            way.failures += 1;
            way.left_until = out.now.plus(LEFT.ceiling(way.failures - 1));
        } else {
            (way.failures, way.left_until) = (0, Millis(0));
        }
        if download.is_stream() && download.verified == 0 {
            way.streams.handle(out.now, StreamEvent::NoProgress);
        }
        let progress = download.got > 0 && matches!(how, How::Cut | How::Limit | How::Stalled);
        let may = way.pacer.may_start(out.now) && download.presentations < PRESENTATIONS;
        if progress && may && !download.is_complete() && !out.rng.permille(50) {
            let download = self.downloads.remove(&connection).expect("looked up above");
            self.present(out, download);
        } else {
            let queued = out.rng.permille(700);
            self.end(out, connection, queued);
        }
    }

    /// Ends a request; what did not come goes back to its jobs, or they are dropped with it.
    pub(crate) fn end(&mut self, out: &mut Outside, connection: u64, queued: bool) {
        let download = self.downloads.remove(&connection).expect("checked by the caller");
        let elsewhere = self.has_fit(out, Some(download.origin));
        for range in download.leases {
            self.transfer.handle(out.now, Input::Ended { range, queued });
            out.ledger.ended(range);
        }
        for job in download.jobs {
            match self.transfer.open(job.range).is_empty() {
                true => self.settling.push(job),
                // FETCH-54: while another is fit nothing waits for this one.
                false if self.stopping || (queued && elsewhere) => out.queue.release(job),
                false if queued => out.queue.retry(job, out.now, &mut out.rng),
                false => out.queue.commit(&[job], Vec::new()),
            }
        }
    }
}

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = LeafHasher::new();
    hasher.update(bytes);
    hasher.finish()
}

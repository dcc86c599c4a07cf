//! One who reads a file in hand: its verified chunks in order, and those that are missing first.
//!
//! Owns: what is asked for ahead of a reader. Not here: what a reader is handed otherwise (`reading`).
//! Invariant: at most two requests, for at most 8 MiB or two chunks, are under way for one reader; the
//! chunks go into the partial file like all others.
//! Spec: FETCH-2, FETCH-3, FETCH-54, FETCH-56, FETCH-57.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use zotferry_protocol::ids::ChunkNo;
use zotferry_protocol::manifest::{ChunkRange, MIN_CHUNK, Manifest};

use super::outcome::Run;
use super::reading::{PIECE, Pieces, ReadError};
use super::{ActiveFile, Receiver, chunks, lock};
use crate::catalog::SiteNo;

/// Bytes asked for at a time, where a chunk is not more.
const REQUEST: u32 = 4 << 20;
/// Requests under way.
const REQUESTS: usize = 2;

/// What became of a request: whom it asked, and why it did not bring everything.
type Ended = (SiteNo, Result<(), String>);

/// One who reads. While there is one, the file's other jobs go before those of other files.
pub(super) struct Reader<'a> {
    receiver: &'a Arc<Receiver>,
    file: &'a Arc<ActiveFile>,
    pieces: &'a Pieces,
    manifest: Manifest,
    under_way: usize,
    ended: (mpsc::Sender<Ended>, mpsc::Receiver<Ended>),
    /// Whom it asked in vain, and what came of it.
    vain: BTreeMap<SiteNo, String>,
}

impl Drop for Reader<'_> {
    /// A file that is in hand for its readers alone goes with the last of them.
    fn drop(&mut self) {
        let last = self.file.readers.fetch_sub(1, Relaxed) == 1;
        if last && (self.file.rests() || self.receiver.hands_crowded()) {
            // Of a file of one chunk nothing is kept: it goes by bundle again.
            self.file.let_go(self.manifest.chunks() == 1);
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        receiver: &'a Arc<Receiver>,
        file: &'a Arc<ActiveFile>,
        pieces: &'a Pieces,
    ) -> Self {
        file.readers.fetch_add(1, Relaxed);
        let manifest = *lock(&file.transfer).manifest();
        let (under_way, ended, vain) = (0, mpsc::channel(REQUESTS), BTreeMap::new());
        Self { receiver, file, pieces, manifest, under_way, ended, vain }
    }

    /// Hands out what it can of a range, until the file leaves the hand or nobody reads any more; the
    /// range then is what is left.
    pub(super) async fn hand_out(mut self, range: &mut Range<u64>) -> Result<(), ReadError> {
        let mut changes = self.file.changes();
        let mut since = (Instant::now(), self.file.came.load(Relaxed));
        while !range.is_empty() && !self.file.is_over() {
            changes.borrow_and_update();
            let chunk = ChunkNo((range.start / u64::from(self.manifest.chunk_size())) as u32);
            self.ask(chunk, range.end)?;
            if let Some(piece) = self.piece(chunk, range).await? {
                range.start += piece.len() as u64;
                if self.pieces.send(Ok(piece)).await.is_err() {
                    range.start = range.end;
                }
                since.0 = Instant::now();
                continue;
            }
            tokio::select! {
                _ = changes.changed() => {}
                Some(ended) = self.ended.1.recv() => self.over(ended),
                () = self.pieces.closed() => range.start = range.end,
                () = self.receiver.hub.stop.cancelled() => return Err(ReadError::Stopping),
                () = tokio::time::sleep_until(since.0 + self.receiver.patience()) => {
                    let came = self.file.came.load(Relaxed);
                    if came == since.1 {
                        return Err(self.nobody("nothing came in time"));
                    }
                    since = (Instant::now(), came);
                }
            }
        }
        Ok(())
    }

    /// Bytes of a chunk that is verified; `None` while it is not.
    async fn piece(&self, chunk: ChunkNo, range: &Range<u64>) -> Result<Option<Bytes>, ReadError> {
        let Some(span) = self.manifest.span(chunk) else { return Ok(None) };
        let end = range.end.min(span.offset + u64::from(span.len));
        let (at, len) = (range.start, (end - range.start).min(PIECE as u64) as usize);
        let file = Arc::clone(self.file);
        let reading = move || {
            // In this order: a partial file that is replaced meanwhile gives an error, not zeros.
            let assembly = file.assembly()?;
            if !lock(&file.transfer).is_readable(chunk) {
                return None;
            }
            let mut piece = vec![0; len];
            let read = assembly.read(at, &mut piece);
            let whole = read.inspect_err(|error| {
                tracing::warn!(file = %file.name(), %error, "a verified chunk cannot be read back");
            });
            whole.is_ok_and(|got| got == len).then(|| Bytes::from(piece))
        };
        Ok(tokio::task::spawn_blocking(reading).await?)
    }

    /// Asks for what is missing from a chunk on, up to the end of what is read.
    fn ask(&mut self, from: ChunkNo, end: u64) -> Result<(), ReadError> {
        let most = (REQUEST / self.manifest.chunk_size().max(MIN_CHUNK)).max(1);
        let last = ((end - 1) / u64::from(self.manifest.chunk_size())) as u32;
        let ahead = (most * REQUESTS as u32).min(last - from.0 + 1);
        let window = ChunkRange { first: from.0, count: ahead };
        while self.under_way < REQUESTS && self.file.is_open(window) {
            let vain: BTreeSet<SiteNo> = self.vain.keys().copied().collect();
            let Some(site) = self.file.pick(self.receiver, &vain) else {
                let now = ChunkRange { first: from.0, count: 1 };
                if self.under_way == 0 && self.file.is_open(now) {
                    return Err(self.nobody("no clone has it"));
                }
                return Ok(());
            };
            let ranges = self.file.ask_now(site, window, most);
            let origin = self.receiver.origin(site);
            let run = Run::begin(self.receiver, &origin, self.receiver.hub.clock.now());
            tracing::debug!(site, file = %self.file.name(), ?ranges, "asks for a reader");
            let (receiver, file) = (Arc::clone(self.receiver), Arc::clone(self.file));
            let ended = self.ended.0.clone();
            // Not the reader's to end: what was asked for comes for good.
            self.receiver.tasks.spawn(async move {
                let result = chunks::fetch_now(&receiver, run, file, ranges).await;
                ended.send((site, result)).await.ok();
            });
            self.under_way += 1;
        }
        Ok(())
    }

    fn over(&mut self, (site, result): Ended) {
        self.under_way -= 1;
        match result {
            Ok(()) => self.vain.clear(),
            Err(why) => _ = self.vain.insert(site, why),
        }
    }

    fn nobody(&self, otherwise: &str) -> ReadError {
        let reasons: Vec<&str> = self.vain.values().map(String::as_str).collect();
        ReadError::Nobody(match reasons.is_empty() {
            true => otherwise.to_owned(),
            false => reasons.join("; "),
        })
    }
}

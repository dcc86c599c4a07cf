//! What each input does to the state.

use std::collections::BTreeSet;

use super::chunks::State;
use super::{Input, Ticket, Transfer};
use crate::ids::{ChunkNo, Digest, Millis};
use crate::manifest::{ChunkRange, page_of};

impl Transfer {
    /// Takes in what happened. Answer with what [`Self::poll`] says.
    pub fn handle(&mut self, now: Millis, input: Input<'_>) {
        match input {
            Input::Held { page, bits } => self.restore(page, bits, State::Held),
            Input::Suspect { page, bits } => self.restore(page, bits, State::Suspect),
            Input::Queued(range) => self.queued_before(range),
            Input::Digests { page, digests } => self.learn_digests(page, digests),
            Input::NoDigests { page } => self.pages.missed(page),
            Input::Checked { chunk, digest } => self.checked(now, chunk, digest),
            Input::Copied { chunk, digest, file } => self.copied(now, chunk, digest, file),
            Input::Leased(range) => self.lease(range),
            Input::Ended { range, queued } => self.end_lease(range, queued),
            Input::Wrote { chunk, file } => self.wrote(now, chunk, file),
            Input::WriteFailed { chunk, file } => self.write_failed(chunk, file),
            Input::Synced(ticket) => self.synced(ticket),
            Input::SyncFailed => self.start_over(),
        }
    }

    fn queued_before(&mut self, range: ChunkRange) {
        self.shift(range, &[State::Missing], State::Queued);
        let range = self.chunks.clip(range);
        if let (1.., Some(last)) = (range.count, range.iter().last()) {
            self.unproven.extend(page_of(ChunkNo(range.first))..=page_of(last));
        }
    }

    fn shift(&mut self, range: ChunkRange, from: &[State], to: State) {
        for chunk in self.chunks.those(range, from) {
            self.chunks.set(chunk, to);
        }
    }

    /// FETCH-34, FETCH-35: takes over what was here before. Suspect chunks are recorded once more: a
    /// queue that was begun anew does not know of them, and the next stop may come soon.
    fn restore(&mut self, page: u32, bits: &[u8], to: State) {
        for chunk in self.chunks.of_bits(page, bits) {
            if self.chunks.state(chunk) == Some(State::Missing) {
                self.chunks.set(chunk, to);
                self.chunks.record(chunk, true);
            }
        }
        if to == State::Suspect && page < self.chunks.manifest.pages() {
            self.changed_pages.insert(page);
            self.record_due = true;
        }
    }

    /// FILE-9: keeps a page; pages that chunks wait for right now are never dropped for it.
    fn learn_digests(&mut self, page: u32, digests: Vec<Digest>) {
        let expected = self.chunks.manifest.page_chunks(page);
        debug_assert_eq!(digests.len(), expected.count as usize, "verified pages are complete");
        if expected.count == 0 || digests.len() != expected.count as usize {
            return;
        }
        let chunks = &self.chunks;
        let waiting = [State::Queued, State::Asked, State::Checking];
        let busy = |page| !chunks.those(chunks.manifest.page_chunks(page), &waiting).is_empty();
        self.pages.insert(page, digests, busy);
        self.unproven.remove(&page);
    }

    /// FILE-10: the root of a file of one chunk is the digest of that chunk.
    pub(super) fn need_digests(&mut self, page: u32) {
        if self.chunks.total() == 1 {
            self.pages.insert(0, vec![self.root], |_| false);
        } else {
            self.pages.need(page);
        }
    }

    /// FETCH-35: what is on disk counts when it hashes to what the manifest says. Until it turns out
    /// wrong its bit stays as it was, so that a second unclean stop does not forget it.
    fn checked(&mut self, now: Millis, chunk: ChunkNo, digest: Option<Digest>) {
        if self.chunks.state(chunk) != Some(State::Checking) {
            return;
        }
        if digest.is_some() && self.pages.digest(chunk) == digest.as_ref() {
            self.mark_written(now, chunk);
        } else {
            self.chunks.set(chunk, State::Missing);
            self.chunks.record(chunk, false);
            self.changed_pages.insert(page_of(chunk));
        }
        self.record_due |= self.unchecked() == 0;
    }

    /// FETCH-36: so does what was copied from other content.
    fn copied(&mut self, now: Millis, chunk: ChunkNo, digest: Digest, file: u32) {
        let open = matches!(self.chunks.state(chunk), Some(State::Missing | State::Queued));
        if open && file == self.file && self.pages.digest(chunk) == Some(&digest) {
            self.mark_written(now, chunk);
        }
    }

    fn lease(&mut self, range: ChunkRange) {
        let open = [State::Missing, State::Queued];
        debug_assert!(self.chunks.all(range, &open), "{range:?} is as `wanted` gave it");
        self.shift(range, &open, State::Asked);
        self.leases.push(range);
    }

    /// FETCH-6: what a request did not bring goes back, to its job or to be queued again.
    fn end_lease(&mut self, range: ChunkRange, queued: bool) {
        let lease = self.leases.iter().position(|lease| *lease == range);
        debug_assert!(lease.is_some(), "{range:?} was leased");
        let Some(lease) = lease else { return };
        self.leases.swap_remove(lease);
        let back = if queued { State::Queued } else { State::Missing };
        self.shift(range, &[State::Asked], back);
    }

    fn wrote(&mut self, now: Millis, chunk: ChunkNo, file: u32) {
        if file == self.file && self.chunks.state(chunk) == Some(State::Writing) {
            self.mark_written(now, chunk);
        }
    }

    fn write_failed(&mut self, chunk: ChunkNo, file: u32) {
        if file == self.file && self.chunks.state(chunk) == Some(State::Writing) {
            self.lose(chunk);
        }
    }

    fn mark_written(&mut self, now: Millis, chunk: ChunkNo) {
        self.chunks.set(chunk, State::Written);
        self.syncs.written(now, chunk, self.chunks.len(chunk));
    }

    /// FETCH-31: durable are the chunks that were written when the sync began.
    fn synced(&mut self, ticket: Ticket) {
        let chunks = self.syncs.finish(ticket);
        for &chunk in &chunks {
            self.chunks.set(chunk, State::Held);
            self.chunks.record(chunk, true);
        }
        let pages: BTreeSet<u32> = chunks.into_iter().map(page_of).collect();
        pages.iter().for_each(|&page| self.drop_page_if_held(page));
        self.changed_pages.extend(pages);
        self.record_due = true;
    }

    fn drop_page_if_held(&mut self, page: u32) {
        if self.chunks.all(self.chunks.manifest.page_chunks(page), &[State::Held]) {
            self.pages.forget(page);
        }
    }

    /// FETCH-33: after a failed sync the pages of the file may be marked clean and yet be lost, so
    /// nothing in it counts, and a new file takes its place.
    fn start_over(&mut self) {
        let all = self.chunks.manifest.all();
        self.changed_pages.extend(self.chunks.forget_recorded());
        self.shift(all, &[State::Suspect, State::Checking], State::Missing);
        for chunk in self.chunks.those(all, &[State::Writing, State::Written, State::Held]) {
            self.lose(chunk);
        }
        self.record_due = true;
        self.syncs.fail();
        self.file += 1;
        self.abandon = true;
        self.committed = false;
    }

    /// A chunk that was here has to come again. While the request that brought it goes on, it stays
    /// with that request: only its end tells what is free.
    fn lose(&mut self, chunk: ChunkNo) {
        self.bytes_twice += self.chunks.len(chunk);
        let leased = self.leases.iter().any(|lease| lease.contains(chunk));
        self.chunks.set(chunk, if leased { State::Asked } else { State::Missing });
    }
}

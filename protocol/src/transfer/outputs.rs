//! What follows from the state.

use super::chunks::State;
use super::{HeldBits, Output, Transfer};
use crate::ids::Millis;
use crate::manifest::page_of;

impl Transfer {
    /// The next thing to do; `None` when there is nothing until the next input or [`Self::wake_at`].
    pub fn poll(&mut self, now: Millis) -> Option<Output> {
        self.record()
            .or_else(|| std::mem::take(&mut self.abandon).then_some(Output::Abandon))
            .or_else(|| self.commit())
            .or_else(|| self.sync(now))
            .or_else(|| self.recheck())
            .or_else(|| self.enqueue())
            .or_else(|| self.ask_page())
    }

    /// FETCH-34: bitmaps follow syncs, and the end of reading back.
    fn record(&mut self) -> Option<Output> {
        if !std::mem::take(&mut self.record_due) || self.changed_pages.is_empty() {
            return None;
        }
        let pages = std::mem::take(&mut self.changed_pages).into_iter();
        let bits = |page| HeldBits { page, bits: self.chunks.recorded(page).to_vec() };
        Some(Output::Record(pages.map(bits).collect()))
    }

    /// FETCH-37: a file is committed when, and only when, all of its chunks are held.
    fn commit(&mut self) -> Option<Output> {
        let whole = self.chunks.count(State::Held) == self.chunks.total();
        (whole && !std::mem::replace(&mut self.committed, whole)).then_some(Output::Commit)
    }

    fn sync(&mut self, now: Millis) -> Option<Output> {
        let here = self.chunks.count(State::Written) + self.chunks.count(State::Held);
        self.syncs.begin(now, here == self.chunks.total()).map(Output::Sync)
    }

    /// FETCH-35: reads back what may be on disk, page by page.
    fn recheck(&mut self) -> Option<Output> {
        let room = self.config.window.saturating_sub(self.chunks.count(State::Checking));
        let page = page_of(self.chunks.first(State::Suspect)?);
        self.need_digests(page);
        if room == 0 || !self.pages.has(page) {
            return None;
        }
        let most = self.config.range.min(room);
        let run = self.chunks.take_run(State::Suspect, State::Checking, most);
        run.map(Output::Recheck)
    }

    /// Jobs that stood in the queue before may be for pages that are not here.
    fn ask_page(&mut self) -> Option<Output> {
        for page in self.unproven.clone() {
            self.need_digests(page);
        }
        self.pages.ask().map(Output::NeedDigests)
    }

    /// FETCH-1: fills the window when it is half empty, so that jobs are stored many at a time. Chunks
    /// of a page whose digests are not here wait for them: what can be copied is then copied.
    fn enqueue(&mut self) -> Option<Output> {
        let window = self.config.window;
        let mut open = self.chunks.count(State::Queued) + self.chunks.count(State::Asked);
        if open > window / 2 {
            return None;
        }
        let mut ranges = Vec::new();
        while open < window {
            let Some(first) = self.chunks.first(State::Missing) else { break };
            self.need_digests(page_of(first));
            if !self.pages.has(page_of(first)) {
                break;
            }
            let most = self.config.range.min(window - open);
            let run = self.chunks.take_run(State::Missing, State::Queued, most);
            let Some(range) = run else { break };
            open += range.count;
            ranges.push(range);
        }
        (!ranges.is_empty()).then_some(Output::Enqueue(ranges))
    }
}

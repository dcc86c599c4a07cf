//! One request to an origin from its start to its end, and what its end means for its jobs.
//!
//! Owns: the counts of one request, the translation of errors into pacing and retries. Not here:
//! the request itself.
//! Spec: QUEUE-1, QUEUE-4, QUEUE-5, QUEUE-12, QUEUE-13, FETCH-43 to FETCH-46.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use zotferry_protocol::ids::Millis;
use zotferry_protocol::pacing::{Event, How};
use zotferry_protocol::refusal::Retry;

use super::Receiver;
use super::origin::Origin;
use crate::catalog::SiteNo;
use crate::hub::CallError;
use crate::queue::Finish;
use crate::transport::TransportError;

/// How long the rest of a chunk may take once the hub stops.
const LAST_CHUNK: Duration = Duration::from_secs(2);

/// A request in flight. It is counted against the origin until it is dropped.
pub(super) struct Run {
    pub(super) origin: Arc<Origin>,
    receiver: Arc<Receiver>,
    started: Millis,
    first: bool,
    /// Content bytes that came.
    pub(super) bytes: u64,
    how: How,
    lied: bool,
    /// Small files that it names; 0 for one that is about chunks of large ones.
    files: usize,
}

impl Run {
    pub(super) fn begin(receiver: &Arc<Receiver>, origin: &Arc<Origin>, now: Millis) -> Self {
        origin.paced(now, Event::Started);
        Self {
            origin: Arc::clone(origin),
            receiver: Arc::clone(receiver),
            started: now,
            first: true,
            bytes: 0,
            how: How::Unsent,
            lied: false,
            files: 0,
        }
    }

    /// Some of what came was wrong.
    pub(super) fn lied(&mut self) {
        self.lied = true;
    }

    /// It names so many small files.
    pub(super) fn names(&mut self, files: usize) {
        self.files = files;
    }

    /// Whom it asks.
    pub(super) fn site(&self) -> SiteNo {
        self.origin.site
    }

    /// A request of this run is sent (again): its first byte tells the path's delay.
    pub(super) fn sent(&mut self) {
        self.receiver.hub.metrics.requests.one();
        self.how = How::Cut;
        self.started = self.receiver.hub.clock.now();
        self.first = true;
    }

    /// The head of an answer came.
    pub(super) fn answered(&mut self) {
        if std::mem::take(&mut self.first) {
            let now = self.receiver.hub.clock.now();
            self.tell(Event::FirstByte { after: now.since(self.started) });
        }
    }

    /// Content bytes came.
    pub(super) fn got(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.receiver.hub.metrics.bytes_fetched.add(bytes);
        self.tell(Event::Bytes(bytes));
    }

    /// The pacer hears of it; when it wants more requests in flight, the receiver wakes.
    fn tell(&self, event: Event) {
        if self.origin.paced(self.receiver.hub.clock.now(), event) {
            self.receiver.hub.work.notify_one();
        }
    }

    /// Resolves when the request has to end because the hub stops: at once between chunks, a little
    /// later within one, whose bytes would otherwise have to come again.
    pub(super) async fn stops(&self, within_chunk: bool) {
        self.receiver.hub.stop.cancelled().await;
        if within_chunk {
            let end = self.receiver.end.get_or_init(|| Instant::now() + LAST_CHUNK);
            tokio::time::sleep_until(*end).await;
        }
    }

    /// It rests, because the origin asked for that; others may use its place.
    pub(super) fn pauses(&mut self, error: &CallError) {
        let now = self.receiver.hub.clock.now();
        self.origin.paced(now, Event::Finished { how: how(error), bytes: 0 });
    }

    /// And goes on.
    pub(super) fn goes_on(&mut self) {
        self.origin.paced(self.receiver.hub.clock.now(), Event::Started);
    }

    /// How it ended.
    pub(super) fn ends(&mut self, how: How) {
        self.how = how;
    }

    /// How it ended, when it did with an error.
    pub(super) fn fails(&mut self, error: &CallError) {
        self.how = how(error);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let (now, how, bytes) = (self.receiver.hub.clock.now(), self.how, self.bytes);
        self.origin.paced(now, Event::Finished { how, bytes });
        if self.files > 0 {
            self.origin.named(self.files, how);
        }
        if self.origin.ended(now, how, bytes, self.lied) {
            self.receiver.is_back(self.origin.site);
        }
        self.receiver.hub.work.notify_one();
    }
}

/// What an error says about the path.
fn how(error: &CallError) -> How {
    let ms = error.retry_after();
    match error {
        CallError::Transport(TransportError::Stalled(_)) => How::Stalled,
        CallError::NotOurs { status: 413, .. } => How::TooLarge,
        CallError::NotOurs { status: 429, .. } => How::TooMany { retry_after: ms },
        CallError::NotOurs { status: 503, .. } => How::Unavailable { retry_after: ms },
        CallError::Refused { code, .. } => match code.0 {
            60 => How::TooMany { retry_after: ms },
            61 => How::Unavailable { retry_after: ms },
            _ => How::Refused,
        },
        _ => How::TimedOut,
    }
}

/// What an error means for the jobs of a request.
pub(super) fn finish(error: &CallError, now: Millis) -> Finish {
    let reason = error.to_string();
    match error.retry() {
        Retry::Never => Finish::Dead { reason },
        Retry::Later | Retry::Elsewhere => {
            Finish::Retry { reason, not_before: error.retry_after().map(|ms| now.plus(ms)) }
        }
    }
}

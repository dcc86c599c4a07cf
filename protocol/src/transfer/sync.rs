//! Group commit: when what has been written is made durable.
//!
//! Spec: FETCH-31, FETCH-32.

use crate::ids::{ChunkNo, Millis};

/// How much may be written, or how long it may wait, before a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCommit {
    /// Bytes written.
    pub bytes: u64,
    /// Ms since the first of them.
    pub ms: u64,
}

impl Default for GroupCommit {
    fn default() -> Self {
        Self { bytes: 64 << 20, ms: 500 }
    }
}

/// Names one sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What is written and not yet durable. One sync runs at a time; what is written meanwhile waits
/// for the next, since a sync promises nothing about writes that end after it began.
#[derive(Debug)]
pub(super) struct Syncs {
    policy: GroupCommit,
    waiting: Vec<ChunkNo>,
    waiting_bytes: u64,
    since: Millis,
    running: Option<(Ticket, Vec<ChunkNo>)>,
    next: u64,
}

impl Syncs {
    pub(super) fn new(policy: GroupCommit) -> Self {
        Self {
            policy,
            waiting: Vec::new(),
            waiting_bytes: 0,
            since: Millis::default(),
            running: None,
            next: 0,
        }
    }

    /// A chunk was written completely.
    pub(super) fn written(&mut self, now: Millis, chunk: ChunkNo, bytes: u64) {
        if self.waiting.is_empty() {
            self.since = now;
        }
        self.waiting.push(chunk);
        self.waiting_bytes += bytes;
    }

    /// Begins a sync if it is time; `last` when nothing more is to be waited for.
    pub(super) fn begin(&mut self, now: Millis, last: bool) -> Option<Ticket> {
        let due = last
            || self.waiting_bytes >= self.policy.bytes
            || now.since(self.since) >= self.policy.ms;
        if self.waiting.is_empty() || self.running.is_some() || !due {
            return None;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting_bytes = 0;
        self.running = Some((ticket, std::mem::take(&mut self.waiting)));
        Some(ticket)
    }

    /// The chunks that a sync made durable; none if it was overtaken by a failure.
    pub(super) fn finish(&mut self, ticket: Ticket) -> Vec<ChunkNo> {
        let running = self.running.take_if(|running| running.0 == ticket);
        running.map_or_else(Vec::new, |running| running.1)
    }

    /// Forgets all that was written.
    pub(super) fn fail(&mut self) {
        self.running = None;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// When a sync is due that is not due yet.
    pub(super) fn wake_at(&self) -> Option<Millis> {
        let idle = self.running.is_none() && !self.waiting.is_empty();
        idle.then(|| self.since.plus(self.policy.ms))
    }
}

//! Streaming to one origin: whether to try at all.
//!
//! Owns: what was learnt about the path, and for how long it holds; `answer` judges the answers.
//! Not here: chunks kept when falling back (see `transfer`), connections, clocks.
//! Invariant: what was learnt holds for an hour, then streaming is tried again.
//! Spec: STREAM-5, STREAM-9 to STREAM-11.

mod answer;

pub use answer::{Asked, Head, NotOurs, STREAM_TYPE};

use crate::ids::Millis;

/// STREAM-11: how long what was learnt about a path holds: one hour, in ms.
pub const HOLDS_FOR: u64 = 60 * 60 * 1000;
/// STREAM-10: attempts in a row without a new verified chunk that close a path.
pub const FRUITLESS_ATTEMPTS: u8 = 2;

/// What one attempt to stream showed. A signed refusal speaks about the file and is no event here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEvent {
    /// The answer was not a stream of ours.
    NotOurs(NotOurs),
    /// The attempt ended without a new verified chunk.
    NoProgress,
    /// A chunk was verified.
    Progress,
    /// Policy, this hub's or the origin's, says not to stream.
    PolicyOff,
}

/// Why streaming is unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Policy says so.
    #[error("policy says not to stream")]
    Policy,
    /// Something that is not a stream of ours came back.
    #[error(transparent)]
    NotOurs(NotOurs),
    /// Too many attempts in a row brought nothing.
    #[error("two attempts in a row brought no new verified chunk")]
    NoProgress,
}

/// What is known about streaming from one origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamPath {
    fruitless: u8,
    learnt: Option<(Millis, Unavailable)>,
}

impl StreamPath {
    /// Nothing learnt yet: streaming may be tried.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether streaming may be tried now.
    pub fn allows(&self, now: Millis) -> bool {
        self.unavailable(now).is_none()
    }

    /// Why streaming may not be tried now.
    pub fn unavailable(&self, now: Millis) -> Option<Unavailable> {
        // The distance in either direction: a clock set back must not close a path for longer.
        let holds = |at: Millis| at.0.abs_diff(now.0) < HOLDS_FOR;
        self.learnt.and_then(|(at, why)| holds(at).then_some(why))
    }

    /// Learns from one attempt.
    pub fn handle(&mut self, now: Millis, event: StreamEvent) {
        match event {
            StreamEvent::PolicyOff => self.close(now, Unavailable::Policy),
            StreamEvent::NotOurs(what) => self.close(now, Unavailable::NotOurs(what)),
            StreamEvent::Progress => self.fruitless = 0,
            // Streams that were under way when the path closed say nothing about the next try.
            StreamEvent::NoProgress if !self.allows(now) => {}
            StreamEvent::NoProgress => self.count_fruitless(now),
        }
    }

    fn count_fruitless(&mut self, now: Millis) {
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS_ATTEMPTS {
            self.close(now, Unavailable::NoProgress);
        }
    }

    fn close(&mut self, now: Millis, why: Unavailable) {
        self.fruitless = 0;
        self.learnt = Some((now, why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = Millis(1_000_000_000);
    const BROKEN: StreamEvent = StreamEvent::NotOurs(NotOurs::Status(502));

    fn after(events: &[StreamEvent]) -> StreamPath {
        let mut path = StreamPath::new();
        for event in events {
            path.handle(START, *event);
        }
        path
    }

    /// STREAM-9: an answer that is not ours closes the path at once, and so does policy.
    #[test]
    fn what_is_not_ours_closes_the_path_at_once() {
        assert!(StreamPath::new().allows(START));
        let why = Unavailable::NotOurs(NotOurs::Status(502));
        assert_eq!(after(&[BROKEN]).unavailable(START), Some(why));
        let off = after(&[StreamEvent::PolicyOff]);
        assert_eq!(off.unavailable(START), Some(Unavailable::Policy));
    }

    /// STREAM-10: two attempts in a row without a new verified chunk close the path, progress between them does not.
    #[test]
    fn only_two_fruitless_attempts_in_a_row_close_the_path() {
        use StreamEvent::{NoProgress, Progress};
        assert!(after(&[NoProgress]).allows(START));
        assert!(after(&[NoProgress, Progress, NoProgress]).allows(START));
        let closed = after(&[NoProgress, Progress, NoProgress, NoProgress]);
        assert_eq!(closed.unavailable(START), Some(Unavailable::NoProgress));
    }

    /// STREAM-11: after an hour streaming is tried again, with a fresh count.
    #[test]
    fn after_an_hour_streaming_is_tried_again() {
        let mut path = after(&[StreamEvent::NoProgress, StreamEvent::NoProgress]);
        assert!(!path.allows(START.plus(HOLDS_FOR - 1)));
        let later = START.plus(HOLDS_FOR);
        assert!(path.allows(later));
        path.handle(later, StreamEvent::NoProgress);
        assert!(path.allows(later), "one attempt is not two");
        path.handle(later, StreamEvent::NoProgress);
        assert!(!path.allows(later));
    }

    /// STREAM-11: streams that were under way when the path closed neither reopen it nor count later.
    #[test]
    fn stragglers_of_a_closed_path_change_nothing() {
        let mut path = after(&[BROKEN, StreamEvent::Progress, StreamEvent::NoProgress]);
        assert!(!path.allows(START));
        let later = START.plus(HOLDS_FOR);
        path.handle(later, StreamEvent::NoProgress);
        assert!(path.allows(later));
    }

    /// STREAM-11: a clock that is set back does not close a path for longer than an hour.
    #[test]
    fn a_clock_set_back_does_not_keep_the_path_closed() {
        let path = after(&[BROKEN]);
        assert!(!path.allows(START.offset(-1)));
        assert!(path.allows(START.offset(-(HOLDS_FOR as i64))));
    }
}

//! Plans one response of the origin: which frames, in which order, and how it ends.
//!
//! Owns: the position in the list of chunks and the byte budget. Not here: reading the bytes,
//! whether an item may be served.
//! Invariant: the frames of successive responses, each resumed where the last one stopped, join
//! without a gap and without an overlap.
//! Spec: FETCH-14 to FETCH-18, FETCH-20, FETCH-21.

use super::{End, Frame, MAX_FRAME, Resume, ResumeError};

/// One chunk of a request's flattened list: items in order, each item's chunks in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Position of its item in the request.
    pub item: u32,
    /// Number of the chunk in its file.
    pub chunk: u32,
    /// Bytes in the chunk, at least 1; `None` where the item cannot be served.
    pub len: Option<u32>,
}

/// What the origin writes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The header of this frame and the bytes that it names.
    Frame(Frame),
    /// A refusal of this item; nothing more of it follows.
    Refuse(u32),
    /// The end frame; nothing follows.
    End(End),
}

/// The steps of one response. Yields [`Step::End`] once, last.
#[derive(Debug, Clone)]
pub struct Plan {
    wanted: Vec<Wanted>,
    next: usize,
    offset: u32,
    budget: u64,
    ended: bool,
}

impl Plan {
    /// FETCH-18, FETCH-21: goes on at `from`; at most `budget` bytes of payload (frame headers are not counted).
    pub fn new(wanted: Vec<Wanted>, from: Resume, budget: u64) -> Result<Self, ResumeError> {
        let next = usize::try_from(from.chunks).map_err(|_| ResumeError::OutsideRequest)?;
        let inside = match wanted.get(next) {
            // An item that became unservable meanwhile is refused, not the whole request.
            Some(chunk) => from.bytes == 0 || chunk.len.is_none_or(|len| from.bytes < len),
            None => next == wanted.len() && from.bytes == 0,
        };
        if !inside {
            return Err(ResumeError::OutsideRequest);
        }
        Ok(Self { wanted, next, offset: from.bytes, budget, ended: false })
    }

    /// Drops what is left of an item that turned out to be unservable; the caller writes the refusal.
    pub fn drop_item(&mut self, item: u32) {
        while self.wanted.get(self.next).is_some_and(|chunk| chunk.item == item) {
            self.next += 1;
            self.offset = 0;
        }
    }

    /// FETCH-15: the next byte of the list; FETCH-16: or the end, wherever the budget ends; FETCH-17: an
    /// item that cannot be given is refused at its place.
    fn step(&mut self) -> Step {
        let Some(chunk) = self.wanted.get(self.next).copied() else {
            return Step::End(End::Done);
        };
        let Some(len) = chunk.len else {
            self.drop_item(chunk.item);
            return Step::Refuse(chunk.item);
        };
        let room = u32::try_from(self.budget).unwrap_or(u32::MAX).min(MAX_FRAME);
        match room.min(len.saturating_sub(self.offset)) {
            0 => Step::End(End::Limit),
            frame => Step::Frame(self.advance(chunk, len, frame)),
        }
    }

    fn advance(&mut self, Wanted { item, chunk, .. }: Wanted, chunk_len: u32, len: u32) -> Frame {
        let frame = Frame { item, chunk, offset: self.offset, len };
        self.budget -= u64::from(len);
        self.offset += len;
        if self.offset == chunk_len {
            self.next += 1;
            self.offset = 0;
        }
        frame
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.ended {
            return None;
        }
        let step = self.step();
        self.ended = matches!(step, Step::End(_));
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u32 = 1024;

    fn wanted(list: &[(u32, u32, u32)]) -> Vec<Wanted> {
        let chunk = |(item, chunk, len): &(u32, u32, u32)| Wanted {
            item: *item,
            chunk: *chunk,
            len: (*len > 0).then_some(*len),
        };
        list.iter().map(chunk).collect()
    }

    fn steps(list: &[(u32, u32, u32)], (chunks, bytes): (u32, u32), budget: u64) -> String {
        let plan = Plan::new(wanted(list), Resume { chunks, bytes }, budget);
        let words = plan.expect("a position inside the request").map(|step| match step {
            Step::Frame(f) => format!("{}/{} {}+{}", f.item, f.chunk, f.offset, f.len),
            Step::Refuse(item) => format!("refuse {item}"),
            Step::End(end) => end.as_str().to_owned(),
        });
        words.collect::<Vec<_>>().join(" | ")
    }

    /// FETCH-11, FETCH-15: chunks in the order asked for, at most 256 KiB to a frame.
    #[test]
    fn a_chunk_travels_in_frames_of_at_most_256_kib() {
        let list = [(0, 4, 600 * KIB), (1, 0, 5)];
        let expected = "0/4 0+262144 | 0/4 262144+262144 | 0/4 524288+90112 | 1/0 0+5 | done";
        assert_eq!(steps(&list, (0, 0), u64::MAX), expected);
        assert_eq!(steps(&[], (0, 0), u64::MAX), "done");
    }

    /// FETCH-16, FETCH-18: the budget ends a response anywhere; exactly used up by the last byte it is done.
    #[test]
    fn the_budget_ends_a_response_with_limit() {
        let list = [(0, 0, 10), (0, 1, 10)];
        assert_eq!(steps(&list, (0, 0), 13), "0/0 0+10 | 0/1 0+3 | limit");
        assert_eq!(steps(&list, (0, 0), 20), "0/0 0+10 | 0/1 0+10 | done");
        assert_eq!(steps(&list, (0, 0), 0), "limit");
        assert_eq!(steps(&list, (2, 0), 0), "done");
    }

    /// FETCH-20: a response goes on in the middle of a chunk.
    #[test]
    fn a_response_resumes_inside_a_chunk() {
        let list = [(0, 0, 10), (0, 1, 10)];
        assert_eq!(steps(&list, (1, 3), 100), "0/1 3+7 | done");
    }

    /// FETCH-17: an item that is gone is refused once, and its chunks count as complete.
    #[test]
    fn a_refused_item_does_not_spoil_the_others() {
        let list = [(0, 0, 10), (1, 0, 0), (1, 1, 0), (2, 0, 10)];
        assert_eq!(steps(&list, (0, 0), 100), "0/0 0+10 | refuse 1 | 2/0 0+10 | done");
        assert_eq!(steps(&list, (3, 4), 100), "2/0 4+6 | done");
        assert_eq!(steps(&list, (1, 4), 100), "refuse 1 | 2/0 0+10 | done");
        assert_eq!(steps(&list, (1, 0), 0), "refuse 1 | limit");
    }

    /// FETCH-17: an item whose bytes cannot be read any more is dropped in the middle.
    #[test]
    fn an_item_can_be_dropped_while_it_is_sent() {
        let list = wanted(&[(0, 0, 600 * KIB), (0, 1, 10), (1, 0, 10)]);
        let mut plan = Plan::new(list, Resume::default(), u64::MAX).expect("the start");
        assert!(matches!(plan.next(), Some(Step::Frame(Frame { item: 0, .. }))));
        plan.drop_item(0);
        let rest = Frame { item: 1, chunk: 0, offset: 0, len: 10 };
        assert_eq!(plan.collect::<Vec<_>>(), [Step::Frame(rest), Step::End(End::Done)]);
    }

    /// FETCH-21: a position outside the request is refused: also a whole chunk given as bytes.
    #[test]
    fn positions_outside_the_request_are_refused() {
        for (chunks, bytes) in [(0, 10), (1, 10), (1, 11), (2, 1), (3, 0), (u32::MAX, u32::MAX)] {
            let list = wanted(&[(0, 0, 10), (0, 1, 10)]);
            let refused = Plan::new(list, Resume { chunks, bytes }, 100).map(drop);
            assert_eq!(refused, Err(ResumeError::OutsideRequest), "{chunks}:{bytes}");
        }
    }
}

//! Reads frames from bytes as they arrive, however they are split.
//!
//! Owns: the unfinished head of a frame (at most 1 KiB). Not here: chunk bytes, which pass through
//! as slices of the input; whether a frame was asked for.
//! Invariant: events do not depend on how the input is split, except where `Data` is cut.
//! Spec: FETCH-10 to FETCH-14.

use bytes::{Buf, Bytes};

use super::head::{self, Stop};
use super::{End, MAX_HEAD};

#[cfg(test)]
mod tests;

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameEvent {
    /// A data frame begins; [`FrameEvent::Data`] of `len` bytes in all follows.
    Header {
        /// Position in the request's list of items.
        item: u32,
        /// Number of the chunk in its file.
        chunk: u32,
        /// Offset of the first byte inside the chunk.
        offset: u32,
        /// Number of bytes, 1 to [`MAX_FRAME`](super::MAX_FRAME).
        len: u32,
    },
    /// The next bytes of the frame, a slice of the input.
    Data(Bytes),
    /// One item is refused.
    Refused {
        /// Position in the request's list of items.
        item: u32,
        /// Code in the table of refusals.
        code: u16,
        /// The peer's sentence for people, not escaped.
        text: String,
    },
    /// The response is complete; nothing may follow.
    End(End),
}

/// Bytes that are not frames. The fault is with whoever sent them, or with the path between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not one of the three frames.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// A refusal or a header that is longer than any may be.
    #[error("a frame's head is longer than 1 KiB")]
    HeadTooLong,
    /// A data frame without data.
    #[error("a data frame is empty")]
    Empty,
    /// A data frame of more than [`MAX_FRAME`](super::MAX_FRAME).
    #[error("a data frame of {0} bytes is larger than 256 KiB")]
    TooLarge(u32),
    /// A data frame that reaches beyond the largest chunk.
    #[error("{len} bytes at offset {offset} reach beyond the largest chunk")]
    BeyondChunk {
        /// Offset inside the chunk.
        offset: u32,
        /// Bytes in the frame.
        len: u32,
    },
    /// Bytes after the end frame.
    #[error("something follows the end frame")]
    AfterEnd,
}

/// Where the reader stands.
#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    Payload { left: u32 },
    Ended,
    Failed(FrameError),
}

/// Reads one response. Memory: 1 KiB, whatever arrives.
#[derive(Debug)]
pub struct FrameReader {
    state: State,
    head: Vec<u8>,
}

impl FrameReader {
    /// At the start of a response.
    pub fn new() -> Self {
        Self {
            state: State::Head,
            head: Vec::new(),
        }
    }

    /// FETCH-10: takes the next event off the front of `input`; `None` once all of it is used.
    ///
    /// An error is final: every later call repeats it.
    pub fn feed(&mut self, input: &mut Bytes) -> Result<Option<FrameEvent>, FrameError> {
        let event = match self.state {
            State::Failed(error) => Err(error),
            _ if input.is_empty() => Ok(None),
            State::Head => self.read_head(input),
            State::Payload { left } => Ok(Some(self.pass_on(left, input))),
            State::Ended => Err(FrameError::AfterEnd),
        };
        if let Err(error) = event {
            self.state = State::Failed(error);
        }
        event
    }

    /// Whether nothing is unfinished: before the first frame, between two, and after the last.
    pub fn is_between_frames(&self) -> bool {
        let outside = matches!(self.state, State::Head | State::Ended);
        outside && self.head.is_empty()
    }

    /// Parses what is kept of the head together with as much of the input as a head can need.
    fn read_head(&mut self, input: &mut Bytes) -> Result<Option<FrameEvent>, FrameError> {
        let kept = self.head.len();
        let taken = input.len().min(MAX_HEAD - kept);
        self.head.extend_from_slice(&input[..taken]);
        match head::parse(&self.head) {
            Ok((event, len)) => {
                input.advance(len - kept);
                self.head.clear();
                self.state = state_after(&event);
                Ok(Some(event))
            }
            Err(Stop::Bad(error)) => Err(error),
            Err(Stop::More) if self.head.len() == MAX_HEAD => Err(FrameError::HeadTooLong),
            Err(Stop::More) => {
                input.advance(taken);
                Ok(None)
            }
        }
    }

    fn pass_on(&mut self, left: u32, input: &mut Bytes) -> FrameEvent {
        let len = u32::try_from(input.len()).unwrap_or(u32::MAX).min(left);
        self.state = match left - len {
            0 => State::Head,
            left => State::Payload { left },
        };
        FrameEvent::Data(input.split_to(len as usize))
    }
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

fn state_after(event: &FrameEvent) -> State {
    match event {
        FrameEvent::Header { len, .. } => State::Payload { left: *len },
        FrameEvent::End(_) => State::Ended,
        FrameEvent::Data(_) | FrameEvent::Refused { .. } => State::Head,
    }
}

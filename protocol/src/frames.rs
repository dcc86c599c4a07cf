//! Chunk bytes on their way: the frames that answer a `chunk-request`.
//!
//! Owns: how frames are written, read from any split of the bytes, and planned. Not here: whether
//! the bytes are right (see `merkle`), what to ask for next (see `transfer`), sockets.
//! Invariant: a response cut anywhere loses nothing of what had arrived.
//! Spec: FETCH-10 to FETCH-18, FETCH-20, FETCH-21.
//!
//! A response is a sequence of MessagePack arrays:
//!
//! | frame | says |
//! |---|---|
//! | `[item, chunk, offset, bin]` | 1 byte to 256 KiB of a chunk, from byte `offset` of that chunk on |
//! | `[item, nil, {code, text}]` | this item is refused; the others are not affected |
//! | `[nil, "done"]`, `[nil, "limit"]` | the end; without it the response was cut |

mod head;
mod plan;
mod reader;
mod resume;

pub use plan::{Plan, Step, Wanted};
pub use reader::{FrameError, FrameEvent, FrameReader};
pub use resume::{Resume, ResumeError};

use rmp::Marker;
use rmp::encode::{self, ValueWriteError};

/// FETCH-11: the most bytes of a chunk in one frame: 256 KiB.
pub const MAX_FRAME: u32 = 256 << 10;
/// FETCH-13: the longest text of a refusal, in bytes.
pub const MAX_REFUSAL_TEXT: usize = 512;
/// The most bytes before a frame's payload; a refusal or an end is never longer. Bounds the reader's memory.
const MAX_HEAD: usize = 1024;

/// One data frame, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Position in the request's list of items.
    pub item: u32,
    /// Number of the chunk in its file.
    pub chunk: u32,
    /// Offset of the first byte inside the chunk.
    pub offset: u32,
    /// Number of bytes, 1 to [`MAX_FRAME`].
    pub len: u32,
}

/// Why one item is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameRefusal {
    /// Code in the table of refusals.
    pub code: u16,
    /// A sentence for people; at most [`MAX_REFUSAL_TEXT`] bytes travel.
    pub text: String,
}

/// How a response ends when it was not cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything that was asked for was sent or refused.
    Done,
    /// The byte budget of this response is used up; ask again from where it stopped.
    Limit,
}

impl End {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Limit => "limit",
        }
    }
}

/// FETCH-11: what precedes the `len` bytes of a data frame (up to 25 bytes).
pub fn data_header(item: u32, chunk: u32, offset: u32, len: u32) -> Vec<u8> {
    written(|out| {
        encode::write_array_len(out, 4)?;
        for number in [item, chunk, offset] {
            encode::write_uint(out, number.into())?;
        }
        encode::write_bin_len(out, len).map(drop)
    })
}

/// FETCH-13: a whole refusal frame; a text that is too long is cut between two characters.
pub fn refusal_frame(item: u32, refusal: &FrameRefusal) -> Vec<u8> {
    let text = &refusal.text[..refusal.text.floor_char_boundary(MAX_REFUSAL_TEXT)];
    written(|out| {
        encode::write_array_len(out, 3)?;
        encode::write_uint(out, item.into())?;
        out.push(Marker::Null.to_u8());
        encode::write_map_len(out, 2)?;
        encode::write_str(out, "code")?;
        encode::write_uint(out, refusal.code.into())?;
        encode::write_str(out, "text")?;
        encode::write_str(out, text)
    })
}

/// FETCH-14: a whole end frame.
pub fn end_frame(end: End) -> Vec<u8> {
    written(|out| {
        encode::write_array_len(out, 2)?;
        out.push(Marker::Null.to_u8());
        encode::write_str(out, end.as_str())
    })
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), ValueWriteError>) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    write(&mut out).expect("a Vec takes every byte");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FETCH-11, FETCH-13, FETCH-14: the frames as they stand on the wire.
    #[test]
    fn frames_have_the_specified_bytes() {
        assert_eq!(hex::encode(data_header(0, 1, 0, 5)), "94000100c405");
        let wide = data_header(255, 1_048_575, 15 << 20, MAX_FRAME);
        assert_eq!(hex::encode(wide), "94ccffce000fffffce00f00000c600040000");
        let gone = FrameRefusal { code: 300, text: "gone".to_owned() };
        let expected = "9307c082a4636f6465cd012ca474657874a4676f6e65";
        assert_eq!(hex::encode(refusal_frame(7, &gone)), expected);
        assert_eq!(hex::encode(end_frame(End::Done)), "92c0a4646f6e65");
        assert_eq!(hex::encode(end_frame(End::Limit)), "92c0a56c696d6974");
    }

    /// FETCH-13: whatever the text, the frame stays within what every reader takes.
    #[test]
    fn a_long_refusal_text_is_cut_between_characters() {
        let text = "é".repeat(300) + "x";
        let frame = refusal_frame(u32::MAX, &FrameRefusal { code: u16::MAX, text });
        assert!(frame.len() <= MAX_HEAD);
        let cut = "é".repeat(256);
        assert!(frame.ends_with(cut.as_bytes()), "512 bytes are 256 such characters");
    }
}

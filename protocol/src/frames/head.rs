//! Parses the head of a frame: everything before chunk bytes, or the whole of another frame.
//!
//! Owns: what is well formed. Not here: keeping a head that has arrived in part (see `reader`).
//! Invariant: a prefix is judged as the whole would be, and nothing is allocated before it is bounded.
//! Spec: FETCH-11 to FETCH-14.

use std::io;

use rmp::Marker;
use rmp::decode::{self, NumValueReadError, ValueReadError};

use super::reader::{FrameError, FrameEvent};
use super::{End, Frame, FrameRefusal, MAX_FRAME, MAX_REFUSAL_TEXT};
use crate::manifest::MAX_CHUNK;

/// The event that the head at the start of `bytes` stands for, and the length of that head.
pub(super) fn parse(bytes: &[u8]) -> Result<(FrameEvent, usize), Stop> {
    let mut parser = Parser { rest: bytes };
    let event = parser.head()?;
    Ok((event, bytes.len() - parser.rest.len()))
}

/// Why parsing stopped short.
pub(super) enum Stop {
    /// The head is right so far and goes on.
    More,
    /// No continuation makes it right.
    Bad(FrameError),
}

impl Stop {
    fn malformed<T>(what: &'static str) -> Result<T, Self> {
        Err(Self::Bad(FrameError::Malformed(what)))
    }

    fn value(error: &ValueReadError<io::Error>, what: &'static str) -> Self {
        match error {
            ValueReadError::TypeMismatch(_) => Self::Bad(FrameError::Malformed(what)),
            ValueReadError::InvalidMarkerRead(_) | ValueReadError::InvalidDataRead(_) => Self::More,
        }
    }
}

/// Reads strictly from left to right, so that the verdict on a prefix is the verdict on the whole.
struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    fn head(&mut self) -> Result<FrameEvent, Stop> {
        let len = decode::read_array_len(&mut self.rest)
            .map_err(|error| Stop::value(&error, "a frame is an array"))?;
        match len {
            4 => self.data(),
            3 => self.refusal(),
            2 => self.end(),
            _ => Stop::malformed("a frame has 2, 3 or 4 elements"),
        }
    }

    fn data(&mut self) -> Result<FrameEvent, Stop> {
        let item = self.number("item is a number of 32 bits")?;
        let chunk = self.number("chunk is a number of 32 bits")?;
        let offset = self.number("offset is a number of 32 bits")?;
        let len = decode::read_bin_len(&mut self.rest)
            .map_err(|error| Stop::value(&error, "chunk bytes are bin"))?;
        let frame = Frame {
            item,
            chunk,
            offset,
            len,
        };
        check_payload(&frame).map_err(Stop::Bad)?;
        Ok(FrameEvent::Header {
            item,
            chunk,
            offset,
            len,
        })
    }

    fn refusal(&mut self) -> Result<FrameEvent, Stop> {
        let item = self.number("item is a number of 32 bits")?;
        self.nil()?;
        let FrameRefusal { code, text } = self.refusal_fields()?;
        Ok(FrameEvent::Refused { item, code, text })
    }

    fn refusal_fields(&mut self) -> Result<FrameRefusal, Stop> {
        let len = decode::read_map_len(&mut self.rest)
            .map_err(|error| Stop::value(&error, "a refusal is a map"))?;
        let (mut code, mut text) = (None, None);
        for _ in 0..len {
            match self.text()? {
                "code" if code.is_none() => {
                    code = Some(self.number("code is a number of 16 bits")?);
                }
                "text" if text.is_none() => text = Some(self.text()?.to_owned()),
                "code" | "text" => return Stop::malformed("a refusal names a field twice"),
                _ => self.skip_value()?,
            }
        }
        match (code, text) {
            (Some(code), Some(text)) => Ok(FrameRefusal { code, text }),
            _ => Stop::malformed("a refusal has a code and a text"),
        }
    }

    fn end(&mut self) -> Result<FrameEvent, Stop> {
        self.nil()?;
        match self.text()? {
            "done" => Ok(FrameEvent::End(End::Done)),
            "limit" => Ok(FrameEvent::End(End::Limit)),
            _ => Stop::malformed("a response ends with done or limit"),
        }
    }

    /// Any MessagePack integer, however wide, that has a value of type `T`.
    fn number<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, Stop> {
        let number: u64 = decode::read_int(&mut self.rest).map_err(|error| match error {
            NumValueReadError::InvalidMarkerRead(_) | NumValueReadError::InvalidDataRead(_) => {
                Stop::More
            }
            NumValueReadError::TypeMismatch(_) | NumValueReadError::OutOfRange => {
                Stop::Bad(FrameError::Malformed(what))
            }
        })?;
        T::try_from(number).map_or_else(|_| Stop::malformed(what), Ok)
    }

    fn nil(&mut self) -> Result<(), Stop> {
        match self.bytes(1)?[0] {
            byte if byte == Marker::Null.to_u8() => Ok(()),
            _ => Stop::malformed("a frame without bytes has nil in their place"),
        }
    }

    fn text(&mut self) -> Result<&'a str, Stop> {
        let len = decode::read_str_len(&mut self.rest)
            .map_err(|error| Stop::value(&error, "a text is a string"))?;
        if len as usize > MAX_REFUSAL_TEXT {
            return Stop::malformed("a text is at most 512 bytes");
        }
        let bytes = self.bytes(len.into())?;
        std::str::from_utf8(bytes).or_else(|_| Stop::malformed("a text is UTF-8"))
    }

    /// FETCH-13: fields that this version does not know are ignored. Nesting costs no stack.
    fn skip_value(&mut self) -> Result<(), Stop> {
        let mut left = 1;
        while left > 0 {
            left = left - 1 + self.skip_marker()?;
        }
        Ok(())
    }

    /// Skips one marker and the bytes that belong to it alone; gives the number of values inside it.
    fn skip_marker(&mut self) -> Result<u64, Stop> {
        let marker = Marker::from_u8(self.bytes(1)?[0]);
        let own = match marker {
            Marker::Reserved => return Stop::malformed("0xc1 is not MessagePack"),
            Marker::FixArray(len) => return Ok(len.into()),
            Marker::Array16 => return self.length(2),
            Marker::Array32 => return self.length(4),
            Marker::FixMap(len) => return Ok(2 * u64::from(len)),
            Marker::Map16 => return Ok(2 * self.length(2)?),
            Marker::Map32 => return Ok(2 * self.length(4)?),
            Marker::FixStr(len) => len.into(),
            Marker::Str8 | Marker::Bin8 => self.length(1)?,
            Marker::Str16 | Marker::Bin16 => self.length(2)?,
            Marker::Str32 | Marker::Bin32 => self.length(4)?,
            Marker::Ext8 => self.length(1)? + 1,
            Marker::Ext16 => self.length(2)? + 1,
            Marker::Ext32 => self.length(4)? + 1,
            fixed => fixed_size(fixed),
        };
        self.bytes(own)?;
        Ok(0)
    }

    /// A length of `width` bytes, big-endian.
    fn length(&mut self, width: u64) -> Result<u64, Stop> {
        let bytes = self.bytes(width)?;
        Ok(bytes
            .iter()
            .fold(0, |length, byte| length << 8 | u64::from(*byte)))
    }

    fn bytes(&mut self, len: u64) -> Result<&'a [u8], Stop> {
        let len = usize::try_from(len).map_err(|_| Stop::More)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Stop::More)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// Bytes after the marker of a value whose size follows from the marker.
fn fixed_size(marker: Marker) -> u64 {
    match marker {
        Marker::U8 | Marker::I8 => 1,
        Marker::U16 | Marker::I16 | Marker::FixExt1 => 2,
        Marker::FixExt2 => 3,
        Marker::U32 | Marker::I32 | Marker::F32 => 4,
        Marker::FixExt4 => 5,
        Marker::U64 | Marker::I64 | Marker::F64 => 8,
        Marker::FixExt8 => 9,
        Marker::FixExt16 => 17,
        _ => 0,
    }
}

/// FETCH-11, FETCH-12: 1 byte to 256 KiB, within the largest chunk.
fn check_payload(frame: &Frame) -> Result<(), FrameError> {
    let Frame { offset, len, .. } = *frame;
    match len {
        0 => Err(FrameError::Empty),
        _ if len > MAX_FRAME => Err(FrameError::TooLarge(len)),
        _ if offset > MAX_CHUNK - len => Err(FrameError::BeyondChunk { offset, len }),
        _ => Ok(()),
    }
}

//! The header of a WebP file: the parts of its RIFF container.
//!
//! Owns: the walk to the first frame and to the EXIF part. Not here: pixels.
//! Invariant: a part that reaches beyond the file, and a frame that is not of the size that the file
//! claims, are refused: the decoder would set memory aside for either.
//! Spec: PHOTO-6.

use std::io::{Read, Seek, SeekFrom};

use super::BadPicture;
use super::header::{Found, block, bytes};

/// Most parts that are looked at.
const MAX_PARTS: u32 = 65_536;
/// Memory for a pixel: four bytes decoded, the planes or the colours that they are made of.
const PIXEL: u64 = 8;

/// What the parts say together.
#[derive(Default)]
struct Parts {
    /// Width and height of all, from an extended header.
    canvas: Option<(u32, u32)>,
    animated: bool,
    /// Width and height of the first frame.
    frame: Option<(u32, u32)>,
    alpha: bool,
    exif: Option<Vec<u8>>,
}

pub(super) fn walk<R: Read + Seek>(file: &mut R, len: u64) -> Result<Found, BadPicture> {
    let mut parts = Parts::default();
    let mut at = 12;
    for _ in 0..MAX_PARTS {
        if at + 8 > len {
            break;
        }
        file.seek(SeekFrom::Start(at))?;
        let name: [u8; 4] = bytes(file)?;
        let size = u32::from_le_bytes(bytes(file)?);
        let end = at + 8 + u64::from(size);
        if end > len {
            return Err(damaged("a part reaches beyond the file"));
        }
        // The first frame's parts lie inside it, behind 16 bytes about the frame.
        let inside = &name == b"ANMF" && parts.frame.is_none();
        at = if inside { at + 24 } else { end + u64::from(size % 2) };
        parts.take(file, &name, size)?;
    }
    parts.found()
}

impl Parts {
    fn take(&mut self, file: &mut impl Read, name: &[u8; 4], size: u32) -> Result<(), BadPicture> {
        match name {
            b"VP8X" => {
                let [flags, _, _, _, w0, w1, w2, h0, h1, h2] = bytes(file)?;
                let wide = |a, b, c| u32::from_le_bytes([a, b, c, 0]) + 1;
                self.canvas = Some((wide(w0, w1, w2), wide(h0, h1, h2)));
                self.animated = flags & 0x02 != 0;
                self.alpha = flags & 0x10 != 0;
            }
            b"VP8 " if self.frame.is_none() => {
                let [_, _, _, _, _, _, w0, w1, h0, h1] = bytes(file)?;
                let side = |a, b| u32::from(u16::from_le_bytes([a, b]) & 0x3fff);
                self.frame = Some((side(w0, w1), side(h0, h1)));
            }
            b"VP8L" if self.frame.is_none() => {
                let [_, a, b, c, d] = bytes(file)?;
                let bits = u32::from_le_bytes([a, b, c, d]);
                self.frame = Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1));
                self.alpha |= self.canvas.is_none() && bits >> 28 & 1 != 0;
            }
            b"EXIF" if self.exif.is_none() => self.exif = Some(block(file, size)?),
            _ => {}
        }
        Ok(())
    }

    fn found(self) -> Result<Found, BadPicture> {
        let frame = self.frame.ok_or_else(|| damaged("no picture in it"))?;
        let (width, height) = self.canvas.unwrap_or(frame);
        let fits = if self.animated {
            frame.0 <= width && frame.1 <= height
        } else {
            frame == (width, height)
        };
        if !fits {
            return Err(damaged("its picture is not of the size that it claims"));
        }
        Ok(Found { width, height, alpha: self.alpha, pixel: PIXEL, exif: self.exif })
    }
}

fn damaged(why: &str) -> BadPicture {
    BadPicture::Damaged(why.to_owned())
}

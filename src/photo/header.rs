//! Reads an image's header: format, size, orientation, and what decoding it takes.
//!
//! Owns: the walk over the parts of JPEG, PNG and GIF files up to their pixels. Not here: WebP (`webp`),
//! pixels (`make`).
//! Invariant: reads no more than the parts it passes over say, and nothing into memory but EXIF blocks.
//! Spec: PHOTO-6.

use std::io::{Read, Seek, SeekFrom};

use image::metadata::Orientation;

use super::exif::{orientation, turned};
use super::{BadPicture, Kind, MAX_FILE, MAX_MEMORY, MAX_PIXELS, webp};

/// Largest EXIF block that is looked at.
const MAX_EXIF: u32 = 1 << 20;
/// Most parts of a file that are passed over before its pixels.
const MAX_PARTS: u32 = 4096;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// The format.
    pub kind: Kind,
    /// Pixels in a row, as shown.
    pub width: u32,
    /// Rows, as shown.
    pub height: u32,
    /// Whether it may be transparent somewhere.
    pub alpha: bool,
    /// Bytes of memory that decoding takes, the file's own included.
    pub memory: u64,
    pub(super) orientation: Orientation,
}

impl Picture {
    /// An upright, opaque one.
    #[cfg(test)]
    pub(crate) fn plain(kind: Kind, width: u32, height: u32) -> Self {
        let orientation = Orientation::NoTransforms;
        Self { kind, width, height, alpha: false, memory: 1, orientation }
    }

    /// Width and height as shown.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }
}

/// What the walkers find out.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) alpha: bool,
    /// Memory for one pixel, in bytes.
    pub(super) pixel: u64,
    pub(super) exif: Option<Vec<u8>>,
}

/// Looks at the header of a file of `len` bytes.
pub fn probe<R: Read + Seek>(file: &mut R, len: u64) -> Result<Picture, BadPicture> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::with_capacity(64);
    file.by_ref().take(64).read_to_end(&mut head)?;
    let kind = Kind::of(&head).ok_or(BadPicture::NotAPicture)?;
    let found = match kind {
        Kind::Jpeg => jpeg(file)?,
        Kind::Png => png(file)?,
        Kind::Gif => gif(&head)?,
        Kind::WebP => webp::walk(file, len)?,
    };
    picture(kind, found, len)
}

fn picture(kind: Kind, found: Found, len: u64) -> Result<Picture, BadPicture> {
    let (width, height) = (found.width, found.height);
    if width == 0 || height == 0 {
        return Err(BadPicture::Damaged("it has no pixels".into()));
    }
    let pixels = u64::from(width) * u64::from(height);
    let memory = pixels.saturating_mul(found.pixel).saturating_add(len);
    if pixels > MAX_PIXELS || memory > MAX_MEMORY || len > MAX_FILE {
        return Err(BadPicture::TooLarge { width, height, mib: memory >> 20 });
    }
    let orientation = found.exif.map_or(Orientation::NoTransforms, orientation);
    let (width, height) = turned(orientation, (width, height));
    Ok(Picture { kind, width, height, alpha: found.alpha, memory, orientation })
}

pub(super) fn bytes<const N: usize>(file: &mut impl Read) -> Result<[u8; N], BadPicture> {
    let mut out = [0; N];
    file.read_exact(&mut out)?;
    Ok(out)
}

/// An EXIF block of `len` bytes, which end here.
pub(super) fn block(file: &mut impl Read, len: u32) -> Result<Vec<u8>, BadPicture> {
    let mut out = Vec::new();
    file.take(u64::from(len.min(MAX_EXIF))).read_to_end(&mut out)?;
    Ok(out)
}

/// Segment by segment to the frame header.
fn jpeg<R: Read + Seek>(file: &mut R) -> Result<Found, BadPicture> {
    file.seek(SeekFrom::Start(2))?;
    let mut exif = None;
    for _ in 0..MAX_PARTS {
        let marker = marker(file)?;
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        let len = u32::from(u16::from_be_bytes(bytes(file)?));
        let body =
            len.checked_sub(2).ok_or_else(|| BadPicture::Damaged("a short segment".into()))?;
        match marker {
            // Frame headers; 0xc4, 0xc8 and 0xcc are tables.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let [_, h1, h0, w1, w0, _] = bytes(file)?;
                let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
                // A progressive one keeps all coefficients until its end.
                let pixel = if matches!(marker, 0xc0 | 0xc1) { 3 } else { 9 };
                return Ok(Found {
                    width: width.into(),
                    height: height.into(),
                    alpha: false,
                    pixel,
                    exif,
                });
            }
            0xd9 | 0xda => break,
            0xe1 if exif.is_none() => {
                let block = block(file, body)?;
                if block.starts_with(b"Exif\0\0") {
                    exif = Some(block);
                }
            }
            _ => drop(file.seek(SeekFrom::Current(body.into()))?),
        }
    }
    Err(BadPicture::Damaged("no frame header".into()))
}

/// The next marker; cameras leave stray bytes between segments.
fn marker(file: &mut impl Read) -> Result<u8, BadPicture> {
    let mut before = 0;
    for _ in 0..MAX_PARTS {
        let [byte] = bytes(file)?;
        if before == 0xff && byte != 0xff && byte != 0 {
            return Ok(byte);
        }
        before = byte;
    }
    Err(BadPicture::Damaged("no marker where one has to be".into()))
}

/// The header chunk, then on to the pixels in search of an EXIF chunk.
fn png<R: Read + Seek>(file: &mut R) -> Result<Found, BadPicture> {
    file.seek(SeekFrom::Start(16))?;
    let width = u32::from_be_bytes(bytes(file)?);
    let height = u32::from_be_bytes(bytes(file)?);
    let [depth, color] = bytes(file)?;
    let channels = match color {
        0 => 1,
        2 => 3,
        // Grey with alpha, and palettes, which are unfolded; one of them may be transparent.
        3 | 6 => 4,
        4 => 2,
        _ => return Err(BadPicture::Damaged("no such colour type".into())),
    };
    // Of 16 bits a sample, 8 are kept, in a copy.
    let pixel = if depth == 16 { channels * 3 } else { channels };
    let (mut at, mut exif, mut transparent) = (33_u64, None, false);
    for _ in 0..MAX_PARTS {
        file.seek(SeekFrom::Start(at))?;
        let len = u32::from_be_bytes(bytes(file)?);
        match &bytes(file)? {
            b"eXIf" => exif = Some(block(file, len)?),
            b"tRNS" => transparent = true,
            b"IDAT" | b"IEND" => break,
            _ => {}
        }
        at += 12 + u64::from(len);
    }
    // A colour that counts as transparent adds a channel.
    let pixel = if transparent && color != 3 { pixel * 2 } else { pixel };
    Ok(Found { width, height, alpha: transparent || matches!(color, 4 | 6), pixel, exif })
}

/// The logical screen. Its first frame may have a buffer of its own.
fn gif(head: &[u8]) -> Result<Found, BadPicture> {
    let [w0, w1, h0, h1] = *head.get(6..).and_then(<[u8]>::first_chunk).ok_or_else(early)?;
    let (width, height) = (u16::from_le_bytes([w0, w1]), u16::from_le_bytes([h0, h1]));
    Ok(Found { width: width.into(), height: height.into(), alpha: true, pixel: 8, exif: None })
}

fn early() -> BadPicture {
    BadPicture::Damaged("it ends early".into())
}

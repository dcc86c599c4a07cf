//! Pictures: what an image is like, read from its header, and the smaller ones made of it.
//!
//! Owns: limits before anything is decoded, orientation, sizes, decoding and encoding. Not here: which
//! entry an image belongs to, where scales are kept, how many are decoded at once (`photos`).
//! Invariant: no pixel is decoded before the header has said how much memory that takes, and what an
//! image claims beyond its own bytes is never believed.
//! Spec: PHOTO-4, PHOTO-5, PHOTO-6.
//!
//! Everything here blocks, and has neither a clock nor a disk of its own.

mod exif;
mod header;
mod make;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod webp;

pub use header::{Picture, probe};
pub use make::{Decoded, Made, decode, made_mime};
pub use zotferry_protocol::photo::{Crop, Shape, Target, fit, target};

/// Most pixels of an image that is decoded: 12,000 × 11,000, and a phone's 108 million.
pub const MAX_PIXELS: u64 = 1 << 27;
/// Most memory that one image may take while it is decoded, its own bytes included.
pub const MAX_MEMORY: u64 = 512 << 20;
/// Largest image file that is read into memory.
pub const MAX_FILE: u64 = 128 << 20;

/// What an image's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ITU-T T.81.
    Jpeg,
    /// PNG; an animated one is its first picture.
    Png,
    /// GIF; an animated one is its first frame.
    Gif,
    /// WebP; an animated one is its first frame.
    WebP,
}

impl Kind {
    /// What the first bytes of a file say; 32 are enough.
    pub fn of(head: &[u8]) -> Option<Self> {
        match infer::get(head)?.mime_type() {
            "image/jpeg" => Some(Self::Jpeg),
            "image/png" => Some(Self::Png),
            "image/gif" => Some(Self::Gif),
            "image/webp" => Some(Self::WebP),
            _ => None,
        }
    }

    /// Its MIME type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
        }
    }
}

/// Why no scale can be made of a file.
#[derive(Debug, thiserror::Error)]
pub enum BadPicture {
    /// Neither JPEG nor PNG, GIF or WebP.
    #[error("not a JPEG, PNG, GIF or WebP image")]
    NotAPicture,
    /// It breaks the rules of its format, or ends early.
    #[error("a damaged image: {0}")]
    Damaged(String),
    /// What was found out about it before.
    #[error("{0}")]
    Known(String),
    /// Its header asks for more than any image gets.
    #[error("an image of {width} x {height} pixels that takes {mib} MiB is not decoded")]
    TooLarge {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Memory that decoding takes.
        mib: u64,
    },
    /// The rectangle does not lie in the image.
    #[error("the rectangle {0} does not lie in the image of {1} x {2} pixels")]
    Outside(Crop, u32, u32),
    /// Its bytes cannot be read; says nothing about the image.
    #[error("reading an image: {0}")]
    Io(std::io::Error),
}

impl BadPicture {
    /// Whether the same bytes will always fail so.
    pub fn lasts(&self) -> bool {
        !matches!(self, Self::Io(_) | Self::Outside(..) | Self::Known(_))
    }
}

impl From<std::io::Error> for BadPicture {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Damaged("it ends early".into()),
            _ => Self::Io(error),
        }
    }
}

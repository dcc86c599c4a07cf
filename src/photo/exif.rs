//! Orientation: how an image is to be turned before a person sees it.
//!
//! Owns: the eight orientations of EXIF and what they do to sizes and rectangles. Not here: where a file
//! keeps its EXIF block (`header`, `webp`).

use exif::{In, Reader, Tag};
use image::metadata::Orientation;

use super::Crop;

/// What an EXIF block says; upright where it says nothing that can be understood.
pub(super) fn orientation(block: Vec<u8>) -> Orientation {
    // JPEG's and some WebP files' blocks begin with a name of their own.
    let block = block.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec).unwrap_or(block);
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let exif = reader.read_raw(block).or_else(|error| error.distill_partial_result(|_| {}));
    exif.ok()
        .and_then(|exif| exif.get_field(Tag::Orientation, In::PRIMARY)?.value.get_uint(0))
        .and_then(|value| Orientation::from_exif(u8::try_from(value).ok()?))
        .unwrap_or(Orientation::NoTransforms)
}

/// Whether rows become columns.
pub(super) fn turns(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// A size as shown from the size as stored, and the other way round.
pub(super) fn turned(orientation: Orientation, (width, height): (u32, u32)) -> (u32, u32) {
    if turns(orientation) { (height, width) } else { (width, height) }
}

/// Where a rectangle of the image as shown lies in the image as stored; `size` is the size as shown.
pub(super) fn stored(orientation: Orientation, crop: Crop, size: (u32, u32)) -> Crop {
    let Crop { x, y, width, height } = crop;
    let (right, below) = (size.0 - x - width, size.1 - y - height);
    let (x, y) = match orientation {
        Orientation::NoTransforms => (x, y),
        Orientation::FlipHorizontal => (right, y),
        Orientation::Rotate180 => (right, below),
        Orientation::FlipVertical => (x, below),
        Orientation::Rotate90FlipH => (y, x),
        Orientation::Rotate90 => (y, right),
        Orientation::Rotate270FlipH => (below, right),
        Orientation::Rotate270 => (below, x),
    };
    let (width, height) = turned(orientation, (width, height));
    Crop { x, y, width, height }
}

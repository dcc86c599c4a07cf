//! Images for tests, made here: a picture whose four quarters have four colours.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageEncoder, ImageFormat, Rgb, RgbImage};

/// Red, green, blue, white: left above, right above, left below, right below.
pub(crate) const COLORS: [[u8; 3]; 4] =
    [[220, 20, 20], [20, 200, 20], [20, 20, 220], [235, 235, 235]];

/// The picture as it is to be shown.
pub(crate) fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(COLORS[usize::from(x >= width / 2) + 2 * usize::from(y >= height / 2)])
    })
}

/// The same without turning, as a JPEG.
pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encoded(&quarters(width, height).into(), ImageFormat::Jpeg)
}

/// An image in a format, with nothing beside it.
pub(crate) fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).expect("written to memory");
    out.into_inner()
}

/// An EXIF block that says nothing but an orientation, big-endian.
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

/// A file that shows the quarters when it is turned as it says.
pub(crate) fn turned(width: u32, height: u32, orientation: u8, format: ImageFormat) -> Vec<u8> {
    let mut image = DynamicImage::from(quarters(width, height));
    image.apply_orientation(inverse(orientation));
    let mut out = Vec::new();
    let rgb = image.to_rgb8();
    let (width, height) = rgb.dimensions();
    let color = image::ExtendedColorType::Rgb8;
    match format {
        ImageFormat::Jpeg => {
            JpegEncoder::new_with_quality(&mut out, 95)
                .write_image(&rgb, width, height, color)
                .expect("encoded");
            // Behind the marker that every JPEG begins with.
            let block = [&b"Exif\0\0"[..], &exif(orientation)].concat();
            let len = u16::try_from(block.len() + 2).expect("short").to_be_bytes();
            let segment = [&[0xff, 0xe1], &len[..], &block].concat();
            out.splice(2..2, segment);
        }
        ImageFormat::Png => {
            let mut encoder = PngEncoder::new(&mut out);
            encoder.set_exif_metadata(exif(orientation)).expect("PNG has EXIF");
            encoder.write_image(&rgb, width, height, color).expect("encoded");
        }
        _ => {
            let mut encoder = WebPEncoder::new_lossless(&mut out);
            encoder.set_exif_metadata(exif(orientation)).expect("WebP has EXIF");
            encoder.write_image(&rgb, width, height, color).expect("encoded");
        }
    }
    out
}

fn inverse(orientation: u8) -> Orientation {
    let back = match orientation {
        6 => 8,
        8 => 6,
        other => other,
    };
    Orientation::from_exif(back).expect("1 to 8")
}

/// Whether a pixel has about this colour.
pub(crate) fn is(pixel: Rgb<u8>, color: [u8; 3]) -> bool {
    pixel.0.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 12)
}

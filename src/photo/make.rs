//! Decodes an image and makes smaller ones of it.
//!
//! Owns: decoding within limits, resizing, turning, encoding. Not here: which sizes (`size`).
//! Invariant: the same bytes give the same scales. Only one buffer of the image's full size exists: what
//! is turned is the small result.
//! Spec: PHOTO-4, PHOTO-5, PHOTO-6.

use std::io::Cursor;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::{
    DynamicImage, GrayAlphaImage, GrayImage, ImageDecoder, ImageEncoder, Limits, RgbImage,
    RgbaImage,
};

use super::exif::{stored, turned};
use super::header::Picture;
use super::{BadPicture, Crop, Kind, MAX_MEMORY, fit};

/// Of JPEG, from 1 to 100.
const QUALITY: u8 = 85;
/// Larger colour profiles are left out: those of screens and cameras have some hundred bytes.
const MAX_PROFILE: usize = 16 << 10;

/// A scale that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// `image/jpeg` or `image/png`.
    pub mime: &'static str,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The encoded image, without EXIF or other remarks.
    pub bytes: Vec<u8>,
}

/// PHOTO-4: the format of what is made of an image: PNG where lines have to stay sharp or something may
/// be transparent, else JPEG.
pub fn made_mime(picture: &Picture) -> &'static str {
    match picture.kind {
        Kind::Jpeg => "image/jpeg",
        Kind::Png | Kind::Gif => "image/png",
        Kind::WebP if picture.alpha => "image/png",
        Kind::WebP => "image/jpeg",
    }
}

/// An image's pixels, as stored.
pub struct Decoded {
    picture: Picture,
    image: DynamicImage,
    profile: Option<Vec<u8>>,
}

/// PHOTO-6: decodes an image whose header was found to be within the limits.
pub fn decode(picture: Picture, bytes: &[u8]) -> Result<Decoded, BadPicture> {
    if picture.kind == Kind::Jpeg && !jpeg_is_whole(bytes) {
        return Err(BadPicture::Damaged("it ends early".into()));
    }
    let mut decoder = decoder(picture.kind, bytes).map_err(damaged)?;
    if decoder.dimensions() != turned(picture.orientation, picture.size()) {
        return Err(BadPicture::Damaged("its header and its picture disagree".into()));
    }
    decoder.set_limits(limits(&picture)).map_err(damaged)?;
    let profile = decoder.icc_profile().ok().flatten().filter(|p| p.len() <= MAX_PROFILE);
    let image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    Ok(Decoded { picture, image: eight_bits(image), profile })
}

fn decoder<'a>(kind: Kind, bytes: &'a [u8]) -> image::ImageResult<Box<dyn ImageDecoder + 'a>> {
    let bytes = Cursor::new(bytes);
    Ok(match kind {
        Kind::Jpeg => Box::new(JpegDecoder::new(bytes)?),
        Kind::Png => Box::new(PngDecoder::with_limits(bytes, Limits::default())?),
        Kind::Gif => Box::new(GifDecoder::new(bytes)?),
        Kind::WebP => Box::new(WebPDecoder::new(bytes)?),
    })
}

fn limits(picture: &Picture) -> Limits {
    let (width, height) = turned(picture.orientation, picture.size());
    let mut limits = Limits::default();
    limits.max_image_width = Some(width);
    limits.max_image_height = Some(height);
    limits.max_alloc = Some(MAX_MEMORY);
    limits
}

#[allow(clippy::needless_pass_by_value, reason = "the error's other reading is a function pointer")]
fn damaged(error: image::ImageError) -> BadPicture {
    BadPicture::Damaged(error.to_string())
}

/// Whether the file's last part is there: decoders fill a JPEG that was cut with grey.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some((marker, after)) = next_marker(bytes, at) {
        at = after;
        match marker {
            0xd9 => return true,
            // Without a length; between the pixels of a scan, too.
            0x01 | 0xd0..=0xd8 => {}
            _ => {
                let Some(&[a, b]) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
                    return false;
                };
                at += usize::from(u16::from_be_bytes([a, b]));
            }
        }
    }
    false
}

/// The next marker from here on, and where it ends. Compressed pixels hold none: a zero follows their 0xff.
fn next_marker(bytes: &[u8], from: usize) -> Option<(u8, usize)> {
    let rest = bytes.get(from..)?;
    let at = rest.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xff))?;
    Some((rest[at + 1], from + at + 2))
}

fn eight_bits(image: DynamicImage) -> DynamicImage {
    use DynamicImage as D;
    match image {
        D::ImageLuma8(_) | D::ImageLumaA8(_) | D::ImageRgb8(_) | D::ImageRgba8(_) => image,
        D::ImageLuma16(_) => D::ImageLuma8(image.into_luma8()),
        D::ImageLumaA16(_) => D::ImageLumaA8(image.into_luma_alpha8()),
        D::ImageRgb16(_) | D::ImageRgb32F(_) => D::ImageRgb8(image.into_rgb8()),
        _ => D::ImageRgba8(image.into_rgba8()),
    }
}

impl Decoded {
    /// What its header said.
    pub fn picture(&self) -> Picture {
        self.picture
    }

    /// All of it.
    pub fn whole(&self) -> Crop {
        let (width, height) = self.picture.size();
        Crop { x: 0, y: 0, width, height }
    }

    /// PHOTO-4: the whole image, made to fit into a square.
    pub fn fit(&self, side: u32) -> Result<Made, BadPicture> {
        let (width, height) = self.picture.size();
        self.make(self.whole(), fit(width, height, side))
    }

    /// PHOTO-5: a part of the image as shown, in exactly this size.
    pub fn crop(&self, crop: Crop, size: (u32, u32)) -> Result<Made, BadPicture> {
        let (width, height) = self.picture.size();
        if !crop.lies_in(width, height) {
            return Err(BadPicture::Outside(crop, width, height));
        }
        self.make(crop, size)
    }

    fn make(&self, crop: Crop, size: (u32, u32)) -> Result<Made, BadPicture> {
        let orientation = self.picture.orientation;
        let part = stored(orientation, crop, self.picture.size());
        let mut small = self.resize(part, turned(orientation, size))?;
        small.apply_orientation(orientation);
        let mime = made_mime(&self.picture);
        let bytes = self.encode(&small, mime)?;
        Ok(Made { mime, width: small.width(), height: small.height(), bytes })
    }

    fn resize(&self, part: Crop, (width, height): (u32, u32)) -> Result<DynamicImage, BadPicture> {
        let failed = |e: &dyn std::fmt::Display| BadPicture::Damaged(e.to_string());
        let (pixel, from) = (pixel_type(&self.image), &self.image);
        let source = ImageRef::new(from.width(), from.height(), from.as_bytes(), pixel)
            .map_err(|e| failed(&e))?;
        let mut small = Image::new(width, height, pixel);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
            .crop(part.x.into(), part.y.into(), part.width.into(), part.height.into());
        Resizer::new().resize(&source, &mut small, &options).map_err(|e| failed(&e))?;
        let bytes = small.into_vec();
        let image = match pixel {
            PixelType::U8 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
            PixelType::U8x2 => GrayAlphaImage::from_raw(width, height, bytes).map(Into::into),
            PixelType::U8x3 => RgbImage::from_raw(width, height, bytes).map(Into::into),
            _ => RgbaImage::from_raw(width, height, bytes).map(Into::into),
        };
        image.ok_or_else(|| BadPicture::Damaged("a buffer of another size".into()))
    }

    fn encode(&self, image: &DynamicImage, mime: &str) -> Result<Vec<u8>, BadPicture> {
        let mut out = Vec::new();
        if mime == "image/jpeg" {
            let mut encoder = JpegEncoder::new_with_quality(&mut out, QUALITY);
            self.set_profile(&mut encoder, image);
            // JPEG has no transparency.
            let (width, height) = (image.width(), image.height());
            match image {
                DynamicImage::ImageLuma8(gray) => {
                    encoder.write_image(gray, width, height, image::ExtendedColorType::L8)
                }
                other => {
                    let rgb = other.to_rgb8();
                    encoder.write_image(&rgb, width, height, image::ExtendedColorType::Rgb8)
                }
            }
        } else {
            let (level, filter) = (CompressionType::Default, PngFilter::Adaptive);
            let mut encoder = PngEncoder::new_with_quality(&mut out, level, filter);
            self.set_profile(&mut encoder, image);
            let color = image.color().into();
            encoder.write_image(image.as_bytes(), image.width(), image.height(), color)
        }
        .map_err(damaged)?;
        Ok(out)
    }

    /// What the colours mean goes along, if it is about such colours: a profile says so in its header.
    fn set_profile(&self, encoder: &mut impl ImageEncoder, image: &DynamicImage) {
        let space: &[u8] = if image.color().has_color() { b"RGB " } else { b"GRAY" };
        if let Some(profile) = self.profile.as_ref().filter(|p| p.get(16..20) == Some(space)) {
            // An encoder without profiles writes the image all the same.
            encoder.set_icc_profile(profile.clone()).ok();
        }
    }
}

/// Only images of 8 bits a sample come here.
fn pixel_type(image: &DynamicImage) -> PixelType {
    match image {
        DynamicImage::ImageLuma8(_) => PixelType::U8,
        DynamicImage::ImageLumaA8(_) => PixelType::U8x2,
        DynamicImage::ImageRgb8(_) => PixelType::U8x3,
        _ => PixelType::U8x4,
    }
}

//! Pictures of every format and orientation, and files that pretend to be one.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgba, RgbaImage};

use super::testing::{COLORS, encoded, is, jpeg, quarters, turned};
use super::{
    BadPicture, Crop, Decoded, Kind, Made, Picture, Shape, Target, decode, fit, probe, target,
};

fn look(bytes: &[u8]) -> Result<Picture, BadPicture> {
    probe(&mut Cursor::new(bytes), bytes.len() as u64)
}

fn open(bytes: &[u8]) -> Result<Decoded, BadPicture> {
    decode(look(bytes)?, bytes)
}

fn pixels(made: &Made) -> image::RgbImage {
    image::load_from_memory(&made.bytes).expect("an image").to_rgb8()
}

/// PHOTO-4: the sizes that Hubzilla makes, rounded down as it does, and nothing enlarged.
#[test]
fn sizes_are_hubzillas() {
    let sizes = |w, h| {
        [1, 2, 3].map(|scale| match target(scale) {
            Some(Target::Fit(side)) => fit(w, h, side),
            _ => (0, 0),
        })
    };
    assert_eq!(sizes(3000, 2000), [(1024, 682), (640, 426), (320, 213)]);
    assert_eq!(sizes(1200, 900), [(1024, 768), (640, 480), (320, 240)]);
    assert_eq!(sizes(2000, 3000), [(682, 1024), (426, 640), (213, 320)]);
    assert_eq!(sizes(640, 10), [(640, 10), (640, 10), (320, 5)]);
    assert_eq!(sizes(65_535, 1), [(1024, 1), (640, 1), (320, 1)]);
    assert_eq!(target(0), None);
    assert_eq!(target(5), Some(Target::Of(Shape::Profile, 80, 80)));
    assert_eq!(target(9), Some(Target::Of(Shape::Cover, 425, 160)));
    assert_eq!(target(10), None);
}

/// PHOTO-4: what is made has the size that its row says, in every format, and looks like the picture.
#[test]
fn scales_are_made_of_every_format() {
    let image = DynamicImage::from(quarters(900, 600));
    for (format, mime) in [
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::Png, "image/png"),
        (ImageFormat::Gif, "image/png"),
        (ImageFormat::WebP, "image/jpeg"),
    ] {
        let bytes = encoded(&image, format);
        assert_eq!(look(&bytes).expect("an image").size(), (900, 600), "{format:?}");
        let made = open(&bytes).expect("decoded").fit(320).expect("made");
        assert_eq!((made.mime, made.width, made.height), (mime, 320, 213), "{format:?}");
        assert_eq!(Kind::of(&made.bytes).map(Kind::mime), Some(mime));
        let shown = pixels(&made);
        assert_eq!(shown.dimensions(), (320, 213));
        let corners = [(5, 5), (314, 5), (5, 207), (314, 207)].map(|(x, y)| *shown.get_pixel(x, y));
        for (pixel, color) in corners.into_iter().zip(COLORS) {
            assert!(is(pixel, color), "{format:?}: {pixel:?} is not {color:?}");
        }
        let again = open(&bytes).expect("decoded").fit(320).expect("made");
        assert_eq!(again, made, "{format:?}: the same bytes give the same scale");
    }
}

/// PHOTO-4: each of the eight orientations is undone, in the size, in the scales and in crops.
#[test]
fn all_orientations_are_shown_upright() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        for orientation in 1..=8 {
            let what = format!("{format:?}, orientation {orientation}");
            let bytes = turned(480, 320, orientation, format);
            let picture = look(&bytes).expect("an image");
            assert_eq!(picture.size(), (480, 320), "{what}");
            let decoded = decode(picture, &bytes).expect("decoded");
            let made = decoded.fit(320).expect("made");
            assert_eq!((made.width, made.height), (320, 213), "{what}");
            let shown = pixels(&made);
            let corners =
                [(5, 5), (314, 5), (5, 207), (314, 207)].map(|(x, y)| *shown.get_pixel(x, y));
            for (pixel, color) in corners.into_iter().zip(COLORS) {
                assert!(is(pixel, color), "{what}: {pixel:?} is not {color:?}");
            }
            // The left part of the quarter above on the right, taller than wide.
            let crop = Crop { x: 250, y: 10, width: 90, height: 140 };
            let cut = decoded.crop(crop, (45, 70)).expect("cropped");
            assert_eq!((cut.width, cut.height), (45, 70), "{what}");
            assert!(pixels(&cut).pixels().all(|pixel| is(*pixel, COLORS[1])), "{what}");
        }
    }
}

/// PHOTO-5: a profile photo and a cover have their sizes whatever is cut out, and nothing else is cut.
#[test]
fn crops_have_their_size_and_lie_within() {
    let decoded = open(&jpeg(640, 400)).expect("decoded");
    let whole = Crop { x: 0, y: 0, width: 640, height: 400 };
    let square = Shape::Profile.cut(whole);
    assert_eq!(square, Crop { x: 120, y: 0, width: 400, height: 400 });
    let made = decoded.crop(square, Shape::Profile.size()).expect("made");
    assert_eq!((made.width, made.height), (300, 300));
    let wide = Shape::Cover.cut(whole);
    assert_eq!(wide, Crop { x: 0, y: 84, width: 640, height: 232 });
    let made = decoded.crop(wide, Shape::Cover.size()).expect("made");
    assert_eq!((made.width, made.height), (1200, 435));
    for (x, y, width, height) in
        [(0, 0, 641, 1), (640, 0, 1, 1), (0, 0, 0, 9), (u32::MAX, 0, 2, 2), (0, 399, 1, 2)]
    {
        let crop = Crop { x, y, width, height };
        assert!(matches!(decoded.crop(crop, (300, 300)), Err(BadPicture::Outside(..))), "{crop}");
    }
}

/// PHOTO-4: what is transparent stays so, grey stays grey, 16 bits become 8.
#[test]
fn other_pixels_than_rgb_are_made_smaller_as_they_are() {
    let clear = DynamicImage::from(RgbaImage::from_fn(400, 400, |x, _| {
        Rgba([200, 10, 10, if x < 200 { 0 } else { 255 }])
    }));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let made = open(&encoded(&clear, format)).expect("decoded").fit(320).expect("made");
        assert_eq!(made.mime, "image/png", "{format:?}");
        let shown = image::load_from_memory(&made.bytes).expect("an image").to_rgba8();
        assert_eq!(shown.get_pixel(10, 10).0[3], 0);
        assert_eq!(shown.get_pixel(310, 10).0, [200, 10, 10, 255]);
    }
    let gray = DynamicImage::from(GrayImage::from_pixel(400, 300, Luma([77])));
    let deep = DynamicImage::from(gray.to_luma16());
    for (image, format) in
        [(&gray, ImageFormat::Jpeg), (&gray, ImageFormat::Png), (&deep, ImageFormat::Png)]
    {
        let made = open(&encoded(image, format)).expect("decoded").fit(320).expect("made");
        let shown = image::load_from_memory(&made.bytes).expect("an image");
        assert_eq!(shown.color(), image::ColorType::L8, "{format:?}");
        assert!(shown.to_luma8().pixels().all(|p| p.0[0].abs_diff(77) < 2));
    }
    let rgb = DynamicImage::from(DynamicImage::from(quarters(400, 300)).to_rgb16());
    let made = open(&encoded(&rgb, ImageFormat::Png)).expect("decoded").fit(320).expect("made");
    assert!(is(*pixels(&made).get_pixel(9, 9), COLORS[0]));
}

/// PHOTO-6: an image that would take too much memory is refused from its header, whatever its file's size.
#[test]
fn bombs_are_refused_from_their_header() {
    let refused = |bytes: &[u8]| matches!(look(bytes), Err(BadPicture::TooLarge { .. }));
    // A PNG of 30,000 x 30,000 zeros: its header is all that it takes.
    let mut png = encoded(&quarters(4, 4).into(), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    assert!(refused(&png));
    // Few pixels a side, but 12 bytes for each while it is decoded.
    png[16..26].copy_from_slice(&[0, 0, 0x1f, 0x40, 0, 0, 0x1f, 0x40, 16, 6]);
    assert!(refused(&png));
    let mut gif = encoded(&quarters(4, 4).into(), ImageFormat::Gif);
    gif[6..10].fill(0xff);
    assert!(refused(&gif));
    let mut jpeg = jpeg(16, 16);
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).expect("a frame");
    jpeg[frame + 5..frame + 9].fill(0xff);
    assert!(refused(&jpeg));
    // What is neither here nor there: a canvas of one size around a picture of another.
    let mut webp = turned(64, 64, 1, ImageFormat::WebP);
    assert_eq!(&webp[12..16], b"VP8X");
    webp[24..30].fill(0xff);
    assert!(matches!(look(&webp), Err(BadPicture::Damaged(_))));
    let flat = encoded(&quarters(64, 64).into(), ImageFormat::WebP);
    let mut long = flat.clone();
    long[16..20].fill(0xff);
    assert!(look(&flat).is_ok());
    assert!(matches!(look(&long), Err(BadPicture::Damaged(_))));
}

/// PHOTO-6: a file that was cut anywhere is damaged, not grey below, and never a panic.
#[test]
fn cut_files_are_damaged() {
    let image = DynamicImage::from(quarters(200, 200));
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
        let bytes = encoded(&image, format);
        assert!(open(&bytes).is_ok(), "{format:?}");
        let last = bytes.len() - 12;
        for cut in (0..last).step_by(1 + last / 60).chain([last]) {
            let error = open(&bytes[..cut]).err();
            assert!(error.is_some_and(|e| e.lasts()), "{format:?} cut at {cut} of {}", bytes.len());
        }
    }
    assert!(matches!(look(b""), Err(BadPicture::NotAPicture)));
    assert!(matches!(
        look(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        Err(BadPicture::NotAPicture)
    ));
}

/// PHOTO-6: bytes changed at random give a picture or an error.
#[test]
fn damaged_files_never_panic() {
    let image = DynamicImage::from(quarters(60, 40));
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits")
    };
    let mut refused = 0;
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
        let whole = encoded(&image, format);
        for _ in 0..150 {
            let mut bytes = whole.clone();
            for _ in 0..1 + next() % 4 {
                let at = next() % bytes.len();
                bytes[at] = next().to_le_bytes()[0];
            }
            match open(&bytes).and_then(|decoded| decoded.fit(32)) {
                Ok(made) => assert!(made.width <= 32 && made.height <= 32),
                Err(error) => {
                    assert!(error.lasts());
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 100, "only {refused} of 600 were refused");
}

/// PHOTO-4, PHOTO-6: pictures that others made have scales, too.
#[test]
#[ignore = "needs a folder of pictures, named by ZOTFERRY_PICTURES: ./check --full"]
fn pictures_of_others_have_scales() {
    let mut folders: Vec<_> =
        std::env::var_os("ZOTFERRY_PICTURES").map(std::path::PathBuf::from).into_iter().collect();
    let mut made = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("a file");
            let picture = match look(&bytes) {
                Ok(picture) => picture,
                Err(BadPicture::NotAPicture) => continue,
                Err(error) => panic!("{}: {error}", path.display()),
            };
            let decoded = decode(picture, &bytes).expect("a whole image");
            let small = decoded.fit(320).expect("made");
            let size = fit(picture.width, picture.height, 320);
            assert_eq!((small.width, small.height), size, "{}", path.display());
            assert_eq!(look(&small.bytes).expect("an image").size(), size);
            made += 1;
        }
    }
    assert!(made > 0, "no picture was found");
}

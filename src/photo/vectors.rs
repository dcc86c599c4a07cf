//! The vectors of `spec/vectors/images.json`: what is an image, and what is cut out of it.

use std::collections::BTreeSet;
use std::io::Cursor;

use serde_json::Value;

use super::testing::is;
use super::{Crop, Target, decode, probe, target};

fn cases(kind: &str) -> Vec<Value> {
    let vectors: Value =
        serde_json::from_str(include_str!("../../spec/vectors/images.json")).expect("vectors");
    let kinds: BTreeSet<&str> =
        vectors.as_object().expect("kinds").keys().map(String::as_str).collect();
    assert_eq!(kinds, ["choices", "cut", "images"].into(), "a kind without a runner");
    vectors[kind].as_array().expect("cases").clone()
}

fn image(case: &Value) -> Vec<u8> {
    hex::decode(case["image"].as_str().expect("hex")).expect("hex")
}

fn numbers<const N: usize>(value: &Value) -> [u32; N] {
    let list: Vec<u32> = serde_json::from_value(value.clone()).expect("numbers");
    list.try_into().expect("so many")
}

/// PHOTO-6: what the header says decides whether an image is decoded; one that is damaged has no scales.
#[test]
fn images_are_what_their_headers_say() {
    for case in cases("images") {
        let bytes = image(&case);
        let found = probe(&mut Cursor::new(&bytes), bytes.len() as u64);
        let size = found.as_ref().ok().map(|picture| [picture.width, picture.height]);
        let said = (!case["size"].is_null()).then(|| numbers(&case["size"]));
        assert_eq!(size, said, "{}", case["name"]);
        let scales = found.and_then(|picture| decode(picture, &bytes)).is_ok();
        assert_eq!(scales, case["scales"] == true, "{}", case["name"]);
    }
}

/// PHOTO-5: of the right size, made of the right one, and showing what was cut out.
#[test]
fn photos_are_cut_as_specified() {
    for case in cases("cut") {
        let mut made = Vec::new();
        for scale in case["scales"].as_array().expect("scales") {
            let number = u8::try_from(scale["scale"].as_u64().expect("a scale")).expect("small");
            let [x, y, width, height] = numbers(&case["crop"]);
            let [w, h] = numbers(&scale["size"]);
            let bytes = match target(number).expect("a scale") {
                Target::Cropped(shape) => {
                    assert_eq!((scale["of"].as_u64(), shape.size()), (Some(0), (w, h)));
                    let bytes = image(&case);
                    let picture = probe(&mut Cursor::new(&bytes), bytes.len() as u64);
                    let decoded = decode(picture.expect("an image"), &bytes).expect("an image");
                    made = decoded.crop(Crop { x, y, width, height }, (w, h)).expect("cut").bytes;
                    made.clone()
                }
                Target::Of(shape, width, height) => {
                    let of = u64::from(shape.scales()[0]);
                    assert_eq!((scale["of"].as_u64(), (width, height)), (Some(of), (w, h)));
                    let picture = probe(&mut Cursor::new(&made), made.len() as u64);
                    let decoded = decode(picture.expect("an image"), &made).expect("an image");
                    decoded.crop(decoded.whole(), (w, h)).expect("made").bytes
                }
                Target::Fit(_) => panic!("{number} is not cut out"),
            };
            shows(&case, &bytes, (w, h));
        }
    }
}

fn shows(case: &Value, bytes: &[u8], size: (u32, u32)) {
    let shown = image::load_from_memory(bytes).expect("an image").to_rgb8();
    assert_eq!(shown.dimensions(), size, "{}", case["name"]);
    for point in case["points"].as_array().expect("points") {
        let at = |part: &str, all: u32| {
            u32::try_from(point[part].as_u64().expect("percent")).expect("small") * all / 100
        };
        let pixel = *shown.get_pixel(at("x", size.0), at("y", size.1));
        let color = numbers::<3>(&point["color"]).map(|c| u8::try_from(c).expect("8 bits"));
        assert!(is(pixel, color), "{}: {point}: {pixel:?}", case["name"]);
    }
}

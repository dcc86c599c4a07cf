//! Photos: which scales there are, how large each is, and which photo is the current one.
//!
//! Owns: sizes and the choice, as arithmetic. Not here: pixels, rows (`packets/photo.rs`).
//! Spec: PHOTO-4, PHOTO-5, PHOTO-9.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::{ResourceId, Role};

/// The largest scale there is.
pub const MAX_SCALE: u8 = 9;

/// What a scale is made of, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Made of the original: no side longer than this, nothing enlarged.
    Fit(u32),
    /// Cropped from the original, a content of its own.
    Cropped(Shape),
    /// Made of the cropped scale of a shape; width, height.
    Of(Shape, u32, u32),
}

/// PHOTO-4, PHOTO-5: the scales 1 to 9. Scale 0 is the original; there are no others.
pub fn target(scale: u8) -> Option<Target> {
    Some(match scale {
        1 => Target::Fit(1024),
        2 => Target::Fit(640),
        3 => Target::Fit(320),
        4 => Target::Cropped(Shape::Profile),
        5 => Target::Of(Shape::Profile, 80, 80),
        6 => Target::Of(Shape::Profile, 48, 48),
        7 => Target::Cropped(Shape::Cover),
        8 => Target::Of(Shape::Cover, 850, 310),
        9 => Target::Of(Shape::Cover, 425, 160),
        _ => return None,
    })
}

/// PHOTO-4: the size of an image that fits into a square of `side`: its longer side is `side`, the other
/// rounded down, at least 1; one that fits already stays as it is.
pub fn fit(width: u32, height: u32, side: u32) -> (u32, u32) {
    let longer = width.max(height);
    if longer <= side {
        return (width, height);
    }
    let scaled = |n: u32| {
        let n = u64::from(n) * u64::from(side) / u64::from(longer);
        u32::try_from(n).expect("no longer than the side").max(1)
    };
    (scaled(width), scaled(height))
}

/// What an image is cropped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The profile photo: a square.
    Profile,
    /// The cover: wide.
    Cover,
}

impl Shape {
    /// The shape with this number as Hubzilla's `photo_usage`.
    pub fn of_usage(usage: u16) -> Option<Self> {
        [Self::Profile, Self::Cover].into_iter().find(|shape| shape.usage() == usage)
    }

    /// Hubzilla's `photo_usage`.
    pub fn usage(self) -> u16 {
        match self {
            Self::Profile => 1,
            Self::Cover => 16,
        }
    }

    /// The scale that is cropped, and the two that are made of it.
    pub fn scales(self) -> [u8; 3] {
        match self {
            Self::Profile => [4, 5, 6],
            Self::Cover => [7, 8, 9],
        }
    }

    /// The role of the cropped scale's bytes.
    pub fn role(self) -> Role {
        match self {
            Self::Profile => Role::Photo4,
            Self::Cover => Role::Photo7,
        }
    }

    /// PHOTO-5: width and height of the cropped scale.
    pub fn size(self) -> (u32, u32) {
        match self {
            Self::Profile => (300, 300),
            Self::Cover => (1200, 435),
        }
    }

    /// The largest part of `within` that has this shape, in its middle.
    pub fn cut(self, within: Crop) -> Crop {
        let (w, h) = self.size();
        let (w, h) = (u64::from(w), u64::from(h));
        let (full_w, full_h) = (u64::from(within.width), u64::from(within.height));
        let (width, height) = if full_w * h > full_h * w {
            ((full_h * w / h).max(1), full_h)
        } else {
            (full_w, (full_w * h / w).max(1))
        };
        let narrow = |n: u64| u32::try_from(n).expect("no longer than the side it is cut from");
        Crop {
            x: within.x + narrow((full_w - width) / 2),
            y: within.y + narrow((full_h - height) / 2),
            width: narrow(width),
            height: narrow(height),
        }
    }
}

/// A rectangle of an image as shown, in pixels from its left upper corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Pixels in a row; not 0.
    pub width: u32,
    /// Rows; not 0.
    pub height: u32,
}

impl Crop {
    /// Whether it has an area, all of it within an image of this size.
    pub fn lies_in(&self, width: u32, height: u32) -> bool {
        let fits = |from: u32, len: u32, all: u32| {
            len > 0 && from.checked_add(len).is_some_and(|end| end <= all)
        };
        fits(self.x, self.width, width) && fits(self.y, self.height, height)
    }
}

/// `X,Y,W,H`.
impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.x, self.y, self.width, self.height)
    }
}

/// Reads what `Display` wrote.
impl std::str::FromStr for Crop {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Vec<u32> = text
            .split(',')
            .map(|n| n.trim().parse().map_err(|_| "four numbers X,Y,W,H, in pixels"))
            .collect::<Result<_, _>>()?;
        let [x, y, width, height] = numbers[..] else {
            return Err("four numbers X,Y,W,H, in pixels");
        };
        let crop = Self { x, y, width, height };
        if crop.lies_in(u32::MAX, u32::MAX) { Ok(crop) } else { Err("a rectangle without an area") }
    }
}

/// As a list of four.
impl Serialize for Crop {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        [self.x, self.y, self.width, self.height].serialize(s)
    }
}

impl<'de> Deserialize<'de> for Crop {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let [x, y, width, height] = <[u32; 4]>::deserialize(d)?;
        let crop = Self { x, y, width, height };
        if crop.lies_in(u32::MAX, u32::MAX) {
            Ok(crop)
        } else {
            Err(de::Error::custom("a rectangle without an area"))
        }
    }
}

/// PHOTO-9: an entry that was made the profile photo or the cover. Of several the greatest is the
/// current one: the one chosen last, of two chosen at once the one with the larger id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// The clock of the edit that chose it; 0 where no row says.
    pub chosen: u64,
    /// The entry.
    pub entry: ResourceId,
}

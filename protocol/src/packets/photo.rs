//! One `photo` row: a scale of an image under Hubzilla's column names, unknown fields kept.
//!
//! A row travels as a `bin` that holds a MessagePack map, as an attach row does. Two columns are ours:
//! `crop`, the rectangle of the original that a profile or cover photo shows, and `chosen`, when it was made the
//! current one.
//! Spec: PHOTO-1, PHOTO-2, PHOTO-3.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use serde_bytes::ByteBuf;

use super::attach::AttachRow;
use super::row::{field, fields, map, others};
use crate::codec;
use crate::ids::ResourceId;
use crate::photo::{Crop, MAX_SCALE};
use crate::refusal::{Code, Refusal};

/// The largest row, in bytes.
const MAX_ROW: usize = 16 << 10;

/// A row that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a photo row of the wrong form: {0}")]
pub struct BadPhoto(String);

impl From<BadPhoto> for Refusal {
    fn from(bad: BadPhoto) -> Self {
        Self::with(Code::BadField, bad)
    }
}

macro_rules! photo_row {
    ($( $(#[$doc:meta])* $name:ident: $type:ty, )*) => {
        /// A scale of an entry's image.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct PhotoRow {
            $( $(#[$doc])* pub $name: $type, )*
            /// Fields that this version does not know: name, raw MessagePack value.
            pub extra: Vec<(String, Vec<u8>)>,
        }

        impl PhotoRow {
            /// The row as a MessagePack map.
            pub fn encode(&self) -> Vec<u8> {
                let mut fields: Vec<(&str, Vec<u8>)> =
                    vec![$( (stringify!($name), codec::encode(&self.$name)), )*];
                fields.extend(self.extra.iter().map(|(k, v)| (k.as_str(), v.clone())));
                map(&fields)
            }

            /// PHOTO-1, PHOTO-3: a row out of a MessagePack map: known fields by type, the others as they are.
            pub fn decode(bytes: &[u8]) -> Result<Self, BadPhoto> {
                let fields = fields(bytes, MAX_ROW).map_err(BadPhoto)?;
                let row = Self {
                    $( $name: field(&fields, stringify!($name)).map_err(BadPhoto)?, )*
                    extra: others(&fields, &[$( stringify!($name), )*]),
                };
                row.well_formed()
            }
        }
    };
}

photo_row! {
    /// The entry's id.
    resource_id: ResourceId,
    /// 0 for the original, 1 to 9.
    imgscale: u8,
    /// Pixels in a row, as shown.
    width: u32,
    /// Rows, as shown.
    height: u32,
    /// MIME type.
    mimetype: String,
    /// Bytes; may be 0 for a scale that each clone makes for itself.
    filesize: u64,
    /// What it is used for: 1 the profile photo, 16 the cover, 0 neither.
    photo_usage: u16,
    /// Hubzilla's flag of a default profile's photo, passed on.
    profile: u8,
    /// What it is called.
    title: String,
    /// What it shows, for who cannot see it.
    description: String,
    /// Hubzilla's name for the folder, or for what it is used for.
    album: String,
    /// The part of the original that scale 4 or 7 shows; ours, optional.
    crop: Option<Crop>,
    /// The hybrid logical clock of the edit that put it to its use; ours, optional.
    chosen: Option<u64>,
}

impl PhotoRow {
    fn well_formed(self) -> Result<Self, BadPhoto> {
        if self.imgscale > MAX_SCALE {
            return Err(BadPhoto("there is no such scale".into()));
        }
        if self.chosen.is_some_and(|hlc| hlc > i64::MAX as u64) {
            return Err(BadPhoto("chosen is out of range".into()));
        }
        Ok(self)
    }
}

/// PHOTO-1, PHOTO-2: the rows of one entry: each is one, of this entry, and no scale stands twice. Asked for
/// each operation alone.
pub(super) fn check(rows: &[ByteBuf], entry: &AttachRow) -> Result<(), Refusal> {
    let rows = rows.iter().map(|row| PhotoRow::decode(row)).collect::<Result<Vec<_>, _>>()?;
    let scales: BTreeSet<u8> = rows.iter().map(|row| row.imgscale).collect();
    let others = rows.iter().any(|row| row.resource_id != entry.hash);
    if scales.len() != rows.len() || others || (entry.is_folder() && !rows.is_empty()) {
        return Err(Refusal::with(Code::BadField, "photo rows that do not belong to the entry"));
    }
    Ok(())
}

impl Serialize for PhotoRow {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serde_bytes::Bytes::new(&self.encode()).serialize(s)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn sample(entry: &str, scale: u8) -> ByteBuf {
        let resource_id = ResourceId::new(entry).expect("an id");
        ByteBuf::from(PhotoRow { resource_id, ..row(scale) }.encode())
    }

    fn row(scale: u8) -> PhotoRow {
        PhotoRow {
            resource_id: ResourceId::new("f1").expect("an id"),
            imgscale: scale,
            width: 300,
            height: 300,
            mimetype: "image/jpeg".into(),
            filesize: 4643,
            photo_usage: 1,
            profile: 0,
            title: String::new(),
            description: "A heron".into(),
            album: "Profile Photos".into(),
            crop: Some(Crop { x: 10, y: 0, width: 900, height: 900 }),
            chosen: Some(1 << 40),
            extra: vec![("is_nsfw".into(), vec![0x00]), ("x".into(), vec![0x81, 0xa1, b'y', 0xc0])],
        }
    }

    /// PHOTO-3: a field that this version does not know comes out as it went in; local columns do not travel.
    #[test]
    fn unknown_fields_are_passed_on_and_local_ones_dropped() {
        let row = row(4);
        assert_eq!(PhotoRow::decode(&row.encode()), Ok(row.clone()));
        let mut local = row.clone();
        local.extra.push(("os_path".into(), codec::encode(&"store/alice/f1-4")));
        assert_eq!(PhotoRow::decode(&local.encode()), Ok(row));
    }

    /// PHOTO-1: a row without one of its fields, with a doubled one, too long, or out of range is refused.
    #[test]
    fn rows_of_another_form_are_refused() {
        let refused = |row: &PhotoRow| PhotoRow::decode(&row.encode()).is_err();
        assert!(!refused(&row(9)));
        assert!(refused(&row(10)));
        let doubled = ("width".to_owned(), codec::encode(&1));
        assert!(refused(&PhotoRow { extra: vec![doubled], ..row(4) }));
        assert!(refused(&PhotoRow { title: "x".repeat(16 << 10), ..row(4) }));
        assert!(refused(&PhotoRow { chosen: Some(1 << 63), ..row(4) }));
        let empty = Crop { x: 0, y: 0, width: 0, height: 9 };
        assert!(refused(&PhotoRow { crop: Some(empty), ..row(4) }));
        let mut fields = fields(&row(4).encode(), MAX_ROW)
            .expect("a row")
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect::<Vec<_>>();
        fields.retain(|(name, _)| name != "photo_usage");
        let fields: Vec<_> = fields.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        assert!(PhotoRow::decode(&map(&fields)).is_err());
    }

    /// PHOTO-2: rows belong to their entry, and no scale stands twice.
    #[test]
    fn rows_of_another_entry_or_of_one_scale_are_refused() {
        use super::super::attach::tests::sample as attach;
        let rows = [sample("f1", 4), sample("f1", 5)];
        assert_eq!(check(&rows, &attach("f1", "", "a.jpg")), Ok(()));
        assert!(check(&rows, &attach("f2", "", "a.jpg")).is_err());
        let twice = [sample("f1", 4), sample("f1", 4)];
        assert!(check(&twice, &attach("f1", "", "a.jpg")).is_err());
        let folder = AttachRow { is_dir: 1, ..attach("f1", "", "a") };
        assert!(check(&rows, &folder).is_err());
        assert_eq!(check(&[], &folder), Ok(()));
    }
}

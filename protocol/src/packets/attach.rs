//! One `attach` row: a file or folder under Hubzilla's column names, unknown fields kept.
//!
//! A row travels as a `bin` that holds a MessagePack map, so that a hub can keep and pass on, byte by
//! byte, the fields it does not know. Local ids and paths (`id`, `aid`, `uid`, `content`, `os_path`,
//! `display_path`, `os_storage`) do not travel.
//! Spec: SYNC-6, SYNC-7, SYNC-18, SYNC-19.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::row::{field, fields, map, others};
use crate::codec;
use crate::ids::ResourceId;
use crate::refusal::{Code, Refusal};

/// The largest row, in bytes.
const MAX_ROW: usize = 64 << 10;

/// A row that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// Not a map of the described fields.
    #[error("an attach row of the wrong form: {0}")]
    Form(String),
    /// A name that no entry may have.
    #[error("an entry's name is empty, too long, `.`, `..`, or holds `/` or NUL")]
    Name,
}

impl From<BadRow> for Refusal {
    fn from(bad: BadRow) -> Self {
        match bad {
            BadRow::Form(_) => Self::with(Code::BadField, bad),
            BadRow::Name => Code::BadName.into(),
        }
    }
}

macro_rules! attach_row {
    ($( $(#[$doc:meta])* $name:ident: $type:ty, )*) => {
        /// An entry's metadata.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct AttachRow {
            $( $(#[$doc])* pub $name: $type, )*
            /// Fields that this version does not know: name, raw MessagePack value.
            pub extra: Vec<(String, Vec<u8>)>,
        }

        impl AttachRow {
            /// The row as a MessagePack map.
            pub fn encode(&self) -> Vec<u8> {
                let mut fields: Vec<(&str, Vec<u8>)> =
                    vec![$( (stringify!($name), codec::encode(&self.$name)), )*];
                fields.extend(self.extra.iter().map(|(k, v)| (k.as_str(), v.clone())));
                map(&fields)
            }

            /// A row out of a MessagePack map: known fields by type, the others as they are. Whether
            /// its name is one is for [`Self::check`] to say.
            pub fn decode(bytes: &[u8]) -> Result<Self, BadRow> {
                let fields = fields(bytes, MAX_ROW).map_err(BadRow::Form)?;
                let row = Self {
                    $( $name: field(&fields, stringify!($name)).map_err(BadRow::Form)?, )*
                    extra: others(&fields, &[$( stringify!($name), )*]),
                };
                row.well_formed()
            }
        }
    };
}

attach_row! {
    /// The entry's id.
    hash: ResourceId,
    /// Portable id of whoever uploaded it; may be empty.
    creator: String,
    /// 1 to 255 bytes of UTF-8.
    filename: String,
    /// MIME type; `multipart/mixed` for a folder.
    filetype: String,
    /// Bytes; 0 for a folder.
    filesize: u64,
    /// Counts replacements, for people.
    revision: u32,
    /// The parent's id; empty at the top.
    folder: String,
    /// Hubzilla's flags, passed on.
    flags: u32,
    /// 1 for a folder.
    is_dir: u8,
    /// 1 for a photo.
    is_photo: u8,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    created: String,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    edited: String,
    /// Channels that may read, `<id>` after `<id>`; empty for all.
    allow_cid: String,
    /// Groups that may read.
    allow_gid: String,
    /// Channels that may not.
    deny_cid: String,
    /// Groups that may not.
    deny_gid: String,
    /// Modification time of the file that was put, Unix ms; ours, optional.
    mtime: Option<u64>,
    /// Whether the file that was put was executable; ours, optional.
    executable: Option<bool>,
    /// A title for people; ours, optional.
    title: Option<String>,
}

impl AttachRow {
    /// SYNC-6: whether the entry may be called so. Asked for each operation alone: one bad name does
    /// not spoil its packet.
    pub fn check(&self) -> Result<(), BadRow> {
        if is_name(&self.filename) { Ok(()) } else { Err(BadRow::Name) }
    }

    fn well_formed(self) -> Result<Self, BadRow> {
        if !self.folder.is_empty() && ResourceId::new(self.folder.as_str()).is_err() {
            return Err(BadRow::Form("folder is not a resource id".into()));
        }
        Ok(self)
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.is_dir != 0
    }

    /// The parent; `None` at the top.
    pub fn parent(&self) -> Option<ResourceId> {
        ResourceId::new(self.folder.as_str()).ok()
    }
}

/// SYNC-6: what an entry may be called. Names are compared byte by byte and never normalised.
pub fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name != "." && name != ".." && !name.contains(['/', '\0'])
}

impl Serialize for AttachRow {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serde_bytes::Bytes::new(&self.encode()).serialize(s)
    }
}

impl<'de> Deserialize<'de> for AttachRow {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes = <&serde_bytes::Bytes>::deserialize(d)?;
        Self::decode(bytes).map_err(de::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(hash: &str, folder: &str, filename: &str) -> AttachRow {
        AttachRow {
            hash: ResourceId::new(hash).expect("an id"),
            creator: String::new(),
            filename: filename.to_owned(),
            filetype: "text/plain".to_owned(),
            filesize: 3,
            revision: 0,
            folder: folder.to_owned(),
            flags: 0,
            is_dir: 0,
            is_photo: 0,
            created: "2026-11-22 16:20:01".to_owned(),
            edited: "2026-11-22 16:20:01".to_owned(),
            allow_cid: String::new(),
            allow_gid: String::new(),
            deny_cid: String::new(),
            deny_gid: String::new(),
            mtime: None,
            executable: Some(true),
            title: None,
            extra: vec![("term".to_owned(), vec![0x91, 0x81, 0xa1, b'x', 0x01])],
        }
    }

    /// SYNC-7: a field that this version does not know comes out as it went in, nested or not.
    #[test]
    fn unknown_fields_are_passed_on_byte_by_byte() {
        let row = sample("a1", "", "notes.txt");
        assert_eq!(AttachRow::decode(&row.encode()), Ok(row));
    }

    /// SYNC-19: local columns are dropped.
    #[test]
    fn local_columns_do_not_travel() {
        let mut row = sample("a1", "", "notes.txt");
        row.extra.push(("content".to_owned(), codec::encode(&"store/alice/a1")));
        let decoded = AttachRow::decode(&row.encode()).expect("well-formed");
        assert_eq!(decoded.extra.len(), 1);
    }

    /// SYNC-6: names that would leave a folder, or that no file system holds, are refused by name.
    #[test]
    fn bad_names_are_refused() {
        for name in ["", ".", "..", "a/b", "nul\0", &"x".repeat(256)] {
            assert_eq!(sample("a1", "", name).check(), Err(BadRow::Name), "{name:?}");
        }
        for name in ["a\nb", "-rf", "\u{202e}gpj.exe", &"ü".repeat(127), "CON", "..."] {
            assert_eq!(sample("a1", "", name).check(), Ok(()), "{name:?}");
        }
    }

    /// SYNC-18: a field that stands twice is refused, not resolved.
    #[test]
    fn doubled_fields_are_refused() {
        let mut row = sample("a1", "", "a");
        row.extra.push(("filename".to_owned(), codec::encode(&"b")));
        assert!(matches!(AttachRow::decode(&row.encode()), Err(BadRow::Form(_))));
    }
}

//! The names things travel under: channels, hubs, replicas, resources, packets, digests, chunks.
//!
//! Owns: newtypes that can hold well-formed values only. Not here: what the values mean.
//! Invariant: whatever was decoded into one of these types has the length and alphabet that
//! the specification allows; nothing longer is ever kept.
//! Spec: PKT-20 to PKT-27.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::codec;

/// A value that does not have the form its type asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadId(pub &'static str);

/// Declares a newtype over a fixed number of bytes: MessagePack `bin` on the wire, hex for people.
macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Takes exactly [`Self::LEN`] bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, BadId> {
                bytes.try_into().map(Self).map_err(|_| {
                    BadId(concat!(stringify!($name), " must be ", stringify!($len), " bytes"))
                })
            }

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let mut out = [0; $len];
                hex::decode_to_slice(text, &mut out).map(|()| Self(out)).map_err(|_| {
                    BadId(concat!(stringify!($name), " must be hex of ", stringify!($len), " bytes"))
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                serde_bytes::Bytes::new(&self.0).serialize(s)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let bytes = codec::Bin::deserialize(d)?;
                Self::from_slice(bytes.0).map_err(de::Error::custom)
            }
        }
    };
}

byte_id! {
    /// PKT-20: one packet; a UUIDv7. An answer repeats it, so that a reply belongs to one request only.
    PacketId, 16
}
byte_id! {
    /// PKT-21: one file operation, the same on every delivery of it; a UUIDv7.
    OpId, 16
}
byte_id! {
    /// PKT-22: one channel on one hub; random, minted anew after every import, restore or roll-back.
    ReplicaId, 8
}
byte_id! {
    /// PKT-23: a SHA-256: a chunk's leaf digest, an inner node, or the root that names a file's content.
    Digest, 32
}

/// Declares a newtype over text with a fixed alphabet and greatest length.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(String);

        impl $name {
            /// Checks the form.
            pub fn new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(BadId($what)) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <&str>::deserialize(d)?;
                Self::new(text).map_err(de::Error::custom)
            }
        }
    };
}

/// PKT-24.
fn is_whirlpool_base64url(text: &str) -> bool {
    text.len() == 86 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

text_id! {
    /// A channel: base64url(whirlpool(guid + public key PEM)) of its first key, no padding.
    PortableId, is_whirlpool_base64url, "a portable id is 86 characters of base64url"
}
text_id! {
    /// A hub: base64url(whirlpool(base URL + site key PEM)), no padding.
    SiteId, is_whirlpool_base64url, "a site id is 86 characters of base64url"
}
text_id! {
    /// PKT-25: one entry of a channel, a file or a folder: Hubzilla's `attach.hash`.
    ResourceId,
    |t| (1..=64).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
    "a resource id is 1 to 64 letters, digits, '-' or '_'"
}

/// PKT-26: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Later by `ms`.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How many ms have gone by since `earlier`; 0 when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Moved by a signed offset in ms.
    #[must_use]
    pub fn offset(self, ms: i64) -> Self {
        Self(self.0.saturating_add_signed(ms))
    }
}

/// The number of a chunk in its file, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkNo(pub u32);

/// PKT-27: which bytes of a resource: the original, or one of the two scales whose crop cannot be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// The file itself.
    #[serde(rename = "file")]
    File,
    /// The profile photo as it was cropped.
    #[serde(rename = "photo-4")]
    Photo4,
    /// The cover photo as it was cropped.
    #[serde(rename = "photo-7")]
    Photo7,
}

impl Role {
    /// The role as it stands on the wire and in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Photo4 => "photo-4",
            Self::Photo7 => "photo-7",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        match text {
            "file" => Ok(Self::File),
            "photo-4" => Ok(Self::Photo4),
            "photo-7" => Ok(Self::Photo7),
            _ => Err(BadId("a role is file, photo-4 or photo-7")),
        }
    }
}

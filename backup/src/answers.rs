//! What a hub answers to whoever brings a backup over the network.
//!
//! Owns: the JSON of the answers. Not here: HTTP, on either side.
//! Spec: BACKUP-27, BACKUP-29.

use serde::{Deserialize, Serialize};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::OpStatus;

use crate::text::Text;

/// What an operation came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Came {
    /// `stored`, `duplicate`, `superseded` or `refused`.
    pub status: OpStatus,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
}

/// A content that is awaited.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Awaited {
    /// Its name.
    pub root: Text<Digest>,
    /// Its bytes.
    pub size: u64,
}

/// The answer to entries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Taken {
    /// What became of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Came>,
    /// What their entries lack here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<Awaited>,
}

/// How far a content is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Standing {
    /// Its bytes.
    pub size: u64,
    /// Whether it is here.
    pub present: bool,
    /// How many of its first chunks are.
    pub held: u32,
}

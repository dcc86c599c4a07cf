//! `chunk-request`: the right to fetch numbered chunks, presented until it expires.
//!
//! Spec: FETCH-8, FETCH-25.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::ids::{Digest, ResourceId, Role};
use crate::manifest::ChunkRange;
use crate::refusal::{Code, Refusal};

/// Most items in one request.
pub const MAX_ITEMS: usize = 256;
/// Most chunks in one request, all items together.
pub const MAX_CHUNKS_ASKED: u64 = 1024;

/// Some chunks of one content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkItem {
    /// The entry.
    pub resource: ResourceId,
    /// Which of its bytes.
    pub role: Role,
    /// Which content.
    pub root: Digest,
    /// Which chunks, in the order in which they are sent.
    #[serde(deserialize_with = "codec::bounded::<_, _, 1024>")]
    pub ranges: Vec<ChunkRange>,
}

impl ChunkItem {
    /// Number of chunks asked for, as claimed.
    pub fn chunks(&self) -> u64 {
        self.ranges.iter().map(|r| u64::from(r.count)).sum()
    }
}

/// A list of chunks, signed once. Frames count its items from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRequest {
    /// What is asked for.
    #[serde(deserialize_with = "codec::bounded::<_, _, 256>")]
    pub items: Vec<ChunkItem>,
}

impl ChunkRequest {
    /// FETCH-8: 1 to 256 items, no empty range, 1 to 1024 chunks in all.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let chunks: u64 = self.items.iter().map(ChunkItem::chunks).sum();
        let empty = self.items.iter().flat_map(|i| &i.ranges).any(|r| r.count == 0);
        if chunks == 0 || chunks > MAX_CHUNKS_ASKED || empty {
            return Err(Refusal::with(Code::BadRange, "1 to 1024 chunks in 1 to 256 items"));
        }
        Ok(())
    }
}

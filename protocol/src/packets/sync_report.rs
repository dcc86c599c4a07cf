//! `sync-report`: what became of operations, and which bytes are here now.
//!
//! Spec: SYNC-8, SYNC-9, SYNC-28, SYNC-31.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::ids::{Digest, OpId, ResourceId, Role};
use crate::refusal::{CodeNumber, Refusal};

/// What became of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpStatus {
    /// It is in the catalog now.
    Stored,
    /// It was there before.
    Duplicate,
    /// Something newer was there; the sender need not send it again.
    Superseded,
    /// It was not taken; the code says why.
    Refused,
}

/// The report on one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpReport {
    /// The operation.
    pub id: OpId,
    /// What became of it.
    pub status: OpStatus,
    /// With `refused`: the row of the refusal table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeNumber>,
}

/// Bytes that are complete, verified and durable at the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentData {
    /// The entry.
    pub resource: ResourceId,
    /// Which of its bytes.
    pub role: Role,
    /// Which content.
    pub root: Digest,
}

/// The answer to a `clone-sync` (operations), or news of its own (present bytes).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// One for each operation of the answered packet, in its order.
    #[serde(default, deserialize_with = "codec::bounded::<_, _, 256>")]
    pub operations: Vec<OpReport>,
    /// At most 4096 contents that have arrived.
    #[serde(default, deserialize_with = "codec::bounded::<_, _, 4096>")]
    pub present: Vec<PresentData>,
}

impl SyncReport {
    /// Most contents in one report.
    pub const MAX_PRESENT: usize = 4096;

    pub(super) fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

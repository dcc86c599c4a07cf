//! `stream-request`: the right to stream one file, carried in a GET's `Authorization` header.
//!
//! Spec: STREAM-1, STREAM-3.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, ResourceId, Role};
use crate::refusal::Refusal;

/// Which bytes may be streamed, any range of them, until the packet expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRequest {
    /// The entry.
    pub resource: ResourceId,
    /// Which of its bytes.
    pub role: Role,
    /// Which content.
    pub root: Digest,
}

impl StreamRequest {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

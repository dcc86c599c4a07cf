//! `refusal`: why a packet was not done.
//!
//! Spec: REF-2, SIGN-10.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::ids::Millis;
use crate::refusal::{CodeNumber, Refusal};

/// A refusal of the whole packet that the header's `answers` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalPacket {
    /// Which row of the table.
    pub code: CodeNumber,
    /// A sentence for people.
    #[serde(deserialize_with = "codec::short_text::<_, 1024>")]
    pub text: String,
    /// Seconds after which asking again may help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// The refuser's clock: by it a sender with a wrong clock corrects itself (SIGN-10).
    pub clock: Millis,
}

impl RefusalPacket {
    /// The packet form of a refusal.
    pub fn new(refusal: &Refusal, clock: Millis) -> Self {
        Self {
            code: refusal.code.into(),
            text: refusal.text.clone(),
            retry_after: refusal.retry_after,
            clock,
        }
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

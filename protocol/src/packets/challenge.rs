//! `challenge`: proves that a URL's hub holds the site key that a location record names.
//!
//! Spec: ID-13, ID-14, ID-23.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::refusal::Refusal;

/// A nonce, and the same nonce in the answer. Both travel in a signed envelope, so the answer is the
/// nonce signed by the challenged site key, sent from the challenged URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// 32 random bytes.
    pub nonce: Digest,
}

impl Challenge {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

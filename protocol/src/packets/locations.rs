//! `locations`: where a channel lives, as signed records.
//!
//! Spec: ID-7, ID-18, QUEUE-14.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::identity::SignedLocation;
use crate::refusal::Refusal;

/// The records that the sender holds of the header's channel, its own among them. Also the greeting
/// of a hub that has started: whoever has something for it may send it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locations {
    /// At most 64 records.
    #[serde(deserialize_with = "codec::bounded::<_, _, 64>")]
    pub records: Vec<SignedLocation>,
}

impl Locations {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

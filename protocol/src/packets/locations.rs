//! `locations`: where a channel lives, by signed records, and which keys count.
//!
//! Spec: ID-7, ID-18, ID-34, QUEUE-14.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::identity::{SignedLocation, SignedNotice, SignedRotation};
use crate::refusal::Refusal;

/// The records that the sender holds of the header's channel, its own among them. Also the greeting
/// of a hub that has started: whoever has something for it may send it now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locations {
    /// At most 64 records.
    #[serde(deserialize_with = "codec::bounded::<_, _, 64>")]
    pub records: Vec<SignedLocation>,
    /// All rotations of the channel's key that the sender knows, in their order.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "codec::bounded::<_, _, 32>"
    )]
    pub rotations: Vec<SignedRotation>,
    /// At most 64 notices.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "codec::bounded::<_, _, 64>"
    )]
    pub notices: Vec<SignedNotice>,
}

impl Locations {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

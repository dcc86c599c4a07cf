//! Location records: this channel lives at that hub, signed by both.
//!
//! Invariant: a [`VerifiedLocation`] carries both signatures and they hold; only `verify` makes one.
//! Spec: ID-7 to ID-10, ID-12, ID-34.

use serde::{Deserialize, Serialize};

use super::{BaseUrl, PublicKey, SignError, SignedRotation, Signer, site_id};
use crate::codec;
use crate::ids::{PortableId, ReplicaId, SiteId};
use crate::refusal::{Code, Refusal};

/// What is signed begins with this, so that no other signature can stand in.
const CONTEXT: &[u8] = b"zot-file-location\n";

/// One channel on one hub, as stated at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The channel.
    pub channel: PortableId,
    /// The hub's base URL.
    pub url: BaseUrl,
    /// The hub's site key, SPKI PEM.
    #[serde(deserialize_with = "codec::short_text::<_, 2048>")]
    pub site_key: String,
    /// This copy of the channel.
    pub replica: ReplicaId,
    /// Whether this is the clone that others name first.
    pub primary: bool,
    /// Whether the channel has left this hub.
    pub deleted: bool,
    /// Counts up with each statement about this location; Unix ms of the statement, or one more
    /// than the last.
    pub serial: u64,
}

/// A record with both signatures, as it travels. The bytes that were signed are kept as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedLocation {
    /// [`Location`] as MessagePack.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// By the channel key.
    #[serde(with = "serde_bytes")]
    pub channel_sig: Vec<u8>,
    /// By the site key that the record names.
    #[serde(with = "serde_bytes")]
    pub site_sig: Vec<u8>,
}

/// ID-12, ID-34: how a hub introduces itself in an envelope: its record, and the rotations by which
/// the key that signed it follows the first one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// The record, by its parts.
    #[serde(with = "serde_bytes")]
    record: Vec<u8>,
    #[serde(with = "serde_bytes")]
    channel_sig: Vec<u8>,
    #[serde(with = "serde_bytes")]
    site_sig: Vec<u8>,
    /// All rotations of the channel that the sender knows, in their order.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "codec::bounded::<_, _, 32>"
    )]
    pub rotations: Vec<SignedRotation>,
}

impl Introduction {
    /// By this record.
    pub fn new(location: SignedLocation, rotations: Vec<SignedRotation>) -> Self {
        let SignedLocation { record, channel_sig, site_sig } = location;
        Self { record, channel_sig, site_sig, rotations }
    }

    /// The record.
    pub fn location(&self) -> SignedLocation {
        SignedLocation {
            record: self.record.clone(),
            channel_sig: self.channel_sig.clone(),
            site_sig: self.site_sig.clone(),
        }
    }
}

/// A location whose signatures hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLocation {
    location: Location,
    site_key: PublicKey,
    site_id: SiteId,
    signed: SignedLocation,
}

fn message(record: &[u8]) -> Vec<u8> {
    [CONTEXT, record].concat()
}

impl SignedLocation {
    /// Signs a record with both keys.
    pub fn sign(
        location: &Location,
        channel: &dyn Signer,
        site: &dyn Signer,
    ) -> Result<Self, SignError> {
        let record = codec::encode(location);
        let message = message(&record);
        Ok(Self { channel_sig: channel.sign(&message)?, site_sig: site.sign(&message)?, record })
    }

    /// The channel that the record speaks of, before anything is verified: to look up its key.
    pub fn claimed_channel(&self) -> Result<PortableId, Refusal> {
        codec::decode_owned::<Location>(&self.record).map(|l| l.channel)
    }

    /// Whether this key made the channel's signature.
    pub fn is_by(&self, channel_key: &PublicKey) -> bool {
        channel_key.verifies(&message(&self.record), &self.channel_sig)
    }

    /// ID-8, ID-9: both signatures hold and the site key is acceptable.
    pub fn verify(
        &self,
        channel: &PortableId,
        channel_key: &PublicKey,
    ) -> Result<VerifiedLocation, Refusal> {
        let message = message(&self.record);
        if !channel_key.verifies(&message, &self.channel_sig) {
            return Err(Refusal::with(Code::BadLocation, "the channel's signature"));
        }
        let location: Location = codec::decode_owned(&self.record)?;
        if location.channel != *channel {
            return Err(Refusal::with(Code::BadLocation, "another channel"));
        }
        let site_key =
            PublicKey::from_pem(&location.site_key).map_err(|e| Refusal::with(Code::BadKey, e))?;
        if !site_key.verifies(&message, &self.site_sig) {
            return Err(Refusal::with(Code::BadLocation, "the site's signature"));
        }
        let site_id = site_id(&location.url, &site_key);
        Ok(VerifiedLocation { location, site_key, site_id, signed: self.clone() })
    }
}

impl VerifiedLocation {
    /// The statement.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The hub's key.
    pub fn site_key(&self) -> &PublicKey {
        &self.site_key
    }

    /// The hub's id, derived from URL and key.
    pub fn site_id(&self) -> &SiteId {
        &self.site_id
    }

    /// The record as it travels.
    pub fn signed(&self) -> &SignedLocation {
        &self.signed
    }

    /// ID-10: the highest serial wins; ties go to the larger replica id.
    pub fn replaces(&self, known: &Location) -> bool {
        (self.location.serial, self.location.replica) > (known.serial, known.replica)
    }
}

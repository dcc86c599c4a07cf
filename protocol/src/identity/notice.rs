//! Notices: what one clone of a channel states about the place of another.
//!
//! Invariant: a [`VerifiedNotice`] is signed by the channel's newest key; only a chain makes one.
//! Spec: ID-35 to ID-37.

use serde::{Deserialize, Serialize};

use super::{PublicKey, SignError, Signer};
use crate::codec;
use crate::ids::{PortableId, SiteId};
use crate::refusal::{Code, Refusal};

/// What is signed begins with this, so that no other signature can stand in.
const CONTEXT: &[u8] = b"zot-file-notice\n";

/// A location, as another one of the same channel wants it to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The channel.
    pub channel: PortableId,
    /// The hub that is spoken of.
    pub site: SiteId,
    /// Whether it is a clone no more, whatever its own records say.
    pub removed: bool,
    /// Whether it is the clone that others name first.
    pub primary: bool,
    /// Rises with each notice about this hub.
    pub serial: u64,
}

/// A notice with its signature, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedNotice {
    /// [`Notice`] as MessagePack.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// By the channel's newest key.
    #[serde(with = "serde_bytes")]
    pub channel_sig: Vec<u8>,
}

/// A notice whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNotice {
    notice: Notice,
    signed: SignedNotice,
}

impl SignedNotice {
    /// Signs a notice with the channel's key.
    pub fn sign(notice: &Notice, channel: &dyn Signer) -> Result<Self, SignError> {
        let record = codec::encode(notice);
        Ok(Self { channel_sig: channel.sign(&[CONTEXT, &record].concat())?, record })
    }

    /// ID-36: the channel's newest key signed it, and it says one thing.
    pub(super) fn verify(
        &self,
        channel: &PortableId,
        key: &PublicKey,
    ) -> Result<VerifiedNotice, Refusal> {
        let bad = |why: &str| Err(Refusal::with(Code::BadStatement, why));
        if !key.verifies(&[CONTEXT, &self.record].concat(), &self.channel_sig) {
            return bad("the channel's signature");
        }
        let notice: Notice = codec::decode_owned(&self.record)?;
        if notice.channel != *channel {
            return bad("another channel");
        }
        if notice.removed && notice.primary {
            return bad("a hub that is removed cannot be primary");
        }
        Ok(VerifiedNotice { notice, signed: self.clone() })
    }
}

impl VerifiedNotice {
    /// The statement.
    pub fn notice(&self) -> &Notice {
        &self.notice
    }

    /// As it travels.
    pub fn signed(&self) -> &SignedNotice {
        &self.signed
    }
}

impl Notice {
    /// ID-37: whether this notice counts in the place of another one about the same hub.
    pub fn replaces(&self, known: &Self) -> bool {
        (self.serial, self.removed, self.primary) > (known.serial, known.removed, known.primary)
    }
}

//! What a channel's owner states to a hub while bringing it a backup.
//!
//! Owns: the statement, its signature, when it counts. Not here: HTTP, what a hub does with it.
//! Invariant: a [`VerifiedRestore`] is signed by the channel's newest key, for this hub, and fresh.
//! Spec: BACKUP-26, BACKUP-27.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::envelope::{MAX_AHEAD, MAX_LIFE};
use crate::identity::{PublicKey, SignError, Signer};
use crate::ids::{Millis, PacketId, PortableId, SiteId};
use crate::packets::Operation;
use crate::refusal::{Code, Refusal};

/// What is signed begins with this, so that no other signature can stand in.
const CONTEXT: &[u8] = b"zot-file-restore\n";

/// What a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A backup is going to be brought.
    Begin,
    /// Entries of it.
    Entries,
    /// The right to bring bytes.
    Bytes,
    /// All has been brought.
    End,
}

/// What the owner states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The channel.
    pub channel: PortableId,
    /// The hub that is spoken to.
    pub site: SiteId,
    /// A name of its own.
    pub id: PacketId,
    /// When it was signed.
    pub at: Millis,
    /// When it stops to count.
    pub expires: Millis,
    /// What it is for.
    pub step: Step,
    /// The entries, with [`Step::Entries`].
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "codec::bounded::<_, _, 256>"
    )]
    pub operations: Vec<Operation>,
}

/// A statement with its signature, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRestore {
    /// [`Restore`] as MessagePack.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// By the channel's newest key.
    #[serde(with = "serde_bytes")]
    pub channel_sig: Vec<u8>,
}

/// A statement that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRestore(Restore);

impl SignedRestore {
    /// BACKUP-26: signs a statement with the channel's key.
    pub fn sign(said: &Restore, channel: &dyn Signer) -> Result<Self, SignError> {
        let record = codec::encode(said);
        Ok(Self { channel_sig: channel.sign(&[CONTEXT, &record].concat())?, record })
    }

    /// Whose it claims to be: to look up the key.
    pub fn claimed_channel(&self) -> Result<PortableId, Refusal> {
        #[derive(Deserialize)]
        struct Claim {
            channel: PortableId,
        }
        codec::decode_map::<Claim>(&self.record).map(|claim| claim.channel)
    }

    /// BACKUP-27: signed by the key, for this hub, and fresh.
    pub fn verify(
        &self,
        key: &PublicKey,
        site: &SiteId,
        now: Millis,
    ) -> Result<VerifiedRestore, Refusal> {
        if !key.verifies(&[CONTEXT, &self.record].concat(), &self.channel_sig) {
            return Err(Code::BadSignature.into());
        }
        let said: Restore = codec::decode_map(&self.record)?;
        if said.site != *site {
            return Err(Code::NotForMe.into());
        }
        let Restore { at, expires, .. } = said;
        if at > now.plus(MAX_AHEAD) || now > expires || expires.since(at) > MAX_LIFE || expires < at
        {
            return Err(Code::Stale.into());
        }
        if said.operations.is_empty() == (said.step == Step::Entries) {
            return Err(Refusal::with(Code::BadField, "operations with `entries`, and only then"));
        }
        Ok(VerifiedRestore(said))
    }
}

impl VerifiedRestore {
    /// The statement.
    pub fn said(&self) -> &Restore {
        &self.0
    }

    /// The same, to take its operations out of it.
    pub fn into_said(self) -> Restore {
        self.0
    }
}

//! Rotations: from now on this channel signs with another key, signed by both keys.
//!
//! Owns: one statement and which of two rivals counts. Not here: the chain of them (`chain`).
//! Invariant: a [`VerifiedRotation`] carries three signatures and they hold; only `verify` makes one.
//! Spec: ID-24, ID-25, ID-29.

use serde::{Deserialize, Serialize};

use super::{BaseUrl, PublicKey, SignError, Signer, site_id};
use crate::codec;
use crate::ids::{Millis, PortableId, SiteId};
use crate::refusal::{Code, Refusal};

/// What is signed begins with this, so that no other signature can stand in.
const CONTEXT: &[u8] = b"zot-file-rotation\n";

/// A channel's key is followed by another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The channel.
    pub channel: PortableId,
    /// Which rotation of the channel this is; the first is 1.
    pub number: u32,
    /// The key so far, SPKI PEM.
    #[serde(deserialize_with = "codec::short_text::<_, 2048>")]
    pub old_key: String,
    /// The key from now on, SPKI PEM.
    #[serde(deserialize_with = "codec::short_text::<_, 2048>")]
    pub new_key: String,
    /// The hubs whose records hold although an earlier key signed them; no others.
    #[serde(deserialize_with = "codec::bounded::<_, _, 64>")]
    pub keep: Vec<SiteId>,
    /// Base URL of the hub that rotates.
    pub url: BaseUrl,
    /// Key of the hub that rotates, SPKI PEM.
    #[serde(deserialize_with = "codec::short_text::<_, 2048>")]
    pub site_key: String,
    /// When.
    pub at: Millis,
}

/// A rotation with its three signatures, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRotation {
    /// [`Rotation`] as MessagePack.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// By the key so far.
    #[serde(with = "serde_bytes")]
    pub old_sig: Vec<u8>,
    /// By the key from now on.
    #[serde(with = "serde_bytes")]
    pub new_sig: Vec<u8>,
    /// By the hub that rotates.
    #[serde(with = "serde_bytes")]
    pub site_sig: Vec<u8>,
}

/// A rotation whose signatures hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRotation {
    rotation: Rotation,
    old_key: PublicKey,
    new_key: PublicKey,
    site: SiteId,
    signed: SignedRotation,
}

impl SignedRotation {
    /// Signs a rotation with both keys and the hub's.
    pub fn sign(
        rotation: &Rotation,
        old: &dyn Signer,
        new: &dyn Signer,
        site: &dyn Signer,
    ) -> Result<Self, SignError> {
        let record = codec::encode(rotation);
        let message = [CONTEXT, &record].concat();
        Ok(Self {
            old_sig: old.sign(&message)?,
            new_sig: new.sign(&message)?,
            site_sig: site.sign(&message)?,
            record,
        })
    }

    /// ID-25: all that can be said of a rotation by itself.
    pub fn verify(&self, channel: &PortableId) -> Result<VerifiedRotation, Refusal> {
        let bad = |why: &str| Err(Refusal::with(Code::BadStatement, why));
        let key = |pem: &str| {
            PublicKey::from_pem(pem).map_err(|error| Refusal::with(Code::BadKey, error))
        };
        let rotation: Rotation = codec::decode_owned(&self.record)?;
        if rotation.channel != *channel {
            return bad("another channel");
        }
        let (old_key, new_key) = (key(&rotation.old_key)?, key(&rotation.new_key)?);
        let site_key = key(&rotation.site_key)?;
        let message = [CONTEXT, &self.record].concat();
        if !old_key.verifies(&message, &self.old_sig) {
            return bad("the signature of the key so far");
        }
        if !new_key.verifies(&message, &self.new_sig) {
            return bad("the signature of the new key");
        }
        if !site_key.verifies(&message, &self.site_sig) {
            return bad("the site's signature");
        }
        let site = site_id(&rotation.url, &site_key);
        if !rotation.keep.contains(&site) {
            return bad("the hub that rotates does not keep itself");
        }
        Ok(VerifiedRotation { rotation, old_key, new_key, site, signed: self.clone() })
    }
}

impl VerifiedRotation {
    /// The statement.
    pub fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// The key so far.
    pub fn old_key(&self) -> &PublicKey {
        &self.old_key
    }

    /// The key from now on.
    pub fn new_key(&self) -> &PublicKey {
        &self.new_key
    }

    /// The hub that rotates.
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// As it travels.
    pub fn signed(&self) -> &SignedRotation {
        &self.signed
    }

    /// Whether a hub's records hold although an earlier key signed them.
    pub fn keeps(&self, site: &SiteId) -> bool {
        self.rotation.keep.contains(site)
    }

    /// ID-29: whether this rotation counts in the place of another one of the same key, which was
    /// known first.
    pub fn outranks(&self, known: &Self) -> bool {
        match (self.keeps(&known.site), known.keeps(&self.site)) {
            (false, true) => true,
            (true, false) | (false, false) => false,
            (true, true) => self.rank() > known.rank(),
        }
    }

    fn rank(&self) -> (Millis, &str) {
        (self.rotation.at, &self.rotation.new_key)
    }
}

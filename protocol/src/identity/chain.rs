//! A channel's keys, from the first one on: what each of them may still sign.
//!
//! Owns: the chain of rotations, and which signatures of older keys count. Not here: private keys,
//! who may bring a rotation (the hub knows its clones).
//! Invariant: each rotation follows the key before it; the id of the channel is that of the first.
//! Spec: ID-8, ID-25 to ID-27, ID-29, ID-36.

use super::{
    PublicKey, SignedLocation, SignedNotice, SignedRotation, VerifiedLocation, VerifiedNotice,
    VerifiedRotation,
};
use crate::codec;
use crate::ids::{PortableId, SiteId};
use crate::refusal::{Code, Refusal};

/// ID-26: most rotations of one channel.
pub const MAX_ROTATIONS: usize = 32;

/// The keys of one channel.
#[derive(Debug, Clone)]
pub struct KeyChain {
    channel: PortableId,
    first: PublicKey,
    rotations: Vec<VerifiedRotation>,
}

/// How another chain of the same channel stands to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It says nothing that ours does not.
    Known,
    /// It says what ours does and then more, or counts in its place: from this rotation on, counted
    /// from 0.
    Newer(usize),
    /// It parts from ours, and ours counts.
    Rival,
}

impl KeyChain {
    /// A channel that has its first key still.
    pub fn new(channel: PortableId, first: PublicKey) -> Self {
        Self { channel, first, rotations: Vec::new() }
    }

    /// ID-25, ID-26: the same with rotations, all of them, in their order.
    pub fn with(self, rotations: &[SignedRotation]) -> Result<Self, Refusal> {
        let bad = |why: &str| Err(Refusal::with(Code::BadStatement, why));
        if rotations.len() > MAX_ROTATIONS {
            return bad("too many rotations");
        }
        let mut chain = Self { rotations: Vec::new(), ..self };
        for (number, signed) in (1u32..).zip(rotations) {
            let next = signed.verify(&chain.channel)?;
            if next.rotation().number != number || next.old_key() != chain.newest() {
                return bad("it does not follow the key before it");
            }
            if chain.keys().any(|key| key == next.new_key()) {
                return bad("a key stands twice");
            }
            chain.rotations.push(next);
        }
        Ok(chain)
    }

    /// The channel.
    pub fn channel(&self) -> &PortableId {
        &self.channel
    }

    /// The key that the channel's id is made from.
    pub fn first(&self) -> &PublicKey {
        &self.first
    }

    /// The key that counts now.
    pub fn newest(&self) -> &PublicKey {
        self.rotations.last().map_or(&self.first, VerifiedRotation::new_key)
    }

    /// Every key, the newest first.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        let later = self.rotations.iter().rev().map(VerifiedRotation::new_key);
        later.chain(std::iter::once(&self.first))
    }

    /// The rotations, in their order.
    pub fn rotations(&self) -> &[VerifiedRotation] {
        &self.rotations
    }

    /// The rotations as they travel.
    pub fn signed(&self) -> Vec<SignedRotation> {
        self.rotations.iter().map(|rotation| rotation.signed().clone()).collect()
    }

    /// ID-29: how another chain of this channel stands to this one.
    pub fn standing(&self, other: &Self) -> Standing {
        let pairs = self.rotations.iter().zip(&other.rotations);
        let same = pairs.take_while(|(ours, theirs)| ours.new_key() == theirs.new_key()).count();
        match (self.rotations.get(same), other.rotations.get(same)) {
            (_, None) => Standing::Known,
            (None, Some(_)) => Standing::Newer(same),
            (Some(ours), Some(theirs)) if theirs.outranks(ours) => Standing::Newer(same),
            (Some(_), Some(_)) => Standing::Rival,
        }
    }

    /// ID-8, ID-9, ID-27: a location record that the newest key signed, or an earlier one for a hub
    /// that every later rotation keeps.
    pub fn verify_location(&self, signed: &SignedLocation) -> Result<VerifiedLocation, Refusal> {
        let (verified, later) = self.signed_by(signed)?;
        if later.iter().all(|rotation| rotation.keeps(verified.site_id())) {
            return Ok(verified);
        }
        Err(Refusal::with(Code::BadLocation, "an earlier key signed it for a hub that left"))
    }

    /// ID-28: which of the locations whose records (MessagePack) are known are clones no more by these keys.
    pub fn put_out<K>(&self, records: impl IntoIterator<Item = (K, impl AsRef<[u8]>)>) -> Vec<K> {
        let holds = |record: &[u8]| {
            let signed = codec::decode_owned::<SignedLocation>(record);
            signed.and_then(|signed| self.verify_location(&signed)).is_ok()
        };
        let gone = records.into_iter().filter(|(_, record)| !holds(record.as_ref()));
        gone.map(|(location, _)| location).collect()
    }

    /// ID-27: whether a record of this hub holds if this key signs it.
    pub fn admits(&self, key: &PublicKey, site: &SiteId) -> bool {
        let Some(age) = self.keys().position(|known| known == key) else { return false };
        self.rotations.iter().rev().take(age).all(|rotation| rotation.keeps(site))
    }

    /// Whether the newest key signed a record that holds.
    pub fn is_of_newest(&self, signed: &SignedLocation) -> bool {
        self.signed_by(signed).is_ok_and(|(_, later)| later.is_empty())
    }

    /// The record, and the rotations after the key that signed it.
    fn signed_by(
        &self,
        signed: &SignedLocation,
    ) -> Result<(VerifiedLocation, &[VerifiedRotation]), Refusal> {
        let mut refused = None;
        for (age, key) in self.keys().enumerate() {
            match signed.verify(&self.channel, key) {
                Ok(verified) => {
                    return Ok((verified, &self.rotations[self.rotations.len() - age..]));
                }
                Err(refusal) if signed.is_by(key) => return Err(refusal),
                Err(refusal) => drop(refused.get_or_insert(refusal)),
            }
        }
        Err(refused.unwrap_or_else(|| Code::BadLocation.into()))
    }

    /// ID-36: a notice that the newest key signed.
    pub fn verify_notice(&self, signed: &SignedNotice) -> Result<VerifiedNotice, Refusal> {
        signed.verify(&self.channel, self.newest())
    }
}

//! From bytes to a packet that may be believed, and back.
//!
//! Owns: the signature over a packet's exact bytes, who it is from and for, and when it counts.
//! Not here: which keys are known, what was seen before (the caller keeps both).
//! Invariant: only this file can make a [`Verified`]; a body is not parsed before its signature holds.
//! Spec: PKT-1 to PKT-8, SIGN-1 to SIGN-8, SIGN-11, SIGN-13, SIGN-14, ID-12.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Bin};
use crate::identity::{Introduction, PublicKey, SignError, Signer};
use crate::ids::{Millis, PacketId, PortableId, SiteId};
use crate::packets::Packet;
use crate::refusal::{Code, Refusal};

/// PKT-1, PKT-5: the envelope version of this specification.
pub const VERSION: u64 = 1;
/// PKT-5: the one algorithm, RSASSA-PKCS1-v1_5 with SHA-256.
pub const ALGORITHM: &str = "rsa-sha256";
/// Content type of packets.
pub const PACKET_TYPE: &str = "application/x-zot+msgpack";
/// SIGN-6: how far ahead of the receiver's clock `at` may lie, in ms.
pub const MAX_AHEAD: u64 = 5 * 60 * 1000;
/// SIGN-6: the longest life of a packet, in ms.
pub const MAX_LIFE: u64 = 10 * 60 * 1000;
/// SIGN-8: ids are remembered for so long after their packet expired, in ms.
pub const REMEMBER: u64 = 5 * 60 * 1000;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    v: u64,
    #[serde(borrow)]
    alg: &'a str,
    key: SiteId,
    #[serde(borrow)]
    body: Bin<'a>,
    #[serde(borrow)]
    sig: Bin<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    location: Option<Bin<'a>>,
}

fn message(key: &SiteId, body: &[u8]) -> Vec<u8> {
    let head = format!("zot-file-packet\n{VERSION}\n{ALGORITHM}\n{key}\n");
    [head.as_bytes(), body].concat()
}

/// A hub, and the channel in whose name it speaks or is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The hub.
    pub hub: SiteId,
    /// The channel.
    pub channel: PortableId,
}

/// What every body begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The packet's type: which fields follow.
    #[serde(rename = "type", deserialize_with = "codec::short_text::<_, 64>")]
    pub kind: String,
    /// This packet.
    pub id: PacketId,
    /// Who speaks.
    pub from: Party,
    /// Who is spoken to.
    pub to: Party,
    /// When it was signed, by the sender's clock as corrected for the receiver's.
    pub at: Millis,
    /// When it stops to count.
    pub expires: Millis,
    /// In an answer: the packet that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<PacketId>,
}

impl Header {
    /// SIGN-6: whether the packet counts at this time. Asked at every presentation.
    pub fn fresh(&self, now: Millis) -> Result<(), Refusal> {
        let Self { at, expires, .. } = *self;
        if at > now.plus(MAX_AHEAD) || now > expires || expires.since(at) > MAX_LIFE || expires < at
        {
            return Err(Code::Stale.into());
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    header: &'a Header,
    #[serde(flatten)]
    packet: &'a Packet,
}

/// A packet about to be signed: all that is not its type's own.
#[derive(Debug, Clone)]
pub struct Draft {
    /// This packet.
    pub id: PacketId,
    /// Who speaks.
    pub from: Party,
    /// Who is spoken to.
    pub to: Party,
    /// When it is signed.
    pub at: Millis,
    /// How long it counts, in ms; at most [`MAX_LIFE`].
    pub life: u64,
    /// In an answer: the packet that it answers.
    pub answers: Option<PacketId>,
}

/// SIGN-1, SIGN-2: signs a packet with the hub's site key. `introduction` tells a hub that may not
/// know this one yet where the channel's other clone is (ID-12).
pub fn seal(
    draft: Draft,
    packet: &Packet,
    signer: &dyn Signer,
    introduction: Option<&Introduction>,
) -> Result<Vec<u8>, SignError> {
    let header = Header {
        kind: packet.kind().to_owned(),
        id: draft.id,
        from: draft.from,
        to: draft.to,
        at: draft.at,
        expires: draft.at.plus(draft.life.min(MAX_LIFE)),
        answers: draft.answers,
    };
    let body = codec::encode(&Body { header: &header, packet });
    let sig = signer.sign(&message(&header.from.hub, &body))?;
    let location = introduction.map(codec::encode);
    Ok(codec::encode(&Envelope {
        v: VERSION,
        alg: ALGORITHM,
        key: header.from.hub,
        body: Bin(&body),
        sig: Bin(&sig),
        location: location.as_deref().map(Bin),
    }))
}

/// An envelope of the right shape. Nothing in it is believed yet.
pub struct Sealed<'a>(Envelope<'a>);

/// PKT-2 to PKT-5: size and shape.
pub fn open(bytes: &[u8]) -> Result<Sealed<'_>, Refusal> {
    let envelope: Envelope<'_> = codec::decode_map(bytes)?;
    if envelope.v != VERSION || envelope.alg != ALGORITHM {
        return Err(Code::UnsupportedVersion.into());
    }
    Ok(Sealed(envelope))
}

impl<'a> Sealed<'a> {
    /// Who claims to have signed it: to look up the key.
    pub fn key(&self) -> &SiteId {
        &self.0.key
    }

    /// ID-12: the location record by which an unknown hub introduces itself.
    pub fn introduction(&self) -> Option<Result<Introduction, Refusal>> {
        self.0.location.map(|bytes| codec::decode_owned(bytes.0))
    }

    /// SIGN-4: the signature holds; SIGN-13: `from` is the signer; SIGN-5: it is for me.
    pub fn authenticate(self, key: &PublicKey, me: &SiteId) -> Result<Authentic<'a>, Refusal> {
        if !key.verifies(&message(&self.0.key, self.0.body.0), self.0.sig.0) {
            return Err(Code::BadSignature.into());
        }
        let header: Header = codec::decode_map(self.0.body.0)?;
        if header.from.hub != self.0.key {
            return Err(Refusal::with(Code::BadSignature, "`from` is not the signer"));
        }
        if header.to.hub != *me {
            return Err(Code::NotForMe.into());
        }
        Ok(Authentic { header, body: self.0.body.0 })
    }
}

/// A packet whose signer is certain. Whether it counts now is still to be asked.
#[derive(Debug)]
pub struct Authentic<'a> {
    header: Header,
    body: &'a [u8],
}

impl Authentic<'_> {
    /// Who, for whom, when.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// SIGN-11: an answer counts because it repeats the id of the request, not by its date.
    pub fn answers(&self, request: PacketId) -> Result<(), Refusal> {
        if self.header.answers == Some(request) {
            return Ok(());
        }
        Err(Refusal::with(Code::Stale, "an answer to another request"))
    }

    /// PKT-6, PKT-7: the type is known and its fields hold.
    pub fn packet(self) -> Result<Verified<Packet>, Refusal> {
        let packet = Packet::decode(&self.header.kind, self.body)?;
        Ok(Verified { header: self.header, packet })
    }
}

/// Something that a known hub signed for this one. Handlers take nothing else.
#[derive(Debug, Clone)]
pub struct Verified<P> {
    header: Header,
    packet: P,
}

impl<P> Verified<P> {
    /// Who, for whom, when.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The packet alone.
    pub fn into_packet(self) -> P {
        self.packet
    }

    /// The same proof for a part of the packet.
    pub fn map<Q>(self, part: impl FnOnce(P) -> Q) -> Verified<Q> {
        Verified { header: self.header, packet: part(self.packet) }
    }
}

impl<P> Deref for Verified<P> {
    type Target = P;
    fn deref(&self) -> &P {
        &self.packet
    }
}

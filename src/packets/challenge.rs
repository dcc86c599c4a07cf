//! A challenge is answered with its nonce: the signature of the answer is the proof.
//!
//! Spec: ID-23.

use zotferry_protocol::packets::{Challenge, Packet};

pub(super) fn receive(challenge: Challenge) -> Packet {
    challenge.into()
}

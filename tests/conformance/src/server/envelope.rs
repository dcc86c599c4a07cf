//! Envelopes: shape and size, checked before anybody's signature.
//!
//! Spec: PKT-1 to PKT-5, PKT-7, PKT-8.

use zotferry_protocol::refusal::Code;

use crate::case::{Case, Want};
use crate::keys::random;

pub(super) fn cases() -> Vec<Case> {
    let want = Want::Hint(Code::UnsupportedVersion);
    vec![Case::server(
        "envelope.version-2",
        "PKT-5 PKT-13",
        "A good packet in an envelope of version 2.",
        want.sentence(),
        move |world| async move {
            let nonce: [u8; 32] = random();
            let body = world.me().packet("challenge", [("nonce", nonce.into())]);
            let envelope = world.me().seal(&body).with("v", 2u64);
            want.check(&world.me().send(&body, &envelope).await?)
        },
    )]
}

//! envelopes.json: each envelope has at most one fault.

use std::collections::BTreeMap;

use zotferry_protocol::envelope::{Authentic, Verified, open};
use zotferry_protocol::identity::{BaseUrl, PublicKey, site_id};
use zotferry_protocol::ids::{Millis, SiteId};
use zotferry_protocol::packets::Packet;
use zotferry_protocol::refusal::{Code, Refusal};

use super::support::{Case, File, read};

pub(crate) const FILES: &[File] = &[(
    "envelopes",
    &[("hubs", hub), ("accepted", accepted), ("refused", refused), ("answers", answer)],
)];

fn hub(case: Case<'_>) {
    let url = BaseUrl::parse(case.text("url")).expect("a base URL");
    assert_eq!(site_id(&url, &case.public_key("pem")).as_str(), case.text("site_id"));
}

/// The hubs that the receiver of these envelopes knows.
fn known() -> BTreeMap<SiteId, PublicKey> {
    let file = read("envelopes");
    let hubs = Case(&file).list("hubs");
    hubs.map(|hub| {
        let id = SiteId::new(hub.text("site_id")).expect("a site id");
        (id, hub.public_key("pem"))
    })
    .collect()
}

/// Every check up to the one on `to`, after which the sender is certain.
fn certain<'a>(case: Case<'_>, bytes: &'a [u8]) -> Result<Authentic<'a>, Refusal> {
    let me = SiteId::new(case.text("receiver")).expect("a site id");
    let sealed = open(bytes)?;
    let key = known().remove(sealed.key()).ok_or(Code::UnknownLocation)?;
    sealed.authenticate(&key, &me)
}

fn taken(authentic: Authentic<'_>, now: Millis) -> Result<Verified<Packet>, Refusal> {
    authentic.header().fresh(now)?;
    authentic.packet()
}

fn accepted(case: Case<'_>) {
    let bytes = case.bytes("envelope");
    let authentic = certain(case, &bytes).expect("a good signature");
    taken(authentic, case.now()).expect("a good packet");
}

/// PKT-2 to PKT-8, SIGN-3 to SIGN-6, SIGN-13, SIGN-14: the fault has its code, and is found before or
/// after the sender is certain as the order of checks says.
fn refused(case: Case<'_>) {
    let bytes = case.bytes("envelope");
    let refusal = match certain(case, &bytes) {
        Err(refusal) => {
            assert!(!case.flag("signed"), "refused too early: {refusal}");
            refusal
        }
        Ok(authentic) => {
            assert!(case.flag("signed"), "refused too late");
            taken(authentic, case.now()).expect_err("a bad packet")
        }
    };
    assert_eq!(Some(refusal.code), case.code(), "{refusal}");
}

/// SIGN-11: of whom asked, and for what.
fn answer(case: Case<'_>) {
    let bytes = case.bytes("envelope");
    let asked = SiteId::new(case.text("asked")).expect("a site id");
    let me = SiteId::new(case.text("receiver")).expect("a site id");
    let key = known().remove(&asked).expect("a known hub");
    let believe = || {
        let authentic = open(&bytes)?.authenticate(&key, &me)?;
        authentic.answers(case.packet_id("request"))?;
        authentic.packet()
    };
    let verdict = if believe().is_ok() { "believed" } else { "not-an-answer" };
    assert_eq!(verdict, case.text("verdict"));
}

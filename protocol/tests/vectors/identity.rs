//! ids.json, locations.json.

use zotferry_protocol::envelope::{Sealed, open};
use zotferry_protocol::identity::{
    BaseUrl, Location, PublicKey, SignedLocation, VerifiedLocation, portable_id, site_id,
};
use zotferry_protocol::ids::{PortableId, SiteId};
use zotferry_protocol::refusal::{Code, Refusal};

use super::support::{Case, File};

pub(crate) const FILES: &[File] = &[
    (
        "ids",
        &[
            ("portable_ids", channel),
            ("site_ids", site),
            ("urls", url),
            ("urls_bad", url_bad),
            ("keys", key),
            ("keys_bad", key_bad),
        ],
    ),
    (
        "locations",
        &[("good", good), ("bad", bad), ("order", order), ("introductions", introduction)],
    ),
];

fn channel(case: Case<'_>) {
    let id = portable_id(case.text("guid"), &case.public_key("pem"));
    assert_eq!(id.as_str(), case.text("id"));
}

fn site(case: Case<'_>) {
    let url = BaseUrl::parse(case.text("url")).expect("a base URL");
    assert_eq!(site_id(&url, &case.public_key("pem")).as_str(), case.text("id"));
}

fn url(case: Case<'_>) {
    let parsed = BaseUrl::parse(case.text("typed")).expect("a base URL");
    assert_eq!(parsed.as_str(), case.text("normal"));
    let again = BaseUrl::parse(case.text("normal")).expect("a base URL");
    assert_eq!(again, parsed);
}

fn url_bad(case: Case<'_>) {
    BaseUrl::parse(case.text("typed")).expect_err("no base URL");
}

fn key(case: Case<'_>) {
    let key = case.public_key("pem");
    assert_eq!(key.bits() as u64, case.u64("bits"));
    assert_eq!(key.pem(), case.text("pem"));
}

fn key_bad(case: Case<'_>) {
    assert_eq!(case.code(), Some(Code::BadKey));
    PublicKey::from_pem(case.text("pem")).expect_err("a bad key");
}

fn signed(case: Case<'_>) -> SignedLocation {
    SignedLocation {
        record: case.bytes("record"),
        channel_sig: case.bytes("channel_sig"),
        site_sig: case.bytes("site_sig"),
    }
}

fn verify(case: Case<'_>, field: &str) -> Result<VerifiedLocation, Refusal> {
    let channel = PortableId::new(case.text("channel")).expect("a portable id");
    signed(case.child(field)).verify(&channel, &case.public_key("channel_key"))
}

fn good(case: Case<'_>) {
    let verified = verify(case, "signed").expect("a good record");
    let fields = case.child("location");
    let expected = Location {
        channel: PortableId::new(fields.text("channel")).expect("a portable id"),
        url: BaseUrl::parse(fields.text("url")).expect("a base URL"),
        site_key: fields.text("site_key").to_owned(),
        replica: fields.replica("replica"),
        primary: fields.flag("primary"),
        deleted: fields.flag("deleted"),
        serial: fields.u64("serial"),
    };
    assert_eq!(*verified.location(), expected);
    assert_eq!(verified.site_id().as_str(), case.text("site_id"));
}

fn bad(case: Case<'_>) {
    let refusal = verify(case, "signed").expect_err("a bad record");
    assert_eq!(Some(refusal.code), case.code());
}

fn order(case: Case<'_>) {
    let known = verify(case, "known").expect("a good record");
    let new = verify(case, "new").expect("a good record");
    assert_eq!(new.replaces(known.location()), case.flag("replaces"));
}

/// ID-21, by a hub on which the case's channel lives and which knows no other hub.
fn introduction(case: Case<'_>) {
    let bytes = case.bytes("envelope");
    let sealed = open(&bytes).expect("an envelope");
    let introduced = introduced(case, &sealed);
    let Some(code) = case.code() else {
        let location = introduced.expect("an introduction that holds");
        let me = SiteId::new(case.text("receiver")).expect("a site id");
        let authentic = sealed.authenticate(location.site_key(), &me).expect("a signature");
        assert_eq!(authentic.header().from.channel, location.location().channel);
        assert_eq!(authentic.header().fresh(case.now()), Ok(()));
        authentic.packet().expect("a packet");
        return;
    };
    assert_eq!(introduced.expect_err("no introduction").code, code);
}

fn introduced(case: Case<'_>, sealed: &Sealed<'_>) -> Result<VerifiedLocation, Refusal> {
    let record = sealed.introduction().ok_or(Code::UnknownLocation)??.location();
    let channel = record.claimed_channel()?;
    assert_eq!(channel.as_str(), case.text("channel"));
    let location = record.verify(&channel, &case.public_key("channel_key"))?;
    if location.site_id() != sealed.key() {
        return Err(Code::UnknownLocation.into());
    }
    Ok(location)
}

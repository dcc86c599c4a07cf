//! rotations.json, notices.json.

use zotferry_protocol::codec;
use zotferry_protocol::envelope::open;
use zotferry_protocol::identity::{
    BaseUrl, KeyChain, Notice, Rotation, SignedLocation, SignedNotice, SignedRotation, Standing,
    VerifiedRotation,
};
use zotferry_protocol::ids::{Millis, PortableId, SiteId};
use zotferry_protocol::refusal::{Code, Refusal};

use super::support::{Case, File};

pub(crate) const FILES: &[File] = &[
    (
        "rotations",
        &[
            ("good", good),
            ("bad", bad),
            ("chains", chain),
            ("rivals", rivals),
            ("records", record),
            ("turns", turn),
            ("introductions", introduction),
        ],
    ),
    ("notices", &[("good", notice), ("bad", notice_bad), ("order", notice_order)]),
];

fn channel(case: Case<'_>) -> PortableId {
    PortableId::new(case.text("channel")).expect("a portable id")
}

fn rotation(case: Case<'_>) -> SignedRotation {
    SignedRotation {
        record: case.bytes("record"),
        old_sig: case.bytes("old_sig"),
        new_sig: case.bytes("new_sig"),
        site_sig: case.bytes("site_sig"),
    }
}

fn verify(case: Case<'_>) -> Result<VerifiedRotation, Refusal> {
    rotation(case.child("signed")).verify(&channel(case))
}

fn good(case: Case<'_>) {
    let verified = verify(case).expect("a good rotation");
    let fields = case.child("rotation");
    let keep = fields.list("keep").map(|id| id.0.as_str().expect("a text"));
    let expected = Rotation {
        channel: channel(fields),
        number: fields.u32("number"),
        old_key: fields.text("old_key").to_owned(),
        new_key: fields.text("new_key").to_owned(),
        keep: keep.map(|id| SiteId::new(id).expect("a site id")).collect(),
        url: BaseUrl::parse(fields.text("url")).expect("a base URL"),
        site_key: fields.text("site_key").to_owned(),
        at: Millis(fields.u64("at")),
    };
    assert_eq!(*verified.rotation(), expected);
    assert_eq!(verified.site().as_str(), case.text("site_id"));
}

fn bad(case: Case<'_>) {
    let refusal = verify(case).expect_err("a bad rotation");
    assert_eq!(Some(refusal.code), case.code(), "{refusal}");
}

fn chain_of(case: Case<'_>, field: &str) -> Result<KeyChain, Refusal> {
    let rotations: Vec<_> = case.list(field).map(rotation).collect();
    KeyChain::new(channel(case), case.public_key("first_key")).with(&rotations)
}

fn chain(case: Case<'_>) {
    match (chain_of(case, "rotations"), case.code()) {
        (Ok(chain), None) => assert_eq!(chain.newest().pem(), case.text("newest")),
        (Err(refusal), code) => assert_eq!(Some(refusal.code), code, "{refusal}"),
        (Ok(_), Some(code)) => panic!("passed in place of {code}"),
    }
}

/// ID-29: what a hub that knows one chain makes of another one.
fn rivals(case: Case<'_>) {
    let known = chain_of(case, "known").expect("a chain");
    let other = chain_of(case, "other").expect("a chain");
    let standing = match known.standing(&other) {
        Standing::Known => "known",
        Standing::Newer(_) => "newer",
        Standing::Rival => "rival",
    };
    assert_eq!(standing, case.text("standing"));
}

fn location(fields: Case<'_>) -> SignedLocation {
    SignedLocation {
        record: fields.bytes("record"),
        channel_sig: fields.bytes("channel_sig"),
        site_sig: fields.bytes("site_sig"),
    }
}

/// ID-27: by which keys a record may be signed.
fn record(case: Case<'_>) {
    let signed = location(case.child("signed"));
    let verified = chain_of(case, "rotations").expect("a chain").verify_location(&signed);
    assert_eq!(verified.err().map(|refusal| refusal.code), case.code());
}

/// ID-28: which locations a hub that knew one chain loses when it takes another.
fn turn(case: Case<'_>) {
    let known = chain_of(case, "known").expect("a chain");
    let taken = chain_of(case, "taken").expect("a chain");
    let records = || {
        case.list("records").map(location).map(|signed| {
            let id = known.verify_location(&signed).expect("a record that holds").site_id().clone();
            (id.to_string(), codec::encode(&signed))
        })
    };
    assert!(known.put_out(records()).is_empty());
    let gone: Vec<_> = case.list("gone").map(|id| id.0.as_str().expect("a text")).collect();
    assert_eq!(taken.put_out(records()), gone);
}

/// ID-21, ID-34: by a hub that knows the channel's first key and takes the rotations that it is shown.
fn introduction(case: Case<'_>) {
    let bytes = case.bytes("envelope");
    let sealed = open(&bytes).expect("an envelope");
    let introduced = || {
        let shown = sealed.introduction().ok_or(Code::UnknownLocation)??;
        let chain = KeyChain::new(channel(case), case.public_key("first_key"));
        chain.with(&shown.rotations)?.verify_location(&shown.location())
    };
    assert_eq!(introduced().err().map(|refusal| refusal.code), case.code());
}

fn noticed(case: Case<'_>, field: &str) -> Result<Notice, Refusal> {
    let fields = case.child(field);
    let signed =
        SignedNotice { record: fields.bytes("record"), channel_sig: fields.bytes("channel_sig") };
    let chain = chain_of(case, "rotations").expect("a chain");
    chain.verify_notice(&signed).map(|verified| verified.notice().clone())
}

fn notice(case: Case<'_>) {
    let fields = case.child("notice");
    let expected = Notice {
        channel: channel(fields),
        site: SiteId::new(fields.text("site")).expect("a site id"),
        removed: fields.flag("removed"),
        primary: fields.flag("primary"),
        serial: fields.u64("serial"),
    };
    assert_eq!(noticed(case, "signed"), Ok(expected));
}

fn notice_bad(case: Case<'_>) {
    let refusal = noticed(case, "signed").expect_err("a bad notice");
    assert_eq!(Some(refusal.code), case.code(), "{refusal}");
}

fn notice_order(case: Case<'_>) {
    let known = noticed(case, "known").expect("a good notice");
    let new = noticed(case, "new").expect("a good notice");
    assert_eq!(new.replaces(&known), case.flag("replaces"));
}

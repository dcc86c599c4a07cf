//! restores.json.

use zotferry_protocol::codec;
use zotferry_protocol::ids::SiteId;
use zotferry_protocol::restore::SignedRestore;

use super::support::{Case, File, TestKey};

pub(crate) const FILES: &[File] = &[("restores", &[("good", good), ("bad", bad)])];

fn judge(case: Case<'_>) -> Result<(), zotferry_protocol::refusal::Refusal> {
    let signed: SignedRestore = codec::decode_map(&case.bytes("statement"))?;
    signed.claimed_channel()?;
    let site = SiteId::new(case.text("site")).expect("a site id");
    let verified = signed.verify(&TestKey::read("channel").public(), &site, case.now())?;
    // What was read is written again byte by byte, unless it has fields that are not known.
    if case.get("again").is_some() {
        assert_eq!(hex::encode(codec::encode(verified.said())), case.text("again"));
    }
    Ok(())
}

fn good(case: Case<'_>) {
    judge(case).expect("it counts");
}

fn bad(case: Case<'_>) {
    let refusal = judge(case).expect_err("it is refused");
    assert_eq!(Some(refusal.code), case.code());
}

//! The bodies of `zotferry_protocol::fuzz`, `zotferry_backup::fuzz` and `zotferry::fuzz`, with the keys of the vectors.

use std::sync::LazyLock;

use serde_json::Value;
use zotferry_protocol::fuzz;
use zotferry_protocol::identity::PublicKey;
use zotferry_protocol::ids::SiteId;

struct Known {
    site: PublicKey,
    me: SiteId,
    channel: PublicKey,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let vectors = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let envelopes = vectors(include_str!("../../spec/vectors/envelopes.json"));
    let locations = vectors(include_str!("../../spec/vectors/locations.json"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let key = |value: &Value| PublicKey::from_pem(&text(value)).expect("a key");
    Known {
        site: key(&envelopes["hubs"][0]["pem"]),
        me: SiteId::new(text(&envelopes["accepted"][0]["receiver"])).expect("a site id"),
        channel: key(&locations["good"][0]["channel_key"]),
    }
});

pub fn packet(bytes: &[u8]) {
    fuzz::packet(bytes);
}

pub fn envelope(bytes: &[u8]) {
    fuzz::envelope(bytes, &KNOWN.site, &KNOWN.me);
}

pub fn manifest_page(bytes: &[u8]) {
    fuzz::manifest_page(bytes);
}

pub fn frames(bytes: &[u8]) {
    fuzz::frames(bytes);
}

pub fn locations(bytes: &[u8]) {
    fuzz::locations(bytes, &KNOWN.channel);
}

pub fn restore_metadata(bytes: &[u8]) {
    zotferry_backup::fuzz::metadata(bytes);
}

#[cfg(feature = "hub")]
pub use zotferry::fuzz::{authorization, identity};

//! What is done to bytes of strangers, as functions that any bytes may be given to; see the protocol's `fuzz`.
//!
//! Owns: the list of all of them by name, and what has to hold for those of this crate. Not here: seeds and mutations.

#[cfg(test)]
mod tests;

use axum::http::{HeaderMap, HeaderValue, header};
use zotferry_protocol::fuzz;
use zotferry_protocol::identity::PublicKey;
use zotferry_protocol::ids::SiteId;

use crate::{channels, dav, packets, web};

/// The hub whose signatures count, the one that it speaks to, and a channel's key: those of the vectors.
pub struct Known {
    /// Signs envelopes.
    pub site: PublicKey,
    /// Is spoken to.
    pub me: SiteId,
    /// Signs locations.
    pub channel: PublicKey,
}

/// What an input is given to.
pub type Body = fn(&Known, &[u8]);

/// Everything that reads bytes of strangers, by name.
pub const ALL: [(&str, Body); 8] = [
    ("packet", |_, bytes| fuzz::packet(bytes)),
    ("envelope", |known, bytes| fuzz::envelope(bytes, &known.site, &known.me)),
    ("manifest_page", |_, bytes| fuzz::manifest_page(bytes)),
    ("frames", |_, bytes| fuzz::frames(bytes)),
    ("locations", |known, bytes| fuzz::locations(bytes, &known.channel)),
    ("authorization", |_, bytes| authorization(bytes)),
    ("restore_metadata", |_, bytes| zotferry_backup::fuzz::metadata(bytes)),
    ("identity", |_, bytes| identity(bytes)),
];

/// A header in which somebody shows who he is, in each of the forms that are known here, and one that names a range.
pub fn authorization(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, value);
    web::fuzzed(&headers);
    dav::fuzzed(&headers);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for size in [0, 1, 1_000, u64::MAX] {
        if let packets::Ranged::Part(range) = packets::parse_range(text, size) {
            assert!(range.start < range.end && range.end <= size, "{range:?} of {size}");
        }
    }
}

/// A file in which a channel's owner carries its identity.
pub fn identity(bytes: &[u8]) {
    channels::fuzzed(bytes);
}

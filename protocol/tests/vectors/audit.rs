//! audit.json.

use zotferry_protocol::codec;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::trie::{AttachLeaf, Kind, Sum, item_digest, key};
use zotferry_protocol::version::Version;

use super::support::{Case, File};
use super::sync::version;

pub(crate) const FILES: &[File] =
    &[("audit", &[("keys", place), ("attach", attach), ("items", item), ("ranges", range)])];

fn place(case: Case<'_>) {
    let kind = [Kind::Attach, Kind::Item].into_iter().find(|k| k.as_str() == case.text("kind"));
    assert_eq!(key(kind.expect("a known kind"), case.text("id")), case.digest("key"));
}

fn encoded(case: Case<'_>, field: &str) -> Option<Vec<u8>> {
    let version: Version = version(Case(case.get(field)?));
    Some(codec::encode(&version))
}

fn attach(case: Case<'_>) {
    let [place, meta, content, removed] =
        ["place", "meta", "content", "removed"].map(|field| encoded(case, field));
    let root = case.get("root").map(|_| case.digest("root"));
    let leaf = AttachLeaf {
        id: case.text("id_"),
        place: &place.expect("a place"),
        meta: &meta.expect("metadata"),
        content: content.as_deref(),
        removed: removed.as_deref(),
        folder: case.text("folder"),
        filename: case.text("filename"),
        root: root.as_ref(),
    };
    assert_eq!(leaf.digest(), case.digest("digest"));
}

fn item(case: Case<'_>) {
    let version = encoded(case, "version").expect("a version");
    assert_eq!(item_digest(case.text("mid"), &version), case.digest("digest"));
}

fn range(case: Case<'_>) {
    let leaves: Vec<Digest> = case.digests("leaves");
    let mut sum = Sum::default();
    leaves.iter().for_each(|leaf| sum.add(leaf));
    assert_eq!(sum, Sum { count: case.u64("count"), digest: case.digest("digest") });
}

//! chunking.json, merkle.json.

use sha2::{Digest as _, Sha256};
use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::{ChunkRange, Manifest, Span};
use zotferry_protocol::merkle::{PageError, TreeBuilder, leaf, page_path, root, verify_page};

use super::support::{Case, File};

pub(crate) const FILES: &[File] = &[
    ("chunking", &[("cut", cut), ("too_large", too_large)]),
    (
        "merkle",
        &[
            ("published", published),
            ("patterns", pattern),
            ("pages", pages),
            ("bad_pages", bad_page),
        ],
    ),
];

fn cut(case: Case<'_>) {
    let manifest = Manifest::of(case.u64("size")).expect("within limits");
    assert_eq!(manifest.chunk_size(), case.u32("chunk_size"));
    assert_eq!(manifest.chunks(), case.u32("chunks"));
    assert_eq!(manifest.pages(), case.u32("pages"));
    for span in case.list("spans") {
        let expected = Span { offset: span.u64("offset"), len: span.u32("len") };
        assert_eq!(manifest.span(ChunkNo(span.u32("chunk"))), Some(expected));
    }
    assert_eq!(manifest.span(ChunkNo(manifest.chunks())), None);
    for page in case.list("page_chunks") {
        let expected = ChunkRange { first: page.u32("first"), count: page.u32("count") };
        assert_eq!(manifest.page_chunks(page.u32("page")), expected);
    }
}

fn too_large(case: Case<'_>) {
    Manifest::of(case.u64("size")).expect_err("above the limit");
}

fn published(case: Case<'_>) {
    let inputs = case.list("inputs").map(|i| hex::decode(i.0.as_str().expect("a text")));
    let leaves: Vec<Digest> = inputs.map(|i| leaf(&i.expect("hexadecimal"))).collect();
    assert_eq!(root(&leaves), case.digest("root"));
}

fn pattern(case: Case<'_>) {
    let manifest = Manifest::of(case.u64("size")).expect("within limits");
    let bytes: Vec<u8> = (0..manifest.size()).map(|i| (i % 251) as u8).collect();
    let leaves: Vec<Digest> = bytes.chunks(manifest.chunk_size() as usize).map(leaf).collect();
    assert_eq!(leaves, case.digests("leaves"));
    assert_eq!(root(&leaves), case.digest("root"));
}

/// Digest number n of a content that nobody has.
fn synthetic(n: u32) -> Digest {
    Digest(Sha256::digest(n.to_be_bytes()).into())
}

fn pages(case: Case<'_>) {
    let manifest = Manifest::of(case.u64("size")).expect("within limits");
    let mut tree = TreeBuilder::new();
    (0..manifest.chunks()).for_each(|n| tree.push(synthetic(n)));
    let roots = tree.page_roots();
    let listed = case.digests("page_roots");
    assert!(listed.is_empty() || listed == roots);
    assert_eq!(roots.len(), manifest.pages() as usize);
    let top = tree.finish();
    assert_eq!(top, case.digest("root"));
    for page in case.list("pages") {
        let (number, path) = (page.u32("page"), page.digests("path"));
        assert_eq!(page_path(&roots, number), path);
        let digests: Vec<Digest> =
            manifest.page_chunks(number).iter().map(|c| synthetic(c.0)).collect();
        assert_eq!(verify_page(&top, &manifest, number, &digests, &path), Ok(()));
    }
}

fn bad_page(case: Case<'_>) {
    let manifest = Manifest::of(case.u64("size")).expect("within limits");
    let run = case.child("digests");
    let (first, count) = (run.u32("first"), run.u32("count"));
    let digests: Vec<Digest> = (first..first + count).map(synthetic).collect();
    let (top, page, path) = (case.digest("root"), case.u32("page"), case.digests("path"));
    let error = verify_page(&top, &manifest, page, &digests, &path).expect_err("a bad page");
    let word = match error {
        PageError::NoSuchPage(_) => "no-such-page",
        PageError::DigestCount { .. } => "digest-count",
        PageError::PathLength { .. } => "path-length",
        PageError::WrongRoot => "wrong-root",
    };
    assert_eq!(word, case.text("error"));
}

//! Pages of their real size, 4096 digests, for files up to the largest.

use proptest::prelude::*;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::{MAX_FILE, Manifest, PAGE};
use zotferry_protocol::merkle::{
    LeafHasher, PageError, TreeBuilder, leaf, page_path, root, verify_page,
};

/// A file of some size, and the digests its chunks could have.
struct File {
    manifest: Manifest,
    digests: Vec<Digest>,
}

impl File {
    fn of(size: u64) -> Self {
        let manifest = Manifest::of(size).expect("within the largest file");
        let digest = |n: u32| {
            let mut bytes = [0; Digest::LEN];
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            Digest(bytes)
        };
        Self { manifest, digests: (0..manifest.chunks()).map(digest).collect() }
    }

    fn tree(&self) -> TreeBuilder {
        let mut tree = TreeBuilder::new();
        self.digests.iter().for_each(|digest| tree.push(*digest));
        tree
    }

    fn page(&self, page: u32) -> &[Digest] {
        let range = self.manifest.page_chunks(page);
        &self.digests[range.first as usize..range.end() as usize]
    }
}

/// FILE-11, FILE-12: around every page boundary, each page proves itself and no other one.
#[test]
fn pages_of_4096_digests_prove_themselves() {
    const MIB: u64 = 1 << 20;
    for chunks in [1, 32, 33, 4095, 4096, 4097, 8192, 8193, 12_288, 16_384] {
        let file = File::of(chunks * MIB);
        let page_roots = file.tree().page_roots();
        let whole = file.tree().finish();
        assert_eq!(whole, root(&file.digests), "{chunks} chunks");
        assert_eq!(page_roots.len(), file.manifest.pages() as usize);
        for page in 0..file.manifest.pages() {
            let path = page_path(&page_roots, page);
            let verified = verify_page(&whole, &file.manifest, page, file.page(page), &path);
            assert_eq!(verified, Ok(()), "page {page} of {chunks} chunks");
            let next = (page + 1) % file.manifest.pages();
            let swapped = verify_page(&whole, &file.manifest, next, file.page(page), &path);
            assert_eq!(swapped.is_ok(), next == page, "page {page} as {next} of {chunks} chunks");
        }
    }
}

/// FILE-11: the largest file has 256 pages, and each of them a path of 8 digests.
#[test]
fn the_largest_file_has_256_page_roots() {
    let file = File::of(MAX_FILE);
    let page_roots = file.tree().page_roots();
    let whole = file.tree().finish();
    assert_eq!(page_roots.len(), 256);
    for page in [0, 1, 127, 128, 255] {
        let path = page_path(&page_roots, page);
        assert_eq!(path.len(), 8);
        let verified = verify_page(&whole, &file.manifest, page, file.page(page), &path);
        assert_eq!(verified, Ok(()));
    }
}

/// FILE-10: a file of one chunk is named by its leaf digest and needs no manifest.
#[test]
fn one_chunk_is_its_own_root() {
    let only = leaf(b"all of it");
    assert_eq!(root(&[only]), only);
    let manifest = Manifest::of(9).expect("small");
    assert_eq!(verify_page(&only, &manifest, 0, &[only], &[]), Ok(()));
    let empty = Manifest::of(0).expect("empty");
    let none = verify_page(&root(&[]), &empty, 0, &[], &[]);
    assert_eq!(none, Err(PageError::NoSuchPage(0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// FILE-8: leaf after leaf, or all at once: one root.
    #[test]
    fn builder_and_root_agree(chunks in 0..3 * u64::from(PAGE)) {
        let file = File::of(chunks << 20);
        prop_assert_eq!(file.tree().finish(), root(&file.digests));
    }

    /// FILE-12: a size that differs in its number of chunks never takes a page.
    #[test]
    fn a_page_belongs_to_one_number_of_chunks(chunks in 1..9000_u64, claimed in 1..9000_u64) {
        prop_assume!(chunks != claimed);
        let file = File::of(chunks << 20);
        let last = file.manifest.pages() - 1;
        let path = page_path(&file.tree().page_roots(), last);
        let other = Manifest::of(claimed << 20).expect("within the largest file");
        let whole = file.tree().finish();
        prop_assert!(verify_page(&whole, &other, last, file.page(last), &path).is_err());
    }

    /// FILE-7: the pieces in which a chunk arrives do not matter.
    #[test]
    fn pieces_do_not_change_a_leaf(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
        let mut hasher = LeafHasher::new();
        pieces.iter().for_each(|piece| hasher.update(piece));
        prop_assert_eq!(hasher.finish(), leaf(&pieces.concat()));
    }
}

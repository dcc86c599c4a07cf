//! Every small tree shape, against the definitions of RFC 9162 written down literally.

use super::*;

/// The eight leaves of the RFC 6962 test tree, and the published roots of its first 1 to 8 leaves.
const PUBLISHED: [(&str, &str); 8] = [
    (
        "",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    ),
    (
        "00",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    ),
    (
        "10",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    ),
    (
        "2021",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (
        "3031",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    ),
    (
        "40414243",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    ),
    (
        "5051525354555657",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    ),
    (
        "606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
];

/// RFC 9162 section 2.1.1, as it stands there.
fn rfc_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest(Sha256::digest([]).into()),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(largest_power_of_two_below(leaves.len()));
            node(&rfc_root(left), &rfc_root(right))
        }
    }
}

/// RFC 9162 section 2.1.3.1, stopped at the subtree of `page_size` leaves that begins at `first`.
fn rfc_path(leaves: &[Digest], first: usize, page_size: usize) -> Vec<Digest> {
    if leaves.len() <= page_size {
        return Vec::new();
    }
    let k = largest_power_of_two_below(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if first < k {
        (rfc_path(left, first, page_size), right)
    } else {
        (rfc_path(right, first - k, page_size), left)
    };
    path.push(rfc_root(sibling));
    path
}

fn largest_power_of_two_below(n: usize) -> usize {
    n.next_power_of_two() / 2
}

fn leaves(count: u32) -> Vec<Digest> {
    (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
}

/// A small tree cut into pages: everything an origin would send.
struct Tree {
    chunks: u32,
    page_size: u32,
    root: Digest,
    pages: Vec<(Vec<Digest>, Vec<Digest>)>,
}

impl Tree {
    fn of(chunks: u32, page_size: u32) -> Self {
        let leaves = leaves(chunks);
        let mut builder = TreeBuilder::with_page_size(page_size);
        leaves.iter().for_each(|leaf| builder.push(*leaf));
        let page_roots = builder.page_roots();
        let pages = leaves
            .chunks(page_size as usize)
            .zip(0..)
            .map(|(digests, page)| (digests.to_vec(), page_path(&page_roots, page)))
            .collect();
        Self {
            chunks,
            page_size,
            root: builder.finish(),
            pages,
        }
    }

    fn verify(&self, page: u32, digests: &[Digest], path: &[Digest]) -> Result<(), PageError> {
        let place = Place {
            chunks: self.chunks,
            page_size: self.page_size,
            page,
        };
        place.verify(&self.root, digests, path)
    }
}

/// Every tree of 0 to 41 chunks in pages of 1, 2, 4 and 8.
fn every_small_tree() -> impl Iterator<Item = Tree> {
    [1, 2, 4, 8]
        .into_iter()
        .flat_map(|size| (0..=41).map(move |chunks| Tree::of(chunks, size)))
}

/// FILE-8: the tree is the one of RFC 6962 and RFC 9162.
#[test]
fn published_roots_are_met() {
    let leaves: Vec<_> = PUBLISHED
        .iter()
        .map(|(l, _)| leaf(&hex::decode(l).expect("hex")))
        .collect();
    for (size, (_, expected)) in (1..).zip(PUBLISHED) {
        assert_eq!(root(&leaves[..size]).to_string(), expected, "{size} leaves");
    }
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(root(&[]).to_string(), nothing);
}

/// FILE-8: pushing chunk after chunk gives the root that the RFC's recursion gives.
#[test]
fn builder_agrees_with_the_recursive_definition() {
    for tree in every_small_tree() {
        let leaves = leaves(tree.chunks);
        assert_eq!(tree.root, rfc_root(&leaves), "{} chunks", tree.chunks);
        assert_eq!(tree.root, root(&leaves), "{} chunks", tree.chunks);
    }
}

/// FILE-11, FILE-12: each page of each tree has the path the RFC defines, and proves itself with it.
#[test]
fn every_page_proves_itself() {
    for tree in every_small_tree() {
        let all = leaves(tree.chunks);
        for ((digests, path), page) in tree.pages.iter().zip(0..) {
            let first = (page * tree.page_size) as usize;
            assert_eq!(*path, rfc_path(&all, first, tree.page_size as usize));
            assert_eq!(tree.verify(page, digests, path), Ok(()));
        }
    }
}

/// FILE-12: digests or a path of one page never pass for another page.
#[test]
fn swapped_pages_are_refused() {
    for tree in every_small_tree() {
        for (p, (digests, path)) in (0..).zip(&tree.pages) {
            for (q, (_, other_path)) in (0..).zip(&tree.pages).filter(|(q, _)| *q != p) {
                assert!(tree.verify(q, digests, path).is_err(), "{p} as {q}");
                assert!(
                    tree.verify(q, digests, other_path).is_err(),
                    "{p} with the path of {q}"
                );
            }
        }
    }
}

/// FILE-12: one digest too many or too few is refused before anything is hashed.
#[test]
fn wrong_digest_counts_are_refused() {
    for tree in every_small_tree() {
        for ((digests, path), page) in tree.pages.iter().zip(0..) {
            let expected = digests.len();
            let more: Vec<_> = digests.iter().copied().chain([tree.root]).collect();
            for wrong in [&digests[1..], &more] {
                let found = wrong.len();
                let refused = Err(PageError::DigestCount { expected, found });
                assert_eq!(tree.verify(page, wrong, path), refused);
            }
        }
    }
}

/// FILE-12: a path that is too short or too long is refused, also when it would hash to the root.
#[test]
fn wrong_path_lengths_are_refused() {
    for tree in every_small_tree() {
        for ((digests, path), page) in tree.pages.iter().zip(0..) {
            let expected = path.len();
            let longer: Vec<_> = path.iter().copied().chain([tree.root]).collect();
            let shorter = path.split_last().map(|(_, rest)| rest.to_vec());
            for wrong in shorter.into_iter().chain([longer]) {
                let refused = Err(PageError::PathLength {
                    expected,
                    found: wrong.len(),
                });
                assert_eq!(tree.verify(page, digests, &wrong), refused);
            }
        }
    }
}

/// FILE-12: no digest and no path element can be exchanged for another.
#[test]
fn a_single_changed_element_is_refused() {
    let stranger = leaf(b"not in the tree");
    for tree in every_small_tree() {
        for ((digests, path), page) in tree.pages.iter().zip(0..) {
            for at in 0..digests.len() {
                let mut digests = digests.clone();
                digests[at] = stranger;
                assert_eq!(tree.verify(page, &digests, path), Err(PageError::WrongRoot));
            }
            for at in 0..path.len() {
                let mut path = path.clone();
                path[at] = stranger;
                assert_eq!(tree.verify(page, digests, &path), Err(PageError::WrongRoot));
            }
        }
    }
}

/// FILE-12: pages beyond the end do not exist, and an empty file has none at all.
#[test]
fn pages_beyond_the_end_are_refused() {
    for tree in every_small_tree() {
        for page in [tree.pages.len() as u32, u32::MAX] {
            assert_eq!(
                tree.verify(page, &[], &[]),
                Err(PageError::NoSuchPage(page))
            );
            let roots: Vec<_> = tree
                .pages
                .iter()
                .map(|(digests, _)| root(digests))
                .collect();
            assert_eq!(page_path(&roots, page), []);
        }
    }
}

/// FILE-7: a leaf can never be mistaken for a node.
#[test]
fn leaf_and_node_digests_are_kept_apart() {
    let (left, right) = (leaf(b"left"), leaf(b"right"));
    let both = [left.0, right.0].concat();
    assert_ne!(leaf(&both), node(&left, &right));
}

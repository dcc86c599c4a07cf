//! The RFC 9162 Merkle tree over a file's chunks, and the pages of digests that prove themselves.
//!
//! Owns: leaf and node digests, roots, the path of a page, its verification. Not here: how a file
//! is cut (see `manifest`), who sent a page, where digests are kept.
//! Invariant: a page counts only at its own place in a tree of exactly the announced size.
//! Spec: FILE-6 to FILE-8, FILE-10 to FILE-12; RFC 9162 sections 2.1.1 and 2.1.3.

use sha2::{Digest as _, Sha256};

use crate::ids::Digest;
use crate::manifest::{Manifest, PAGE};

#[cfg(test)]
mod tests;

/// FILE-7: the digest of one chunk, `SHA-256(00 ‖ bytes)`.
pub fn leaf(bytes: &[u8]) -> Digest {
    let mut hasher = LeafHasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// FILE-7: the digest of an inner node, `SHA-256(01 ‖ left ‖ right)`.
pub fn node(left: &Digest, right: &Digest) -> Digest {
    let hasher = Sha256::new_with_prefix([1]);
    Digest(hasher.chain_update(left.0).chain_update(right.0).finalize().into())
}

/// FILE-8: the Merkle tree hash over leaf digests (RFC 9162 section 2.1.1); `SHA-256("")` over none.
pub fn root(leaves: &[Digest]) -> Digest {
    let mut peaks = Peaks::default();
    for leaf in leaves {
        peaks.push(*leaf);
    }
    peaks.root()
}

/// The digest of a chunk whose bytes arrive piece by piece.
#[derive(Debug, Clone)]
pub struct LeafHasher(Sha256);

impl LeafHasher {
    /// No bytes yet.
    pub fn new() -> Self {
        Self(Sha256::new_with_prefix([0]))
    }

    /// The next bytes of the chunk.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The leaf digest of all bytes so far.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl Default for LeafHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// The complete subtrees of a tree that is still growing, largest first: one per bit of its size.
#[derive(Debug, Clone, Default)]
struct Peaks {
    leaves: u64,
    peaks: Vec<Digest>,
}

impl Peaks {
    fn push(&mut self, leaf: Digest) {
        let mut digest = leaf;
        for _ in 0..self.leaves.trailing_ones() {
            let left = self.peaks.pop().expect("one peak per bit of the size");
            digest = node(&left, &digest);
        }
        self.peaks.push(digest);
        self.leaves += 1;
    }

    fn root(&self) -> Digest {
        let mut smallest_first = self.peaks.iter().rev();
        match smallest_first.next() {
            None => Digest(Sha256::digest([]).into()),
            Some(last) => smallest_first.fold(*last, |right, left| node(left, &right)),
        }
    }
}

/// Builds a file's tree from its chunk digests, in order.
///
/// Memory: O(log n) digests, and one for every full page (at most 256).
#[derive(Debug, Clone)]
pub struct TreeBuilder {
    page_size: u64,
    page: Peaks,
    full_pages: Vec<Digest>,
}

impl TreeBuilder {
    /// A tree without leaves, in pages of [`PAGE`].
    pub fn new() -> Self {
        Self::with_page_size(PAGE)
    }

    fn with_page_size(page_size: u32) -> Self {
        Self { page_size: u64::from(page_size), page: Peaks::default(), full_pages: Vec::new() }
    }

    /// The digest of the next chunk.
    pub fn push(&mut self, leaf: Digest) {
        self.page.push(leaf);
        if self.page.leaves == self.page_size {
            self.full_pages.push(self.page.root());
            self.page = Peaks::default();
        }
    }

    /// The root of each page so far, the last of which may be partial; none for an empty file.
    pub fn page_roots(&self) -> Vec<Digest> {
        let mut roots = self.full_pages.clone();
        if self.page.leaves > 0 {
            roots.push(self.page.root());
        }
        roots
    }

    /// The root that names the content.
    pub fn finish(self) -> Digest {
        // A page is an aligned power of two of leaves, so the tree over the leaves is the tree over the pages.
        root(&self.page_roots())
    }
}

impl Default for TreeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// FILE-11: the audit path of a page (RFC 9162 section 2.1.3.1): the roots of the sibling subtrees
/// on its way to the root, from the bottom. Empty for the only page, and beyond the last one.
pub fn page_path(page_roots: &[Digest], page: u32) -> Vec<Digest> {
    let mut level = page_roots.to_vec();
    let mut index = page as usize;
    let mut path = Vec::new();
    while level.len() > 1 && index < level.len() {
        path.extend(level.get(index ^ 1));
        level = level.chunks(2).map(parent).collect();
        index /= 2;
    }
    path
}

/// A node without a right sibling moves up unchanged.
fn parent(pair: &[Digest]) -> Digest {
    match pair {
        [left, right] => node(left, right),
        alone => alone[0],
    }
}

/// Why a page of digests does not count. The fault is with whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The file has fewer pages.
    #[error("the file has no manifest page {0}")]
    NoSuchPage(u32),
    /// Not as many digests as chunks of the file stand on this page.
    #[error("the page carries {found} digests, the file has {expected} chunks there")]
    DigestCount {
        /// Chunks of the file on this page.
        expected: usize,
        /// Digests that came.
        found: usize,
    },
    /// Not as many path elements as this page has sibling subtrees.
    #[error("the path has {found} elements, the page's place has {expected}")]
    PathLength {
        /// Sibling subtrees between the page and the root.
        expected: usize,
        /// Path elements that came.
        found: usize,
    },
    /// Digests and path lead to another root.
    #[error("the page does not belong to the announced content")]
    WrongRoot,
}

/// FILE-12: whether `digests` are the chunk digests on page number `page` of the content named `root`
/// (RFC 9162 section 2.1.3.2). Lengths are compared before anything is hashed.
pub fn verify_page(
    root: &Digest,
    manifest: &Manifest,
    page: u32,
    digests: &[Digest],
    path: &[Digest],
) -> Result<(), PageError> {
    let place = Place { chunks: manifest.chunks(), page_size: PAGE, page };
    place.verify(root, digests, path)
}

/// Where a page stands in a tree of known size.
#[derive(Clone, Copy)]
struct Place {
    chunks: u32,
    page_size: u32,
    page: u32,
}

/// On which side of the way up a sibling subtree lies.
enum Side {
    Left,
    Right,
}

impl Place {
    fn verify(self, root: &Digest, digests: &[Digest], path: &[Digest]) -> Result<(), PageError> {
        let expected = self.digests()?;
        if digests.len() != expected {
            return Err(PageError::DigestCount { expected, found: digests.len() });
        }
        let expected = self.siblings().count();
        if path.len() != expected {
            return Err(PageError::PathLength { expected, found: path.len() });
        }
        let top = self.climb(self::root(digests), path);
        if top == *root { Ok(()) } else { Err(PageError::WrongRoot) }
    }

    /// Number of chunks on the page.
    fn digests(self) -> Result<usize, PageError> {
        let first = u64::from(self.page) * u64::from(self.page_size);
        let left = u64::from(self.chunks).saturating_sub(first);
        match left.min(u64::from(self.page_size)) as usize {
            0 => Err(PageError::NoSuchPage(self.page)),
            count => Ok(count),
        }
    }

    fn climb(self, page_root: Digest, path: &[Digest]) -> Digest {
        self.siblings().zip(path).fold(page_root, |below, (side, sibling)| match side {
            Side::Left => node(sibling, &below),
            Side::Right => node(&below, sibling),
        })
    }

    /// The levels, from the bottom, on which the page's subtree has a sibling.
    fn siblings(self) -> impl Iterator<Item = Side> {
        let last = self.chunks.div_ceil(self.page_size) - 1;
        let levels = u32::BITS - last.leading_zeros();
        (0..levels).filter_map(move |level| {
            let (index, last) = (self.page >> level, last >> level);
            match index % 2 {
                1 => Some(Side::Left),
                _ => (index < last).then_some(Side::Right),
            }
        })
    }
}

//! Comparing two catalogs: keys, leaf digests, and what a range of them adds up to.
//!
//! Owns: the form in which an entry's state is digested, ranges by prefix. Not here: where leaves are
//! kept, who compares with whom.
//! Invariant: the sum of a range does not depend on the order in which its leaves came, changed or went.
//! Spec: AUDIT-1 to AUDIT-4.

use rmp::encode::{write_array_len, write_bin, write_nil, write_str};
use sha2::{Digest as _, Sha256};

use crate::ids::Digest;

/// The longest prefix of a range, in bytes.
pub const MAX_PREFIX: usize = 4;
/// How many ranges a range is divided into.
pub const FAN_OUT: usize = 256;

/// What a leaf stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file or folder, by its resource id.
    Attach,
    /// A post that belongs to a file, by its `mid`.
    Item,
}

impl Kind {
    /// The kind as it is digested.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Item => "item",
        }
    }
}

/// AUDIT-1: where a leaf stands: `SHA-256(kind ‖ 00 ‖ id)`.
pub fn key(kind: Kind, id: &str) -> Digest {
    let hasher = Sha256::new_with_prefix(kind.as_str());
    Digest(hasher.chain_update([0]).chain_update(id).finalize().into())
}

/// The state of a file or folder, its versions as MessagePack.
#[derive(Debug, Clone, Copy)]
pub struct AttachLeaf<'a> {
    /// The resource id.
    pub id: &'a str,
    /// Version of the place.
    pub place: &'a [u8],
    /// Version of the metadata.
    pub meta: &'a [u8],
    /// Version of the content; none for a folder.
    pub content: Option<&'a [u8]>,
    /// Version of the tombstone.
    pub removed: Option<&'a [u8]>,
    /// The parent, as the register says; empty at the top.
    pub folder: &'a str,
    /// The name.
    pub filename: &'a str,
    /// The content.
    pub root: Option<&'a Digest>,
}

impl AttachLeaf<'_> {
    /// AUDIT-2: SHA-256 of an array of nine.
    pub fn digest(&self) -> Digest {
        let mut out = head(9, Kind::Attach, self.id);
        out.extend_from_slice(self.place);
        out.extend_from_slice(self.meta);
        for version in [self.content, self.removed] {
            match version {
                Some(version) => out.extend_from_slice(version),
                None => nil(&mut out),
            }
        }
        text(&mut out, self.folder);
        text(&mut out, self.filename);
        match self.root {
            Some(root) => write_bin(&mut out, &root.0).expect("memory"),
            None => nil(&mut out),
        }
        Digest(Sha256::digest(&out).into())
    }
}

/// AUDIT-3: the digest of an item: SHA-256 of an array of three.
pub fn item_digest(mid: &str, version: &[u8]) -> Digest {
    let mut out = head(3, Kind::Item, mid);
    out.extend_from_slice(version);
    Digest(Sha256::digest(&out).into())
}

fn head(len: u32, kind: Kind, id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(384);
    write_array_len(&mut out, len).expect("memory");
    text(&mut out, kind.as_str());
    text(&mut out, id);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    write_str(out, text).expect("memory");
}

fn nil(out: &mut Vec<u8>) {
    write_nil(out).expect("memory");
}

/// AUDIT-4: how many leaves a range has, and the exclusive or of their digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// All of them, in whatever order.
    pub digest: Digest,
}

impl Default for Sum {
    fn default() -> Self {
        Self { count: 0, digest: Digest([0; 32]) }
    }
}

impl Sum {
    /// A leaf comes.
    pub fn add(&mut self, leaf: &Digest) {
        self.count += 1;
        self.turn(leaf);
    }

    /// A leaf goes, or a digest is replaced: the old one is turned out, the new one in.
    pub fn turn(&mut self, leaf: &Digest) {
        for (byte, with) in self.digest.0.iter_mut().zip(leaf.0) {
            *byte ^= with;
        }
    }

    /// Another range beside it.
    pub fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.turn(&other.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(n: u8) -> Digest {
        key(Kind::Attach, &n.to_string())
    }

    /// AUDIT-4: a range is the same whatever the order, and zero again when all have gone.
    #[test]
    fn a_sum_knows_no_order() {
        let (mut there, mut back) = (Sum::default(), Sum::default());
        (0..9).for_each(|n| there.add(&leaf(n)));
        (0..9).rev().for_each(|n| back.add(&leaf(n)));
        assert_eq!(there, back);
        assert_ne!(there.digest, Sum::default().digest);
        (0..9).for_each(|n| there.turn(&leaf(n)));
        assert_eq!(there.digest, Sum::default().digest);
    }

    /// AUDIT-2: whatever differs in an entry differs in its digest.
    #[test]
    fn every_part_of_an_entry_counts() {
        let (root, other) = (leaf(1), leaf(2));
        let entry = AttachLeaf {
            id: "f1",
            place: &[1],
            meta: &[2],
            content: Some(&[3]),
            removed: None,
            folder: "d1",
            filename: "a",
            root: Some(&root),
        };
        let changed = [
            AttachLeaf { id: "f2", ..entry },
            AttachLeaf { place: &[4], ..entry },
            AttachLeaf { meta: &[4], ..entry },
            AttachLeaf { content: Some(&[4]), ..entry },
            AttachLeaf { content: None, removed: Some(&[3]), ..entry },
            AttachLeaf { folder: "", ..entry },
            AttachLeaf { filename: "b", ..entry },
            AttachLeaf { root: Some(&other), ..entry },
            AttachLeaf { root: None, ..entry },
        ];
        let mut digests = vec![entry.digest()];
        digests.extend(changed.iter().map(AttachLeaf::digest));
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 1 + changed.len());
    }

    /// AUDIT-1: a file and a post of the same id do not stand at the same place.
    #[test]
    fn kinds_have_places_of_their_own() {
        assert_ne!(key(Kind::Attach, "x"), key(Kind::Item, "x"));
        assert_ne!(item_digest("x", &[1]), item_digest("x", &[2]));
    }
}

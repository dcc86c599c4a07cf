//! Contents that our hubs announce and serve: bytes, digests, roots.
//!
//! Spec: FILE-1, FILE-2, FILE-7, FILE-8, FILE-14.

use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::Manifest;
use zotferry_protocol::merkle;

use crate::keys::random;
use crate::wire::{Value, map};

/// A chunk of the contents here; none is so large that it would have larger ones (FILE-1).
pub const MIB: usize = 1 << 20;

/// Bytes, cut and hashed.
#[derive(Debug, Clone)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The digests of its chunks.
    pub digests: Vec<Digest>,
    /// Its name.
    pub root: [u8; 32],
}

impl Content {
    /// Of these bytes.
    pub fn of(bytes: Vec<u8>) -> Self {
        let digests: Vec<Digest> = bytes.chunks(MIB).map(merkle::leaf).collect();
        let root = merkle::root(&digests).0;
        Self { bytes, digests, root }
    }

    /// So many bytes that are nowhere else.
    pub fn noise(len: usize) -> Self {
        let mut state = u64::from_le_bytes(random()) | 1;
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(len);
        Self::of(bytes)
    }

    /// How many bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How many chunks.
    pub fn chunks(&self) -> u32 {
        Manifest::of(self.size()).map_or(0, |manifest| manifest.chunks())
    }

    /// The bytes of a chunk; empty beyond the last.
    pub fn chunk(&self, number: usize) -> &[u8] {
        self.bytes.chunks(MIB).nth(number).unwrap_or_default()
    }

    /// The root in hexadecimal, as it stands in a stream's path.
    pub fn hex(&self) -> String {
        hex::encode(self.root)
    }

    /// An element of an operation's `data`, with digests where they belong (FILE-14).
    pub fn data(&self, role: &str) -> Value {
        let mut data =
            map([("role", role.into()), ("size", self.size().into()), ("root", self.root.into())]);
        if (2..=32).contains(&self.digests.len()) {
            data.set("digests", joined(&self.digests));
        }
        data.set("mime", "application/octet-stream").set("source", "fetch");
        data
    }
}

/// A content of so many chunks that its digests have two pages. Nobody has its bytes, which are 4 GiB.
#[derive(Debug, Clone)]
pub struct TwoPages {
    /// The digests of its chunks.
    pub digests: Vec<Digest>,
    /// Its name.
    pub root: Digest,
}

impl TwoPages {
    /// One that is nowhere else.
    pub fn noise() -> Self {
        let digests: Vec<Digest> = (0..=4096).map(|_| Digest(random())).collect();
        let root = merkle::root(&digests);
        Self { digests, root }
    }

    /// How many bytes it would have.
    pub fn size(&self) -> u64 {
        (self.digests.len() * MIB) as u64
    }

    /// The digests of a page.
    pub fn page(&self, number: usize) -> &[Digest] {
        self.digests.chunks(4096).nth(number).unwrap_or_default()
    }

    /// What proves a page (FILE-11).
    pub fn path(&self, number: u32) -> Vec<Digest> {
        let roots: Vec<Digest> = self.digests.chunks(4096).map(merkle::root).collect();
        merkle::page_path(&roots, number)
    }
}

/// Digests one after the other.
pub fn joined(digests: &[Digest]) -> Vec<u8> {
    digests.iter().flat_map(|digest| digest.0).collect()
}

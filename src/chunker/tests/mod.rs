//! Cutting, assembling and copying over both storages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod assemble;
mod copy;
mod split;

use bytes::Bytes;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::Manifest;
use zotferry_protocol::merkle;

use crate::storage::local::LocalStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Storage, read_full};

const CHUNK: usize = 1 << 20;
/// The sizes at which off-by-one errors show.
const SIZES: [usize; 6] = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 1];

fn each(test: impl Fn(&dyn Storage)) {
    test(&MemoryStorage::default());
    let dir = tempfile::tempdir().unwrap();
    test(&LocalStorage::open(dir.path()).unwrap());
}

/// Bytes without a pattern, the same for the same seed.
fn noise(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = vec![0; len.next_multiple_of(8)];
    for eight in bytes.as_chunks_mut().0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *eight = state.to_le_bytes();
    }
    bytes.truncate(len);
    bytes.into()
}

/// The leaf digests of a file, computed the plain way.
fn leaves(bytes: &[u8]) -> Vec<Digest> {
    let chunk = Manifest::of(bytes.len() as u64).unwrap().chunk_size() as usize;
    bytes.chunks(chunk).map(merkle::leaf).collect()
}

fn content(storage: &dyn Storage, root: &Digest) -> Vec<u8> {
    let content = storage.open(root).unwrap().unwrap();
    let mut bytes = vec![0; content.size() as usize];
    let len = read_full(&mut bytes, 0, |at, buf| content.read_at(at, buf)).unwrap();
    assert_eq!(len, bytes.len());
    bytes
}

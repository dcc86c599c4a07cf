//! From older content to chunks.

use std::sync::Arc;

use zotferry_protocol::ids::ChunkNo;

use super::*;
use crate::chunker::{Assembly, ChunkerError, copy_page, store_reader};
use crate::storage::StorageError;

/// A file made of numbered noise chunks, the last one of `tail` bytes more.
fn file(chunks: &[u64], tail: usize) -> Bytes {
    let mut bytes: Vec<u8> = chunks.iter().flat_map(|&seed| noise(seed, CHUNK)).collect();
    bytes.extend_from_slice(&noise(999, tail));
    bytes.into()
}

fn open(storage: &dyn Storage, bytes: &[u8]) -> Arc<Assembly> {
    let manifest = Manifest::of(bytes.len() as u64).unwrap();
    Assembly::open(storage, 1, merkle::root(&leaves(bytes)), manifest).unwrap()
}

fn store(storage: &dyn Storage, bytes: &[u8]) -> Digest {
    store_reader(storage, bytes, None).unwrap().root
}

fn copy(storage: &dyn Storage, assembly: &Arc<Assembly>, new: &[u8], older: &Digest) -> Vec<u32> {
    let copied = copy_page(storage, assembly, 0, &leaves(new), |_| true, older).unwrap();
    copied.iter().map(|no| no.0).collect()
}

/// FILE-13: chunks of an older revision are copied to wherever the new one has them, also when they
/// moved, repeat, or are the short last one.
#[test]
fn chunks_of_an_older_revision_are_copied() {
    each(|storage| {
        let older = store(storage, &file(&[1, 2, 3], 55));
        let new = file(&[3, 9, 1, 3], 55);
        let assembly = open(storage, &new);
        assert_eq!(copy(storage, &assembly, &new, &older), [0, 2, 3, 4]);
        for no in [0, 2, 3, 4] {
            let leaf = assembly.leaf(ChunkNo(no)).unwrap();
            assert_eq!(leaf, Some(leaves(&new)[no as usize]));
        }
        let mut sink = assembly.sink(ChunkNo(1)).unwrap();
        sink.push(noise(9, CHUNK)).unwrap();
        sink.finish().unwrap().write().unwrap();
        assembly.commit().unwrap();
        assert!(content(storage, &merkle::root(&leaves(&new))) == new);
    });
}

/// Only wanted chunks are copied; a chunk that is being received is left alone.
#[test]
fn held_chunks_and_busy_chunks_are_left_alone() {
    each(|storage| {
        let older = store(storage, &file(&[1, 2, 3], 0));
        let new = file(&[1, 2, 3, 4], 0);
        let assembly = open(storage, &new);
        let _receiving = assembly.sink(ChunkNo(1)).unwrap();
        let wants = |no: ChunkNo| no.0 != 2;
        let copied = copy_page(storage, &assembly, 0, &leaves(&new), wants, &older).unwrap();
        assert_eq!(copied, [ChunkNo(0)]);
    });
}

/// A content of one chunk, in a row or a file, can lend it; one that is not here lends nothing.
#[test]
fn a_content_of_one_chunk_can_lend_it() {
    each(|storage| {
        for (seed, tail) in [(80, 500), (81, CHUNK - 1)] {
            let older = store(storage, &noise(999, tail));
            let new = file(&[seed], tail);
            let assembly = open(storage, &new);
            assert_eq!(copy(storage, &assembly, &new, &Digest([0; 32])), [0; 0]);
            assert_eq!(copy(storage, &assembly, &new, &older), [1]);
        }
    });
}

/// A chunk that was damaged since it was verified does not count, another copy of it does.
#[test]
fn a_damaged_older_chunk_does_not_count() {
    let storage = MemoryStorage::default();
    let older = store(&storage, &file(&[1, 2, 1], 0));
    assert!(storage.flip(&older, 7));
    assert!(storage.flip(&older, CHUNK + 7));
    let new = file(&[1, 2, 5], 0);
    let assembly = open(&storage, &new);
    assert_eq!(copy(&storage, &assembly, &new, &older), [0]);
    assert_eq!(assembly.leaf(ChunkNo(0)).unwrap(), Some(leaves(&new)[0]));
}

/// Older digests that cannot be read cost nothing but what they would have shown.
#[test]
fn unreadable_older_digests_are_passed_over() {
    let storage = MemoryStorage::default();
    let older = store(&storage, &file(&[1, 2], 0));
    let new = file(&[1, 2, 3], 0);
    let assembly = open(&storage, &new);
    storage.fail_reads(1);
    assert_eq!(copy(&storage, &assembly, &new, &older), [0; 0]);
    assert_eq!(copy(&storage, &assembly, &new, &older), [0, 1]);
}

/// Older content that cannot be read costs nothing but its chunks.
#[test]
fn unreadable_older_content_is_passed_over() {
    let storage = MemoryStorage::default();
    let older = store(&storage, &file(&[1], 0));
    let new = file(&[1, 1, 3], 0);
    let assembly = open(&storage, &new);
    storage.fail_reads(1);
    assert_eq!(copy(&storage, &assembly, &new, &older), [1]);
}

/// A full disk is not the older content's fault: it ends the copying.
#[test]
fn a_full_disk_ends_the_copying() {
    let storage = MemoryStorage::default();
    let older = store(&storage, &file(&[1, 2], 0));
    let new = file(&[1, 2, 3], 0);
    let assembly = open(&storage, &new);
    storage.set_capacity(Some(2 * CHUNK as u64 + 10));
    let error = copy_page(&storage, &assembly, 0, &leaves(&new), |_| true, &older).unwrap_err();
    assert!(matches!(error, ChunkerError::Storage(StorageError::NoSpace(_))), "{error}");
}

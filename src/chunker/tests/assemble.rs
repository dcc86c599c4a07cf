//! From chunks to content.

use std::sync::Arc;

use zotferry_protocol::ids::ChunkNo;

use super::*;
use crate::chunker::{Assembly, ChunkerError, FilledChunk};
use crate::storage::{Fault, PartialKey, StorageError};

fn open(storage: &dyn Storage, bytes: &[u8]) -> Arc<Assembly> {
    let manifest = Manifest::of(bytes.len() as u64).unwrap();
    Assembly::open(storage, 1, merkle::root(&leaves(bytes)), manifest).unwrap()
}

/// Receives one chunk in pieces of `piece` bytes.
fn fill(assembly: &Arc<Assembly>, bytes: &Bytes, no: u32, piece: usize) -> FilledChunk {
    let span = assembly.manifest().span(ChunkNo(no)).unwrap();
    let mut sink = assembly.sink(ChunkNo(no)).unwrap();
    let chunk = bytes.slice(span.offset as usize..span.offset as usize + span.len as usize);
    for at in (0..chunk.len()).step_by(piece) {
        assert_eq!(sink.received() as usize, at);
        sink.push(chunk.slice(at..(at + piece).min(chunk.len()))).unwrap();
    }
    assert_eq!(sink.missing(), 0);
    sink.finish().unwrap()
}

/// FETCH-37: chunks that come in any order and in any pieces make the file, at every size.
#[test]
fn chunks_in_any_order_make_the_file() {
    each(|storage| {
        for (seed, len) in (50..).zip(SIZES) {
            let bytes = noise(seed, len);
            let leaves = leaves(&bytes);
            let assembly = open(storage, &bytes);
            let pieces = [1 << 16, 100_003, 999, 1 << 20];
            for (no, piece) in (0..leaves.len() as u32).rev().zip(pieces.into_iter().cycle()) {
                let filled = fill(&assembly, &bytes, no, piece);
                assert_eq!(*filled.digest(), leaves[no as usize]);
                filled.write().unwrap();
            }
            assembly.sync().unwrap();
            assembly.commit().unwrap();
            assembly.commit().unwrap();
            assert!(content(storage, &merkle::root(&leaves)) == bytes, "{len} bytes");
        }
    });
}

/// Disk is reserved by the first verified chunk, not by an announcement and not by bad chunks.
#[test]
fn the_first_accepted_chunk_reserves_disk() {
    let storage = MemoryStorage::default();
    let bytes = noise(60, 3 * CHUNK);
    storage.set_capacity(Some(10 * CHUNK as u64));
    let assembly = open(&storage, &bytes);
    drop(fill(&assembly, &noise(61, 3 * CHUNK), 0, 65_536));
    assert_eq!(storage.free_space().unwrap(), 10 * CHUNK as u64);
    fill(&assembly, &bytes, 2, 65_536).write().unwrap();
    assert_eq!(storage.free_space().unwrap(), 7 * CHUNK as u64);
}

/// FETCH-4: a chunk that was rejected leaves the place of a 1 MiB chunk untouched, and can be
/// received again.
#[test]
fn a_rejected_chunk_is_not_written() {
    each(|storage| {
        let bytes = noise(62, 2 * CHUNK);
        let assembly = open(storage, &bytes);
        fill(&assembly, &bytes, 0, 65_536).write().unwrap();
        let bad = fill(&assembly, &noise(63, 2 * CHUNK), 1, 65_536);
        assert_ne!(*bad.digest(), leaves(&bytes)[1]);
        drop(bad);
        let zeros = merkle::leaf(&vec![0; CHUNK]);
        assert_eq!(assembly.leaf(ChunkNo(1)).unwrap(), Some(zeros));
        fill(&assembly, &bytes, 1, 65_536).write().unwrap();
        assembly.commit().unwrap();
        assert!(content(storage, &merkle::root(&leaves(&bytes))) == bytes);
    });
}

/// A chunk has exactly its length: more is refused when it comes, less when it ends.
#[test]
fn a_chunk_has_exactly_its_length() {
    each(|storage| {
        let bytes = noise(64, CHUNK + 10);
        let assembly = open(storage, &bytes);
        let mut sink = assembly.sink(ChunkNo(1)).unwrap();
        sink.push(bytes.slice(..9)).unwrap();
        let error = sink.push(bytes.slice(..2)).unwrap_err();
        assert!(matches!(error, ChunkerError::TooLong { chunk: 1, len: 10 }), "{error}");
        assert_eq!((error.fault(), sink.received()), (Fault::Peer, 9));
        let error = sink.finish().err().unwrap();
        assert!(matches!(error, ChunkerError::Short { chunk: 1, len: 10, received: 9 }), "{error}");
        let error = assembly.sink(ChunkNo(2)).err().unwrap();
        assert!(matches!(error, ChunkerError::NoSuchChunk(2)), "{error}");
    });
}

/// One writer per chunk: a late response cannot spoil what another has brought.
#[test]
fn a_chunk_has_one_writer() {
    each(|storage| {
        let bytes = noise(65, 2 * CHUNK);
        let assembly = open(storage, &bytes);
        let first = assembly.sink(ChunkNo(0)).unwrap();
        let other = assembly.sink(ChunkNo(1)).unwrap();
        let error = assembly.sink(ChunkNo(0)).err().unwrap();
        assert!(matches!(error, ChunkerError::ChunkBusy(0)), "{error}");
        drop((first, other));
        let filled = fill(&assembly, &bytes, 0, 65_536);
        assert!(assembly.sink(ChunkNo(0)).is_err());
        filled.write().unwrap();
        assert!(assembly.sink(ChunkNo(0)).is_ok());
    });
}

/// Invariant 5: a chunk is hashed as it lies there after a crash; one that was not synced is not
/// taken for held, and one that was is.
#[test]
fn synced_chunks_survive_lost_power() {
    let storage = MemoryStorage::default();
    let bytes = noise(66, 3 * CHUNK + 1);
    let leaves = leaves(&bytes);
    let assembly = open(&storage, &bytes);
    assert!(!assembly.resumed());
    for no in [0, 3] {
        fill(&assembly, &bytes, no, 65_536).write().unwrap();
    }
    assembly.sync().unwrap();
    fill(&assembly, &bytes, 1, 65_536).write().unwrap();
    storage.crash();
    drop(assembly);

    let assembly = open(&storage, &bytes);
    assert!(assembly.resumed());
    let there: Vec<_> =
        (0..4).map(|no| assembly.leaf(ChunkNo(no)).unwrap() == Some(leaves[no as usize])).collect();
    assert_eq!(there, [true, false, false, true]);
    for no in [1, 2] {
        fill(&assembly, &bytes, no, 65_536).write().unwrap();
    }
    assembly.commit().unwrap();
    assert!(content(&storage, &merkle::root(&leaves)) == bytes);
}

/// Invariants 1 and 2: wherever power is lost, a chunk whose sync was reported is there, and content
/// is visible only whole.
#[test]
fn power_loss_at_every_step_keeps_what_was_synced() {
    let bytes = noise(67, 2 * CHUNK + 1);
    let leaves = leaves(&bytes);
    let root = merkle::root(&leaves);
    let mut committed = false;
    for steps in 0.. {
        let storage = MemoryStorage::default();
        let manifest = Manifest::of(bytes.len() as u64).unwrap();
        let assembly = Assembly::open(&storage, 1, root, manifest).unwrap();
        storage.power_off_after(steps);
        let mut held = Vec::new();
        for no in 0..3 {
            let filled = fill(&assembly, &bytes, no, 65_536);
            if filled.write().and_then(|()| assembly.sync()).is_ok() {
                held.push(no);
            }
        }
        committed = assembly.commit().is_ok();
        storage.crash();
        drop(assembly);
        if storage.contains(&root).unwrap() {
            assert!(content(&storage, &root) == bytes, "power lost after {steps} steps");
        } else {
            assert!(!committed);
            let assembly = Assembly::open(&storage, 1, root, manifest).unwrap();
            for &no in &held {
                let leaf = assembly.leaf(ChunkNo(no)).unwrap();
                assert_eq!(leaf, Some(leaves[no as usize]), "power lost after {steps} steps");
            }
        }
        if committed {
            break;
        }
    }
    assert!(committed);
}

/// Invariant 4: after a failed sync nothing of the file counts, and it begins anew.
#[test]
fn a_failed_sync_begins_the_file_anew() {
    let storage = MemoryStorage::default();
    let bytes = noise(68, 2 * CHUNK);
    let assembly = open(&storage, &bytes);
    fill(&assembly, &bytes, 0, 65_536).write().unwrap();
    storage.fail_syncs(1);
    let error = assembly.sync().unwrap_err();
    let failed = matches!(error, ChunkerError::Storage(StorageError::SyncFailed { .. }));
    assert!(failed, "{error}");
    assert!(fill(&assembly, &bytes, 1, 65_536).write().is_err());
    assert!(assembly.commit().is_err());
    drop(assembly);
    let assembly = open(&storage, &bytes);
    assert!(!assembly.resumed());
    assert_eq!(assembly.leaf(ChunkNo(0)).unwrap(), None);
}

/// A full disk is reported by the first accepted chunk, which can be received again later.
#[test]
fn a_full_disk_is_told_by_the_first_chunk() {
    let storage = MemoryStorage::default();
    let bytes = noise(69, 2 * CHUNK);
    storage.set_capacity(Some(CHUNK as u64));
    let assembly = open(&storage, &bytes);
    let error = fill(&assembly, &bytes, 0, 65_536).write().unwrap_err();
    assert!(matches!(error, ChunkerError::Storage(StorageError::NoSpace(_))), "{error}");
    storage.set_capacity(None);
    fill(&assembly, &bytes, 0, 65_536).write().unwrap();
}

/// The size of a file whose chunks are 2 MiB.
const LARGE: u64 = (16 << 30) + 5;

/// Begins a file of 2 MiB chunks; `reserved` as if its first chunk had come. Takes no disk.
fn large(storage: &LocalStorage, root: Digest, reserved: bool) -> Arc<Assembly> {
    if reserved {
        storage.partial(&PartialKey::wanted(1, root, LARGE), LARGE).unwrap().resize(LARGE).unwrap();
    }
    let manifest = Manifest::of(LARGE).unwrap();
    assert_eq!(manifest.chunk_size() as usize, 2 * CHUNK);
    Assembly::open(storage, 1, root, manifest).unwrap()
}

/// Invariant 7: pieces of larger chunks are at their place before the chunk is whole.
#[test]
fn large_chunks_are_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(dir.path()).unwrap();
    let assembly = large(&storage, Digest([1; 32]), true);
    let bytes = noise(70, 2 * CHUNK);
    let mut sink = assembly.sink(ChunkNo(3)).unwrap();
    for at in (0..2 * CHUNK).step_by(65_536) {
        sink.push(bytes.slice(at..at + 65_536)).unwrap();
        let first = assembly.leaf(ChunkNo(3)).unwrap();
        let untouched = first == Some(merkle::leaf(&vec![0; 2 * CHUNK]));
        assert_eq!(untouched, at + 65_536 < CHUNK, "after {} bytes", at + 65_536);
    }
    let filled = sink.finish().unwrap();
    assert_eq!(*filled.digest(), merkle::leaf(&bytes));
    filled.write().unwrap();
    assert_eq!(assembly.leaf(ChunkNo(3)).unwrap(), Some(merkle::leaf(&bytes)));
}

/// Before the first verified chunk nothing is written, however large the chunks are.
#[test]
fn nothing_is_written_before_the_first_accepted_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(dir.path()).unwrap();
    let root = Digest([2; 32]);
    let assembly = large(&storage, root, false);
    let filled = {
        let mut sink = assembly.sink(ChunkNo(0)).unwrap();
        sink.push(noise(71, 2 * CHUNK)).unwrap();
        sink.finish().unwrap()
    };
    drop(filled);
    assert_eq!(assembly.leaf(ChunkNo(0)).unwrap(), None);
    let file = dir.path().join(format!("partial/{}", PartialKey::wanted(1, root, LARGE)));
    assert_eq!(std::fs::metadata(file).unwrap().len(), 0);
}

//! From a source to content.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::*;
use crate::chunker::{ChunkerError, SmallBatch, Stored, store_file, store_reader};
use crate::storage::{StorageError, Taking};

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn expected(bytes: &[u8]) -> Stored {
    let leaves = leaves(bytes);
    Stored {
        root: merkle::root(&leaves),
        size: bytes.len() as u64,
        chunks: leaves.len() as u32,
        inline_digests: (leaves.len() <= 32).then_some(leaves),
    }
}

/// Gives bytes in reads of odd sizes, then fails if it was told to.
struct Drip<'b> {
    bytes: &'b [u8],
    fails: bool,
}

impl Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && self.fails {
            return Err(io::Error::other("the source broke"));
        }
        let most = buf.len().min(70_001);
        self.bytes.read(&mut buf[..most])
    }
}

/// FILE-5: a stored file has the root, the digests and the bytes of its source, at every size.
#[test]
fn files_are_stored_as_they_are() {
    each(|storage| {
        for (seed, len) in (1..).zip(SIZES.into_iter().chain([33 * CHUNK])) {
            let bytes = noise(seed, len);
            let stored = store_file(storage, &file_of(&bytes)).unwrap();
            assert_eq!(stored, expected(&bytes), "{len} bytes");
            assert!(content(storage, &stored.root) == bytes, "{len} bytes");
            let page = (stored.chunks > 1).then(|| leaves(&bytes));
            assert_eq!(storage.digests(&stored.root, stored.chunks, 0).unwrap(), page);
        }
        assert!(storage.partials().unwrap().is_empty());
    });
}

/// A reader may say its size rightly, wrongly or not at all.
#[test]
fn readers_need_not_know_their_size() {
    each(|storage| {
        for len in SIZES {
            let bytes = noise(20, len);
            for size in [None, Some(len as u64), Some(0), Some(1), Some(3 << 20), Some(9 << 20)] {
                let source = Drip { bytes: &bytes, fails: false };
                let stored = store_reader(storage, source, size).unwrap();
                assert_eq!(stored, expected(&bytes), "{len} bytes, said to be {size:?}");
                assert!(content(storage, &stored.root) == bytes);
                storage.remove(&stored.root).unwrap();
            }
        }
        assert!(storage.partials().unwrap().is_empty());
    });
}

/// Storing the same bytes again is fine and leaves nothing behind.
#[test]
fn the_same_bytes_can_be_stored_again() {
    each(|storage| {
        let bytes = noise(21, 2 * CHUNK + 5);
        for _ in 0..2 {
            assert_eq!(store_reader(storage, &bytes[..], None).unwrap(), expected(&bytes));
        }
        assert!(content(storage, &expected(&bytes).root) == bytes);
        assert!(storage.partials().unwrap().is_empty());
    });
}

/// Holes are stored as zeros and take no room where the source took none.
#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::MetadataExt;
    let size = 20 * CHUNK + 77;
    let file = tempfile::tempfile().unwrap();
    file.set_len(size as u64).unwrap();
    file.write_all_at(&noise(22, 3000), 5 * CHUNK as u64 + 4096).unwrap();
    file.write_all_at(&noise(23, 2 * CHUNK), 9 * CHUNK as u64 + 8192).unwrap();
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0).unwrap();
    each(|storage| {
        let stored = store_file(storage, &file).unwrap();
        assert_eq!(stored, expected(&bytes));
        assert!(content(storage, &stored.root) == bytes);
        let content = storage.open(&stored.root).unwrap().unwrap();
        if let Some(kept) = content.as_file() {
            let blocks = kept.metadata().unwrap().blocks();
            assert!(blocks * 512 < 8 * CHUNK as u64, "{blocks} blocks");
        }
    });
}

/// FILE-6, Invariant 7: a file of more than one page of digests is stored with all of them.
#[test]
fn more_than_a_page_of_chunks_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(dir.path()).unwrap();
    let file = tempfile::tempfile().unwrap();
    let chunks = 2 * 4096 + 3;
    file.set_len(chunks * CHUNK as u64).unwrap();
    file.write_all_at(b"not zero", 4096 * CHUNK as u64).unwrap();

    let stored = store_file(&storage, &file).unwrap();
    let mut leaves = vec![merkle::leaf(&vec![0; CHUNK]); chunks as usize];
    let mut chunk = vec![0; CHUNK];
    chunk[..8].copy_from_slice(b"not zero");
    leaves[4096] = merkle::leaf(&chunk);
    assert_eq!(stored.root, merkle::root(&leaves));
    assert_eq!((u64::from(stored.chunks), stored.inline_digests), (chunks, None));
    for (page, digests) in (0..).zip(leaves.chunks(4096)) {
        assert_eq!(storage.digests(&stored.root, stored.chunks, page).unwrap().unwrap(), digests);
    }
    let roots: Vec<_> = leaves.chunks(4096).map(merkle::root).collect();
    assert_eq!(storage.page_roots(&stored.root, stored.chunks).unwrap(), Some(roots));
    assert!(storage.partials().unwrap().is_empty());
}

/// Scribbles over the file that it reads from, behind the place it has read and before it.
struct Restless<'f> {
    file: &'f File,
    at: u64,
}

impl Read for Restless<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buf, self.at)?;
        self.file.write_all_at(&noise(self.at, 100), self.at.saturating_sub(50))?;
        self.file.write_all_at(&noise(self.at, 100), self.at + len as u64)?;
        self.at += len as u64;
        Ok(if self.at > 4 * CHUNK as u64 { 0 } else { len })
    }
}

/// What is hashed is what is stored, although the source changes while it is read.
#[test]
fn a_changing_source_is_stored_consistently() {
    each(|storage| {
        let file = file_of(&noise(24, 3 * CHUNK));
        let stored = store_reader(storage, Restless { file: &file, at: 0 }, Some(10)).unwrap();
        let kept = content(storage, &stored.root);
        assert_eq!(stored, expected(&kept));
        assert!(kept.len() > 3 * CHUNK);
    });
}

/// A source that cannot be read to its end leaves neither content nor a staging file.
#[test]
fn a_broken_source_leaves_nothing() {
    each(|storage| {
        for len in [10, 3 * CHUNK] {
            let source = Drip { bytes: &noise(25, len), fails: true };
            let error = store_reader(storage, source, Some(len as u64)).unwrap_err();
            assert!(matches!(error, ChunkerError::Source(_)), "{error}");
            assert!(storage.partials().unwrap().is_empty());
        }
    });
}

/// A full disk leaves neither content nor a staging file, whether it is full at once or later.
#[test]
fn a_full_disk_leaves_nothing() {
    let storage = MemoryStorage::default();
    storage.set_capacity(Some(2 * CHUNK as u64));
    let bytes = noise(26, 3 * CHUNK);
    for size in [None, Some(0), Some(3 << 20)] {
        let error = store_reader(&storage, &bytes[..], size).unwrap_err();
        assert!(matches!(error, ChunkerError::Storage(StorageError::NoSpace(_))), "{error}");
        assert!(storage.partials().unwrap().is_empty());
    }
    assert!(storage.roots().is_empty());
}

/// Invariant 1: wherever power is lost, content is there whole or not at all, and it is there if
/// storing it was reported done.
#[test]
fn power_loss_never_leaves_half_a_file() {
    let bytes = noise(27, 2 * CHUNK + 9);
    let root = expected(&bytes).root;
    let mut done = false;
    for steps in 0.. {
        let storage = MemoryStorage::default();
        storage.power_off_after(steps);
        let stored = store_reader(&storage, &bytes[..], None);
        done = stored.is_ok();
        storage.crash();
        if done || storage.contains(&root).unwrap() {
            assert!(content(&storage, &root) == bytes, "power lost after {steps} steps");
            assert_eq!(
                storage.digests(&root, leaves(&bytes).len() as u32, 0).unwrap(),
                Some(leaves(&bytes))
            );
        }
        if done {
            break;
        }
    }
    assert!(done);
}

/// Files of one chunk wait for each other, larger ones do not; all are there after the flush.
#[test]
fn small_files_go_in_groups() {
    each(|storage| {
        let mut batch = SmallBatch::new(storage);
        let lens = (0..600).map(|n| n * 3).chain([CHUNK; 10]).chain([CHUNK + 1, 2 * CHUNK, 0]);
        let files: Vec<_> = (30..).zip(lens).map(|(seed, len)| noise(seed, len)).collect();
        let stored: Vec<_> =
            files.iter().map(|bytes| batch.add_file(&file_of(bytes)).unwrap()).collect();
        assert!(!storage.contains(&stored[609].root).unwrap());
        batch.flush().unwrap();
        for (bytes, stored) in files.iter().zip(&stored) {
            assert_eq!(*stored, expected(bytes));
            assert!(content(storage, &stored.root) == *bytes);
        }
        batch.flush().unwrap();
    });
}

/// What a failed flush did not store is stored by the next one.
#[test]
fn a_failed_flush_can_be_repeated() {
    let storage = MemoryStorage::default();
    let mut batch = SmallBatch::new(&storage);
    let stored = batch.add(noise(28, 100)).unwrap();
    storage.set_capacity(Some(50));
    assert!(batch.flush().is_err());
    storage.set_capacity(None);
    batch.flush().unwrap();
    assert!(storage.contains(&stored.root).unwrap());
}

/// FILE-5: a file that is taken without being written again has the root, digests and bytes of its source,
/// in every backend, whether that can take it so or not.
#[test]
fn a_file_that_is_taken_is_what_would_be_read() {
    each(|storage| {
        let dir = tempfile::tempdir().unwrap();
        for (seed, len) in (50..).zip(SIZES.into_iter().chain([33 * CHUNK])) {
            let bytes = noise(seed, len);
            let path = dir.path().join(format!("{len}"));
            std::fs::write(&path, &bytes).unwrap();
            for how in [Taking::Share, Taking::Link] {
                let mut batch = SmallBatch::new(storage);
                let (stored, _) = batch.take_file(&File::open(&path).unwrap(), how).unwrap();
                batch.flush().unwrap();
                assert_eq!(stored, expected(&bytes), "{len} bytes, {how:?}");
                assert!(content(storage, &stored.root) == bytes, "{len} bytes, {how:?}");
                let page = (stored.chunks > 1).then(|| leaves(&bytes));
                assert_eq!(storage.digests(&stored.root, stored.chunks, 0).unwrap(), page);
                storage.remove(&stored.root).unwrap();
            }
        }
        assert!(storage.partials().unwrap().is_empty());
    });
}

//! What every storage promises: one body per promise, run for each backend.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::Bytes;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::merkle;

use super::local::LocalStorage;
use super::memory::MemoryStorage;
use super::{Content, PartialKey, SMALL, Storage, StorageError};

const MIB: usize = 1 << 20;

fn each(promise: impl Fn(&dyn Storage)) {
    promise(&MemoryStorage::default());
    let dir = tempfile::tempdir().unwrap();
    promise(&LocalStorage::open(dir.path()).unwrap());
}

fn bytes(seed: u8, len: usize) -> Bytes {
    (0..len).map(|i| seed.wrapping_add((i / 251) as u8) ^ (i as u8)).collect()
}

fn item(seed: u8, len: usize) -> (Digest, Bytes) {
    let bytes = bytes(seed, len);
    let root = if len == 0 { merkle::root(&[]) } else { merkle::leaf(&bytes) };
    (root, bytes)
}

fn all_of(content: &dyn Content) -> Vec<u8> {
    let mut all = vec![0; content.size() as usize + 1];
    let len = super::read_full(&mut all, 0, |at, buf| content.read_at(at, buf)).unwrap();
    all.truncate(len);
    all
}

/// Content of one chunk, of whatever size, comes back as it was put; putting it again is fine.
#[test]
fn what_was_put_comes_back() {
    each(|storage| {
        let sizes = [0, 1, 10 << 10, SMALL - 1, SMALL, SMALL + 1, MIB - 1, MIB];
        let items: Vec<_> = (1..).zip(sizes).map(|(seed, len)| item(seed, len)).collect();
        assert!(!storage.contains(&items[0].0).unwrap());
        storage.put_many(&items).unwrap();
        storage.put_many(&items).unwrap();
        storage.put_many(&[]).unwrap();
        for (root, bytes) in &items {
            assert!(storage.contains(root).unwrap());
            let content = storage.open(root).unwrap().unwrap();
            assert_eq!(content.size(), bytes.len() as u64);
            assert!(all_of(&*content) == *bytes, "{} bytes", bytes.len());
            assert_eq!(content.read_at(u64::MAX, &mut [0]).unwrap(), 0);
        }
        assert!(storage.partials().unwrap().is_empty());
    });
}

/// A group in which one content stands twice is stored once.
#[test]
fn a_content_may_stand_twice_in_a_group() {
    each(|storage| {
        for len in [100, 100 << 10] {
            let twice = item(1, len);
            storage.put_many(&[twice.clone(), item(2, len), twice.clone()]).unwrap();
            assert!(all_of(&*storage.open(&twice.0).unwrap().unwrap()) == twice.1);
        }
    });
}

/// Groups large enough to be synced by one call for the whole file system are kept like others.
#[test]
fn hundreds_of_contents_go_in_one_call() {
    each(|storage| {
        let small = (0..300).map(|n| item(n as u8, 300 + n));
        let items: Vec<_> = small.chain((0..40).map(|n| item(n as u8, SMALL + 1 + n))).collect();
        storage.put_many(&items).unwrap();
        for (root, bytes) in &items {
            assert!(all_of(&*storage.open(root).unwrap().unwrap()) == *bytes);
        }
    });
}

/// Small contents are read together, in the order asked; what is not small is left to `open`.
#[test]
fn small_contents_are_read_together() {
    each(|storage| {
        let items: Vec<_> = (0..700).map(|n| item(n as u8, 10 + n)).collect();
        storage.put_many(&items).unwrap();
        let large = item(9, SMALL + 1);
        storage.put_many(std::slice::from_ref(&large)).unwrap();
        let absent = item(10, 9).0;
        let mut asked: Vec<_> = items.iter().rev().map(|(root, _)| *root).collect();
        asked.insert(3, absent);
        asked.insert(5, large.0);
        asked.push(asked[0]);
        let found = storage.read_small(&asked).unwrap();
        assert_eq!(found.len(), asked.len());
        for (root, found) in asked.iter().zip(found) {
            let put = items.iter().find(|(put, _)| put == root).map(|(_, bytes)| bytes.clone());
            assert_eq!(found, put);
        }
        assert!(storage.read_small(&[]).unwrap().is_empty());
    });
}

/// Invariant 1: content is not visible before its commit, and whole after it.
#[test]
fn a_partial_file_is_not_visible_before_its_commit() {
    each(|storage| {
        let (root, whole) = item(3, 300_001);
        let key = PartialKey::wanted(1, root, 10);
        let partial = storage.partial(&key, 300_001).unwrap();
        assert!(!partial.existed());
        partial.allocate().unwrap();
        partial.allocate().unwrap();
        partial.write_at(200_000, &[whole.slice(200_000..)]).unwrap();
        let pieces: Vec<_> = (0..200_000).step_by(777).collect();
        let pieces: Vec<_> =
            pieces.iter().map(|&at| whole.slice(at..(at + 777).min(200_000))).collect();
        partial.write_at(0, &pieces).unwrap();
        partial.write_at(300_001, &[]).unwrap();
        partial.write_at(5, &[Bytes::new()]).unwrap();
        partial.sync().unwrap();
        assert!(!storage.contains(&root).unwrap());
        assert!(storage.open(&root).unwrap().is_none());
        assert_eq!(storage.partials().unwrap(), [key]);

        partial.commit(&root).unwrap();
        assert!(all_of(&*storage.open(&root).unwrap().unwrap()) == whole);
        assert!(storage.partials().unwrap().is_empty());
    });
}

/// Invariant 3: a commit can be repeated, by the same handle and after a crash behind the rename.
#[test]
fn a_commit_can_be_repeated() {
    each(|storage| {
        let (root, whole) = item(4, 70_000);
        let key = PartialKey::wanted(1, root, 10);
        let partial = storage.partial(&key, 70_000).unwrap();
        partial.allocate().unwrap();
        partial.write_at(0, std::slice::from_ref(&whole)).unwrap();
        partial.commit(&root).unwrap();
        partial.commit(&root).unwrap();
        drop(partial);

        let again = storage.partial(&key, 70_000).unwrap();
        assert!(!again.existed());
        again.commit(&root).unwrap();
        drop(again);
        assert!(all_of(&*storage.open(&root).unwrap().unwrap()) == whole);
        assert!(storage.partials().unwrap().is_empty());
    });
}

/// The empty file is content like any other.
#[test]
fn an_empty_partial_file_can_be_committed() {
    each(|storage| {
        let root = merkle::root(&[]);
        let partial = storage.partial(&PartialKey::wanted(1, root, 10), 0).unwrap();
        partial.allocate().unwrap();
        partial.commit(&root).unwrap();
        assert_eq!(storage.open(&root).unwrap().unwrap().size(), 0);
    });
}

/// Invariant 1: a file that never got its whole length does not become content.
#[test]
fn an_incomplete_file_is_not_committed() {
    each(|storage| {
        let root = item(5, 100).0;
        let partial = storage.partial(&PartialKey::wanted(1, root, 10), 100).unwrap();
        partial.write_at(0, &[bytes(5, 99)]).unwrap();
        let error = partial.commit(&root).unwrap_err();
        assert!(matches!(error, StorageError::Incomplete { have: 99, size: 100, .. }), "{error}");
        assert!(!storage.contains(&root).unwrap());
        partial.write_at(0, &[bytes(5, 100)]).unwrap();
        partial.commit(&root).unwrap();
    });
}

/// A wanted file can only become the content that it was begun for.
#[test]
fn a_wanted_file_keeps_its_root() {
    each(|storage| {
        let (root, whole) = item(6, 10);
        let other = item(7, 10).0;
        let partial = storage.partial(&PartialKey::wanted(1, root, 10), 10).unwrap();
        partial.write_at(0, &[whole]).unwrap();
        let error = partial.commit(&other).unwrap_err();
        assert!(matches!(error, StorageError::Misuse(_)), "{error}");
        assert!(!storage.contains(&other).unwrap());
    });
}

/// Two owners of one partial file could write over each other's verified chunks.
#[test]
fn a_partial_file_has_one_owner() {
    each(|storage| {
        let root = item(8, 10).0;
        let key = PartialKey::wanted(1, root, 10);
        let partial = storage.partial(&key, 10).unwrap();
        let error = storage.partial(&key, 10).err().unwrap();
        assert!(matches!(error, StorageError::Busy(busy) if busy == key), "{error}");
        partial.write_at(0, &[bytes(8, 10)]).unwrap();
        drop(partial);
        assert!(storage.partial(&key, 10).unwrap().existed());
    });
}

/// A partial file begun with another size starts anew: nothing of it can be trusted.
#[test]
fn another_size_starts_anew() {
    each(|storage| {
        let key = PartialKey::wanted(1, item(9, 10).0, 10);
        let partial = storage.partial(&key, 10).unwrap();
        partial.write_at(0, &[bytes(9, 10)]).unwrap();
        drop(partial);
        let partial = storage.partial(&key, 20).unwrap();
        assert!(!partial.existed());
        assert_eq!(partial.read_at(0, &mut [0; 20]).unwrap(), 0);
    });
}

/// Nothing is written beyond the size that was announced.
#[test]
fn bytes_outside_the_file_are_refused() {
    each(|storage| {
        let (root, whole) = item(10, 10);
        storage.put_many(&[(root, whole)]).unwrap();
        let content = storage.open(&root).unwrap().unwrap();
        let partial = storage.partial(&PartialKey::staging(), 10).unwrap();
        for (at, len) in [(10, 1), (0, 11), (u64::MAX, 2)] {
            let error = partial.write_at(at, &[bytes(1, len)]).unwrap_err();
            assert!(matches!(error, StorageError::OutOfBounds { size: 10, .. }), "{error}");
        }
        for (src, dst) in [(5, 0), (0, 5)] {
            let error = partial.copy_from(&*content, src, dst, 6).unwrap_err();
            assert!(matches!(error, StorageError::OutOfBounds { size: 10, .. }), "{error}");
        }
    });
}

/// Content never changes: a handle that is left over from its making cannot write to it.
#[test]
fn a_committed_file_takes_no_writes() {
    each(|storage| {
        let (root, whole) = item(11, 10);
        let partial = storage.partial(&PartialKey::wanted(1, root, 10), 10).unwrap();
        partial.write_at(0, std::slice::from_ref(&whole)).unwrap();
        partial.commit(&root).unwrap();
        let late = [
            partial.write_at(0, &[bytes(12, 10)]),
            partial.resize(5),
            partial.allocate(),
            partial.copy_from(&whole, 0, 0, 1),
        ];
        for refused in late {
            assert!(matches!(refused, Err(StorageError::Misuse(_))), "{refused:?}");
        }
        assert!(all_of(&*storage.open(&root).unwrap().unwrap()) == whole);
    });
}

/// A discarded partial file is gone, and its handle refuses everything but another discard.
#[test]
fn a_discarded_file_is_gone() {
    each(|storage| {
        let root = item(13, 10).0;
        let partial = storage.partial(&PartialKey::staging(), 10).unwrap();
        partial.write_at(0, &[bytes(13, 10)]).unwrap();
        partial.discard().unwrap();
        partial.discard().unwrap();
        assert!(storage.partials().unwrap().is_empty());
        let refused = [
            partial.write_at(0, &[bytes(13, 10)]),
            partial.sync(),
            partial.commit(&root),
            partial.read_at(0, &mut [0]).map(drop),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(StorageError::Abandoned(_))), "{refused:?}");
        }
        assert!(!storage.contains(&root).unwrap());
    });
}

/// A staging file follows a source that turns out longer or shorter.
#[test]
fn a_file_can_be_resized() {
    each(|storage| {
        let partial = storage.partial(&PartialKey::staging(), 10).unwrap();
        partial.write_at(0, &[bytes(14, 10)]).unwrap();
        partial.resize(30).unwrap();
        partial.write_at(20, &[bytes(15, 10)]).unwrap();
        partial.resize(25).unwrap();
        let expected = [&bytes(14, 10)[..], &[0; 10], &bytes(15, 5)].concat();
        let root = merkle::leaf(&expected);
        partial.commit(&root).unwrap();
        assert_eq!(all_of(&*storage.open(&root).unwrap().unwrap()), expected);
    });
}

/// Chunks are copied from content in rows as well as in files, to any place.
#[test]
fn content_is_copied_into_a_partial_file() {
    each(|storage| {
        for len in [1000, MIB] {
            let (root, whole) = item(16, len);
            storage.put_many(&[(root, whole.clone())]).unwrap();
            let content = storage.open(&root).unwrap().unwrap();
            let partial = storage.partial(&PartialKey::staging(), len as u64 + 100).unwrap();
            partial.copy_from(&*content, 10, 100, len as u64 - 10).unwrap();
            let mut copied = vec![1; len - 10];
            partial.read_at(100, &mut copied).unwrap();
            assert!(copied == whole[10..]);
        }
    });
}

/// FILE-6, FILE-12: digest pages are kept by root, number of chunks and page, the last that was put; their subtree roots come
/// without a gap or not. What somebody proves of another number of chunks is nothing to these.
#[test]
fn digest_pages_are_kept_by_root() {
    each(|storage| {
        let root = item(17, 1).0;
        let pages: Vec<Vec<_>> =
            (0..3).map(|page| (0..40).map(|n| item(page * 40 + n, 5).0).collect()).collect();
        assert_eq!(storage.page_roots(&root, 120).unwrap(), None);
        for page in [0, 2] {
            storage.put_digests(&root, 60, page, &pages[1][..20]).unwrap();
            storage.put_digests(&root, 120, page, &pages[1][..20]).unwrap();
            storage.put_digests(&root, 120, page, &pages[page as usize]).unwrap();
        }
        assert_eq!(storage.digests(&root, 120, 2).unwrap(), Some(pages[2].clone()));
        assert_eq!(storage.digests(&root, 60, 2).unwrap(), Some(pages[1][..20].to_vec()));
        assert_eq!(storage.digests(&root, 120, 1).unwrap(), None);
        assert_eq!(storage.page_roots(&root, 120).unwrap(), None);
        storage.put_digests(&root, 120, 1, &pages[1]).unwrap();
        let roots = pages.iter().map(|page| merkle::root(page)).collect();
        assert_eq!(storage.page_roots(&root, 120).unwrap(), Some(roots));
        assert_eq!(storage.page_roots(&root, 60).unwrap(), None);
        assert_eq!(storage.digests(&item(18, 1).0, 120, 0).unwrap(), None);
    });
}

/// Removing takes content and digest pages, of this root only.
#[test]
fn removed_content_is_gone() {
    each(|storage| {
        let items = [item(19, 100), item(20, SMALL + 1), item(21, 100)];
        storage.put_many(&items).unwrap();
        for (root, _) in &items {
            storage.put_digests(root, 2, 0, &[*root]).unwrap();
            storage.put_digests(root, 3, 0, &[*root]).unwrap();
        }
        for (root, _) in &items[..2] {
            storage.remove(root).unwrap();
            storage.remove(root).unwrap();
            assert!(!storage.contains(root).unwrap());
            assert!(storage.open(root).unwrap().is_none());
            assert_eq!(storage.digests(root, 2, 0).unwrap(), None);
            assert_eq!(storage.digests(root, 3, 0).unwrap(), None);
        }
        assert!(storage.contains(&items[2].0).unwrap());
        assert!(storage.digests(&items[2].0, 2, 0).unwrap().is_some());
    });
}

/// AUDIT-17: what was set aside is not here, and may come again.
#[test]
fn content_that_was_set_aside_can_come_again() {
    each(|storage| {
        let items = [item(22, 100), item(23, SMALL + 1), item(24, SMALL + 1)];
        storage.put_many(&items).unwrap();
        for (root, bytes) in &items[..2] {
            storage.set_aside(root).unwrap();
            storage.set_aside(root).unwrap();
            assert!(!storage.contains(root).unwrap());
            assert!(storage.open(root).unwrap().is_none());
            storage.put_many(&[(*root, bytes.clone())]).unwrap();
            assert!(all_of(&*storage.open(root).unwrap().unwrap()) == *bytes);
        }
        assert!(storage.contains(&items[2].0).unwrap());
    });
}

/// Keys of partial files read back what they were written as, and nothing else.
#[test]
fn keys_of_partial_files_are_names() {
    let wanted = PartialKey::wanted(7, item(1, 1).0, 1 << 40);
    for key in [wanted, PartialKey::staging()] {
        assert_eq!(key.to_string().parse::<PartialKey>().unwrap(), key);
        assert!(key.to_string().to_uppercase().parse::<PartialKey>().is_err());
    }
    let name = wanted.to_string();
    for no in ["..", &name[..64], &name[..70], &format!("{name}.1"), &format!("{name}0x")] {
        assert!(no.parse::<PartialKey>().is_err(), "{no}");
    }
}

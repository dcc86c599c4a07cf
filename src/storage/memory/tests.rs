//! The accidents of the memory storage: the double itself must be trusted before it tests others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;

fn item(seed: u8, len: usize) -> (Digest, Bytes) {
    let bytes = Bytes::from(vec![seed; len]);
    (merkle::leaf(&bytes), bytes)
}

fn half_synced(storage: &MemoryStorage, key: PartialKey) -> Arc<dyn Partial> {
    let partial = storage.partial(&key, 4).unwrap();
    partial.allocate().unwrap();
    partial.write_at(0, &[Bytes::from_static(b"ab")]).unwrap();
    partial.sync().unwrap();
    partial.write_at(2, &[Bytes::from_static(b"cd")]).unwrap();
    partial
}

/// Invariant 2: lost power takes exactly what was written after the last sync.
#[test]
fn a_crash_takes_what_was_not_synced() {
    let storage = MemoryStorage::default();
    let key = PartialKey::wanted(1, item(1, 1).0, 10);
    let never = PartialKey::staging();
    let _before = half_synced(&storage, key);
    storage.partial(&never, 4).unwrap().write_at(0, &[Bytes::from_static(b"x")]).unwrap();
    let kept = item(2, 10);
    storage.put_many(std::slice::from_ref(&kept)).unwrap();
    storage.crash();

    assert_eq!(storage.partials().unwrap(), [key]);
    assert_eq!(storage.roots(), [kept.0]);
    let mut bytes = [1; 4];
    let partial = storage.partial(&key, 4).unwrap();
    assert!(partial.existed());
    partial.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"ab\0\0");
}

/// A handle from before a crash is dead, and does not stand in the way of a new one.
#[test]
fn handles_do_not_outlive_a_crash() {
    let storage = MemoryStorage::default();
    let key = PartialKey::staging();
    let before = half_synced(&storage, key);
    storage.crash();
    let after = storage.partial(&key, 4).unwrap();
    for dead in [before.sync(), before.write_at(0, &[]), before.commit(&item(1, 1).0)] {
        assert!(matches!(dead, Err(StorageError::Abandoned(_))), "{dead:?}");
    }
    drop(before);
    let busy = storage.partial(&key, 4).err();
    assert!(matches!(busy, Some(StorageError::Busy(_))), "{busy:?}");
    after.sync().unwrap();
}

/// Invariant 4: a failed sync takes the file and its handle; the next file of the key is new.
#[test]
fn a_failed_sync_abandons_the_file() {
    let storage = MemoryStorage::default();
    let key = PartialKey::staging();
    let partial = half_synced(&storage, key);
    storage.fail_syncs(1);
    assert!(matches!(partial.sync(), Err(StorageError::SyncFailed { .. })));
    assert!(matches!(partial.sync(), Err(StorageError::Abandoned(_))));
    assert!(storage.partials().unwrap().is_empty());
    drop(partial);
    assert!(!storage.partial(&key, 4).unwrap().existed());

    storage.fail_syncs(1);
    let small = item(3, 10);
    assert!(storage.put_many(std::slice::from_ref(&small)).is_err());
    assert!(!storage.contains(&small.0).unwrap());
}

/// The disk is full after as many bytes as it has, and takes more once there is room.
#[test]
fn a_full_disk_is_no_space() {
    let storage = MemoryStorage::default();
    storage.set_capacity(Some(100));
    storage.put_many(&[item(1, 60)]).unwrap();
    assert_eq!(storage.free_space().unwrap(), 40);
    let partial = storage.partial(&PartialKey::staging(), 41).unwrap();
    let full = [
        storage.put_many(&[item(2, 41)]),
        partial.allocate(),
        partial.write_at(0, &[Bytes::from(vec![1; 41])]),
    ];
    for full in full {
        assert!(matches!(full, Err(StorageError::NoSpace(_))), "{full:?}");
    }
    storage.remove(&item(1, 60).0).unwrap();
    partial.allocate().unwrap();
}

/// Ordered read errors come as often as ordered, and reads work again.
#[test]
fn reads_fail_as_often_as_ordered() {
    let storage = MemoryStorage::default();
    let (root, bytes) = item(1, 10);
    storage.put_many(&[(root, bytes)]).unwrap();
    let content = storage.open(&root).unwrap().unwrap();
    storage.fail_reads(2);
    assert!(content.read_at(0, &mut [0]).is_err());
    assert!(storage.read_small(&[root]).is_err());
    assert_eq!(content.read_at(0, &mut [0]).unwrap(), 1);
}

/// A flipped bit changes what is read, and only where there is a byte.
#[test]
fn bits_can_be_flipped() {
    let storage = MemoryStorage::default();
    let (root, bytes) = item(4, 2);
    storage.put_many(&[(root, bytes)]).unwrap();
    assert!(storage.flip(&root, 1));
    assert!(!storage.flip(&root, 2));
    assert_eq!(&storage.read_small(&[root]).unwrap()[0].clone().unwrap()[..], [4, 5]);
    let key = PartialKey::staging();
    let partial = half_synced(&storage, key);
    assert!(storage.flip_partial(&key, 0));
    assert!(!storage.flip_partial(&key, 4));
    let mut read = [0];
    partial.read_at(0, &mut read).unwrap();
    assert_eq!(&read, b"`");
}

/// Power can go at every step; whatever was reported done before that is there afterwards.
#[test]
fn power_can_go_at_every_step() {
    let items = [item(1, 10), item(2, 10), item(3, 10)];
    let mut whole_runs = 0;
    for steps in 0..5 {
        let storage = MemoryStorage::default();
        storage.power_off_after(steps);
        let done =
            items.iter().take_while(|&item| storage.put_many(std::slice::from_ref(item)).is_ok());
        let done = done.count();
        assert_eq!(done as u64, steps.min(3));
        assert_eq!(storage.is_off(), steps <= 3);
        assert_eq!(storage.free_space().is_err(), storage.is_off());
        storage.crash();
        assert_eq!(storage.roots().len(), done);
        whole_runs += usize::from(done == 3);
    }
    assert_eq!(whole_runs, 2);
}

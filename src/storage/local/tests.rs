//! What only a folder of a real file system can show.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use tempfile::{TempDir, tempdir};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::merkle;

use super::super::{PartialKey, SMALL, Storage, StorageError};
use super::LocalStorage;

fn item(seed: u8, len: usize) -> (Digest, Bytes) {
    let bytes = Bytes::from(vec![seed; len]);
    (merkle::leaf(&bytes), bytes)
}

fn opened() -> (TempDir, LocalStorage) {
    let dir = tempdir().unwrap();
    let storage = LocalStorage::open(dir.path()).unwrap();
    (dir, storage)
}

fn place(dir: &Path, root: &Digest) -> std::path::PathBuf {
    dir.join(format!("storage/content/{:02x}/{root}", root.0[0]))
}

/// What was stored is there after the storage is opened again.
#[test]
fn content_outlives_the_process() {
    let (dir, storage) = opened();
    let items = [item(1, 100), item(2, SMALL + 1)];
    storage.put_many(&items).unwrap();
    storage.put_digests(&items[0].0, 0, &[items[1].0]).unwrap();
    let key = PartialKey::Wanted(item(3, 1).0);
    let partial = storage.partial(&key, 5).unwrap();
    partial.allocate().unwrap();
    drop((partial, storage));

    let storage = LocalStorage::open(dir.path()).unwrap();
    assert!(items.iter().all(|(root, _)| storage.contains(root).unwrap()));
    assert_eq!(storage.digests(&items[0].0, 0).unwrap(), Some(vec![items[1].0]));
    assert!(storage.partial(&key, 5).unwrap().existed());
}

/// Folders are for their owner alone, and so is every file.
#[test]
fn nobody_else_can_read_the_storage() {
    let (dir, storage) = opened();
    let large = item(1, SMALL + 1);
    storage.put_many(&[item(2, 10), large.clone()]).unwrap();
    let _partial = storage.partial(&PartialKey::staging(), 1).unwrap();
    let mut seen = 0;
    let mut left = vec![dir.path().join("storage")];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
        if metadata.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        seen += 1;
    }
    assert!(
        seen >= 8,
        "storage, content, a subfolder, a file, partial, a file, small.sqlite, -wal"
    );
}

/// Invariant 9: a symbolic link in the place of a file, a folder or the rows is not followed.
#[test]
fn symbolic_links_are_not_followed() {
    let (dir, storage) = opened();
    let outside = tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();

    let (root, bytes) = item(1, SMALL + 1);
    storage.put_many(&[(root, bytes)]).unwrap();
    fs::remove_file(place(dir.path(), &root)).unwrap();
    symlink(&secret, place(dir.path(), &root)).unwrap();
    assert!(storage.open(&root).is_err());

    let key = PartialKey::Wanted(root);
    let partial = dir.path().join("storage/partial").join(key.to_string());
    symlink(&secret, &partial).unwrap();
    assert!(storage.partial(&key, 6).is_err());

    let (root, bytes) = item(2, SMALL + 1);
    symlink(outside.path(), place(dir.path(), &root).parent().unwrap()).unwrap();
    assert!(storage.put_many(&[(root, bytes)]).is_err());
    assert!(storage.open(&root).is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read(&secret).unwrap(), b"secret");

    drop(storage);
    let rows = dir.path().join("storage/small.sqlite");
    fs::rename(&rows, outside.path().join("rows")).unwrap();
    symlink(outside.path().join("rows"), &rows).unwrap();
    assert!(LocalStorage::open(dir.path()).is_err());
}

/// A pipe or a folder under a content's name is damage, and does not hang who opens it.
#[test]
fn only_plain_files_are_content() {
    let (dir, storage) = opened();
    let (root, bytes) = item(1, SMALL + 1);
    storage.put_many(&[(root, bytes)]).unwrap();
    fs::remove_file(place(dir.path(), &root)).unwrap();
    fs::create_dir(place(dir.path(), &root)).unwrap();
    let error = storage.open(&root).err().unwrap();
    assert!(matches!(error, StorageError::Damaged(_)), "{error}");
}

/// A file larger than the disk is refused before it takes any of it.
#[test]
fn a_file_larger_than_the_disk_is_no_space() {
    let (dir, storage) = opened();
    let size = storage.free_space().unwrap() + (1 << 40);
    let key = PartialKey::Wanted(item(1, 1).0);
    let partial = storage.partial(&key, size).unwrap();
    let error = partial.allocate().unwrap_err();
    assert!(matches!(error, StorageError::NoSpace(_)), "{error}");
    let file = dir.path().join("storage/partial").join(key.to_string());
    assert_eq!(fs::metadata(file).unwrap().len(), 0);
}

/// Names that are not ours are no partial files.
#[test]
fn foreign_names_are_passed_over() {
    let (dir, storage) = opened();
    let folder = dir.path().join("storage/partial");
    for name in ["lost+found", ".nfs0001", &"A".repeat(64)] {
        fs::write(folder.join(name), "").unwrap();
    }
    assert!(storage.partials().unwrap().is_empty());
}

/// Rows written by a later program are not touched.
#[test]
fn a_later_schema_is_refused() {
    let (dir, storage) = opened();
    storage.small.set_user_version(2);
    drop(storage);
    let error = LocalStorage::open(dir.path()).err().unwrap();
    assert!(matches!(error, StorageError::Misuse(_)), "{error}");
}

/// Rows that do not fit any more are no space, and rows that do fit are taken afterwards.
#[test]
fn full_rows_are_no_space() {
    let (_dir, storage) = opened();
    storage.small.limit_pages(30);
    let many: Vec<_> = (0..100).map(|n| item(n, 10_000)).collect();
    let error = storage.put_many(&many).unwrap_err();
    assert!(matches!(error, StorageError::NoSpace(_)), "{error}");
    assert!(many.iter().all(|(root, _)| !storage.contains(root).unwrap()));
    storage.put_many(&many[..1]).unwrap();
    assert!(storage.contains(&many[0].0).unwrap());
}

/// Blocking calls need no runtime and do not mind one: handlers call from blocking threads.
#[tokio::test]
async fn calls_work_on_a_runtimes_threads() {
    let (_dir, storage) = opened();
    let (root, bytes) = item(1, 10);
    storage.put_many(&[(root, bytes)]).unwrap();
    let found = tokio::task::spawn_blocking(move || storage.contains(&root).unwrap()).await;
    assert!(found.unwrap());
}

/// Many threads may read and write at once.
#[test]
fn threads_share_the_storage() {
    let (_dir, storage) = opened();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let storage = &storage;
            scope.spawn(move || {
                for n in 0..20 {
                    let own = [item(thread * 20 + n, 50), item(thread * 20 + n, SMALL + 1)];
                    storage.put_many(&own).unwrap();
                    assert!(own.iter().all(|(root, _)| storage.contains(root).unwrap()));
                }
            });
        }
    });
}

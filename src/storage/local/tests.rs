//! What only a folder of a real file system can show.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use tempfile::{TempDir, tempdir};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::merkle;

use super::super::{PartialKey, SMALL, Storage, StorageError, Taking};
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
    dir.join(format!("content/{:02x}/{root}", root.0[0]))
}

/// What was stored is there after the storage is opened again.
#[test]
fn content_outlives_the_process() {
    let (dir, storage) = opened();
    let items = [item(1, 100), item(2, SMALL + 1)];
    storage.put_many(&items).unwrap();
    storage.put_digests(&items[0].0, 1, 0, &[items[1].0]).unwrap();
    let key = PartialKey::wanted(1, item(3, 1).0, 5);
    let partial = storage.partial(&key, 5).unwrap();
    partial.allocate().unwrap();
    drop((partial, storage));

    let storage = LocalStorage::open(dir.path()).unwrap();
    assert!(items.iter().all(|(root, _)| storage.contains(root).unwrap()));
    assert_eq!(storage.digests(&items[0].0, 1, 0).unwrap(), Some(vec![items[1].0]));
    assert!(storage.partial(&key, 5).unwrap().existed());
}

/// Folders are for their owner alone, and so is every file.
#[test]
fn nobody_else_can_read_the_storage() {
    let outside = tempdir().unwrap();
    let dir = outside.path().join("made/storage");
    let storage = LocalStorage::open(&dir).unwrap();
    let large = item(1, SMALL + 1);
    storage.put_many(&[item(2, 10), large]).unwrap();
    let _partial = storage.partial(&PartialKey::staging(), 1).unwrap();
    let mut seen = 0;
    let mut left = vec![outside.path().join("made")];
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
        seen >= 2 + 256 + 7,
        "made, storage, content, its subfolders, a file, partial, a file, small.sqlite, -wal, -shm"
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

    let key = PartialKey::wanted(1, root, 10);
    let partial = dir.path().join("partial").join(key.to_string());
    symlink(&secret, &partial).unwrap();
    assert!(storage.partial(&key, 6).is_err());

    let (root, bytes) = item(2, SMALL + 1);
    let home = place(dir.path(), &root).parent().unwrap().to_owned();
    fs::remove_dir(&home).unwrap();
    symlink(outside.path(), &home).unwrap();
    assert!(storage.put_many(&[(root, bytes)]).is_err());
    assert!(storage.open(&root).is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read(&secret).unwrap(), b"secret");

    drop(storage);
    let rows = dir.path().join("small.sqlite");
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
    let key = PartialKey::wanted(1, item(1, 1).0, 10);
    let partial = storage.partial(&key, size).unwrap();
    let error = partial.allocate().unwrap_err();
    assert!(matches!(error, StorageError::NoSpace(_)), "{error}");
    let file = dir.path().join("partial").join(key.to_string());
    assert_eq!(fs::metadata(file).unwrap().len(), 0);
}

/// Names that are not ours are no partial files.
#[test]
fn foreign_names_are_passed_over() {
    let (dir, storage) = opened();
    let folder = dir.path().join("partial");
    for name in ["lost+found", ".nfs0001", &"A".repeat(64)] {
        fs::write(folder.join(name), "").unwrap();
    }
    assert!(storage.partials().unwrap().is_empty());
    // But for those of an earlier release, which nobody goes on with.
    let earlier = folder.join(item(1, 1).0.to_string());
    fs::write(&earlier, "half").unwrap();
    drop(storage);
    LocalStorage::open(dir.path()).unwrap();
    assert!(!earlier.exists() && folder.join("lost+found").exists());
}

/// Rows written by a later program are not touched.
#[test]
fn a_later_schema_is_refused() {
    let (dir, storage) = opened();
    storage.small.set_user_version(3);
    drop(storage);
    let error = LocalStorage::open(dir.path()).err().unwrap();
    assert!(matches!(error, StorageError::Newer { found: 3, known: 2, .. }), "{error}");
}

/// Digest pages of the first release, which were kept by root alone, belong to as many chunks as there are digests.
#[test]
fn pages_of_an_earlier_schema_are_kept() {
    let (dir, storage) = opened();
    let (root, leaves) = (item(1, 1).0, vec![item(2, 1).0, item(3, 1).0, item(4, 1).0]);
    storage.put_digests(&root, 3, 0, &leaves).unwrap();
    storage.small.make_first_schema();
    drop(storage);
    for _ in 0..2 {
        let storage = LocalStorage::open(dir.path()).unwrap();
        assert_eq!(storage.digests(&root, 3, 0).unwrap(), Some(leaves.clone()));
        assert_eq!(storage.digests(&root, 2, 0).unwrap(), None);
        let roots = vec![merkle::root(&leaves)];
        assert_eq!(storage.page_roots(&root, 3).unwrap(), Some(roots));
    }
}

/// A file of an earlier schema that is not whole stays as it is.
#[test]
fn a_damaged_file_is_not_brought_up() {
    let (dir, storage) = opened();
    storage.put_digests(&item(1, 1).0, 3, 0, &[item(2, 1).0]).unwrap();
    storage.small.make_first_schema();
    storage.small.pragma("DROP TABLE content".into());
    storage.small.empty_log();
    drop(storage);
    let path = dir.path().join("small.sqlite");
    let before = fs::read(&path).unwrap();
    let error = LocalStorage::open(dir.path()).err().unwrap();
    assert!(matches!(error, StorageError::Unusable { .. }), "{error}");
    assert!(fs::read(&path).unwrap() == before);
}

/// A storage with rows and a file, as it lies on the disk of a hub that stopped.
fn stopped() -> TempDir {
    let (running, storage) = opened();
    let rows: Vec<_> = (0..40).map(|n| item(n, 10_000)).collect();
    storage.put_many(&rows).unwrap();
    storage.put_many(&[item(1, SMALL + 1)]).unwrap();
    storage.small.empty_log();
    let dir = tempdir().unwrap();
    fs::copy(running.path().join("small.sqlite"), dir.path().join("small.sqlite")).unwrap();
    fs::create_dir(dir.path().join("content")).unwrap();
    dir
}

fn refusal(dir: &Path) -> String {
    let error = LocalStorage::open(dir).err().unwrap();
    assert!(matches!(error, StorageError::Unusable { .. }), "{error}");
    error.to_string()
}

/// A storage whose rows are gone or damaged is not taken for an empty one: the error names the file
/// and the next step, and the file stays as it was for whoever mends it.
#[test]
fn damaged_rows_are_refused() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("an emptied file", Vec::clear),
        ("half a header", |bytes| bytes.truncate(50)),
        ("half a file", |bytes| bytes.truncate(bytes.len() / 2)),
        ("a file that begins with zeros", |bytes| bytes[..4096].fill(0)),
        ("broken pages", |bytes| bytes[100..].fill(0x5A)),
    ];
    for (what, damage) in damages {
        let dir = stopped();
        let path = dir.path().join("small.sqlite");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let refusal = refusal(dir.path());
        assert!(refusal.contains(&path.display().to_string()), "{what}: {refusal}");
        assert!(refusal.contains("restore"), "{what}: {refusal}");
        assert!(fs::read(&path).unwrap() == bytes, "{what}");
    }
}

/// Neither are rows that are not there, folders that are not there, or another program's rows.
#[test]
fn missing_parts_are_refused() {
    let dir = stopped();
    LocalStorage::open(dir.path()).unwrap();

    let dir = stopped();
    fs::remove_file(dir.path().join("small.sqlite")).unwrap();
    assert!(refusal(dir.path()).contains("missing"));
    assert!(!dir.path().join("small.sqlite").exists());

    let dir = stopped();
    fs::remove_dir(dir.path().join("content")).unwrap();
    assert!(refusal(dir.path()).contains("content"));

    let dir = stopped();
    let path = dir.path().join("small.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    bytes[68..72].fill(0);
    fs::write(&path, bytes).unwrap();
    assert!(refusal(dir.path()).contains("another program"));
}

/// A storage whose making was cut short is made again.
#[test]
fn an_unfinished_storage_is_made_again() {
    for len in [None, Some(0)] {
        let dir = tempdir().unwrap();
        if let Some(len) = len {
            fs::write(dir.path().join("small.sqlite"), vec![0; len]).unwrap();
        }
        fs::create_dir(dir.path().join("partial")).unwrap();
        let storage = LocalStorage::open(dir.path()).unwrap();
        storage.put_many(&[item(1, 1)]).unwrap();
    }
}

/// What is here is not written again: neither rows, nor files, nor a partial file that others were
/// faster with. Content of another size cannot be what it is called, and is replaced.
#[test]
fn what_is_here_is_not_written_again() {
    let (dir, storage) = opened();
    let (small, (root, bytes)) = (item(1, 100), item(2, SMALL + 1));
    let both = [small, (root, bytes.clone())];
    storage.put_many(&both).unwrap();
    storage.small.empty_log();
    let state = || {
        let file = fs::metadata(place(dir.path(), &root)).unwrap();
        let log = fs::metadata(dir.path().join("small.sqlite-wal")).unwrap().len();
        (file.ino(), file.modified().unwrap(), log)
    };
    let before = state();
    storage.put_many(&both).unwrap();
    assert_eq!(state(), before);

    let bring = || {
        let partial =
            storage.partial(&PartialKey::wanted(1, root, 10), bytes.len() as u64).unwrap();
        partial.write_at(0, std::slice::from_ref(&bytes)).unwrap();
        partial.commit(&root).unwrap();
    };
    bring();
    assert_eq!(state(), before);
    assert!(storage.partials().unwrap().is_empty());

    for again in [&bring as &dyn Fn(), &|| storage.put_many(&both).unwrap()] {
        fs::write(place(dir.path(), &root), "short").unwrap();
        again();
        assert_eq!(storage.open(&root).unwrap().unwrap().size(), bytes.len() as u64);
    }
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

/// A file that is linked is its own content: one file with two names, which nobody can write to by the
/// storage's means, and which loses only the storage's name again.
#[test]
fn a_linked_file_is_content_and_stays_itself() {
    let (dir, storage) = opened();
    let (root, bytes) = item(7, SMALL + 1);
    let path = dir.path().join("photo.jpg");
    fs::write(&path, &bytes).unwrap();
    let take = || {
        let source = fs::File::open(&path).unwrap();
        storage.take(&PartialKey::staging(), &source, Taking::Link).unwrap().unwrap()
    };
    let partial = take();
    assert_eq!((partial.size(), partial.existed()), (bytes.len() as u64, false));
    assert!(partial.write_at(0, &[Bytes::from_static(b"x")]).is_err());
    assert!(partial.resize(1).is_err());
    partial.discard().unwrap();
    drop(partial);
    assert!(fs::read(&path).unwrap() == bytes);
    assert!(storage.partials().unwrap().is_empty());

    take().commit(&root).unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&place(dir.path(), &root)), inode(&path));
    storage.remove(&root).unwrap();
    assert!(fs::read(&path).unwrap() == bytes);
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
}

/// What was opened is linked, whatever its path leads to by then; what cannot be linked or shared leaves
/// nothing behind.
#[test]
fn what_cannot_be_taken_leaves_nothing() {
    let (dir, storage) = opened();
    let path = dir.path().join("photo.jpg");
    fs::write(&path, "what was opened").unwrap();
    let source = fs::File::open(&path).unwrap();
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    fs::write(&path, "another").unwrap();
    let taken = storage.take(&PartialKey::staging(), &source, Taking::Link).unwrap().unwrap();
    let mut read = [0; 15];
    taken.read_at(0, &mut read).unwrap();
    assert_eq!(&read, b"what was opened");
    taken.discard().unwrap();

    let proc = fs::File::open("/proc/self/status").unwrap();
    for how in [Taking::Link, Taking::Share] {
        assert!(storage.take(&PartialKey::staging(), &proc, how).unwrap().is_none(), "{how:?}");
    }
    assert!(storage.partials().unwrap().is_empty());
}

/// Where the file system shares blocks, what is taken is a copy: writing to the source does not change it.
#[test]
fn what_is_shared_is_a_copy() {
    let (dir, storage) = opened();
    let path = dir.path().join("photo.jpg");
    let (root, bytes) = item(8, SMALL + 1);
    fs::write(&path, &bytes).unwrap();
    let source = fs::File::open(&path).unwrap();
    if let Some(taken) = storage.take(&PartialKey::staging(), &source, Taking::Share).unwrap() {
        fs::write(&path, "changed").unwrap();
        taken.commit(&root).unwrap();
        assert!(fs::read(place(dir.path(), &root)).unwrap() == bytes);
    }
    assert!(storage.partials().unwrap().is_empty());
}

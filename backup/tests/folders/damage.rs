//! Damage is found, named, and mended.

use std::fs;
use std::path::{Path, PathBuf};

use zotferry_backup::{
    Backup, BackupError, Digests, Kind, Line, LineData, Part, Reading, Text, Trouble, Writer,
};
use zotferry_protocol::ids::{ChunkNo, Digest, ResourceId};
use zotferry_protocol::manifest::{ChunkRange, PAGE};
use zotferry_protocol::merkle;

use crate::sample::{Key, MIB, Sample, look, mended, metadata, root, sample, samples, save};

fn data(dir: &Path, bytes: &[u8]) -> PathBuf {
    let root = root(bytes).to_string();
    dir.join("data").join(&root[..2]).join(root)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn first(dir: &Path, folder: &str) -> PathBuf {
    let mut shelves: Vec<_> =
        fs::read_dir(dir.join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    shelves.sort();
    let path = shelves[0].clone();
    if path.is_file() {
        return path;
    }
    fs::read_dir(path).unwrap().next().unwrap().unwrap().path()
}

/// BACKUP-18: one byte that turned, one that is gone, one too many, a file that is gone, one that nobody knows: each
/// is named, with the entry that it belongs to.
#[test]
fn each_damaged_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = samples();
    save(dir.path(), &files);
    let path = |n: usize| data(dir.path(), &files[n].bytes);
    flip(&path(5), 3 * MIB + 5);
    fs::File::options().write(true).open(path(3)).unwrap().set_len(MIB as u64 - 1).unwrap();
    fs::write(path(1), b"xy").unwrap();
    fs::remove_file(path(4)).unwrap();
    fs::write(dir.path().join("data/notes"), b"").unwrap();
    let (found, sums) = look(dir.path());
    let of = |n: usize| {
        let name = path(n).strip_prefix(dir.path()).unwrap().display().to_string();
        found.iter().find(|found| found.name == name).unwrap()
    };
    assert_eq!(of(4).trouble, Trouble::Missing);
    let Trouble::Damaged(why) = &of(5).trouble else { panic!("{:?}", of(5)) };
    assert_eq!(why, "1 of 6 chunks are not what they were, the first at byte 3145728");
    assert_eq!(of(5).path.as_deref(), Some("file 5"));
    for (n, why) in [(3, "it has 1048575 bytes of 1048576"), (1, "it has 2 bytes of 1")] {
        assert_eq!(of(n).trouble, Trouble::Damaged(why.into()));
    }
    assert_eq!((sums.bad, sums.extra, sums.mended), (4, 1, 0), "{found:?}");
}

/// BACKUP-14, BACKUP-18: so are metadata, the index, the list; of another index nothing is believed.
#[test]
fn metadata_and_index_are_compared_too() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &samples());
    flip(&first(dir.path(), "meta"), 40);
    fs::remove_file(dir.path().join("files.tsv")).unwrap();
    let (found, sums) = look(dir.path());
    assert_eq!(sums.bad, 2, "{found:?}");
    let parts: Vec<Part> = found.iter().map(|found| found.part).collect();
    assert_eq!(parts, [Part::List, Part::Metadata]);
    flip(&first(dir.path(), "index"), 100);
    let (found, sums) = look(dir.path());
    assert_eq!((sums.bad, sums.entries, found[0].part), (1, 0, Part::Index));
}

/// BACKUP-3, BACKUP-4: a head of which any byte was changed is refused.
#[test]
fn a_head_is_believed_only_as_it_was_signed() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &samples());
    let head = dir.path().join("backup.jsonl");
    let good = fs::read(&head).unwrap();
    for at in (0..good.len() - 2).step_by(7) {
        flip(&head, at);
        assert!(Backup::open(dir.path()).is_err(), "byte {at}");
        fs::write(&head, &good).unwrap();
    }
    let text = String::from_utf8(good).unwrap();
    fs::write(&head, text.replace("\"version\":1", "\"version\":2")).unwrap();
    let error = Backup::open(dir.path()).unwrap_err();
    assert!(matches!(error, BackupError::Newer(2)), "{error}");
    fs::write(&head, text.replace("\"guid\":\"guid\"", "\"guid\":\"other\"")).unwrap();
    let error = Backup::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("do not give the channel's id"), "{error}");
}

/// BACKUP-20: what is damaged or missing is made whole from another backup, each chunk from where it is good: here
/// no file is good on either side.
#[test]
fn two_damaged_backups_make_a_whole_one() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = samples();
    save(dir.path(), &files);
    save(other.path(), &files);
    let large = &files[5].bytes;
    flip(&data(dir.path(), large), 10);
    flip(&data(other.path(), large), 2 * MIB);
    fs::remove_file(data(dir.path(), &files[4].bytes)).unwrap();
    flip(&first(dir.path(), "meta"), 9);
    fs::remove_file(first(dir.path(), "index")).unwrap();
    let source = Backup::open(other.path()).unwrap();
    let (found, sums) = mended(dir.path(), &source);
    assert_eq!((sums.bad, sums.mended), (0, 4), "{found:?}");
    assert!(found.iter().all(|found| found.mended));
    assert_eq!(look(dir.path()).0, []);
    assert!(fs::read(data(dir.path(), large)).unwrap() == *large);
}

/// BACKUP-20: what neither side has stays as it is, and is named.
#[test]
fn what_is_nowhere_good_is_left_as_it_is() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files: Vec<Sample> = samples();
    save(dir.path(), &files);
    save(other.path(), &files);
    let path = data(dir.path(), &files[5].bytes);
    flip(&path, 10);
    flip(&data(other.path(), &files[5].bytes), 11);
    let before = fs::read(&path).unwrap();
    let (found, sums) = mended(dir.path(), &Backup::open(other.path()).unwrap());
    assert_eq!((sums.bad, sums.mended), (1, 0), "{found:?}");
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 1, "the lock alone");
}

/// A backup of one entry whose content has more chunks than fit its metadata, and its digests. Its bytes are not there:
/// nobody has that many for a test.
fn save_large(dir: &Path) -> Vec<Digest> {
    let digests: Vec<Digest> = (0..PAGE + 1).map(|n| merkle::leaf(&n.to_be_bytes())).collect();
    let key = Key::new("test-only-channel.pem");
    let whose = key.identity();
    let mut writer = Writer::begin(dir, &whose.channel).unwrap();
    let pages = digests.chunks(PAGE as usize).map(|page| Ok(page.to_vec()));
    let (root, size) = (merkle::root(&digests), u64::from(PAGE) * MIB as u64 + 1);
    writer.digests(&root, PAGE + 1, pages).unwrap();
    let mut entry = metadata(&sample("a", "large", Vec::new()));
    let content = &mut entry.contents[0];
    (content.root, content.size, content.digests) = (root, size, Digests::File);
    entry.operation.attach[0].row.filesize = size;
    let meta = vec![Text(writer.metadata(&entry).unwrap())];
    let id = Text(ResourceId::new("a").unwrap());
    let data = vec![LineData { root: Text(root), size }];
    let path = Some("large".to_owned());
    writer.entry(&Line { id, kind: Kind::File, path, meta, data, missing: Vec::new() }).unwrap();
    writer.finish(&whose, 1, &key).unwrap();
    digests
}

/// BACKUP-10, BACKUP-18, BACKUP-20: the digests of a large content have a file of their own, which proves itself by the root,
/// and is mended like any other.
#[test]
fn digests_of_a_large_content_prove_themselves() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let digests = save_large(dir.path());
    save_large(other.path());
    let backup = Backup::open(dir.path()).unwrap();
    let line = zotferry_backup::Index::open(&backup).unwrap().next_line().unwrap().unwrap();
    let entry = backup.metadata(&line.meta[0].0).unwrap().unwrap();
    let reading = Reading::of(&backup, &entry.contents[0]).unwrap().unwrap();
    assert_eq!(reading.manifest.chunks(), PAGE + 1);
    let last = reading.digests(ChunkRange { first: PAGE - 1, count: 2 }).unwrap();
    assert_eq!(last, digests[PAGE as usize - 1..]);
    assert_eq!(reading.manifest.span(ChunkNo(PAGE)).unwrap().len, 1);
    let (found, sums) = look(dir.path());
    assert_eq!((sums.bad, found[0].part, &found[0].trouble), (1, Part::Data, &Trouble::Missing));
    flip(&first(dir.path(), "digests"), 40_000);
    let (found, _) = look(dir.path());
    let parts: Vec<Part> = found.iter().map(|found| found.part).collect();
    assert_eq!(parts, [Part::Data, Part::Digests]);
    let (found, sums) = mended(dir.path(), &Backup::open(other.path()).unwrap());
    assert_eq!((sums.mended, sums.bad), (1, 1), "{found:?}");
    assert!(Reading::of(&backup, &entry.contents[0]).unwrap().is_ok());
}

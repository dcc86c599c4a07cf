//! A backup that somebody made to do harm: links out of it, metadata of other entries.

use std::fs;

use zotferry_backup::{Backup, Kind, Line, LineData, Text, Trouble, Writer};
use zotferry_protocol::ids::ResourceId;

use crate::sample::{Key, look, metadata, root, sample, samples, save};

/// BACKUP-2: a link is never followed: not in the place of a file, a folder, the head.
#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = samples();
    save(dir.path(), &files);
    let hex = root(&files[4].bytes).to_string();
    let path = dir.path().join("data").join(&hex[..2]).join(&hex);
    let secret = outside.path().join("secret");
    fs::rename(&path, &secret).unwrap();
    symlink(&secret, &path).unwrap();
    let backup = Backup::open(dir.path()).unwrap();
    assert!(backup.data(&root(&files[4].bytes)).is_err());
    let (found, sums) = look(dir.path());
    assert_eq!(sums.bad, 1, "{found:?}");
    assert!(matches!(found[0].trouble, Trouble::Damaged(_)), "{found:?}");
    // The right bytes, reached through a folder that is a link.
    fs::remove_file(&path).unwrap();
    fs::rename(&secret, &path).unwrap();
    let shelf = dir.path().join("data").join(&hex[..2]);
    fs::rename(&shelf, outside.path().join("shelf")).unwrap();
    symlink(outside.path().join("shelf"), &shelf).unwrap();
    assert!(backup.data(&root(&files[4].bytes)).is_err());
    // Nothing is written through it either.
    let before = fs::read_dir(outside.path().join("shelf")).unwrap().count();
    let key = Key::new("test-only-channel.pem");
    let mut writer = Writer::begin(dir.path(), &key.identity().channel).unwrap();
    assert!(crate::sample::write_into(&mut writer, &files).is_err());
    assert_eq!(fs::read_dir(outside.path().join("shelf")).unwrap().count(), before);
    drop(writer);
    let head = dir.path().join("backup.jsonl");
    fs::rename(&head, outside.path().join("head")).unwrap();
    symlink(outside.path().join("head"), &head).unwrap();
    assert!(Backup::open(dir.path()).is_err());
}

/// BACKUP-6, BACKUP-18: a signed index whose metadata speaks of another entry, or of another size than the line, is
/// no reason to believe either.
#[test]
fn lines_and_metadata_have_to_agree() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::new("test-only-channel.pem");
    let whose = key.identity();
    let mut writer = Writer::begin(dir.path(), &whose.channel).unwrap();
    let file = sample("b", "file", b"abc".to_vec());
    let meta = vec![Text(writer.metadata(&metadata(&file)).unwrap())];
    let data = vec![LineData { root: Text(root(b"abc")), size: 1 << 60 }];
    let id = Text(ResourceId::new("a").unwrap());
    let (kind, path, missing) = (Kind::File, Some("../../etc/passwd".to_owned()), Vec::new());
    writer.entry(&Line { id, kind, path, meta, data, missing }).unwrap();
    writer.finish(&whose, 1, &key).unwrap();
    let (found, sums) = look(dir.path());
    let said: Vec<_> = found.iter().map(|found| found.trouble.clone()).collect();
    assert_eq!(said, [Trouble::Missing, Trouble::Damaged("it speaks of another entry".into())]);
    assert_eq!(sums.bad, 2);
}

/// BACKUP-14: lines out of order, and an entry that stands twice, are no index.
#[test]
fn an_index_has_one_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = samples();
    files.swap(1, 2);
    save(dir.path(), &files);
    let backup = Backup::open(dir.path()).unwrap();
    let mut index = zotferry_backup::Index::open(&backup).unwrap();
    index.next_line().unwrap();
    index.next_line().unwrap();
    assert!(index.next_line().is_err());
}

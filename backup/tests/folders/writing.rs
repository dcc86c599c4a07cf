//! Writing: what is there stays, what was killed goes on, nobody else's folder is touched.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use zotferry_backup::{Backup, BackupError, Index, Lock, Pieces, Writer, prune};

use crate::sample::{Key, Sample, look, noise, sample, samples, save, write_into};

/// Every file below a folder, with its bytes.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => waiting.push(path),
                false => {
                    let name = path.strip_prefix(dir).unwrap().display().to_string();
                    found.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}

/// BACKUP-1 to BACKUP-4, BACKUP-13, BACKUP-18: what was written is whole, and signed by the channel's key.
#[test]
fn a_backup_is_whole_and_signed() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("sub/backup");
    let (header, written) = save(&target, &samples());
    assert_eq!(written, 6, "equal bytes are written once");
    let backup = Backup::open(&target).unwrap();
    assert_eq!(*backup.header(), header);
    assert_eq!((header.entries, header.files, header.missing), (7, 7, 0));
    let mut index = Index::open(&backup).unwrap();
    let mut ids = Vec::new();
    while let Some(line) = index.next_line().unwrap() {
        let metadata = backup.metadata(&line.meta[0].0).unwrap().unwrap();
        assert_eq!(metadata.row().unwrap().filename, line.path.unwrap());
        ids.push(line.id.0.to_string());
    }
    assert_eq!(ids, ["id0", "id1", "id2", "id3", "id4", "id5", "id9"]);
    let (found, sums) = look(&target);
    assert_eq!(found, []);
    assert_eq!((sums.entries, sums.files, sums.bad), (7, 6, 0));
}

/// BACKUP-15: with the commands of README.txt, a shell and `cp` alone bring all files back.
#[test]
fn a_shell_brings_the_files_back() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("backup");
    let mut files = samples();
    files.push(sample("idz", "a b/c's \"d\"\n$x *.txt", b"odd".to_vec()));
    save(&target, &files);
    let readme = std::fs::read_to_string(target.join("README.txt")).unwrap();
    let lines = readme.lines().skip_while(|line| !line.contains("while IFS"));
    let commands: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(commands.len() > 4, "{readme}");
    let mut shell = Command::new("sh");
    shell.arg("-ec").arg(commands.join("\n")).current_dir(&target);
    assert!(shell.status().unwrap().success());
    for Sample { name, bytes, .. } in &files {
        let path = dir.path().join("restored").join(name.replace('\n', "_"));
        assert!(std::fs::read(&path).unwrap() == *bytes, "{}", path.display());
    }
}

/// BACKUP-17, BACKUP-19, BACKUP-21: a second run writes what is new alone and deletes nothing; pruning removes what only earlier
/// runs had, and no stranger's file.
#[test]
fn a_second_run_writes_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = samples();
    save(dir.path(), &files);
    let before = tree(dir.path());
    assert_eq!(save(dir.path(), &files).1, 0);
    assert_eq!(tree(dir.path()), before, "the same channel is the same backup");
    files[1].bytes = noise(50, 70_000);
    files.remove(3);
    assert_eq!(save(dir.path(), &files).1, 1);
    let after = tree(dir.path());
    let kept =
        before.iter().filter(|(name, _)| !["backup.jsonl", "files.tsv"].contains(&name.as_str()));
    assert!({ kept }.all(|(name, bytes)| after.get(name) == Some(bytes)));
    std::fs::write(dir.path().join("data/mine.txt"), b"a stranger's").unwrap();
    let (found, sums) = look(dir.path());
    // Two contents, two metadata files and the index of the first run, and the stranger's file.
    assert_eq!((sums.bad, sums.extra), (0, 6), "{found:?}");
    let lock = Lock::take(dir.path()).unwrap();
    assert_eq!(prune(&Backup::open(dir.path()).unwrap(), &lock).unwrap(), 5);
    drop(lock);
    let (found, sums) = look(dir.path());
    assert_eq!((sums.bad, sums.extra, sums.entries), (0, 1, 6));
    assert_eq!(found[0].name, "data/mine.txt");
}

/// BACKUP-17: a run that ends anywhere leaves the backup before it whole, and the next one goes on.
#[test]
fn a_run_that_ends_anywhere_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let files = samples();
    save(dir.path(), &files[..2]);
    let key = Key::new("test-only-channel.pem");
    for upto in 0..=files.len() {
        let mut writer = Writer::begin(dir.path(), &key.identity().channel).unwrap();
        write_into(&mut writer, &files[..upto]).unwrap();
        drop(writer);
        let (found, sums) = look(dir.path());
        assert_eq!((sums.bad, sums.entries), (0, 2), "{found:?}");
    }
    save(dir.path(), &files);
    assert_eq!(look(dir.path()).1.entries, 7);
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 1, "the lock alone");
}

/// BACKUP-1: a folder with something else in it, another channel's backup, and one that is being written are
/// left alone.
#[test]
fn nobody_elses_folder_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let whose = Key::new("test-only-channel.pem").identity().channel;
    std::fs::write(dir.path().join("letter.txt"), b"dear").unwrap();
    let refused = Writer::begin(dir.path(), &whose).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty(_)), "{refused}");
    assert_eq!(tree(dir.path()).len(), 1);
    let target = dir.path().join("backup");
    save(&target, &samples());
    let other = Key::new("test-only-other-channel.pem").identity().channel;
    let refused = Writer::begin(&target, &other).unwrap_err();
    assert!(matches!(refused, BackupError::Other { .. }), "{refused}");
    let _writing = Writer::begin(&target, &whose).unwrap();
    let refused = Writer::begin(&target, &whose).unwrap_err();
    assert!(matches!(refused, BackupError::Busy(_)), "{refused}");
    let backup = Backup::open(&target).unwrap();
    assert!(Pieces::file(&backup, "README.txt").unwrap().is_some(), "reading goes on meanwhile");
}

/// BACKUP-16: the identity goes in if it is asked for, is signed for, and stays in later runs.
#[test]
fn an_identity_is_signed_for_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::new("test-only-channel.pem");
    let whose = key.identity();
    save(dir.path(), &samples());
    assert_eq!(Backup::open(dir.path()).unwrap().identity().unwrap(), None);
    let mut writer = Writer::begin(dir.path(), &whose.channel).unwrap();
    writer.identity(b"sealed").unwrap();
    write_into(&mut writer, &samples()).unwrap();
    writer.finish(&whose, 2, &key).unwrap();
    save(dir.path(), &samples());
    let backup = Backup::open(dir.path()).unwrap();
    assert_eq!(backup.identity().unwrap().unwrap(), b"sealed");
    std::fs::write(dir.path().join("identity"), b"broken").unwrap();
    assert!(backup.identity().is_err());
    let (found, sums) = look(dir.path());
    assert_eq!((sums.bad, found[0].name.as_str()), (1, "identity"));
}

//! QUEUE-9: a folder that is mostly waste is rewritten, and a crash in between loses nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zotferry::queue::sled::Options;
use zotferry::queue::{Finish, HeldPage, Opened, Queue, Rebuilt, SledQueue};

use crate::backends::*;

/// Rewrites whatever is mostly waste.
fn eager(path: &Path) -> Opened {
    let options = Options { rewrite_above: 0, ..options() };
    SledQueue::open_or_rebuild(path, &INSTANCE, &options, at(1000)).unwrap()
}

fn size(path: &Path) -> u64 {
    let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    files.filter(fs::Metadata::is_file).map(|meta| meta.len()).sum()
}

/// Tells a folder from another of the same name.
fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// A closed queue through which much has passed, with one failed, one dead and one keyed job left.
fn worn() -> (TempDir, PathBuf) {
    let (folder, path) = place();
    let queue = open(&path).queue;
    let files: Vec<i64> = (0..256).collect();
    for _ in 0..20 {
        queue.push(&vec![bundle(&files); 200]).unwrap();
        let ends: Vec<_> = lease(&queue, 1, 200).iter().map(|job| (job.id, Finish::Done)).collect();
        queue.commit(&ends, &[], at(1)).unwrap();
    }
    queue.push(&[range(1, 0), range(2, 0), keyed("k")]).unwrap();
    let held = HeldPage { wanted: 1, page: 3, bits: vec![9; 512] };
    let jobs = queue.lease(at(1), &|_, task| !task.wanted().is_empty(), 2).unwrap();
    let retry = Finish::Retry { reason: "cut".into(), not_before: Some(at(5_000)) };
    let ends = [(jobs[0].id, retry), (jobs[1].id, Finish::Dead { reason: "gone".into() })];
    queue.commit(&ends, &[held], at(1)).unwrap();
    (folder, path)
}

/// Everything that [`worn`] left is there, once.
fn is_whole(opened: &Opened) {
    assert_eq!(opened.rebuilt, Rebuilt::No);
    let queue = &opened.queue;
    assert_eq!(queue.len(), 3);
    assert_eq!(queue.held(1, 3).unwrap().unwrap(), [9; 512]);
    assert_eq!(queue.dead()[0].last_error.as_deref(), Some("gone"));
    assert_eq!(queue.next_due(at(1)), Some(at(5_000)));
    queue.push(&[keyed("k")]).unwrap();
    assert_eq!(queue.len(), 3);
    let failed = queue.lease(at(5_000), &|_, task| task.wanted() == [1], 1).unwrap().remove(0);
    assert_eq!((failed.attempts, failed.last_error.as_deref()), (1, Some("cut")));
}

fn leftovers(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "queue" && name != "queue.lock").collect()
}

/// QUEUE-9: the rewritten folder holds the same queue in a fraction of the space.
#[test]
fn rewriting_keeps_what_is_live() {
    let (_folder, path) = worn();
    let (before, folder) = (size(&path), inode(&path));
    is_whole(&open(&path));
    assert_eq!(inode(&path), folder, "below the limit nothing is rewritten");
    is_whole(&eager(&path));
    assert_ne!(inode(&path), folder);
    let after = size(&path);
    assert!(after < 2 << 20 && after < before, "{before} -> {after}");
    is_whole(&open(&path));
    assert_eq!(leftovers(&path), [""; 0]);
}

/// QUEUE-9: a crash while the copy is written leaves the present folder in force.
#[test]
fn crash_while_copying_loses_nothing() {
    let (_folder, path) = worn();
    let copy = path.with_file_name("queue.rewrite");
    copy_folder(&path, &copy);
    fs::File::options().write(true).open(copy.join("db")).unwrap().set_len(5_000).unwrap();
    is_whole(&eager(&path));
    assert_eq!(leftovers(&path), [""; 0]);
}

/// QUEUE-9: a crash between the two renames leaves no folder in place, and the old one is put back.
#[test]
fn crash_between_the_renames_loses_nothing() {
    let (_folder, path) = worn();
    copy_folder(&path, &path.with_file_name("queue.rewrite"));
    fs::rename(&path, path.with_file_name("queue.old")).unwrap();
    is_whole(&open(&path));
    assert_eq!(leftovers(&path), [""; 0]);
}

/// QUEUE-9: a crash after the swap leaves the old folder to be removed, however much of it is left.
#[test]
fn crash_after_the_swap_loses_nothing() {
    let (_folder, path) = worn();
    let old = path.with_file_name("queue.old");
    copy_folder(&path, &old);
    fs::remove_file(old.join("db")).unwrap();
    is_whole(&open(&path));
    assert_eq!(leftovers(&path), [""; 0]);
}

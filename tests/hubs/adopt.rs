//! Files that were on the disk before they were a channel's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use zotferry::audit::{Pace, check_files};
use zotferry::catalog::Attach;
use zotferry::files::{self, Adopting, Keeping, PutEvent};

use crate::harness::{MIB, Setup, TestHub, noise, pair};

/// Adopts what lies in a folder; `path: change/way` of each file, or the reason why it was skipped.
async fn adopt(hub: &TestHub, path: &Path, how: Adopting) -> Vec<String> {
    let channel = hub.channel("alice").await;
    let (send, mut receive) = mpsc::channel(16);
    let (hub, path) = (Arc::clone(hub.hub()), path.to_owned());
    let how = Adopting { inside: true, ..how };
    let adopting =
        tokio::spawn(async move { files::adopt(&hub, &channel, path, &[], how, &send).await });
    let mut told = Vec::new();
    while let Some(event) = receive.recv().await {
        match event {
            PutEvent::Done { folder: true, .. } => {}
            PutEvent::Done { path, change, way, .. } => {
                told.push(format!("{path}: {change} {:?}", way.unwrap()));
            }
            PutEvent::Skipped(skipped) => told.push(format!("skipped: {}", skipped.reason)),
        }
    }
    adopting.await.unwrap().unwrap();
    told
}

fn keeping(keeping: Keeping) -> Adopting {
    Adopting { keeping, ..Adopting::default() }
}

/// A folder with a large file and a small one, both of 2003.
fn tree(dir: &Path) -> std::path::PathBuf {
    let tree = dir.join("tree");
    fs::create_dir_all(tree.join("films")).unwrap();
    fs::write(tree.join("films/large"), noise(1, 3 * MIB + 1)).unwrap();
    fs::write(tree.join("small"), "small").unwrap();
    for name in ["films/large", "small", "films"] {
        date(&tree.join(name), 1_050_000_000);
    }
    tree
}

fn date(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

async fn entry(hub: &TestHub, path: &[&str]) -> Attach {
    let channel = hub.channel("alice").await.id;
    hub.hub().catalog.by_path(channel, path).await.unwrap().unwrap()
}

/// SYNC-3: adopted files are the channel's on every clone, with the dates that they had; run again, nothing
/// is read. A file of the same size and time is read only if it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn adopted_files_go_to_the_clones_with_their_dates() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let tree = tree(dir.path());
    let copy = keeping(Keeping::Copy);
    let told = adopt(&origin, &tree, copy).await;
    assert!(told[0] == "films/large: created Copied" || told[0] == "films/large: created Shared");
    assert_eq!(told[1..], ["small: created Copied"]);
    clone.has("alice", 2).await;
    for hub in [&origin, &clone] {
        assert!(hub.bytes("alice", &["films", "large"]).await.unwrap() == noise(1, 3 * MIB + 1));
        for path in [&["films"][..], &["films", "large"], &["small"]] {
            let row = entry(hub, path).await;
            assert_eq!(
                (row.created.as_str(), row.edited.as_str()),
                ("2003-04-10 18:40:00", "2003-04-10 18:40:00")
            );
            assert_eq!(row.mtime.unwrap().0, 1_050_000_000_000);
        }
    }
    let again = adopt(&origin, &tree, copy).await;
    assert_eq!(again, ["films/large: unchanged Here", "small: unchanged Here"]);

    fs::write(tree.join("small"), "other").unwrap();
    date(&tree.join("small"), 1_050_000_000);
    let passed = adopt(&origin, &tree, copy).await;
    assert_eq!(passed[1], "small: unchanged Here");
    let read = adopt(&origin, &tree, Adopting { checksum: true, ..copy }).await;
    assert_eq!(read[1], "small: replaced Copied");
    clone.shows("alice", "small", b"other").await;
}

/// A linked file takes no room. Who writes to it damages the content: reading the files again finds it, and
/// the other clone has what it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_linked_file_that_is_written_to_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let tree = tree(dir.path());
    let told = adopt(&origin, &tree, keeping(Keeping::Link)).await;
    assert_eq!(told, ["films/large: created Linked", "small: created Copied"]);
    let large = tree.join("films/large");
    assert_eq!(fs::metadata(&large).unwrap().nlink(), 2);
    clone.has("alice", 2).await;

    let mut bytes = fs::read(&large).unwrap();
    bytes[MIB] ^= 1;
    fs::write(&large, &bytes).unwrap();
    let pace = Pace { bytes_per_second: None };
    let found = check_files(origin.hub(), None, pace, &mut |_, _| true).await.unwrap();
    assert_eq!((found.damaged, found.wanted, found.lost), (1, 1, 0));
    origin.has("alice", 2).await;
    assert!(origin.bytes("alice", &["films", "large"]).await.unwrap() == noise(1, 3 * MIB + 1));
    assert!(fs::read(&large).unwrap() == bytes, "the file is the person's");
}

/// A moved file goes once the channel has it: linked, copied, or there before. One whose stored bytes are
/// damaged stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_moved_file_goes_only_when_the_channel_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    hub.create_channel("alice").await;
    let tree = tree(dir.path());
    fs::hard_link(tree.join("films/large"), dir.path().join("kept")).unwrap();
    let told = adopt(&hub, &tree, keeping(Keeping::Move)).await;
    assert_eq!(told, ["films/large: created Moved", "small: created Moved"]);
    assert!(!tree.join("films/large").exists() && !tree.join("small").exists());
    assert!(tree.join("films").is_dir(), "folders stay");
    assert!(hub.bytes("alice", &["films", "large"]).await.unwrap() == noise(1, 3 * MIB + 1));

    // The same bytes once more, from a file of its own: what is stored is read before it goes.
    fs::write(tree.join("again"), noise(1, 3 * MIB + 1)).unwrap();
    assert_eq!(adopt(&hub, &tree, keeping(Keeping::Move)).await, ["again: created Moved"]);

    let root = entry(&hub, &["again"]).await.root.unwrap().to_string();
    let stored = hub.dir.join("storage/content").join(&root[..2]).join(&root);
    let mut bytes = fs::read(&stored).unwrap();
    bytes[5] ^= 1;
    fs::write(&stored, bytes).unwrap();
    fs::write(tree.join("again"), noise(1, 3 * MIB + 1)).unwrap();
    let told = adopt(&hub, &tree, keeping(Keeping::Move)).await;
    assert_eq!(told[0], "again: unchanged Linked");
    assert!(told[1].contains("not moved") && told[1].contains("damaged"), "{told:?}");
    assert!(fs::read(tree.join("again")).unwrap() == noise(1, 3 * MIB + 1));
}

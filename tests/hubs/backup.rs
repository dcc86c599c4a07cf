//! A channel goes into a folder, and comes back into a hub that never saw its bytes.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;
use zotferry::audit::{Mode, compare};
use zotferry::backup::{
    ExportEvent, ExportOptions, Exported, RestoreOptions, SaveError, export, restore,
};
use zotferry::channels::{self, Identity, SealKey};
use zotferry::files::{self, set_photo};
use zotferry::hub::Hub;
use zotferry::items::Captured;
use zotferry::photos;
use zotferry_backup::{Backup, Index, Line, RestoreEvent, Restored};
use zotferry_protocol::photo::Shape;

use crate::harness::{MIB, Setup, TestHub, noise, pair, until};

fn names(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

pub(crate) fn options(target: &Path) -> ExportOptions {
    ExportOptions { target: target.to_owned(), copy: false, prune: false, identity: None }
}

pub(crate) fn from(backup: &Path) -> RestoreOptions {
    let (identity, nick) = (None, None);
    RestoreOptions { backup: backup.to_owned(), identity, nick, copy: false, dry_run: false }
}

/// Saves a channel: what was done, and what is not in the backup.
pub(crate) async fn save(
    hub: &TestHub,
    nick: &str,
    options: ExportOptions,
) -> (Exported, Vec<String>) {
    try_save(hub, nick, options).await.unwrap()
}

async fn try_save(
    hub: &TestHub,
    nick: &str,
    options: ExportOptions,
) -> Result<(Exported, Vec<String>), SaveError> {
    let (send, mut events) = mpsc::channel(64);
    let (hub, channel) = (Arc::clone(hub.hub()), hub.channel(nick).await);
    let saving = tokio::spawn(async move { export(&hub, &channel, options, send).await });
    let mut missing = Vec::new();
    while let Some(event) = events.recv().await {
        if let ExportEvent::Missing { path, .. } = event {
            missing.push(path);
        }
    }
    Ok((saving.await.unwrap()?, missing))
}

/// Brings a backup back: what was done, and what did not come.
pub(crate) async fn bring(
    hub: &Arc<Hub>,
    options: RestoreOptions,
) -> Result<(Restored, Vec<String>), SaveError> {
    let (send, mut events) = mpsc::channel(64);
    let hub = Arc::clone(hub);
    let bringing = tokio::spawn(async move { restore(&hub, options, send).await });
    let mut troubles = Vec::new();
    while let Some(event) = events.recv().await {
        if let RestoreEvent::Trouble { path, reason } = event {
            troubles.push(format!("{path}: {reason}"));
        }
    }
    Ok((bringing.await.unwrap()?, troubles))
}

pub(crate) fn lines(backup: &Path) -> Vec<Line> {
    let backup = Backup::open(backup).unwrap();
    let mut index = Index::open(&backup).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = index.next_line().unwrap() {
        lines.push(line);
    }
    lines
}

pub(crate) fn data_file(backup: &Path, path: &str) -> PathBuf {
    let lines = lines(backup);
    let line = lines.iter().find(|line| line.path.as_deref() == Some(path)).unwrap();
    Backup::open(backup).unwrap().data_path(&line.data[0].root.0)
}

/// The channel's identity without its places, so that its clone asks nobody for anything.
pub(crate) async fn alone(origin: &TestHub) -> Identity {
    Identity { locations: Vec::new(), ..origin.identity("alice").await }
}

/// A hub on which the channel lives and nothing else is known.
pub(crate) async fn empty_clone(dir: &Path, name: &str, identity: Identity, nick: &str) -> TestHub {
    let hub = TestHub::build(dir, name, Setup::default()).await;
    channels::adopt(hub.hub(), identity, nick).await.unwrap();
    hub
}

const MID: &str = "https://bob.example/item/c0ffee00-0000-4000-8000-000000000001";
const OWN: &str = "https://hub.example/item/c0ffee00-0000-4000-8000-000000000002";

/// A post of the channel's own on a file, and what somebody else said.
async fn add_items(hub: &TestHub, file: &str) {
    let channel = hub.channel("alice").await;
    let entry = hub.hub().catalog.by_path(channel.id, &[file]).await.unwrap().unwrap();
    let url = &hub.hub().config.url;
    let body = format!("[img]{url}/photo/{}-1[/img] by {url}/channel/alice", entry.hash);
    let item = |mid: &str, author: &str| {
        json!({
            "uuid": mid.rsplit('/').next(), "message_id": mid, "message_top": OWN,
            "message_parent": OWN, "resource_id": entry.hash.as_str(), "resource_type": "photo",
            "body": body, "signature": "sha256.none", "author_xchan": author,
            "kept": {"as": [1, null, 2.5]},
        })
    };
    let items = json!([item(OWN, channel.portable_id.as_str()), item(MID, &"B".repeat(86))]);
    let captured = Captured::read(&items.to_string()).unwrap();
    assert_eq!(files::add_items(hub.hub(), &channel, captured).await.unwrap().filed.added, 2);
}

/// A channel with one of everything; its files' names and bytes.
pub(crate) async fn furnish(hub: &TestHub) -> Vec<(String, Vec<u8>)> {
    let sizes = [0, 1, 60_000, 65_537, MIB, MIB + 1, 5 * MIB + 1];
    let mut put = Vec::new();
    for (n, size) in sizes.into_iter().enumerate() {
        let (name, bytes) = (format!("file {n}"), noise(n as u64, size));
        hub.put_bytes("alice", &name, &bytes).await;
        put.push((name, bytes));
    }
    let mut picture = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_fn(600, 400, |x, y| image::Rgb([x as u8, y as u8, 7]));
    image.write_to(&mut picture, image::ImageFormat::Jpeg).unwrap();
    let picture = picture.into_inner();
    hub.put_bytes("alice", "me.jpg", &picture).await;
    put.push(("me.jpg".into(), picture));
    hub.put_bytes("alice", "gone", &noise(77, 2 * MIB)).await;
    let alice = hub.channel("alice").await;
    set_photo(hub.hub(), &alice, &names("me.jpg"), Shape::Profile, None).await.unwrap();
    files::remove(hub.hub(), &alice, &names("gone")).await.unwrap();
    files::mkdir(hub.hub(), &alice, &names("empty folder")).await.unwrap();
    files::mkdir(hub.hub(), &alice, &names("docs")).await.unwrap();
    files::rename(hub.hub(), &alice, &names("file 1"), &names("docs/one"), false).await.unwrap();
    put[1].0 = "docs/one".into();
    add_items(hub, "me.jpg").await;
    put
}

pub(crate) async fn shows_all(hub: &TestHub, nick: &str, put: &[(String, Vec<u8>)]) {
    for (name, bytes) in put {
        let path: Vec<&str> = name.split('/').collect();
        assert!(hub.bytes(nick, &path).await.as_ref() == Some(bytes), "{name}");
    }
}

/// BACKUP-22, BACKUP-23, ID-20, ITEM-9, ITEM-10: a channel comes back whole without a byte from another hub; the restored
/// clone compares equal with one that was never lost, under another replica id; twice is once.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_hub_is_equal_to_a_clone() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let put = furnish(&origin).await;
    let (alice, peer) = (origin.channel("alice").await, origin.peer(&clone).await);
    until("the clone has heard everything", async || {
        let place = origin.hub().catalog.location(alice.id, peer.row).await.unwrap().unwrap();
        place.acked_seq >= origin.hub().catalog.heads(alice.id).await.unwrap().seq
    })
    .await;
    clone.has("alice", 8).await;
    let target = dir.path().join("backup");
    let (saved, missing) = save(&origin, "alice", options(&target)).await;
    assert_eq!((saved.missing, missing.len()), (0, 0));
    let identity = origin.identity("alice").await;
    let origin = origin.stop().await;

    let restored = empty_clone(dir.path(), "restored", identity, "al").await;
    restored.lists("al", 2).await;
    let before = restored.channel("al").await.replica;
    let (done, troubles) = bring(restored.hub(), from(&target)).await.unwrap();
    assert_eq!(troubles, [""; 0]);
    // Ten files and folders that are there, and one that was removed.
    // A folder may have come before itself, as the parent of what lies in it.
    assert!((10..=11).contains(&done.taken), "{done:?}");
    assert_eq!((done.entries, done.missing), (11, 0), "{done:?}");
    shows_all(&restored, "al", &put).await;
    assert_eq!(restored.counts().bytes_fetched, 0, "nothing came from the clone");
    let channel = restored.channel("al").await;
    assert_ne!(channel.replica, before, "ID-20");
    let account = compare(restored.hub(), &restored.peer(&clone).await, &channel, Mode::Look).await;
    let account = account.unwrap();
    assert!(account.in_sync && account.differences() == 0, "{account:?}");

    let profile = photos::current(restored.hub(), &channel).await.unwrap().profile.unwrap();
    assert_eq!(profile.filename, "me.jpg");
    let items = restored.hub().catalog.items(channel.id, &[MID, OWN]).await.unwrap();
    let url = restored.hub().config.url.to_string();
    let row = |mid: &str| String::from_utf8_lossy(items[mid].row.as_ref().unwrap()).into_owned();
    assert!(row(OWN).contains(&format!("{url}/channel/al")), "{}", row(OWN));
    assert!(!row(OWN).contains("sha256.none"), "it was signed again");
    assert!(row(MID).contains("sha256.none"), "others' items are kept as they came");

    let (again, _) = bring(restored.hub(), from(&target)).await.unwrap();
    assert_eq!((again.taken, again.files), (0, 0), "{again:?}");
    assert_eq!(
        restored.hub().catalog.heads(channel.id).await.unwrap().seq,
        0,
        "no news for others"
    );
    drop(origin);
}

/// BACKUP-5, BACKUP-11, BACKUP-13: what the folder says: a line for each entry, also a removed one; a cropped photo inside
/// its metadata; paths for people.
#[tokio::test(flavor = "multi_thread")]
async fn every_entry_has_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TestHub::build(dir.path(), "origin", Setup::default()).await;
    origin.create_channel("alice").await;
    furnish(&origin).await;
    let target = dir.path().join("backup");
    save(&origin, "alice", options(&target)).await;
    let lines = lines(&target);
    let mut paths: Vec<_> = lines.iter().filter_map(|line| line.path.as_deref()).collect();
    paths.sort_unstable();
    let expected = ["docs", "docs/one", "empty folder", "file 0", "file 2", "file 3", "file 4"];
    assert_eq!(paths[..7], expected);
    assert_eq!((paths.len(), lines.len()), (10, 11));
    let backup = Backup::open(&target).unwrap();
    let photo = lines.iter().find(|line| line.path.as_deref() == Some("me.jpg")).unwrap();
    assert_eq!(photo.data.len(), 1, "the cropped one is no file");
    let metadata = backup.metadata(&photo.meta[0].0).unwrap().unwrap();
    assert!(metadata.contents[1].bytes.as_ref().is_some_and(|bytes| bytes.len() > 100));
    assert_eq!(metadata.operation.photo.len(), 7, "scales 0 to 6");
    assert_eq!(metadata.operation.item.len(), 2);
    let list = std::fs::read_to_string(target.join("files.tsv")).unwrap();
    assert!(list.contains("folder\tempty folder\n") && list.contains("\tdocs/one\n"), "{list}");
}

/// BACKUP-17: content that lies as a file is linked, not copied, unless copies are asked for; the second run writes
/// nothing; a link never becomes a partial file that anybody writes to.
#[tokio::test(flavor = "multi_thread")]
async fn immutable_files_are_linked() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TestHub::build(dir.path(), "origin", Setup::default()).await;
    origin.create_channel("alice").await;
    let bytes = noise(1, 2 * MIB);
    origin.put_bytes("alice", "film", &bytes).await;
    origin.put_bytes("alice", "note", b"small").await;
    let (links, copies) = (dir.path().join("links"), dir.path().join("copies"));
    let (saved, _) = save(&origin, "alice", options(&links)).await;
    assert_eq!((saved.linked, saved.copied), (1, 1), "{saved:?}");
    let (saved, _) = save(&origin, "alice", options(&links)).await;
    assert_eq!((saved.linked, saved.copied, saved.there), (0, 0, 2), "{saved:?}");
    let (saved, _) = save(&origin, "alice", ExportOptions { copy: true, ..options(&copies) }).await;
    assert_eq!((saved.linked, saved.copied), (0, 2), "{saved:?}");
    let names_of = |path: &Path| std::fs::metadata(path).unwrap().nlink();
    assert_eq!(names_of(&data_file(&links, "film")), 2);
    assert_eq!(names_of(&data_file(&copies, "film")), 1);

    let one = empty_clone(dir.path(), "one", alone(&origin).await, "alice").await;
    let (done, _) = bring(one.hub(), from(&copies)).await.unwrap();
    assert_eq!((done.files, done.linked), (2, 1), "{done:?}");
    assert_eq!(names_of(&data_file(&copies, "film")), 2);
    let two = empty_clone(dir.path(), "two", alone(&origin).await, "alice").await;
    let (done, _) = bring(two.hub(), RestoreOptions { copy: true, ..from(&copies) }).await.unwrap();
    assert_eq!((done.files, done.linked), (2, 0), "{done:?}");
    for hub in [&one, &two] {
        assert!(hub.bytes("alice", &["film"]).await.as_ref() == Some(&bytes));
        let partial = hub.dir.join("storage/partial");
        assert_eq!(std::fs::read_dir(partial).unwrap().count(), 0);
    }
}

/// BACKUP-6, BACKUP-23, BACKUP-25: what is damaged in the backup never becomes visible; it is named, all else comes, and
/// the damaged content is fetched from a clone that has it once the restore is over.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_and_comes_from_another_clone() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let put = furnish(&origin).await;
    clone.has("alice", 8).await;
    let target = dir.path().join("backup");
    save(&origin, "alice", ExportOptions { copy: true, ..options(&target) }).await;
    for (path, at) in [("file 6", 4 * MIB), ("file 2", 7)] {
        let path = data_file(&target, path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::remove_file(data_file(&target, "file 3")).unwrap();
    let line = lines(&target).into_iter().find(|l| l.path.as_deref() == Some("file 4")).unwrap();
    let hex = line.meta[0].0.to_string();
    std::fs::write(target.join(format!("meta/{}/{hex}.json", &hex[..2])), b"{}").unwrap();
    let identity = origin.identity("alice").await;
    let _origin = origin.stop().await;
    let restored = empty_clone(dir.path(), "restored", identity, "alice").await;
    restored.lists("alice", 2).await;
    clone.lists("alice", 3).await;
    let (done, mut troubles) = bring(restored.hub(), from(&target)).await.unwrap();
    troubles.sort_unstable();
    let expected = [
        "file 2: its data file is damaged",
        "file 3: its data file is missing",
        "file 4: its metadata file is missing or damaged",
        "file 6: chunk 4 of its data file is damaged",
    ];
    assert_eq!((troubles, done.troubles), (expected.map(str::to_owned).to_vec(), 4));
    for name in ["file 2", "file 3", "file 4", "file 6"] {
        assert_eq!(restored.bytes("alice", &[name]).await, None, "{name}");
    }
    let channel = restored.channel("alice").await;
    let peer = restored.peer(&clone).await;
    compare(restored.hub(), &peer, &channel, Mode::Repair).await.unwrap();
    for (name, bytes) in &put {
        let path: Vec<&str> = name.split('/').collect();
        until(name, async || restored.bytes("alice", &path).await.as_ref() == Some(bytes)).await;
    }
    assert_eq!(restored.counts().bytes_fetched, (60_000 + 65_537 + MIB + 5 * MIB + 1) as u64);
}

/// BACKUP-12: content that has not arrived is named, and asked of other clones after a restore.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_arrived_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let channel = clone.channel("alice").await;
    clone.hub().catalog.set_paused(channel.id, true).await.unwrap();
    origin.put_bytes("alice", "film", &noise(1, 40 * MIB)).await;
    origin.put_bytes("alice", "note", b"small").await;
    until("both were announced", async || clone.names("alice").await.len() == 2).await;
    let target = dir.path().join("backup");
    let (saved, mut missing) = save(&clone, "alice", options(&target)).await;
    missing.sort_unstable();
    assert_eq!((saved.missing, missing), (2, vec!["film".to_owned(), "note".to_owned()]));
    assert_eq!(Backup::open(&target).unwrap().header().missing, 2);
    let restored = empty_clone(dir.path(), "restored", alone(&origin).await, "alice").await;
    let (done, troubles) = bring(restored.hub(), from(&target)).await.unwrap();
    assert_eq!((done.entries, done.missing, troubles.len()), (2, 2, 0), "{done:?}");
    assert_eq!(restored.names("alice").await, ["film", "note"]);
}

/// BACKUP-16, BACKUP-24: a backup comes back only where its channel lives, or can be brought by the identity in it; one of
/// another channel, or a head by another key, changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_comes_back_into_its_own_channel() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TestHub::build(dir.path(), "origin", Setup::default()).await;
    origin.create_channel("alice").await;
    origin.create_channel("bob").await;
    origin.put_bytes("alice", "note", b"small").await;
    let target = dir.path().join("backup");
    save(&origin, "alice", options(&target)).await;
    let other = TestHub::build(dir.path(), "other", Setup::default()).await;
    other.create_channel("alice").await;
    let refused = bring(other.hub(), from(&target)).await.unwrap_err();
    assert!(matches!(refused, SaveError::NoChannel { .. }), "{refused}");
    let refused = try_save(&origin, "bob", options(&target)).await.unwrap_err();
    assert!(refused.to_string().contains("a backup of another channel"), "{refused}");

    let key = SealKey::new("correct horse").unwrap();
    save(&origin, "alice", ExportOptions { identity: Some(key), ..options(&target) }).await;
    let file = Backup::open(&target).unwrap().identity().unwrap().unwrap();
    let wrong = SealKey::of(&file, "wrong horse").unwrap();
    let nick = Some("al".to_owned());
    let wrong = RestoreOptions { identity: Some(wrong), nick: nick.clone(), ..from(&target) };
    let refused = bring(other.hub(), wrong).await.unwrap_err();
    assert!(matches!(refused, SaveError::Identity(_)), "{refused}");
    let key = SealKey::of(&file, "correct horse").unwrap();
    let right = RestoreOptions { identity: Some(key), nick, ..from(&target) };
    bring(other.hub(), right).await.unwrap();
    assert_eq!(other.bytes("al", &["note"]).await.unwrap(), b"small");
    let (here, there) = (origin.channel("alice").await, other.channel("al").await);
    assert_eq!(here.portable_id, there.portable_id);
    assert_ne!(here.replica, there.replica);
}

/// A dry run says what would come, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TestHub::build(dir.path(), "origin", Setup::default()).await;
    origin.create_channel("alice").await;
    let put = furnish(&origin).await;
    let target = dir.path().join("backup");
    save(&origin, "alice", options(&target)).await;
    let clone = empty_clone(dir.path(), "clone", alone(&origin).await, "alice").await;
    let before = clone.channel("alice").await;
    let dry = RestoreOptions { dry_run: true, ..from(&target) };
    let (done, _) = bring(clone.hub(), dry).await.unwrap();
    assert_eq!((done.entries, done.files), (11, put.len() as u64 + 1), "{done:?}");
    assert_eq!(clone.names("alice").await, [""; 0]);
    assert_eq!(clone.channel("alice").await.replica, before.replica);
}

/// BACKUP-9: an entry with more items than a packet holds has several metadata files, and all of the items come back.
#[tokio::test(flavor = "multi_thread")]
async fn many_items_take_several_files() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TestHub::build(dir.path(), "origin", Setup::default()).await;
    let alice = origin.create_channel("alice").await;
    origin.put_bytes("alice", "photo", b"no picture").await;
    let entry = origin.hub().catalog.by_path(alice.id, &["photo"]).await.unwrap().unwrap();
    let items: Vec<_> = (0..9)
        .map(|n| {
            let mid = format!("https://bob.example/item/{n}");
            json!({
                "uuid": format!("u{n}"), "message_id": mid, "message_top": mid, "message_parent": mid,
                "resource_id": entry.hash.as_str(), "resource_type": "photo", "signature": "",
                "author_xchan": "B".repeat(86), "body": "x".repeat(300 << 10),
            })
        })
        .collect();
    let captured = Captured::read(&json!(items).to_string()).unwrap();
    files::add_items(origin.hub(), &alice, captured).await.unwrap();
    let target = dir.path().join("backup");
    save(&origin, "alice", options(&target)).await;
    assert_eq!(lines(&target)[0].meta.len(), 3);
    let clone = empty_clone(dir.path(), "clone", alone(&origin).await, "alice").await;
    let (done, troubles) = bring(clone.hub(), from(&target)).await.unwrap();
    assert_eq!((done.entries, troubles.len()), (1, 0));
    let channel = clone.channel("alice").await;
    let held = clone.hub().catalog.items_after(channel.id, None, "", 100).await.unwrap();
    assert_eq!(held.len(), 9);
}

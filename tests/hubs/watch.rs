//! Ordinary folders mirrored into a channel: as they change, and after they have.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use zotferry::files;
use zotferry::watch::{Rule, Running, Tally, WatchEvent, Watches};

use crate::harness::{MIB, Setup, TestHub, noise, pair, until};

/// A mirror that runs until it is dropped.
struct Mirror {
    watches: Arc<Watches>,
    running: Arc<Running>,
    told: broadcast::Receiver<WatchEvent>,
    /// What was told since the last look.
    events: Vec<WatchEvent>,
    task: JoinHandle<()>,
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
        self.watches.end(&self.running);
    }
}

impl Mirror {
    fn begin(hub: &TestHub, dir: &Path) -> Self {
        let watches = Arc::clone(&hub.service.watches);
        let rule = Rule::new("alice", dir, "in/here/");
        let running = watches.begin(&rule).unwrap();
        let (told, events) = (running.listen(), Vec::new());
        let (mirroring, its) = (Arc::clone(&watches), Arc::clone(&running));
        let task = tokio::spawn(async move { mirroring.mirror(&its).await.unwrap() });
        Self { watches, running, told, events, task }
    }

    /// Waits for something to be told.
    async fn hears(&mut self, what: &str, wanted: impl Fn(&WatchEvent) -> bool) -> WatchEvent {
        loop {
            let minute = std::time::Duration::from_secs(60);
            let told = tokio::time::timeout(minute, self.told.recv()).await;
            let event = told.unwrap_or_else(|_| panic!("in vain: {what}; {:?}", self.events));
            let event = event.unwrap();
            self.events.push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
    }

    async fn settled(&mut self) -> Tally {
        match self.hears("settled", |event| matches!(event, WatchEvent::Settled(_))).await {
            WatchEvent::Settled(tally) => tally,
            _ => unreachable!(),
        }
    }

    /// Waits until a path is put, if it was not since [`Mirror::put_paths`] was last asked.
    async fn puts(&mut self, wanted: &str) {
        let is =
            |event: &WatchEvent| matches!(event, WatchEvent::Put { path, .. } if path == wanted);
        if !self.events.iter().any(is) {
            self.hears(wanted, is).await;
        }
    }

    async fn removes(&mut self, wanted: &str) -> u64 {
        let is = |event: &WatchEvent| matches!(event, WatchEvent::Removed { path, .. } if path == wanted);
        match self.hears(wanted, is).await {
            WatchEvent::Removed { entries, .. } => entries,
            _ => unreachable!(),
        }
    }

    /// Which paths were put since this was last asked.
    fn put_paths(&mut self) -> Vec<String> {
        let put = self.events.drain(..).filter_map(|event| match event {
            WatchEvent::Put { path, folder: false, .. } => Some(path),
            _ => None,
        });
        let mut paths: Vec<_> = put.collect();
        paths.sort();
        paths
    }
}

/// The files and folders below the channel's folder, with their ids.
async fn tree(hub: &TestHub) -> BTreeMap<String, String> {
    let channel = hub.channel("alice").await.id;
    let catalog = &hub.hub().catalog;
    let mut found = BTreeMap::new();
    let top = catalog.by_path(channel, &["in", "here"]).await.unwrap().unwrap();
    let mut folders = vec![(String::new(), top.hash)];
    while let Some((path, folder)) = folders.pop() {
        for entry in catalog.children(channel, Some(&folder), None, 1000).await.unwrap() {
            let path = format!("{path}/{}", entry.filename);
            found.insert(path.clone(), entry.hash.to_string());
            if entry.is_dir {
                folders.push((path, entry.hash));
            }
        }
    }
    found
}

async fn paths(hub: &TestHub) -> Vec<String> {
    tree(hub).await.into_keys().collect()
}

fn names(path: &[&str]) -> Vec<String> {
    ["in", "here"].iter().chain(path).map(|&name| name.to_owned()).collect()
}

async fn alone() -> (tempfile::TempDir, TestHub, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    hub.create_channel("alice").await;
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    (dir, hub, folder)
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// What is made, written, moved and deleted in the folder is so in the channel; a moved folder stays
/// the same entries, and none of its bytes are put again.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_followed_as_it_changes() {
    let (_dir, hub, folder) = alone().await;
    let mut mirror = Mirror::begin(&hub, &folder);
    mirror.settled().await;
    let film = noise(1, 3 * MIB);
    write(&folder.join("a/b/film"), &film);
    write(&folder.join("note"), b"one");
    mirror.puts("a/b/film").await;
    mirror.puts("note").await;
    assert_eq!(hub.bytes("alice", &["in", "here", "a", "b", "film"]).await.unwrap(), film);
    mirror.put_paths();
    fs::write(folder.join("note"), b"two").unwrap();
    mirror.puts("note").await;
    assert_eq!(hub.bytes("alice", &["in", "here", "note"]).await.unwrap(), b"two");
    mirror.settled().await;
    let before = tree(&hub).await;
    mirror.put_paths();
    fs::rename(folder.join("a"), folder.join("moved")).unwrap();
    fs::rename(folder.join("note"), folder.join("moved/note")).unwrap();
    mirror
        .hears("the note", |e| matches!(e, WatchEvent::Moved { to, .. } if to == "moved/note"))
        .await;
    mirror.settled().await;
    let after = tree(&hub).await;
    assert_eq!(after["/moved/b/film"], before["/a/b/film"]);
    assert_eq!(after["/moved/note"], before["/note"]);
    assert!(!mirror.put_paths().contains(&"moved/b/film".to_owned()));
    // What is in the folder under its new name is followed, too.
    write(&folder.join("moved/b/more"), b"more");
    mirror.puts("moved/b/more").await;
    fs::remove_dir_all(folder.join("moved/b")).unwrap();
    mirror.removes("moved/b").await;
    mirror.settled().await;
    assert_eq!(paths(&hub).await, ["/moved", "/moved/note"]);
    assert_eq!(fs::read(folder.join("moved/note")).unwrap(), b"two", "one way");
}

/// What changed while nobody watched is found: moves by inode and by content, and what is the same is
/// not even read.
#[tokio::test(flavor = "multi_thread")]
async fn changes_made_meanwhile_are_caught_up_with() {
    let (dir, hub, folder) = alone().await;
    for n in 0..30 {
        write(&folder.join(format!("many/{n}")), format!("file {n}").as_bytes());
    }
    write(&folder.join("old name"), &noise(1, 100_000));
    write(&folder.join("other disk"), &noise(2, 100_000));
    write(&folder.join("changed"), b"before");
    write(&folder.join("gone"), b"gone");
    write(&folder.join("same"), b"same");
    let mut mirror = Mirror::begin(&hub, &folder);
    let tally = mirror.settled().await;
    assert_eq!((tally.put, tally.known), (35, 36));
    drop(mirror);
    let before = tree(&hub).await;
    fs::rename(folder.join("many"), folder.join("all")).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();
    fs::rename(folder.join("old name"), folder.join("sub/new name")).unwrap();
    // Another inode, as from another file system.
    fs::copy(folder.join("other disk"), dir.path().join("copy")).unwrap();
    fs::remove_file(folder.join("other disk")).unwrap();
    fs::rename(dir.path().join("copy"), folder.join("sub/from disk")).unwrap();
    fs::write(folder.join("changed"), b"after").unwrap();
    fs::remove_file(folder.join("gone")).unwrap();
    write(&folder.join("all/new"), b"new");
    let mut mirror = Mirror::begin(&hub, &folder);
    let tally = mirror.settled().await;
    assert_eq!((tally.put, tally.moved, tally.removed, tally.held), (2, 3, 1, 0));
    let after = tree(&hub).await;
    for (old, new) in [
        ("/many", "/all"),
        ("/many/7", "/all/7"),
        ("/old name", "/sub/new name"),
        ("/other disk", "/sub/from disk"),
        ("/changed", "/changed"),
        ("/same", "/same"),
    ] {
        assert_eq!(after.get(new), before.get(old), "{old} -> {new}");
    }
    assert_eq!(after.len(), 37);
    assert_eq!(hub.bytes("alice", &["in", "here", "changed"]).await.unwrap(), b"after");
    // Those that moved were read, to see whether they are the same.
    let read = ["all/new", "changed", "sub/from disk", "sub/new name"];
    assert_eq!(mirror.put_paths(), read);
    drop(mirror);
    let mut mirror = Mirror::begin(&hub, &folder);
    let tally = mirror.settled().await;
    assert_eq!((tally.put, tally.moved, tally.removed, tally.known), (0, 0, 0, 37));
    assert!(mirror.put_paths().is_empty());
}

/// A disk that is not there removes nothing: neither an empty folder where one was mounted, nor none,
/// nor one of which most is gone. Somebody may say that it is meant.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_disk_removes_nothing() {
    let (dir, hub, folder) = alone().await;
    for n in 0..120 {
        write(&folder.join(format!("{n}")), format!("file {n}").as_bytes());
    }
    let mut mirror = Mirror::begin(&hub, &folder);
    mirror.settled().await;
    // It goes while it is watched, another comes in its place, and it comes back.
    let away = dir.path().join("away");
    fs::rename(&folder, &away).unwrap();
    mirror
        .hears("that it is gone", |event| matches!(event, WatchEvent::Held { entries: 120, .. }))
        .await;
    fs::create_dir(&folder).unwrap();
    mirror
        .hears("that it is empty", |event| matches!(event, WatchEvent::Held { entries: 120, .. }))
        .await;
    mirror.settled().await;
    fs::remove_dir(&folder).unwrap();
    mirror.hears("that it is gone", |event| matches!(event, WatchEvent::Held { .. })).await;
    fs::rename(&away, &folder).unwrap();
    until("the mirror looks at it again", async || {
        let mut told = mirror.running.listen();
        mirror.running.look(false);
        matches!(told.recv().await, Ok(WatchEvent::Settled(Tally { held: 0, removed: 0, .. })))
    })
    .await;
    assert_eq!(paths(&hub).await.len(), 120);
    drop(mirror);
    // Most of it goes while nobody watches.
    (0..110).for_each(|n| fs::remove_file(folder.join(format!("{n}"))).unwrap());
    let mut mirror = Mirror::begin(&hub, &folder);
    let held = mirror.settled().await;
    assert_eq!((held.removed, held.held), (0, 110));
    assert_eq!(paths(&hub).await.len(), 120);
    mirror.running.look(true);
    let sure = mirror.settled().await;
    assert_eq!((sure.removed, sure.held), (110, 0));
    assert_eq!(paths(&hub).await.len(), 10);
    // What is seen to be deleted needs no confirmation.
    (110..120).for_each(|n| fs::remove_file(folder.join(format!("{n}"))).unwrap());
    until("all is removed", async || paths(&hub).await.is_empty()).await;
}

/// What others put or changed in the channel stays when the folder's own goes; a file that both have
/// changed is a new revision.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_did_in_the_channel_stays() {
    let (dir, hub, folder) = alone().await;
    for name in ["shared/mine", "shared/theirs", "shared/both", "mine/a", "mine/b"] {
        write(&folder.join(name), name.as_bytes());
    }
    let mut mirror = Mirror::begin(&hub, &folder);
    mirror.settled().await;
    let channel = hub.channel("alice").await;
    let put = async |name: &str, bytes: &[u8]| {
        let path = dir.path().join("elsewhere").join(name);
        write(&path, bytes);
        let (send, _events) = tokio::sync::mpsc::channel(64);
        files::put(hub.hub(), &channel, vec![path], &names(&["shared"]), &send).await.unwrap();
    };
    put("theirs", b"changed by others").await;
    put("both", b"changed by others").await;
    put("new", b"new").await;
    let before = tree(&hub).await;
    mirror.put_paths();
    fs::write(folder.join("shared/both"), b"changed here").unwrap();
    mirror.puts("shared/both").await;
    assert_eq!(tree(&hub).await["/shared/both"], before["/shared/both"], "a new revision");
    fs::remove_dir_all(folder.join("shared")).unwrap();
    fs::remove_dir_all(folder.join("mine")).unwrap();
    assert_eq!(mirror.removes("mine").await, 3);
    mirror.settled().await;
    assert_eq!(paths(&hub).await, ["/shared", "/shared/new", "/shared/theirs"]);
    assert!(!folder.join("shared").exists());
}

/// SYNC-6: what cannot be mirrored is named and counted; what changes its kind does so in the channel.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_mirrored_is_counted() {
    let (_dir, hub, folder) = alone().await;
    write(&folder.join("file"), b"x");
    write(&folder.join("turns/into/a file"), b"x");
    write(&folder.join("became"), b"x");
    std::os::unix::fs::symlink("/etc", folder.join("link")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap();
    assert!(status.success());
    fs::write(folder.join(OsStr::from_bytes(b"bad\xff")), b"x").unwrap();
    let mut mirror = Mirror::begin(&hub, &folder);
    let tally = mirror.settled().await;
    assert_eq!((tally.put, tally.skipped), (3, 3));
    drop(mirror);
    fs::remove_dir_all(folder.join("turns")).unwrap();
    fs::write(folder.join("turns"), b"a file").unwrap();
    fs::remove_file(folder.join("became")).unwrap();
    write(&folder.join("became/a/folder"), b"x");
    let mut mirror = Mirror::begin(&hub, &folder);
    let tally = mirror.settled().await;
    assert_eq!((tally.put, tally.skipped), (2, 3));
    let found = ["/became", "/became/a", "/became/a/folder", "/file", "/turns"];
    assert_eq!(paths(&hub).await, found);
    assert_eq!(hub.bytes("alice", &["in", "here", "turns"]).await.unwrap(), b"a file");
}

/// A file that is written to all the while is never shown half: each revision is what the file was
/// when it was quiet.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_put_when_it_is_quiet() {
    let (_dir, hub, folder) = alone().await;
    let mut mirror = Mirror::begin(&hub, &folder);
    mirror.settled().await;
    let bytes = noise(5, 2 * MIB);
    let writing = tokio::task::spawn_blocking({
        let (path, bytes) = (folder.join("film"), bytes.clone());
        move || {
            use std::io::Write as _;
            let mut file = fs::File::create(path).unwrap();
            for piece in bytes.chunks(64 << 10) {
                file.write_all(piece).unwrap();
                // Asleep as a slow writer is: what is tested is that nothing happens meanwhile.
                std::thread::sleep(std::time::Duration::from_millis(60));
            }
        }
    });
    writing.await.unwrap();
    mirror.puts("film").await;
    assert_eq!(mirror.put_paths(), ["film"]);
    assert_eq!(hub.bytes("alice", &["in", "here", "film"]).await.unwrap(), bytes);
}

/// An editor that keeps the old file under another name saves a new revision, which whoever may not see
/// the entry may not see either.
#[tokio::test(flavor = "multi_thread")]
async fn a_saved_file_stays_the_same_entry() {
    let (_dir, hub, folder) = alone().await;
    write(&folder.join("diary"), b"one");
    let mut mirror = Mirror::begin(&hub, &folder);
    mirror.settled().await;
    let before = tree(&hub).await;
    write(&folder.join(".diary.new"), b"two");
    fs::rename(folder.join("diary"), folder.join("diary~")).unwrap();
    fs::rename(folder.join(".diary.new"), folder.join("diary")).unwrap();
    mirror.puts("diary~").await;
    mirror.settled().await;
    let after = tree(&hub).await;
    assert_eq!(after.keys().collect::<Vec<_>>(), ["/diary", "/diary~"]);
    assert_eq!(after["/diary"], before["/diary"]);
    assert_eq!(hub.bytes("alice", &["in", "here", "diary"]).await.unwrap(), b"two");
    fs::remove_file(folder.join("diary~")).unwrap();
    mirror.removes("diary~").await;
    assert_eq!(tree(&hub).await["/diary"], before["/diary"]);
}

/// SYNC-3: a moved folder reaches the clone as one operation, without its bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_moved_folder_sends_no_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let folder = dir.path().join("folder");
    let film = noise(1, 4 * MIB);
    write(&folder.join("old/film"), &film);
    let mut mirror = Mirror::begin(&origin, &folder);
    mirror.settled().await;
    clone.has("alice", 1).await;
    let fetched = clone.counts().bytes_fetched;
    fs::rename(folder.join("old"), folder.join("new")).unwrap();
    until("the clone has moved it", async || {
        clone
            .bytes("alice", &["in", "here", "new", "film"])
            .await
            .is_some_and(|found| found == film)
    })
    .await;
    assert_eq!(clone.counts().bytes_fetched, fetched);
}

/// The hub's own folder is not mirrored: each put would be a change to put.
#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_own_folder_is_refused() {
    let (dir, hub, _folder) = alone().await;
    for own in [hub.dir.clone(), dir.path().to_owned(), hub.dir.join("storage")] {
        let rule = Rule::new("alice", &own, "/");
        let watches = &hub.service.watches;
        let running = watches.begin(&rule).unwrap();
        assert!(watches.begin(&rule).is_none(), "one mirror of a rule");
        let refused = watches.mirror(&running).await.unwrap_err().to_string();
        assert!(refused.contains("the hub's own folder"), "{refused}");
    }
}

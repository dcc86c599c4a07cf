//! Every kind of edit on one hub reaches the other as one operation; what goes wrong elsewhere does not here.

use zotferry::catalog::{Access, Attach, DataState};
use zotferry::files::{self, MetaChange};
use zotferry_protocol::packets::Op;

use crate::harness::{MIB, Setup, TestHub, noise, pair, until};

fn names(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

async fn at(hub: &TestHub, path: &str) -> Option<Attach> {
    let channel = hub.channel("alice").await;
    let path: Vec<&str> = path.split('/').collect();
    hub.hub().catalog.by_path(channel.id, &path).await.unwrap()
}

/// Everything that this hub has to tell the other was answered for.
async fn heard(from: &TestHub, by: &TestHub) {
    let (channel, peer) = (from.channel("alice").await.id, from.peer(by).await);
    until("the other clone has heard everything", async || {
        let location = from.hub().catalog.location(channel, peer.row).await.unwrap();
        let head = from.hub().catalog.heads(channel).await.unwrap().seq;
        location.is_some_and(|location| location.acked_seq >= head)
    })
    .await;
}

/// SYNC-39: a rename of a large file is one small operation, and no byte of it moves again.
#[tokio::test(flavor = "multi_thread")]
async fn a_rename_moves_no_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::proxied()).await;
    let film = noise(1, 40 * MIB);
    origin.put_bytes("alice", "film", &film).await;
    clone.shows("alice", "film", &film).await;
    heard(&origin, &clone).await;
    let alice = origin.channel("alice").await;
    let (served, through) = (origin.counts().bytes_served, passed(&origin, &clone));
    let before = origin.counts().requests;

    files::mkdir(origin.hub(), &alice, &names("films")).await.unwrap();
    let moved =
        files::rename(origin.hub(), &alice, &names("film"), &names("films/the film"), false).await;
    assert_eq!(moved.unwrap().entry.op, Op::Place);
    until("the clone shows it there", async || at(&clone, "films/the film").await.is_some()).await;
    assert_eq!(at(&clone, "film").await, None);
    heard(&origin, &clone).await;
    assert_eq!(clone.bytes("alice", &["films", "the film"]).await, Some(film));
    assert_eq!(origin.counts().bytes_served, served, "no content was served");
    let wire = passed(&origin, &clone) - through;
    assert!(wire < 64 << 10, "{wire} bytes on the wire for a rename");
    assert!(origin.counts().requests - before <= 2, "one operation each, or both in one packet");
}

/// Bytes of all requests and answers of both hubs.
fn passed(a: &TestHub, b: &TestHub) -> u64 {
    a.proxy().bodies() + b.proxy().bodies()
}

/// A folder moves as one operation, whatever is inside.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_moves_as_one_operation() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::proxied()).await;
    let tree = dir.path().join("many");
    for folder in 0..10 {
        std::fs::create_dir_all(tree.join(folder.to_string())).unwrap();
        for file in 0..50 {
            let text = format!("{folder} {file}");
            std::fs::write(tree.join(format!("{folder}/{file}")), text).unwrap();
        }
    }
    origin.put("alice", &tree).await;
    clone.has("alice", 500).await;
    heard(&origin, &clone).await;
    let alice = origin.channel("alice").await;
    let before = origin.hub().catalog.heads(alice.id).await.unwrap().seq;
    let through = clone.proxy().bodies();
    files::rename(origin.hub(), &alice, &names("many"), &names("few"), false).await.unwrap();
    until("it is there", async || at(&clone, "few/9/49").await.is_some()).await;
    heard(&origin, &clone).await;
    assert_eq!(at(&clone, "many").await, None);
    assert_eq!(origin.hub().catalog.heads(alice.id).await.unwrap().seq, before + 1);
    let wire = clone.proxy().bodies() - through;
    assert!(wire < 32 << 10, "{wire} bytes to move a folder of 500 files");
}

/// SYNC-43: a removal reaches the clone and frees its room; it is never echoed, and repeating it is no error
/// on the wire.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_is_told_once_and_never_echoed() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let alice = origin.channel("alice").await;
    files::mkdir(origin.hub(), &alice, &names("photos")).await.unwrap();
    let picture = noise(3, 100_000);
    for name in ["one.jpg", "two.jpg"] {
        origin.put_bytes("alice", name, &picture).await;
        let to = names(&format!("photos/{name}"));
        files::rename(origin.hub(), &alice, &names(name), &to, false).await.unwrap();
    }
    clone.has("alice", 2).await;
    until("both are in the folder", async || at(&clone, "photos/two.jpg").await.is_some()).await;
    heard(&origin, &clone).await;
    let told = clone.hub().catalog.heads(clone.channel("alice").await.id).await.unwrap().seq;

    let removed = files::remove(origin.hub(), &alice, &names("photos")).await.unwrap();
    assert_eq!(removed, 3);
    until("all is gone", async || at(&clone, "photos").await.is_none()).await;
    heard(&origin, &clone).await;
    let of_clone = clone.channel("alice").await;
    assert_eq!((of_clone.used, of_clone.reserved), (0, 0), "the room is free again");
    let now = clone.hub().catalog.heads(of_clone.id).await.unwrap().seq;
    assert_eq!(now, told, "the clone has nothing to tell about it");
    let again = files::remove(origin.hub(), &alice, &names("photos")).await;
    assert!(again.is_err_and(|e| e.to_string() == "no such file or folder"));
}

/// A file that is removed while it is on its way is let go: its partial file and its jobs as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_ends_a_transfer() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    origin.proxy().allow(8 * MIB as u64);
    origin.put_bytes("alice", "film", &noise(1, 16 * MIB)).await;
    until("some chunks are here", async || clone.counts().chunks >= 3).await;
    let alice = origin.channel("alice").await;
    files::remove(origin.hub(), &alice, &names("film")).await.unwrap();
    until("it is gone", async || at(&clone, "film").await.is_none()).await;
    origin.proxy().allow_all();
    until("nothing of it is left", async || {
        let counts = clone.hub().queue.counts(clone.hub().clock.now());
        clone.service.receiver.progress().is_empty()
            && counts.due + counts.delayed + counts.leased == 0
            && clone.hub().storage.partials().unwrap().is_empty()
    })
    .await;
}

/// Title, tags and access lists travel as one operation, and no bytes with them.
#[tokio::test(flavor = "multi_thread")]
async fn descriptions_travel() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    origin.put_bytes("alice", "a.txt", b"hello").await;
    clone.shows("alice", "a.txt", b"hello").await;
    let alice = origin.channel("alice").await;
    let change = MetaChange {
        title: Some("A greeting".into()),
        tags: Some(vec!["hello".into(), "w\u{f6}rld".into()]),
        access: Some(Access { allow_cid: "<bob>".into(), ..Access::default() }),
        ..MetaChange::default()
    };
    let served = origin.counts().bytes_served;
    let here = files::set_meta(origin.hub(), &alice, &names("a.txt"), change).await.unwrap();
    assert_eq!(here.op, Op::Meta);
    until("the clone knows", async || {
        at(&clone, "a.txt").await.is_some_and(|entry| entry.title.as_deref() == Some("A greeting"))
    })
    .await;
    let there = at(&clone, "a.txt").await.unwrap();
    assert_eq!(there.allow_cid, "<bob>");
    assert_eq!(there.extra_field("term").unwrap(), here.extra_field("term").unwrap());
    assert!(there.extra_field("term").unwrap().is_some());
    assert_eq!(origin.counts().bytes_served, served);
    // Described as it is already: no operation.
    let head = origin.hub().catalog.heads(alice.id).await.unwrap().seq;
    let same = MetaChange { title: Some("A greeting".into()), ..MetaChange::default() };
    files::set_meta(origin.hub(), &alice, &names("a.txt"), same).await.unwrap();
    assert_eq!(origin.hub().catalog.heads(alice.id).await.unwrap().seq, head);
}

/// A copy has the roots of what it copies: the clone fetches nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_moves_no_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let film = noise(5, 3 * MIB);
    origin.put_bytes("alice", "film", &film).await;
    clone.shows("alice", "film", &film).await;
    let (alice, fetched) = (origin.channel("alice").await, clone.counts().bytes_fetched);
    files::mkdir(origin.hub(), &alice, &names("d")).await.unwrap();
    files::copy(origin.hub(), &alice, &names("film"), &names("d/film"), false).await.unwrap();
    files::copy(origin.hub(), &alice, &names("d"), &names("e"), false).await.unwrap();
    clone.has("alice", 3).await;
    assert_eq!(clone.bytes("alice", &["e", "film"]).await, Some(film));
    assert_eq!(clone.counts().bytes_fetched, fetched);
}

/// Both sides edit while they cannot hear each other; afterwards they are equal, and the losing content is
/// a copy on both. (When only answers were lost, the clone had at times heard of the origin's content before it wrote
/// its own: that is a later revision and no conflict.)
#[tokio::test(flavor = "multi_thread")]
async fn edits_on_both_sides_of_a_cut_meet() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::proxied()).await;
    origin.put_bytes("alice", "notes.txt", b"first").await;
    clone.shows("alice", "notes.txt", b"first").await;
    for hub in [&origin, &clone] {
        hub.proxy().shut();
    }
    origin.put_bytes("alice", "notes.txt", b"of the origin").await;
    clone.put_bytes("alice", "notes.txt", b"of the clone").await;
    let on_clone = clone.channel("alice").await;
    files::mkdir(clone.hub(), &on_clone, &names("d")).await.unwrap();
    files::rename(clone.hub(), &on_clone, &names("notes.txt"), &names("d/notes.txt"), false)
        .await
        .unwrap();
    for hub in [&origin, &clone] {
        hub.proxy().heal();
    }
    let whole = async |hub: &TestHub| {
        let channel = hub.channel("alice").await;
        let Some(folder) = at(hub, "d").await else { return Vec::new() };
        let catalog = &hub.hub().catalog;
        let mut found = Vec::new();
        for folder in [None, Some(&folder.hash)] {
            for entry in catalog.children(channel.id, folder, None, 9).await.unwrap() {
                let path = catalog.path_of(channel.id, &entry.hash).await.unwrap().unwrap();
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                found.push((path.join("/"), hub.bytes("alice", &path).await));
            }
        }
        found
    };
    until("both are equal", async || {
        let (here, there) = (whole(&origin).await, whole(&clone).await);
        here.len() == 3 && here == there && here.iter().skip(1).all(|(_, bytes)| bytes.is_some())
    })
    .await;
    let all = whole(&origin).await;
    let of = |bytes: &[u8]| all.iter().filter(|(_, b)| b.as_deref() == Some(bytes)).count();
    assert_eq!((of(b"of the origin"), of(b"of the clone")), (1, 1), "{all:?}");
    assert!(all.iter().any(|(path, _)| path == "d/notes.txt"), "{all:?}");
    assert!(all.iter().any(|(path, _)| path.contains("notes.conflict-")), "{all:?}");
}

/// What a clone answers for is in its catalog: the bytes are fetched afterwards, not inside the request.
#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_is_answered_before_the_bytes_come() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    origin.proxy().allow(0);
    origin.put_bytes("alice", "film", &noise(1, 4 * MIB)).await;
    heard(&origin, &clone).await;
    let entry = at(&clone, "film").await.unwrap();
    let id = clone.channel("alice").await.id;
    let contents = clone.hub().catalog.contents_of(id, std::slice::from_ref(&entry)).await.unwrap();
    assert_eq!(contents[&entry.hash][0].state, DataState::Wanted);
    assert_eq!(clone.bytes("alice", &["film"]).await, None, "and is no file yet");
    origin.proxy().allow_all();
    clone.shows("alice", "film", &noise(1, 4 * MIB)).await;
}

//! Files that were damaged on disk are found, set aside and fetched again.

use std::sync::Arc;

use zotferry::audit::{Checked, Pace, check_files, scrub_pass};
use zotferry::catalog::ScrubMark;
use zotferry::storage::memory::MemoryStorage;
use zotferry_protocol::ids::Digest;

use crate::harness::{MIB, Setup, TestHub, noise, pair};

const FAST: Pace = Pace { bytes_per_second: None };

async fn checked(hub: &TestHub) -> Checked {
    check_files(hub.hub(), None, FAST, &mut |_, _| true).await.unwrap()
}

async fn root_of(hub: &TestHub, name: &str) -> Digest {
    let channel = hub.channel("alice").await.id;
    hub.hub().catalog.by_path(channel, &[name]).await.unwrap().unwrap().root.unwrap()
}

/// AUDIT-17, AUDIT-18: a bit that turned in a large file, or in a small one that is a row, is found
/// on whichever clone, and the bytes come again from the other.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_fetched_from_the_other_clone() {
    let dir = tempfile::tempdir().unwrap();
    let storages = [(); 2].map(|()| Arc::new(MemoryStorage::default()));
    let setups =
        storages.clone().map(|storage| Setup { storage: Some(storage), ..Setup::default() });
    let [origins, clones] = setups;
    let (origin, clone) = pair(dir.path(), origins, clones).await;
    let (film, note) = (noise(1, 5 * MIB + 1), noise(2, 900));
    origin.put_bytes("alice", "film", &film).await;
    origin.put_bytes("alice", "note", &note).await;
    clone.has("alice", 2).await;
    let whole =
        Checked { contents: 2, bytes: (film.len() + note.len()) as u64, ..Checked::default() };
    for (hub, storage) in [(&clone, &storages[1]), (&origin, &storages[0])] {
        assert_eq!(checked(hub).await, whole);
        assert!(storage.flip(&root_of(hub, "film").await, 3 * MIB));
        assert!(storage.flip(&root_of(hub, "note").await, 0));
        let found = checked(hub).await;
        assert_eq!((found.damaged, found.missing, found.wanted, found.lost), (2, 0, 2, 0));
        hub.shows("alice", "film", &film).await;
        hub.shows("alice", "note", &note).await;
        hub.has("alice", 2).await;
        assert_eq!(checked(hub).await, whole);
    }
}

/// AUDIT-17: a file that was overwritten on disk is kept beside, one that is gone is missed; both come
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_kept_beside() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let (film, song) = (noise(3, 3 * MIB), noise(4, 2 * MIB));
    origin.put_bytes("alice", "film", &film).await;
    origin.put_bytes("alice", "song", &song).await;
    clone.has("alice", 2).await;
    let place = |root: &Digest| {
        let name = root.to_string();
        clone.dir.join("storage/content").join(&name[..2]).join(name)
    };
    let (one, other) = (root_of(&clone, "film").await, root_of(&clone, "song").await);
    std::fs::write(place(&one), b"not a film").unwrap();
    // What was noted of the damaged bytes is none of the whole ones.
    let noted = clone.hub().folder.scales().join(format!("{:02x}/{one}-1-bad", one.0[0]));
    std::fs::create_dir_all(noted.parent().unwrap()).unwrap();
    std::fs::write(&noted, "its pixels end too early").unwrap();
    std::fs::remove_file(place(&other)).unwrap();
    let found = checked(&clone).await;
    assert_eq!((found.damaged, found.missing, found.wanted), (1, 1, 2));
    assert!(!noted.exists());
    let beside = clone.dir.join("storage/damaged").join(one.to_string());
    assert_eq!(std::fs::read(beside).unwrap(), b"not a film");
    clone.shows("alice", "film", &film).await;
    clone.shows("alice", "song", &song).await;
}

/// AUDIT-17: what was found damaged is not served, and said to be lost where nobody else has it.
#[tokio::test(flavor = "multi_thread")]
async fn damage_without_another_clone_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(MemoryStorage::default());
    let setup = Setup { storage: Some(storage.clone()), ..Setup::default() };
    let hub = TestHub::build(dir.path(), "alone", setup).await;
    hub.create_channel("alice").await;
    hub.put_bytes("alice", "note", b"only here").await;
    assert!(storage.flip(&root_of(&hub, "note").await, 0));
    let found = checked(&hub).await;
    assert_eq!((found.damaged, found.wanted, found.lost), (1, 0, 1));
    assert_eq!(hub.bytes("alice", &["note"]).await, None);
    let channel = hub.channel("alice").await.id;
    let failed = hub.hub().catalog.failed(channel, 0, 9).await.unwrap();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].error.as_ref().is_some_and(|error| error.contains("damaged")));
}

/// AUDIT-18: the reading that nobody asked for goes on where it was cut off, to the end, and rests then.
#[tokio::test(flavor = "multi_thread")]
async fn reading_again_goes_on_after_a_restart_and_rests_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    hub.create_channel("alice").await;
    for n in 0..5 {
        hub.put_bytes("alice", &format!("note {n}"), &noise(n, 1000)).await;
    }
    let catalog = &hub.hub().catalog;
    let roots: Vec<Digest> =
        catalog.held_after(None, 9).await.unwrap().into_iter().map(|(root, _)| root).collect();
    let began = Some(hub.hub().clock.now());
    let cut = ScrubMark {
        after: Some(roots[1]),
        began,
        contents: 2,
        bytes: 2000,
        ..ScrubMark::default()
    };
    catalog.set_scrub_mark(&cut).await.unwrap();
    let hub = hub.stop().await.start().await;
    scrub_pass(hub.hub(), FAST).await.unwrap();
    let mark = hub.hub().catalog.scrub_mark().await.unwrap();
    assert_eq!((mark.contents, mark.bytes, mark.damaged, mark.after), (5, 5000, 0, None));
    assert!(mark.ended.is_some());
    scrub_pass(hub.hub(), FAST).await.unwrap();
    assert_eq!(hub.hub().catalog.scrub_mark().await.unwrap(), mark, "the next is not due");
}

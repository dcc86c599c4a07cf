//! Bytes that are not what they should be, and bytes that are here already.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use zotferry::storage::Storage;
use zotferry::storage::memory::MemoryStorage;

use crate::craft::name_of;
use crate::harness::{MIB, Setup, TestHub, blocked, noise, pair, set, until};
use crate::proxy::{BAD_GATEWAY, Fault, Kind};

async fn one_changed_byte(clone: Setup, kind: Kind) {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), clone).await;
    origin.proxy().rule(move |k, n| match (k == kind, n) {
        (true, 0) => Fault::Flip(100_000),
        _ => Fault::None,
    });
    let bytes = noise(1, 6 * MIB);
    origin.put_bytes("alice", "film", &bytes).await;
    clone.shows("alice", "film", &bytes).await;
    let counts = clone.counts();
    assert_eq!((counts.bad_chunks, counts.chunks), (1, 6));
    assert_eq!(counts.bytes_fetched, 7 * MIB as u64, "one chunk came twice, no other");
}

/// FETCH-4, STREAM-7: a chunk with a wrong byte in a stream is asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_chunk_of_a_stream_is_fetched_again() {
    one_changed_byte(Setup::default(), Kind::Stream).await;
}

/// FETCH-4: and so is one in frames.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_chunk_in_frames_is_fetched_again() {
    one_changed_byte(Setup::with(blocked), Kind::Frames).await;
}

fn few_attempts(config: &mut toml::Table) {
    set(config, "limits", "max_attempts", 3);
}

/// Changes a byte of every chunk of a content on the origin's disk.
async fn spoil(origin: &TestHub, name: &str) {
    let channel = origin.channel("alice").await;
    let entry = origin.hub().catalog.by_path(channel.id, &[name]).await.unwrap().unwrap();
    let root = entry.root.unwrap().to_string();
    let path = origin.dir.join("storage/content").join(&root[..2]).join(&root);
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(&path);
    let file = opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for at in (0..file.metadata().unwrap().len()).step_by(MIB) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0xff], at).unwrap();
    }
}

/// FETCH-4, FETCH-37, QUEUE-5: a file whose bytes are wrong however often it is asked for is never
/// visible; it is kept aside with the reason, and the others arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_always_wrong_is_never_visible() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::with(few_attempts)).await;
    let stopped = clone.stop().await;
    origin.put_bytes("alice", "rotten", &noise(2, 4 * MIB + 1)).await;
    origin.put_bytes("alice", "sound", &noise(3, 4 * MIB + 1)).await;
    origin.put_bytes("alice", "small", &noise(4, 400)).await;
    spoil(&origin, "rotten").await;
    let clone = stopped.start().await;
    clone.shows("alice", "sound", &noise(3, 4 * MIB + 1)).await;
    clone.shows("alice", "small", &noise(4, 400)).await;
    until("its jobs are given up", async || {
        let counts = clone.hub().queue.counts(clone.hub().clock.now());
        counts.dead > 0 && counts.due + counts.leased + counts.delayed == 0
    })
    .await;
    for job in clone.hub().queue.dead() {
        assert!(job.last_error.as_ref().unwrap().contains("wrong bytes"), "{:?}", job.last_error);
    }
    assert_eq!(clone.bytes("alice", &["rotten"]).await, None);
    assert_eq!(clone.counts().chunks, 5 + 1, "no chunk of it counts");
}

/// QUEUE-13, REF-5: what an origin says it cannot give, in a frame that nobody signed, is asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_a_frame_ends_no_job() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::default();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let setup = Setup { storage: Some(shared), ..Setup::proxied() };
    let (origin, clone) = pair(dir.path(), setup, Setup::default()).await;
    origin.proxy().rule(|_, _| BAD_GATEWAY);
    let note = noise(7, 400);
    origin.put_bytes("alice", "note", &note).await;
    let (_, root) = name_of(&origin, "alice", "note").await;
    storage.remove(&root).unwrap();
    origin.proxy().heal();
    let before = origin.proxy().answers(Kind::Frames);
    until("it was refused", async || origin.proxy().answers(Kind::Frames) > before + 2).await;
    assert_eq!(clone.hub().queue.dead(), []);
    storage.put_many(&[(root, note.clone().into())]).unwrap();
    clone.shows("alice", "note", &note).await;
}

/// FILE-13: what is here under another name is not fetched, nor is what two names of one put share.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_comes_once_whatever_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let (large, small) = (noise(5, 3 * MIB), noise(6, 777));
    let tree = dir.path().join("twins");
    std::fs::create_dir(&tree).unwrap();
    for name in ["one", "two", "three"] {
        std::fs::write(tree.join(name), &large).unwrap();
        std::fs::write(tree.join(format!("{name} small")), &small).unwrap();
    }
    origin.put("alice", &tree).await;
    clone.has("alice", 6).await;
    origin.put_bytes("alice", "a copy", &large).await;
    origin.put_bytes("alice", "a small copy", &small).await;
    clone.has("alice", 8).await;
    assert!(clone.bytes("alice", &["twins", "three"]).await.unwrap() == large);
    assert!(clone.bytes("alice", &["a small copy"]).await.unwrap() == small);
    assert_eq!(clone.counts().bytes_fetched, (large.len() + small.len()) as u64);
}

/// FILE-13, FETCH-36: of a new revision only the chunks that changed are fetched.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_change_in_a_large_file_fetches_few_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let mut bytes = noise(7, 40 * MIB);
    origin.put_bytes("alice", "film", &bytes).await;
    clone.shows("alice", "film", &bytes).await;
    let before = clone.counts();
    bytes[20 * MIB + 17..21 * MIB + 17].copy_from_slice(&noise(8, MIB));
    origin.put_bytes("alice", "film", &bytes).await;
    clone.shows("alice", "film", &bytes).await;
    let fetched = clone.counts().bytes_fetched - before.bytes_fetched;
    assert!(fetched <= 3 * MIB as u64, "{fetched} bytes for a change of 1 MiB");
    let copied = clone.counts().bytes_copied - before.bytes_copied;
    assert_eq!(copied, bytes.len() as u64 - fetched);
}

/// FETCH-36: a chunk that the disk has spoilt since is not copied into the new revision; it is fetched.
#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_chunk_is_fetched_instead_of_copied() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(MemoryStorage::default());
    let setup = Setup { storage: Some(Arc::clone(&storage) as _), ..Setup::default() };
    let (origin, clone) = pair(dir.path(), Setup::default(), setup).await;
    let mut bytes = noise(9, 8 * MIB);
    origin.put_bytes("alice", "film", &bytes).await;
    clone.shows("alice", "film", &bytes).await;
    let before = clone.counts();
    let channel = clone.channel("alice").await.id;
    let film = clone.hub().catalog.by_path(channel, &["film"]).await.unwrap().unwrap();
    assert!(storage.flip(&film.root.unwrap(), 3 * MIB + 100));
    bytes[5 * MIB..5 * MIB + 9].copy_from_slice(b"something");
    origin.put_bytes("alice", "film", &bytes).await;
    clone.shows("alice", "film", &bytes).await;
    let after = clone.counts();
    assert_eq!(after.bytes_fetched - before.bytes_fetched, 2 * MIB as u64, "spoilt and changed");
    assert_eq!(after.bytes_copied - before.bytes_copied, 6 * MIB as u64);
}

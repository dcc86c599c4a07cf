//! A queue that is lost in the middle of a transfer, and a catalog that is damaged.

use std::fs;
use std::path::Path;

use crate::harness::{MIB, Setup, Stopped, noise, pair, until};

const CHUNKS: u64 = 24;

/// A transfer is stopped half-way, something happens to the stopped hub, and the transfer goes on.
async fn nothing_verified_comes_again(happens: impl Fn(&Path)) -> (tempfile::TempDir, Stopped) {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    let bytes = noise(1, CHUNKS as usize * MIB);
    origin.proxy().allow(10 * MIB as u64);
    origin.put_bytes("alice", "film", &bytes).await;
    until("some chunks are here", async || clone.counts().chunks >= 6).await;
    let stopped = clone.stop().await;
    happens(&stopped.dir.join("queue"));
    let before = origin.proxy().passed();
    origin.proxy().allow_all();
    let clone = stopped.start().await;
    clone.shows("alice", "film", &bytes).await;
    let after = clone.counts();
    assert!(after.chunks <= CHUNKS - 6, "{} chunks were fetched after the restart", after.chunks);
    let passed = origin.proxy().passed() - before;
    assert!(passed <= (CHUNKS - 6) * MIB as u64 + MIB as u64, "{passed} bytes came");
    (dir, clone.stop().await)
}

fn moved_aside(hub: &Path) -> usize {
    let entries = fs::read_dir(hub).unwrap().map(|e| e.unwrap().file_name());
    entries.filter(|name| name.to_string_lossy().starts_with("queue.broken")).count()
}

/// FETCH-34: nothing happens at all: what was verified stays verified.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_goes_on_after_a_stop() {
    nothing_verified_comes_again(|_| {}).await;
}

/// QUEUE-8, FETCH-35: the queue is gone: it follows from the catalog, and chunks on disk are read back.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_costs_no_verified_byte() {
    nothing_verified_comes_again(|queue| fs::remove_dir_all(queue).unwrap()).await;
}

/// QUEUE-8, FETCH-35: the queue's file was cut short.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_queue_costs_no_verified_byte() {
    nothing_verified_comes_again(|queue| {
        let file = fs::OpenOptions::new().write(true).open(queue.join("db")).unwrap();
        file.set_len(file.metadata().unwrap().len() / 3).unwrap();
    })
    .await;
}

/// QUEUE-8, FETCH-35: the queue is garbage: it is moved aside, not deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_garbage_is_moved_aside_and_costs_no_verified_byte() {
    let (_dir, stopped) = nothing_verified_comes_again(|queue| {
        for entry in fs::read_dir(queue).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::write(path, noise(9, 4000)).unwrap();
            }
        }
    })
    .await;
    assert_eq!(moved_aside(&stopped.dir), 1);
}

/// FETCH-35: a partial file is lost and the queue still says what it held: that counts for nothing, and all of
/// the file comes again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_of_a_lost_partial_file_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    let bytes = noise(2, CHUNKS as usize * MIB);
    origin.proxy().allow(10 * MIB as u64);
    origin.put_bytes("alice", "film", &bytes).await;
    until("some chunks are here", async || clone.counts().chunks >= 6).await;
    let stopped = clone.stop().await;
    let partials = fs::read_dir(stopped.dir.join("storage/partial")).unwrap();
    let lost = partials.map(|entry| fs::remove_file(entry.unwrap().path()).unwrap()).count();
    assert_eq!(lost, 1);
    origin.proxy().allow_all();
    let clone = stopped.start().await;
    clone.shows("alice", "film", &bytes).await;
    assert_eq!(clone.counts().chunks, CHUNKS);
}

/// Why a hub with this done to its catalog does not start.
async fn refusal_to_start(damage: impl Fn(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (_origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let stopped = clone.stop().await;
    damage(&stopped.dir.join("catalog.sqlite"));
    stopped.try_start().await.err().expect("it does not start").to_string()
}

/// QUEUE-7: a hub with a damaged catalog does not start, names the file and says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_catalog_stops_the_hub_and_says_what_to_do() {
    let garbage = refusal_to_start(|catalog| fs::write(catalog, noise(1, 100_000)).unwrap()).await;
    assert!(garbage.contains("catalog.sqlite"), "{garbage}");
    assert!(garbage.contains("restore it from a backup"), "{garbage}");
    let missing = refusal_to_start(|catalog| fs::remove_file(catalog).unwrap()).await;
    assert!(missing.contains("catalog.sqlite"), "{missing}");
    assert!(missing.contains("restore the file from a backup"), "{missing}");
}

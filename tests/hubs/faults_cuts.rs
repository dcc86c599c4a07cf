//! Connections that break and responses that end early: what came is kept.

use crate::harness::{MIB, Setup, TestHub, blocked, noise, pair, random, seed, unchanged};
use crate::proxy::{Fault, Kind};

const SIZE: usize = 9 * MIB + 5;

/// One file of ten chunks and forty small ones.
async fn put_some(origin: &TestHub) -> u64 {
    let tree = origin.dir.join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::write(tree.join("large"), noise(1, SIZE)).unwrap();
    let mut bytes = SIZE as u64;
    for n in 0..40u64 {
        let small = noise(n + 2, 1 + 997 * n as usize);
        bytes += small.len() as u64;
        std::fs::write(tree.join(n.to_string()), small).unwrap();
    }
    origin.put("alice", &tree).await;
    bytes
}

async fn all_is_here(clone: &TestHub) {
    clone.has("alice", 41).await;
    assert!(clone.bytes("alice", &["tree", "large"]).await.unwrap() == noise(1, SIZE));
    for n in 0..40u64 {
        let found = clone.bytes("alice", &["tree", &n.to_string()]).await.unwrap();
        assert!(found == noise(n + 2, 1 + 997 * n as usize), "small file {n}");
    }
}

/// Frames through a proxy that does this to each response; no byte may come twice.
async fn frames_arrive_once(fault: impl Fn(u64) -> Fault + Send + Sync + 'static) {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::with(blocked)).await;
    origin.proxy().rule(move |kind, n| if kind == Kind::Frames { fault(n) } else { Fault::None });
    let bytes = put_some(&origin).await;
    all_is_here(&clone).await;
    let counts = clone.counts();
    assert_eq!((counts.bytes_fetched, counts.bytes_fetched_twice), (bytes, 0));
    assert_eq!(counts.bad_chunks, 0);
}

/// FETCH-6, FETCH-10, FETCH-20: a connection may break at any byte of a frame; the next
/// presentation begins at the very byte that did not come.
#[tokio::test(flavor = "multi_thread")]
async fn frames_cut_anywhere_go_on_at_the_very_byte() {
    let seed = seed();
    frames_arrive_once(move |n| Fault::Cut(random(seed, n, 64..700_000))).await;
}

/// FETCH-10: a body that ends early without an end frame was cut, however properly HTTP ended it.
#[tokio::test(flavor = "multi_thread")]
async fn frames_that_end_early_lose_nothing() {
    let seed = seed();
    frames_arrive_once(move |n| Fault::Short(random(seed, n, 64..700_000))).await;
}

/// FETCH-14: what somebody adds behind the end frame is not content.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_behind_the_end_is_not_looked_at() {
    frames_arrive_once(|_| Fault::Tail("<!-- served by a proxy -->")).await;
}

/// FETCH-10: a proxy that lets 1 MiB of each response through slows a transfer down, no more.
#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_through_a_cap_of_1_mib() {
    frames_arrive_once(|_| Fault::Cut(MIB as u64)).await;
}

/// FETCH-10, FETCH-27: neither does one of 64 KiB, although a chunk takes many presentations and what
/// the origin sends in vain uses capabilities up.
#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_through_a_cap_of_64_kib() {
    frames_arrive_once(|_| Fault::Cut(64 << 10)).await;
}

/// STREAM-7, FETCH-6: streams cut anywhere lose at most the chunk in which they were cut.
#[tokio::test(flavor = "multi_thread")]
async fn streams_cut_anywhere_lose_at_most_the_unfinished_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::with(unchanged)).await;
    let seed = seed();
    origin.proxy().rule(move |kind, n| match kind {
        Kind::Stream => Fault::Cut(random(seed, n, MIB as u64..3 * MIB as u64)),
        _ => Fault::None,
    });
    let bytes = put_some(&origin).await;
    all_is_here(&clone).await;
    let streams = origin.proxy().answers(Kind::Stream);
    let twice = clone.counts().bytes_fetched - bytes;
    assert!(streams > 1 && twice < streams * MIB as u64, "{twice} bytes of {streams} streams");
    assert_eq!(twice, clone.counts().bytes_fetched_twice);
}

/// STREAM-10, STREAM-12: a cap below one chunk closes streams after two attempts; numbered chunks do
/// the rest.
#[tokio::test(flavor = "multi_thread")]
async fn streams_capped_below_a_chunk_give_way_to_frames() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::with(unchanged)).await;
    origin.proxy().rule(|kind, _| match kind {
        Kind::Packet => Fault::None,
        Kind::Frames | Kind::Stream => Fault::Cut(64 << 10),
    });
    let bytes = put_some(&origin).await;
    all_is_here(&clone).await;
    let streams = origin.proxy().answers(Kind::Stream);
    let twice = clone.counts().bytes_fetched - bytes;
    assert!((2..=8).contains(&streams), "{streams} streams were tried");
    assert!(twice <= streams * (64 << 10), "{twice} bytes came twice");
}

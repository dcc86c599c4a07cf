//! Transfers that are told to rest, and hubs that are told to stop.

use std::time::Duration;

use crate::harness::{MIB, Setup, TestHub, blocked, noise, pair, until};

/// QUEUE-1: a channel that rests fetches nothing, whatever its size, while others go on; resumed, it
/// fetches what was missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_rests_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    origin.create_channel("bob").await;
    clone.clone_channel(&origin, "bob").await;
    clone.is_clone_of(&origin, "bob").await;
    let film = noise(1, 20 * MIB);
    origin.proxy().allow(6 * MIB as u64);
    origin.put_bytes("alice", "film", &film).await;
    until("some chunks are here", async || clone.counts().chunks >= 2).await;

    let alice = clone.channel("alice").await.id;
    clone.hub().catalog.set_paused(alice, true).await.unwrap();
    clone.hub().tell_receiver();
    origin.proxy().allow_all();
    until("nothing is in hand", async || clone.service.receiver.progress().is_empty()).await;
    let chunks = clone.counts().chunks;
    assert!(chunks < 20, "it was not finished behind the owner's back");
    for n in 0..20 {
        origin.put_bytes("alice", &format!("note {n}"), &noise(n + 9, 50)).await;
    }
    let other = noise(2, 5 * MIB);
    origin.put_bytes("bob", "song", &other).await;
    origin.put_bytes("bob", "note", b"short").await;
    clone.shows("bob", "song", &other).await;
    clone.shows("bob", "note", b"short").await;
    assert_eq!(clone.counts().chunks, chunks + 6, "only bob's file and note came");

    clone.hub().catalog.set_paused(alice, false).await.unwrap();
    clone.hub().tell_receiver();
    clone.has("alice", 21).await;
    assert!(clone.bytes("alice", &["film"]).await.unwrap() == film);
    assert_eq!(clone.counts().chunks, 20 + 20 + 6, "no chunk came twice");
}

/// Lets bytes through at a moderate pace until dropped.
fn trickle(origin: &TestHub) -> tokio::task::JoinHandle<()> {
    let proxy = origin.proxy().clone();
    tokio::spawn(async move {
        loop {
            proxy.allow(256 << 10);
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    })
}

async fn stops_and_goes_on(clone: Setup) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let (origin, mut clone) = pair(dir.path(), Setup::proxied(), clone).await;
    let film = noise(1, 24 * MIB);
    origin.proxy().allow(0);
    let pace = trickle(&origin);
    origin.put_bytes("alice", "film", &film).await;
    let (mut chunks, mut bytes) = (0, 0);
    for _ in 0..3 {
        until("some chunks came", async || clone.counts().chunks >= 3).await;
        let hub = std::sync::Arc::clone(clone.hub());
        let stopped = clone.stop().await;
        chunks += hub.metrics.counts().chunks;
        bytes += hub.metrics.counts().bytes_fetched;
        drop(hub);
        clone = stopped.start().await;
    }
    pace.abort();
    origin.proxy().allow_all();
    clone.shows("alice", "film", &film).await;
    assert_eq!(chunks + clone.counts().chunks, 24, "no chunk came twice");
    bytes + clone.counts().bytes_fetched - film.len() as u64
}

/// FETCH-34: a stop waits for the chunks that are under way, and nothing at all is fetched twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_mid_transfer_by_chunks_costs_nothing() {
    assert_eq!(stops_and_goes_on(Setup::with(blocked)).await, 0);
}

/// FETCH-34: of a stream, what came behind the last whole chunk comes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_mid_stream_costs_less_than_a_chunk_each() {
    let twice = stops_and_goes_on(Setup::default()).await;
    assert!(twice < 3 * 4 * MIB as u64, "{twice} bytes came twice in three stops of four streams");
}

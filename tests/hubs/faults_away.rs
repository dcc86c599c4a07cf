//! Hubs that are away for a while: what waited for them goes on when they say that they are back.

use crate::harness::{MIB, Setup, TestHub, noise, pair, set, until};

/// Pauses so long that a test that waits for one fails.
fn patient(config: &mut toml::Table) {
    set(config, "limits", "backoff_ms", 600_000);
    set(config, "limits", "max_backoff_ms", 600_000);
}

/// QUEUE-14, QUEUE-15: what was put while a clone was away is delivered when it greets, not when the
/// next attempt would be due.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_comes_back_is_served_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::with(patient), Setup::default()).await;
    let stopped = clone.stop().await;
    let (film, note) = (noise(1, 3 * MIB), noise(2, 99));
    origin.put_bytes("alice", "film", &film).await;
    origin.put_bytes("alice", "note", &note).await;
    until("a delivery failed", async || {
        origin.hub().queue.counts(origin.hub().clock.now()).delayed > 0
    })
    .await;
    let clone = stopped.start().await;
    clone.shows("alice", "film", &film).await;
    clone.shows("alice", "note", &note).await;
}

/// QUEUE-15: a clone that was away for so long that its deliveries were given up is told all it missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_was_given_up_is_told_what_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let one_attempt = |config: &mut toml::Table| set(config, "limits", "max_attempts", 1);
    let (origin, clone) = pair(dir.path(), Setup::with(one_attempt), Setup::default()).await;
    let stopped = clone.stop().await;
    let note = noise(6, 99);
    origin.put_bytes("alice", "note", &note).await;
    until("the delivery is given up", async || !origin.hub().queue.dead().is_empty()).await;
    stopped.start().await.shows("alice", "note", &note).await;
}

/// QUEUE-14, QUEUE-15: an origin that goes away in mid-transfer is asked again when it greets.
#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_comes_back_is_asked_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::with(patient)).await;
    let film = noise(3, 40 * MIB);
    origin.proxy().allow(10 * MIB as u64);
    origin.put_bytes("alice", "film", &film).await;
    until("some chunks are here", async || clone.counts().chunks >= 4).await;
    let proxy = origin.proxy().clone();
    let stopped = origin.stop().await;
    proxy.allow_all();
    until("the clone has to wait", async || {
        let counts = clone.hub().queue.counts(clone.hub().clock.now());
        counts.delayed > 0 && counts.leased == 0
    })
    .await;
    let _origin = stopped.start().await;
    clone.shows("alice", "film", &film).await;
    assert_eq!(clone.counts().chunks, 40);
}

/// FETCH-1, QUEUE-7: when a second clone announces what the first announced and cannot serve, that one is asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_clone_announces_is_asked_of_that_clone() {
    let dir = tempfile::tempdir().unwrap();
    let quick = |config: &mut toml::Table| {
        patient(config);
        set(config, "transfer", "stall_seconds", 1);
    };
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::with(quick)).await;
    let second = TestHub::build(dir.path(), "second", Setup::default()).await;
    second.clone_channel(&origin, "alice").await;
    for hub in [&origin, &clone, &second] {
        hub.lists("alice", 3).await;
    }
    let (film, note) = (noise(4, 40 * MIB), noise(5, 99));
    origin.proxy().allow(20 * MIB as u64);
    origin.put_bytes("alice", "film", &film).await;
    let come = || clone.counts().chunks + second.counts().chunks;
    until("some chunks are here or there", async || come() >= 4).await;
    origin.put_bytes("alice", "note", &note).await;
    for hub in [&clone, &second] {
        until("both are announced", async || hub.names("alice").await == ["film", "note"]).await;
    }
    let _origin = origin.stop().await;
    for (name, bytes) in [("film", &film), ("note", &note)] {
        second.put_bytes("alice", name, b"something else").await;
        second.put_bytes("alice", name, bytes).await;
    }
    clone.shows("alice", "film", &film).await;
    clone.shows("alice", "note", &note).await;
}

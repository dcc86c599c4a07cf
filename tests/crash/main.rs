//! The real program, killed with SIGKILL at random moments.
//!
//! Rounds by `ZOTFERRY_CRASHES` (10), the seed by `ZOTFERRY_SEED`; both are printed.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod backup;
mod backup_dav;
mod chaos;
mod huge;
mod process;
mod secrets;

use std::path::Path;
use std::time::{Duration, Instant};

use process::{Dice, HubProcess, rounds, two_hubs};
use zotferry::local::{Get, Put, StatusOf};

/// Bytes that one group commit may cover: what a kill may cost at most.
const GROUP: u64 = 64 << 20;
/// Large enough that a kill lands in the middle of it.
const SIZE: u64 = 160 << 20;
/// Rounds with the same two hubs; then they begin anew, so that the disk does not fill.
const ROUNDS: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes of the file underway that are durable on a hub, and whether so many files are present and
/// no other is wanted.
async fn progress(hub: &HubProcess, files: u64) -> (u64, bool) {
    let Ok(status) = hub.client().ask(&StatusOf {}).await else { return (0, false) };
    let Some(channel) = status.channels.first() else { return (0, false) };
    (channel.underway, channel.present.files == files && channel.wanted.files == 0)
}

/// What `get` gives: nothing while the file is not whole, and then exactly its bytes.
async fn fetched(hub: &HubProcess, name: &str) -> Option<Vec<u8>> {
    let question = Get { channel: "alice".into(), path: format!("/{name}") };
    let mut incoming = hub.client().get(&question).await.ok()?;
    let mut bytes = Vec::new();
    while let Some(piece) = incoming.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    Some(bytes)
}

async fn put(hub: &HubProcess, path: &Path) {
    let question = Put { channel: "alice".into(), paths: vec![path.to_owned()], to: String::new() };
    let mut lines = hub.client().lines(&question).await.unwrap();
    while lines.next().await.unwrap().is_some() {}
}

/// Waits until the file is whole, and looks at each step that nothing else is visible.
async fn wait_whole(hub: &HubProcess, files: u64, name: &str, want: &[u8]) {
    let started = Instant::now();
    loop {
        let (_, whole) = progress(hub, files).await;
        match fetched(hub, name).await {
            Some(bytes) => {
                assert!(bytes == want, "{} bytes are visible that are not the file", bytes.len());
                return;
            }
            None => assert!(!whole, "the file is called present and cannot be read"),
        }
        assert!(started.elapsed() < PATIENCE, "{name} did not arrive");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_until_held(hub: &HubProcess, files: u64, bytes: u64) {
    let started = Instant::now();
    loop {
        let (held, whole) = progress(hub, files).await;
        if whole || held >= bytes {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "no progress beyond {held} bytes");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Victim {
    Receiver,
    Origin,
}

async fn survive(victim: Victim) {
    let (mut dice, all) = (Dice::new(), rounds());
    for first in (0..all).step_by(ROUNDS as usize) {
        survive_some(victim, &mut dice, ROUNDS.min(all - first)).await;
    }
}

async fn survive_some(victim: Victim, dice: &mut Dice, rounds: u32) {
    let dir = tempfile::tempdir().unwrap();
    let (mut origin, mut clone) = two_hubs(dir.path()).await;
    let mut served_before = 0;
    for round in 0..rounds {
        let name = format!("round-{round}");
        let path = dir.path().join(&name);
        let want = dice.noise(SIZE as usize);
        std::fs::write(&path, &want).unwrap();
        let killed_at = dice.below(SIZE);
        put(&origin, &path).await;
        wait_until_held(&clone, u64::from(round) + 1, killed_at).await;
        match victim {
            Victim::Receiver => clone = clone.kill_and_restart().await,
            Victim::Origin => origin = origin.kill_and_restart().await,
        }
        wait_whole(&clone, u64::from(round) + 1, &name, &want).await;
        let status = origin.client().ask(&StatusOf {}).await.unwrap();
        let served = status.running.unwrap().counts.bytes_served;
        let twice = match victim {
            Victim::Receiver => (served - served_before).saturating_sub(SIZE),
            Victim::Origin => {
                let status = clone.client().ask(&StatusOf {}).await.unwrap();
                let fetched = status.running.unwrap().counts.bytes_fetched;
                fetched.saturating_sub(SIZE * (u64::from(round) + 1))
            }
        };
        assert!(twice < GROUP * (u64::from(round) + 1), "round {round}: {twice} bytes came twice");
        if victim == Victim::Receiver {
            assert!(twice < GROUP, "round {round}: {twice} bytes came twice");
            served_before = served;
        }
        std::fs::remove_file(&path).unwrap();
    }
    clone.stop().await;
    origin.stop().await;
}

/// FETCH-34, QUEUE-2: a receiver that is killed goes on where it was; nothing half-done is visible.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_receiver_goes_on_where_it_was() {
    survive(Victim::Receiver).await;
}

/// QUEUE-5, FETCH-33: an origin that is killed is waited for, and nothing is fetched twice beyond
/// what was in flight.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_origin_is_waited_for() {
    survive(Victim::Origin).await;
}

/// FETCH-36: a byte that changed in the partial file while the hub was down is found, and its chunk
/// is fetched again.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_partial_file_is_found() {
    let mut dice = Dice::new();
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = two_hubs(dir.path()).await;
    let path = dir.path().join("file");
    let want = dice.noise(SIZE as usize);
    std::fs::write(&path, &want).unwrap();
    put(&origin, &path).await;
    wait_until_held(&clone, 1, SIZE / 2).await;
    let stopped = clone.kill();
    stopped.flip_partial(&mut dice);
    let clone = stopped.start().await;
    wait_whole(&clone, 1, "file", &want).await;
    clone.stop().await;
    origin.stop().await;
}

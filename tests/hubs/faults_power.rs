//! Power that goes at every single step of a transfer.

use std::sync::Arc;

use zotferry::catalog::LastStop;
use zotferry::hub::Hub;
use zotferry::storage::memory::MemoryStorage;
use zotferry::storage::{PartialKey, Storage};
use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::Manifest;
use zotferry_protocol::merkle;

use crate::craft::name_of;
use crate::harness::{MIB, Setup, noise, pair, until};

const SIZE: usize = 4 * MIB + 9;

/// FETCH-31: what the queue says is held is on the disk, whatever else is lost.
async fn held_is_durable(hub: &Hub, storage: &MemoryStorage, bytes: &[u8], root: Digest) {
    let manifest = Manifest::of(bytes.len() as u64).unwrap();
    let rows = hub.catalog.contents(&(1..100).collect::<Vec<_>>()).await.unwrap();
    let Some(row) = rows.iter().find(|row| row.root == root) else { return };
    let Some(bits) = hub.queue.held(row.id, 0).unwrap() else { return };
    let whole = storage.contains(&root).unwrap();
    let size = bytes.len() as u64;
    let partial = storage.partial(&PartialKey::wanted(row.channel, root, size), size).unwrap();
    for chunk in 0..manifest.chunks() {
        if bits[chunk as usize / 8] >> (chunk % 8) & 1 == 0 || whole {
            continue;
        }
        let span = manifest.span(ChunkNo(chunk)).unwrap();
        let mut found = vec![0; span.len as usize];
        let mut done = 0;
        while done < found.len() {
            let got = partial.read_at(span.offset + done as u64, &mut found[done..]).unwrap();
            assert!(got > 0, "chunk {chunk} is held and not on the disk");
            done += got;
        }
        let digest = merkle::leaf(&bytes[span.offset as usize..][..span.len as usize]);
        assert_eq!(merkle::leaf(&found), digest, "chunk {chunk} is held and wrong");
    }
}

/// FETCH-31, FETCH-33, FETCH-37: power may go after any step; what then counts as held is there, and
/// the file becomes whole. The hub even believes that it stopped cleanly, so nothing is read back.
#[tokio::test(flavor = "multi_thread")]
async fn power_may_go_at_any_step() {
    let mut step = 0;
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::default();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let setup = Setup { storage: Some(shared), ..Setup::default() };
    let (origin, mut clone) = pair(dir.path(), Setup::default(), setup).await;
    loop {
        let bytes = noise(step + 1, SIZE);
        storage.power_off_after(step);
        origin.put_bytes("alice", "film", &bytes).await;
        let root = name_of(&origin, "alice", "film").await.1;
        until("power went or the file came", async || {
            storage.is_off() || storage.contains(&root).is_ok_and(|here| here)
        })
        .await;
        let went = storage.is_off();
        let stopped = clone.stop().await;
        storage.crash();
        stopped.look(async |hub| held_is_durable(hub, &storage, &bytes, root).await).await;
        clone = stopped.start().await;
        clone.shows("alice", "film", &bytes).await;
        if !went {
            break;
        }
        step += 1;
    }
    assert!(step >= 5, "only {step} steps");
}

/// FETCH-33: after a failed sync the file is fetched again into a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_starts_the_file_again() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::default();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let setup = Setup { storage: Some(shared), ..Setup::default() };
    let (origin, clone) = pair(dir.path(), Setup::default(), setup).await;
    for times in [1, 3] {
        storage.fail_partial_syncs(times);
        let bytes = noise(u64::from(times), SIZE);
        origin.put_bytes("alice", "film", &bytes).await;
        clone.shows("alice", "film", &bytes).await;
    }
    assert!(clone.counts().chunks >= 4 * 5, "what was lost came again");
}

/// A storage that cannot keep anything any more ends the hub, not cleanly; nothing is fetched again
/// and again in vain, and once it is sound the file arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_breaks_down_stops_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::default();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let setup = Setup { storage: Some(shared), ..Setup::default() };
    let (origin, clone) = pair(dir.path(), Setup::proxied(), setup).await;
    let bytes = noise(3, 12 * MIB);
    origin.proxy().allow(6 * MIB as u64);
    origin.put_bytes("alice", "film", &bytes).await;
    until("some of it came", async || clone.counts().chunks > 0).await;
    assert_eq!(clone.hub().fault(), None);
    storage.break_down();
    until("the hub stops", async || clone.hub().stop.is_cancelled()).await;
    assert!(clone.hub().fault().is_some_and(|why| why.contains("storage")));
    let stopped = clone.stop().await;
    storage.crash();
    origin.proxy().allow_all();
    stopped.look(async |hub| assert_eq!(hub.catalog.last_stop(), LastStop::Unclean)).await;
    stopped.start().await.shows("alice", "film", &bytes).await;
}

//! Quotas and full disks: refused with a reason, and delivered when there is room.

use std::sync::Arc;

use zotferry::storage::Storage;
use zotferry::storage::memory::MemoryStorage;

use crate::harness::{MIB, Setup, TestHub, noise, pair, set, until};

/// Waits until the clone's refusal of an operation is on the origin's books.
async fn refused(origin: &TestHub, with: &str) {
    let channel = origin.channel("alice").await.id;
    until(&format!("refused with {with}"), async || {
        let reports = origin.hub().catalog.reports(channel, 10).await.unwrap();
        reports.iter().any(|report| report.status == with)
    })
    .await;
}

/// SYNC-12, SYNC-15, SYNC-29: what exceeds the quota is refused by name, the rest of its packet is
/// not, and when the quota is raised it arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_quota_waits_until_the_quota_is_raised() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let alice = clone.channel("alice").await.id;
    clone.hub().catalog.set_quota(alice, Some(MIB as u64)).await.unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("a film"), noise(1, 3 * MIB)).unwrap();
    std::fs::write(tree.join("note"), noise(2, 300)).unwrap();
    origin.put("alice", &tree).await;
    refused(&origin, "quota-exceeded").await;
    clone.has("alice", 1).await;
    assert!(clone.bytes("alice", &["tree", "note"]).await.unwrap() == noise(2, 300));
    assert_eq!(clone.bytes("alice", &["tree", "a film"]).await, None);
    clone.hub().catalog.set_quota(alice, None).await.unwrap();
    clone.has("alice", 2).await;
    assert!(clone.bytes("alice", &["tree", "a film"]).await.unwrap() == noise(1, 3 * MIB));
}

/// SYNC-13, SYNC-29: without disk space beyond the floor a file is refused, and it comes when the
/// floor is lowered.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_which_there_is_no_disk_waits_until_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let floor = |config: &mut toml::Table| set(config, "limits", "min_free_mib", 1_i64 << 40);
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::with(floor)).await;
    let film = noise(1, 3 * MIB);
    origin.put_bytes("alice", "film", &film).await;
    refused(&origin, "no-space").await;
    assert_eq!(clone.bytes("alice", &["film"]).await, None);
    let lower = |config: &mut toml::Table| set(config, "limits", "min_free_mib", 0);
    let clone = clone.stop().await.change(lower).start().await;
    clone.shows("alice", "film", &film).await;
}

/// QUEUE-1, FETCH-6: a disk that fills up in mid-transfer makes jobs wait with the reason; when there
/// is space again the rest is fetched, and only that.
async fn goes_on_when_there_is_space(clone: TestHub, origin: TestHub, full: impl Fn(bool)) {
    let alice = clone.channel("alice").await.id;
    clone.hub().catalog.set_paused(alice, true).await.unwrap();
    // One content for each way of keeping it: a large file, a file, a row.
    let (film, note, line) = (noise(1, 6 * MIB), noise(2, 200_000), noise(3, 60_000));
    origin.put_bytes("alice", "film", &film).await;
    origin.put_bytes("alice", "note", &note).await;
    origin.put_bytes("alice", "line", &line).await;
    until("it is announced", async || {
        clone.hub().catalog.channel(alice).await.unwrap().reserved == 6 * MIB as u64 + 260_000
    })
    .await;
    full(true);
    clone.hub().catalog.set_paused(alice, false).await.unwrap();
    clone.hub().tell_receiver();
    until("jobs failed", async || clone.hub().queue.counts(clone.hub().clock.now()).delayed > 0)
        .await;
    assert_eq!(clone.bytes("alice", &["film"]).await, None);
    full(false);
    clone.shows("alice", "line", &line).await;
    clone.shows("alice", "film", &film).await;
    clone.shows("alice", "note", &note).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_storage_delays_a_transfer() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::default();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let setup = Setup { storage: Some(shared), ..Setup::default() };
    let (origin, clone) = pair(dir.path(), Setup::default(), setup).await;
    goes_on_when_there_is_space(clone, origin, |full| {
        storage.set_capacity(full.then_some(100_000));
    })
    .await;
}

/// The same with a real file system, where this process may mount one.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_file_system_delays_a_transfer() {
    let dir = tempfile::tempdir().unwrap();
    let no_floor = |config: &mut toml::Table| set(config, "limits", "min_free_mib", 0);
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::with(no_floor)).await;
    let stopped = clone.stop().await;
    let Some(small) = SmallDisk::mount(&stopped.dir.join("storage")) else {
        println!("not checked: a file system could not be mounted");
        return;
    };
    let clone = stopped.start().await;
    let ballast = small.0.join("ballast");
    goes_on_when_there_is_space(clone, origin, |full| {
        if full {
            let file = std::fs::File::create(&ballast).unwrap();
            let mut bytes = 12 * MIB as u64;
            while rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)
                .is_err()
            {
                bytes -= 64 << 10;
            }
        } else {
            std::fs::remove_file(&ballast).unwrap();
        }
    })
    .await;
}

/// A file system of 12 MiB over an existing folder.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> Option<Self> {
        std::fs::remove_dir_all(at).unwrap();
        std::fs::create_dir(at).unwrap();
        let mounting = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs"])
            .arg(at)
            .output();
        mounting.is_ok_and(|done| done.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The hub may still have files open; lazily it goes when they are closed.
        std::process::Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

//! A file larger than any memory, most of it a hole.

use std::fs::File;
use std::os::unix::fs::FileExt;

use zotferry::local::{SetPaused, StatusOf};

use crate::process::{HubProcess, two_hubs};
use crate::{progress, put, wait_until_held};

const GIB: u64 = 1 << 30;
/// What a hub may take at its peak; built for tests it takes more than in use.
const MEMORY: u64 = 160 << 20;

/// Zeros, with different bytes at the beginning of each GiB.
fn sparse(path: &std::path::Path, size: u64) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for at in (0..size).step_by(GIB as usize) {
        file.write_all_at(&at.to_be_bytes(), at).unwrap();
    }
}

async fn peak(hub: &HubProcess) -> u64 {
    let status = hub.client().ask(&StatusOf {}).await.unwrap();
    status.running.unwrap().peak_rss.unwrap()
}

/// FILE-1, FILE-3: 64 GiB are put, and as much as the disk has room for begins to arrive; neither side's memory
/// grows with the size.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_64_gib_costs_no_more_memory_than_another() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = two_hubs(dir.path()).await;
    let pause = |paused| SetPaused { channel: "alice".into(), paused };
    clone.client().ask(&pause(true)).await.unwrap();
    let huge = dir.path().join("huge");
    sparse(&huge, 64 * GIB);
    put(&origin, &huge).await;
    let status = origin.client().ask(&StatusOf {}).await.unwrap();
    assert_eq!(status.channels[0].present.bytes, 64 * GIB);

    let free = rustix::fs::statvfs(dir.path()).map(|fs| fs.f_bavail * fs.f_frsize).unwrap();
    let size = (free / 4 / GIB).clamp(1, 64) * GIB;
    println!("the clone begins a file of {} GiB", size / GIB);
    let large = dir.path().join("large");
    sparse(&large, size);
    put(&origin, &large).await;
    clone.client().ask(&pause(false)).await.unwrap();
    wait_until_held(&clone, 1, 256 << 20).await;
    clone.client().ask(&pause(true)).await.unwrap();
    assert!(progress(&clone, 1).await.0 >= 256 << 20);
    for (hub, name) in [(&origin, "origin"), (&clone, "clone")] {
        let peak = peak(hub).await;
        println!("the {name}'s peak: {} MiB", peak >> 20);
        assert!(peak < MEMORY, "the {name} took {peak} bytes");
    }
    clone.stop().await;
    origin.stop().await;
}

//! Bulk work in few statements: a bound far above what it takes, far below a statement per file.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use zotferry_protocol::ids::PacketId;

use crate::catalog::testing::{Fixture, NOW, Numbering, entry, put, want};

const FILES: u64 = 10_000;

/// Ten thousand files are put, and ten thousand announced and received, in seconds on a busy machine.
#[tokio::test]
async fn ten_thousand_files_pass_quickly() {
    let hub = Fixture::create().await;
    let names: Vec<_> = (0..FILES).map(|n| format!("file {n}.txt")).collect();
    let started = Instant::now();
    let mut author = Numbering::default();
    for thousand in names.chunks(1000) {
        let puts = thousand.iter().zip(0..).map(|(name, n)| put(&["mirror", "docs", name], n, 9));
        hub.local_put(&hub.batch(puts.collect()), &mut author, NOW).await.expect("put");
    }
    for packet in 0..FILES.div_ceil(256) {
        let range = packet * 256..((packet + 1) * 256).min(FILES);
        let rows: Vec<_> =
            range.clone().map(|n| entry(&format!("r-{n}"), None, &format!("r {n}"))).collect();
        let hashes: Vec<_> = rows.iter().map(|row| row.hash.clone()).collect();
        let wants: Vec<_> = range.map(|n| want(&format!("r-{n}"), FILES + n, 9)).collect();
        let id = PacketId([u8::try_from(packet).expect("small"); 16]);
        let mut apply = hub.begin_apply().await.expect("writer");
        assert!(apply.replayed(&id).await.expect("read").is_none());
        assert!(apply.load(hub.alice, &hashes).await.expect("read").is_empty());
        apply.write(hub.alice, &rows, &HashMap::new(), NOW).await.expect("stored");
        let wanted = apply.want(hub.alice, hub.site_b, &wants, NOW).await.expect("wanted");
        apply.finish(&id, NOW, b"").await.expect("committed");
        let ids: Vec<_> = wanted.iter().map(|w| w.id).collect();
        hub.mark_present(&ids).await.expect("marked");
    }
    let mut after = 0;
    while after < FILES {
        after = hub.ops_after(hub.alice, after, 256).await.expect("read").through;
    }
    let took = started.elapsed();
    assert_eq!(hub.bytes().await, (2 * 9 * FILES, 0));
    assert!(took < Duration::from_secs(20), "took {took:?}");
}

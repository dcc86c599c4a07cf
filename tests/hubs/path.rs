//! The whole path: put on one hub, found on the other.

use crate::harness::{Change, MIB, Setup, blocked, noise, pair, unchanged};

async fn a_tree_arrives(change: Change) {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::with(change), Setup::default()).await;
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("sub/deeper")).unwrap();
    let sizes = [0, 1, 70_000, MIB - 1, MIB, MIB + 1, 5 * MIB + 1, 40 * MIB + 7];
    for (n, size) in sizes.into_iter().enumerate() {
        std::fs::write(tree.join(format!("sub/deeper/{n}")), noise(n as u64 + 1, size)).unwrap();
    }
    for n in 0..300u64 {
        std::fs::write(tree.join(format!("small {n}")), noise(n + 100, 100 + n as usize)).unwrap();
    }
    origin.put("alice", &tree).await;
    clone.has("alice", 308).await;
    for (n, size) in sizes.into_iter().enumerate() {
        let name = n.to_string();
        let path = ["tree", "sub", "deeper", &name];
        assert_eq!(clone.bytes("alice", &path).await.unwrap(), noise(n as u64 + 1, size), "{size}");
    }
    let small = clone.bytes("alice", &["tree", "small 299"]).await;
    assert_eq!(small.unwrap(), noise(399, 399));
    let counts = clone.hub().metrics.counts();
    assert_eq!(counts.bytes_fetched_twice, 0);
    let bytes: usize = sizes.iter().sum::<usize>() + (0..300).map(|n| 100 + n).sum::<usize>();
    assert_eq!(counts.bytes_fetched, bytes as u64, "no byte is fetched that is not needed");
    clone.service.stop().await.unwrap();
    origin.service.stop().await.unwrap();
}

/// SYNC-3, STREAM-4: a tree put on one hub is on the other, by stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_by_stream() {
    a_tree_arrives(unchanged).await;
}

/// STREAM-9, FETCH-8: where streams are unavailable it arrives by numbered chunks.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_by_chunks() {
    a_tree_arrives(blocked).await;
}

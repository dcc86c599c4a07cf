//! What is kept of content that was replaced.

use crate::harness::{Setup, noise, pair, until};
use zotferry::sweep::sweep;

/// FETCH-47: replaced content is kept while a clone has not heard of the new one, and goes after.
#[tokio::test(flavor = "multi_thread")]
async fn replaced_content_goes_when_every_clone_has_heard() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let file = dir.path().join("notes");
    std::fs::write(&file, noise(1, 3 << 20)).unwrap();
    origin.put("alice", &file).await;
    clone.has("alice", 1).await;
    let channel = origin.channel("alice").await.id;
    let root = async || {
        let entry = origin.hub().catalog.by_path(channel, &["notes"]).await.unwrap();
        entry.unwrap().root.unwrap()
    };
    let old = root().await;
    std::fs::write(&file, noise(2, 3 << 20)).unwrap();
    let clone = clone.stop().await;
    origin.put("alice", &file).await;
    assert_eq!(sweep(origin.hub(), 0).await.unwrap(), 0, "the clone has not heard");
    assert!(origin.hub().storage.contains(&old).unwrap());
    let clone = clone.start().await;
    until("the clone has heard", async || {
        origin.hub().catalog.lagging(origin.hub().site).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(sweep(origin.hub(), 0).await.unwrap(), 1);
    assert!(!origin.hub().storage.contains(&old).unwrap());
    assert!(origin.hub().storage.contains(&root().await).unwrap());
    clone.has("alice", 1).await;
}

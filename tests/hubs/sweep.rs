//! What is kept of content that was replaced.

use bytes::Bytes;
use zotferry::hub::Hub;
use zotferry::storage::PartialKey;
use zotferry::sweep::{KEPT, sweep, sweep_unfinished};
use zotferry_protocol::ids::{Digest, Role};
use zotferry_protocol::packets::{ManifestItem, ManifestRequest, Packet};
use zotferry_protocol::refusal::Code;

use crate::craft::name_of;
use crate::dav_client::Client;
use crate::harness::{Setup, TestHub, noise, pair, until};

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

    // FETCH-29: it was here, and need not be asked for again.
    let (resource, _) = name_of(&origin, "alice", "notes").await;
    let item = ManifestItem { resource, role: Role::File, root: old, first: 0, count: 1 };
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let ask = ManifestRequest { items: vec![item] }.into();
    let answer = clone.hub().call(&peer, &alice.portable_id, &ask, None).await.unwrap();
    let Packet::ManifestPages(pages) = &*answer else { panic!("a {}", answer.kind()) };
    assert_eq!((pages.pages.len(), pages.refused[0].code.0), (0, Code::Gone.number()));
}

/// FETCH-48, SYNC-47: what a file was before goes early when it takes much of the quota, but not while a clone has not heard;
/// until then no more is taken than twice the quota, from here or from elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn replaced_content_goes_early_when_it_takes_too_much_room() {
    const SIZE: usize = 300 << 10;
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let (here, there) = (origin.channel("alice").await.id, clone.channel("alice").await.id);
    origin.hub().catalog.set_quota(here, Some(SIZE as u64)).await.unwrap();
    clone.hub().catalog.set_quota(there, Some(2 * SIZE as u64)).await.unwrap();
    let dav = Client::of(&origin, "alice").await;
    assert_eq!(dav.put("notes", &noise(1, SIZE)).await, 201);
    clone.shows("alice", "notes", &noise(1, SIZE)).await;
    let clone = clone.stop().await;
    assert_eq!(dav.put("notes", &noise(2, SIZE)).await, 204);
    assert_eq!(dav.put("notes", &noise(3, SIZE)).await, 507, "it is kept for the clone");
    assert_eq!(dav.put("notes", &noise(3, 10)).await, 507, "also what fits into memory");
    assert_eq!(sweep(origin.hub(), KEPT).await.unwrap(), 0, "the clone has not heard");
    let clone = clone.start().await;
    let heard = async |hub: &TestHub| {
        until("the other has heard", async || {
            hub.hub().catalog.lagging(hub.hub().site).await.unwrap().is_empty()
        })
        .await;
    };
    for n in 2..5 {
        clone.shows("alice", "notes", &noise(n, SIZE)).await;
        heard(&origin).await;
        assert_eq!(sweep(origin.hub(), KEPT).await.unwrap(), 1);
        assert_eq!(dav.put("notes", &noise(n + 1, SIZE)).await, 204);
    }
    // The clone keeps three, and a fourth would be more than twice its quota.
    until("it is refused there", async || {
        let reports = origin.hub().catalog.reports(here, 10).await.unwrap();
        reports.iter().any(|report| report.status == Code::QuotaExceeded.word())
    })
    .await;
    heard(&clone).await;
    assert_eq!(sweep(clone.hub(), KEPT).await.unwrap(), 2);
    clone.shows("alice", "notes", &noise(5, SIZE)).await;
}

/// What a crash left of an upload is gone after the next start; what was begun of a file that is to be fetched stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_of_uploads_goes() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await.stop().await;
    let wanted = PartialKey::wanted(1, Digest([7; 32]), 10);
    let begin = |hub: &Hub, key: PartialKey| {
        let partial = hub.storage.partial(&key, 10).unwrap();
        partial.write_at(0, &[Bytes::from_static(b"0123456789")]).unwrap();
    };
    hub.look(async |hub| {
        for key in [PartialKey::staging(), PartialKey::staging(), wanted] {
            begin(hub, key);
        }
        assert_eq!(sweep_unfinished(hub).await.unwrap(), 2);
        assert_eq!(hub.storage.partials().unwrap(), [wanted]);
        begin(hub, PartialKey::staging());
    })
    .await;
    let hub = hub.start().await;
    let left = hub.hub().storage.partials().unwrap();
    assert!(!left.iter().any(|key| matches!(key, PartialKey::Staging(_))), "{left:?}");
}

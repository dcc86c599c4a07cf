//! A file that gets other content while a clone fetches it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zotferry_protocol::ids::Role;
use zotferry_protocol::packets::StreamRequest;

use crate::craft::name_of;
use crate::harness::{MIB, Setup, blocked, noise, pair, until};

async fn the_clone_ends_with_the_new_content(clone: Setup) {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), clone).await;
    let (old, mut new) = (noise(1, 16 * MIB), noise(2, 16 * MIB + 3));
    new[..4 * MIB].copy_from_slice(&old[..4 * MIB]);
    origin.proxy().allow(8 * MIB as u64);
    origin.put_bytes("alice", "film", &old).await;
    until("some chunks are here", async || clone.counts().chunks >= 3).await;
    let (resource, old_root) = name_of(&origin, "alice", "film").await;
    origin.put_bytes("alice", "film", &new).await;
    until("the clone has heard", async || name_of(&clone, "alice", "film").await.1 != old_root)
        .await;
    assert_eq!(clone.bytes("alice", &["film"]).await, None, "no mixture is to be seen");
    origin.proxy().allow_all();
    clone.shows("alice", "film", &new).await;

    until("the old content is out of hand", async || {
        let counts = clone.hub().queue.counts(clone.hub().clock.now());
        clone.service.receiver.progress().is_empty()
            && counts.due + counts.delayed + counts.leased == 0
    })
    .await;
    assert_eq!(clone.hub().storage.partials().unwrap(), [], "nothing half-done stays on disk");
    assert!(!clone.hub().storage.contains(&old_root).unwrap());

    // FETCH-29: who has not heard yet may still finish with the old content.
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let path = format!("/zot/file/{resource}/file/{old_root}");
    let ask = StreamRequest { resource, role: Role::File, root: old_root };
    let sealed = clone.hub().seal(&peer, &alice.portable_id, ask.into(), None).await.unwrap();
    let headers = [("authorization", format!("Zot {}", URL_SAFE_NO_PAD.encode(&sealed.bytes)))];
    let served = clone.hub().transport.fetch(&peer.url, &path, &headers).await.unwrap();
    assert!(served.bytes().await.unwrap() == old);
}

/// SYNC-9, FETCH-37: by streams.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_replaced_while_it_is_streamed_arrives_in_its_new_form() {
    the_clone_ends_with_the_new_content(Setup::default()).await;
}

/// SYNC-9, FETCH-37: by chunks.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_replaced_while_its_chunks_come_arrives_in_its_new_form() {
    the_clone_ends_with_the_new_content(Setup::with(blocked)).await;
}

//! Only a clone gets anything, and only what it may ask for.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zotferry::catalog::NewSite;
use zotferry::hub::Peer;
use zotferry_protocol::envelope::{Draft, MAX_LIFE, Party, seal};
use zotferry_protocol::frames::{FrameEvent, FrameReader};
use zotferry_protocol::ids::{PacketId, Role};
use zotferry_protocol::packets::{CloneSync, Locations, Packet, StreamRequest};
use zotferry_protocol::refusal::Code;

use crate::craft::{begin, chunks, name_of, post, put_operation};
use crate::harness::{MIB, Setup, TestHub, noise, pair};

/// Origin and clone of `alice` with one file, and a third hub that the origin knows as a clone of
/// `bob`.
async fn three(dir: &std::path::Path) -> (TestHub, TestHub, TestHub) {
    let (origin, clone) = pair(dir, Setup::default(), Setup::default()).await;
    origin.put_bytes("alice", "diary", &noise(1, 2 * MIB)).await;
    origin.create_channel("bob").await;
    let other = TestHub::build(dir, "other", Setup::default()).await;
    other.clone_channel(&origin, "bob").await;
    other.is_clone_of(&origin, "bob").await;
    (origin, clone, other)
}

/// SIGN-3, REF-3: who is not known gets an unsigned hint and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_hub_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    origin.put_bytes("alice", "diary", &noise(1, 2 * MIB)).await;
    clone.has("alice", 1).await;
    let served = origin.counts().bytes_served;
    let stranger = TestHub::build(dir.path(), "stranger", Setup::default()).await;
    let site = NewSite {
        site_id: origin.hub().site_id.clone(),
        url: origin.hub().config.url.to_string(),
        key_pem: origin.hub().site_key.public().pem().to_owned(),
    };
    let row = stranger.hub().catalog.upsert_site(&site).await.unwrap();
    let peer = stranger.hub().peer(row).await.unwrap().unwrap();
    let alice = origin.channel("alice").await.portable_id;
    let (resource, root) = name_of(&origin, "alice", "diary").await;
    let ask = stranger.hub().seal(&peer, &alice, chunks(resource, root, 1), None).await.unwrap();
    let said = post(&origin, ask.bytes).await;
    assert_eq!((said.status, &*said.content_type), (401, "text/plain; charset=utf-8"));
    assert!(said.body.starts_with(b"20 unknown-location"), "{:?}", said.body);
    assert_eq!(origin.counts().bytes_served, served);
}

/// SYNC-1, FETCH-28, PKT-13: a hub that is a clone of another channel gets nothing of this one, in whosever
/// name it asks.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_of_another_channel_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone, other) = three(dir.path()).await;
    clone.has("alice", 1).await;
    let served = origin.counts().bytes_served;
    let peer = other.peer(&origin).await;
    let (alice, bob) = (origin.channel("alice").await, other.channel("bob").await);
    let (resource, root) = name_of(&origin, "alice", "diary").await;
    let ask = chunks(resource, root, 1);

    let as_alice = other.hub().seal(&peer, &alice.portable_id, ask.clone(), None).await.unwrap();
    let said = post(&origin, as_alice.bytes.clone()).await;
    assert_eq!(said.refusal(&other, &peer, &as_alice), Code::NotAClone);

    let party = |hub, channel| Party { hub, channel };
    let draft = Draft {
        id: PacketId([7; 16]),
        from: party(other.hub().site_id.clone(), bob.portable_id.clone()),
        to: party(origin.hub().site_id.clone(), alice.portable_id.clone()),
        at: other.hub().clock.now(),
        life: MAX_LIFE,
        answers: None,
    };
    let mixed = seal(draft, &ask, &*other.hub().site_key, None).unwrap();
    assert_eq!(post(&origin, mixed.into()).await.status, 403);

    let as_bob = other.hub().seal(&peer, &bob.portable_id, ask, None).await.unwrap();
    let mut said = post(&origin, as_bob.bytes).await;
    let first = FrameReader::new().feed(&mut said.body).unwrap();
    let refused = Code::UnknownResource.number();
    assert!(matches!(first, Some(FrameEvent::Refused { code, .. }) if code == refused));
    assert_eq!(origin.counts().bytes_served, served);
}

/// SYNC-1, FETCH-9: a location that was taken away gets nothing more, not even by a capability that
/// was shown before.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_location_gets_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone, _other) = three(dir.path()).await;
    let alice = clone.channel("alice").await;
    let peer = clone.peer(&origin).await;
    let (resource, root) = name_of(&origin, "alice", "diary").await;
    let ask = chunks(resource, root, 2);
    let shown = clone.hub().seal(&peer, &alice.portable_id, ask, None).await.unwrap();
    assert_eq!(post(&origin, shown.bytes.clone()).await.status, 200);

    clone.hub().state_location(&alice, false, true).await.unwrap();
    let own = clone.hub().own_location(&alice).await.unwrap();
    let news =
        Packet::from(Locations { records: own.into_iter().collect(), ..Locations::default() });
    clone.hub().call(&peer, &alice.portable_id, &news, None).await.unwrap();
    let served = origin.counts().bytes_served;
    let said = post(&origin, shown.bytes.clone()).await;
    assert_eq!(said.refusal(&clone, &peer, &shown), Code::NotAClone);
    assert_eq!(origin.counts().bytes_served, served);
}

/// SIGN-9, SIGN-17, PKT-11: a packet that comes twice is answered as the first time, byte by byte, and does nothing
/// again. SIGN-4: one that was changed on the way is not even answered by name.
#[tokio::test(flavor = "multi_thread")]
async fn a_packet_counts_once_and_only_unaltered() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let sync = CloneSync { operations: vec![put_operation(1, "empty", b"")] };
    let sealed = clone.hub().seal(&peer, &alice.portable_id, sync.into(), None).await.unwrap();
    for at in [sealed.bytes.len() / 4, sealed.bytes.len() / 2] {
        let mut altered = sealed.bytes.to_vec();
        altered[at] ^= 1;
        let said = post(&origin, altered.into()).await;
        assert!((400..500).contains(&said.status), "{}", said.status);
        assert_eq!(said.content_type, "text/plain; charset=utf-8", "not signed");
    }
    let first = post(&origin, sealed.bytes.clone()).await;
    let again = post(&origin, sealed.bytes.clone()).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert!(first.body == again.body, "another answer");
    assert!(matches!(first.signed(&clone, &peer, &sealed), Packet::SyncReport(_)));
}

/// SIGN-6: a capability that has expired is refused, signed and with the refuser's clock.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_capability_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone, _other) = three(dir.path()).await;
    let alice = clone.channel("alice").await;
    let now = clone.peer(&origin).await;
    let long_ago = Peer { clock_offset: -3_600_000, ..now.clone() };
    let (resource, root) = name_of(&origin, "alice", "diary").await;
    let ask = chunks(resource, root, 1);
    let expired = clone.hub().seal(&long_ago, &alice.portable_id, ask, None).await.unwrap();
    let said = post(&origin, expired.bytes.clone()).await;
    match said.signed(&clone, &now, &expired) {
        Packet::Refusal(refusal) => {
            assert_eq!(refusal.code, Code::Stale);
            assert!(refusal.clock.0.abs_diff(origin.hub().clock.now().0) < 60_000);
        }
        other => panic!("a {} instead of a refusal", other.kind()),
    }
}

/// FETCH-25, FETCH-26, SIGN-15: of nine presentations at once the ninth is refused; when one has ended there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_ninth_presentation_at_once_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    origin.put_bytes("alice", "film", &noise(1, 24 * MIB)).await;
    clone.has("alice", 1).await;
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let (resource, root) = name_of(&origin, "alice", "film").await;
    let ask = chunks(resource, root, 24);
    let shown = clone.hub().seal(&peer, &alice.portable_id, ask, None).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..8 {
        let response = begin(&origin, shown.bytes.clone()).await;
        assert_eq!(response.status(), 200);
        open.push(response);
    }
    let ninth = post(&origin, shown.bytes.clone()).await;
    assert_eq!(ninth.status, 429);
    assert_eq!(ninth.refusal(&clone, &peer, &shown), Code::TooMany);
    open.clear();
    crate::harness::until("there is room again", async || {
        begin(&origin, shown.bytes.clone()).await.status() == 200
    })
    .await;
}

/// STREAM-2: a packet for one stream opens no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_request_opens_its_own_stream_only() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone, _other) = three(dir.path()).await;
    origin.put_bytes("alice", "letter", &noise(2, MIB + 1)).await;
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let (resource, root) = name_of(&origin, "alice", "letter").await;
    let (secret, secret_root) = name_of(&origin, "alice", "diary").await;
    let ask = StreamRequest { resource: resource.clone(), role: Role::File, root };
    let sealed = clone.hub().seal(&peer, &alice.portable_id, ask.into(), None).await.unwrap();
    let authorization = format!("Zot {}", URL_SAFE_NO_PAD.encode(&sealed.bytes));
    let hub = Arc::clone(clone.hub());
    let get = async |path: String| {
        let headers = [("authorization", authorization.clone())];
        let response = hub.transport.fetch(&peer.url, &path, &headers).await.unwrap();
        response.status().as_u16()
    };
    assert_eq!(get(format!("/zot/file/{resource}/file/{root}")).await, 200);
    assert_eq!(get(format!("/zot/file/{secret}/file/{secret_root}")).await, 400);
    assert_eq!(get(format!("/zot/file/{resource}/file/{secret_root}")).await, 400);
    assert_eq!(get(format!("/zot/file/{resource}/photo-4/{root}")).await, 400);
}

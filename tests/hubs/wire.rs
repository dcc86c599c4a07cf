//! What travels between two hubs, looked at from outside: HTTP, answers, capabilities, introductions.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use zotferry::catalog::LocationState;
use zotferry::channels;
use zotferry::transport::{FRAMES_TYPE, PACKET_TYPE};
use zotferry_protocol::codec::MAX_PACKET;
use zotferry_protocol::envelope::open;
use zotferry_protocol::frames::{FrameEvent, FrameReader};
use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::ids::{Digest, ResourceId, Role};
use zotferry_protocol::packets::{
    Challenge, CloneSync, ManifestItem, ManifestRequest, OpStatus, Operation, Packet, PresentData,
    StreamRequest, SyncReport,
};
use zotferry_protocol::refusal::Code;

use crate::craft::{chunks, name_of, put_operation};
use crate::harness::{MIB, Setup, TestHub, blocked, noise, pair, set, until};
use crate::proxy::{Fault, Kind};

/// PKT-10, SIGN-2: a packet is the body of `POST /zot` with its type alone, and names its signer twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_packet_is_posted_with_its_type() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = BaseUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (send, mut came) = mpsc::channel(1);
    let router = Router::new().fallback(async move |request: Request| {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        send.send((head, body)).await.unwrap();
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let nonce = Packet::from(Challenge { nonce: Digest([1; 32]) });
    let sealed = clone.hub().seal(&peer, &alice.portable_id, nonce, None).await.unwrap();
    clone.hub().transport.post(&url, sealed.bytes.clone(), &[]).await.unwrap();
    let (head, body) = came.recv().await.unwrap();
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/zot"));
    assert_eq!(head.headers["content-type"], "application/x-zot+msgpack");
    assert_eq!(body, sealed.bytes);
    let envelope = open(&body).unwrap();
    assert_eq!(*envelope.key(), clone.hub().site_id);
    let own_key = clone.hub().site_key.public();
    let authentic = envelope.authenticate(own_key, &origin.hub().site_id).unwrap();
    assert_eq!(authentic.header().from.hub, clone.hub().site_id);
}

/// PKT-14, STREAM-14: anybody may ask what a hub speaks; one that does not stream says so, and answers 404.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_says_what_it_speaks() {
    let dir = tempfile::tempdir().unwrap();
    let streams = async |hub: &TestHub| {
        let url = hub.hub().config.url.clone();
        let answer = reqwest::get(url.join("/.well-known/zot-file")).await.unwrap();
        let text: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(text["site_id"], hub.hub().site_id.as_str());
        let path = format!("/zot/file/a/file/{}", Digest([0; 32]));
        let status = reqwest::get(url.join(&path)).await.unwrap().status().as_u16();
        (text["streams"].clone(), status)
    };
    let hub = TestHub::build(dir.path(), "streams", Setup::default()).await;
    assert_eq!(streams(&hub).await, ("/zot/file/{resource}/{role}/{root}".into(), 401));
    let hub = TestHub::build(dir.path(), "blocked", Setup::with(blocked)).await;
    let (named, status) = streams(&hub).await;
    assert!(named.is_null(), "{named}");
    assert!([401, 404].contains(&status), "{status}");
}

/// PKT-3, REF-3: a body that is too large gets the hint that says so, whatever is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_is_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    let url = hub.hub().config.url.join("/zot");
    for (size, hint) in [(MAX_PACKET + 1, "11 too-large: "), (MAX_PACKET, "10 malformed: ")] {
        let post = reqwest::Client::new().post(url.as_str()).body(vec![0xc1; size]);
        let answer = post.header("content-type", PACKET_TYPE).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status, if size > MAX_PACKET { 413 } else { 400 }, "{text}");
        assert!(text.starts_with(hint), "{text}");
    }
}

/// FETCH-22, FETCH-23, FETCH-24: frames come with 200, stop at what the asker allows, and a header of another form
/// is refused.
#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_presentation_are_kept_to() {
    let dir = tempfile::tempdir().unwrap();
    let limit = |config: &mut toml::Table| set(config, "limits", "response_bytes", 100_000);
    let (origin, clone) = pair(dir.path(), Setup::with(limit), Setup::default()).await;
    origin.put_bytes("alice", "letter", &noise(1, MIB)).await;
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let (resource, root) = name_of(&origin, "alice", "letter").await;
    let ask = chunks(resource, root, 1);
    let shown = clone.hub().seal(&peer, &alice.portable_id, ask, None).await.unwrap();
    let present = async |name: &'static str, value: &str| {
        let headers = [(name, value.to_owned())];
        let sent = clone.hub().transport.post(&peer.url, shown.bytes.clone(), &headers).await;
        sent.unwrap()
    };
    for (allowed, given) in [("70000", 70_000), ("0", 0), ("99999999", 100_000)] {
        let answer = present("zot-max-bytes", allowed).await;
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()["content-type"], FRAMES_TYPE);
        assert!(!answer.headers().contains_key("content-encoding"));
        assert_eq!(payload(answer.bytes().await.unwrap()), given, "{allowed}");
    }
    for wrong in ["-1", "+1", "1.0", "", "18446744073709551616"] {
        let answer = present("zot-max-bytes", wrong).await;
        assert_eq!(answer.status().as_u16(), 400, "{wrong:?}");
        let text = answer.text().await.unwrap();
        assert!(text.starts_with("14 bad-field: "), "{wrong:?}: {text}");
    }
    for wrong in ["0", "1:2:3", "0:-1", ":"] {
        assert_eq!(present("zot-resume", wrong).await.status().as_u16(), 400, "{wrong:?}");
    }
}

/// Content bytes in a response.
fn payload(mut body: Bytes) -> usize {
    let mut reader = FrameReader::new();
    let mut sum = 0;
    while let Some(event) = reader.feed(&mut body).unwrap() {
        match event {
            FrameEvent::Data(bytes) => sum += bytes.len(),
            FrameEvent::End(_) => break,
            FrameEvent::Header { .. } | FrameEvent::Refused { .. } => {}
        }
    }
    sum
}

/// FETCH-19: an answer that is no frames ends there, and is asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_ends_a_response() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    origin.proxy().rule(|kind, n| match (kind, n) {
        (Kind::Frames, 0) => Fault::Answer(200, FRAMES_TYPE, "these are no frames"),
        _ => Fault::None,
    });
    origin.put_bytes("alice", "letter", &noise(1, 300_000)).await;
    clone.shows("alice", "letter", &noise(1, 300_000)).await;
    assert!(origin.proxy().answers(Kind::Frames) > 1);
    assert_eq!(clone.counts().bytes_fetched, 300_000);
}

/// FETCH-51, FETCH-52: pages come in the order of the request, with their path; what cannot be had is named.
#[tokio::test(flavor = "multi_thread")]
async fn pages_come_in_order_and_what_cannot_be_had_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    for (n, name) in (1..).zip(["film", "song"]) {
        origin.put_bytes("alice", name, &noise(n, 33 * MIB)).await;
    }
    let mut items = Vec::new();
    for (name, first) in [("song", 0), ("film", 1), ("film", 0)] {
        let (resource, root) = name_of(&origin, "alice", name).await;
        items.push(ManifestItem { resource, role: Role::File, root, first, count: 1 });
    }
    let unknown = ResourceId::new("unknown").unwrap();
    items.insert(1, ManifestItem { resource: unknown, ..items[0].clone() });
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let ask = ManifestRequest { items: items.clone() }.into();
    let answer = clone.hub().call(&peer, &alice.portable_id, &ask, None).await.unwrap();
    let Packet::ManifestPages(pages) = &*answer else { panic!("a {}", answer.kind()) };
    let came: Vec<_> = pages.pages.iter().map(|p| (p.item, p.page, p.digests.len())).collect();
    assert_eq!(came, [(0, 0, 33 * 32), (3, 0, 33 * 32)]);
    let refused: Vec<_> = pages.refused.iter().map(|r| (r.item, r.code.0)).collect();
    assert_eq!(refused, [(1, Code::UnknownResource.number()), (2, Code::BadRange.number())]);
}

/// STREAM-1, STREAM-3: one request opens any ranges of its content, several at once.
#[tokio::test(flavor = "multi_thread")]
async fn one_request_opens_many_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let bytes = noise(1, 3 * MIB);
    origin.put_bytes("alice", "film", &bytes).await;
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let (resource, root) = name_of(&origin, "alice", "film").await;
    let path = format!("/zot/file/{resource}/file/{root}");
    let ask = StreamRequest { resource, role: Role::File, root };
    let sealed = clone.hub().seal(&peer, &alice.portable_id, ask.into(), None).await.unwrap();
    let get = async |first: usize, last: usize| {
        let headers = [
            ("authorization", format!("Zot {}", URL_SAFE_NO_PAD.encode(&sealed.bytes))),
            ("range", format!("bytes={first}-{last}")),
        ];
        let answer = clone.hub().transport.fetch(&peer.url, &path, &headers).await.unwrap();
        assert_eq!(answer.status().as_u16(), 206);
        assert!(answer.bytes().await.unwrap() == bytes[first..=last], "{first} to {last}");
    };
    tokio::join!(get(0, MIB - 1), get(MIB, 3 * MIB - 1), get(5, 5));
}

/// STREAM-8: files of one chunk come in bundles, not one by one.
#[tokio::test(flavor = "multi_thread")]
async fn small_files_do_not_stream() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for n in 0..60 {
        std::fs::write(tree.join(n.to_string()), noise(n + 1, 5_000)).unwrap();
    }
    origin.put("alice", &tree).await;
    clone.has("alice", 60).await;
    assert_eq!(origin.proxy().answers(Kind::Stream), 0);
    let frames = origin.proxy().answers(Kind::Frames);
    assert!(frames < 20, "{frames} answers for 60 files");
}

/// PKT-21, SYNC-27, SYNC-28: an operation that comes again is a duplicate, and a register whose version is not newer
/// stays as it is, whatever comes under that version.
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_comes_again_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let (peer, alice) = (origin.peer(&clone).await, origin.channel("alice").await);
    let send = async |operation: &Operation| {
        let packet = Packet::from(CloneSync { operations: vec![operation.clone()] });
        let answer = origin.hub().call(&peer, &alice.portable_id, &packet, None).await.unwrap();
        let Packet::SyncReport(report) = &*answer else { panic!("a {}", answer.kind()) };
        assert_eq!(report.operations[0].id, operation.id);
        report.operations[0].status
    };
    let mut operation = put_operation(1, "note", b"");
    operation.attach[0].row.allow_cid = "<me>".to_owned();
    assert_eq!(send(&operation).await, OpStatus::Stored);
    assert_eq!(send(&operation).await, OpStatus::Duplicate);
    // SYNC-42: of two values under one version the larger counts; these are smaller.
    operation.attach[0].row.filename = "forged".to_owned();
    operation.attach[0].row.allow_cid = "<everybody>".to_owned();
    assert_eq!(send(&operation).await, OpStatus::Duplicate);
    let channel = clone.channel("alice").await.id;
    let entry = clone.hub().catalog.by_path(channel, &["note"]).await.unwrap().unwrap();
    assert_eq!((entry.filename.as_str(), entry.allow_cid.as_str()), ("note", "<me>"));
    assert_eq!(entry.op_id, operation.id);
}

/// SYNC-10: what is wanted is not reported as present; what has arrived is.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_has_arrived_is_reported_as_present() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let (here, there) = (origin.channel("alice").await.id, clone.channel("alice").await.id);
    let site = origin.peer(&clone).await.row;
    clone.hub().catalog.set_paused(there, true).await.unwrap();
    origin.put_bytes("alice", "film", &noise(1, 2 * MIB)).await;
    origin.put_bytes("alice", "empty", b"").await;
    let present = async || origin.present_at("alice", site).await;
    until("both operations were answered", async || {
        let channel = origin.channel("alice").await;
        let locations = origin.hub().catalog.locations(here).await.unwrap();
        locations.iter().any(|l| l.site == site && l.acked_seq == channel.seq)
    })
    .await;
    assert!(present().await < 2, "a film that has not come was reported");
    clone.hub().catalog.set_paused(there, false).await.unwrap();
    clone.hub().tell_receiver();
    until("both are reported", async || present().await == 2).await;
}

/// SYNC-11: reports of contents that no entry has are not kept.
#[tokio::test(flavor = "multi_thread")]
async fn reports_of_unknown_contents_fill_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    origin.put_bytes("alice", "note", b"known").await;
    let site = origin.peer(&clone).await.row;
    let present = async || origin.present_at("alice", site).await;
    until("the clone reports what it has", async || present().await == 1).await;
    let (resource, _) = name_of(&origin, "alice", "note").await;
    let made_up =
        |n: u8| PresentData { resource: resource.clone(), role: Role::File, root: Digest([n; 32]) };
    let report = SyncReport { operations: Vec::new(), present: (0..200).map(made_up).collect() };
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    clone.hub().call(&peer, &alice.portable_id, &report.into(), None).await.unwrap();
    assert_eq!(present().await, 1);
}

/// ID-13, ID-18, ID-22, ID-23: a hub that may not be challenged is not listed. It may say where the channel lives, learns
/// where else it does, and gets its challenge answered; nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_not_listed_may_introduce_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = |config: &mut toml::Table| {
        set(config, "network", "allow", toml::Value::Array(Vec::new()));
    };
    let origin = TestHub::build(dir.path(), "origin", Setup::with(nobody)).await;
    let clone = TestHub::build(dir.path(), "clone", Setup::default()).await;
    origin.create_channel("alice").await;
    origin.put_bytes("alice", "diary", &noise(1, 1000)).await;
    let alice = clone.clone_channel(&origin, "alice").await;
    let own = clone.hub().own_location(&alice).await.unwrap();
    let shown = clone.hub().introduction(&alice).await.unwrap();
    let peer = clone.peer(&origin).await;
    let ask = async |packet: Packet| {
        clone.hub().call(&peer, &alice.portable_id, &packet, shown.as_ref()).await
    };
    let nonce = Challenge { nonce: Digest([5; 32]) };
    assert!(
        matches!(&*ask(nonce.clone().into()).await.unwrap(), Packet::Challenge(n) if *n == nonce)
    );
    let records = own.iter().cloned().collect();
    let answer =
        ask(zotferry_protocol::packets::Locations { records, ..Default::default() }.into())
            .await
            .unwrap();
    let Packet::Locations(known) = &*answer else { panic!("a {}", answer.kind()) };
    let known: BTreeSet<_> = known.records.iter().map(zotferry_protocol::codec::encode).collect();
    let rows = origin.hub().catalog.locations(origin.channel("alice").await.id).await.unwrap();
    assert_eq!(known, rows.iter().map(|row| row.record.clone()).collect());
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().any(|row| row.state == LocationState::Pending), "it did not prove itself");
    let (resource, root) = name_of(&origin, "alice", "diary").await;
    for packet in [
        chunks(resource, root, 1),
        CloneSync { operations: vec![put_operation(1, "x", b"")] }.into(),
    ] {
        let refused = ask(packet).await.map(drop).unwrap_err();
        // Once the origin has tried, in vain, it says so (ID-14).
        let codes = [Code::NotAClone, Code::ChallengeFailed];
        assert!(codes.into_iter().any(|code| refused.is(code)), "{refused}");
    }
}

/// ID-6, ID-20: a new channel has a key of 4096 bits, and each hub that it comes to a replica of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_has_a_strong_key_and_a_replica_on_each_hub() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TestHub::build(dir.path(), "origin", Setup::default()).await;
    let clone = TestHub::build(dir.path(), "clone", Setup::default()).await;
    let made = channels::create(origin.hub(), "alice").await.unwrap();
    // A public key of 4096 bits is 550 bytes of DER; one of 3072 bits is 422.
    let base64: usize = made.public_pem.lines().filter(|l| !l.starts_with('-')).map(str::len).sum();
    assert_eq!(base64, 550_usize.div_ceil(3) * 4);
    let brought = clone.clone_channel(&origin, "alice").await;
    assert_eq!(brought.portable_id, made.portable_id);
    assert_ne!(brought.replica, made.replica);
}

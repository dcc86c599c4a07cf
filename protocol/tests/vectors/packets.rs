//! packets.json, operations.json, exchange.json: whole packets, both ways.

use bytes::Bytes;
use zotferry_protocol::envelope::{Draft, Header, MAX_LIFE, Party, Verified, open, seal};
use zotferry_protocol::frames::{End, FrameEvent, FrameReader};
use zotferry_protocol::ids::{Millis, PortableId, SiteId};
use zotferry_protocol::merkle;
use zotferry_protocol::packets::Packet;

use super::support::{Case, File, TestKey};

pub(crate) const FILES: &[File] = &[
    ("packets", &[("packets", packet)]),
    ("operations", &[("operations", operation)]),
    ("exchange", &[("content", content), ("steps", step)]),
];

fn take(case: Case<'_>, bytes: &[u8], now: Millis) -> Verified<Packet> {
    let key = TestKey::read(case.text("signer")).public();
    let me = SiteId::new(case.text("receiver")).expect("a site id");
    let sealed = open(bytes).expect("an envelope");
    let authentic = sealed.authenticate(&key, &me).expect("a good signature");
    authentic.header().fresh(now).expect("dates that count");
    authentic.packet().expect("a good packet")
}

/// PKT-1, SIGN-1: what was read, written again by this crate, has the very bytes of the other encoder.
fn written_again(case: Case<'_>, packet: &Verified<Packet>) -> Vec<u8> {
    let Header { id, from, to, at, expires, answers, .. } = packet.header().clone();
    let draft = Draft { id, from, to, at, life: expires.since(at), answers };
    seal(draft, packet, &TestKey::read(case.text("signer")), None).expect("a signature")
}

fn party(case: Case<'_>) -> Party {
    Party {
        hub: SiteId::new(case.text("hub")).expect("a site id"),
        channel: PortableId::new(case.text("channel")).expect("a portable id"),
    }
}

fn packet(case: Case<'_>) {
    let head = case.child("header");
    let expected = Header {
        kind: head.text("type").to_owned(),
        id: head.packet_id("id"),
        from: party(head.child("from")),
        to: party(head.child("to")),
        at: Millis(head.u64("at")),
        expires: Millis(head.u64("expires")),
        answers: head.get("answers").map(|_| head.packet_id("answers")),
    };
    assert!(case.u64("life") <= MAX_LIFE);
    let bytes = case.bytes("envelope");
    let packet = take(case, &bytes, expected.at);
    assert_eq!(*packet.header(), expected);
    assert_eq!(packet.kind(), expected.kind);
    assert_eq!(hex::encode(written_again(case, &packet)), case.text("envelope"));
}

/// SYNC-4 to SYNC-6, SYNC-14, SYNC-15, FILE-14 to FILE-16: the operation in question stands between two
/// good ones, which it does not spoil.
fn operation(case: Case<'_>) {
    let bytes = case.bytes("envelope");
    let packet = take(case, &bytes, case.now());
    let Packet::CloneSync(sync) = &*packet else { panic!("a clone-sync") };
    let codes: Vec<_> = sync.operations.iter().map(|o| o.check().err().map(|r| r.code)).collect();
    assert_eq!(codes, [None, case.code(), None]);
}

fn content(case: Case<'_>) {
    let bytes = case.bytes("bytes");
    assert_eq!(bytes, case.text("text").as_bytes());
    assert_eq!(merkle::leaf(&bytes), case.digest("root"));
}

fn step(case: Case<'_>) {
    if case.get("envelope").is_none() {
        return frames(case);
    }
    let bytes = case.bytes("envelope");
    let packet = take(case, &bytes, case.now());
    if let Packet::CloneSync(sync) = &*packet {
        assert!(sync.operations.iter().all(|o| o.check().is_ok()));
    }
    assert_eq!(hex::encode(written_again(case, &packet)), case.text("envelope"));
}

fn frames(case: Case<'_>) {
    let (mut reader, mut input) = (FrameReader::new(), Bytes::from(case.bytes("bytes")));
    let mut content = Vec::new();
    while let Some(event) = reader.feed(&mut input).expect("frames") {
        match event {
            FrameEvent::Data(bytes) => content.extend_from_slice(&bytes),
            FrameEvent::Header { .. } => {}
            other => assert_eq!(other, FrameEvent::End(End::Done)),
        }
    }
    assert_eq!(content, b"Hello from hub A!\n");
}

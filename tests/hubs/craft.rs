//! Packets made by hand, and answers looked at byte by byte.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use zotferry::hub::{Capability, Peer};
use zotferry::transport::{Answer, PACKET_TYPE};
use zotferry_protocol::ids::{Digest, Millis, OpId, ReplicaId, ResourceId, Role};
use zotferry_protocol::manifest::ChunkRange;
use zotferry_protocol::merkle;
use zotferry_protocol::packets::{
    AttachEntry, AttachRow, ChunkItem, ChunkRequest, Data, Op, Operation, Packet,
};
use zotferry_protocol::refusal::CodeNumber;
use zotferry_protocol::version::Version;

use crate::harness::TestHub;

/// What a hub answered.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// Posts bytes to a hub's `/zot`.
pub(crate) async fn post(to: &TestHub, packet: Bytes) -> Said {
    let response = begin(to, packet).await;
    let status = response.status().as_u16();
    let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    Said { status, content_type, body: response.bytes().await.unwrap() }
}

/// The same without reading the answer's body, on a connection of its own.
pub(crate) async fn begin(to: &TestHub, packet: Bytes) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = to.hub().config.url.join("/zot");
    client.post(url).header(CONTENT_TYPE, PACKET_TYPE).body(packet).send().await.unwrap()
}

impl Said {
    /// The packet in it, signed by the hub that was asked for this very request.
    pub(crate) fn signed(&self, asker: &TestHub, peer: &Peer, asked: &Capability) -> Packet {
        assert_eq!(self.content_type, PACKET_TYPE);
        let answer = Answer {
            status: StatusCode::from_u16(self.status).unwrap(),
            packet: Some(self.body.to_vec()),
            retry_after: None,
        };
        asker.hub().believe(peer, asked.id, answer).unwrap().into_packet()
    }

    /// The code of the signed refusal that it is.
    pub(crate) fn refusal(&self, asker: &TestHub, peer: &Peer, asked: &Capability) -> CodeNumber {
        match self.signed(asker, peer, asked) {
            Packet::Refusal(refusal) => refusal.code,
            other => panic!("a {} instead of a refusal", other.kind()),
        }
    }
}

/// Resource and root of a file of the top folder.
pub(crate) async fn name_of(hub: &TestHub, nick: &str, name: &str) -> (ResourceId, Digest) {
    let channel = hub.channel(nick).await;
    let entry = hub.hub().catalog.by_path(channel.id, &[name]).await.unwrap().unwrap();
    (entry.hash, entry.root.unwrap())
}

/// A request for the first chunks of a file.
pub(crate) fn chunks(resource: ResourceId, root: Digest, count: u32) -> Packet {
    let ranges = vec![ChunkRange { first: 0, count }];
    ChunkRequest { items: vec![ChunkItem { resource, role: Role::File, root, ranges }] }.into()
}

/// Announces a file of these bytes in the top folder.
pub(crate) fn put_operation(number: u8, name: &str, bytes: &[u8]) -> Operation {
    let root = if bytes.is_empty() { merkle::root(&[]) } else { merkle::leaf(bytes) };
    announce(number, name, bytes.len() as u64, root)
}

/// Announces a file of which nothing but size and root is known.
pub(crate) fn announce(number: u8, name: &str, size: u64, root: Digest) -> Operation {
    let version = Version::edit(None, ReplicaId([9; 8]), Millis(1_000 + u64::from(number)));
    let version = version.unwrap();
    let row = AttachRow {
        hash: ResourceId::new(format!("made-by-hand-{number}")).unwrap(),
        creator: String::new(),
        filename: name.to_owned(),
        filetype: "text/plain".to_owned(),
        filesize: size,
        revision: 0,
        folder: String::new(),
        flags: 0,
        is_dir: 0,
        is_photo: 0,
        created: "2026-11-22 16:20:01".to_owned(),
        edited: "2026-11-22 16:20:01".to_owned(),
        allow_cid: String::new(),
        allow_gid: String::new(),
        deny_cid: String::new(),
        deny_gid: String::new(),
        mtime: None,
        executable: None,
        title: None,
        extra: Vec::new(),
    };
    let (place, meta) = (version.clone(), version.clone());
    let entry = AttachEntry { row, place, meta, content: Some(version), removed: None, was: None };
    Operation {
        id: OpId([number; 16]),
        op: Op::Put.as_str().to_owned(),
        attach: vec![entry],
        data: vec![Data::new(Role::File, size, root, None, "text/plain")],
        photo: vec![],
        item: vec![],
    }
}

//! Two channels on one hub whose owners do not trust each other: storage keeps one file for both, and neither has anything
//! by that.

use zotferry::catalog::{Data, DataState};
use zotferry::files;
use zotferry_protocol::ids::{Digest, Role};
use zotferry_protocol::merkle;
use zotferry_protocol::packets::{
    CloneSync, Data as Announced, ManifestItem, ManifestRequest, Packet,
};
use zotferry_protocol::refusal::Code;

use crate::backup::{bring, data_file, empty_clone, from, options, save};
use crate::craft::{announce, chunks, name_of};
use crate::harness::{MIB, Setup, TestHub, noise, set, until};
use crate::proxy::{BAD_GATEWAY, Fault, Kind};

/// Two hubs with a channel each, the second behind a proxy, and one that is a clone of both.
struct Tenants {
    alices: TestHub,
    mallorys: TestHub,
    shared: TestHub,
    dir: tempfile::TempDir,
}

impl Tenants {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let alices = TestHub::build(dir.path(), "alices", Setup::default()).await;
        let mallorys = TestHub::build(dir.path(), "mallorys", Setup::proxied()).await;
        let impatient = Setup::with(|config| set(config, "transfer", "stall_seconds", 1));
        let shared = TestHub::build(dir.path(), "shared", impatient).await;
        for (hub, nick) in [(&alices, "alice"), (&mallorys, "mallory")] {
            hub.create_channel(nick).await;
            shared.clone_channel(hub, nick).await;
            shared.is_clone_of(hub, nick).await;
        }
        Self { alices, mallorys, shared, dir }
    }

    /// A content of a channel as the shared hub knows it.
    async fn content(&self, nick: &str, name: &str) -> Data {
        let (catalog, channel) = (&self.shared.hub().catalog, self.shared.channel(nick).await.id);
        let entry = catalog.by_path(channel, &[name]).await.unwrap().unwrap();
        catalog.content_of(channel, &entry.hash, Role::File).await.unwrap().unwrap()
    }

    async fn knows(&self, nick: &str, name: &str) {
        until("the entry is known", async || {
            self.shared.names(nick).await.contains(&name.to_owned())
        })
        .await;
    }
}

/// FETCH-28, FETCH-58: who names the root and size of another channel's content has nothing by that: it is not present, cannot be read,
/// and is given to nobody, small or large.
#[tokio::test(flavor = "multi_thread")]
async fn who_names_a_root_has_nothing_by_it() {
    let hubs = Tenants::new().await;
    for (number, name, size) in [(1, "film", 3 * MIB + 1), (2, "note", 700)] {
        let bytes = noise(number.into(), size);
        hubs.alices.put_bytes("alice", name, &bytes).await;
        hubs.shared.shows("alice", name, &bytes).await;
        let root = name_of(&hubs.alices, "alice", name).await.1;

        let (to, mallory) =
            (hubs.mallorys.peer(&hubs.shared).await, hubs.mallorys.channel("mallory").await);
        let mut claim = announce(number, name, size as u64, root);
        let leaves: Vec<Digest> = bytes.chunks(MIB).map(merkle::leaf).collect();
        let digests = (leaves.len() > 1).then_some(leaves);
        claim.data =
            vec![Announced::new(Role::File, size as u64, root, digests.as_deref(), "text/plain")];
        let claim = CloneSync { operations: vec![claim] };
        hubs.mallorys.hub().call(&to, &mallory.portable_id, &claim.into(), None).await.unwrap();
        hubs.knows("mallory", name).await;

        let content = hubs.content("mallory", name).await;
        assert_eq!((content.root, content.state), (root, DataState::Wanted), "{name}");
        assert_eq!(hubs.shared.bytes("mallory", &[name]).await, None, "{name}");
        let read = hubs.shared.service.receiver.read(&content, 0..content.size).await;
        assert!(read.is_err(), "{name} can be read");
        let (resource, role) = (content.hash.clone(), Role::File);
        let item = ManifestItem { resource, role, root, first: 0, count: 1 };
        let ask = ManifestRequest { items: vec![item] }.into();
        let answer = hubs.mallorys.hub().call(&to, &mallory.portable_id, &ask, None).await.unwrap();
        let Packet::ManifestPages(pages) = &*answer else { panic!("a {}", answer.kind()) };
        assert_eq!(pages.refused[0].code.0, Code::NotHere.number(), "{name}");
        let served = hubs.shared.counts().bytes_served;
        let ask = chunks(content.hash, root, 1);
        hubs.mallorys.hub().call(&to, &mallory.portable_id, &ask, None).await.unwrap_err();
        assert_eq!(hubs.shared.counts().bytes_served, served, "{name}");
    }
}

/// FETCH-54, FETCH-58: each channel brings its bytes from its own clones, and one whose clones give nothing holds up no
/// other; what is removed of one is not lost to the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_holds_up_no_other() {
    let hubs = Tenants::new().await;
    let film = noise(3, 5 * MIB);
    hubs.mallorys.proxy().rule(|kind, _| match kind {
        Kind::Packet => Fault::None,
        _ => BAD_GATEWAY,
    });
    hubs.mallorys.put_bytes("mallory", "film", &film).await;
    until("it is in hand", async || !hubs.shared.service.receiver.progress().is_empty()).await;
    hubs.alices.put_bytes("alice", "film", &film).await;
    hubs.shared.shows("alice", "film", &film).await;
    assert_eq!(hubs.content("mallory", "film").await.state, DataState::Wanted);
    assert_eq!(hubs.shared.counts().chunks, 5);

    hubs.mallorys.proxy().heal();
    hubs.shared.shows("mallory", "film", &film).await;
    assert_eq!(hubs.shared.counts().chunks, 10);
    let mallory = hubs.mallorys.channel("mallory").await;
    files::remove(hubs.mallorys.hub(), &mallory, &["film".to_owned()]).await.unwrap();
    until("it is gone", async || hubs.shared.names("mallory").await.is_empty()).await;
    assert!(hubs.shared.bytes("alice", &["film"]).await.unwrap() == film);
}

/// BACKUP-23: a restore takes bytes from the backup; what is missing there is not taken from another channel.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_takes_nothing_of_another_channel() {
    let hubs = Tenants::new().await;
    let (film, other) = (noise(4, 2 * MIB), noise(5, 2 * MIB));
    for (name, bytes) in [("film", &film), ("other", &other)] {
        hubs.mallorys.put_bytes("mallory", name, bytes).await;
    }
    let target = hubs.dir.path().join("backup");
    save(&hubs.mallorys, "mallory", options(&target)).await;
    std::fs::remove_file(data_file(&target, "film")).unwrap();

    let mut identity = hubs.mallorys.identity("mallory").await;
    identity.locations.clear();
    let last = empty_clone(hubs.dir.path(), "last", identity, "mallory").await;
    last.clone_channel(&hubs.alices, "alice").await;
    hubs.alices.put_bytes("alice", "film", &film).await;
    last.shows("alice", "film", &film).await;
    let (done, troubles) = bring(last.hub(), from(&target)).await.unwrap();
    assert_eq!(troubles, ["film: its data file is missing"], "{done:?}");
    assert_eq!(last.bytes("mallory", &["film"]).await, None);
    assert!(last.bytes("mallory", &["other"]).await.unwrap() == other);
}

/// FETCH-1, SYNC-34: of two names of a channel for one content the one that is being fetched for goes; the other goes on with
/// what came.
#[tokio::test(flavor = "multi_thread")]
async fn another_name_goes_on_with_what_came() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) =
        crate::harness::pair(dir.path(), Setup::proxied(), Setup::default()).await;
    // A queue that was made anew has everything read back; this one was stopped in order.
    let clone = clone.stop().await.start().await;
    let film = noise(6, 20 * MIB);
    origin.proxy().allow(9 * MIB as u64 + 4000);
    for name in ["one", "two"] {
        origin.put_bytes("alice", name, &film).await;
    }
    let durable = async || clone.service.receiver.progress().first().map_or(0, |file| file.held);
    until("some chunks are durable", async || durable().await >= 4 * MIB as u64).await;
    until("both are known", async || clone.names("alice").await.len() == 2).await;
    let hash = clone.service.receiver.progress()[0].hash.clone();
    let (gone, left) = match name_of(&clone, "alice", "one").await.0 == hash {
        true => ("one", "two"),
        false => ("two", "one"),
    };
    let alice = origin.channel("alice").await;
    files::remove(origin.hub(), &alice, &[gone.to_owned()]).await.unwrap();
    until("it is gone", async || clone.names("alice").await == [left]).await;
    origin.proxy().allow_all();
    clone.shows("alice", left, &film).await;
    assert_eq!(clone.counts().chunks, 20, "no chunk came twice");
}

/// FETCH-35: who takes a partial file up under another name reads it back, and what was recorded under the first one counts no
/// more: the file may be begun anew meanwhile, and records of the old one would make a hole count as bytes.
#[tokio::test(flavor = "multi_thread")]
async fn records_under_another_name_count_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) =
        crate::harness::pair(dir.path(), Setup::proxied(), Setup::default()).await;
    let clone = clone.stop().await.start().await;
    let film = noise(7, 20 * MIB);
    origin.proxy().allow(9 * MIB as u64 + 4000);
    for name in ["one", "two"] {
        origin.put_bytes("alice", name, &film).await;
    }
    let receiver = &clone.service.receiver;
    let durable = async || receiver.progress().first().map_or(0, |file| file.held);
    until("some chunks are durable", async || durable().await >= 4 * MIB as u64).await;
    until("both are known", async || clone.names("alice").await.len() == 2).await;
    let (first, channel) = (receiver.progress()[0].clone(), clone.channel("alice").await.id);
    let pause = async |paused| {
        clone.hub().catalog.set_paused(channel, paused).await.unwrap();
        clone.hub().tell_receiver();
    };
    pause(true).await;
    until("it rests", async || receiver.progress().is_empty()).await;
    assert!(clone.hub().queue.held(first.wanted, 0).unwrap().is_some());

    let other = match name_of(&clone, "alice", "one").await.0 == first.hash {
        true => name_of(&clone, "alice", "two").await.0,
        false => name_of(&clone, "alice", "one").await.0,
    };
    let other = clone.hub().catalog.content_of(channel, &other, Role::File).await.unwrap().unwrap();
    let (reading, size) = (std::sync::Arc::clone(receiver), other.size);
    let reading = tokio::spawn(async move { reading.read(&other, 0..size).await.map(drop) });
    until("it is in hand again", async || !receiver.progress().is_empty()).await;
    assert_eq!(clone.hub().queue.held(first.wanted, 0).unwrap(), None);
    origin.proxy().allow_all();
    pause(false).await;
    for name in ["one", "two"] {
        clone.shows("alice", name, &film).await;
    }
    reading.await.unwrap().unwrap();
    assert_eq!(clone.counts().chunks, 20, "no chunk came twice");
}

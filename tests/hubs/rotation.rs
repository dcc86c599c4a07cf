//! A channel gets another key: nothing in flight is lost, and who was put out stays out.

use zotferry::catalog::NewSite;
use zotferry::channels::{clones, rotate_to};
use zotferry_protocol::codec;
use zotferry_protocol::identity::{
    Introduction, Location, Notice, Rotation, SignedLocation, SignedNotice, SignedRotation,
};
use zotferry_protocol::ids::{Millis, ReplicaId};
use zotferry_protocol::packets::{Locations, Packet};
use zotferry_protocol::refusal::Code;

use crate::clones::{carry, is_gone, refusal, three};
use crate::craft::post;
use crate::harness::{MIB, Setup, TestHub, blocked, noise, pair, small_key, until};

/// Gives `alice` another key, with some of its hubs put out.
async fn rotate(at: &TestHub, without: &[&TestHub]) {
    let channel = at.channel("alice").await;
    let mut places = Vec::new();
    for hub in without {
        let url = hub.hub().config.url.as_str();
        places.push(clones::at(at.hub(), &channel, url).await.unwrap());
    }
    rotate_to(at.hub(), &channel, small_key(), &places).await.unwrap();
}

async fn newest(hub: &TestHub) -> String {
    hub.channel("alice").await.public_pem
}

/// Whether the private key that a hub has is the one that counts.
async fn is_up_to_date(hub: &TestHub) -> bool {
    hub.hub().holds_newest_key(&hub.channel("alice").await).unwrap()
}

/// Private keys of `alice` in a hub's folder.
fn keys(hub: &TestHub) -> usize {
    let entries = std::fs::read_dir(hub.dir.join("keys")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("channel-")).count()
}

/// ID-24, ID-27, ID-31, ID-33: a key is rotated while a large file is on its way and changes wait on
/// both sides. All of it arrives, before the clone has the new private key and after.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_flight_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let proxied = Setup { change: blocked, ..Setup::proxied() };
    let (origin, clone) = pair(dir.path(), proxied, Setup::default()).await;
    let film = noise(1, 24 * MIB);
    origin.proxy().allow(3 * MIB as u64);
    origin.put_bytes("alice", "film", &film).await;
    until("some of it has passed", async || origin.proxy().passed() >= 2 * MIB as u64).await;
    let id = origin.channel("alice").await.portable_id;
    let first = newest(&origin).await;
    origin.put_bytes("alice", "before", b"put before").await;
    clone.put_bytes("alice", "there", b"put there before").await;
    rotate(&origin, &[]).await;
    origin.put_bytes("alice", "after", b"put after").await;
    until("the clone knows the new key", async || newest(&clone).await == newest(&origin).await)
        .await;
    assert_ne!(newest(&origin).await, first);
    assert!(is_up_to_date(&origin).await && !is_up_to_date(&clone).await);
    assert_eq!(keys(&origin), 2, "the old key is kept as long as a clone has no other");
    clone.put_bytes("alice", "there too", b"put there after").await;
    origin.proxy().allow_all();
    for (hub, name, bytes) in [
        (&clone, "film", film.as_slice()),
        (&clone, "before", b"put before"),
        (&clone, "after", b"put after"),
        (&origin, "there", b"put there before"),
        (&origin, "there too", b"put there after"),
    ] {
        hub.shows("alice", name, bytes).await;
    }
    assert!(clone.counts().bytes_fetched < 26 * MIB as u64, "what had come was fetched again");

    carry(&origin, &clone).await;
    assert!(is_up_to_date(&clone).await);
    until("the old key is destroyed", async || keys(&origin) == 1 && keys(&clone) == 1).await;
    clone.put_bytes("alice", "last", b"under the new key").await;
    origin.shows("alice", "last", b"under the new key").await;
    assert_eq!(clone.channel("alice").await.portable_id, id, "the id stays");
    let again = carry_error(&origin, &clone).await;
    assert!(again.contains("lives on this hub already"), "{again}");
}

async fn carry_error(from: &TestHub, to: &TestHub) -> String {
    let identity = from.identity("alice").await;
    let opened = zotferry::channels::export::Opened { identity, foreign: Vec::new(), plain: false };
    let done = zotferry::channels::export::import(to.hub(), opened, None).await;
    done.unwrap_err().to_string()
}

/// ID-33: a hub that stops between writing the new key and using it goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_outlasts_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    rotate(&origin, &[]).await;
    let alice = origin.channel("alice").await;
    let origin = origin.stop().await;
    // As if it had stopped before the files changed places.
    let current = origin.dir.join(format!("keys/channel-{}.pem", alice.portable_id));
    let entries = std::fs::read_dir(origin.dir.join("keys")).unwrap();
    let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let other = paths.iter().find(|p| **p != current && p.to_string_lossy().contains("channel-"));
    let other = other.unwrap();
    let (new, old) = (std::fs::read(&current).unwrap(), std::fs::read(other).unwrap());
    std::fs::write(&current, old).unwrap();
    let key = zotferry::keys::PrivateKey::from_pem(std::str::from_utf8(&new).unwrap()).unwrap();
    origin
        .look(async |hub| {
            hub.keep_key(&alice.portable_id, &key).unwrap();
        })
        .await;
    let origin = origin.start().await;
    assert!(is_up_to_date(&origin).await);
    origin.put_bytes("alice", "note", b"after the restart").await;
    clone.shows("alice", "note", b"after the restart").await;
}

/// What a hub that was put out and still holds the old key can state.
struct Thief<'a> {
    hub: &'a TestHub,
    channel: zotferry::catalog::Channel,
    key: zotferry::keys::PrivateKey,
}

impl Thief<'_> {
    async fn of(hub: &TestHub) -> Thief<'_> {
        let channel = hub.channel("alice").await;
        let key = hub.identity("alice").await.key;
        Thief { hub, channel, key }
    }

    fn record(&self, serial: u64) -> SignedLocation {
        let location = Location {
            channel: self.channel.portable_id.clone(),
            url: self.hub.hub().config.url.clone(),
            site_key: self.hub.hub().site_key.public().pem().to_owned(),
            replica: ReplicaId([3; 8]),
            primary: true,
            deleted: false,
            serial,
        };
        SignedLocation::sign(&location, &self.key, &*self.hub.hub().site_key).unwrap()
    }

    /// A rotation of its own that keeps it and puts nobody out.
    fn rotation(&self, others: &[&TestHub], at: Millis) -> SignedRotation {
        let new = small_key();
        let all = others.iter().chain([&self.hub]);
        let rotation = Rotation {
            channel: self.channel.portable_id.clone(),
            number: 1,
            old_key: self.key.public().pem().to_owned(),
            new_key: new.public().pem().to_owned(),
            keep: all.map(|hub| hub.hub().site_id.clone()).collect(),
            url: self.hub.hub().config.url.clone(),
            site_key: self.hub.hub().site_key.public().pem().to_owned(),
            at,
        };
        SignedRotation::sign(&rotation, &self.key, &new, &*self.hub.hub().site_key).unwrap()
    }

    /// What a hub answers: the code of a signed refusal, or of a hint.
    async fn say(&self, to: &TestHub, said: &Locations, record: &SignedLocation) -> String {
        let site = NewSite {
            site_id: to.hub().site_id.clone(),
            url: to.hub().config.url.to_string(),
            key_pem: to.hub().site_key.public().pem().to_owned(),
        };
        let hub = self.hub.hub();
        let row = hub.catalog.upsert_site(&site).await.unwrap();
        let peer = hub.peer(row).await.unwrap().unwrap();
        let shown = Introduction::new(record.clone(), said.rotations.clone());
        let packet = Packet::from(said.clone());
        let sealed = hub.seal(&peer, &self.channel.portable_id, packet, Some(shown)).await.unwrap();
        let answer = post(to, sealed.bytes.clone()).await;
        match answer.content_type.starts_with("text/plain") {
            true => String::from_utf8_lossy(&answer.body).into_owned(),
            false => format!("signed {}", answer.refusal(self.hub, &peer, &sealed)),
        }
    }
}

/// ID-27 to ID-30, ID-36, ID-41: a clone that was put out with a rotation cannot come back with the old key: not by its
/// record, nor a newer one, nor a notice, nor a rotation of its own, nor under another address.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_key_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, three] = three(dir.path()).await;
    let stranger = TestHub::build(dir.path(), "stranger", Setup::default()).await;
    stranger.clone_channel_alone(&three).await;
    rotate(&one, &[&three]).await;
    let key = newest(&one).await;
    until("the second clone has heard", async || {
        newest(&two).await == key && is_gone(&two, &three).await
    })
    .await;
    for (hub, new_address) in [(&three, false), (&stranger, true)] {
        let thief = Thief::of(hub).await;
        for at in [&one, &two] {
            let now = hub.hub().clock.now();
            let turned = vec![thief.rotation(&[&one, &two], now.plus(1_000_000))];
            let removal = Notice {
                channel: thief.channel.portable_id.clone(),
                site: one.hub().site_id.clone(),
                removed: true,
                primary: false,
                serial: now.0 + 1_000_000,
            };
            let notices = vec![SignedNotice::sign(&removal, &thief.key).unwrap()];
            for serial in [1, now.0, now.0 + 1_000_000] {
                let record = thief.record(serial);
                let records = vec![record.clone()];
                for said in [
                    Locations { records: records.clone(), ..Locations::default() },
                    Locations { notices: notices.clone(), ..Locations::default() },
                    Locations { records, rotations: turned.clone(), ..Locations::default() },
                ] {
                    let answer = thief.say(at, &said, &record).await;
                    let refused =
                        if new_address { "26 bad-location" } else { "signed not-a-clone" };
                    assert!(answer.starts_with(refused), "{answer}");
                }
            }
            assert_eq!(newest(at).await, key);
            assert!(!is_gone(at, &one).await);
        }
    }
    one.put_bytes("alice", "secret", b"not for them").await;
    two.shows("alice", "secret", b"not for them").await;
    assert!(three.names("alice").await.is_empty() && stranger.names("alice").await.is_empty());
}

/// ID-29, ID-30: a rotation by a hub that was put out loses also where a clone that has not heard of
/// anything took it first: the clone turns to the one that puts that hub out.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_was_misled_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, three] = three(dir.path()).await;
    let two_stopped = two.stop().await;
    rotate(&one, &[&three]).await;
    let one = one.stop().await;
    let two = two_stopped.start().await;
    // The second hub has not heard; the third one rotates, and says so to it.
    rotate(&three, &[]).await;
    let misled = newest(&three).await;
    until("the second hub believes the third", async || newest(&two).await == misled).await;
    let one = one.start().await;
    until("it turns to the first", async || newest(&two).await == newest(&one).await).await;
    until("the third is put out there too", async || is_gone(&two, &three).await).await;
    one.put_bytes("alice", "note", b"for two").await;
    two.shows("alice", "note", b"for two").await;
    let report = || Packet::from(zotferry_protocol::packets::SyncReport::default());
    assert_eq!(refusal(&three, &two, report()).await, Code::NotAClone);
}

/// ID-29, ID-31, ID-33: two clones rotate at the same time. All end with the same key; the hub whose rotation
/// does not count remains a clone by the key before, until it is brought the other one.
#[tokio::test(flavor = "multi_thread")]
async fn two_rotations_at_once_end_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, three] = three(dir.path()).await;
    let one_stopped = one.stop().await;
    rotate(&two, &[]).await;
    let three_stopped = three.stop().await;
    let two_stopped = two.stop().await;
    let one = one_stopped.start().await;
    rotate(&one, &[]).await;
    let two = two_stopped.start().await;
    let three = three_stopped.start().await;
    let key = newest(&one).await;
    until("the later rotation counts everywhere", async || {
        newest(&two).await == key && newest(&three).await == key
    })
    .await;
    assert!(is_up_to_date(&one).await && !is_up_to_date(&two).await);
    two.put_bytes("alice", "note", b"by the hub that gave way").await;
    one.shows("alice", "note", b"by the hub that gave way").await;
    three.shows("alice", "note", b"by the hub that gave way").await;
    let chain = two.hub().chain(&two.channel("alice").await).await.unwrap();
    let own = two.hub().own_location(&two.channel("alice").await).await.unwrap().unwrap();
    assert!(chain.verify_location(&own).is_ok() && !chain.is_of_newest(&own));
    for hub in [&two, &three] {
        carry(&one, hub).await;
        assert!(is_up_to_date(hub).await);
    }
    until("one key is left", async || [&one, &two, &three].iter().all(|hub| keys(hub) == 1)).await;
}

/// ID-34: a new clone that has the new key only is known to hubs that have not heard of a rotation.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_clone_brings_the_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let clone = clone.stop().await;
    rotate(&origin, &[]).await;
    let newcomer = TestHub::build(dir.path(), "newcomer", Setup::default()).await;
    let identity = origin.identity("alice").await;
    let origin_stopped = origin.stop().await;
    let clone = clone.start().await;
    zotferry::channels::adopt(newcomer.hub(), identity, "alice").await.unwrap();
    clone.lists("alice", 3).await;
    until("the clone knows the new key", async || newest(&clone).await == newest(&newcomer).await)
        .await;
    newcomer.put_bytes("alice", "hello", b"from the new one").await;
    clone.shows("alice", "hello", b"from the new one").await;
    let origin = origin_stopped.start().await;
    origin.shows("alice", "hello", b"from the new one").await;
}

/// ID-32: no packet holds a private key; what travels of a rotation are public keys and signatures.
#[tokio::test(flavor = "multi_thread")]
async fn no_private_key_is_in_a_packet() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    rotate(&origin, &[]).await;
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let ask = Packet::from(Locations::default());
    let answer = clone.hub().call(&peer, &alice.portable_id, &ask, None).await.unwrap();
    let Packet::Locations(said) = &*answer else { panic!("a {}", answer.kind()) };
    assert_eq!(said.rotations.len(), 1);
    let private = origin.identity("alice").await.key.to_pem().unwrap();
    let line = private.lines().nth(5).unwrap().as_bytes();
    let bytes = codec::encode(said);
    assert!(!bytes.windows(line.len()).any(|part| part == line));
    assert!(bytes.windows(7).any(|part| part == b"new_key"));
}

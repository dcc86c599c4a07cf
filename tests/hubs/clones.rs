//! A channel's owner arranges its hubs: one is removed, another is primary, a third leaves.

use zotferry::catalog::{Channel, LocationState, primary};
use zotferry::channels::export::{Opened, import};
use zotferry::channels::{self, clones};
use zotferry::queue::{Kind, Lane};
use zotferry::storage::PartialKey;
use zotferry_protocol::ids::{Digest, Role};
use zotferry_protocol::packets::{CloneSync, Locations, ManifestItem, ManifestRequest, Packet};
use zotferry_protocol::packets::{StreamRequest, SyncReport};
use zotferry_protocol::refusal::Code;

use crate::craft::{begin, chunks, name_of, post, put_operation};
use crate::harness::{MIB, Setup, TestHub, blocked, noise, set, until};

/// Three clones of `alice`, each listed by the others.
pub(crate) async fn three(dir: &std::path::Path) -> [TestHub; 3] {
    let hubs = [
        TestHub::build(dir, "one", Setup::default()).await,
        TestHub::build(dir, "two", Setup::default()).await,
        TestHub::build(dir, "three", Setup::default()).await,
    ];
    hubs[0].create_channel("alice").await;
    for (n, hub) in hubs.iter().enumerate().skip(1) {
        hub.clone_channel(&hubs[0], "alice").await;
        for known in &hubs[..=n] {
            known.lists("alice", n + 1).await;
        }
    }
    hubs
}

/// Brings a hub the identity that another one has.
pub(crate) async fn carry(from: &TestHub, to: &TestHub) {
    let identity = from.identity("alice").await;
    let opened = Opened { identity, foreign: Vec::new(), plain: false };
    import(to.hub(), opened, None).await.unwrap();
}

/// How a hub stands in the catalog of another: its place's flags.
pub(crate) async fn is_gone(at: &TestHub, hub: &TestHub) -> bool {
    let channel = at.channel("alice").await;
    let rows = at.hub().catalog.locations(channel.id).await.unwrap();
    rows.iter().any(|row| row.site_id == hub.hub().site_id && row.deleted)
}

/// Removes one hub at another.
async fn remove(at: &TestHub, hub: &TestHub) {
    let channel = at.channel("alice").await;
    let place = clones::at(at.hub(), &channel, hub.hub().config.url.as_str()).await.unwrap();
    clones::remove(at.hub(), &channel, &place).await.unwrap();
}

/// The code with which `to` refuses a packet of `from`, introduced.
pub(crate) async fn refusal(from: &TestHub, to: &TestHub, packet: Packet) -> Code {
    let (peer, channel) = (from.peer(to).await, from.channel("alice").await);
    let shown = from.hub().introduction(&channel).await.unwrap();
    let asked = from.hub().call(&peer, &channel.portable_id, &packet, shown.as_ref()).await;
    let error = asked.map(drop).unwrap_err();
    let code = Code::ALL.iter().copied().find(|code| error.is(*code));
    code.unwrap_or_else(|| panic!("no signed refusal: {error}"))
}

/// ID-17, ID-38, ID-41: a removed clone gets nothing more, whatever it asks for; the others hear of
/// its removal from the one that removed it, and what it says counts nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_clone_gets_nothing_and_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, three] = three(dir.path()).await;
    one.put_bytes("alice", "diary", &noise(1, 2 * MIB)).await;
    three.has("alice", 1).await;
    two.has("alice", 1).await;
    remove(&one, &three).await;
    until("the second clone hears of it", async || is_gone(&two, &three).await).await;
    let served = [&one, &two].map(|hub| hub.counts().bytes_served);
    let (resource, root) = name_of(&three, "alice", "diary").await;
    let item =
        ManifestItem { resource: resource.clone(), role: Role::File, root, first: 0, count: 1 };
    let own = three.hub().own_location(&three.channel("alice").await).await.unwrap();
    for hub in [&one, &two] {
        for packet in [
            chunks(resource.clone(), root, 1),
            ManifestRequest { items: vec![item.clone()] }.into(),
            StreamRequest { resource: resource.clone(), role: Role::File, root }.into(),
            CloneSync { operations: vec![put_operation(1, "x", b"")] }.into(),
            SyncReport::default().into(),
            Locations { records: own.iter().cloned().collect(), ..Locations::default() }.into(),
        ] {
            let kind = packet.kind();
            assert_eq!(refusal(&three, hub, packet).await, Code::NotAClone, "{kind}");
        }
    }
    // Not by a newer statement of its own either, and the two go on without it.
    let alice = three.channel("alice").await;
    three.hub().state_location(&alice, true, false).await.unwrap();
    let own = three.hub().own_location(&alice).await.unwrap();
    let news = Locations { records: own.into_iter().collect(), ..Locations::default() };
    assert_eq!(refusal(&three, &two, news.into()).await, Code::NotAClone);
    one.put_bytes("alice", "later", &noise(2, 3000)).await;
    two.shows("alice", "later", &noise(2, 3000)).await;
    assert_eq!(three.names("alice").await, ["diary"]);
    assert_eq!([&one, &two].map(|hub| hub.counts().bytes_served)[1], served[1]);
}

/// ID-17: what waits for a removed clone leaves the queue, also what had been given up.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_removed_clone() {
    let dir = tempfile::tempdir().unwrap();
    let hasty = |config: &mut toml::Table| set(config, "limits", "max_attempts", 1);
    let one = TestHub::build(dir.path(), "one", Setup::with(hasty)).await;
    let two = TestHub::build(dir.path(), "two", Setup::default()).await;
    let alice = one.create_channel("alice").await;
    two.clone_channel(&one, "alice").await;
    two.is_clone_of(&one, "alice").await;
    let site = one.peer(&two).await.row;
    let url = two.hub().config.url.to_string();
    let two = two.stop().await;
    one.put_bytes("alice", "note", b"for nobody").await;
    let queue = one.hub().queue.clone();
    until("the delivery is given up", async || !queue.dead().is_empty()).await;
    let place = clones::at(one.hub(), &alice, &url).await.unwrap();
    clones::remove(one.hub(), &alice, &place).await.unwrap();
    let lane = Lane { channel: alice.id, site };
    let waits = |kind| queue.pending(&lane, kind);
    until("no job is left", async || {
        let kinds = [Kind::Announce, Kind::Deliver, Kind::Report];
        queue.dead().is_empty() && kinds.into_iter().all(|kind| waits(kind) == 0)
    })
    .await;
    two.start().await;
}

/// ID-17: an answer that is under way to a clone ends when it is removed.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_under_way_ends_with_the_removal() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, _] = three(dir.path()).await;
    one.put_bytes("alice", "film", &noise(1, 64 * MIB)).await;
    two.has("alice", 1).await;
    let (peer, alice) = (two.peer(&one).await, two.channel("alice").await);
    let (resource, root) = name_of(&one, "alice", "film").await;
    let ask = chunks(resource, root, 64);
    let shown = two.hub().seal(&peer, &alice.portable_id, ask, None).await.unwrap();
    let mut response = begin(&one, shown.bytes.clone()).await;
    assert_eq!(response.status(), 200);
    assert!(response.chunk().await.unwrap().is_some());
    remove(&one, &two).await;
    let mut rest = 0;
    let cut = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => rest += bytes.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(cut, "the whole answer came: {rest} bytes");
    assert_eq!(post(&one, shown.bytes.clone()).await.refusal(&two, &peer, &shown), Code::NotAClone);
}

/// ID-37, ID-38: a removed clone is let in again by a later notice, proves itself, and catches up.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_clone_may_be_let_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, three] = three(dir.path()).await;
    remove(&one, &three).await;
    until("the second clone hears of it", async || is_gone(&two, &three).await).await;
    one.put_bytes("alice", "meanwhile", b"news").await;
    two.shows("alice", "meanwhile", b"news").await;
    let channel = two.channel("alice").await;
    let place = clones::at(two.hub(), &channel, three.hub().config.url.as_str()).await.unwrap();
    assert!(place.removed);
    clones::allow(two.hub(), &channel, &place).await.unwrap();
    three.shows("alice", "meanwhile", b"news").await;
    assert!(clones::allow(one.hub(), &one.channel("alice").await, &place).await.is_ok());
}

async fn first_of(hub: &TestHub) -> Option<String> {
    let channel = hub.channel("alice").await;
    let rows = hub.hub().catalog.locations(channel.id).await.unwrap();
    primary(&rows).map(|row| row.url.clone())
}

/// Whether a hub's own record says that it is primary.
async fn claims(hub: &TestHub) -> bool {
    let channel = hub.channel("alice").await;
    hub.hub().own_place(channel.id).await.unwrap().unwrap().primary
}

/// ID-11, ID-39, ID-40: the primary location moves by a claim of its own or by a notice of another;
/// the one before withdraws its claim, and all agree.
#[tokio::test(flavor = "multi_thread")]
async fn the_primary_location_moves() {
    let dir = tempfile::tempdir().unwrap();
    let hubs = three(dir.path()).await;
    let [one, two, three] = &hubs;
    let agree = async |first: &TestHub| {
        let url = first.hub().config.url.to_string();
        until("all name the same primary, and one claims it", async || {
            let mut agreed = true;
            for hub in &hubs {
                let is_first = hub.hub().site_id == first.hub().site_id;
                agreed &= first_of(hub).await.as_ref() == Some(&url);
                agreed &= claims(hub).await == is_first;
            }
            agreed
        })
        .await;
    };
    agree(one).await;
    clones::make_primary(two.hub(), &two.channel("alice").await, None).await.unwrap();
    agree(two).await;
    let channel = one.channel("alice").await;
    let place = clones::at(one.hub(), &channel, three.hub().config.url.as_str()).await.unwrap();
    clones::make_primary(one.hub(), &channel, Some(&place)).await.unwrap();
    agree(three).await;
    remove(one, three).await;
    until("no removed hub is primary", async || first_of(two).await.is_none()).await;
}

/// ID-17, ID-20, ID-41: a channel leaves a hub and the others hear it; nothing is served there any more. It comes
/// back with its identity, as another writer, and catches up.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_leaves_a_hub_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, three] = three(dir.path()).await;
    one.put_bytes("alice", "diary", &noise(1, MIB)).await;
    three.has("alice", 1).await;
    let before = three.channel("alice").await;
    assert_eq!(clones::leave(three.hub(), &before).await.unwrap(), Vec::<String>::new());
    assert!(is_gone(&one, &three).await && is_gone(&two, &three).await);
    let (resource, root) = name_of(&one, "alice", "diary").await;
    let asked = refusal(&one, &three, chunks(resource, root, 1)).await;
    assert_eq!(asked, Code::UnknownChannel);
    one.put_bytes("alice", "later", b"news").await;
    two.shows("alice", "later", b"news").await;
    assert_eq!(three.names("alice").await, ["diary"], "its files stay readable");
    carry(&one, &three).await;
    three.shows("alice", "later", b"news").await;
    assert_ne!(three.channel("alice").await.replica, before.replica);
    three.put_bytes("alice", "again", b"written there").await;
    two.shows("alice", "again", b"written there").await;
}

/// ID-17: a channel that has left goes whole, if its owner wants it: rows, bytes and keys; what it
/// has alone is counted before.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_left_can_be_removed_whole() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, _] = three(dir.path()).await;
    one.put_bytes("alice", "diary", &noise(1, 2 * MIB)).await;
    two.has("alice", 1).await;
    let alice = two.channel("alice").await;
    let nothing = clones::OnlyHere::default();
    until("the others have it", async || {
        clones::only_here(two.hub(), &alice).await.unwrap() == nothing
    })
    .await;
    assert!(channels::forget(two.hub(), &alice).await.is_err(), "it lives here");
    let (_, root) = name_of(&two, "alice", "diary").await;
    // What else of it lies on the disk: a scale of a photo, a file that had begun to come, an uploaded backup.
    let folder = &two.hub().folder;
    let scale = folder.scales().join(format!("{:02x}/{root}-1-1", root.0[0]));
    let uploaded = folder.restoring(&alice.portable_id).join("held/note");
    for path in [&scale, &uploaded] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "something").unwrap();
    }
    let begun = PartialKey::wanted(alice.id, Digest([5; 32]), 9);
    two.hub().storage.partial(&begun, 9).unwrap().allocate().unwrap();
    clones::leave(two.hub(), &alice).await.unwrap();
    channels::forget(two.hub(), &alice).await.unwrap();
    assert!(two.hub().catalog.channels().await.unwrap().is_empty());
    assert!(two.hub().storage.open(&root).unwrap().is_none());
    assert!(!two.hub().folder.channel_key(&alice.portable_id).exists());
    assert!(!scale.exists() && !uploaded.parent().unwrap().exists());
    assert!(two.hub().storage.partials().unwrap().is_empty());
    two.clone_channel(&one, "alice").await;
    two.shows("alice", "diary", &noise(1, 2 * MIB)).await;
}

/// ID-20: a hub whose catalog was put back to an earlier state hears from the others that it has said
/// more since: it is another writer from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_was_put_back_makes_another_writer() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, _] = three(dir.path()).await;
    let before = two.channel("alice").await;
    let two = two.stop().await;
    let catalog = two.dir.join("catalog.sqlite");
    let saved = std::fs::read(&catalog).unwrap();
    let two = two.start().await;
    clones::make_primary(two.hub(), &two.channel("alice").await, None).await.unwrap();
    let known = two.hub().own_place(before.id).await.unwrap().unwrap().serial;
    let heard = async |serial: u64| {
        let channel: Channel = one.channel("alice").await;
        let site = one.peer(&two).await.row;
        let row = one.hub().catalog.location(channel.id, site).await.unwrap().unwrap();
        row.state == LocationState::Listed && row.serial >= serial
    };
    until("the first hub hears it", async || heard(known).await).await;
    let two = two.stop().await;
    std::fs::write(&catalog, saved).unwrap();
    let two = two.start().await;
    until("it is another writer, and says so", async || {
        let replica = two.channel("alice").await.replica;
        let own = two.hub().own_place(before.id).await.unwrap().unwrap();
        replica != before.replica && own.replica == replica && own.serial > known
    })
    .await;
}

/// ID-14: a clone whose challenge has failed hears so.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_failed_is_said_to_have_failed() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = |config: &mut toml::Table| {
        set(config, "network", "allow", toml::Value::Array(Vec::new()));
    };
    let origin = TestHub::build(dir.path(), "origin", Setup::with(nobody)).await;
    let clone = TestHub::build(dir.path(), "clone", Setup::with(blocked)).await;
    origin.create_channel("alice").await;
    clone.clone_channel(&origin, "alice").await;
    let ask = || Packet::from(SyncReport::default());
    let alice = origin.channel("alice").await;
    until("the challenge has failed", async || {
        let rows = origin.hub().catalog.locations(alice.id).await.unwrap();
        rows.iter().any(|row| row.state == LocationState::Pending && row.attempts > 0)
    })
    .await;
    assert_eq!(refusal(&clone, &origin, ask()).await, Code::ChallengeFailed);
}

/// REF-6: who is refused without end gets no signature for each; others are not affected.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_to_one_hub_are_limited() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two, three] = three(dir.path()).await;
    one.put_bytes("alice", "diary", &noise(1, 2 * MIB)).await;
    two.has("alice", 1).await;
    remove(&one, &two).await;
    let (peer, alice) = (two.peer(&one).await, two.channel("alice").await);
    let (resource, root) = name_of(&two, "alice", "diary").await;
    let ask = chunks(resource, root, 1);
    let shown = two.hub().seal(&peer, &alice.portable_id, ask, None).await.unwrap();
    let mut signed = 0;
    let last = loop {
        let said = post(&one, shown.bytes.clone()).await;
        if said.status != 403 {
            break said;
        }
        signed += 1;
        assert!(signed <= 600, "no end of signatures");
    };
    assert_eq!((last.status, &*last.content_type), (429, "text/plain; charset=utf-8"));
    assert!(last.body.starts_with(b"60 too-many"), "{:?}", last.body);
    one.put_bytes("alice", "letter", b"for the third").await;
    three.shows("alice", "letter", b"for the third").await;
}

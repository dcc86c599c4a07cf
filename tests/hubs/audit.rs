//! Two clones find out what they disagree about, and agree.

use std::path::Path;

use zotferry::audit::{Account, Mode, compare};
use zotferry::catalog::{LocationState, NewLocation};
use zotferry::channels::clones;
use zotferry::files;
use zotferry::hub::Hub;
use zotferry::sweep::forget;
use zotferry_protocol::ids::{Digest, Millis};
use zotferry_protocol::packets::{AuditRange, AuditRequest, EntryRequest, Packet};
use zotferry_protocol::refusal::Code;

use crate::harness::{Setup, TestHub, noise, pair, set, until};

const KIB: u64 = 1024;

async fn compared(hub: &TestHub, with: &TestHub, mode: Mode) -> Account {
    let (peer, channel) = (hub.peer(with).await, hub.channel("alice").await);
    compare(hub.hub(), &peer, &channel, mode).await.unwrap()
}

/// Puts files of the same few bytes, whose names begin so.
async fn put_many(hub: &TestHub, dir: &Path, prefix: &str, count: usize) {
    let folder = dir.join(prefix);
    std::fs::create_dir_all(&folder).unwrap();
    for n in 0..count {
        std::fs::write(folder.join(format!("{prefix} {n}")), format!("{prefix} {n}")).unwrap();
    }
    hub.put("alice", &folder).await;
}

/// As if all operations made here until now had been answered for, and lost by the others.
async fn lose(hub: &Hub) {
    let channel = hub.catalog.channel_by_nick("alice").await.unwrap().unwrap();
    for location in hub.catalog.locations(channel.id).await.unwrap() {
        hub.catalog.acked(channel.id, location.site, channel.seq).await.unwrap();
    }
}

async fn entries(hub: &TestHub) -> u64 {
    let channel = hub.channel("alice").await;
    hub.hub().catalog.whole(channel.id).await.unwrap().sum.count
}

/// AUDIT-4, AUDIT-7: of two clones that are equal one exchange says so, whatever they hold; both
/// remember it.
#[tokio::test(flavor = "multi_thread")]
async fn equal_clones_need_one_exchange() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    put_many(&origin, dir.path(), "a", 600).await;
    clone.has("alice", 600).await;
    let account = compared(&clone, &origin, Mode::Look).await;
    assert!(account.in_sync, "{account:?}");
    assert_eq!((account.entries, account.exchanges, account.differences()), (601, 1, 0));
    assert!(account.bytes < 4 * KIB, "{} bytes", account.bytes);
    for (hub, other) in [(&origin, &clone), (&clone, &origin)] {
        let (channel, site) = (hub.channel("alice").await.id, hub.peer(other).await.row);
        let found = hub.hub().catalog.compared(channel, site).await.unwrap().unwrap();
        assert!(found.equal_at.is_some() && found.differing == 0, "{found:?}");
    }
}

/// AUDIT-8, AUDIT-10, AUDIT-11: one operation of many that was lost is found in kilobytes, named, and
/// fetched; the bytes follow, and nothing is announced again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_operation_is_found_and_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    put_many(&origin, dir.path(), "a", 1500).await;
    clone.has("alice", 1500).await;
    let clone = clone.stop().await;
    let bytes = noise(1, 100_000);
    origin.put_bytes("alice", "lost", &bytes).await;
    let origin = origin.stop().await;
    origin.look(lose).await;
    let (origin, clone) = (origin.start().await, clone.start().await);
    let account = compared(&clone, &origin, Mode::Look).await;
    assert!(!account.in_sync);
    assert_eq!((account.missing_here, account.missing_there, account.differing), (1, 0, 0));
    assert_eq!(account.first, ["lost"]);
    assert_eq!(entries(&clone).await, 1501, "looking changes nothing");
    let account = compared(&clone, &origin, Mode::Repair).await;
    assert!(account.in_sync, "{account:?}");
    assert_eq!((account.missing_here, account.fetched, account.sent), (1, 1, 0));
    assert!(account.bytes < 64 * KIB, "{} bytes", account.bytes);
    clone.shows("alice", "lost", &bytes).await;
    let channel = clone.channel("alice").await;
    assert_eq!(clone.hub().catalog.heads(channel.id).await.unwrap().seq, 0);
    assert_eq!(compared(&origin, &clone, Mode::Look).await.exchanges, 1);
}

/// AUDIT-10: what the other lacks is sent to it; what differs at both goes both ways.
#[tokio::test(flavor = "multi_thread")]
async fn many_differences_on_both_sides_are_settled_from_one() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    origin.put_bytes("alice", "same", b"first").await;
    clone.has("alice", 1).await;
    let stopped = clone.stop().await;
    put_many(&origin, dir.path(), "a", 700).await;
    origin.put_bytes("alice", "same", b"second").await;
    let origin = origin.stop().await;
    origin.look(lose).await;
    let clone = stopped.start().await;
    put_many(&clone, dir.path(), "b", 300).await;
    let clone = clone.stop().await;
    clone.look(lose).await;
    let (origin, clone) = (origin.start().await, clone.start().await);
    let account = compared(&origin, &clone, Mode::Repair).await;
    assert!(account.in_sync, "{account:?}");
    assert_eq!(account.differing, 1);
    // A folder comes with the first file in it, and may be there before its own range is looked at.
    assert!((300..=301).contains(&account.missing_here), "{account:?}");
    assert!((700..=701).contains(&account.missing_there), "{account:?}");
    origin.has("alice", 1001).await;
    clone.has("alice", 1001).await;
    clone.shows("alice", "same", b"second").await;
    let after = compared(&clone, &origin, Mode::Look).await;
    assert_eq!((after.in_sync, after.entries, after.exchanges), (true, 1003, 1));
}

fn auditing(config: &mut toml::Table) {
    set(config, "audit", "every_hours", 24);
}

/// AUDIT-12, AUDIT-14: a new clone of a channel with thousands of entries asks for them itself, gets
/// on where it was stopped, and is told nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_clone_catches_up_by_asking_and_goes_on_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TestHub::build(dir.path(), "origin", Setup::with(auditing)).await;
    origin.create_channel("alice").await;
    put_many(&origin, dir.path(), "a", 4000).await;
    let mut clone = TestHub::build(dir.path(), "clone", Setup::with(auditing)).await;
    clone.clone_channel(&origin, "alice").await;
    for least in [1, 1500] {
        until("some entries came", async || entries(&clone).await >= least).await;
        clone = clone.stop().await.start().await;
    }
    clone.has("alice", 4000).await;
    until("every entry came", async || entries(&clone).await == 4001).await;
    let account = compared(&clone, &origin, Mode::Look).await;
    assert!(account.in_sync && account.exchanges == 1, "{account:?}");
    let channel = clone.channel("alice").await;
    assert_eq!(clone.hub().catalog.heads(channel.id).await.unwrap().seq, 0);
    // Later edits are delivered as ever.
    origin.put_bytes("alice", "later", b"later").await;
    clone.shows("alice", "later", b"later").await;
}

fn little_patience(config: &mut toml::Table) {
    auditing(config);
    set(config, "limits", "backlog", 20);
}

/// AUDIT-14: what a clone that is away misses does not pile up beyond the limit: when it is back, both
/// are compared, and it has everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_missed_too_much_is_brought_up_by_comparing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) =
        pair(dir.path(), Setup::with(little_patience), Setup::with(little_patience)).await;
    origin.put_bytes("alice", "before", b"before").await;
    clone.shows("alice", "before", b"before").await;
    let (channel, site) = (origin.channel("alice").await.id, origin.peer(&clone).await.row);
    let clone = clone.stop().await;
    put_many(&origin, dir.path(), "a", 60).await;
    let compared = async || origin.hub().catalog.compared(channel, site).await.unwrap();
    until("it is left to a comparison", async || compared().await.is_some_and(|c| c.by_audit))
        .await;
    let lag = origin.hub().catalog.lagging(origin.hub().site).await.unwrap();
    assert!(lag.iter().all(|lag| !lag.operations), "no operation waits: {lag:?}");
    let clone = clone.start().await;
    clone.has("alice", 61).await;
    until("it counts as brought up", async || {
        compared().await.is_some_and(|c| !c.by_audit && c.equal_at.is_some())
    })
    .await;
}

/// AUDIT-6, AUDIT-10: what is asked for is answered in its order; of entries that nobody knows nothing
/// is said but that.
#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_entries_are_answered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    put_many(&origin, dir.path(), "a", 300).await;
    clone.has("alice", 300).await;
    let (peer, alice) = (clone.peer(&origin).await, clone.channel("alice").await);
    let range = |prefix: &[u8], list| AuditRange {
        prefix: serde_bytes::ByteBuf::from(prefix),
        digest: Digest([1; 32]),
        list,
        after: None,
    };
    let ranges = vec![range(&[], false), range(&[7], false), range(&[], true)];
    let ask = Packet::from(AuditRequest { ranges });
    let answer = clone.hub().call(&peer, &alice.portable_id, &ask, None).await.unwrap();
    let Packet::AuditPage(page) = &*answer else { panic!("a {}", answer.kind()) };
    let [divided, few, all] = &page.ranges[..] else { panic!("three answers: {page:?}") };
    assert_eq!((divided.range, few.range, all.range), (0, 1, 2));
    let below = divided.below().unwrap();
    assert_eq!((divided.count, below.iter().map(|sum| sum.count).sum()), (301, 301));
    assert_eq!(few.leaves().unwrap().len() as u64, below[7].count);
    let leaves = all.leaves().unwrap();
    assert!(leaves.len() == 301 && leaves.is_sorted());

    let mut keys: Vec<Digest> = leaves.iter().map(|(key, _)| *key).take(9).collect();
    keys.insert(3, Digest([9; 32]));
    let ask = Packet::from(EntryRequest { keys: keys.clone() });
    let answer = clone.hub().call(&peer, &alice.portable_id, &ask, None).await.unwrap();
    let Packet::CloneSync(sync) = &*answer else { panic!("a {}", answer.kind()) };
    assert_eq!(sync.operations.len(), 9);
    let unknown = Packet::from(EntryRequest { keys: vec![Digest([9; 32])] });
    let refused = clone.hub().call(&peer, &alice.portable_id, &unknown, None).await;
    assert!(refused.unwrap_err().is(Code::UnknownResource));
}

/// What is in flight when both are compared does no harm: lost and delivered at once it is the same.
#[tokio::test(flavor = "multi_thread")]
async fn comparing_beside_deliveries_changes_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let putting = put_many(&origin, dir.path(), "a", 900);
    let comparing = async {
        for _ in 0..5 {
            compared(&clone, &origin, Mode::Repair).await;
        }
    };
    tokio::join!(putting, comparing);
    clone.has("alice", 900).await;
    lose(origin.hub()).await;
    let account = compared(&clone, &origin, Mode::Repair).await;
    assert!(account.in_sync, "{account:?}");
    assert_eq!(account.entries, 901);
}

/// AUDIT-15, AUDIT-16: a tombstone is kept until the other clone was found equal with it, goes then, and
/// does not come back while the other still has it.
#[tokio::test(flavor = "multi_thread")]
async fn tombstones_go_when_both_are_known_to_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    put_many(&origin, dir.path(), "a", 3).await;
    clone.has("alice", 3).await;
    let alice = origin.channel("alice").await;
    assert_eq!(files::remove(origin.hub(), &alice, &["a".to_owned()]).await.unwrap(), 4);
    until("it is removed there too", async || clone.names("alice").await.is_empty()).await;
    assert_eq!(forget(origin.hub(), 0).await.unwrap(), 0, "nobody knows what the clone has");
    let account = compared(&origin, &clone, Mode::Look).await;
    assert_eq!((account.in_sync, account.entries), (true, 4));
    assert_eq!(forget(origin.hub(), 3_600_000).await.unwrap(), 0, "they are too young");
    assert_eq!(forget(origin.hub(), 0).await.unwrap(), 4, "files, then the folder");
    assert_eq!(entries(&origin).await, 0);
    for mode in [Mode::Look, Mode::Repair] {
        let account = compared(&origin, &clone, mode).await;
        assert_eq!((account.in_sync, account.differences(), account.fetched), (true, 0, 0));
        assert_eq!(entries(&origin).await, 0);
    }
    // The clone learnt from the comparison that both were equal, and forgets as well.
    assert_eq!(forget(clone.hub(), 0).await.unwrap(), 4);
    assert_eq!(compared(&clone, &origin, Mode::Look).await.exchanges, 1);
    forget(clone.hub(), 0).await.unwrap();
    origin.put_bytes("alice", "a", b"a file now").await;
    clone.shows("alice", "a", b"a file now").await;
}

/// AUDIT-19: a clone that was removed may be allowed again: what was removed meanwhile stays known for it, and does not come back
/// with it.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_allowed_again_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    put_many(&origin, dir.path(), "a", 3).await;
    clone.has("alice", 3).await;
    assert!(compared(&origin, &clone, Mode::Look).await.in_sync);
    let alice = origin.channel("alice").await;
    let url = clone.hub().config.url.to_string();
    let place = async || clones::at(origin.hub(), &alice, &url).await.unwrap();
    clones::remove(origin.hub(), &alice, &place().await).await.unwrap();
    assert_eq!(files::remove(origin.hub(), &alice, &["a".to_owned()]).await.unwrap(), 4);
    assert_eq!(forget(origin.hub(), 0).await.unwrap(), 0, "it may come back");
    // A newer record of it, whoever brings that, makes it a place again that has proved nothing.
    let (catalog, gone) = (&origin.hub().catalog, place().await);
    let newer = NewLocation {
        channel: alice.id,
        site: gone.site,
        replica: gone.replica,
        primary: false,
        deleted: true,
        serial: gone.serial + 1,
        record: gone.record,
        state: LocationState::Pending,
        foreign: false,
    };
    catalog.upsert_location(&newer).await.unwrap();
    assert_eq!(forget(origin.hub(), 0).await.unwrap(), 0, "it may still come back");

    clones::allow(origin.hub(), &alice, &place().await).await.unwrap();
    origin.is_clone_of(&clone, "alice").await;
    compared(&clone, &origin, Mode::Repair).await;
    for hub in [&origin, &clone] {
        until("it is removed", async || hub.names("alice").await.is_empty()).await;
    }
    assert!(compared(&origin, &clone, Mode::Look).await.in_sync);
    assert_eq!(forget(origin.hub(), 0).await.unwrap(), 4);

    // One that was not heard of for as long as that is waited for no more.
    put_many(&origin, dir.path(), "b", 1).await;
    clones::remove(origin.hub(), &alice, &place().await).await.unwrap();
    assert_eq!(files::remove(origin.hub(), &alice, &["b".to_owned()]).await.unwrap(), 2);
    let (site, now) = (origin.hub().site, origin.hub().clock.now());
    let gone = async |away| catalog.forget_tombstones(alice.id, site, now.plus(9), away).await;
    assert_eq!(gone(Millis(0)).await.unwrap(), 0);
    assert_eq!(gone(now.plus(3_600_000)).await.unwrap(), 2);
}

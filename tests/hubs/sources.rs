//! Files that several clones have: each of them serves, and what one does not give another does.

use zotferry::files;
use zotferry::sweep::{sweep, sweep_partials};
use zotferry_protocol::pacing::MAX_PAUSE;

use crate::harness::{MIB, Setup, TestHub, blocked, noise, set, until};
use crate::proxy::{Fault, Kind};

/// Pauses so long that a test that waits for one fails, and a path that is given up soon.
fn patient(config: &mut toml::Table) {
    set(config, "limits", "backoff_ms", i64::try_from(MAX_PAUSE).unwrap());
    set(config, "limits", "max_backoff_ms", i64::try_from(MAX_PAUSE).unwrap());
    set(config, "transfer", "stall_seconds", 1);
}

fn patient_and_blocked(config: &mut toml::Table) {
    patient(config);
    blocked(config);
}

/// Three clones of one channel: the first two stand behind proxies.
pub(crate) struct Three {
    pub(crate) first: TestHub,
    pub(crate) second: TestHub,
    pub(crate) third: TestHub,
    _dir: tempfile::TempDir,
}

impl Three {
    pub(crate) async fn of(third: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let first = TestHub::build(dir.path(), "first", Setup::proxied()).await;
        let second = TestHub::build(dir.path(), "second", Setup::proxied()).await;
        let third = TestHub::build(dir.path(), "third", third).await;
        first.create_channel("alice").await;
        second.clone_channel(&first, "alice").await;
        third.clone_channel(&first, "alice").await;
        for hub in [&first, &second, &third] {
            hub.lists("alice", 3).await;
        }
        Self { first, second, third, _dir: dir }
    }

    /// The third rests until the second has reported these files as present.
    pub(crate) async fn known_at_both(&self, files: &[(&str, &[u8])]) {
        self.pause(true).await;
        for (name, bytes) in files {
            self.first.put_bytes("alice", name, bytes).await;
        }
        let site = self.second_at_third().await;
        until("the third knows that the second has all of it", async || {
            let there = self.third.present_at("alice", site).await;
            there == files.len() as u64 && self.third.names("alice").await.len() == files.len()
        })
        .await;
    }

    pub(crate) async fn pause(&self, paused: bool) {
        let channel = self.third.channel("alice").await.id;
        self.third.hub().catalog.set_paused(channel, paused).await.unwrap();
        self.third.hub().tell_receiver();
    }

    pub(crate) async fn second_at_third(&self) -> i64 {
        let id = &self.second.hub().site_id;
        self.third.hub().catalog.site_by_id(id).await.unwrap().unwrap().id
    }

    fn passed(&self) -> [u64; 2] {
        [self.first.proxy().passed(), self.second.proxy().passed()]
    }
}

/// SYNC-11, FETCH-2, FETCH-6: two clones serve parts of one file at once, and no byte comes twice.
async fn two_clones_share_a_file(change: crate::harness::Change) {
    let three = Three::of(Setup::with(change)).await;
    let film = noise(1, 80 * MIB);
    three.known_at_both(&[("film", &film)]).await;
    let before = three.passed();
    three.pause(false).await;
    three.third.shows("alice", "film", &film).await;
    let [first, second] = three.passed();
    let came = [first - before[0], second - before[1]];
    assert!(came.iter().all(|bytes| *bytes >= 8 * MIB as u64), "both serve: {came:?}");
    let counts = three.third.counts();
    assert_eq!((counts.chunks, counts.bytes_fetched_twice), (80, 0));
    // Of frames the heads passed as well.
    assert!(came[0] + came[1] < film.len() as u64 * 1001 / 1000, "none twice: {came:?}");
    assert_eq!(counts.bytes_fetched, film.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clones_share_a_file_by_chunks() {
    two_clones_share_a_file(blocked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clones_share_a_file_by_streams() {
    two_clones_share_a_file(crate::harness::unchanged).await;
}

/// FETCH-54, SYNC-11: the one that announced is gone in mid-file, for good: the rest comes from the
/// other, at once, and what came is kept. So do the small files.
#[tokio::test(flavor = "multi_thread")]
async fn the_announcer_goes_and_the_rest_comes_from_another() {
    let three = Three::of(Setup::with(patient)).await;
    let (film, note) = (noise(2, 60 * MIB), noise(3, 999));
    three.known_at_both(&[("film", &film), ("note", &note)]).await;
    let (first, second) = (three.first.proxy().clone(), three.second.proxy().clone());
    let before = three.passed();
    // A little comes from either, nothing of it twice.
    first.allow(9 * MIB as u64);
    second.allow(9 * MIB as u64);
    three.pause(false).await;
    until("some chunks came", async || three.third.counts().chunks >= 4).await;
    let Three { first: gone, second: stays, third, _dir } = three;
    let stopped = gone.stop().await;
    first.rule(|_, _| Fault::Answer(502, "text/html", "gone"));
    second.allow_all();
    third.shows("alice", "film", &film).await;
    third.shows("alice", "note", &note).await;
    assert_eq!(third.counts().chunks, 61);
    let served = second.passed() - before[1];
    assert!(served > 40 * MIB as u64, "the second gave the most: {served}");
    drop((stopped, stays));
}

/// FETCH-54: a third that hears of files after their announcer went gets them from the second.
#[tokio::test(flavor = "multi_thread")]
async fn what_its_announcer_cannot_give_any_more_comes_from_another() {
    let three = Three::of(Setup::with(patient)).await;
    let files: Vec<(String, Vec<u8>)> =
        (0..40).map(|n| (format!("f{n}"), noise(n, 5000 + n as usize))).collect();
    let film = noise(99, 3 * MIB);
    let mut all: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
    all.push(("film", &film));
    three.known_at_both(&all).await;
    let Three { first, second, third, _dir } = three;
    let stopped = first.stop().await;
    let channel = third.channel("alice").await.id;
    third.hub().catalog.set_paused(channel, false).await.unwrap();
    third.hub().tell_receiver();
    third.has("alice", 41).await;
    for (name, bytes) in all {
        assert_eq!(third.bytes("alice", &[name]).await.unwrap(), bytes);
    }
    assert_eq!(third.counts().bytes_fetched_twice, 0);
    drop((stopped, second));
}

/// FETCH-54: one that refuses a file, because it has lost it, is left for the other, file by file.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_lost_a_file_is_left_for_another() {
    let three = Three::of(Setup::with(patient_and_blocked)).await;
    let (film, note) = (noise(4, 30 * MIB), noise(5, 999));
    three.known_at_both(&[("film", &film), ("note", &note)]).await;
    for name in ["film", "note"] {
        let channel = three.first.channel("alice").await.id;
        let entry = three.first.hub().catalog.by_path(channel, &[name]).await.unwrap().unwrap();
        three.first.hub().storage.remove(&entry.root.unwrap()).unwrap();
    }
    three.pause(false).await;
    three.third.shows("alice", "film", &film).await;
    three.third.shows("alice", "note", &note).await;
    assert_eq!(three.third.counts().bytes_fetched_twice, 0);
}

/// FETCH-5: one whose bytes are wrong is left for the other.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_lies_is_left_for_another() {
    let three = Three::of(Setup::with(patient_and_blocked)).await;
    let (film, note) = (noise(6, 50 * MIB), noise(7, 999));
    three.known_at_both(&[("film", &film), ("note", &note)]).await;
    // Beyond the heads of the frames, in the first chunk.
    three.first.proxy().rule(|kind, _| match kind {
        Kind::Packet => Fault::None,
        _ => Fault::Flip(500),
    });
    three.pause(false).await;
    three.third.shows("alice", "film", &film).await;
    three.third.shows("alice", "note", &note).await;
    let bad = three.third.counts().bad_chunks;
    assert!(bad <= 8, "it is left soon: {bad}");
    assert_eq!(three.third.counts().chunks, 51);
}

/// SYNC-11: a clone that moves a file whose bytes it does not have becomes nobody's only source: who
/// announced the file first is asked still.
#[tokio::test(flavor = "multi_thread")]
async fn who_moves_a_file_need_not_have_it() {
    let three = Three::of(Setup::with(patient)).await;
    let channel = three.second.channel("alice").await;
    three.second.hub().catalog.set_paused(channel.id, true).await.unwrap();
    three.second.hub().tell_receiver();
    three.pause(true).await;
    let film = noise(10, 5 * MIB);
    three.first.put_bytes("alice", "film", &film).await;
    until("the second knows of it", async || three.second.names("alice").await == ["film"]).await;
    let (from, to) = (["film".to_owned()], ["moved".to_owned()]);
    files::rename(three.second.hub(), &channel, &from, &to, false).await.unwrap();
    until("the third knows of it", async || three.third.names("alice").await == ["moved"]).await;
    three.pause(false).await;
    three.third.shows("alice", "moved", &film).await;
}

/// SYNC-34: a file that is removed while it comes is let go: no job, no bytes, nothing in hand; nor of
/// one that was begun and rests.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_removed_while_it_comes_is_let_go() {
    let three = Three::of(Setup::with(patient)).await;
    let idle = three.second.channel("alice").await.id;
    three.second.hub().catalog.set_paused(idle, true).await.unwrap();
    three.second.hub().tell_receiver();
    let film = noise(11, 30 * MIB);
    three.first.proxy().allow(22 * MIB as u64);
    for name in ["film", "rests"] {
        three.first.put_bytes("alice", name, &film[name.len()..]).await;
    }
    let third = &three.third;
    until("some chunks came", async || third.counts().chunks >= 4).await;
    let channel = three.first.channel("alice").await;
    files::remove(three.first.hub(), &channel, &["film".to_owned()]).await.unwrap();
    until("it is let go", async || third.service.receiver.progress().len() == 1).await;
    three.pause(true).await;
    until("nothing is in hand", async || third.service.receiver.progress().is_empty()).await;
    files::remove(three.first.hub(), &channel, &["rests".to_owned()]).await.unwrap();
    until("all is removed", async || third.names("alice").await.is_empty()).await;
    sweep_partials(third.hub()).await.unwrap();
    assert_eq!(third.hub().storage.partials().unwrap(), []);
    until("the clones heard of it", async || {
        let lagging = third.hub().catalog.lagging(third.hub().site).await.unwrap();
        lagging.is_empty()
    })
    .await;
    sweep(third.hub(), 0).await.unwrap();
    let counts = third.hub().queue.counts(third.hub().clock.now());
    assert_eq!(counts.due + counts.delayed + counts.leased, 0);
}

/// SYNC-11: a location that was removed is asked for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_location_is_not_asked() {
    let three = Three::of(Setup::with(patient)).await;
    let (film, note) = (noise(8, 30 * MIB), noise(9, 999));
    three.known_at_both(&[("film", &film), ("note", &note)]).await;
    let site = three.second_at_third().await;
    let channel = three.third.channel("alice").await.id;
    let row = three.third.hub().catalog.location(channel, site).await.unwrap().unwrap();
    let gone = zotferry::catalog::NewLocation {
        channel,
        site,
        replica: row.replica,
        primary: row.primary,
        deleted: true,
        serial: row.serial + 1,
        record: row.record,
        state: row.state,
        foreign: false,
    };
    three.third.hub().catalog.upsert_location(&gone).await.unwrap();
    let before = three.second.proxy().passed();
    three.pause(false).await;
    three.third.shows("alice", "film", &film).await;
    three.third.shows("alice", "note", &note).await;
    assert_eq!(three.second.proxy().passed(), before);
}

//! Hubs whose clocks differ, and a clock that is set back.

use zotferry_protocol::packets::{CloneSync, Packet};
use zotferry_protocol::refusal::Code;

use crate::craft::{post, put_operation};
use crate::harness::{MIB, Setup, blocked, noise, pair, until};

const HOUR: i64 = 3_600_000;

/// Files go both ways although the clocks are off.
async fn both_ways(origin: Setup, clone: Setup) {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), origin, clone).await;
    for (from, to, name) in [(&origin, &clone, "there"), (&clone, &origin, "and back")] {
        let (large, small) = (noise(1, 3 * MIB + name.len()), noise(2, 500 + name.len()));
        from.put_bytes("alice", name, &large).await;
        from.put_bytes("alice", &format!("{name} small"), &small).await;
        to.shows("alice", name, &large).await;
        to.shows("alice", &format!("{name} small"), &small).await;
    }
}

/// SIGN-6, SIGN-10, SIGN-16: an origin's clock may be an hour ahead.
#[tokio::test(flavor = "multi_thread")]
async fn an_origin_an_hour_ahead_is_a_clone_like_any_other() {
    both_ways(Setup { clock: HOUR, ..Setup::default() }, Setup::default()).await;
}

/// SIGN-6, SIGN-10, SIGN-16: a receiver's clock may be an hour ahead, also for chunk-requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_an_hour_ahead_is_a_clone_like_any_other() {
    both_ways(Setup::default(), Setup { clock: HOUR, ..Setup::with(blocked) }).await;
}

/// SIGN-6, SIGN-10, SIGN-16: or behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_an_hour_behind_is_a_clone_like_any_other() {
    both_ways(Setup::default(), Setup { clock: -HOUR, ..Setup::default() }).await;
}

/// SIGN-12: a packet whose id was forgotten is refused when the clock is set back to its time; what
/// is signed anew gets through all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_reopens_nothing_and_closes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ahead = Setup { clock: HOUR, ..Setup::default() };
    let (origin, clone) = pair(dir.path(), ahead, Setup::default()).await;
    let channel = clone.channel("alice").await;
    let peer = clone.peer(&origin).await;
    let packet = Packet::from(CloneSync { operations: vec![put_operation(1, "once", b"")] });
    let sealed = clone.hub().seal(&peer, &channel.portable_id, packet, None).await.unwrap();
    let first = post(&origin, sealed.bytes.clone()).await;
    assert!(matches!(first.signed(&clone, &peer, &sealed), Packet::SyncReport(_)));

    let origin = origin.stop().await.clock(2 * HOUR).start().await;
    until("the packet is forgotten", async || {
        origin.hub().catalog.purged_through().await.unwrap() >= sealed.until
    })
    .await;
    let origin = origin.stop().await.clock(0).start().await;
    let again = post(&origin, sealed.bytes.clone()).await;
    assert_eq!(again.refusal(&clone, &peer, &sealed), Code::Stale);
    clone.put_bytes("alice", "news", b"after all this").await;
    origin.shows("alice", "news", b"after all this").await;
}

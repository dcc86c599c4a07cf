//! Channels, quota, clock.

use zotferry_protocol::ids::{Millis, ReplicaId};

use crate::catalog::testing::{Fixture, NOW, Numbering, new_channel, portable_id, put, want};
use crate::catalog::{CatalogError, NewChannel};

/// Bytes that may still be put into alice's.
async fn room(hub: &Fixture) -> u64 {
    let channel = hub.channel(hub.alice).await.expect("read");
    hub.room(&channel, 0).await.expect("read")
}

/// ID-1: a channel is found by id and by nick, and is added once.
#[tokio::test]
async fn a_channel_is_found_by_id_and_nick() {
    let hub = Fixture::create().await;
    let alice = hub.channel(hub.alice).await.expect("read");
    assert_eq!(alice.replica, ReplicaId([b'a'; 8]));
    assert_eq!(alice.created, NOW);
    assert_eq!(hub.channel_by_nick("alice").await.expect("read"), Some(alice.clone()));
    assert_eq!(hub.channel_by_id(&portable_id("alice")).await.expect("read"), Some(alice));
    assert_eq!(hub.channel_by_nick("Alice").await.expect("read"), None);
    let nicks = hub.channels().await.expect("read").into_iter().map(|channel| channel.nick);
    assert_eq!(nicks.collect::<Vec<_>>(), ["alice", "bob"]);
    let same_nick = NewChannel { portable_id: portable_id("other"), ..new_channel("alice") };
    let same_id = NewChannel { nick: "other".into(), ..new_channel("alice") };
    for taken in [same_nick, same_id] {
        let refused = hub.add_channel(&taken, NOW).await;
        assert!(matches!(refused, Err(CatalogError::ChannelTaken)));
    }
    assert!(matches!(hub.channel(99).await, Err(CatalogError::UnknownChannel)));
}

/// Pausing, quota and replica are kept over a restart.
#[tokio::test]
async fn settings_of_a_channel_are_kept() {
    let hub = Fixture::create().await;
    hub.set_paused(hub.alice, true).await.expect("stored");
    hub.set_quota(hub.alice, Some(1000)).await.expect("stored");
    hub.set_replica(hub.alice, ReplicaId([9; 8])).await.expect("stored");
    assert!(matches!(hub.set_paused(99, true).await, Err(CatalogError::UnknownChannel)));
    let hub = hub.reopen().await;
    let alice = hub.channel(hub.alice).await.expect("read");
    assert_eq!((alice.paused, alice.quota, alice.replica), (true, Some(1000), ReplicaId([9; 8])));
    assert!(!hub.channel(hub.bob).await.expect("read").paused);
}

/// SYNC-22: the clock rises with the wall clock, and without it; it is one clock per channel.
#[tokio::test]
async fn the_clock_of_a_channel_always_rises() {
    let hub = Fixture::create().await;
    let first = hub.tick_hlc(hub.alice, Millis(1000)).await.expect("tick");
    assert_eq!(first, 1000 << 16);
    assert_eq!(hub.tick_hlc(hub.alice, Millis(1000)).await.expect("tick"), first + 1);
    assert_eq!(hub.tick_hlc(hub.alice, Millis(10)).await.expect("clock set back"), first + 2);
    let hub = hub.reopen().await;
    assert_eq!(hub.tick_hlc(hub.alice, Millis(1001)).await.expect("tick"), 1001 << 16);
    assert_eq!(hub.tick_hlc(hub.bob, Millis(5)).await.expect("tick"), 5 << 16);
    let mut apply = hub.begin_apply().await.expect("writer");
    apply.observe_hlc(hub.bob, u64::MAX - 1).await.expect("seen");
    apply.observe_hlc(hub.bob, 3).await.expect("seen");
    apply.finish(&zotferry_protocol::ids::PacketId([1; 16]), NOW, b"").await.expect("stored");
    assert_eq!(hub.tick_hlc(hub.bob, NOW).await.expect("tick"), u64::MAX);
}

/// SYNC-12: what is present and what is announced take room; what is replaced frees it.
#[tokio::test]
async fn room_is_what_quota_leaves() {
    let hub = Fixture::create().await;
    assert_eq!(room(&hub).await, u64::MAX);
    hub.set_quota(hub.alice, Some(100)).await.expect("stored");
    hub.announce(&[want("f1", 1, 30)]).await;
    let batch = hub.batch(vec![put(&["a"], 2, 50)]);
    hub.local_put(&batch, &mut Numbering::default(), NOW).await.expect("fits");
    assert_eq!(hub.bytes().await, (50, 30));
    assert_eq!(room(&hub).await, 20);
    hub.set_quota(hub.alice, Some(10)).await.expect("stored");
    assert_eq!(room(&hub).await, 0);
}

/// Writers take turns, whichever thread they are on; none is turned away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_take_turns() {
    let hub = std::sync::Arc::new(Fixture::create().await);
    let tasks = (0..40_u64).map(|n| {
        let hub = hub.clone();
        tokio::spawn(async move {
            let tick = hub.tick_hlc(hub.alice, NOW).await.expect("tick");
            let batch = hub.batch(vec![put(&[&format!("f{n}")], n, 1)]);
            let author = &mut Numbering::starting(n * 100);
            hub.local_put(&batch, author, NOW).await.expect("put");
            let wanted = hub.announce(&[want(&format!("w{n}"), n, 1)]).await;
            hub.mark_present(&[wanted[0].id]).await.expect("marked");
            tick
        })
    });
    let ticks = futures_util::future::join_all(tasks).await;
    let distinct: std::collections::BTreeSet<_> =
        ticks.into_iter().map(|tick| tick.expect("no panic")).collect();
    assert_eq!(distinct.len(), 40);
    let heads = hub.heads(hub.alice).await.expect("read");
    assert_eq!((heads.seq, heads.present_seq), (40, 40));
    assert_eq!(hub.bytes().await, (80, 0));
}

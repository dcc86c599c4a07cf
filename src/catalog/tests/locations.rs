//! Locations and their cursors.

use zotferry_protocol::ids::ReplicaId;

use crate::catalog::testing::{
    Fixture, NOW, Numbering, new_location, new_site, portable_id, put, want,
};
use crate::catalog::{Lag, LocationState, NewLocation, Placed};

/// ID-10: the highest serial wins, ties by replica id.
#[tokio::test]
async fn the_highest_serial_wins() {
    let hub = Fixture::create().await;
    let record = |serial, replica| NewLocation {
        replica: ReplicaId([replica; 8]),
        ..new_location(hub.alice, hub.site_b, serial)
    };
    for (serial, replica, placed) in [
        (5, 5, Placed::New),
        (5, 5, Placed::Kept),
        (4, 9, Placed::Kept),
        (5, 4, Placed::Kept),
        (5, 6, Placed::Replaced),
        (6, 1, Placed::Replaced),
    ] {
        let outcome = hub.upsert_location(&record(serial, replica)).await.expect("stored");
        assert_eq!(outcome, placed, "serial {serial}, replica {replica}");
    }
    let kept = hub.location(hub.alice, hub.site_b).await.expect("read").expect("there");
    assert_eq!(
        (kept.serial, kept.record, kept.replica),
        (6, b"record 6".to_vec(), ReplicaId([1; 8]))
    );
    assert_eq!(kept.url, "https://b.test");
}

/// ID-17: a deleted location stays as a record; an older one does not bring it back, a newer one has to prove itself.
#[tokio::test]
async fn a_deleted_location_stays_as_a_record() {
    let hub = Fixture::create().await;
    let record = |serial| new_location(hub.alice, hub.site_b, serial);
    hub.upsert_location(&record(1)).await.expect("stored");
    hub.set_location_state(hub.alice, hub.site_b, LocationState::Listed).await.expect("stored");
    hub.upsert_location(&record(2)).await.expect("stored");
    let state = async || {
        let all = hub.locations(hub.alice).await.expect("read");
        (all[0].state, all[0].deleted, all.len())
    };
    assert_eq!(state().await, (LocationState::Listed, false, 1));
    assert_eq!(hub.channels_at(hub.site_b).await.expect("read"), [hub.alice]);
    let gone = NewLocation { deleted: true, ..record(4) };
    hub.upsert_location(&gone).await.expect("stored");
    assert_eq!(hub.upsert_location(&record(3)).await.expect("kept"), Placed::Kept);
    assert_eq!(state().await, (LocationState::Listed, true, 1));
    assert!(hub.channels_at(hub.site_b).await.expect("read").is_empty());
    assert!(hub.pending_locations().await.expect("read").is_empty());
    hub.upsert_location(&record(5)).await.expect("stored");
    assert_eq!(state().await, (LocationState::Pending, false, 1));
    assert_eq!(hub.pending_locations().await.expect("read").len(), 1);
}

/// SIGN-3: one question answers whether a site may speak for a channel, and with which key.
#[tokio::test]
async fn a_site_speaks_for_channels_located_there() {
    let hub = Fixture::create().await;
    hub.upsert_location(&new_location(hub.alice, hub.site_b, 1)).await.expect("stored");
    let ask = async |nick: &str, site: char| {
        hub.located(&portable_id(nick), &new_site(site).site_id).await.expect("read")
    };
    let found = ask("alice", 'b').await.expect("located");
    assert_eq!((found.channel.id, found.site.id), (hub.alice, hub.site_b));
    assert_eq!(found.site.key_pem, new_site('b').key_pem);
    assert_eq!(found.location.state, LocationState::Pending);
    assert!(ask("alice", 'c').await.is_none());
    assert!(ask("bob", 'b').await.is_none());
    assert!(ask("nobody", 'b').await.is_none());
    assert!(ask("alice", 'z').await.is_none());
}

/// SYNC-30: cursors only rise; a new replica begins again.
#[tokio::test]
async fn cursors_rise_until_the_replica_changes() {
    let hub = Fixture::create().await;
    let record = |serial| new_location(hub.alice, hub.site_b, serial);
    hub.upsert_location(&record(1)).await.expect("stored");
    for seq in [3, 8, 5] {
        hub.acked(hub.alice, hub.site_b, seq).await.expect("stored");
        hub.reported(hub.alice, hub.site_b, seq + 1).await.expect("stored");
    }
    let cursors = async || {
        let kept = hub.location(hub.alice, hub.site_b).await.expect("read").expect("there");
        (kept.acked_seq, kept.reported_seq)
    };
    assert_eq!(cursors().await, (8, 9));
    hub.upsert_location(&record(2)).await.expect("stored");
    assert_eq!(cursors().await, (8, 9));
    let anew = NewLocation { replica: ReplicaId([6; 8]), ..record(3) };
    hub.upsert_location(&anew).await.expect("stored");
    assert_eq!(cursors().await, (0, 0));
}

/// QUEUE-5: failed attempts are counted until one succeeds.
#[tokio::test]
async fn failed_attempts_are_counted() {
    let hub = Fixture::create().await;
    hub.upsert_location(&new_location(hub.alice, hub.site_b, 1)).await.expect("stored");
    let tried = async |error: Option<&str>| {
        hub.note_attempt(hub.alice, hub.site_b, error).await.expect("stored");
        let kept = hub.location(hub.alice, hub.site_b).await.expect("read").expect("there");
        (kept.attempts, kept.last_error)
    };
    assert_eq!(tried(Some("refused")).await, (1, Some("refused".into())));
    assert_eq!(tried(Some("timed out")).await, (2, Some("timed out".into())));
    assert_eq!(tried(None).await, (0, None));
}

/// SYNC-30: the clones that have not heard everything are known without a queue.
#[tokio::test]
async fn lagging_clones_are_found() {
    let hub = Fixture::create().await;
    for site in [hub.here, hub.site_b, hub.site_c] {
        hub.upsert_location(&new_location(hub.alice, site, 1)).await.expect("stored");
    }
    for site in [hub.here, hub.site_b] {
        hub.set_location_state(hub.alice, site, LocationState::Listed).await.expect("stored");
    }
    assert!(hub.lagging(hub.here).await.expect("read").is_empty());
    let batch = hub.batch(vec![put(&["a"], 1, 1)]);
    hub.local_put(&batch, &mut Numbering::default(), NOW).await.expect("put");
    let lag = Lag {
        channel: hub.alice,
        site: hub.site_b,
        acked_seq: 0,
        reported_seq: 0,
        operations: true,
        reports: false,
    };
    assert_eq!(hub.lagging(hub.here).await.expect("read"), [lag]);
    hub.acked(hub.alice, hub.site_b, 1).await.expect("stored");
    assert!(hub.lagging(hub.here).await.expect("read").is_empty());
    let wanted = hub.announce(&[want("f", 2, 2)]).await;
    hub.mark_present(&[wanted[0].id]).await.expect("marked");
    let lag = Lag { acked_seq: 1, operations: false, reports: true, ..lag };
    assert_eq!(hub.lagging(hub.here).await.expect("read"), [lag]);
}

//! Which clone is compared when.

use zotferry_protocol::ids::{Millis, ReplicaId};

use crate::catalog::testing::{Fixture, NOW, entry, new_location};
use crate::catalog::{Comparison, LocationState, NewLocation};

const LATER: Millis = Millis(NOW.0 + 1000);

async fn listed(hub: &Fixture, channel: i64, site: i64, serial: u64) {
    let replica = ReplicaId([u8::try_from(serial).expect("small"); 8]);
    let state = LocationState::Listed;
    let new = NewLocation { state, replica, ..new_location(channel, site, serial) };
    hub.upsert_location(&new).await.expect("placed");
}

/// Channel, site and time of every comparison to come.
async fn coming(hub: &Fixture) -> Vec<(i64, i64, Millis)> {
    let all = hub.comparisons(hub.here, NOW, LATER).await.expect("read");
    all.iter().map(|c| (c.channel, c.site, c.due)).collect()
}

/// AUDIT-12, AUDIT-13: a channel without entries asks at once, one that has some leaves a new clone the
/// time to ask itself; after that it is as the last comparison said, or earlier when something went wrong.
#[tokio::test]
async fn a_new_clone_asks_at_once_and_an_old_one_in_its_turn() {
    let hub = Fixture::create().await;
    hub.store(&[entry("f1", None, "a")]).await;
    listed(&hub, hub.alice, hub.here, 1).await;
    assert!(coming(&hub).await.is_empty(), "nobody compares with itself");
    listed(&hub, hub.alice, hub.site_b, 1).await;
    listed(&hub, hub.bob, hub.site_c, 1).await;
    let (alice, bob) = (hub.alice, hub.bob);
    assert_eq!(coming(&hub).await, [(bob, hub.site_c, NOW), (alice, hub.site_b, LATER)]);
    let edition = hub.whole(bob).await.expect("read").edition;
    let due = Millis(NOW.0 + 5000);
    let found = Comparison { at: NOW, equal: Some(edition), differing: 0, due };
    hub.note_compared(bob, hub.site_c, &found).await.expect("noted");
    assert_eq!(coming(&hub).await, [(alice, hub.site_b, LATER), (bob, hub.site_c, due)]);
    let soon = Millis(NOW.0 + 7);
    hub.compare_by(soon).await.expect("noted");
    assert!(coming(&hub).await.iter().all(|(_, _, due)| *due == soon));
    let kept = hub.compared(bob, hub.site_c).await.expect("read").expect("there");
    assert_eq!((kept.equal_at, kept.differing), (Some(NOW), 0));
    // Another replica at the same place has nothing of what was compared.
    listed(&hub, bob, hub.site_c, 2).await;
    assert_eq!(hub.compared(bob, hub.site_c).await.expect("read"), None);
}

/// AUDIT-14: a clone that is brought up by comparing waits for no operation; one that cannot compare
/// waits for all.
#[tokio::test]
async fn what_is_left_to_a_comparison_is_not_delivered() {
    let hub = Fixture::create().await;
    listed(&hub, hub.alice, hub.site_b, 1).await;
    let rows = (0..9u64).map(|n| {
        let mut row = entry(&format!("f{n}"), None, &format!("n{n}"));
        row.seq = Some(n + 1);
        row
    });
    hub.store(&rows.collect::<Vec<_>>()).await;
    let mut writer = hub.writer.acquire().await.expect("a writer");
    sqlx::query("UPDATE channel SET seq = 9").execute(&mut *writer).await.expect("numbered");
    drop(writer);
    assert_eq!(hub.waiting(hub.alice, 3, 100).await.expect("counted"), 6);
    assert_eq!(hub.waiting(hub.alice, 3, 4).await.expect("counted"), 4);
    let acked = async || {
        let location = hub.location(hub.alice, hub.site_b).await.expect("read");
        location.expect("there").acked_seq
    };
    hub.bring_up_by_audit(hub.alice, hub.site_b, NOW).await.expect("noted");
    let left = hub.compared(hub.alice, hub.site_b).await.expect("read").expect("there");
    assert_eq!((acked().await, left.by_audit, left.due), (9, true, NOW));
    hub.cannot_compare(hub.alice, hub.site_b, LATER).await.expect("noted");
    let left = hub.compared(hub.alice, hub.site_b).await.expect("read").expect("there");
    assert_eq!((acked().await, left.by_audit, left.unable), (0, false, true));
}

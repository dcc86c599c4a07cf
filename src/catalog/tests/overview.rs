//! How a catalog is told to whoever runs the hub.

use zotferry_protocol::ids::Role;
use zotferry_protocol::packets::PresentData;

use crate::catalog::testing::{Fixture, NOW, digest, entry, new_location, resource, want};
use crate::catalog::{Comparison, DataState};

/// It waits for none of the connections that serve others.
#[tokio::test]
async fn who_runs_the_hub_does_not_wait_behind_those_whom_it_serves() {
    let hub = Fixture::create().await;
    hub.store(&[entry("f1", None, "a"), entry("f2", None, "b")]).await;
    let wanted = hub.announce(&[want("f1", 1, 10), want("f2", 2, 20)]).await;
    hub.mark_present(&[wanted[0].id]).await.expect("marked");
    for site in [hub.here, hub.site_b, hub.site_c] {
        hub.upsert_location(&new_location(hub.alice, site, 1)).await.expect("placed");
    }
    let content = PresentData { resource: resource("f1"), role: Role::File, root: digest(1) };
    hub.note_present_at(hub.alice, hub.site_b, &[content], NOW).await.expect("noted");
    hub.comparisons(hub.here, NOW, NOW).await.expect("begun");
    let found = Comparison { at: NOW, equal: None, differing: 7, due: NOW };
    hub.note_compared(hub.alice, hub.site_c, &found).await.expect("noted");

    let _all = hub.take_readers().await;
    let overview = hub.overview().await.expect("read");
    let [alice, bob] = &overview.channels[..] else { panic!("two channels") };
    assert_eq!((alice.channel.nick.as_str(), bob.channel.nick.as_str()), ("alice", "bob"));
    let tally = |state| {
        let tally = alice.tallies.iter().find(|tally| tally.state == state);
        tally.map(|tally| (tally.files, tally.bytes))
    };
    assert_eq!(tally(DataState::Present), Some((1, 10)));
    assert_eq!(tally(DataState::Wanted), Some((1, 20)));
    assert_eq!((alice.entries, bob.entries), (2, 0));
    let clones: Vec<_> = alice.locations.iter().map(|of| (of.location.site, of.present)).collect();
    assert_eq!(clones, [(hub.here, 0), (hub.site_b, 1), (hub.site_c, 0)]);
    let differing: Vec<_> = alice
        .locations
        .iter()
        .map(|of| of.compared.as_ref().map(|found| found.differing))
        .collect();
    assert_eq!(differing[2], Some(7));
    assert!(bob.locations.is_empty());
}

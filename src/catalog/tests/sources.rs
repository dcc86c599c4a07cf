//! Who is asked for what is wanted.

use zotferry_protocol::ids::{Millis, ReplicaId, Role};
use zotferry_protocol::packets::PresentData;

use crate::catalog::testing::{Fixture, NOW, digest, new_location, resource, want};
use crate::catalog::{ChannelNo, LocationState, NewLocation, SiteNo, SizeClass, Source, Want};
use crate::storage::Announced;

const NONE: Vec<SiteNo> = Vec::new();

fn listed(channel: ChannelNo, site: SiteNo, serial: u64) -> NewLocation {
    NewLocation { state: LocationState::Listed, ..new_location(channel, site, serial) }
}

async fn reports(hub: &Fixture, site: SiteNo, roots: &[u64]) -> bool {
    let contents: Vec<_> = roots
        .iter()
        .map(|n| PresentData { resource: resource("f1"), role: Role::File, root: digest(*n) })
        .collect();
    hub.note_present_at(hub.alice, site, &contents, Millis(5)).await.expect("noted")
}

/// The contents that a site may be asked for, by the number of their roots.
async fn at(hub: &Fixture, site: SiteNo) -> Vec<u8> {
    let next = hub.next_wanted(hub.alice, site, SizeClass::OneChunk, None, 99).await;
    next.expect("read").iter().map(|data| data.root.0[7]).collect()
}

/// SYNC-11: who announced a content, who did before, and who reported it are asked for it; a location
/// that is pending, foreign or removed is not.
#[tokio::test]
async fn listed_locations_that_have_a_content_are_its_sources() {
    let hub = Fixture::create().await;
    let ids: Vec<_> =
        hub.announce(&[want("f1", 1, 10), want("f2", 2, 20)]).await.iter().map(|w| w.id).collect();
    let sources = async |hub: &Fixture| {
        let found = hub.sources_of(hub.here, &ids).await.expect("read");
        ids.iter().map(|id| found.get(id).cloned().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(sources(&hub).await, [NONE, NONE], "nobody is listed");
    for site in [hub.here, hub.site_b, hub.site_c] {
        hub.upsert_location(&listed(hub.alice, site, 1)).await.expect("kept");
    }
    let (b, c) = (hub.site_b, hub.site_c);
    assert!(reports(&hub, c, &[2, 77]).await, "one of them is wanted here");
    assert!(!reports(&hub, c, &[78]).await);
    assert!(reports(&hub, hub.here, &[1]).await, "of this hub's own nothing is asked");
    assert_eq!(sources(&hub).await, [vec![b], vec![b, c]]);
    assert_eq!((at(&hub, b).await, at(&hub, c).await), (vec![1, 2], vec![2]));

    let mut apply = hub.begin_apply().await.expect("writer");
    apply.want(hub.alice, c, &[want("f1", 1, 10)], NOW).await.expect("wanted");
    apply.finish(&zotferry_protocol::ids::PacketId([9; 16]), NOW, b"").await.expect("stored");
    assert_eq!(
        sources(&hub).await,
        [vec![b, c], vec![b, c]],
        "the first to announce it has it still"
    );

    hub.set_location_state(hub.alice, b, LocationState::Pending).await.expect("stored");
    assert_eq!(sources(&hub).await, [vec![c], vec![c]]);
    let gone = NewLocation { deleted: true, ..listed(hub.alice, c, 2) };
    hub.upsert_location(&gone).await.expect("kept");
    assert_eq!(sources(&hub).await, [NONE, NONE]);
}

/// QUEUE-3: a channel has a lane for each hub of its own while it wants something and does not rest.
#[tokio::test]
async fn a_paused_channel_has_no_lanes() {
    let hub = Fixture::create().await;
    for (channel, site) in [(hub.alice, hub.site_b), (hub.alice, hub.site_c), (hub.bob, hub.site_c)]
    {
        hub.upsert_location(&listed(channel, site, 1)).await.expect("kept");
    }
    let lanes = async || hub.fetch_lanes(hub.here).await.expect("read");
    assert!(lanes().await.is_empty());
    let wanted = hub.announce(&[want("f1", 1, 10)]).await;
    assert_eq!(lanes().await, [(hub.alice, hub.site_b), (hub.alice, hub.site_c)]);
    assert_eq!(hub.fetch_lanes(hub.site_c).await.expect("read"), [(hub.alice, hub.site_b)]);
    hub.set_paused(hub.alice, true).await.expect("paused");
    assert!(lanes().await.is_empty());
    assert!(at(&hub, hub.site_b).await.is_empty());
    hub.set_paused(hub.alice, false).await.expect("resumed");
    assert_eq!(lanes().await.len(), 2);
    hub.mark_present(&[wanted[0].id]).await.expect("marked");
    assert!(lanes().await.is_empty());
}

/// SYNC-11: what a clone has counts while anybody names the content, and until the clone begins anew.
#[tokio::test]
async fn what_a_clone_had_is_forgotten_with_it() {
    let hub = Fixture::create().await;
    hub.upsert_location(&listed(hub.alice, hub.site_c, 1)).await.expect("kept");
    let ids: Vec<_> = hub
        .announce(&[want("f1", 1, 10), want("f2", 1, 10), want("f3", 3, 1)])
        .await
        .iter()
        .map(|w| w.id)
        .collect();
    assert!(reports(&hub, hub.site_c, &[1, 3]).await);
    let count = async || hub.present_at(hub.alice, hub.site_c).await;
    hub.release(&ids[..1], NOW).await.expect("released");
    hub.forget(&ids[..1], NOW).await.expect("forgotten");
    assert_eq!(count().await, 2, "another entry has the same bytes");
    hub.release(&ids[1..2], NOW).await.expect("released");
    hub.forget(&ids[1..2], NOW).await.expect("forgotten");
    assert_eq!(count().await, 1);
    let anew = NewLocation { replica: ReplicaId([6; 8]), ..listed(hub.alice, hub.site_c, 2) };
    hub.upsert_location(&anew).await.expect("kept");
    assert_eq!(count().await, 0);
}

/// QUEUE-8: a partial file is worth keeping while its content is wanted under some name.
#[tokio::test]
async fn roots_that_nobody_wants_are_told() {
    let hub = Fixture::create().await;
    let wanted = hub.announce(&[want("f1", 1, 10), want("f2", 2, 10), want("f3", 3, 10)]).await;
    hub.mark_present(&[wanted[0].id]).await.expect("marked");
    hub.mark_failed(wanted[1].id, "nobody has it").await.expect("marked");
    let of = |channel, n, size| Announced { channel, root: digest(n), size };
    let contents = [1, 2, 3, 4].map(|n| of(hub.alice, n, 10));
    assert_eq!(hub.unwanted(&contents).await.expect("read"), [contents[0], contents[3]]);
    // Another channel does not want them, and nobody wants them in another size.
    let others = [of(hub.alice + 1, 3, 10), of(hub.alice, 3, 11)];
    assert_eq!(hub.unwanted(&others).await.expect("read"), others);
    hub.want_again(wanted[1].id).await.expect("wanted");
    hub.want_again(wanted[0].id).await.expect("as it was");
    let states: Vec<_> = hub
        .contents(&wanted.iter().map(|w| w.id).collect::<Vec<_>>())
        .await
        .expect("read")
        .iter()
        .map(|data| data.state)
        .collect();
    use crate::catalog::DataState::{Present, Wanted};
    assert_eq!(states, [Present, Wanted, Wanted]);
}

/// BACKUP-25: while a backup is bringing a content, no hub is asked for it; what it did not bring is asked of clones whose
/// catalog is equal.
#[tokio::test]
async fn what_a_backup_brings_is_not_fetched() {
    let hub = Fixture::create().await;
    hub.upsert_location(&listed(hub.alice, hub.site_b, 2)).await.expect("listed");
    let brought = |n| Want { source: Source::Backup, ..want(&format!("f{n}"), n, 10) };
    let mut apply = hub.begin_apply().await.expect("begun");
    let wants = [brought(1), brought(2)];
    let ids = apply.want(hub.alice, hub.here, &wants, NOW).await.expect("wanted");
    let ids: Vec<_> = ids.iter().map(|wanted| wanted.id).collect();
    apply.commit().await.expect("committed");
    reports(&hub, hub.site_b, &[1]).await;
    assert_eq!(at(&hub, hub.site_b).await, [0; 0]);
    assert!(hub.sources_of(hub.here, &ids).await.expect("read").is_empty());
    assert_eq!(hub.may_have(hub.alice, hub.site_b).await.expect("noted"), 0);
    assert_eq!(hub.fetch_instead(hub.alice).await.expect("changed"), 2);
    assert_eq!(at(&hub, hub.site_b).await, [1], "it has reported this one");
    assert_eq!(hub.may_have(hub.alice, hub.site_b).await.expect("noted"), 1);
    assert_eq!(at(&hub, hub.site_b).await, [1, 2]);
}

/// SYNC-11: a report that came before anything here named its content is not kept; a clone with an equal catalog is asked all
/// the same. It is a guess: nobody takes it for a report. (In the chaos test two hubs had a file, the third knew of one of
/// them only, and that one's was damaged.)
#[tokio::test]
async fn a_clone_with_an_equal_catalog_is_asked_too() {
    let hub = Fixture::create().await;
    for site in [hub.site_b, hub.site_c] {
        hub.upsert_location(&listed(hub.alice, site, 2)).await.expect("listed");
    }
    reports(&hub, hub.site_c, &[1]).await;
    let wanted = hub.announce(&[want("f1", 1, 10)]).await;
    assert_eq!(at(&hub, hub.site_c).await, [0; 0], "nothing here named it when it was reported");
    assert_eq!(hub.may_have(hub.alice, hub.site_c).await.expect("noted"), 1);
    assert_eq!(at(&hub, hub.site_c).await, [1]);
    assert_eq!(hub.may_have(hub.alice, hub.site_c).await.expect("noted"), 0);
    let reported = async || hub.present_at(hub.alice, hub.site_c).await;
    assert_eq!(reported().await, 0);
    hub.mark_present(&[wanted[0].id]).await.expect("kept");
    assert_eq!(hub.only_here(hub.alice, hub.here).await.expect("read"), 1);
    reports(&hub, hub.site_c, &[1]).await;
    assert_eq!((reported().await, hub.only_here(hub.alice, hub.here).await.expect("read")), (1, 0));
}

/// SYNC-11: a clone that announces again what another one announced first is asked too, as a guess; not for what is here, and
/// after a restore also for what that did not bring (BACKUP-25).
#[tokio::test]
async fn who_announces_a_content_again_is_asked_too() {
    let hub = Fixture::create().await;
    for site in [hub.site_b, hub.site_c] {
        hub.upsert_location(&listed(hub.alice, site, 2)).await.expect("listed");
    }
    let wanted = hub.announce(&[want("f1", 1, 10), want("f2", 2, 10)]).await;
    hub.mark_present(&[wanted[1].id]).await.expect("kept");
    let mut apply = hub.begin_apply().await.expect("begun");
    let brought = Want { source: Source::Backup, ..want("f3", 3, 10) };
    apply.want(hub.alice, hub.here, &[brought], NOW).await.expect("wanted");
    let roots = [1, 2, 3, 77].map(digest);
    apply.may_have(hub.alice, hub.site_c, &roots).await.expect("noted");
    apply.commit().await.expect("committed");
    assert_eq!(at(&hub, hub.site_c).await, [1]);
    assert_eq!(hub.present_at(hub.alice, hub.site_c).await, 0, "nobody takes it for a report");
    hub.fetch_instead(hub.alice).await.expect("changed");
    assert_eq!(at(&hub, hub.site_c).await, [1, 3]);
}

/// FETCH-3: a size that somebody claims for what is held under another is no reason to call it here.
#[tokio::test]
async fn a_claimed_size_makes_nothing_present() {
    let hub = Fixture::create().await;
    let first = hub.announce(&[want("f1", 1, 10)]).await;
    hub.mark_present(&[first[0].id]).await.expect("kept");
    let found = hub.announce(&[want("f2", 1, 3), want("f3", 1, 10)]).await;
    assert_eq!([found[0].held, found[1].held], [false, true]);
}

//! Damage: what becomes of the contents, and where reading again goes on.

use zotferry_protocol::ids::Millis;

use crate::catalog::testing::{Fixture, NOW, Numbering, digest, new_location, put, want};
use crate::catalog::{DataState, GivenUp, LocationState, NewLocation, ScrubMark};

async fn listed(hub: &Fixture, site: i64) {
    let new = NewLocation { state: LocationState::Listed, ..new_location(hub.alice, site, 1) };
    hub.upsert_location(&new).await.expect("placed");
}

async fn state_of(hub: &Fixture, n: u64) -> (DataState, bool, Option<i64>) {
    let found = hub.contents(&(1..9).collect::<Vec<_>>()).await.expect("read");
    let data = found.iter().find(|data| data.root == digest(n)).expect("there");
    (data.state, data.held, data.site)
}

/// AUDIT-17: damaged content is wanted again from another clone, whether it was made here or fetched;
/// without another clone it is given up, and says so.
#[tokio::test]
async fn damaged_content_is_wanted_from_another_clone() {
    let hub = Fixture::create().await;
    let puts = vec![put(&["a"], 1, 9), put(&["b"], 2, 9)];
    hub.local_put(&hub.batch(puts), &mut Numbering::default(), NOW).await.expect("put");
    let lost = hub.give_up_held(&digest(1), hub.here).await.expect("noted");
    assert_eq!(lost, GivenUp { wanted: 0, lost: 1 });
    assert_eq!(state_of(&hub, 1).await, (DataState::Failed, false, None));
    listed(&hub, hub.here).await;
    listed(&hub, hub.site_c).await;
    let found = hub.give_up_held(&digest(2), hub.here).await.expect("noted");
    assert_eq!(found, GivenUp { wanted: 1, lost: 0 });
    assert_eq!(state_of(&hub, 2).await, (DataState::Wanted, false, Some(hub.site_c)));
    let again = hub.give_up_held(&digest(2), hub.here).await.expect("noted");
    assert_eq!(again, GivenUp::default(), "it is not held any more");
    assert_eq!(hub.bytes().await, (0, 9));
}

/// A clone that reported the content goes before one that did not, and before the one that announced it.
#[tokio::test]
async fn whoever_reported_it_is_asked_first() {
    let hub = Fixture::create().await;
    listed(&hub, hub.site_b).await;
    listed(&hub, hub.site_c).await;
    let wanted = hub.announce(&[want("f1", 1, 5)]).await;
    hub.mark_present(&[wanted[0].id]).await.expect("marked");
    hub.give_up_held(&digest(1), hub.here).await.expect("noted");
    assert_eq!(state_of(&hub, 1).await.2, Some(hub.site_b), "who announced it");
    hub.mark_present(&[wanted[0].id]).await.expect("marked");
    let present = zotferry_protocol::packets::PresentData {
        resource: want("f1", 1, 5).hash,
        role: zotferry_protocol::ids::Role::File,
        root: digest(1),
    };
    hub.note_present_at(hub.alice, hub.site_c, &[present], NOW).await.expect("noted");
    hub.give_up_held(&digest(1), hub.here).await.expect("noted");
    assert_eq!(state_of(&hub, 1).await.2, Some(hub.site_c), "who reported it");
}

/// AUDIT-18: every content that is held comes once, in the order of the roots, and the mark is kept.
#[tokio::test]
async fn reading_again_goes_on_at_its_mark() {
    let hub = Fixture::create().await;
    let puts = (0..5).map(|n| put(&[&format!("n{n}")], n / 2, 9)).collect();
    hub.local_put(&hub.batch(puts), &mut Numbering::default(), NOW).await.expect("put");
    hub.announce(&[want("f1", 7, 5)]).await;
    let first = hub.held_after(None, 2).await.expect("read");
    assert_eq!(first, [(digest(0), 9), (digest(1), 9)]);
    let rest = hub.held_after(Some(&digest(1)), 9).await.expect("read");
    assert_eq!(rest, [(digest(2), 9)]);
    assert_eq!(hub.scrub_mark().await.expect("read"), ScrubMark::default());
    let mark = ScrubMark {
        after: Some(digest(1)),
        began: Some(Millis(1)),
        ended: None,
        contents: 2,
        bytes: 18,
        damaged: 1,
    };
    hub.set_scrub_mark(&mark).await.expect("kept");
    let hub = hub.reopen().await;
    assert_eq!(hub.scrub_mark().await.expect("read"), mark);
}

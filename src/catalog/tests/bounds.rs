//! What a channel may hold.

use zotferry_protocol::ids::{Millis, ResourceId};

use crate::catalog::testing::{Fixture, NOW, Numbering, folder, names, put, resource, want};
use crate::catalog::{CatalogError, EditError, Maker, MetaChange, Most, Property};

async fn enter(
    hub: &Fixture,
    author: &mut Numbering,
    path: &[&str],
    (root, size): (u64, u64),
) -> Result<(), CatalogError> {
    let batch = hub.batch(vec![put(path, root, size)]);
    hub.local_put(&batch, author, NOW).await.map(drop)
}

async fn room(hub: &Fixture) -> u64 {
    let channel = hub.channel(hub.alice).await.expect("read");
    hub.room(&channel, 0).await.expect("read")
}

/// FETCH-47, FETCH-48: replaced contents take as much again as the quota, and no more: a file that was replaced over and over
/// once took the whole disk.
#[tokio::test]
async fn what_was_replaced_is_bounded() {
    let hub = Fixture::create().await;
    let author = &mut Numbering::default();
    hub.set_quota(hub.alice, Some(100)).await.expect("stored");
    for content in [(1, 60), (2, 80), (3, 60)] {
        enter(&hub, author, &["a"], content).await.expect("fits");
    }
    // 60 are used and 140 kept.
    assert_eq!(room(&hub).await, 0);
    let refused = enter(&hub, author, &["a"], (4, 1)).await;
    assert!(matches!(refused, Err(CatalogError::OverKept { kept: 200, quota: 100 })));
    enter(&hub, author, &["a"], (2, 80)).await.expect("it is here, and takes nothing");
    let old = hub.crowding(9).await.expect("read");
    let sizes: Vec<u64> = old.iter().map(|data| data.size).collect();
    assert_eq!(sizes, [60, 60], "120 are kept, and 50 may be");
    let ids: Vec<_> = old.iter().map(|data| data.id).collect();
    hub.forget(&ids, NOW).await.expect("forgotten");
    assert_eq!(room(&hub).await, 20);
    enter(&hub, author, &["a"], (5, 70)).await.expect("fits");
    assert_eq!(hub.bytes().await, (70, 0));
}

/// FETCH-48: what was announced and never came takes no room.
#[tokio::test]
async fn what_never_came_takes_no_room() {
    let hub = Fixture::create().await;
    hub.set_quota(hub.alice, Some(110)).await.expect("stored");
    for n in 0..9 {
        hub.announce(&[want("f", 10 + n, 100)]).await;
    }
    let awaited = hub.channel(hub.alice).await.expect("read");
    assert_eq!((awaited.reserved, awaited.superseded), (100, 800));
    assert_eq!(room(&hub).await, 10);
    enter(&hub, &mut Numbering::default(), &["a"], (1, 10)).await.expect("fits");
    assert!(hub.crowding(9).await.expect("read").is_empty());
}

/// FETCH-47: a channel whose clones have not heard keeps its contents, and nobody else's are kept with them: a thousand of
/// them once stood before all others.
#[tokio::test]
async fn what_one_channel_keeps_stands_in_nobodys_way() {
    let hub = Fixture::create().await;
    let ids: Vec<_> = hub.announce(&[want("f", 1, 10)]).await.iter().map(|w| w.id).collect();
    hub.release(&ids, NOW).await.expect("released");
    let after = Millis(NOW.0 + 1);
    assert_eq!(hub.superseded(after, 1, &[]).await.expect("read").len(), 1);
    assert!(hub.superseded(after, 1, &[hub.alice]).await.expect("read").is_empty());
}

/// SYNC-46: no way of making entries here makes more than there may be; what is there can change and go.
#[tokio::test]
async fn edits_here_make_no_more_entries_than_there_may_be() {
    let mut hub = Fixture::create().await;
    hub.keep_at_most(Most { entries: 3, text: u64::MAX });
    hub.store(&[folder("d", None, "d")]).await;
    let author = &mut Numbering::default();
    enter(&hub, author, &["d", "a"], (1, 1)).await.expect("the second");
    let two = hub.batch(vec![put(&["b"], 2, 1), put(&["c"], 3, 1)]);
    let refused = hub.local_put(&two, author, NOW).await;
    assert!(matches!(refused, Err(CatalogError::TooManyEntries(3))));
    enter(&hub, author, &["d", "a"], (4, 9)).await.expect("it is there");
    let maker = &mut Maker {
        channel: hub.alice,
        creator: "alice's id".into(),
        date: "2026-11-22 16:21:03".into(),
        now: NOW,
        author,
    };
    let copied = hub.local_copy(&names(&["d"]), &names(&["e"]), false, maker).await;
    assert_eq!(
        copied.expect_err("a folder and a file").to_string(),
        "a channel may have 3 entries and items on this hub, removed ones among them"
    );
    hub.local_mkdir(&names(&["f"]), maker).await.expect("the third");
    assert!(hub.local_mkdir(&names(&["g"]), maker).await.is_err());
    let moved = hub.local_rename(&names(&["f"]), &names(&["g"]), false, maker).await;
    moved.expect("no new entry");
    hub.local_remove(&names(&["g"]), maker).await.expect("removed");
}

fn property(entry: usize, bytes: usize) -> (bool, Property) {
    let name = format!("p{entry}");
    (true, Property { namespace: String::new(), name, xml: vec![b'x'; bytes - 2] })
}

/// SYNC-46: titles and dead properties of a channel take so much and no more; what goes makes room, and the sum is that of the
/// rows. They were once without bound.
#[tokio::test]
async fn texts_are_bounded() {
    let mut hub = Fixture::create().await;
    hub.keep_at_most(Most { entries: u64::MAX, text: 10_000 });
    hub.store(&[folder("d", None, "d"), folder("e", None, "e")]).await;
    let author = &mut Numbering::default();
    let maker = &mut Maker {
        channel: hub.alice,
        creator: "alice's id".into(),
        date: "2026-11-22 16:21:03".into(),
        now: NOW,
        author,
    };
    let titled =
        |bytes: usize| MetaChange { title: Some("t".repeat(bytes)), ..MetaChange::default() };
    let (d, e) = (resource("d"), resource("e"));
    hub.local_meta(&names(&["d"]), &titled(6_000), maker).await.expect("fits");
    let refused = hub.local_meta(&names(&["e"]), &titled(7_000), maker).await;
    assert!(matches!(refused, Err(EditError::Catalog(CatalogError::TooMuchText(10_000)))));
    hub.local_meta(&names(&["e"]), &titled(900), maker).await.expect("the first KiB is free");
    let set = async |entry: &ResourceId, change| {
        hub.change_properties(hub.alice, Some(entry), &[change]).await.expect("looked at")
    };
    assert!(set(&d, property(1, 4_000)).await);
    assert!(!set(&e, property(1, 4_000)).await, "the channel has no room");
    assert!(set(&d, property(1, 3_000)).await, "set again, and smaller");
    hub.copy_properties(hub.alice, &d, &e).await.expect("the copy has none");
    let properties = hub.properties(hub.alice, [Some(&e)]).await.expect("read");
    assert!(properties.is_empty());
    hub.local_remove(&names(&["d"]), maker).await.expect("removed");
    assert!(set(&e, property(1, 4_000)).await, "its properties went with it");
    hub.local_meta(&names(&["e"]), &titled(0), maker).await.expect("less");

    let sum: (i64, i64) = sqlx::query_as(
        "SELECT bytes, (SELECT sum(text) FROM attach) + (SELECT sum(text) FROM dav_property)
         FROM channel_text WHERE channel = ?1",
    )
    .bind(hub.alice)
    .fetch_one(&mut *hub.reader().await.expect("reader"))
    .await
    .expect("read");
    assert_eq!(sum.0, sum.1);
    let title = hub.entry(hub.alice, &d).await.expect("read").expect("its tombstone");
    assert_eq!(sum.0, 4_000 + (title.text_bytes() - 1024) as i64);
}

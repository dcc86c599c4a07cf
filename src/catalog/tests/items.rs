//! Items on entries, and what the hook is to be told.

use std::collections::HashMap;

use zotferry_protocol::ids::PacketId;

use crate::catalog::testing::{Fixture, NOW, Numbering, entry, portable_id, resource, want};
use crate::catalog::{Apply, EditError, Item, ItemsFiled, Maker, News, Subject, VersionBytes};

fn item(mid: &str, on: &str, row: Option<&[u8]>) -> Item {
    Item {
        mid: mid.into(),
        uuid: format!("uuid of {mid}"),
        resource: resource(on),
        author: portable_id("alice").to_string(),
        row: row.map(<[u8]>::to_vec),
        url: "https://a.test".into(),
        nick: "alice".into(),
        uid: Some(2),
        version: VersionBytes(vec![1]),
        seq: None,
    }
}

async fn add(hub: &Fixture, items: Vec<Item>) -> Result<ItemsFiled, EditError> {
    let mut author = Numbering::default();
    let maker = &mut Maker {
        channel: hub.alice,
        creator: "alice's id".into(),
        date: "2026-11-22 16:21:03".into(),
        now: NOW,
        author: &mut author,
    };
    hub.local_items(items, maker).await
}

async fn finish(apply: Apply<'_>) {
    apply.finish(&PacketId(*uuid::Uuid::now_v7().as_bytes()), NOW, b"").await.expect("stored");
}

/// ITEM-7: an item comes back as it was stored, by name, by entry and by author.
#[tokio::test]
async fn an_item_comes_back_as_it_was() {
    let hub = Fixture::create().await;
    hub.store(&[entry("f1", None, "a"), entry("f2", None, "b")]).await;
    let all: Vec<u8> = (0..=255).collect();
    let mut items = vec![item("m1", "f1", Some(&all)), item("m2 ' \" \\", "f1", None)];
    items.push(Item { author: String::new(), uid: None, ..item("m3", "f2", Some(b"x")) });
    let mut apply = hub.begin_apply().await.expect("writer");
    apply.write_items(hub.alice, &items).await.expect("stored");
    let loaded = apply.load_items(hub.alice, &["m1", "nothing"]).await.expect("read");
    assert_eq!(loaded["m1"], items[0]);
    finish(apply).await;
    let of_f1 = hub.items_after(hub.alice, Some(&resource("f1")), "", 9).await.expect("read");
    assert_eq!(of_f1, items[..2]);
    assert_eq!(hub.items_after(hub.alice, None, "m1", 9).await.expect("read"), items[1..]);
    let uuids = ["uuid of m1", "uuid of m3", "unheard of"];
    let named = hub.named(hub.alice, &["f1", "unheard of"], &uuids).await.expect("read");
    assert_eq!(named.own, ["f1", "uuid of m1"].map(str::to_owned).into());
    assert_eq!(named.others, ["uuid of m3".to_owned()].into());
    let named = hub.named(hub.bob, &["f1"], &["uuid of m1"]).await.expect("read");
    assert!(named.own.is_empty() && named.others.len() == 2);
}

/// ITEM-8: an item that is added, changed or removed here makes its entry an operation; one that is the same
/// makes none; one on no entry is refused.
#[tokio::test]
async fn local_items_make_operations_of_their_entries() {
    let hub = Fixture::create().await;
    hub.store(&[entry("f1", None, "a"), entry("f2", None, "b")]).await;
    let two = || vec![item("m1", "f1", Some(b"1")), item("m2", "f1", Some(b"2"))];
    let filed = add(&hub, two()).await.expect("added");
    assert_eq!(filed, ItemsFiled { added: 2, changed: 0, unchanged: 0 });
    let out = hub.ops_after(hub.alice, 0, 9).await.expect("read");
    let [told] = out.entries.as_slice() else { panic!("one operation") };
    assert_eq!(told.entry.hash, resource("f1"));
    let with = hub.with_items(hub.alice, &[&resource("f1"), &resource("f2")], 0).await;
    assert_eq!(with.expect("read"), [resource("f1")].into());
    let after = out.through;

    let filed = add(&hub, two()).await.expect("the same");
    assert_eq!(filed, ItemsFiled { added: 0, changed: 0, unchanged: 2 });
    assert_eq!(hub.ops_after(hub.alice, 0, 9).await.expect("read").through, after);
    let filed = add(&hub, vec![item("m2", "f1", None)]).await.expect("removed");
    assert_eq!(filed, ItemsFiled { added: 0, changed: 1, unchanged: 0 });
    let f1 = resource("f1");
    let edited = hub.items_edited(hub.alice, &f1, after, "", 9).await.expect("read");
    assert_eq!(edited.iter().map(|i| i.mid.as_str()).collect::<Vec<_>>(), ["m2"]);
    assert_eq!(hub.items_edited(hub.alice, &f1, 0, "", 9).await.expect("read").len(), 2);
    let stray = add(&hub, vec![item("m3", "f3", Some(b"3"))]).await;
    assert!(matches!(stray, Err(EditError::NotFound)));
}

async fn news(hub: &Fixture) -> Vec<(String, Vec<&'static str>)> {
    let key = |news: &News| match &news.subject {
        Subject::Entry(key) | Subject::Item(key) => key.clone(),
    };
    let news = hub.news(99).await.expect("read");
    news.iter().map(|one| (key(one), one.kinds())).collect()
}

/// What arrives in packets is listed once, however often it changes, until it was told; what is done here is not.
#[tokio::test]
async fn news_are_listed_until_they_were_told() {
    let hub = Fixture::create().await;
    let receive = async |rows: &[crate::catalog::Attach], items: &[Item]| {
        let mut apply = hub.begin_apply().await.expect("writer");
        apply.write(hub.alice, rows, &HashMap::new(), NOW).await.expect("stored");
        apply.write_items(hub.alice, items).await.expect("stored");
        finish(apply).await;
    };
    receive(&[entry("f0", None, "before the hook")], &[]).await;
    hub.set_hook(true).await.expect("set");
    hub.store(&[entry("f9", None, "made here")]).await;
    add(&hub, vec![item("m9", "f9", Some(b"made here"))]).await.expect("added");
    assert_eq!(news(&hub).await, []);

    let mut file = entry("f1", None, "a");
    receive(std::slice::from_ref(&file), &[item("m1", "f1", Some(b"1"))]).await;
    let wanted = hub.announce(&[want("f1", 1, 5)]).await;
    assert_eq!(news(&hub).await, [("f1".into(), vec!["put"]), ("m1".into(), vec!["put"])]);
    let told = hub.news(99).await.expect("read");
    (file.filename, file.place_version) = ("b".into(), VersionBytes(vec![9]));
    receive(std::slice::from_ref(&file), &[]).await;
    receive(std::slice::from_ref(&file), &[]).await;
    hub.told(&told).await.expect("forgotten");
    // The file was moved meanwhile, so it is told again; the second packet brought nothing new.
    assert_eq!(news(&hub).await, [("f1".into(), vec!["put", "place"])]);

    let hub = hub.reopen().await;
    hub.set_hook(true).await.expect("set");
    assert_eq!(news(&hub).await.len(), 1, "a restart forgets nothing");
    hub.mark_present(&[wanted[0].id]).await.expect("arrived");
    assert_eq!(news(&hub).await, [("f1".into(), vec!["put", "place", "present"])]);
    hub.set_hook(false).await.expect("set");
    assert_eq!(news(&hub).await, []);
}

//! Entries that were known elsewhere.

use zotferry_protocol::codec;
use zotferry_protocol::ids::{Millis, Role};
use zotferry_protocol::packets::{Op, PhotoRow};

use crate::catalog::testing::{Fixture, NOW, Numbering, digest, entry, folder, put, want};
use crate::catalog::{
    Attach, Became, Brought, CatalogError, DataState, EditError, LocalContent, Maker, RoleContent,
    VersionBytes, plain_rows,
};
use crate::photo::{Kind, Picture};

fn content(n: u64) -> LocalContent {
    LocalContent { root: digest(n), size: 5, digests: None }
}

fn file(hash: &str, n: u64) -> Brought {
    Brought { row: entry(hash, Some("d"), "a.txt"), content: Some(content(n)), cropped: Vec::new() }
}

fn dir(hash: &str, parent: Option<&str>) -> Brought {
    Brought { row: folder(hash, parent, "photos"), content: None, cropped: Vec::new() }
}

async fn bring(
    hub: &Fixture,
    author: &mut Numbering,
    brought: &[Brought],
) -> Result<Vec<Became>, EditError> {
    let maker = &mut Maker {
        channel: hub.alice,
        creator: "alice's id".into(),
        date: "2026-11-22 16:21:03".into(),
        now: Millis(NOW.0 + 1),
        author,
    };
    hub.local_bring(brought, maker).await
}

async fn row(hub: &Fixture, hash: &str) -> Attach {
    let found = hub.entry(hub.alice, &crate::catalog::testing::resource(hash)).await;
    found.expect("read").expect("there")
}

/// SYNC-3, SYNC-7: an entry keeps its id and all that its row says; versions and numbers are made here, and
/// it is announced. Brought again it changes nothing.
#[tokio::test]
async fn an_entry_is_what_it_was_elsewhere() {
    let (hub, mut author) = (Fixture::create().await, Numbering::default());
    let mut one = file("f", 1);
    one.row.extra = vec![0x90];
    one.row.allow_cid = "<bob>".into();
    one.row.created = "2001-02-03 04:05:06".into();
    let cropped = RoleContent { role: Role::Photo4, content: content(9), mime: "image/png".into() };
    one.cropped.push(cropped);
    let both = [dir("d", None), one];
    let became = bring(&hub, &mut author, &both).await.expect("entered");
    assert_eq!(became, [Became::Created; 2]);
    let found = row(&hub, "f").await;
    assert_eq!((found.op, found.seq, found.alive), (Op::Put, Some(2), true));
    assert_eq!(found.root, Some(digest(1)));
    assert_eq!(found.content_version.as_ref(), Some(&found.place_version));
    let same = Attach {
        place_version: VersionBytes(vec![1, 0]),
        meta_version: VersionBytes(vec![2, 0]),
        content_version: Some(VersionBytes(vec![3, 0])),
        op_id: both[1].row.op_id,
        seq: None,
        ..found
    };
    assert_eq!(same, both[1].row);
    assert_eq!(hub.bytes().await, (10, 0), "both roles are here");
    let seq = hub.channel(hub.alice).await.expect("read").seq;
    let again = bring(&hub, &mut author, &both).await.expect("entered");
    assert_eq!(again, [Became::Unchanged; 2]);
    assert_eq!(hub.channel(hub.alice).await.expect("read").seq, seq);
    assert_eq!(hub.bytes().await, (10, 0));
}

/// What stands gives way to a later revision alone; what was removed stays so.
#[tokio::test]
async fn only_a_later_revision_replaces() {
    let (hub, mut author) = (Fixture::create().await, Numbering::default());
    let first = [dir("d", None), file("f", 1), file("g", 1)];
    bring(&hub, &mut author, &first).await.expect("entered");
    let mut other = file("f", 2);
    let became = bring(&hub, &mut author, &[other.clone()]).await.expect("looked at");
    assert_eq!(became, [Became::Differs], "of the same revision");
    other.row.revision += 1;
    other.row.filename = "another name.txt".into();
    let became = bring(&hub, &mut author, &[other]).await.expect("entered");
    assert_eq!(became, [Became::Replaced]);
    let found = row(&hub, "f").await;
    assert_eq!((found.root, found.revision), (Some(digest(2)), 3));
    assert_eq!(found.filename, "a.txt", "its place is the channel's");
    assert_ne!(found.content_version, Some(found.place_version));
    let mut turned = dir("f", None);
    turned.row.revision = 99;
    assert_eq!(bring(&hub, &mut author, &[turned]).await.expect("looked at"), [Became::Differs]);

    let gone = Attach { alive: false, ..row(&hub, "g").await };
    hub.store(&[gone]).await;
    let mut again = file("g", 3);
    again.row.revision += 9;
    assert_eq!(bring(&hub, &mut author, &[again]).await.expect("looked at"), [Became::Removed]);
    assert!(!row(&hub, "g").await.alive);
}

/// What another clone had announced arrives by being brought; more than the quota leaves is refused whole.
#[tokio::test]
async fn announced_bytes_arrive_and_a_quota_holds() {
    let (hub, mut author) = (Fixture::create().await, Numbering::default());
    hub.store(&[folder("d", None, "photos"), entry("f", Some("d"), "a.txt")]).await;
    hub.announce(&[want("f", 1, 5)]).await;
    assert_eq!(hub.bytes().await, (0, 5));
    let became = bring(&hub, &mut author, &[file("f", 1)]).await.expect("entered");
    assert_eq!((became, hub.bytes().await), (vec![Became::Unchanged], (5, 0)));
    let arrived = hub.tallies(hub.alice).await;
    assert!(arrived.iter().any(|tally| tally.state == DataState::Present && tally.files == 1));

    hub.set_quota(hub.alice, Some(12)).await.expect("set");
    let two = [file("g", 2), file("h", 3)];
    let refused = bring(&hub, &mut author, &two).await;
    let over = EditError::Catalog(CatalogError::OverQuota { needed: 15, quota: 12 });
    assert_eq!(refused.expect_err("over").to_string(), over.to_string());
    assert_eq!(hub.bytes().await, (5, 0));
}

/// What stands where a put would go is found as the put would find it; a dated put has its dates.
#[tokio::test]
async fn a_put_has_the_dates_of_its_source() {
    let (hub, mut author) = (Fixture::create().await, Numbering::default());
    let dated = |mut put: crate::catalog::LocalPut, date: &str| {
        put.dated = Some(date.to_owned());
        put
    };
    let puts = vec![
        dated(crate::catalog::testing::put_folder(&["docs"]), "1999-01-01 00:00:00"),
        dated(put(&["docs", "a.txt"], 1, 10), "1999-01-02 00:00:00"),
    ];
    let before = hub.standing(hub.alice, &puts).await.expect("read");
    assert_eq!(before, [None, None]);
    hub.local_put(&hub.batch(puts.clone()), &mut author, NOW).await.expect("entered");
    let after = hub.standing(hub.alice, &puts).await.expect("read");
    let dates = after.iter().flatten().map(|row| (row.created.as_str(), row.edited.as_str()));
    let (one, two) = ("1999-01-01 00:00:00", "1999-01-02 00:00:00");
    assert_eq!(dates.collect::<Vec<_>>(), [(one, one), (two, two)]);
    assert_eq!(after[0].as_ref().and_then(|row| row.mtime), Some(Millis(7)));
    let newer = dated(put(&["docs", "a.txt"], 2, 10), "2003-01-01 00:00:00");
    hub.local_put(&hub.batch(vec![newer]), &mut author, NOW).await.expect("entered");
    let found = hub.by_path(hub.alice, &["docs", "a.txt"]).await.expect("read");
    let found = found.expect("there");
    assert_eq!((found.created.as_str(), found.edited.as_str()), (two, "2003-01-01 00:00:00"));
    // A file where a folder is asked for is not what a put would find.
    let other = hub.standing(hub.alice, &[put(&["docs"], 1, 1)]).await.expect("read");
    assert_eq!(other, [None]);
}

/// A cropped photo that was missing at first completes its entry; what is there stays.
#[tokio::test]
async fn a_cropped_photo_comes_later() {
    let (hub, mut author) = (Fixture::create().await, Numbering::default());
    let picture = Picture::plain(Kind::Png, 900, 900);
    let mut one = file("f", 1);
    let plain = plain_rows(&one.row.hash, &picture, 5);
    one.row.photos = codec::encode(&plain);
    bring(&hub, &mut author, &[dir("d", None), one.clone()]).await.expect("entered");
    let before = row(&hub, "f").await;
    let cover = PhotoRow { imgscale: 7, photo_usage: 16, ..plain[0].clone() };
    one.row.photos = codec::encode(&[plain[0].clone(), cover]);
    let cropped = RoleContent { role: Role::Photo7, content: content(9), mime: "image/png".into() };
    one.cropped.push(cropped);
    let became = bring(&hub, &mut author, &[one.clone()]).await.expect("entered");
    assert_eq!(became, [Became::Completed]);
    let after = row(&hub, "f").await;
    let scales: Vec<u8> =
        after.photo_rows().expect("rows").iter().map(|row| row.imgscale).collect();
    assert_eq!(scales, [0, 1, 2, 3, 7]);
    assert_eq!((after.op, &after.content_version), (Op::Meta, &before.content_version));
    assert_ne!(after.meta_version, before.meta_version);
    assert_eq!(hub.bytes().await, (10, 0));
    assert_eq!(bring(&hub, &mut author, &[one]).await.expect("looked at"), [Became::Unchanged]);
}

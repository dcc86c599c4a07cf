//! Edits made here, by path.

use zotferry_protocol::ids::Millis;
use zotferry_protocol::packets::Op;

use crate::catalog::testing::{Fixture, NOW, Numbering, names, put, put_folder};
use crate::catalog::{Attach, CatalogError, EditError, Maker, MetaChange};

/// Runs an edit as alice, whose author keeps counting.
macro_rules! edit {
    ($hub:expr, $author:expr, $maker:ident => $edit:expr) => {{
        let $maker = &mut Maker {
            channel: $hub.alice,
            creator: "alice's id".into(),
            date: "2026-11-22 16:21:03".into(),
            now: Millis(NOW.0 + 1),
            author: $author,
        };
        $edit.await
    }};
}

async fn hub() -> (Fixture, Numbering) {
    let hub = Fixture::create().await;
    let mut author = Numbering::default();
    let puts = vec![
        put(&["docs", "2026", "a.txt"], 1, 10),
        put(&["docs", "b.txt"], 2, 20),
        put_folder(&["empty"]),
    ];
    hub.local_put(&hub.batch(puts), &mut author, NOW).await.expect("entered");
    (hub, author)
}

async fn at(hub: &Fixture, path: &[&str]) -> Option<Attach> {
    hub.by_path(hub.alice, path).await.expect("read")
}

/// SYNC-39: a move changes the place register alone, and remembers where it came from.
#[tokio::test]
async fn a_move_changes_the_place_alone() {
    let (hub, mut author) = hub().await;
    let before = at(&hub, &["docs", "2026"]).await.expect("there");
    let (from, to) = (names(&["docs", "2026"]), names(&["empty", "old"]));
    let moved = edit!(hub, &mut author, m => hub.local_rename(&from, &to, false, m));
    let after = moved.expect("moved").entry;
    assert_eq!(after.was, before.folder);
    assert_eq!((after.op, after.hash.clone()), (Op::Place, before.hash.clone()));
    assert_ne!(after.place_version, before.place_version);
    assert_eq!(after.meta_version, before.meta_version);
    assert!(after.seq > before.seq);
    assert!(at(&hub, &["empty", "old", "a.txt"]).await.is_some(), "what is inside comes along");
    assert_eq!(at(&hub, &["docs", "2026"]).await, None);
    // A mere renaming keeps what was there.
    let (from, to) = (names(&["empty", "old"]), names(&["empty", "older"]));
    let renamed = edit!(hub, &mut author, m => hub.local_rename(&from, &to, false, m));
    assert_eq!(renamed.expect("renamed").entry.was, before.folder);
}

/// What cannot be moved stays, and the reason is said.
#[tokio::test]
async fn bad_moves_change_nothing() {
    let (hub, mut author) = hub().await;
    for (from, to, why) in [
        (&["docs"][..], &["docs", "2026", "in"][..], "a folder cannot be put into itself"),
        (&["docs"], &["docs", "in"], "a folder cannot be put into itself"),
        (&["none"], &["x"], "no such file or folder"),
        (&["docs"], &["none", "x"], "the folder that it would lie in does not exist"),
        (&["docs"], &["docs", "b.txt", "x"], "the folder that it would lie in does not exist"),
        (&["docs"], &["empty"], "something of that name is there already"),
        (&[], &["x"], "the top of a channel cannot be changed"),
        (&["docs"], &[], "the top of a channel cannot be changed"),
    ] {
        let seq = hub.channel(hub.alice).await.expect("read").seq;
        let (from, to) = (names(from), names(to));
        let refused = edit!(hub, &mut author, m => hub.local_rename(&from, &to, false, m));
        assert_eq!(refused.expect_err(why).to_string(), why, "{from:?} to {to:?}");
        assert_eq!(hub.channel(hub.alice).await.expect("read").seq, seq);
    }
    let bad = edit!(hub, &mut author, m => hub.local_rename(&names(&["docs"]), &names(&[".."]), false, m));
    assert!(matches!(bad, Err(EditError::Catalog(CatalogError::BadName { .. }))));
    // Replacing what one lies in would remove oneself.
    let (from, to) = (names(&["docs", "2026"]), names(&["docs"]));
    let refused = edit!(hub, &mut author, m => hub.local_rename(&from, &to, true, m));
    assert!(matches!(refused, Err(EditError::IntoItself)));
    assert!(at(&hub, &["docs", "2026", "a.txt"]).await.is_some());
}

/// A move onto something replaces it when that is wanted.
#[tokio::test]
async fn a_move_may_replace() {
    let (hub, mut author) = hub().await;
    let (from, to) = (names(&["docs", "b.txt"]), names(&["docs", "2026", "a.txt"]));
    let moved = edit!(hub, &mut author, m => hub.local_rename(&from, &to, true, m));
    assert!(moved.expect("moved").replaced);
    assert_eq!(at(&hub, &["docs", "2026", "a.txt"]).await.map(|a| a.filesize), Some(20));
    assert_eq!(hub.bytes().await, (20, 0), "what was replaced does not count any more");
}

/// SYNC-33, SYNC-43: everything inside gets a tombstone, its bytes are free, and the name can be used again.
#[tokio::test]
async fn a_removed_folder_leaves_tombstones() {
    let (hub, mut author) = hub().await;
    let file = at(&hub, &["docs", "2026", "a.txt"]).await.expect("there");
    let removed = edit!(hub, &mut author, m => hub.local_remove(&names(&["docs"]), m));
    assert_eq!(removed.expect("removed"), 4);
    assert_eq!(at(&hub, &["docs"]).await, None);
    assert_eq!(hub.bytes().await, (0, 0));
    let tombstone = hub.entry(hub.alice, &file.hash).await.expect("read").expect("kept");
    assert_eq!((tombstone.alive, tombstone.root, tombstone.op), (false, None, Op::Remove));
    assert!(tombstone.removed_version.is_some());
    let again = edit!(hub, &mut author, m => hub.local_remove(&names(&["docs"]), m));
    assert!(matches!(again, Err(EditError::NotFound)));
    let made = edit!(hub, &mut author, m => hub.local_mkdir(&names(&["docs"]), m)).expect("made");
    assert_ne!(Some(made.hash), file.folder, "another entry");
}

/// More entries than fit one transaction go all the same.
#[tokio::test]
async fn large_folders_are_removed_and_copied() {
    let (hub, mut author) = hub().await;
    for part in 0..5 {
        let puts = (0..500)
            .map(|n| put(&["big", &format!("{part}"), &format!("{n}")], part * 500 + n, 1))
            .collect();
        hub.local_put(&hub.batch(puts), &mut author, NOW).await.expect("entered");
    }
    let (from, to) = (names(&["big"]), names(&["copy"]));
    edit!(hub, &mut author, m => hub.local_copy(&from, &to, false, m)).expect("copied");
    assert!(at(&hub, &["copy", "4", "499"]).await.is_some());
    assert_eq!(hub.bytes().await.0, 30 + 5000);
    let removed = edit!(hub, &mut author, m => hub.local_remove(&from, m));
    assert_eq!(removed.expect("removed"), 2506);
    assert_eq!(hub.bytes().await.0, 30 + 2500);
    assert!(at(&hub, &["copy", "0", "0"]).await.is_some());
}

/// A copy is another entry with the same content; it counts, and where the quota forbids it, nothing is copied.
#[tokio::test]
async fn a_copy_counts() {
    let (hub, mut author) = hub().await;
    let (from, to) = (names(&["docs", "b.txt"]), names(&["c.txt"]));
    let copy =
        edit!(hub, &mut author, m => hub.local_copy(&from, &to, false, m)).expect("copied").entry;
    let original = at(&hub, &["docs", "b.txt"]).await.expect("there");
    assert_eq!(copy.root, original.root);
    assert_ne!(copy.hash, original.hash);
    assert_eq!(hub.bytes().await, (50, 0));
    hub.set_quota(hub.alice, Some(60)).await.expect("set");
    let refused = edit!(hub, &mut author, m => hub.local_copy(&from, &names(&["d.txt"]), false, m));
    assert!(matches!(refused, Err(EditError::Catalog(CatalogError::OverQuota { .. }))));
    assert_eq!(at(&hub, &["d.txt"]).await, None);
}

/// A description is one operation; one that changes nothing is none.
#[tokio::test]
async fn a_description_is_one_operation() {
    let (hub, mut author) = hub().await;
    let path = names(&["docs", "b.txt"]);
    let change = MetaChange {
        title: Some("Title".into()),
        tags: Some(vec!["x".into()]),
        mtime: Some(Millis(77)),
        ..MetaChange::default()
    };
    let before = at(&hub, &["docs", "b.txt"]).await.expect("there");
    let after = edit!(hub, &mut author, m => hub.local_meta(&path, &change, m)).expect("described");
    assert_eq!((after.title.as_deref(), after.mtime), (Some("Title"), Some(Millis(77))));
    assert_ne!(after.meta_version, before.meta_version);
    assert_ne!(after.content_version, before.content_version, "the date goes with the content");
    assert_eq!((after.place_version, after.root), (before.place_version, before.root));
    let seq = hub.channel(hub.alice).await.expect("read").seq;
    edit!(hub, &mut author, m => hub.local_meta(&path, &change, m)).expect("the same");
    assert_eq!(hub.channel(hub.alice).await.expect("read").seq, seq);
    let clear =
        MetaChange { title: Some(String::new()), tags: Some(vec![]), ..MetaChange::default() };
    let bare = edit!(hub, &mut author, m => hub.local_meta(&path, &clear, m)).expect("cleared");
    assert_eq!((bare.title, bare.extra), (None, Vec::new()));
}

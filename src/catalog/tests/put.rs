//! Local puts.

use zotferry_protocol::ids::{OpId, ResourceId, Role};

use crate::catalog::testing::{
    Fixture, NOW, Numbering, digest, entry, folder, put, put_folder, resource, want,
};
use crate::catalog::{
    Attach, Author, CatalogError, Change, Clash, DataState, Filed, LocalPut, VersionBytes,
};

type Answers = Vec<Result<Filed, Clash>>;

async fn enter(hub: &Fixture, author: &mut Numbering, puts: Vec<LocalPut>) -> Answers {
    hub.local_put(&hub.batch(puts), author, NOW).await.expect("entered")
}

async fn at(hub: &Fixture, path: &[&str]) -> Attach {
    hub.by_path(hub.alice, path).await.expect("read").expect("there")
}

fn change(answers: &Answers, n: usize) -> Change {
    answers[n].as_ref().expect("no clash").change
}

/// SYNC-3: a file is entered with the folders above it, its content, an operation and a number.
#[tokio::test]
async fn a_put_makes_entry_folders_and_content() {
    let hub = Fixture::create().await;
    let answers =
        enter(&hub, &mut Numbering::default(), vec![put(&["docs", "2026", "a.txt"], 1, 10)]).await;
    assert_eq!(change(&answers, 0), Change::Created);
    let file = at(&hub, &["docs", "2026", "a.txt"]).await;
    assert_eq!(Ok(file.hash.clone()), answers[0].clone().map(|filed| filed.hash));
    assert_eq!((file.filesize, file.revision, file.seq), (10, 0, Some(1)));
    assert_eq!(file.root, Some(digest(1)));
    assert_eq!(file.content_version, Some(VersionBytes(b"+".to_vec())));
    assert_eq!(file.allow_cid, "<alice>");
    let above = hub.ancestors(hub.alice, &file).await.expect("read");
    for folder in &above {
        assert!(folder.is_dir);
        assert_eq!((folder.seq, folder.op_id), (None, file.op_id));
        assert_eq!(folder.filetype, "multipart/mixed");
    }
    assert_eq!(above.len(), 2);
    let name = (file.hash, Role::File, digest(1));
    let served = hub.serve_lookup(hub.alice, &[name]).await.expect("read");
    assert_eq!(served[0].as_ref().map(|s| s.size), Some(10));
    assert_eq!(hub.bytes().await, (10, 0));
    let channel = hub.channel(hub.alice).await.expect("read");
    assert_eq!((channel.seq, channel.hlc), (1, 3));
}

/// SYNC-23: new content supersedes the old one, is a new operation, and leaves place and meta alone.
#[tokio::test]
async fn a_second_put_replaces_content() {
    let hub = Fixture::create().await;
    let author = &mut Numbering::default();
    enter(&hub, author, vec![put(&["d", "a"], 1, 10), put(&["d", "b"], 5, 5)]).await;
    let before = at(&hub, &["d", "a"]).await;
    let answers = enter(&hub, author, vec![put(&["d", "a"], 2, 30)]).await;
    assert_eq!(change(&answers, 0), Change::Replaced { previous: Some(digest(1)) });
    let after = at(&hub, &["d", "a"]).await;
    assert_eq!(after.hash, before.hash);
    assert_eq!((after.revision, after.filesize, after.seq), (1, 30, Some(3)));
    assert_ne!(after.op_id, before.op_id);
    assert_eq!(after.place_version, before.place_version);
    assert_eq!(after.meta_version, before.meta_version);
    assert_eq!(after.content_version, Some(VersionBytes(b"++".to_vec())));
    assert_eq!(hub.bytes().await, (35, 0));
    enter(&hub, author, vec![put(&["d", "a"], 1, 10)]).await;
    assert_eq!(hub.bytes().await, (15, 0), "content that comes back counts again");
    let out = hub.ops_after(hub.alice, 0, 9).await.expect("read");
    let last = out.entries.last().expect("an operation");
    assert_eq!(last.data[0].op_id, last.entry.op_id);
}

/// SYNC-3: the same bytes at the same place are no operation.
#[tokio::test]
async fn the_same_content_is_no_operation() {
    let hub = Fixture::create().await;
    let author = &mut Numbering::default();
    enter(&hub, author, vec![put(&["a"], 1, 10), put_folder(&["d"])]).await;
    let before = (at(&hub, &["a"]).await, hub.heads(hub.alice).await.expect("read"));
    let answers = enter(&hub, author, vec![put(&["a"], 1, 10), put_folder(&["d"])]).await;
    assert_eq!((change(&answers, 0), change(&answers, 1)), (Change::Unchanged, Change::Unchanged));
    assert_eq!((at(&hub, &["a"]).await, hub.heads(hub.alice).await.expect("read")), before);
    assert_eq!(hub.bytes().await, (10, 0));
}

/// SYNC-3: puts of one batch see each other.
#[tokio::test]
async fn puts_of_a_batch_see_each_other() {
    let hub = Fixture::create().await;
    let puts = vec![
        put(&["d", "a"], 1, 10),
        put(&["d", "e", "b"], 2, 20),
        put(&["d", "a"], 3, 30),
        put_folder(&["d", "e"]),
        put(&["d", "e", "b"], 2, 20),
    ];
    let answers = enter(&hub, &mut Numbering::default(), puts).await;
    assert_eq!(change(&answers, 2), Change::Replaced { previous: Some(digest(1)) });
    assert_eq!((change(&answers, 3), change(&answers, 4)), (Change::Unchanged, Change::Unchanged));
    let top = hub.children(hub.alice, None, None, 9).await.expect("read");
    assert_eq!(top.len(), 1);
    let below = hub.children(hub.alice, Some(&top[0].hash), None, 9).await.expect("read");
    assert_eq!(below.iter().map(|a| a.filename.as_str()).collect::<Vec<_>>(), ["a", "e"]);
    assert_eq!(below[0].root, Some(digest(3)));
    assert_eq!(hub.bytes().await, (50, 0));
    let data = hub.superseded(NOW.plus(1), 9, &[]).await.expect("read");
    assert_eq!(data.iter().map(|d| d.root).collect::<Vec<_>>(), [digest(1)]);
}

/// SYNC-17: a file is not put over a folder, nor a folder over or below a file; the rest of the batch is entered.
#[tokio::test]
async fn files_and_folders_do_not_replace_each_other() {
    let hub = Fixture::create().await;
    let author = &mut Numbering::default();
    enter(&hub, author, vec![put(&["d", "a"], 1, 1)]).await;
    let puts = vec![
        put(&["d"], 2, 2),
        put_folder(&["d", "a"]),
        put(&["d", "a", "x", "y"], 3, 3),
        put(&["d", "b"], 4, 4),
    ];
    let answers = enter(&hub, author, puts).await;
    assert_eq!(answers[0], Err(Clash::FolderInTheWay));
    assert_eq!(answers[1], Err(Clash::FileInTheWay));
    assert_eq!(answers[2], Err(Clash::FileInTheWay));
    assert_eq!(change(&answers, 3), Change::Created);
    assert_eq!(hub.bytes().await, (5, 0));
    assert_eq!(hub.heads(hub.alice).await.expect("read").seq, 2);
}

/// SYNC-6: where clones made two entries of one name, the smaller id is the one that is replaced.
#[tokio::test]
async fn a_put_goes_to_the_bearer_of_the_name() {
    let hub = Fixture::create().await;
    let rows = [
        folder("d2", None, "d"),
        folder("d1", None, "d"),
        entry("f9", Some("d1"), "a"),
        entry("f3", Some("d1"), "a"),
    ];
    hub.store(&rows).await;
    let answers = enter(&hub, &mut Numbering::default(), vec![put(&["d", "a"], 7, 7)]).await;
    assert_eq!(answers[0].as_ref().map(|filed| &filed.hash), Ok(&resource("f3")));
}

/// SYNC-31: bytes that a clone announced and a person here put have arrived.
#[tokio::test]
async fn putting_what_was_wanted_is_an_arrival() {
    let hub = Fixture::create().await;
    hub.store(&[entry("f1", None, "a")]).await;
    let wanted = hub.announce(&[want("f1", 1, 5)]).await;
    let answers = enter(&hub, &mut Numbering::default(), vec![put(&["a"], 1, 5)]).await;
    assert_eq!(change(&answers, 0), Change::Unchanged);
    let arrived = hub.present_after(hub.alice, 0, 9).await.expect("read");
    assert_eq!(arrived.contents.len(), 1);
    let content = &arrived.contents[0];
    assert_eq!(
        (content.id, content.state, content.op_id),
        (wanted[0].id, DataState::Present, OpId([1; 16]))
    );
    assert_eq!(hub.heads(hub.alice).await.expect("read").seq, 0);
    assert_eq!(hub.bytes().await, (5, 0));
}

/// SYNC-12: a batch over the quota enters nothing; one that adds nothing is entered though the channel is over it.
#[tokio::test]
async fn a_put_over_the_quota_enters_nothing() {
    let hub = Fixture::create().await;
    let author = &mut Numbering::default();
    hub.set_quota(hub.alice, Some(100)).await.expect("stored");
    enter(&hub, author, vec![put(&["a"], 1, 60)]).await;
    let batch = hub.batch(vec![put(&["b"], 2, 1), put(&["c"], 3, 40)]);
    let refused = hub.local_put(&batch, author, NOW).await;
    assert!(matches!(refused, Err(CatalogError::OverQuota { needed: 101, quota: 100 })));
    assert_eq!(hub.by_path(hub.alice, &["b"]).await.expect("read"), None);
    assert_eq!(hub.bytes().await, (60, 0));
    enter(&hub, author, vec![put(&["a"], 4, 100)]).await;
    hub.set_quota(hub.alice, Some(10)).await.expect("stored");
    enter(&hub, author, vec![put(&["a"], 1, 60)]).await;
    assert_eq!(hub.bytes().await, (60, 0));
}

/// SYNC-6: a name that names no entry stops the batch before anything is written.
#[tokio::test]
async fn bad_names_are_refused_before_anything_is_written() {
    let hub = Fixture::create().await;
    for path in [&["ok", "..", "a"][..], &["a/b"], &[""], &["ok", "x\0"]] {
        let batch = hub.batch(vec![put(&["fine"], 1, 1), put(path, 2, 2)]);
        let refused = hub.local_put(&batch, &mut Numbering::default(), NOW).await;
        assert!(matches!(refused, Err(CatalogError::BadName { .. })), "{path:?}");
    }
    assert!(hub.children(hub.alice, None, None, 9).await.expect("read").is_empty());
}

/// Cannot make a version of anything.
struct Illiterate(Numbering);

impl Author for Illiterate {
    fn resource(&mut self) -> ResourceId {
        self.0.resource()
    }
    fn operation(&mut self) -> OpId {
        self.0.operation()
    }
    fn version(
        &mut self,
        _: Option<&VersionBytes>,
        _: &mut u64,
    ) -> Result<VersionBytes, CatalogError> {
        Err(CatalogError::Version("truncated".into()))
    }
}

/// An author's error enters nothing, and the writer is free again.
#[tokio::test]
async fn an_unreadable_version_enters_nothing() {
    let hub = Fixture::create().await;
    let batch = hub.batch(vec![put(&["d", "a"], 1, 1)]);
    let refused = hub.local_put(&batch, &mut Illiterate(Numbering::default()), NOW).await;
    assert!(matches!(refused, Err(CatalogError::Version(_))));
    enter(&hub, &mut Numbering::default(), vec![put(&["d", "a"], 1, 1)]).await;
    assert_eq!(hub.heads(hub.alice).await.expect("read").seq, 1);
}

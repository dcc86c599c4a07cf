//! A backup is brought to a hub over the network by somebody who holds the channel's key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;
use zotferry::backup::Bringers;
use zotferry::channels;
use zotferry::hub::Clock;
use zotferry::keys::PrivateKey;
use zotferry::storage::PartialKey;
use zotferry_backup::{Backup, RestoreEvent, Restored};
use zotferry_backup_client::{SendError, send};
use zotferry_protocol::codec;
use zotferry_protocol::identity::Signer;
use zotferry_protocol::ids::{Digest, Millis, PacketId};
use zotferry_protocol::packets::{Operation, Source};
use zotferry_protocol::refusal::Code;
use zotferry_protocol::restore::{Restore, SignedRestore, Step};

use crate::backup::{self, alone, data_file, furnish, lines, options, save, shows_all};
use crate::harness::{MIB, Setup, TestHub, noise, set, small_key, until};

/// Brings a backup to a hub: what was done, and what did not come.
async fn bring(
    backup: &Path,
    to: &TestHub,
    key: &Arc<PrivateKey>,
) -> Result<(Restored, Vec<String>), SendError> {
    let (tell, mut events) = mpsc::channel(64);
    let backup = Arc::new(Backup::open(backup).unwrap());
    let (url, key) = (to.hub().config.url.clone(), Arc::clone(key) as Arc<dyn Signer>);
    let now = Arc::new(|| Clock::ahead_by(0).now());
    let sending = tokio::spawn(async move { send(backup, &url, key, now, tell).await });
    let mut troubles = Vec::new();
    while let Some(event) = events.recv().await {
        if let RestoreEvent::Trouble { path, reason } = event {
            troubles.push(format!("{path}: {reason}"));
        }
    }
    troubles.sort_unstable();
    Ok((sending.await.unwrap()?, troubles))
}

/// A hub with a furnished channel, its backup, an empty clone elsewhere, and the channel's key.
async fn prepared(
    dir: &Path,
    setup: Setup,
) -> (TestHub, Vec<(String, Vec<u8>)>, PathBuf, TestHub, Arc<PrivateKey>) {
    let origin = TestHub::build(dir, "origin", Setup::default()).await;
    origin.create_channel("alice").await;
    let put = furnish(&origin).await;
    let target = dir.join("backup");
    save(&origin, "alice", options(&target)).await;
    let key = Arc::new(origin.identity("alice").await.key);
    // It knows of no other clone, and so asks nobody for anything.
    let to = TestHub::build(dir, "to", setup).await;
    channels::adopt(to.hub(), alone(&origin).await, "alice").await.unwrap();
    (origin, put, target, to, key)
}

/// BACKUP-22, BACKUP-26, BACKUP-27, ID-20: a backup comes whole over the network, and the clone compares equal; bringing it
/// twice brings nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_brought_over_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, put, backup, to, key) = prepared(dir.path(), Setup::default()).await;
    let origin = origin.stop().await;
    let before = to.channel("alice").await.replica;
    let (done, troubles) = bring(&backup, &to, &key).await.unwrap();
    assert_eq!(troubles, [""; 0]);
    assert_eq!((done.entries, done.files), (11, put.len() as u64 + 1), "{done:?}");
    shows_all(&to, "alice", &put).await;
    assert_ne!(to.channel("alice").await.replica, before, "ID-20");
    let (again, _) = bring(&backup, &to, &key).await.unwrap();
    assert_eq!((again.taken, again.files), (0, 0), "{again:?}");
    let origin = origin.start().await;
    let sum = async |hub: &TestHub| {
        let id = hub.channel("alice").await.id;
        hub.hub().catalog.whole(id).await.unwrap().sum
    };
    assert_eq!(sum(&to).await, sum(&origin).await, "a comparison would find them equal");
    assert_eq!(to.counts().bytes_fetched, 0);
}

/// SYNC-12, BACKUP-22: what there is no room for is named, with the reason in words, and all else comes; with more room the
/// rest comes, over the network and from a folder alike.
#[tokio::test(flavor = "multi_thread")]
async fn what_exceeds_the_quota_is_named_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let (_origin, put, backup, to, key) = prepared(dir.path(), Setup::default()).await;
    let alice = to.channel("alice").await.id;
    let largest = put.iter().map(|(_, bytes)| bytes.len() as u64).max().unwrap();
    let all: u64 = put.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    to.hub().catalog.set_quota(alice, Some(largest - 1)).await.unwrap();
    for over_network in [true, false] {
        let (done, troubles) = if over_network {
            bring(&backup, &to, &key).await.unwrap()
        } else {
            backup::bring(to.hub(), backup::from(&backup)).await.unwrap()
        };
        assert_eq!(done.troubles, troubles.len() as u64);
        assert!(!troubles.is_empty() && troubles.len() < put.len(), "{troubles:?}");
        let reason = Code::QuotaExceeded.explained();
        assert!(troubles.iter().all(|one| one.ends_with(&reason)), "{troubles:?}");
    }
    to.hub().catalog.set_quota(alice, Some(2 * all)).await.unwrap();
    let (_, troubles) = bring(&backup, &to, &key).await.unwrap();
    assert_eq!(troubles, [""; 0]);
    shows_all(&to, "alice", &put).await;
}

/// BACKUP-23: damaged data and metadata are named, nothing of them is visible, and all else comes.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_and_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let (_origin, _, backup, to, key) = prepared(dir.path(), Setup::default()).await;
    for (path, at) in [("file 6", 4 * MIB), ("file 2", 7)] {
        let path = data_file(&backup, path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        // Not in place: it is a link to the origin's own.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::remove_file(data_file(&backup, "file 3")).unwrap();
    let (done, troubles) = bring(&backup, &to, &key).await.unwrap();
    let expected = ["file 2", "file 3", "file 6"];
    let expected = expected.map(|path| format!("{path}: its data file is missing or damaged"));
    assert_eq!((troubles, done.troubles, done.entries), (expected.to_vec(), 3, 11));
    for name in ["file 2", "file 3", "file 6"] {
        assert_eq!(to.bytes("alice", &[name]).await, None, "{name}");
    }
    assert!(to.bytes("alice", &["file 5"]).await.is_some());
}

/// Somebody with a key who speaks to a hub directly.
struct Owner<'a> {
    to: &'a TestHub,
    http: Client,
    right: String,
}

fn statement(hub: &TestHub, channel: &TestHubChannel, step: Step, n: u8) -> Restore {
    let at = hub.hub().clock.now();
    Restore {
        channel: channel.0.clone(),
        site: hub.hub().site_id.clone(),
        id: PacketId([n; 16]),
        at,
        expires: at.plus(300_000),
        step,
        operations: Vec::new(),
    }
}

struct TestHubChannel(zotferry_protocol::ids::PortableId);

fn signed(said: &Restore, key: &PrivateKey) -> Vec<u8> {
    codec::encode(&SignedRestore::sign(said, key).unwrap())
}

impl<'a> Owner<'a> {
    async fn of(to: &'a TestHub, key: &PrivateKey) -> Self {
        let channel = TestHubChannel(to.channel("alice").await.portable_id);
        let right = signed(&statement(to, &channel, Step::Bytes, 1), key);
        Self { to, http: Client::new(), right: shown(&right) }
    }

    fn url(&self, path: &str) -> String {
        self.to.hub().config.url.join(&format!("/zot/restore{path}"))
    }

    async fn state(&self, bytes: Vec<u8>) -> Response {
        let request = self.http.post(self.url("")).body(bytes);
        request.header("content-type", "application/x-zot+msgpack").send().await.unwrap()
    }

    async fn standing(&self, root: &Digest) -> Value {
        let request = self.http.get(self.url(&format!("/{root}")));
        request.header("authorization", &self.right).send().await.unwrap().json().await.unwrap()
    }

    async fn put(&self, root: &Digest, first: u32, body: impl Into<reqwest::Body>) -> Response {
        let request = self.http.put(self.url(&format!("/{root}/{first}"))).body(body);
        request.header("authorization", &self.right).send().await.unwrap()
    }
}

fn shown(statement: &[u8]) -> String {
    format!("Zot-Restore {}", URL_SAFE_NO_PAD.encode(statement))
}

/// The operation of an entry of a backup, to be brought, and its content's root.
fn entry(backup: &Path, path: &str) -> (Operation, Digest) {
    let line = lines(backup).into_iter().find(|line| line.path.as_deref() == Some(path)).unwrap();
    let backup = Backup::open(backup).unwrap();
    let operation = backup.metadata(&line.meta[0].0).unwrap().unwrap().operation;
    assert_eq!(operation.data[0].source, Source::Backup);
    (operation, line.data[0].root.0)
}

/// Announces one entry of a backup, so that its bytes are awaited.
async fn announce(owner: &Owner<'_>, key: &PrivateKey, operation: Operation) -> Value {
    let channel = TestHubChannel(owner.to.channel("alice").await.portable_id);
    let mut said = statement(owner.to, &channel, Step::Entries, 2);
    said.operations = vec![operation];
    let response = owner.state(signed(&said, key)).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

/// BACKUP-29, BACKUP-30: what came before a body broke off is kept, told, and compared again; the rest completes it. Bytes
/// that are wrong are refused, and what came before them stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_broke_off_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (_origin, put, backup, to, key) = prepared(dir.path(), Setup::default()).await;
    let owner = Owner::of(&to, &key).await;
    let (operation, root) = entry(&backup, "file 6");
    let bytes = put[6].1.clone();
    let told = announce(&owner, &key, operation).await;
    assert_eq!(told["operations"][0]["status"], "stored");
    assert_eq!(told["wanted"][0]["root"], root.to_string());
    assert_eq!(owner.standing(&root).await["held"], 0);

    let part = owner.put(&root, 0, bytes[..2 * MIB + 77].to_vec()).await;
    let part: Value = part.json().await.unwrap();
    assert_eq!((&part["held"], &part["present"]), (&Value::from(2), &Value::from(false)));
    assert_eq!(owner.standing(&root).await["held"], 2);
    let mut wrong = bytes[2 * MIB..].to_vec();
    wrong[MIB + 5] ^= 1;
    assert_eq!(owner.put(&root, 2, wrong).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(owner.standing(&root).await["held"], 3);
    let gap: Value = owner.put(&root, 4, bytes[4 * MIB..].to_vec()).await.json().await.unwrap();
    assert_eq!((&gap["held"], &gap["present"]), (&Value::from(3), &Value::from(false)));
    assert_eq!(to.bytes("alice", &["file 6"]).await, None);

    // A bit that turns while nobody looks is found when the content would be made of it.
    let channel = to.channel("alice").await.id;
    let partial = PartialKey::wanted(channel, root, bytes.len() as u64);
    let partial = to.dir.join(format!("storage/partial/{partial}"));
    let mut stored = std::fs::read(&partial).unwrap();
    stored[MIB] ^= 1;
    std::fs::write(&partial, stored).unwrap();
    let rest: Value = owner.put(&root, 3, bytes[3 * MIB..].to_vec()).await.json().await.unwrap();
    assert_eq!((&rest["held"], &rest["present"]), (&Value::from(1), &Value::from(false)));
    let rest: Value = owner.put(&root, 1, bytes[MIB..].to_vec()).await.json().await.unwrap();
    assert_eq!(rest["present"], true);
    assert!(to.bytes("alice", &["file 6"]).await.unwrap() == bytes);
    assert_eq!(owner.standing(&root).await["present"], true);
}

/// BACKUP-27, BACKUP-28: nobody but the channel's owner brings anything, and nothing but what is awaited.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_that_is_not_awaited() {
    let dir = tempfile::tempdir().unwrap();
    let (_origin, put, backup, to, key) = prepared(dir.path(), Setup::default()).await;
    let owner = Owner::of(&to, &key).await;
    let (operation, root) = entry(&backup, "file 2");
    let unasked = owner.put(&root, 0, put[2].1.clone()).await;
    assert_eq!(unasked.status(), StatusCode::NOT_FOUND);
    announce(&owner, &key, operation.clone()).await;
    let long = [&put[2].1[..], b"and more"].concat();
    assert_eq!(owner.put(&root, 0, long).await.status(), StatusCode::BAD_REQUEST);
    let wrong = noise(4711, put[2].1.len());
    assert_eq!(owner.put(&root, 0, wrong).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(owner.put(&root, 2, Vec::new()).await.status(), StatusCode::BAD_REQUEST);

    let id = TestHubChannel(to.channel("alice").await.portable_id);
    let good = statement(&to, &id, Step::Begin, 3);
    let status =
        async |said: &Restore, key: &PrivateKey| owner.state(signed(said, key)).await.status();
    assert_eq!(status(&good, &small_key()).await, StatusCode::UNAUTHORIZED);
    let other = Restore {
        site: zotferry_protocol::ids::SiteId::new("B".repeat(86)).unwrap(),
        ..good.clone()
    };
    assert_eq!(status(&other, &key).await, StatusCode::FORBIDDEN);
    let old = Restore { at: Millis(1), expires: Millis(2), ..good.clone() };
    assert_eq!(status(&old, &key).await, StatusCode::UNAUTHORIZED);
    let unknown = zotferry_protocol::ids::PortableId::new("C".repeat(86)).unwrap();
    let unknown = Restore { channel: unknown, ..good.clone() };
    assert_eq!(status(&unknown, &key).await, StatusCode::NOT_FOUND);
    assert_eq!(status(&good, &key).await, StatusCode::OK);
    let url = owner.url(&format!("/{root}"));
    assert_eq!(owner.http.get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let begin = shown(&signed(&good, &key));
    let shown = owner.http.get(&url).header("authorization", begin).send().await.unwrap();
    assert_eq!(shown.status(), StatusCode::BAD_REQUEST, "a statement about something else");
    assert_eq!(owner.put(&root, 0, put[2].1.clone()).await.status(), StatusCode::OK);
    let twice = owner.put(&root, 0, put[2].1.clone()).await;
    assert_eq!(twice.status(), StatusCode::NOT_FOUND, "it is here");
    let wrong = Arc::new(small_key());
    let refused = bring(&backup, &to, &wrong).await.unwrap_err();
    assert!(refused.to_string().contains("bad-signature"), "{refused}");
}

/// BACKUP-31: more bodies than there are places are told to come later; one that brings nothing any more loses its own.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_places_and_lose_them() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::with(|config| {
        set(config, "transfer", "stall_seconds", 1);
        set(config, "limits", "uploads_per_channel", 3);
    });
    let (_origin, put, backup, to, key) = prepared(dir.path(), setup).await;
    let owner = Owner::of(&to, &key).await;
    let (operation, root) = entry(&backup, "file 2");
    announce(&owner, &key, operation).await;
    let right = URL_SAFE_NO_PAD.decode(owner.right.trim_start_matches("Zot-Restore ")).unwrap();
    let bringers = Bringers::new(Arc::clone(to.hub()));
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(bringers.body(&right, root, 0).await.unwrap());
    }
    let refused = bringers.body(&right, root, 0).await.map(drop).unwrap_err();
    assert!(refused.retry_after.is_some(), "{refused}");
    taken.pop();
    bringers.body(&right, root, 0).await.unwrap();
    // A body that stays silent: it is answered, and its place is free.
    let (give, pieces) = mpsc::channel::<std::io::Result<Bytes>>(1);
    let silent = futures_util::stream::unfold(pieces, async |mut pieces| {
        pieces.recv().await.map(|piece| (piece, pieces))
    });
    give.send(Ok(Bytes::from(put[2].1[..100].to_vec()))).await.unwrap();
    let answer = owner.put(&root, 0, reqwest::Body::wrap_stream(silent)).await;
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["present"], false);
    drop(give);
    assert_eq!(owner.put(&root, 0, put[2].1.clone()).await.status(), StatusCode::OK);
    until("it is here", async || to.bytes("alice", &["file 2"]).await.is_some()).await;
}

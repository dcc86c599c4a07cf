//! A backup is uploaded over WebDAV, file by file, in any order.

use std::path::Path;

use reqwest::StatusCode;
use zotferry_backup::Backup;

use crate::backup::{alone, data_file, empty_clone, furnish, lines, options, save, shows_all};
use crate::dav_client::Client;
use crate::harness::{Setup, TestHub, noise, random, seed, until};

/// The files of a backup below some of its folders: name, bytes.
fn files(backup: &Path, folders: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut waiting: Vec<_> = folders.iter().map(|folder| backup.join(folder)).collect();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.strip_prefix(backup).unwrap().display().to_string();
        found.push((name, std::fs::read(path).unwrap()));
    }
    found.sort();
    found
}

async fn put(dav: &Client<'_>, name: &str, bytes: &[u8]) {
    let answer = dav.send("PUT", &format!(".restore/{name}"), &[], bytes.to_vec()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{name}: {}", answer.text());
}

/// What waits in the folder, with everything that is said of it.
async fn waiting(dav: &Client<'_>, folder: &str) -> String {
    let answer = dav.send("PROPFIND", &format!(".restore/{folder}"), &[("depth", "1")], "").await;
    assert_eq!(answer.status, StatusCode::MULTI_STATUS);
    answer.text()
}

/// BACKUP-22, BACKUP-32: whatever the order, the files come back, and nothing is left over; what was uploaded is known by
/// its name for a while, so that programs which look are content.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_data_meet_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TestHub::build(dir.path(), "origin", Setup::default()).await;
    origin.create_channel("alice").await;
    let put_files = furnish(&origin).await;
    let backup = dir.path().join("backup");
    save(&origin, "alice", options(&backup)).await;
    let seed = seed();
    for (n, order) in ["metadata first", "data first", "shuffled"].into_iter().enumerate() {
        let mut uploads = files(&backup, &["meta", "data"]);
        match n {
            0 => uploads.reverse(),
            1 => {}
            _ => (0..uploads.len()).for_each(|at| {
                let end = uploads.len() as u64;
                uploads.swap(at, random(seed, at as u64, 0..end) as usize);
            }),
        }
        let name = format!("clone-{n}");
        let clone = empty_clone(dir.path(), &name, alone(&origin).await, "alice").await;
        let dav = Client::of(&clone, "alice").await;
        for (name, bytes) in &uploads {
            put(&dav, name, bytes).await;
        }
        shows_all(&clone, "alice", &put_files).await;
        let left = waiting(&dav, "").await;
        assert_eq!(left.matches("<D:response>").count(), 1, "{order}: {left}");
        let (name, bytes) = &uploads[0];
        let known = dav.send("PROPFIND", &format!(".restore/{name}"), &[("depth", "0")], "").await;
        let length = format!("<D:getcontentlength>{}<", bytes.len());
        assert!(known.text().contains(&length), "{}", known.text());
        let spool = clone.dir.join("restoring");
        assert_eq!(files(&spool, &["."]), [], "{order}");
        // Its replica, its versions and its roots are those of the origin.
        let (here, there) = (clone.channel("alice").await, origin.channel("alice").await);
        let whole = async |hub: &TestHub, id| hub.hub().catalog.whole(id).await.unwrap().sum;
        assert_eq!(whole(&clone, here.id).await, whole(&origin, there.id).await, "{order}");
    }
}

/// BACKUP-6, BACKUP-33, BACKUP-34: what is left over says why; it can be read and removed; what nobody needs is not kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_over_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TestHub::build(dir.path(), "origin", Setup::default()).await;
    origin.create_channel("alice").await;
    furnish(&origin).await;
    let backup = dir.path().join("backup");
    save(&origin, "alice", options(&backup)).await;
    let clone = empty_clone(dir.path(), "clone", alone(&origin).await, "alice").await;
    let dav = Client::of(&clone, "alice").await;
    assert_eq!(dav.send("MKCOL", ".restore/meta/", &[], "").await.status, StatusCode::CREATED);
    let again = dav.send("MKCOL", ".restore/meta/", &[], "").await;
    assert_eq!(again.status, StatusCode::METHOD_NOT_ALLOWED);
    let line = lines(&backup).into_iter().find(|l| l.path.as_deref() == Some("file 6")).unwrap();
    let hex = line.meta[0].0.to_string();
    let metadata = std::fs::read(backup.join(format!("meta/{}/{hex}.json", &hex[..2]))).unwrap();
    put(&dav, "meta/lonely.json", &metadata).await;
    put(&dav, "stray <file>", &noise(1, 70_000)).await;
    let text = String::from_utf8(metadata.clone()).unwrap();
    put(&dav, "meta/evil.json", text.replace("\"file 6\"", "\"../../file 6\"").as_bytes()).await;
    let decoded = Backup::open(&backup).unwrap().metadata(&line.meta[0].0).unwrap().unwrap();
    let hlc = decoded.operation.attach[0].place.hlc().0;
    let future = text.replace(&hlc.to_string(), &(hlc + (1_u64 << 55)).to_string());
    put(&dav, "meta/future.json", future.as_bytes()).await;
    let writer = decoded.operation.attach[0].place.replica();
    let last = format!("\"{writer}\":{}", i64::MAX);
    let absurd = text.replace(&format!("\"{writer}\":1"), &last);
    put(&dav, "meta/absurd.json", absurd.as_bytes()).await;
    for needless in ["README.txt", "backup.jsonl", "files.tsv", "identity", "index/0.jsonl"] {
        put(&dav, needless, b"anything").await;
    }
    let top = waiting(&dav, "").await;
    assert!(
        top.contains("stray &lt;file&gt;") && top.contains("no metadata names it yet"),
        "{top}"
    );
    assert!(!top.contains("identity"), "{top}");
    let below = waiting(&dav, "meta/").await;
    let root = line.data[0].root.0.to_string();
    for reason in [
        &format!("it waits for its data file, data/{}/{root}", &root[..2])[..],
        "a name is empty, longer than 255 bytes",
        "its versions lie in the future",
        "its versions name more edits than were ever made",
    ] {
        assert!(below.contains(reason), "{reason}: {below}");
    }
    assert_eq!(clone.names("alice").await, [""; 0]);
    let read = dav.send("GET", ".restore/meta/lonely.json", &[], "").await;
    assert_eq!(read.body, metadata);
    let gone = dav.send("DELETE", ".restore/stray%20%3Cfile%3E", &[], "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(dav.send("DELETE", ".restore/nothing", &[], "").await.status, StatusCode::NOT_FOUND);
    // Under whatever name its data comes.
    put(&dav, "holiday.avi", &std::fs::read(data_file(&backup, "file 6")).unwrap()).await;
    assert_eq!(clone.names("alice").await, ["file 6"]);
    assert!(!waiting(&dav, "meta/").await.contains("lonely"));
    assert_eq!(dav.send("DELETE", ".restore/meta", &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(waiting(&dav, "").await.matches("<D:response>").count(), 1);
}

/// BACKUP-33: names of uploads lead nowhere; methods that make no sense here are refused; the folder is its owner's.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_uploads_lead_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    hub.create_channel("alice").await;
    let mut dav = Client::of(&hub, "alice").await;
    for name in ["a%2F..%2F..%2Fb", "a%00b", "%2e%2e%2fx", "x%5C..%5Cy", "con", "\u{202e}gpj.exe"] {
        dav.send("PUT", &format!(".restore/{name}"), &[], b"bytes".to_vec()).await;
    }
    let keys: Vec<String> = files(&hub.dir.join("restoring"), &["."])
        .into_iter()
        .map(|(name, _)| name.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert!(!keys.is_empty());
    for key in &keys {
        let hex = key.trim_end_matches(".json");
        assert!(hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
    }
    assert!(!dir.path().join("b").exists() && !hub.dir.join("x").exists());
    for method in ["COPY", "MOVE", "LOCK", "PROPPATCH"] {
        let answer = dav.send(method, ".restore/x", &[("destination", "/dav/alice/y")], "").await;
        assert!(answer.status.is_client_error(), "{method}: {}", answer.status);
    }
    assert_eq!(dav.send("GET", ".restore/nothing", &[], "").await.status, StatusCode::NOT_FOUND);
    dav.password = "wrong".into();
    let refused = dav.send("PUT", ".restore/x", &[], "y").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

/// BACKUP-32: what waits has the room that the quota leaves, however its sizes are told; when it goes, others may come. Its
/// folders have a number, its names a length: all of it once grew without bound beside the quota.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    let channel = hub.create_channel("alice").await;
    let dav = Client::of(&hub, "alice").await;
    hub.hub().catalog.set_quota(channel.id, Some(1 << 20)).await.unwrap();
    let status = async |name: &str, body: reqwest::Body| {
        dav.send("PUT", &format!(".restore/{name}"), &[], body).await.status
    };
    let bytes = noise(1, 600_000);
    let in_pieces = || {
        let pieces = noise(2, 600_000).chunks(50_000).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
    };
    put(&dav, "first", &bytes).await;
    assert_eq!(status("second", noise(2, 600_000).into()).await, 507);
    assert_eq!(status("second", in_pieces()).await, 507, "without a length");
    let spool = hub.dir.join("restoring").join(channel.portable_id.as_str());
    assert_eq!(files(&spool, &["tmp"]), [], "nothing is left of it");
    assert_eq!(dav.ask("DELETE", ".restore/first").await, 204);
    assert_eq!(status("second", in_pieces()).await, 201);
    assert_eq!(status("third", bytes.clone().into()).await, 507);

    hub.hub().catalog.set_quota(channel.id, None).await.unwrap();
    assert_eq!(status("third", bytes.into()).await, 201);
    std::fs::create_dir_all(spool.join("folders")).unwrap();
    for n in 0..4095 {
        std::fs::write(spool.join(format!("folders/{n}")), format!("folder {n}")).unwrap();
    }
    assert_eq!(dav.ask("MKCOL", ".restore/last").await, 201);
    assert_eq!(dav.ask("MKCOL", ".restore/one%20more").await, 507);
    assert_eq!(dav.ask("MKCOL", &format!(".restore/{}", "x".repeat(1025))).await, 414);
}

/// BACKUP-33: an upload whose connection is lost leaves nothing, and takes no room.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    let alice = hub.create_channel("alice").await;
    let dav = Client::of(&hub, "alice").await;
    let came = hub.hub().folder.restoring(&alice.portable_id).join("tmp");
    let count = || std::fs::read_dir(&came).map_or(0, Iterator::count);
    let begun = dav.upload(".restore/data", "Content-Length: 9000000", &noise(1, 300_000)).await;
    until("it comes", async || count() == 1).await;
    drop(begun);
    until("it is gone", async || count() == 0).await;
}

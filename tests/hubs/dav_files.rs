//! WebDAV: bytes in and out, and files and folders moved about.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::Body;
use tokio::io::AsyncWriteExt as _;
use zotferry_protocol::ids::Millis;

use crate::dav_client::{Client, rest_of};
use crate::harness::{MIB, Setup, TestHub, noise, pair, set, until};

async fn hub() -> (tempfile::TempDir, TestHub) {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    hub.create_channel("alice").await;
    (dir, hub)
}

/// FILE-1, SYNC-3: whatever its size and however it is sent, what was uploaded is what is read, here
/// and on the other clone; an upload to the same path is a new revision.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_every_size_reach_the_clones() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let client = Client::of(&origin, "alice").await;
    let sizes = [0, 1, 256 << 10, (256 << 10) + 1, MIB, MIB + 1, 5 * MIB + 1];
    for (n, size) in sizes.into_iter().enumerate() {
        let (first, bytes) = (noise(n as u64, size / 2), noise(100 + n as u64, size));
        let name = format!("{size}.bin");
        assert_eq!(client.put(&name, &first).await, 201);
        let pieces: Vec<_> = bytes.chunks(70_001).map(Bytes::copy_from_slice).collect();
        let chunked = Body::wrap_stream(stream::iter(pieces).map(Ok::<_, std::io::Error>));
        let again = client.send("PUT", &name, &[], chunked).await;
        assert_eq!(again.status, 204, "{size}");
        let read = client.send("GET", &name, &[], "").await;
        assert!(read.body == bytes, "{size}");
        assert_eq!(read.header("etag"), again.header("etag"));
        clone.shows("alice", &name, &bytes).await;
    }
    client.nothing_is_left().await;
    let channel = origin.channel("alice").await;
    let entry = origin.hub().catalog.by_path(channel.id, &["1.bin"]).await.unwrap().unwrap();
    assert_eq!(entry.revision, 1);
}

/// RFC 9110, sections 13 and 14: parts of a file, and no file that is known already.
#[tokio::test(flavor = "multi_thread")]
async fn parts_are_read() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    let bytes = noise(1, 3 * MIB);
    client.put("a", &bytes).await;
    for (range, want) in
        [("0-0", 0..1), ("1000000-2000000", 1_000_000..2_000_001), ("-5", 3 * MIB - 5..3 * MIB)]
    {
        let answer = client.send("GET", "a", &[("range", &format!("bytes={range}"))], "").await;
        assert_eq!(answer.status, 206);
        assert!(answer.body == bytes[want], "{range}");
    }
    let etag = client.send("HEAD", "a", &[], "").await.header("etag").to_owned();
    assert_eq!(client.send("GET", "a", &[("if-none-match", &etag)], "").await.status, 304);
    let none = client.send("GET", "a", &[("range", "bytes=4000000-")], "").await;
    assert_eq!(none.status, 416);
    // Several parts of one file, and places beyond all files, are answered with the whole.
    for odd in ["bytes=0-,0-,0-", "bytes=0-18446744073709551615"] {
        let whole = client.send("GET", "a", &[("range", odd)], "").await;
        assert_eq!(whole.status, 200, "{odd}");
        assert!(whole.body == bytes, "{odd}");
    }
    let outdated = [("if-match", "\"other\"")];
    assert_eq!(client.send("PUT", "a", &outdated, "no").await.status, 412);
    assert_eq!(client.send("PUT", "a", &[("if-none-match", "*")], "no").await.status, 412);
    assert!(client.get("a").await.unwrap() == bytes);
}

/// A PUT that is cut leaves the old file, and nothing of the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_upload_leaves_the_old_file() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    client.put("a", b"old").await;
    let before = hub.channel("alice").await;
    let bytes = noise(2, 600_000);
    let chunk = [b"92800\r\n".as_slice(), &bytes[..0x92800.min(bytes.len())]].concat();
    for (head, sent) in [
        ("Content-Length: 1000000", &bytes[..]),
        ("Content-Length: 1000000", &bytes[..100]),
        ("Transfer-Encoding: chunked", &chunk[..]),
    ] {
        for path in ["a", "new"] {
            let socket = client.upload(path, head, sent).await;
            if sent.len() > 300_000 {
                client.something_is_written().await;
            }
            drop(socket);
            client.nothing_is_left().await;
        }
    }
    assert_eq!(client.get("a").await.unwrap(), b"old");
    assert_eq!(client.ask("GET", "new").await, 404);
    let after = hub.channel("alice").await;
    assert_eq!((after.seq, after.used), (before.seq, before.used));
}

/// Who stops sending without a word is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_upload_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::with(|config| set(config, "transfer", "stall_seconds", 1));
    let hub = TestHub::build(dir.path(), "hub", setup).await;
    hub.create_channel("alice").await;
    let client = Client::of(&hub, "alice").await;
    let socket = client.upload("a", "Content-Length: 1000000", &noise(3, 600_000)).await;
    client.something_is_written().await;
    assert!(!rest_of(socket).await.starts_with("HTTP/1.1 2"));
    client.nothing_is_left().await;
    assert_eq!(client.ask("GET", "a").await, 404);
}

/// RFC 9110, section 10.1.1: who asks first is answered before the body is sent.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_first_hears_first() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    let head = "Content-Length: 3\r\nConnection: close\r\nExpect: 100-continue";
    let refused = rest_of(client.upload("missing/a", head, b"").await).await;
    assert!(refused.starts_with("HTTP/1.1 409"), "{refused}");
    let mut socket = client.upload("a", head, b"").await;
    socket.readable().await.unwrap();
    socket.write_all(b"abc").await.unwrap();
    let said = rest_of(socket).await;
    assert!(said.starts_with("HTTP/1.1 100") && said.contains("HTTP/1.1 201"), "{said}");
    assert_eq!(client.get("a").await.unwrap(), b"abc");
}

/// SYNC-39: a folder that is moved is one operation, whatever is in it; nothing of it is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_moved_folder_is_one_operation() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let client = Client::of(&origin, "alice").await;
    assert_eq!(client.ask("MKCOL", "docs").await, 201);
    for n in 0..30 {
        assert_eq!(client.put(&format!("docs/{n}"), format!("content {n}").as_bytes()).await, 201);
    }
    clone.has("alice", 30).await;
    let before = origin.channel("alice").await.seq;
    assert_eq!(client.bring("MOVE", "docs/", "papers/", false).await, 201);
    assert_eq!(origin.channel("alice").await.seq, before + 1);
    until("the clone has moved it", async || clone.names("alice").await == ["papers"]).await;
    assert_eq!(clone.bytes("alice", &["papers", "7"]).await.unwrap(), b"content 7");
    assert_eq!(client.ask("DELETE", "papers").await, 204);
    until("the clone has removed it", async || clone.names("alice").await.is_empty()).await;
}

/// RFC 4918, sections 9.8 and 9.9: what is in the way is replaced or stays, as was asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_replaced_when_asked() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    for folder in ["a", "a/in", "b"] {
        assert_eq!(client.ask("MKCOL", folder).await, 201);
    }
    assert_eq!(client.ask("MKCOL", "a").await, 405);
    assert_eq!(client.ask("MKCOL", "x/y").await, 409);
    assert_eq!(client.put("x/y", b"").await, 409);
    assert_eq!(client.put("a", b"").await, 405);
    for path in ["a/in/1", "b/2", "file"] {
        client.put(path, path.as_bytes()).await;
    }
    assert_eq!(client.bring("COPY", "a", "b", false).await, 412);
    assert_eq!(client.bring("COPY", "a", "a/in/a", true).await, 403);
    assert_eq!(client.bring("COPY", "a", "b", true).await, 204);
    assert_eq!(client.get("b/in/1").await.unwrap(), b"a/in/1");
    assert_eq!(client.ask("GET", "b/2").await, 404);
    assert_eq!(client.bring("MOVE", "file", "b", true).await, 204);
    assert_eq!(client.get("b").await.unwrap(), b"file");
    assert_eq!(client.bring("MOVE", "a/in", "b", false).await, 412);
    assert_eq!(client.bring("MOVE", "a/in", "nowhere/b", true).await, 409);
    let shallow = [("destination", &*client.url("c")), ("depth", "0")];
    assert_eq!(client.send("COPY", "a", &shallow, "").await.status, 201);
    assert_eq!(client.list("c").await.hrefs(), ["/dav/alice/c/"]);
    assert_eq!(hub.names("alice").await, ["a", "b", "c"]);
}

/// The modification time that a program states is kept, also when the content is the same.
#[tokio::test(flavor = "multi_thread")]
async fn modification_times_are_kept() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    for (n, seconds) in ["1000000000", "1000000001.5"].into_iter().enumerate() {
        let answer = client.send("PUT", "a", &[("x-oc-mtime", seconds)], "the same").await;
        assert_eq!(answer.header("x-oc-mtime"), "accepted");
        let channel = hub.channel("alice").await;
        let entry = hub.hub().catalog.by_path(channel.id, &["a"]).await.unwrap().unwrap();
        assert_eq!(entry.mtime, Some(Millis([1_000_000_000_000, 1_000_000_001_500][n])));
    }
    let shown = client.send("HEAD", "a", &[], "").await.header("last-modified").to_owned();
    assert_eq!(shown, "Sun, 09 Sep 2001 01:46:41 GMT");
    assert!(UNIX_EPOCH + Duration::from_secs(1_000_000_001) < std::time::SystemTime::now());
}

/// A channel that is full says so before the bytes are sent where it can, and keeps what it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_channel_refuses() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    let channel = hub.channel("alice").await;
    client.put("a", &noise(4, 500_000)).await;
    hub.hub().catalog.set_quota(channel.id, Some(MIB as u64)).await.unwrap();
    assert_eq!(client.put("b", &noise(5, 900_000)).await, 507);
    let pieces =
        stream::iter((0..20).map(|n| Ok::<_, std::io::Error>(Bytes::from(noise(n, 70_000)))));
    assert_eq!(client.send("PUT", "b", &[], Body::wrap_stream(pieces)).await.status, 507);
    client.nothing_is_left().await;
    // What it replaces makes room.
    assert_eq!(client.put("a", &noise(6, 900_000)).await, 204);
    let used = client.send("PROPFIND", "", &[("depth", "0")], QUOTA).await.text();
    assert!(used.contains("<D:quota-used-bytes>900000<"), "{used}");
    assert!(used.contains(&format!("<D:quota-available-bytes>{}<", MIB - 900_000)), "{used}");
}

const QUOTA: &str = "<D:propfind xmlns:D='DAV:'><D:prop><D:quota-used-bytes/>\
    <D:quota-available-bytes/></D:prop></D:propfind>";

/// Uploads that come together are all there when each was answered; one that cannot be entered keeps
/// no other out.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_come_together_are_entered_together() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    let puts = (0..60).map(|n| {
        let client = &client;
        async move {
            let folder = if n % 10 == 0 { "missing/" } else { "" };
            let status =
                client.put(&format!("{folder}{n}"), format!("content {n}").as_bytes()).await;
            assert_eq!(status, if n % 10 == 0 { 409 } else { 201 });
        }
    });
    futures_util::future::join_all(puts).await;
    assert_eq!(hub.names("alice").await.len(), 54);
    assert_eq!(client.get("33").await.unwrap(), b"content 33");
    assert_eq!(hub.channel("alice").await.seq, 54);
}

/// Uploads that are underway have one quota together: each once had it to itself, for as long as it was slow.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_underway_have_one_quota_together() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    let alice = hub.channel("alice").await.id;
    hub.hub().catalog.set_quota(alice, Some(500_000)).await.unwrap();
    let slow = client.upload("slow", "Content-Length: 400000", &noise(4, 300_000)).await;
    client.something_is_written().await;
    assert_eq!(client.put("other", &noise(5, 270_000)).await, 507);
    assert_eq!(client.put("small", &noise(6, 1000)).await, 201);
    drop(slow);
    client.nothing_is_left().await;
    assert_eq!(client.put("other", &noise(5, 270_000)).await, 201);
}

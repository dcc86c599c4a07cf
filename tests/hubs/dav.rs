//! WebDAV: who comes in, and what is said of files and folders.

use crate::dav_client::Client;
use crate::harness::{Setup, TestHub, noise, pair, set, until};

async fn hub() -> (tempfile::TempDir, TestHub) {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::default()).await;
    hub.create_channel("alice").await;
    (dir, hub)
}

/// A channel opens to its name and one of its passwords, and to nothing else; a password that was
/// removed opens nothing from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_opens_its_channel() {
    let (_dir, hub) = hub().await;
    hub.create_channel("bob").await;
    let mut client = Client::of(&hub, "alice").await;
    assert_eq!(client.list("").await.status, 207);
    let bare = reqwest::get(client.url("")).await.unwrap();
    assert_eq!(bare.status(), 401);
    assert!(bare.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    let right = client.password.clone();
    for (nick, password) in
        [("alice", "abcdef-wrong"), ("alice", ""), ("bob", &right), ("carol", &right)]
    {
        (client.nick, client.password) = (nick.into(), password.into());
        assert_eq!(client.list("").await.status, 401, "{nick} {password}");
        assert_eq!(client.put("a", b"no").await, 401);
    }
    (client.nick, client.password) = ("alice".into(), right.clone());
    assert_eq!(client.list("").await.status, 207);
    let inner = hub.hub();
    let channel = hub.channel("alice").await;
    let name = right.split('-').next().unwrap();
    assert!(inner.passwords.remove(&inner.catalog, &channel, name).await.unwrap());
    assert_eq!(client.list("").await.status, 401);
    assert!(hub.names("alice").await.is_empty());
}

/// Names are bytes: whatever a name is, its href leads to its file.
#[tokio::test(flavor = "multi_thread")]
async fn every_href_leads_to_its_file() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    let names = [
        "plain",
        "a b",
        "100%",
        "%41",
        "a&b<c>",
        "e\u{301}",
        "\u{e9}",
        "#1?x=y",
        "\u{1F600}",
        "q'\"",
        "a\\b",
    ];
    for name in names {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(client.put(&encoded, name.as_bytes()).await, 201, "{name}");
    }
    let mut found = hub.names("alice").await;
    let mut wanted = names.map(str::to_owned);
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    let hrefs = client.list("").await.hrefs();
    assert_eq!((hrefs.len(), hrefs[0].as_str()), (names.len() + 1, "/dav/alice/"));
    let mut read = Vec::new();
    for href in &hrefs[1..] {
        let bytes = client.get(href.strip_prefix("/dav/alice/").unwrap()).await;
        read.push(String::from_utf8(bytes.unwrap()).unwrap());
    }
    read.sort();
    assert_eq!(read, wanted);
    for bad in ["%ff", "a%00b", "x%2fy", &"x".repeat(256)] {
        let status = client.put(bad, b"").await;
        assert!((400..500).contains(&status), "{bad}: {status}");
    }
}

/// A folder of more than a page lists every entry once.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_is_listed_whole() {
    let (dir, hub) = hub().await;
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for n in 0..600 {
        std::fs::write(tree.join(format!("{n}.txt")), format!("{n}")).unwrap();
    }
    hub.put("alice", &tree).await;
    let client = Client::of(&hub, "alice").await;
    let mut hrefs = client.list("tree").await.hrefs();
    hrefs.sort();
    hrefs.dedup();
    assert_eq!(hrefs.len(), 601);
    assert!(hrefs.contains(&"/dav/alice/tree/599.txt".to_owned()));
    let alone = client.send("PROPFIND", "tree/", &[("depth", "0")], "").await;
    assert_eq!(alone.hrefs(), ["/dav/alice/tree/"]);
    assert_eq!(client.send("PROPFIND", "", &[("depth", "infinity")], "").await.status, 403);
    assert_eq!(client.list("missing").await.status, 404);
}

/// What is asked for by name is answered: with its value, or that it is not there.
#[tokio::test(flavor = "multi_thread")]
async fn properties_that_are_asked_for_are_answered() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    client.put("a.txt", b"12345").await;
    let etag = client.send("HEAD", "a.txt", &[], "").await.header("etag").to_owned();
    let question = "<D:propfind xmlns:D='DAV:'><D:prop><D:getcontentlength/><D:getetag/>\
        <D:getcontenttype/><D:nothing/><D:quota-available-bytes/></D:prop></D:propfind>";
    let answer = client.send("PROPFIND", "", &[("depth", "1")], question).await.text();
    assert!(answer.contains("<D:getcontentlength>5</D:getcontentlength>"), "{answer}");
    assert!(etag.len() > 40 && answer.contains(&format!("<D:getetag>{etag}</D:getetag>")));
    assert!(answer.contains("<D:getcontenttype>text/plain</D:getcontenttype>"));
    assert!(answer.contains("<D:nothing></D:nothing></D:prop><D:status>HTTP/1.1 404 Not Found"));
    let available = answer.split("<D:quota-available-bytes>").nth(1).unwrap();
    assert!(available.split('<').next().unwrap().parse::<u64>().unwrap() > 0);
}

/// What a program keeps with an entry stays with it when it is moved, is copied with it, and goes
/// with it; changing it tells no clone anything.
#[tokio::test(flavor = "multi_thread")]
async fn dead_properties_belong_to_the_entry() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    client.put("a", b"1").await;
    let before = hub.channel("alice").await.seq;
    let patch = "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><x:colour xmlns:x='urn:x'>red\
        </x:colour></D:prop></D:set></D:propertyupdate>";
    assert_eq!(client.send("PROPPATCH", "a", &[], patch).await.status, 207);
    assert_eq!(hub.channel("alice").await.seq, before);
    let coloured = async |path: &str| {
        client.send("PROPFIND", path, &[("depth", "0")], "").await.text().contains(">red<")
    };
    assert!(coloured("a").await);
    assert_eq!(client.bring("MOVE", "a", "b", false).await, 201);
    assert_eq!(client.bring("COPY", "b", "c", false).await, 201);
    assert!(coloured("b").await && coloured("c").await);
    client.put("b", b"new content").await;
    assert!(coloured("b").await);
    assert_eq!(client.ask("DELETE", "b").await, 204);
    client.put("b", b"another file").await;
    assert!(!coloured("b").await);
    let channel = hub.channel("alice").await;
    assert_eq!(client.ask("DELETE", "c").await, 204);
    assert!(!hub.hub().catalog.has_properties(channel.id).await.unwrap());
}

/// What makes no sense, or would be too much for a parser, is refused and harms nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    client.put("a", b"1").await;
    for (name, value) in [("if", "(<urn:x> [\"a"), ("if", "(<urn:x"), ("if-none-match", "\"")] {
        assert_eq!(client.send("GET", "a", &[(name, value)], "").await.status, 400, "{value}");
    }
    let deep = "<a xmlns='DAV:'>".repeat(3000);
    for method in ["PROPFIND", "PROPPATCH", "LOCK"] {
        assert_eq!(client.send(method, "a", &[], deep.clone()).await.status, 400, "{method}");
    }
    let long = " ".repeat(100_000);
    assert_eq!(client.send("PROPFIND", "a", &[], long).await.status, 413);
    assert_eq!(client.send("DELETE", "a", &[("depth", "0")], "").await.status, 400);
    assert_eq!(client.send("PUT", "a", &[("content-range", "bytes 0-0/5")], "x").await.status, 400);
    assert_eq!(client.ask("PATCH", "a").await, 405);
    assert_eq!(client.ask("DELETE", "").await, 403);
    assert_eq!(client.get("a").await.unwrap(), b"1");
}

/// Nothing uploaded runs in the hub's name.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_run_nothing() {
    let (_dir, hub) = hub().await;
    let client = Client::of(&hub, "alice").await;
    client.put("a.html", b"<script>").await;
    let answer = client.send("GET", "a.html", &[], "").await;
    assert!(answer.header("content-security-policy").starts_with("sandbox"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

/// A file that is not here yet is read through this clone; where nobody gives it, it comes later, and
/// is not called missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_its_way_is_read_or_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let soon = Setup::with(|config| set(config, "transfer", "stall_seconds", 1));
    let (origin, clone) = pair(dir.path(), Setup::default(), soon).await;
    let channel = clone.channel("alice").await;
    clone.hub().catalog.set_paused(channel.id, true).await.unwrap();
    clone.hub().tell_receiver();
    let bytes = noise(7, 5 << 20);
    let client = Client::of(&clone, "alice").await;
    origin.put_bytes("alice", "one", &bytes).await;
    until("the clone knows it", async || client.ask("HEAD", "one").await == 200).await;
    assert!(clone.bytes("alice", &["one"]).await.is_none());
    let part = client.send("GET", "one", &[("range", "bytes=4194304-4194404")], "").await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &bytes[4_194_304..4_194_405]));
    assert!(client.get("one").await.unwrap() == bytes);
    let unlike = noise(8, 3 << 20);
    origin.put_bytes("alice", "three", &unlike).await;
    until("the clone knows it", async || client.ask("HEAD", "three").await == 200).await;
    origin.stop().await;
    let answer = client.send("GET", "three", &[], "").await;
    assert_eq!(answer.status, 503);
    assert!(!answer.header("retry-after").is_empty());
}

/// QUEUE-10: slow uploads of one channel take its own places: another channel's files come in meanwhile, and who waits for a
/// place in vain hears for how long.
#[tokio::test(flavor = "multi_thread")]
async fn slow_uploads_of_one_channel_stop_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let few = |config: &mut toml::Table| {
        set(config, "limits", "uploads", 3);
        set(config, "limits", "uploads_per_channel", 2);
    };
    let hub = TestHub::build(dir.path(), "hub", Setup::with(few)).await;
    hub.create_channel("alice").await;
    hub.create_channel("bob").await;
    let (alice, bob) = (Client::of(&hub, "alice").await, Client::of(&hub, "bob").await);
    let bytes = noise(1, 300 << 10);
    let mut slow = Vec::new();
    for name in ["one", "two"] {
        slow.push(alice.upload(name, "Content-Length: 9000000", &bytes).await);
    }
    let underway = || hub.hub().storage.partials().unwrap().len();
    until("both are being written", async || underway() == 2).await;
    for path in ["first", "second", ".restore/data"] {
        assert_eq!(bob.put(path, &bytes).await, 201, "{path}");
    }
    let refused = alice.send("PUT", "third", &[], bytes.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "5"));
    slow.pop();
    until("one was cut", async || underway() == 1).await;
    assert_eq!(alice.put("third", &bytes).await, 201);
}

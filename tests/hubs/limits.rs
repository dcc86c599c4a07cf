//! Those who ask for too much, too often or too slowly: what they are told, and that others hear nothing of it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zotferry::catalog::MetaChange;
use zotferry::files::set_meta;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::{Challenge, CloneSync, Packet};
use zotferry_protocol::refusal::Code;

use crate::craft::{Said, begin, chunks, name_of, post, put_operation};
use crate::dav_client::Client;
use crate::harness::{MIB, Setup, TestHub, blocked, noise, pair, set, until};

/// Nobody is trusted to speak for others: loopback is counted like any address.
fn counted(config: &mut toml::Table) {
    set(config, "network", "proxies", toml::Value::Array(Vec::new()));
}

fn impatient(config: &mut toml::Table) {
    set(config, "transfer", "stall_seconds", 1);
}

fn address(hub: &TestHub) -> SocketAddr {
    hub.hub().config.listen
}

/// What comes until the hub closes the connection.
async fn last_words(socket: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut said));
    // A connection that is reset has ended as well.
    reading.await.expect("it is closed").ok();
    String::from_utf8_lossy(&said).into_owned()
}

/// A request for the hub's description, on a connection that stays.
async fn is_answered(socket: &mut TcpStream) -> bool {
    let ask = b"GET /.well-known/zot-file HTTP/1.1\r\nhost: hub\r\n\r\n";
    if socket.write_all(ask).await.is_err() {
        return false;
    }
    let mut head = [0; 15];
    socket.read_exact(&mut head).await.is_ok() && head == *b"HTTP/1.1 200 OK"
}

/// QUEUE-10, QUEUE-11: an address may have so many connections; one more hears 503 and when to come back, and there is
/// room as soon as one ends.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections() {
    let dir = tempfile::tempdir().unwrap();
    let few = |config: &mut toml::Table| {
        counted(config);
        set(config, "limits", "connections_per_address", 3);
    };
    let hub = TestHub::build(dir.path(), "hub", Setup::with(few)).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut socket = TcpStream::connect(address(&hub)).await.unwrap();
        assert!(is_answered(&mut socket).await);
        open.push(socket);
    }
    let mut fourth = TcpStream::connect(address(&hub)).await.unwrap();
    let said = last_words(&mut fourth).await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after: 5\r\n"), "{said}");
    open.pop();
    until("there is room again", async || {
        let mut socket = TcpStream::connect(address(&hub)).await.unwrap();
        is_answered(&mut socket).await
    })
    .await;
}

/// QUEUE-10: who sends a head byte by byte, or a body, is cut off, and meanwhile others are answered.
#[tokio::test(flavor = "multi_thread")]
async fn who_drips_a_request_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::build(dir.path(), "hub", Setup::with(impatient)).await;
    let post = "POST /zot HTTP/1.1\r\nhost: hub\r\ncontent-type: application/x-zot+msgpack\r\n";
    for begun in ["GET / HTTP/1.1\r\nx: ", &format!("{post}content-length: 9999\r\n\r\n")] {
        let mut slow = TcpStream::connect(address(&hub)).await.unwrap();
        slow.write_all(begun.as_bytes()).await.unwrap();
        let (mut from, mut to) = slow.into_split();
        let dripping = tokio::spawn(async move {
            while to.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let mut other = TcpStream::connect(address(&hub)).await.unwrap();
        assert!(is_answered(&mut other).await);
        let mut said = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(60), from.read_to_end(&mut said));
        ended.await.expect("the hub ends it").ok();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("200 OK"), "{said}");
        drop(from);
        dripping.await.unwrap();
    }
}

/// QUEUE-10, QUEUE-11: who asks for content and does not take it loses the connection, and the place that his answer took
/// is another's.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_take_an_answer_loses_it() {
    let dir = tempfile::tempdir().unwrap();
    let one = |config: &mut toml::Table| {
        impatient(config);
        set(config, "limits", "answers", 1);
    };
    let (origin, clone) = pair(dir.path(), Setup::with(one), Setup::default()).await;
    let alice = clone.channel("alice").await;
    clone.hub().catalog.set_paused(alice.id, true).await.unwrap();
    let film = noise(1, 32 * MIB);
    origin.put_bytes("alice", "film", &film).await;
    let (resource, root) = name_of(&origin, "alice", "film").await;
    let peer = clone.peer(&origin).await;
    let ask = chunks(resource, root, 32);
    let shown = clone.hub().seal(&peer, &alice.portable_id, ask, None).await.unwrap();
    let mut greedy = begin(&origin, shown.bytes.clone()).await;
    assert_eq!(greedy.status(), 200);
    // He holds the one place there is, and takes nothing.
    clone.hub().catalog.set_paused(alice.id, false).await.unwrap();
    clone.hub().tell_receiver();
    clone.shows("alice", "film", &film).await;
    let mut taken = 0;
    let cut = loop {
        match greedy.chunk().await {
            Ok(Some(piece)) => taken += piece.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(cut && taken < film.len(), "{taken} bytes waited for him");
}

/// QUEUE-10, REF-3: an address that asks too often gets a hint with 429 and the seconds after which there is room.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_too_often_hears_so() {
    let dir = tempfile::tempdir().unwrap();
    let seldom = |config: &mut toml::Table| {
        counted(config);
        set(config, "limits", "requests_per_second", 1);
    };
    let hub = TestHub::build(dir.path(), "hub", Setup::with(seldom)).await;
    let url = hub.hub().config.url.join("/zot");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for n in 0.. {
        assert!(n < 500, "no end");
        // As large as a packet may be: it is read all the same, or the answer would be lost.
        let post = client.post(&url).body(vec![0; MIB]).send().await.unwrap();
        if post.status() != 429 {
            continue;
        }
        assert!(n >= 10, "{n} requests only");
        let wait = post.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap();
        assert!((1..=2).contains(&wait), "{wait} s");
        assert!(post.text().await.unwrap().starts_with("60 too-many: "));
        break;
    }
}

/// QUEUE-12, FETCH-44: our own receiver waits as it is told: everything arrives, and few requests are in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_keeps_to_the_pace_of_its_origin() {
    let dir = tempfile::tempdir().unwrap();
    let slow = |config: &mut toml::Table| {
        counted(config);
        set(config, "limits", "requests_per_second", 10);
        set(config, "limits", "response_bytes", 32 << 10);
    };
    let (origin, clone) = pair(dir.path(), Setup::with(slow), Setup::with(blocked)).await;
    let film = noise(1, 5 * MIB);
    origin.put_bytes("alice", "film", &film).await;
    clone.shows("alice", "film", &film).await;
    let (refused, asked) = (origin.counts().refusals, clone.counts().requests);
    assert!(refused > 0, "{asked} requests were not too many");
    assert!(refused <= 60, "{refused} of {asked} requests in vain");
}

async fn say(from: &TestHub, to: &TestHub, packet: Packet) -> (Said, String) {
    let (peer, alice) = (from.peer(to).await, from.channel("alice").await.portable_id);
    let sealed = from.hub().seal(&peer, &alice, packet, None).await.unwrap();
    let said = post(to, sealed.bytes.clone()).await;
    let word = match said.status {
        200 => "taken".to_owned(),
        _ => said.refusal(from, &peer, &sealed).to_string(),
    };
    (said, word)
}

/// QUEUE-10: packets that speak for one channel have their own count; another channel of the same hub is not affected.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_speaks_too_often_hears_so() {
    let dir = tempfile::tempdir().unwrap();
    let seldom = |config: &mut toml::Table| set(config, "limits", "packets_per_second", 1);
    let (origin, clone) = pair(dir.path(), Setup::with(seldom), Setup::default()).await;
    let nonce = || Packet::from(Challenge { nonce: Digest([1; 32]) });
    for n in 0.. {
        let (said, word) = say(&clone, &origin, nonce()).await;
        if said.status != 200 {
            assert_eq!((said.status, word.as_str()), (429, "too-many"), "after {n}");
            break;
        }
        assert!(n < 500, "no end");
    }
    origin.create_channel("bob").await;
    clone.clone_channel(&origin, "bob").await;
    clone.is_clone_of(&origin, "bob").await;
}

/// SIGN-8: ids are remembered until they cannot come again; a clone that would fill the memory has to wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_cannot_fill_the_replay_memory() {
    let dir = tempfile::tempdir().unwrap();
    let few = |config: &mut toml::Table| set(config, "limits", "remembered", 8);
    let (origin, clone) = pair(dir.path(), Setup::with(few), Setup::default()).await;
    let mut words = Vec::new();
    for n in 0..6 {
        let sync = CloneSync { operations: vec![put_operation(n, &format!("file {n}"), b"")] };
        words.push(say(&clone, &origin, sync.into()).await.1);
    }
    assert_eq!(words, ["taken", "taken", "taken", "taken", "too-many", "too-many"]);
    assert_eq!(origin.names("alice").await.len(), 4);
}

/// SYNC-46, SYNC-15: a channel has so many entries; what is beyond is refused by name, what is known can still change.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_has_so_many_entries() {
    let dir = tempfile::tempdir().unwrap();
    let few = |config: &mut toml::Table| set(config, "limits", "entries", 3);
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::with(few)).await;
    for n in 0..5 {
        origin.put_bytes("alice", &format!("file {n}"), b"one").await;
    }
    let alice = origin.channel("alice").await.id;
    until("what is beyond is refused", async || {
        let reports = origin.hub().catalog.reports(alice, 10).await.unwrap();
        reports.iter().any(|report| report.status == Code::QuotaExceeded.word())
    })
    .await;
    clone.has("alice", 3).await;
    assert_eq!(clone.names("alice").await, ["file 0", "file 1", "file 2"]);
    origin.put_bytes("alice", "file 1", b"another").await;
    clone.shows("alice", "file 1", b"another").await;
    // Nor do those who edit here make more; the limit once bound nobody but clones.
    let dav = Client::of(&clone, "alice").await;
    assert_eq!(dav.put("one more", b"one").await, 507);
    assert_eq!(dav.ask("MKCOL", "folder").await, 507);
    assert_eq!(dav.bring("COPY", "file%201", "a%20copy", false).await, 507);
    assert_eq!(dav.bring("MOVE", "file%201", "moved", false).await, 201);
    assert_eq!(dav.put("moved", b"changed").await, 204);
}

/// SYNC-46, SYNC-15: where the texts of a channel take all that they may, an entry with a long one is refused by name, and
/// others are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_has_so_much_text() {
    let dir = tempfile::tempdir().unwrap();
    let none = |config: &mut toml::Table| set(config, "limits", "text_mib", 0);
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::with(none)).await;
    let alice = origin.channel("alice").await;
    for name in ["long", "short"] {
        origin.put_bytes("alice", name, b"one").await;
    }
    clone.has("alice", 2).await;
    for (name, bytes) in [("long", 2_000), ("short", 20)] {
        let title = Some("t".repeat(bytes));
        let change = MetaChange { title, ..MetaChange::default() };
        set_meta(origin.hub(), &alice, &[name.to_owned()], change).await.unwrap();
    }
    let id = clone.channel("alice").await.id;
    let title = async |name: &str| {
        let entry = clone.hub().catalog.by_path(id, &[name]).await.unwrap().unwrap();
        entry.title.map_or(0, |title| title.len())
    };
    until("the short one has come", async || title("short").await == 20).await;
    until("the long one is refused", async || {
        let reports = origin.hub().catalog.reports(alice.id, 10).await.unwrap();
        reports.iter().any(|report| report.status == Code::QuotaExceeded.word())
    })
    .await;
    assert_eq!(title("long").await, 0);
}

//! Whoever owns a channel says where it lives: what others do with places that are not his.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use tokio::net::TcpListener;
use zotferry::catalog::LocationState;
use zotferry_protocol::identity::{BaseUrl, Location, SignedLocation};
use zotferry_protocol::ids::ReplicaId;
use zotferry_protocol::packets::{Locations, Packet};
use zotferry_protocol::refusal::Code;

use crate::craft::post;
use crate::harness::{Setup, TestHub, noise, pair, set, until};

/// Somebody with an HTTP server who never heard of the channel.
struct Bystander {
    url: BaseUrl,
    asked: Arc<AtomicUsize>,
}

impl Bystander {
    /// Answers everything with this status and, if it is a redirect, with this place.
    async fn answering(status: StatusCode, location: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = BaseUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| {
            count.fetch_add(1, Relaxed);
            assert_eq!(request.uri().path(), "/zot", "asked for something else");
            let location = location.clone();
            async move { (status, [("location", location)], "who are you?") }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

/// A record that says the channel lives at a URL, signed as it must be.
async fn record(by: &TestHub, url: BaseUrl, serial: u64) -> SignedLocation {
    let location = Location {
        channel: by.channel("alice").await.portable_id,
        url,
        site_key: by.hub().site_key.public().pem().to_owned(),
        replica: ReplicaId([7; 8]),
        primary: false,
        deleted: false,
        serial,
    };
    let key = by.identity("alice").await.key;
    SignedLocation::sign(&location, &key, &*by.hub().site_key).unwrap()
}

/// States records to a hub; the refusal, if they are refused.
async fn state(by: &TestHub, to: &TestHub, records: Vec<SignedLocation>) -> Option<String> {
    let (peer, alice) = (by.peer(to).await, by.channel("alice").await.portable_id);
    let packet = Packet::from(Locations { records, ..Locations::default() });
    let sealed = by.hub().seal(&peer, &alice, packet, None).await.unwrap();
    let said = post(to, sealed.bytes.clone()).await;
    (said.status != 200).then(|| said.refusal(by, &peer, &sealed).to_string())
}

async fn attempts(hub: &TestHub, url: &BaseUrl) -> u32 {
    let alice = hub.channel("alice").await.id;
    let rows = hub.hub().catalog.locations(alice).await.unwrap();
    let row = rows.iter().find(|row| row.url == url.as_str()).unwrap();
    assert_eq!(row.state, LocationState::Pending, "it has proved nothing");
    row.attempts
}

/// ID-13, ID-14, ID-42: a place that somebody names and that knows nothing of it hears one challenge each time the pause
/// is over, and nothing else, whatever happens in the channel. SYNC-1: it is asked for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_bystander_hears_challenges_only_and_seldom() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let victim = Bystander::answering(StatusCode::OK, String::new()).await;
    let stated = record(&origin, victim.url.clone(), 1).await;
    assert_eq!(state(&origin, &clone, vec![stated]).await, None);
    until("it was challenged some times", async || attempts(&clone, &victim.url).await >= 3).await;
    for n in 0..5 {
        clone.put_bytes("alice", &format!("file {n}"), &noise(n, 70_000)).await;
    }
    origin.has("alice", 5).await;
    let before = attempts(&clone, &victim.url).await as usize;
    let asked = victim.asked();
    let after = attempts(&clone, &victim.url).await as usize;
    // One that is underway is not counted yet.
    assert!(
        (before..=after + 1).contains(&asked),
        "{asked} requests, {before} to {after} attempts"
    );
}

/// ID-16: a redirect is an answer that is not ours; where it leads nobody is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let victim = Bystander::answering(StatusCode::OK, String::new()).await;
    for status in [301, 302, 303, 307, 308] {
        let to = victim.url.join("/zot");
        let status = StatusCode::from_u16(status).unwrap();
        let leading = Bystander::answering(status, to).await;
        let stated = record(&origin, leading.url.clone(), 1).await;
        assert_eq!(state(&origin, &clone, vec![stated]).await, None);
        until("it was challenged twice", async || attempts(&clone, &leading.url).await >= 2).await;
    }
    assert_eq!(victim.asked(), 0);
}

/// ID-43: a channel has so many places that have proved nothing; more are refused, and the hub's work goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_has_so_many_places() {
    let dir = tempfile::tempdir().unwrap();
    let seldom = |config: &mut toml::Table| set(config, "limits", "backoff_ms", 60_000);
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::with(seldom)).await;
    let place = async |n: u16| {
        let url = BaseUrl::parse(&format!("http://127.0.0.1:{}", 2000 + n)).unwrap();
        record(&origin, url, 1).await
    };
    let mut records = Vec::new();
    for n in 0..64 {
        records.push(place(n).await);
    }
    assert_eq!(state(&origin, &clone, records).await, None);
    let refused = state(&origin, &clone, vec![place(64).await]).await;
    assert_eq!(refused.as_deref(), Some(Code::TooMany.word()));
    let alice = clone.channel("alice").await.id;
    assert_eq!(clone.hub().catalog.locations(alice).await.unwrap().len(), 66);
    // What is known already may be stated anew.
    let again = BaseUrl::parse("http://127.0.0.1:2000").unwrap();
    assert_eq!(state(&origin, &clone, vec![record(&origin, again, 2).await]).await, None);
    origin.put_bytes("alice", "letter", b"for the clone").await;
    clone.shows("alice", "letter", b"for the clone").await;
}

//! Something on the way that answers in the origin's place.

use zotferry::catalog::DataState;

use crate::harness::{MIB, Setup, TestHub, noise, pair, until};
use crate::proxy::{BAD_GATEWAY, Fault, Kind, LOGIN_PAGE};

const SIZE: usize = 12 * MIB + 1;

async fn proxied() -> (tempfile::TempDir, TestHub, TestHub) {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    (dir, origin, clone)
}

/// The first stream brings some chunks, then streams meet `fault`.
async fn chunks_do_the_rest(fault: Fault) {
    let (_dir, origin, clone) = proxied().await;
    origin.proxy().rule(move |kind, n| match (kind, n) {
        (Kind::Stream, 0) => Fault::Cut(2 * MIB as u64 + 77),
        (Kind::Stream, _) => fault,
        _ => Fault::None,
    });
    let bytes = noise(3, SIZE);
    origin.put_bytes("alice", "film", &bytes).await;
    clone.shows("alice", "film", &bytes).await;
    let counts = clone.counts();
    assert_eq!(counts.chunks, 13, "no chunk is verified twice");
    assert!(counts.bytes_fetched - (SIZE as u64) < MIB as u64, "only an unfinished chunk is lost");
    let streams = origin.proxy().answers(Kind::Stream);
    assert!(streams <= 8, "{streams} streams although the path was closed");
    assert!(origin.proxy().answers(Kind::Frames) > 0);
}

/// STREAM-9, STREAM-12: where a proxy answers streams with 502, chunks are asked for by number.
#[tokio::test(flavor = "multi_thread")]
async fn streams_answered_502_give_way_to_chunks() {
    chunks_do_the_rest(BAD_GATEWAY).await;
}

/// STREAM-5, STREAM-9: a page with status 200 is no stream.
#[tokio::test(flavor = "multi_thread")]
async fn streams_answered_by_a_page_give_way_to_chunks() {
    chunks_do_the_rest(LOGIN_PAGE).await;
}

/// Everything that the clone asks meets `fault` until it has asked a while.
async fn recovers_from(fault: Fault) {
    let (_dir, origin, clone) = proxied().await;
    origin.proxy().rule(move |_, _| fault);
    let (film, note) = (noise(4, SIZE), noise(5, 1234));
    origin.put_bytes("alice", "film", &film).await;
    origin.put_bytes("alice", "note", &note).await;
    let kinds = [Kind::Packet, Kind::Frames, Kind::Stream];
    let asked = || kinds.iter().map(|k| origin.proxy().answers(*k)).sum::<u64>();
    let before = asked();
    until("it was asked in vain", async || asked() > before + 5).await;
    let tallies = clone.overview("alice").await.tallies;
    assert!(tallies.iter().all(|t| t.files == 0 || t.state == DataState::Wanted), "{tallies:?}");
    for name in ["film", "note"] {
        assert_eq!(clone.bytes("alice", &[name]).await, None, "{name} is not to be seen");
    }
    assert_eq!(clone.hub().queue.dead(), [], "nothing is given up");
    origin.proxy().heal();
    clone.shows("alice", "film", &film).await;
    clone.shows("alice", "note", &note).await;
    assert_eq!(clone.counts().bytes_fetched, (film.len() + note.len()) as u64);
}

/// QUEUE-13, FETCH-37: a proxy's 502 is a reason to wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_behind_502_is_asked_until_it_answers() {
    recovers_from(BAD_GATEWAY).await;
}

/// QUEUE-13, FETCH-37: so is a page with status 200, of which nothing is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_page_is_never_stored_as_a_file() {
    recovers_from(LOGIN_PAGE).await;
}

/// QUEUE-13, REF-2, REF-5, STREAM-13: a refusal that nobody signed drops no job, whatever it says.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_hint_drops_no_job() {
    recovers_from(Fault::Answer(410, "text/plain", "41 gone: no longer kept")).await;
}

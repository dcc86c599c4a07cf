//! Files that are read while they are not here yet.

use std::ops::Range;
use std::sync::Arc;

use zotferry::catalog::Data;
use zotferry::receiver::ReadError;
use zotferry_protocol::ids::Role;

use crate::harness::{MIB, Setup, TestHub, noise, pair, set, until};

fn soon(config: &mut toml::Table) {
    set(config, "transfer", "stall_seconds", 1);
}

async fn content(hub: &TestHub, name: &str) -> Data {
    let channel = hub.channel("alice").await.id;
    until(&format!("{name} is announced"), async || {
        hub.hub().catalog.by_path(channel, &[name]).await.unwrap().is_some()
    })
    .await;
    let entry = hub.hub().catalog.by_path(channel, &[name]).await.unwrap().unwrap();
    hub.hub().catalog.content_of(channel, &entry.hash, Role::File).await.unwrap().unwrap()
}

async fn read(hub: &TestHub, data: &Data, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
    let mut reading = hub.service.receiver.read(data, range.clone()).await?;
    assert_eq!((reading.size, &reading.range), (data.size, &range));
    let mut bytes = Vec::new();
    while let Some(piece) = reading.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

fn part(range: &Range<u64>) -> Range<usize> {
    range.start as usize..range.end as usize
}

async fn pause(hub: &TestHub, paused: bool) {
    let channel = hub.channel("alice").await.id;
    hub.hub().catalog.set_paused(channel, paused).await.unwrap();
    hub.hub().tell_receiver();
}

/// FETCH-56, FETCH-57, FETCH-2: ranges of a file that comes slowly are read at once and right, at its end as at
/// its beginning, while the transfer goes on; and in the end each byte has come once.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_while_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    let film = noise(1, 90 * MIB);
    origin.proxy().allow(6 * MIB as u64);
    origin.put_bytes("alice", "film", &film).await;
    let data = content(&clone, "film").await;
    until("some chunks came", async || clone.counts().chunks >= 3).await;
    let end = film.len() as u64;
    let reads = [end - 3_000_000..end - 1, 0..70_000, 5_000_000..5_000_001, 40_000_000..47_000_000];
    let reading = reads.iter().map(|range| read(&clone, &data, range.clone()));
    let reading = futures_util::future::join_all(reading);
    let dripping = async {
        loop {
            origin.proxy().allow(MIB as u64);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let read_back = tokio::select! {
        all = reading => all,
        () = dripping => unreachable!("it drips for ever"),
    };
    for (range, bytes) in reads.iter().zip(read_back) {
        assert!(bytes.unwrap() == film[part(range)], "{range:?}");
    }
    assert!(clone.counts().chunks < 90, "the rest is still to come");
    origin.proxy().allow_all();
    clone.shows("alice", "film", &film).await;
    let counts = clone.counts();
    assert_eq!((counts.chunks, counts.bytes_fetched_twice), (90, 0));
    assert_eq!(counts.bytes_fetched, end);
    assert!(read(&clone, &data, 0..end).await.unwrap() == film, "and now from the storage");
}

/// FETCH-56: what nobody fetches, because its channel rests, comes for a reader, a small file too; of
/// the rest nothing comes. What was read is not fetched again.
#[tokio::test(flavor = "multi_thread")]
async fn a_resting_channel_is_read_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::default()).await;
    pause(&clone, true).await;
    let (film, note) = (noise(2, 40 * MIB), noise(3, 70_000));
    origin.put_bytes("alice", "film", &film).await;
    origin.put_bytes("alice", "note", &note).await;
    let (film_data, note_data) = (content(&clone, "film").await, content(&clone, "note").await);
    let range = 10 * MIB as u64 + 5..11 * MIB as u64 + 7;
    assert!(read(&clone, &film_data, range.clone()).await.unwrap() == film[part(&range)]);
    assert!(read(&clone, &note_data, 1..69_999).await.unwrap() == note[1..69_999]);
    assert!(read(&clone, &note_data, 5..5).await.unwrap().is_empty());
    assert_eq!(clone.counts().bytes_fetched, 2 * MIB as u64 + 70_000);
    pause(&clone, false).await;
    clone.shows("alice", "film", &film).await;
    clone.shows("alice", "note", &note).await;
    let total = film.len() + note.len();
    let counts = clone.counts();
    assert_eq!((counts.bytes_fetched, counts.bytes_fetched_twice), (total as u64, 0));
}

/// FETCH-56: when nobody gives what is missing, a reader hears so, in the first answer or in the middle,
/// and gets no wrong byte; what is here is read all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_hears_that_nobody_gives_it() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::with(soon)).await;
    pause(&clone, true).await;
    let film = noise(4, 30 * MIB);
    origin.put_bytes("alice", "film", &film).await;
    let data = content(&clone, "film").await;
    let here = 4 * MIB as u64..6 * MIB as u64;
    assert!(read(&clone, &data, here.clone()).await.unwrap() == film[part(&here)]);
    let stopped = origin.stop().await;
    assert!(read(&clone, &data, here.clone()).await.unwrap() == film[part(&here)]);
    let error = read(&clone, &data, 0..1).await.unwrap_err();
    assert!(matches!(error, ReadError::Nobody(_)), "{error}");
    assert_eq!(error.http(), 503);
    assert!(error.to_string().contains("nobody gives it"), "{error}");
    let mut reading =
        clone.service.receiver.read(&data, 5 * MIB as u64..9 * MIB as u64).await.unwrap();
    let mut bytes = Vec::new();
    let error = loop {
        match reading.next().await.unwrap() {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ReadError::Nobody(_)), "{error}");
    assert!(bytes == film[5 * MIB..6 * MIB], "{} bytes", bytes.len());
    assert!(reading.next().await.is_none());
    let outside = read(&clone, &data, 5..film.len() as u64 + 1).await.unwrap_err();
    assert_eq!(outside.http(), 416);
    // It is back: the same question is answered.
    let _origin = stopped.start().await;
    let all = 0..film.len() as u64;
    assert!(read(&clone, &data, all).await.unwrap() == film);
}

/// FETCH-54, FETCH-56: a reader whose first hub does not answer is served by the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_served_by_whoever_can() {
    let three = crate::sources::Three::of(Setup::with(soon)).await;
    let film = noise(5, 20 * MIB);
    three.known_at_both(&[("film", &film)]).await;
    three.first.proxy().allow(0);
    let data = content(&three.third, "film").await;
    assert!(read(&three.third, &data, 0..film.len() as u64).await.unwrap() == film);
    assert_eq!(three.third.counts().bytes_fetched_twice, 0);
}

/// FETCH-56: a content that was replaced is not read any more, one that was given up is tried again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_tried_again_for_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::proxied(), Setup::with(soon)).await;
    pause(&clone, true).await;
    let (film, note) = (noise(6, 3 * MIB), noise(7, 999));
    origin.put_bytes("alice", "film", &film).await;
    origin.put_bytes("alice", "note", &note).await;
    let data = content(&clone, "film").await;
    clone.hub().catalog.mark_failed(data.id, "nobody had it").await.unwrap();
    assert!(read(&clone, &data, 0..data.size).await.unwrap() == film);
    let old = content(&clone, "note").await;
    origin.put_bytes("alice", "note", b"another").await;
    until("the new note is announced", async || content(&clone, "note").await.root != old.root)
        .await;
    let error = read(&clone, &old, 0..9).await.unwrap_err();
    assert_eq!((error.http(), error.to_string().as_str()), (404, "there is no such content"));
    let new = content(&clone, "note").await;
    assert!(read(&clone, &new, 0..7).await.unwrap() == b"another");
}

/// Whoever looks how far files have come stands in no request's way: both take the same locks, and once did so
/// in different orders, so that a hub that was asked for its status while a request failed stood still for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn looking_how_far_files_are_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let film = noise(8, 40 * MIB);
    let receiver = Arc::clone(&clone.service.receiver);
    let looking = Arc::new(());
    let lookers: Vec<_> = (0..2)
        .map(|_| {
            let (receiver, looking) = (Arc::clone(&receiver), Arc::downgrade(&looking));
            std::thread::spawn(move || {
                while looking.strong_count() > 0 {
                    receiver.progress();
                }
            })
        })
        .collect();
    origin.put_bytes("alice", "film", &film).await;
    clone.shows("alice", "film", &film).await;
    drop(looking);
    lookers.into_iter().for_each(|looker| looker.join().unwrap());
}

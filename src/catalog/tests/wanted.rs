//! Contents from their announcement to their end.

use zotferry_protocol::ids::{Digest, Millis, Role};
use zotferry_protocol::manifest::MIN_CHUNK;

use crate::catalog::testing::{Fixture, NOW, digest, entry, resource, want};
use crate::catalog::{Attach, Catalog, Cursor, Data, DataState, SizeClass, Source, Want};

async fn content(hub: &Catalog, id: i64) -> Data {
    hub.contents(&[id]).await.expect("read").pop().expect("there")
}

/// QUEUE-8: every column comes back as it was announced.
#[tokio::test]
async fn an_announced_content_is_wanted() {
    let hub = Fixture::create().await;
    let announced = Want {
        role: Role::Photo4,
        source: Source::Backup,
        digests: Some((0..32).map(digest).collect()),
        mime: "image/jpeg; q=\"'\"".into(),
        ..want("f1", 1, 16 << 40)
    };
    let [wanted] = hub.announce(std::slice::from_ref(&announced)).await[..] else {
        panic!("one answer")
    };
    assert_eq!((wanted.state, wanted.held), (DataState::Wanted, false));
    let expected = Data {
        id: wanted.id,
        channel: hub.alice,
        hash: announced.hash,
        role: announced.role,
        root: announced.root,
        size: announced.size,
        mime: announced.mime,
        source: announced.source,
        digests: announced.digests,
        state: DataState::Wanted,
        held: false,
        site: Some(hub.site_b),
        op_id: announced.op_id,
        announced_at: NOW,
        present_seq: None,
        error: None,
        local: false,
        // The last class; nothing is known of when the entry was edited.
        turn: (5 << 48) + (1 << 48) - 1 - NOW.0.cast_signed(),
    };
    assert_eq!(content(&hub, wanted.id).await, expected);
    assert_eq!(hub.bytes().await, (0, 16 << 40));
}

/// QUEUE-2, FETCH-55: the refill takes small classes first, page by page, one-chunk files apart from
/// larger ones.
#[tokio::test]
async fn a_refill_goes_from_small_to_large() {
    let hub = Fixture::create().await;
    let chunk = u64::from(MIN_CHUNK);
    let sizes = [17 * chunk, 0, 7, chunk, 7, 5 * chunk, 1];
    let wants: Vec<_> =
        sizes.iter().zip(0..).map(|(size, n)| want(&format!("f{n}"), n, *size)).collect();
    hub.announce(&wants).await;
    for (class, expected) in [
        (SizeClass::OneChunk, vec![(0, "f1"), (7, "f2"), (7, "f4"), (1, "f6"), (chunk, "f3")]),
        (SizeClass::Larger, vec![(5 * chunk, "f5"), (17 * chunk, "f0")]),
    ] {
        let mut seen: Vec<Data> = Vec::new();
        loop {
            let after = seen.last().map(Cursor::from);
            let page = hub.next_wanted(hub.alice, hub.site_b, class, after, 2).await.expect("read");
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        let seen: Vec<_> = seen.iter().map(|d| (d.size, d.hash.as_str())).collect();
        assert_eq!(seen, expected);
    }
    let other = hub.next_wanted(hub.alice, hub.site_c, SizeClass::OneChunk, None, 9).await;
    assert!(other.expect("read").is_empty());
}

/// FETCH-55: of like sizes those edited last come first, whoever announced them when.
#[tokio::test]
async fn of_like_sizes_the_latest_come_first() {
    let hub = Fixture::create().await;
    let at = |hash: &str, mtime: Option<u64>, edited: &str| Attach {
        mtime: mtime.map(Millis),
        edited: edited.into(),
        ..entry(hash, None, hash)
    };
    let day = "2026-11-22 16:21:04";
    let late = NOW.0 + 1_000_000;
    hub.store(&[
        at("old", Some(1_000_000_000_000), day),
        at("older", Some(999), day),
        at("edited", None, day),
        at("dateless", None, "0000-00-00 00:00:00"),
        at("future", Some(late), day),
        at("large", Some(NOW.0), day),
    ])
    .await;
    let sizes = [("old", 1), ("older", 60_000), ("edited", 65_536), ("large", 65_537)];
    let wants: Vec<_> =
        sizes.iter().zip(0..).map(|((hash, size), n)| want(hash, n, *size)).collect();
    hub.announce(&wants).await;
    hub.announce(&[want("dateless", 8, 5), want("future", 9, 5)]).await;
    let next = hub.next_wanted(hub.alice, hub.site_b, SizeClass::OneChunk, None, 9).await;
    let next: Vec<_> = next.expect("read").iter().map(|d| d.hash.to_string()).collect();
    assert_eq!(next, ["dateless", "future", "edited", "old", "older", "large"]);
}

/// SYNC-31: what arrived is numbered, counted and never wanted again; repeating it changes nothing.
#[tokio::test]
async fn arrival_moves_bytes_from_reserved_to_used() {
    let hub = Fixture::create().await;
    let wanted = hub.announce(&[want("f1", 1, 10), want("f2", 2, 20), want("f3", 3, 40)]).await;
    let ids: Vec<_> = wanted.iter().map(|w| w.id).collect();
    assert_eq!(hub.bytes().await, (0, 70));
    assert_eq!(hub.mark_present(&[ids[2], ids[0], ids[2], 999]).await.expect("marked"), 2);
    assert_eq!(hub.mark_present(&ids[..1]).await.expect("marked"), 0);
    assert_eq!(hub.mark_present(&[]).await.expect("nothing"), 0);
    assert_eq!(hub.bytes().await, (50, 20));
    assert_eq!(hub.mark_present(&ids[1..2]).await.expect("marked"), 1);
    let mut numbers = Vec::new();
    for id in &ids {
        let content = content(&hub, *id).await;
        assert_eq!((content.state, content.held), (DataState::Present, true));
        numbers.push(content.present_seq);
    }
    assert_eq!(numbers, [Some(1), Some(3), Some(2)]);
    assert_eq!(hub.heads(hub.alice).await.expect("read").present_seq, 3);
    assert_eq!(hub.bytes().await, (70, 0));
}

/// QUEUE-5: what is given up frees its room, says why, and can be tried again or announced again.
#[tokio::test]
async fn a_failed_content_can_be_tried_again() {
    let hub = Fixture::create().await;
    let wanted = hub.announce(&[want("f1", 1, 10), want("f2", 2, 20)]).await;
    for w in &wanted {
        hub.mark_failed(w.id, "origin says \"gone\"").await.expect("marked");
    }
    assert_eq!(hub.bytes().await, (0, 0));
    let failed = hub.failed(hub.alice, 0, 9).await.expect("read");
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0].error.as_deref(), Some("origin says \"gone\""));
    assert_eq!(hub.failed(hub.alice, failed[0].id, 9).await.expect("read").len(), 1);
    let again = hub.announce(&[want("f1", 1, 11)]).await;
    assert_eq!((again[0].id, again[0].state), (wanted[0].id, DataState::Wanted));
    assert_eq!(hub.bytes().await, (0, 11), "nothing of it is here: the new size is believed");
    assert_eq!(hub.retry_failed(hub.alice).await.expect("retried"), 1);
    assert_eq!(hub.bytes().await, (0, 31));
    hub.mark_present(&[wanted[0].id]).await.expect("marked");
    hub.mark_failed(wanted[0].id, "too late").await.expect("ignored");
    assert_eq!(content(&hub, wanted[0].id).await.state, DataState::Present);
}

/// FETCH-47: of one entry and role one content counts; a content that comes back is wanted again unless its bytes are here.
#[tokio::test]
async fn newer_content_supersedes_older() {
    let hub = Fixture::create().await;
    let first = hub.announce(&[want("f1", 1, 10), want("f2", 2, 100)]).await;
    hub.mark_present(&[first[0].id]).await.expect("marked");
    let photo = Want { role: Role::Photo4, ..want("f1", 9, 1) };
    let second = hub.announce(&[want("f1", 3, 30), want("f2", 4, 40), photo]).await;
    for old in &first {
        assert_eq!(content(&hub, old.id).await.state, DataState::Superseded);
    }
    assert_eq!(hub.bytes().await, (0, 71));
    let back = hub.announce(&[want("f1", 1, 10), want("f2", 2, 100)]).await;
    assert_eq!([back[0].id, back[1].id], [first[0].id, first[1].id]);
    assert_eq!((back[0].state, back[0].held), (DataState::Wanted, true));
    assert_eq!((back[1].state, back[1].held), (DataState::Wanted, false));
    assert_eq!(content(&hub, second[0].id).await.state, DataState::Superseded);
    hub.mark_present(&[back[0].id]).await.expect("marked");
    assert_eq!(content(&hub, back[0].id).await.present_seq, Some(2));
    assert_eq!(hub.bytes().await, (10, 101));
}

/// SYNC-16: announcements for one entry in one packet: the last one counts.
#[tokio::test]
async fn the_last_announcement_of_a_packet_counts() {
    let hub = Fixture::create().await;
    let outcome = hub.announce(&[want("f1", 1, 1), want("f1", 2, 2), want("f1", 1, 1)]).await;
    assert_eq!(outcome[0], outcome[2]);
    assert_eq!(outcome[0].state, DataState::Wanted);
    assert_eq!(outcome[1].state, DataState::Superseded);
    assert_eq!(hub.bytes().await, (0, 1));
}

/// FILE-13, FETCH-28: bytes that the channel has under any name are not fetched again; what only another channel has is.
#[tokio::test]
async fn bytes_held_under_another_name_are_reported() {
    let hub = Fixture::create().await;
    let first = hub.announce(&[want("f1", 1, 10)]).await;
    let before = hub.announce(&[want("f2", 1, 10)]).await;
    assert!(!before[0].held);
    hub.mark_present(&[first[0].id]).await.expect("marked");
    let mut apply = hub.begin_apply().await.expect("writer");
    let wants = [want("g1", 1, 10), want("g2", 2, 10)];
    let wanted = apply.want(hub.bob, hub.site_b, &wants, NOW).await.expect("wanted");
    assert_eq!([wanted[0].held, wanted[1].held], [false, false]);
    let wanted = apply.want(hub.alice, hub.site_b, &wants, NOW).await.expect("wanted");
    assert_eq!([wanted[0].held, wanted[1].held], [true, false]);
    assert_eq!(apply.mark_present(&[wanted[0].id]).await.expect("marked"), 1);
    let room = apply.channel(hub.alice).await.expect("read");
    assert_eq!((room.used, room.reserved), (20, 20));
    apply.finish(&zotferry_protocol::ids::PacketId([9; 16]), NOW, b"").await.expect("stored");
    assert_eq!(content(&hub, wanted[0].id).await.state, DataState::Present);
}

/// FETCH-47: superseded bytes are kept until forgotten; only roots that nothing names are given back.
#[tokio::test]
async fn forgetting_returns_roots_nobody_names() {
    let hub = Fixture::create().await;
    let wants = [want("f1", 1, 10), want("f2", 1, 10), want("f3", 3, 30), want("f4", 4, 1)];
    let ids: Vec<_> = hub.announce(&wants).await.iter().map(|w| w.id).collect();
    hub.mark_present(&ids[..3]).await.expect("marked");
    hub.release(&[ids[0], ids[2], ids[3]], Millis(50)).await.expect("released");
    assert_eq!(hub.bytes().await, (10, 0));
    hub.mark_present(&[ids[3]]).await.expect("late bytes");
    assert!(content(&hub, ids[3]).await.held);
    assert!(hub.superseded(Millis(50), 9, &[]).await.expect("read").is_empty());
    let old: Vec<_> = hub.superseded(Millis(51), 9, &[]).await.expect("read");
    assert_eq!(old.iter().map(|d| d.id).collect::<Vec<_>>(), [ids[0], ids[2], ids[3]]);
    let free = hub.forget(&ids, NOW).await.expect("forgotten");
    assert_eq!(free, [digest(3), digest(4)]);
    assert_eq!(
        hub.contents(&ids).await.expect("read").len(),
        1,
        "the present one is not forgotten"
    );
    assert_eq!(hub.bytes().await, (10, 0));
}

/// SYNC-31: a number is not given again after the row that bore it is forgotten, nor a row's id.
#[tokio::test]
async fn numbers_are_not_given_twice() {
    let hub = Fixture::create().await;
    let first = hub.announce(&[want("f1", 1, 1)]).await[0].id;
    hub.mark_present(&[first]).await.expect("marked");
    hub.release(&[first], NOW).await.expect("released");
    hub.forget(&[first], NOW).await.expect("forgotten");
    let second = hub.announce(&[want("f1", 1, 1)]).await[0].id;
    assert!(second > first);
    hub.mark_present(&[second]).await.expect("marked");
    assert_eq!(content(&hub, second).await.present_seq, Some(2));
}

/// FETCH-28 to FETCH-30: contents of this channel are told in the order asked, superseded ones too, and whether they
/// are held.
#[tokio::test]
async fn contents_of_the_channel_are_told_with_what_is_held() {
    let hub = Fixture::create().await;
    let wants = [want("f1", 1, 10), want("f2", 2, 20), want("f3", 3, 30)];
    let ids: Vec<_> = hub.announce(&wants).await.iter().map(|w| w.id).collect();
    hub.mark_present(&ids[..2]).await.expect("marked");
    hub.release(&ids[1..], NOW).await.expect("released");
    let name = |hash: &str, role: Role, root: Digest| (resource(hash), role, root);
    let names = [
        name("f3", Role::File, digest(3)),
        name("f2", Role::File, digest(2)),
        name("f1", Role::File, digest(1)),
        name("f1", Role::Photo4, digest(1)),
        name("f1", Role::File, digest(2)),
        name("f1", Role::File, digest(1)),
    ];
    let served = hub.serve_lookup(hub.alice, &names).await.expect("read");
    let about = |n: usize| served[n].as_ref().map(|s| (s.root, s.size, s.state, s.held));
    assert_eq!(about(0), Some((digest(3), 30, DataState::Superseded, false)));
    assert_eq!(about(1), Some((digest(2), 20, DataState::Superseded, true)));
    assert_eq!(about(2), Some((digest(1), 10, DataState::Present, true)));
    assert_eq!((about(3), about(4)), (None, None));
    assert_eq!(about(5), about(2));
    let foreign = hub.serve_lookup(hub.bob, &names).await.expect("read");
    assert_eq!(foreign, vec![None; 6]);
}

/// FETCH-29: what went is known as such, in its own channel, until it is forgotten or comes again.
#[tokio::test]
async fn what_went_is_told_from_what_never_was() {
    let hub = Fixture::create().await;
    let wants = [want("f1", 1, 10), want("f2", 2, 20)];
    let ids: Vec<_> = hub.announce(&wants).await.iter().map(|w| w.id).collect();
    hub.mark_present(&ids).await.expect("marked");
    hub.release(&ids, NOW).await.expect("released");
    hub.forget(&ids, NOW).await.expect("forgotten");
    let name = |hash: &str, root: u64| (resource(hash), Role::File, digest(root));
    let names = [name("f1", 1), name("f1", 2), name("f2", 2)];
    let known = async |channel| {
        let served = hub.serve_lookup(channel, &names).await.expect("read").into_iter();
        served.map(|found| found.map(|s| (s.state, s.held))).collect::<Vec<_>>()
    };
    let went = Some((DataState::Superseded, false));
    assert_eq!(known(hub.alice).await, [went, None, went]);
    assert_eq!(known(hub.bob).await, [None; 3]);
    hub.announce(&[want("f2", 2, 20)]).await;
    let wanted = Some((DataState::Wanted, false));
    assert_eq!(known(hub.alice).await, [went, None, wanted]);
    hub.forget_gone(NOW).await.expect("too early");
    assert_eq!(known(hub.alice).await, [went, None, wanted]);
    hub.forget_gone(NOW.plus(1)).await.expect("let go");
    assert_eq!(known(hub.alice).await, [None, None, wanted]);
}

/// FETCH-30: a content that was announced and has not arrived is known, and not here.
#[tokio::test]
async fn what_has_not_arrived_is_known_by_its_state() {
    let hub = Fixture::create().await;
    hub.announce(&[want("f1", 1, 10)]).await;
    let name = (resource("f1"), Role::File, digest(1));
    let served = hub.serve_lookup(hub.alice, std::slice::from_ref(&name)).await.expect("read");
    assert_eq!(served[0].as_ref().map(|s| s.state), Some(DataState::Wanted));
    assert_eq!(hub.serve_lookup(hub.bob, &[name]).await.expect("read"), [None]);
}

/// A list of thousands goes through one statement, also when it is thousands of copies.
#[tokio::test]
async fn long_lists_are_taken_whole() {
    let hub = Fixture::create().await;
    let wants: Vec<_> = (0..5000).map(|n| want(&format!("f{n}"), n % 2, 1)).collect();
    let wanted = hub.announce(&wants).await;
    assert_eq!(wanted.len(), 5000);
    let ids: Vec<_> = wanted.iter().map(|w| w.id).collect();
    assert_eq!(hub.mark_present(&ids).await.expect("marked"), 5000);
    assert_eq!(hub.bytes().await, (5000, 0));
    let tallies = hub.tallies(hub.alice).await;
    assert_eq!(tallies.iter().map(|t| t.files).sum::<u64>(), 5000);
}

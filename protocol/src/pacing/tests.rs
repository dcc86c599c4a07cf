#![allow(clippy::unwrap_used, reason = "a test may end where it is wrong")]

use super::path_model::{Path, Run};
use super::*;

const MB: f64 = 1e6;
const GIB: u64 = 1 << 30;
const CHUNK: u64 = MIN_CHUNK as u64;

/// FETCH-40: a start with four requests, each for a little.
#[test]
fn begins_with_four_requests_of_four_mebibytes() {
    let pacer = Pacer::new(PacingConfig::default());
    assert_eq!(pacer.level(), 4);
    assert_eq!(pacer.request_bytes(GIB), 4 << 20);
    assert_eq!(pacer.wake_at(Millis(0)), None);
}

/// FETCH-41: 100 ms and 1 % loss leave each connection about 1.4 Mbit/s: 32 of them within 8 s.
#[test]
fn a_long_lossy_path_gets_32_connections_within_8_seconds() {
    let run = Run::new(Path::lossy(100, 0.175 * MB), GIB).until(60_000);
    let reached = run.reached(32).expect("reaches 32");
    assert!(reached <= 8000, "reached after {reached} ms: {:?}", run.levels);
    assert_eq!(run.pacer.level(), 32);
}

/// FETCH-41: 20 ms and 0.1 % loss: 32 connections in less than two seconds, connecting included.
#[test]
fn a_short_lossy_path_gets_32_connections_soon() {
    let run = Run::new(Path::lossy(20, 2.8 * MB), GIB).until(8000);
    let reached = run.reached(32).expect("reaches 32");
    assert!(reached <= 1900, "reached after {reached} ms: {:?}", run.levels);
    assert_eq!(run.pacer.level(), 32);
}

/// FETCH-42: where a processor or the line is the limit, more connections are tried briefly, in
/// longer and longer intervals, and not kept.
#[test]
fn a_limited_path_stays_at_four() {
    for (what, round_trip, line) in [("loopback", 0, 1300.0 * MB), ("200 Mbit/s", 100, 25.0 * MB)] {
        let run = Run::new(Path::clean(round_trip, line), 500 * GIB).until(120_000);
        assert_eq!(run.above(8), 0, "{what}: {:?}", run.levels);
        assert!(run.above(4) <= 15_000, "{what}: {} ms above 4: {:?}", run.above(4), run.levels);
        assert!(run.arrived as f64 > 0.95 * line * 120.0, "{what}: {} bytes", run.arrived);
    }
}

/// FETCH-42: a single file of 2 GiB over loopback is over before much was tried.
#[test]
fn a_short_transfer_visits_eight_at_most() {
    let run = Run::new(Path::clean(0, 1300.0 * MB), 2 * GIB).until(60_000);
    assert!(run.now < 1900, "{} ms", run.now);
    assert_eq!(run.above(8), 0, "{:?}", run.levels);
}

/// FETCH-41: while goodput still grows by itself, nothing is tried; when it has settled, it is.
#[test]
fn a_probe_waits_until_goodput_has_settled() {
    let mut pacer = Pacer::new(PacingConfig::default());
    (0..4).for_each(|_| pacer.handle(Millis(0), Event::Started));
    pacer.handle(Millis(0), Event::FirstByte { after: 10 });
    let epochs = [(250, 1), (500, 2), (750, 4), (1000, 6), (1250, 7)];
    let levels = epochs.map(|(now, mebibytes)| {
        pacer.handle(Millis(now), Event::Bytes(mebibytes << 20));
        pacer.level()
    });
    assert_eq!(levels, [4, 4, 4, 4, 8]);
}

/// FETCH-42: what connections bring that are new and fast is compared with what comes without them.
#[test]
fn a_doubling_that_only_seemed_vain_is_repeated() {
    let levels = |goodputs: &[u64]| {
        let mut climb = Climb::new(1, 4, 32);
        let epochs = (1..).map(|n| Millis(n * 250)).zip(goodputs);
        epochs
            .map(|(now, &goodput)| (climb.epoch(now, goodput), climb.level()).1)
            .collect::<Vec<_>>()
    };
    let slowing = [48, 47, 58, 57, 22, 21, 40, 41];
    assert_eq!(levels(&slowing), [4, 8, 8, 4, 4, 8, 8, 16]);
    let limited = [48, 47, 48, 48, 47, 46, 48, 47];
    assert_eq!(levels(&limited), [4, 8, 8, 4, 4, 4, 4, 4]);
}

/// FETCH-41: what one request brings says nothing about four: nothing is tried.
#[test]
fn too_little_work_teaches_nothing_about_the_level() {
    let mut pacer = Pacer::new(PacingConfig::default());
    pacer.handle(Millis(0), Event::Started);
    pacer.handle(Millis(0), Event::FirstByte { after: 10 });
    for epoch in 1..40 {
        pacer.handle(Millis(epoch * 250), Event::Bytes(1 << 20));
        assert_eq!(pacer.level(), 4);
    }
    assert_eq!(pacer.connection_rate(), Some(4 << 20));
}

/// FETCH-44: of several pauses the longest holds.
#[test]
fn a_later_shorter_pause_does_not_end_an_earlier_one() {
    let mut pacer = Pacer::new(PacingConfig::default());
    for retry_after in [Some(9000), Some(10), None] {
        let how = How::TooMany { retry_after };
        pacer.handle(Millis(0), Event::Finished { how, bytes: 0 });
    }
    assert_eq!(pacer.wake_at(Millis(0)), Some(Millis(9000)));
}

/// FETCH-45: a proxy that cuts every answer at 1 MiB, or an origin's limit of 64 KiB, is no trouble.
#[test]
fn cuts_with_progress_do_not_reduce_the_level() {
    for cut in [1 << 20, 64 << 10] {
        let path = Path { cut: Some(cut), ..Path::clean(20, 12.0 * MB) };
        let run = Run::new(path, GIB).until(30_000);
        assert!(run.levels.iter().all(|seen| seen.1 >= 4), "{cut}: {:?}", run.levels);
        let (_, asked) = *run.requests.last().unwrap();
        assert!(asked <= (8 * cut).max(CHUNK), "{cut}: asked for {asked}");
    }
}

/// FETCH-45: an answer longer than the learnt limit shows that the limit is gone.
#[test]
fn a_longer_answer_unlearns_the_limit() {
    let mut pacer = measured(64 << 20);
    pacer.handle(Millis(2000), Event::Finished { how: How::Cut, bytes: 1 << 20 });
    assert_eq!(pacer.request_bytes(GIB), 8 << 20);
    pacer.handle(Millis(2001), Event::Finished { how: How::Done, bytes: 3 << 20 });
    assert_eq!(pacer.request_bytes(GIB), 16 << 20, "a quarter of a second's worth");
}

/// FETCH-43: an origin that allows six requests at a time is used with nearly six, and is seldom
/// made to say 429.
#[test]
fn an_origin_with_a_request_limit_is_used_just_below_it() {
    let path = Path { at_most: Some(6), ..Path::lossy(20, 1.0 * MB) };
    let run = Run::new(path, 100 * GIB).until(300_000);
    assert!(run.refused <= 20, "{} refusals: {:?}", run.refused, run.levels);
    assert!(run.arrived as f64 > 0.6 * 6.0 * MB * 300.0, "{} bytes: {:?}", run.arrived, run.levels);
}

/// FETCH-44: nothing starts before a Retry-After is over; it is bounded to ten minutes.
#[test]
fn retry_after_is_honoured_and_bounded() {
    for (asked, honoured) in [(30_000, 30_000), (86_400_000, MAX_PAUSE)] {
        let mut pacer = Pacer::new(PacingConfig::default());
        pacer.handle(Millis(5), Event::Started);
        let how = How::Unavailable { retry_after: Some(asked) };
        pacer.handle(Millis(10), Event::Finished { how, bytes: 0 });
        assert_eq!(pacer.wake_at(Millis(10)), Some(Millis(10 + honoured)));
        assert!(!pacer.may_start(Millis(9 + honoured)));
        assert!(pacer.may_start(Millis(10 + honoured)));
        assert_eq!(pacer.wake_at(Millis(10 + honoured)), None);
    }
}

/// FETCH-43: what fails together has one cause and halves once; a lasting failure reaches the least.
#[test]
fn failures_halve_once_for_each_cause() {
    let mut pacer = Pacer::new(PacingConfig { start: 32, ..PacingConfig::default() });
    let failed = Event::Finished { how: How::TimedOut, bytes: 0 };
    for at in 0..32 {
        pacer.handle(Millis(10_000 + at), failed);
    }
    assert_eq!(pacer.level(), 16);
    for round in 2..10 {
        pacer.handle(Millis(10_000 * round), failed);
    }
    assert_eq!(pacer.level(), 1);
}

/// FETCH-44: an origin that answers nothing is asked less and less often, then at full pace again.
#[test]
fn a_dead_origin_is_asked_seldom_and_comes_back() {
    let path = Path { dead: 20_000..620_000, ..Path::lossy(20, 2.8 * MB) };
    let run = Run::new(path, 500 * GIB).until(760_000);
    let during = run.requests.iter().filter(|r| (21_000..620_000).contains(&r.0)).count();
    assert!((5..60).contains(&during), "{during} requests");
    assert!(run.pacer.level() >= 30, "{:?}", run.levels);
}

/// FETCH-46: a 413 halves what is asked for until it is accepted.
#[test]
fn requests_shrink_after_413() {
    let path = Path { too_large: Some(5 << 20), ..Path::clean(20, 100.0 * MB) };
    let run = Run::new(path, 4 * GIB).until(60_000);
    assert_eq!(run.arrived, 4 * GIB);
    let accepted = run.requests.len() as u32 - run.refused;
    assert!(run.refused * 4 < accepted, "{} refused, {accepted} accepted", run.refused);
}

/// FETCH-45: a request is worth about four seconds of its connection, and never less than a chunk.
#[test]
fn requests_follow_the_measured_rate() {
    let run = Run::new(Path::lossy(20, 2.8 * MB), 20 * GIB).until(20_000);
    let (_, asked) = *run.requests.last().unwrap();
    assert!((8 << 20..14 << 20).contains(&asked), "asked for {asked}");
    let slow = Run::new(Path::lossy(100, 0.02 * MB), GIB).until(60_000);
    assert_eq!(slow.requests.last().unwrap().1, CHUNK);
}

/// FETCH-46: towards the end requests become small, so that all connections end together.
#[test]
fn the_tail_is_short() {
    let path = Path { connection: 3.0 * MB, ..Path::clean(20, 1000.0 * MB) };
    let run = Run::new(path, 2 * GIB).until(u64::MAX);
    assert_eq!(run.arrived, 2 * GIB);
    let last_start = run.requests.last().unwrap().0;
    assert!(run.now - last_start < 1500, "{} ms after the last request", run.now - last_start);
    assert_eq!(run.pacer.request_bytes(5), 5);
    assert_eq!(run.pacer.request_bytes(0), 0);
}

/// A refusal speaks about a file: the pace stays.
#[test]
fn a_refusal_changes_nothing() {
    let mut pacer = Pacer::new(PacingConfig::default());
    pacer.handle(Millis(1), Event::Started);
    pacer.handle(Millis(2), Event::Finished { how: How::Refused, bytes: 0 });
    assert_eq!((pacer.level(), pacer.in_flight(), pacer.wake_at(Millis(2))), (4, 0, None));
}

/// A pacer that has seen one connection move so many bytes in a second.
fn measured(bytes: u64) -> Pacer {
    let mut pacer = Pacer::new(PacingConfig::default());
    pacer.handle(Millis(0), Event::Started);
    pacer.handle(Millis(10), Event::FirstByte { after: 10 });
    pacer.handle(Millis(1010), Event::Bytes(bytes));
    pacer
}

//! When the disk is asked, and what happens when it fails.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use zotferry::queue::sled::Options;
use zotferry::queue::{Finish, HeldPage, NewJob, Queue, QueueError, SledQueue};

use crate::backends::*;

/// QUEUE-7: one sync makes a whole commit durable; what changes nothing on disk asks for none.
#[test]
fn each_change_costs_one_sync_and_a_lease_none() {
    let (_folder, path) = place();
    let queue = open(&path).queue;
    let costs = |syncs: u64, what: &dyn Fn()| {
        let before = queue.syncs();
        what();
        assert_eq!(queue.syncs() - before, syncs);
    };
    let jobs: Vec<_> = (0..3_000).map(|n| range(1, n)).collect();
    costs(1, &|| queue.push(&jobs).unwrap());
    costs(0, &|| assert_eq!(lease(&queue, 1, 64).len(), 64));
    costs(0, &|| {
        queue.commit(&[(1, Finish::Release)], &[], at(1)).unwrap();
    });
    let ends: Vec<_> = (2..=64).map(|id| (id, Finish::Done)).collect();
    let held = [0, 1].map(|page| HeldPage { wanted: 1, page, bits: vec![1] });
    costs(1, &|| queue.commit(&ends, &held, at(1)).unwrap());
    costs(1, &|| queue.push(&[keyed("k")]).unwrap());
    costs(0, &|| {
        queue.push(&[keyed("k"), NewJob { not_before: at(9), ..keyed("k") }]).unwrap();
    });
    costs(0, &|| assert_eq!(queue.wake(&|_| true, at(1)).unwrap(), 0));
    costs(1, &|| queue.forget(1).unwrap());
}

/// A disk that stops in the middle of its first sync.
struct Stop {
    begun: Arc<Barrier>,
    go_on: Arc<Barrier>,
}

/// A queue on such a disk.
fn stopping(path: &Path) -> (SledQueue, Stop) {
    let barrier = || Arc::new(Barrier::new(2));
    let stop = Stop { begun: barrier(), go_on: barrier() };
    let (begun, go_on) = (Arc::clone(&stop.begun), Arc::clone(&stop.go_on));
    let first = AtomicBool::new(true);
    let sync = move |_: &File| {
        if first.swap(false, Ordering::SeqCst) {
            begun.wait();
            go_on.wait();
        }
        Ok(())
    };
    let options = Options { sync: Arc::new(sync), ..options() };
    (SledQueue::open_or_rebuild(path, &INSTANCE, &options, at(0)).unwrap().queue, stop)
}

/// Waits for what another thread is about to bring about.
fn until(reached: impl Fn() -> bool) {
    while !reached() {
        thread::yield_now();
    }
}

/// QUEUE-7: while one caller waits for the disk the window is free, and those who come meanwhile
/// share the next sync.
#[test]
fn callers_share_a_sync_and_do_not_hold_up_the_window() {
    let (_folder, path) = place();
    let (queue, stop) = stopping(&path);
    thread::scope(|scope| {
        let queue = &queue;
        scope.spawn(|| queue.push(&[range(1, 0)]).unwrap());
        stop.begun.wait();
        for n in 1..=8 {
            scope.spawn(move || queue.push(&[range(1, n)]).unwrap());
        }
        until(|| queue.len() == 9);
        assert_eq!(lease(queue, 1, 99).len(), 9);
        stop.go_on.wait();
    });
    assert_eq!(queue.syncs(), 2);
}

/// QUEUE-7: changes that share a sync keep their order: a file that is forgotten takes a bitmap with
/// it that was still in line.
#[test]
fn forgetting_reaches_bitmaps_that_are_still_in_line() {
    let (_folder, path) = place();
    let (queue, stop) = stopping(&path);
    let held = HeldPage { wanted: 1, page: 0, bits: vec![1] };
    thread::scope(|scope| {
        scope.spawn(|| queue.push(&[range(1, 0), range(1, 8)]).unwrap());
        stop.begun.wait();
        let end = [(lease_one(&queue, 1).id, Finish::Done)];
        scope.spawn(|| {
            let (end, held) = (end, [held]);
            queue.commit(&end, &held, at(1)).unwrap();
        });
        until(|| queue.len() == 1);
        scope.spawn(|| queue.forget(1).unwrap());
        until(|| queue.is_empty());
        stop.go_on.wait();
    });
    assert_eq!(queue.held(1, 0).unwrap(), None);
    assert_eq!(queue.syncs(), 2);
}

/// QUEUE-7: after a failed sync nothing more is accepted or acknowledged; opening again gives what
/// was acknowledged.
#[test]
fn failed_sync_stops_the_queue() {
    let (_folder, path) = place();
    let fails = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&fails);
    let sync = move |_: &File| match broken.load(Ordering::SeqCst) {
        true => Err(io::Error::other("the disk is gone")),
        false => Ok(()),
    };
    let options = Options { sync: Arc::new(sync), ..options() };
    let queue = SledQueue::open_or_rebuild(&path, &INSTANCE, &options, at(0)).unwrap().queue;
    queue.push(&[range(1, 0)]).unwrap();
    fails.store(true, Ordering::SeqCst);
    let failed = |result: Result<(), QueueError>| match result {
        Err(QueueError::Failed(reason)) => assert_eq!(reason, "the disk is gone"),
        other => panic!("{other:?}"),
    };
    failed(queue.push(&[range(1, 8)]));
    fails.store(false, Ordering::SeqCst);
    failed(queue.push(&[range(1, 16)]));
    failed(queue.lease(at(1), &|_, _| true, 1).map(|_| ()));
    failed(queue.commit(&[(1, Finish::Done)], &[], at(1)));
    failed(queue.held(1, 0).map(|_| ()));
    failed(queue.forget(1));
    failed(queue.keep_to(&range(1, 0).lane, &[1]));
    failed(queue.health());
    failed(queue.wake(&|_| true, at(1)).map(|_| ()));
    failed(queue.retry_dead(&|_| true).map(|_| ()));
    drop(queue);
    assert_eq!(open(&path).queue.window(1)[0].first, 0);
}

/// QUEUE-7: a panic in the middle of a write is a failed write: nobody waits for it for ever.
#[test]
fn panicking_write_stops_the_queue() {
    let (_folder, path) = place();
    let options = Options { sync: Arc::new(|_| panic!("a bug in the store")), ..options() };
    let queue = SledQueue::open_or_rebuild(&path, &INSTANCE, &options, at(0)).unwrap().queue;
    for n in 0..2 {
        let result = queue.push(&[range(1, n)]);
        assert!(matches!(result, Err(QueueError::Failed(_))), "{result:?}");
    }
}

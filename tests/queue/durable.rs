//! When the disk is asked, and what happens when it fails.

use std::io;
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
    let held = [0, 1].map(|page| HeldPage {
        wanted: 1,
        page,
        bits: vec![1],
    });
    costs(1, &|| queue.commit(&ends, &held, at(1)).unwrap());
    costs(1, &|| queue.push(&[keyed("k")]).unwrap());
    costs(0, &|| {
        queue
            .push(&[
                keyed("k"),
                NewJob {
                    not_before: at(9),
                    ..keyed("k")
                },
            ])
            .unwrap();
    });
    costs(0, &|| assert_eq!(queue.wake(&|_| true, at(1)).unwrap(), 0));
    costs(1, &|| queue.forget(1).unwrap());
}

/// QUEUE-7: while one caller waits for the disk the window is free, and those who come meanwhile
/// share the next sync.
#[test]
fn callers_share_a_sync_and_do_not_hold_up_the_window() {
    let (_folder, path) = place();
    let (begun, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let first = AtomicBool::new(true);
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = move |_: &std::fs::File| {
        if first.swap(false, Ordering::SeqCst) {
            tell.wait();
            wait.wait();
        }
        Ok(())
    };
    let options = Options {
        sync: Arc::new(slow),
        ..options()
    };
    let queue = SledQueue::open_or_rebuild(&path, &INSTANCE, &options, at(0))
        .unwrap()
        .queue;
    thread::scope(|scope| {
        let queue = &queue;
        scope.spawn(|| queue.push(&[range(1, 0)]).unwrap());
        begun.wait();
        for n in 1..=8 {
            scope.spawn(move || queue.push(&[range(1, n)]).unwrap());
        }
        while queue.len() < 9 {
            thread::yield_now();
        }
        assert_eq!(lease(queue, 1, 99).len(), 9);
        go_on.wait();
    });
    assert_eq!(queue.syncs(), 2);
}

/// QUEUE-7: after a failed sync nothing more is accepted or acknowledged; opening again gives what
/// was acknowledged.
#[test]
fn failed_sync_stops_the_queue() {
    let (_folder, path) = place();
    let fails = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&fails);
    let sync = move |_: &std::fs::File| match broken.load(Ordering::SeqCst) {
        true => Err(io::Error::other("the disk is gone")),
        false => Ok(()),
    };
    let options = Options {
        sync: Arc::new(sync),
        ..options()
    };
    let queue = SledQueue::open_or_rebuild(&path, &INSTANCE, &options, at(0))
        .unwrap()
        .queue;
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
    failed(queue.wake(&|_| true, at(1)).map(|_| ()));
    failed(queue.retry_dead(&|_| true).map(|_| ()));
    drop(queue);
    assert_eq!(open(&path).queue.window(1)[0].first, 0);
}

//! Random operations: sled must answer as the reference does, over restarts too.

use std::sync::Arc;

use proptest::prelude::*;
use zotferry::queue::sled::Options;
use zotferry::queue::{
    Finish, HeldPage, Kind, Lane, MemoryQueue, NewJob, Queue, Rebuilt, SledQueue, Task,
};
use zotferry_protocol::ids::Millis;

use crate::backends::*;

const FILES: i64 = 4;
const PAGES: u32 = 3;

#[derive(Debug, Clone)]
enum Op {
    Push(Vec<NewJob>),
    Lease(Filter, usize),
    /// Which of the leased jobs (counted from the oldest lease), how they end, pages held.
    Commit(Vec<(usize, Finish)>, Vec<HeldPage>),
    Forget(i64),
    KeepTo(Lane, Vec<i64>),
    Wake(i64),
    RetryDead(u64),
    Later(u64),
    Restart,
}

#[derive(Debug, Clone)]
enum Filter {
    All,
    NotSite(i64),
    Only(Kind),
    NotFile(i64),
}

impl Filter {
    fn accepts(&self, lane: &Lane, task: &Task) -> bool {
        match *self {
            Self::All => true,
            Self::NotSite(site) => lane.site != site,
            Self::Only(kind) => task.kind() == kind,
            Self::NotFile(file) => !matches!(task, Task::Range { wanted, .. } if *wanted == file),
        }
    }
}

fn task() -> impl Strategy<Value = Task> {
    prop_oneof![
        4 => (1..=FILES, 0..6u32).prop_map(|(wanted, n)| range(wanted, n * 8).task),
        2 => prop::collection::vec(1..=FILES, 1..4).prop_map(|wanted| Task::Bundle { wanted }),
        1 => Just(Task::Deliver),
        1 => Just(Task::Report),
        1 => Just(Task::Announce),
    ]
}

fn new_job() -> impl Strategy<Value = NewJob> {
    let lanes = (1..3i64, 1..4i64).prop_map(|(channel, site)| lane(channel, site));
    let times = prop_oneof![Just(0), 900..3_000u64].prop_map(Millis);
    let keys = prop::option::weighted(0.4, (0..4u8).prop_map(|key| vec![key]));
    (lanes, task(), 0..3u8, times, keys).prop_map(|(lane, task, priority, not_before, key)| {
        NewJob { lane, task, priority, not_before, key }
    })
}

fn finish() -> impl Strategy<Value = Finish> {
    let told = prop::option::weighted(0.3, (900..5_000u64).prop_map(Millis));
    prop_oneof![
        3 => Just(Finish::Done),
        1 => Just(Finish::Release),
        3 => told.prop_map(|not_before| Finish::Retry { reason: "cut".into(), not_before }),
        1 => Just(Finish::Dead { reason: "gone".into() }),
    ]
}

fn held_page() -> impl Strategy<Value = HeldPage> {
    let bits = prop::collection::vec(any::<u8>(), 0..4);
    (1..=FILES, 0..PAGES, bits).prop_map(|(wanted, page, bits)| HeldPage { wanted, page, bits })
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        4 => Just(Filter::All),
        1 => (1..4i64).prop_map(Filter::NotSite),
        1 => prop_oneof![Just(Kind::Range), Just(Kind::Bundle), Just(Kind::Deliver)].prop_map(Filter::Only),
        1 => (1..=FILES).prop_map(Filter::NotFile),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let ends = prop::collection::vec((0..6usize, finish()), 0..4);
    let pages = prop::collection::vec(held_page(), 0..3);
    prop_oneof![
        5 => prop::collection::vec(new_job(), 1..5).prop_map(Op::Push),
        6 => (filter(), 0..5usize).prop_map(|(filter, limit)| Op::Lease(filter, limit)),
        5 => (ends, pages).prop_map(|(ends, pages)| Op::Commit(ends, pages)),
        1 => (1..=FILES).prop_map(Op::Forget),
        1 => (1..3i64, 1..4i64, prop::collection::vec(1..=FILES, 0..3))
            .prop_map(|(channel, site, wanted)| Op::KeepTo(lane(channel, site), wanted)),
        1 => (1..4i64).prop_map(Op::Wake),
        1 => (0..2u64).prop_map(Op::RetryDead),
        3 => (0..2_000u64).prop_map(Op::Later),
        1 => Just(Op::Restart),
    ]
}

/// What both queues answer; the operation is done to each.
struct Run {
    now: Millis,
    /// Ids in the order in which they were leased; finished ones stay, so that some finish twice.
    leased: Vec<u64>,
}

impl Run {
    /// Does the operation and says what came of it.
    fn step(&self, queue: &dyn Queue, op: &Op) -> (Vec<zotferry::queue::Job>, usize) {
        let mut answer = (Vec::new(), 0);
        match op {
            Op::Push(jobs) => queue.push(jobs).unwrap(),
            Op::Lease(filter, limit) => {
                answer.0 = queue.lease(self.now, &|l, t| filter.accepts(l, t), *limit).unwrap();
            }
            Op::Commit(ends, pages) => {
                let id =
                    |(nth, end): &(usize, Finish)| Some((*self.leased.get(*nth)?, end.clone()));
                let ends: Vec<_> = ends.iter().filter_map(id).collect();
                queue.commit(&ends, pages, self.now).unwrap();
            }
            Op::Forget(wanted) => queue.forget(*wanted).unwrap(),
            Op::KeepTo(lane, wanted) => queue.keep_to(lane, wanted).unwrap(),
            Op::Wake(site) => answer.1 = queue.wake(&|l| l.site == *site, self.now).unwrap(),
            Op::RetryDead(odd) => answer.1 = queue.retry_dead(&|job| job.id % 2 == *odd).unwrap(),
            Op::Later(_) | Op::Restart => {}
        }
        answer
    }

    /// Everything that can be asked.
    fn state(&self, queue: &dyn Queue) -> impl PartialEq + std::fmt::Debug + use<> {
        let files: Vec<_> = (1..=FILES).map(|f| (queue.window(f), queue.named(f))).collect();
        let pages = (1..=FILES).flat_map(|f| (0..PAGES).map(move |p| (f, p)));
        let held: Vec<_> = pages.map(|(f, p)| queue.held(f, p).unwrap()).collect();
        let counts = queue.counts(self.now);
        (counts, queue.next_due(self.now), queue.dead(), queue.len(), files, held)
    }
}

proptest! {
    /// QUEUE-1 to QUEUE-7: whatever is done in whatever order, the backend that is fast and durable
    /// answers as the one that is plain.
    #[test]
    fn sled_answers_as_the_reference_does(ops in prop::collection::vec(op(), 1..80)) {
        let (_folder, path) = place();
        // Nothing is cut off here, so nothing needs the disk.
        let options = Options { sync: Arc::new(|_| Ok(())), ..options() };
        let reopen = || SledQueue::open_or_rebuild(&path, &INSTANCE, &options, Millis(0)).unwrap();
        let reference = MemoryQueue::new(POLICY, SEED);
        let mut sled = reopen().queue;
        let mut run = Run { now: Millis(1_000), leased: Vec::new() };
        for op in &ops {
            match op {
                Op::Later(ms) => run.now = run.now.plus(*ms),
                Op::Restart => {
                    reference.restart();
                    drop(sled);
                    let opened = reopen();
                    prop_assert_eq!(opened.rebuilt, Rebuilt::No);
                    sled = opened.queue;
                    run.leased.clear();
                }
                _ => {}
            }
            let (expected, answer) = (run.step(&reference, op), run.step(&sled, op));
            prop_assert_eq!(&answer, &expected, "{:?}", op);
            prop_assert_eq!(run.state(&sled), run.state(&reference), "after {:?}", op);
            run.leased.extend(answer.0.iter().map(|job| job.id));
            let surplus = run.leased.len().saturating_sub(6);
            run.leased.drain(..surplus);
        }
    }
}

//! Whose turn it is.

use std::collections::BTreeMap;

use zotferry::queue::{Finish, Kind, NewJob, Queue};

use crate::backends::*;

for_both! {
    /// QUEUE-3: origins of equal priority take turns, however many jobs one of them has.
    origins_take_turns
    /// QUEUE-3: an origin's channels share its turns; a second channel does not earn it more.
    channels_share_the_turns_of_their_origin
    /// QUEUE-3: small files do not wait behind a large one of the same lane, nor the reverse.
    kinds_take_turns_within_a_lane
    /// QUEUE-3: a lane that always has just one new job does not push the others aside.
    trickling_lane_does_not_starve_a_full_one
}

fn of(channel: i64, site: i64, first: u32) -> NewJob {
    NewJob { lane: lane(channel, site), ..range(channel, first) }
}

fn flood(queue: &dyn Queue, channel: i64, site: i64) {
    let jobs: Vec<_> = (0..3_000).map(|n| of(channel, site, n)).collect();
    queue.push(&jobs).unwrap();
}

/// How many of the next `n` leases of two jobs each lane gets.
fn shares(queue: &dyn Queue, n: usize) -> BTreeMap<(i64, i64), usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..n {
        let jobs = lease(queue, 1, 2);
        *shares.entry((jobs[0].lane.site, jobs[0].lane.channel)).or_default() += 1;
        assert!(jobs.iter().all(|job| job.lane == jobs[0].lane));
    }
    shares
}

fn origins_take_turns(backend: &mut dyn Backend) {
    let queue = backend.queue();
    flood(queue, 1, 1);
    queue.push(&(0..40).flat_map(|n| [of(1, 2, n), of(1, 3, n)]).collect::<Vec<_>>()).unwrap();
    assert_eq!(shares(queue, 30), BTreeMap::from([((1, 1), 10), ((2, 1), 10), ((3, 1), 10)]));
}

fn channels_share_the_turns_of_their_origin(backend: &mut dyn Backend) {
    let queue = backend.queue();
    flood(queue, 1, 1);
    queue.push(&(0..90).flat_map(|n| [of(2, 1, n), of(9, 2, n)]).collect::<Vec<_>>()).unwrap();
    assert_eq!(shares(queue, 40), BTreeMap::from([((1, 1), 10), ((1, 2), 10), ((2, 9), 20)]));
}

fn kinds_take_turns_within_a_lane(backend: &mut dyn Backend) {
    let queue = backend.queue();
    flood(queue, 1, 1);
    queue.push(&vec![bundle(&[1, 2]); 30]).unwrap();
    let kinds: Vec<_> = (0..20).map(|_| lease(queue, 1, 3)[0].task.kind()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Bundle).count(), 10);
}

fn trickling_lane_does_not_starve_a_full_one(backend: &mut dyn Backend) {
    let queue = backend.queue();
    flood(queue, 1, 1);
    let mut trickled = 0;
    for turn in 0..40 {
        if queue.window(2).is_empty() {
            queue.push(&[of(2, 2, turn)]).unwrap();
        }
        let job = lease_one(queue, 1);
        trickled += usize::from(job.lane.site == 2);
        queue.commit(&[(job.id, Finish::Done)], &[], at(1)).unwrap();
    }
    assert_eq!(trickled, 20);
}

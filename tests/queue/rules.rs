//! What every backend does with jobs: order, time, leases, retries, keys, bitmaps.

use zotferry::queue::{
    Counts, Finish, HeldPage, Job, Kind, MAX_BUNDLE, MAX_KEY, MAX_PAGE, NewJob, QueueError, Task,
};
use zotferry_protocol::manifest::ChunkRange;

use crate::backends::*;

for_both! {
    /// QUEUE-2: the best priority comes first, and within it what was pushed first.
    jobs_come_by_priority_then_by_age
    /// QUEUE-2: a job is not leased before its time.
    job_waits_for_its_time
    /// QUEUE-1: nobody else gets a leased job.
    lease_is_exclusive
    /// QUEUE-1: a lease ends with a restart and does not count as an attempt.
    restart_ends_leases_and_keeps_attempts
    /// QUEUE-2: a lease holds one lane and one kind; ranges of one file come in order.
    lease_gathers_siblings_in_file_order
    /// QUEUE-2: what the filter refuses stays, and the next acceptable job is found behind it.
    filter_passes_over_lanes_kinds_and_files
    /// QUEUE-4: a failed job waits exponentially longer, with jitter, or as long as the peer said.
    retries_back_off
    /// QUEUE-5: after the policy's last attempt the job is dead, with the reason of the last.
    last_attempt_kills
    /// QUEUE-5: a dead job stays until it is retried, also over a restart.
    dead_letters_can_be_retried
    /// QUEUE-1: a worker that stops gives its jobs back without an attempt.
    released_job_is_due_at_once
    /// QUEUE-1: what is not leased is not finished.
    finishing_twice_changes_nothing
    /// QUEUE-6: pushing a key again adds nothing, and hurries the job that is there.
    keyed_push_is_idempotent
    /// QUEUE-6: what was pushed while its key was leased is done afterwards, whatever became of the first.
    push_during_lease_counts_after_it
    /// QUEUE-6: a dead job's key does not stand in the way.
    keyed_push_revives_the_dead
    /// QUEUE-3: a clone that comes back finds its own jobs due, and only those.
    wake_hurries_delayed_jobs_of_a_lane
    /// QUEUE-7: bitmaps are recorded with the jobs that earned them, and survive.
    held_pages_are_kept_and_replaced
    /// QUEUE-7: forgetting a file drops its bitmaps, its ranges and its places in bundles.
    forget_drops_everything_of_a_file
    /// QUEUE-7: a file that another hub is asked for leaves the jobs of the first; its bitmaps stay.
    a_file_is_kept_to_one_lane
    /// QUEUE-1: the window tells a refill what is queued.
    window_shows_queued_ranges
    /// QUEUE-1: oversized values are refused, and the call with them.
    limits_are_kept
    /// QUEUE-5: only the beginning of a long reason is kept.
    long_reasons_are_cut
}

fn ids(jobs: &[Job]) -> Vec<u64> {
    jobs.iter().map(|job| job.id).collect()
}

fn retry(reason: &str) -> Finish {
    Finish::Retry { reason: reason.into(), not_before: None }
}

fn dead(reason: &str) -> Finish {
    Finish::Dead { reason: reason.into() }
}

fn counts(due: usize, leased: usize, delayed: usize, dead: usize) -> Counts {
    Counts { due, leased, delayed, dead }
}

fn jobs_come_by_priority_then_by_age(backend: &mut dyn Backend) {
    let queue = backend.queue();
    let of = |priority| zotferry::queue::NewJob { priority, ..bundle(&[1]) };
    queue.push(&[of(9), of(2), of(0)]).unwrap();
    queue.push(&[of(2), of(255)]).unwrap();
    let order: Vec<u64> = (0..5).map(|_| lease_one(queue, 1).id).collect();
    assert_eq!(order, [3, 2, 4, 1, 5]);
}

fn job_waits_for_its_time(backend: &mut dyn Backend) {
    let queue = backend.queue();
    let later = NewJob { not_before: at(500), ..range(1, 0) };
    queue.push(&[later]).unwrap();
    assert_eq!(queue.counts(at(499)), counts(0, 0, 1, 0));
    assert_eq!(queue.next_due(at(499)), Some(at(500)));
    assert!(lease(queue, 499, 9).is_empty());
    assert_eq!(queue.counts(at(500)), counts(1, 0, 0, 0));
    assert_eq!(queue.next_due(at(500)), None);
    assert_eq!(lease_one(queue, 500).id, 1);
}

fn lease_is_exclusive(backend: &mut dyn Backend) {
    let queue = backend.queue();
    queue.push(&[range(1, 0), range(1, 8)]).unwrap();
    assert_eq!(ids(&lease(queue, 1, 1)), [1]);
    assert!(queue.lease(at(1), &|_, _| true, 0).unwrap().is_empty());
    assert_eq!(ids(&lease(queue, 1, 9)), [2]);
    assert!(lease(queue, u64::MAX, 9).is_empty());
    assert_eq!(queue.counts(at(1)), counts(0, 2, 0, 0));
    queue.commit(&[(1, Finish::Done)], &[], at(1)).unwrap();
    assert_eq!((queue.len(), queue.is_empty()), (1, false));
    queue.commit(&[(2, Finish::Done)], &[], at(1)).unwrap();
    assert!(queue.is_empty());
}

fn restart_ends_leases_and_keeps_attempts(backend: &mut dyn Backend) {
    backend.queue().push(&[range(1, 0), keyed("k")]).unwrap();
    let job = lease_one(backend.queue(), 1);
    backend.queue().commit(&[(job.id, retry("cut"))], &[], at(1)).unwrap();
    let again = NewJob { not_before: at(1 << 40), ..keyed("k") };
    assert_eq!(lease(backend.queue(), 9_000, 9).len() + lease(backend.queue(), 9_000, 9).len(), 2);
    backend.queue().push(&[again]).unwrap();
    backend.restart();
    let mut jobs = lease(backend.queue(), 9_000, 9);
    jobs.extend(lease(backend.queue(), 9_000, 9));
    jobs.sort_by_key(|job| job.id);
    let told: Vec<_> = jobs.iter().map(|job| (job.attempts, job.last_error.as_deref())).collect();
    let failed = (1, Some("cut"));
    assert_eq!(told, if job.id == 1 { [failed, (0, None)] } else { [(0, None), failed] });
}

fn lease_gathers_siblings_in_file_order(backend: &mut dyn Backend) {
    let queue = backend.queue();
    let elsewhere = zotferry::queue::NewJob { lane: lane(1, 2), ..range(7, 0) };
    let jobs = [range(7, 16), range(8, 0), bundle(&[1]), range(7, 0), elsewhere, range(7, 8)];
    queue.push(&jobs).unwrap();
    let of_lane_1 = |kind| {
        move |lane: &zotferry::queue::Lane, task: &Task| lane.site == 1 && task.kind() == kind
    };
    let ranges = of_lane_1(zotferry::queue::Kind::Range);
    assert_eq!(ids(&queue.lease(at(1), &ranges, 3).unwrap()), [4, 6, 1]);
    assert_eq!(ids(&queue.lease(at(1), &ranges, 3).unwrap()), [2]);
    let mut rest = [ids(&lease(queue, 1, 9)), ids(&lease(queue, 1, 9))];
    rest.sort();
    assert_eq!(rest, [[3], [5]]);
}

fn filter_passes_over_lanes_kinds_and_files(backend: &mut dyn Backend) {
    let queue = backend.queue();
    let low = zotferry::queue::NewJob { priority: 9, ..range(3, 0) };
    queue.push(&[range(1, 0), range(2, 0), range(1, 8), bundle(&[4]), low]).unwrap();
    let not_file_1 = |_: &zotferry::queue::Lane, task: &Task| task.wanted() != [1];
    let only_3 = |_: &zotferry::queue::Lane, task: &Task| task.wanted() == [3];
    assert_eq!(ids(&queue.lease(at(1), &only_3, 9).unwrap()), [5]);
    assert!(queue.lease(at(1), &|lane, _| lane.site != 1, 9).unwrap().is_empty());
    let mut taken = ids(&queue.lease(at(1), &not_file_1, 9).unwrap());
    taken.extend(ids(&queue.lease(at(1), &not_file_1, 9).unwrap()));
    taken.sort_unstable();
    assert_eq!(taken, [2, 4]);
    assert_eq!(ids(&lease(queue, 1, 9)), [1, 3]);
}

fn retries_back_off(backend: &mut dyn Backend) {
    let queue = backend.queue();
    queue.push(&[range(1, 0)]).unwrap();
    let mut now = 1_000;
    for (attempt, full) in [(1, 100), (2, 200), (3, 400)] {
        let job = lease_one(queue, now);
        assert_eq!(job.attempts, attempt - 1);
        queue.commit(&[(job.id, retry("cut"))], &[], at(now)).unwrap();
        let due = queue.next_due(at(now)).unwrap().0;
        assert!((full / 2..=full).contains(&(due - now)), "attempt {attempt}: {}", due - now);
        assert!(lease(queue, due - 1, 1).is_empty());
        now = due;
    }
    queue.push(&[range(2, 0)]).unwrap();
    let told = Finish::Retry { reason: "503".into(), not_before: Some(at(70_000)) };
    let other = queue.lease(at(now), &|_, task| task.wanted() == [2], 1).unwrap().remove(0);
    queue.commit(&[(other.id, told)], &[], at(now)).unwrap();
    assert_eq!(queue.next_due(at(now)), Some(at(70_000)));
    // QUEUE-12: a wish for less than the own pause does not shorten it.
    let again = queue.lease(at(70_000), &|_, task| task.wanted() == [2], 1).unwrap().remove(0);
    let soon = Finish::Retry { reason: "503".into(), not_before: Some(at(70_001)) };
    queue.commit(&[(again.id, soon)], &[], at(70_000)).unwrap();
    let mine = |now| queue.lease(at(now), &|_, task| task.wanted() == [2], 1).unwrap();
    assert!(mine(70_050).is_empty());
    assert_eq!(mine(71_000).len(), 1);
}

fn last_attempt_kills(backend: &mut dyn Backend) {
    let queue = backend.queue();
    queue.push(&[range(1, 0), range(2, 0)]).unwrap();
    for attempt in 1..=POLICY.max_attempts {
        let now = u64::from(attempt) * 100_000;
        let job = queue.lease(at(now), &|_, task| task.wanted() == [1], 1).unwrap().remove(0);
        queue.commit(&[(job.id, retry(&format!("failure {attempt}")))], &[], at(now)).unwrap();
    }
    let job = lease_one(queue, 1);
    queue.commit(&[(job.id, dead("gone"))], &[], at(1)).unwrap();
    let told: Vec<_> =
        queue.dead().into_iter().map(|j| (j.id, j.attempts, j.last_error.unwrap())).collect();
    assert_eq!(told, [(1, 4, "failure 4".to_owned()), (2, 0, "gone".to_owned())]);
    assert!(lease(queue, u64::MAX, 9).is_empty());
    assert_eq!(queue.counts(at(u64::MAX)), counts(0, 0, 0, 2));
}

fn dead_letters_can_be_retried(backend: &mut dyn Backend) {
    backend.queue().push(&[range(1, 0), range(2, 0)]).unwrap();
    let jobs = lease(backend.queue(), 1, 2);
    let ends: Vec<_> = jobs.iter().map(|job| (job.id, dead("gone"))).collect();
    backend.queue().commit(&ends, &[], at(1)).unwrap();
    backend.restart();
    let queue = backend.queue();
    assert_eq!(ids(&queue.dead()), [1, 2]);
    assert_eq!(queue.retry_dead(&|job| job.id == 2).unwrap(), 1);
    let job = lease_one(queue, 1);
    assert_eq!((job.id, job.attempts, job.last_error.as_deref()), (2, 0, Some("gone")));
    assert_eq!(ids(&queue.dead()), [1]);
}

fn released_job_is_due_at_once(backend: &mut dyn Backend) {
    let queue = backend.queue();
    queue.push(&[range(1, 0)]).unwrap();
    let job = lease_one(queue, 1);
    queue.commit(&[(job.id, Finish::Release)], &[], at(1)).unwrap();
    assert_eq!(lease_one(queue, 1), job);
}

fn finishing_twice_changes_nothing(backend: &mut dyn Backend) {
    let queue = backend.queue();
    queue.push(&[range(1, 0)]).unwrap();
    queue.commit(&[(1, Finish::Done), (77, dead("no such job"))], &[], at(1)).unwrap();
    let job = lease_one(queue, 1);
    queue.commit(&[(job.id, Finish::Release), (job.id, Finish::Done)], &[], at(1)).unwrap();
    assert_eq!(queue.counts(at(1)), counts(1, 0, 0, 0));
    let job = lease_one(queue, 1);
    queue.forget(1).unwrap();
    queue.push(&[range(2, 0)]).unwrap();
    let other = lease_one(queue, 1);
    assert_ne!(other.id, job.id, "a worker may still hold the id of a job that was forgotten");
    queue.commit(&[(job.id, Finish::Done)], &[], at(1)).unwrap();
    assert_eq!(queue.counts(at(1)), counts(0, 1, 0, 0));
}

fn keyed_push_is_idempotent(backend: &mut dyn Backend) {
    let queue = backend.queue();
    queue.push(&[keyed("a"), keyed("b"), keyed("a"), keyed("a")]).unwrap();
    assert_eq!(queue.len(), 2);
    let job = lease_one(queue, 1);
    queue.commit(&[(job.id, retry("away"))], &[], at(1)).unwrap();
    assert_eq!(queue.counts(at(1)), counts(1, 0, 1, 0));
    queue.push(&[zotferry::queue::NewJob { priority: 1, ..keyed("a") }]).unwrap();
    let hurried = lease_one(queue, 1);
    assert_eq!((hurried.id, hurried.priority, hurried.attempts), (job.id, 1, 0));
    queue.commit(&[(job.id, Finish::Done)], &[], at(1)).unwrap();
    queue.push(&[keyed("a")]).unwrap();
    assert_eq!(queue.counts(at(1)), counts(2, 0, 0, 0));
}

fn push_during_lease_counts_after_it(backend: &mut dyn Backend) {
    let queue = backend.queue();
    for end in [Finish::Done, Finish::Release, retry("away"), dead("gone")] {
        queue.push(&[keyed("a")]).unwrap();
        let job = lease_one(queue, 1);
        queue.push(&[keyed("a"), keyed("a")]).unwrap();
        assert_eq!(queue.counts(at(1)), counts(0, 1, 0, 0), "{end:?}");
        queue.commit(&[(job.id, end.clone())], &[], at(1)).unwrap();
        let again = lease_one(queue, 1);
        assert_eq!((again.id, again.attempts), (job.id, 0), "{end:?}");
        queue.commit(&[(again.id, Finish::Done)], &[], at(1)).unwrap();
        assert!(queue.is_empty(), "{end:?}");
    }
}

fn keyed_push_revives_the_dead(backend: &mut dyn Backend) {
    let queue = backend.queue();
    queue.push(&[keyed("a")]).unwrap();
    let job = lease_one(queue, 1);
    queue.commit(&[(job.id, dead("gone"))], &[], at(1)).unwrap();
    queue.push(&[NewJob { not_before: at(50), ..keyed("a") }]).unwrap();
    assert_eq!(queue.counts(at(1)), counts(0, 0, 1, 0));
    assert_eq!(lease_one(queue, 50).id, job.id);
}

fn wake_hurries_delayed_jobs_of_a_lane(backend: &mut dyn Backend) {
    let late = |site| zotferry::queue::NewJob {
        lane: lane(1, site),
        not_before: at(9_000),
        ..range(site, 0)
    };
    backend.queue().push(&[late(1), late(2), late(1), range(9, 0)]).unwrap();
    assert_eq!(backend.queue().wake(&|lane| lane.site == 1, at(10)).unwrap(), 2);
    backend.restart();
    let queue = backend.queue();
    assert_eq!(queue.counts(at(10)), counts(3, 0, 1, 0));
    assert_eq!(queue.next_due(at(10)), Some(at(9_000)));
    assert_eq!(queue.wake(&|_| true, at(9_000)).unwrap(), 0, "due is not delayed");
}

fn page(wanted: i64, page: u32, bits: &[u8]) -> HeldPage {
    HeldPage { wanted, page, bits: bits.to_vec() }
}

fn held_pages_are_kept_and_replaced(backend: &mut dyn Backend) {
    let full = vec![0xff; MAX_PAGE];
    backend.queue().push(&[range(1, 0)]).unwrap();
    let job = lease_one(backend.queue(), 1);
    let held = [page(1, 0, &[0b101]), page(1, 255, &full), page(i64::MAX, 0, &[1])];
    backend.queue().commit(&[(job.id, Finish::Done)], &held, at(1)).unwrap();
    backend.queue().commit(&[], &[page(1, 0, &[0b111])], at(1)).unwrap();
    backend.restart();
    let queue = backend.queue();
    assert!(queue.is_empty());
    assert_eq!(queue.held(1, 0).unwrap().unwrap(), [0b111]);
    assert_eq!(queue.held(1, 255).unwrap().unwrap(), full);
    assert_eq!(queue.held(i64::MAX, 0).unwrap().unwrap(), [1]);
    assert_eq!(queue.held(1, 1).unwrap(), None);
    assert_eq!(queue.held(2, 0).unwrap(), None);
}

fn forget_drops_everything_of_a_file(backend: &mut dyn Backend) {
    let queue = backend.queue();
    queue.push(&[range(1, 0), range(1, 8), range(2, 0), bundle(&[1, 3]), bundle(&[1])]).unwrap();
    queue.commit(&[], &[page(1, 0, &[1]), page(1, 9, &[1]), page(2, 0, &[1])], at(1)).unwrap();
    let leased = queue.lease(at(1), &|_, task| task.wanted() == [1], 1).unwrap();
    assert_eq!(leased.len(), 1);
    queue.forget(1).unwrap();
    assert_eq!((queue.held(1, 0).unwrap(), queue.held(1, 9).unwrap()), (None, None));
    assert!(queue.held(2, 0).unwrap().is_some());
    assert!(!queue.contains(1));
    assert!(queue.window(1).is_empty());
    queue.commit(&[(leased[0].id, retry("late"))], &[], at(1)).unwrap();
    backend.restart();
    let queue = backend.queue();
    assert_eq!(queue.held(1, 9).unwrap(), None);
    assert_eq!(queue.counts(at(1)), counts(2, 0, 0, 0));
    let tasks: Vec<_> = [lease_one(queue, 1), lease_one(queue, 1)].map(|job| job.task).into();
    assert!(tasks.contains(&Task::Bundle { wanted: vec![3] }));
    assert!(tasks.contains(&range(2, 0).task));
}

fn a_file_is_kept_to_one_lane(backend: &mut dyn Backend) {
    let queue = backend.queue();
    let elsewhere = |job: NewJob| NewJob { lane: lane(1, 9), ..job };
    let moved = [elsewhere(range(1, 0)), elsewhere(bundle(&[1, 3])), elsewhere(bundle(&[1]))];
    queue.push(&moved).unwrap();
    queue.push(&[range(1, 8), elsewhere(range(2, 0))]).unwrap();
    queue.commit(&[], &[page(1, 0, &[1])], at(1)).unwrap();
    queue.keep_to(&range(1, 8).lane, &[1, 7]).unwrap();
    backend.restart();
    let queue = backend.queue();
    assert_eq!(queue.held(1, 0).unwrap().unwrap(), [1]);
    assert_eq!(queue.window(1), [ChunkRange { first: 8, count: 8 }]);
    assert_eq!(queue.window(2).len(), 1);
    assert_eq!(queue.counts(at(1)), counts(3, 0, 0, 0));
    let kept = queue.lease(at(1), &|_, task| task.kind() == Kind::Bundle, 9).unwrap();
    assert_eq!(kept[0].task, Task::Bundle { wanted: vec![3] });
}

fn window_shows_queued_ranges(backend: &mut dyn Backend) {
    let queue = backend.queue();
    let late = NewJob { not_before: at(99), ..range(1, 24) };
    queue.push(&[range(1, 16), range(1, 8), late, range(2, 0), bundle(&[5, 6])]).unwrap();
    let job = queue.lease(at(1), &|_, task| task.wanted() == [1], 1).unwrap().remove(0);
    queue.commit(&[(job.id, dead("gone"))], &[], at(1)).unwrap();
    let firsts =
        |ranges: Vec<ChunkRange>| ranges.iter().map(|r| (r.first, r.count)).collect::<Vec<_>>();
    assert_eq!(firsts(queue.window(1)), [(8, 8), (16, 8), (24, 8)]);
    assert_eq!(firsts(queue.window(5)), []);
    assert_eq!([1, 2, 5, 6, 7].map(|file| queue.contains(file)), [true, true, true, true, false]);
}

fn limits_are_kept(backend: &mut dyn Backend) {
    let queue = backend.queue();
    let refused = |result| assert!(matches!(result, Err(QueueError::TooLarge(_))), "{result:?}");
    refused(queue.push(&[range(1, 0), bundle(&[1; MAX_BUNDLE + 1])]));
    refused(queue.push(&[range(1, 0), keyed(&"k".repeat(MAX_KEY + 1))]));
    refused(queue.commit(&[], &[page(1, 0, &[1]), page(2, 0, &[0; MAX_PAGE + 1])], at(1)));
    assert!(queue.is_empty());
    assert_eq!(queue.held(1, 0).unwrap(), None);
    queue.push(&[bundle(&[1; MAX_BUNDLE]), keyed(&"k".repeat(MAX_KEY))]).unwrap();
    assert_eq!(queue.len(), 2);
}

fn long_reasons_are_cut(backend: &mut dyn Backend) {
    backend.queue().push(&[range(1, 0)]).unwrap();
    let job = lease_one(backend.queue(), 1);
    let long = format!("x{}", "é".repeat(4_000));
    backend.queue().commit(&[(job.id, dead(&long))], &[], at(1)).unwrap();
    backend.restart();
    let kept = backend.queue().dead().remove(0).last_error.unwrap();
    assert_eq!(kept.len(), 1023);
    assert!(long.starts_with(&kept));
}

//! The queue as a list that is searched from end to end: the readable reference.
//!
//! Owns: the meaning of every call, as plainly as it can be said. Not here: indexes, disks.
//! Invariant: nothing is kept that could be computed, so nothing can disagree.
//! Spec: QUEUE-1 to QUEUE-9.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zotferry_protocol::ids::Millis;
use zotferry_protocol::manifest::ChunkRange;

use super::job::kept_reason;
use super::{
    Accept, Counts, Finish, HeldPage, Job, Kind, Lane, NewJob, Policy, Queue, QueueError, Task,
};

/// A queue that lives as long as the process.
pub struct MemoryQueue {
    policy: Policy,
    seed: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    jobs: BTreeMap<u64, Entry>,
    held: BTreeMap<(i64, u32), Vec<u8>>,
    turns: Turns,
    /// The id given last. Ids of jobs that are gone are not given again while a worker may still
    /// hold one.
    last_id: u64,
    stamp: Option<u64>,
}

struct Entry {
    job: Job,
    key: Option<Vec<u8>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Due, or delayed: `not_before` tells.
    Waiting,
    /// `again`: pushed meanwhile, for this time.
    Leased {
        again: Option<Millis>,
    },
    Dead,
}

/// When a site, a lane of it, a kind of task in that lane had its last turn at a priority; never is 0.
#[derive(Default)]
struct Turns {
    last: u64,
    sites: HashMap<(u8, i64), u64>,
    lanes: HashMap<(u8, Lane), u64>,
    kinds: HashMap<(u8, Lane, Kind), u64>,
}

impl Turns {
    /// The group of jobs with the least rank is served next.
    fn rank(&self, job: &Job) -> (u8, [(u64, i64); 3]) {
        let (priority, lane, kind) = (job.priority, job.lane, job.task.kind());
        let site = self.sites.get(&(priority, lane.site)).copied().unwrap_or(0);
        let channel = self.lanes.get(&(priority, lane)).copied().unwrap_or(0);
        let own = self.kinds.get(&(priority, lane, kind)).copied().unwrap_or(0);
        (priority, [(site, lane.site), (channel, lane.channel), (own, kind as i64)])
    }

    fn served(&mut self, job: &Job) {
        let (priority, lane, kind) = (job.priority, job.lane, job.task.kind());
        self.last += 1;
        self.sites.insert((priority, lane.site), self.last);
        self.lanes.insert((priority, lane), self.last);
        self.kinds.insert((priority, lane, kind), self.last);
    }
}

impl Entry {
    fn is_due(&self, now: Millis) -> bool {
        self.state == State::Waiting && self.job.not_before <= now
    }

    fn is_delayed(&self, now: Millis) -> bool {
        self.state == State::Waiting && self.job.not_before > now
    }

    /// The same key pushed again, for `not_before`.
    fn push_again(&mut self, not_before: Millis) {
        match &mut self.state {
            State::Waiting => self.job.not_before = self.job.not_before.min(not_before),
            State::Leased { again } => {
                *again = Some(again.map_or(not_before, |earlier| earlier.min(not_before)));
                return;
            }
            State::Dead => self.job.not_before = not_before,
        }
        self.state = State::Waiting;
        self.job.attempts = 0;
    }

    fn is_leased_bundle(&self) -> bool {
        matches!(self.state, State::Leased { .. }) && self.job.task.kind() == Kind::Bundle
    }

    /// Takes files out of the job; whether it names any still, or never did.
    fn leave_out(&mut self, out: &[i64]) -> bool {
        match &mut self.job.task {
            Task::Range { wanted, .. } => !out.contains(wanted),
            Task::Bundle { wanted } => {
                let named = wanted.len();
                wanted.retain(|file| !out.contains(file));
                wanted.len() == named || !wanted.is_empty()
            }
            _ => true,
        }
    }

    fn fail(&mut self, reason: &str) {
        self.job.last_error = Some(kept_reason(reason));
        self.state = State::Dead;
    }
}

/// Files ascend, and ranges within a file; everything else comes as it was pushed.
fn place(job: &Job) -> (i64, u32, u64) {
    match job.task {
        Task::Range { wanted, first, .. } => (wanted, first, job.id),
        _ => (0, 0, job.id),
    }
}

impl MemoryQueue {
    /// An empty queue; `seed` decides the jitter.
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self { policy, seed, inner: Mutex::default() }
    }

    /// What a restart leaves of a queue: leases end without counting as attempts, and turns are
    /// taken from the beginning.
    pub fn restart(&self) {
        let mut inner = self.lock();
        inner.turns = Turns::default();
        inner.last_id = inner.jobs.last_key_value().map_or(0, |(id, _)| *id);
        for entry in inner.jobs.values_mut() {
            if let State::Leased { .. } = entry.state {
                entry.state = State::Waiting;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retry(&self, entry: &mut Entry, reason: &str, not_before: Option<Millis>, now: Millis) {
        entry.fail(reason);
        entry.job.attempts += 1;
        if entry.job.attempts < self.policy.max_attempts {
            let delay = self.policy.delay(self.seed, entry.job.id, entry.job.attempts);
            let own = now.plus(delay);
            entry.job.not_before = not_before.map_or(own, |wish| wish.max(own));
            entry.state = State::Waiting;
        }
    }

    /// Whether the job stays.
    fn finish(&self, entry: &mut Entry, finish: &Finish, now: Millis) -> bool {
        let State::Leased { again } = entry.state else {
            return true;
        };
        entry.state = State::Waiting;
        match finish {
            Finish::Done => {
                let Some(not_before) = again else {
                    return false;
                };
                entry.job.last_error = None;
                entry.job.not_before = not_before;
            }
            Finish::Release => {}
            Finish::Retry { reason, not_before } => self.retry(entry, reason, *not_before, now),
            Finish::Dead { reason } => entry.fail(reason),
        }
        if let Some(not_before) = again {
            entry.push_again(not_before);
        }
        true
    }
}

impl Inner {
    fn push(&mut self, new: &NewJob) {
        let same = |entry: &&mut Entry| new.key.is_some() && entry.key == new.key;
        if let Some(entry) = self.jobs.values_mut().find(same) {
            entry.job.priority = entry.job.priority.min(new.priority);
            entry.push_again(new.not_before);
            return;
        }
        self.last_id += 1;
        let id = self.last_id;
        let NewJob { lane, task, priority, not_before, key } = new.clone();
        let job = Job { id, lane, task, priority, not_before, attempts: 0, last_error: None };
        self.jobs.insert(id, Entry { job, key, state: State::Waiting });
    }

    fn named(&self, wanted: i64) -> impl Iterator<Item = &Task> {
        self.jobs.values().map(|e| &e.job.task).filter(move |t| t.wanted().contains(&wanted))
    }

    fn count(&self, which: impl Fn(&Entry) -> bool) -> usize {
        self.jobs.values().filter(|entry| which(entry)).count()
    }
}

impl Queue for MemoryQueue {
    fn push(&self, jobs: &[NewJob]) -> Result<(), QueueError> {
        jobs.iter().try_for_each(NewJob::check)?;
        let mut inner = self.lock();
        jobs.iter().for_each(|new| inner.push(new));
        Ok(())
    }

    fn lease(
        &self,
        now: Millis,
        accept: &Accept<'_>,
        limit: usize,
    ) -> Result<Vec<Job>, QueueError> {
        let mut inner = self.lock();
        let due = |e: &&Entry| e.is_due(now) && accept(&e.job.lane, &e.job.task);
        let mut due: Vec<Job> = inner.jobs.values().filter(due).map(|e| e.job.clone()).collect();
        due.sort_by_key(|job| (inner.turns.rank(job), place(job)));
        let Some(best) = due.first().map(|job| inner.turns.rank(job)) else {
            return Ok(due);
        };
        due.retain(|job| inner.turns.rank(job) == best);
        due.truncate(limit);
        for job in &due {
            let entry = inner.jobs.get_mut(&job.id).expect("found above");
            entry.state = State::Leased { again: None };
        }
        if let Some(job) = due.first() {
            inner.turns.served(job);
        }
        Ok(due)
    }

    fn commit(
        &self,
        finished: &[(u64, Finish)],
        held: &[HeldPage],
        now: Millis,
    ) -> Result<(), QueueError> {
        held.iter().try_for_each(HeldPage::check)?;
        let mut inner = self.lock();
        for (id, finish) in finished {
            let stays = inner.jobs.get_mut(id).is_none_or(|entry| self.finish(entry, finish, now));
            if !stays {
                inner.jobs.remove(id);
            }
        }
        inner.held.extend(held.iter().map(|h| ((h.wanted, h.page), h.bits.clone())));
        Ok(())
    }

    fn held(&self, wanted: i64, page: u32) -> Result<Option<Vec<u8>>, QueueError> {
        Ok(self.lock().held.get(&(wanted, page)).cloned())
    }

    fn health(&self) -> Result<(), QueueError> {
        Ok(())
    }

    fn set_stamp(&self, stamp: u64) -> Result<(), QueueError> {
        self.lock().stamp = Some(stamp);
        Ok(())
    }

    fn stamp(&self) -> Result<Option<u64>, QueueError> {
        Ok(self.lock().stamp)
    }

    fn forget(&self, wanted: i64) -> Result<(), QueueError> {
        let mut inner = self.lock();
        inner.held.retain(|(file, _), _| *file != wanted);
        inner.jobs.retain(|_, entry| entry.leave_out(&[wanted]));
        Ok(())
    }

    fn keep_to(&self, lane: &Lane, wanted: &[i64]) -> Result<(), QueueError> {
        let stays = |entry: &Entry| entry.job.lane == *lane || entry.is_leased_bundle();
        self.lock().jobs.retain(|_, entry| stays(entry) || entry.leave_out(wanted));
        Ok(())
    }

    fn wake(&self, lanes: &dyn Fn(&Lane) -> bool, now: Millis) -> Result<usize, QueueError> {
        let mut inner = self.lock();
        let asleep = |e: &&mut Entry| e.is_delayed(now) && lanes(&e.job.lane);
        let woken = inner.jobs.values_mut().filter(asleep);
        Ok(woken.map(|entry| entry.job.not_before = now).count())
    }

    fn next_due(&self, now: Millis) -> Option<Millis> {
        let inner = self.lock();
        inner.jobs.values().filter(|e| e.is_delayed(now)).map(|e| e.job.not_before).min()
    }

    fn window(&self, wanted: i64) -> Vec<ChunkRange> {
        let range = |task: &Task| match *task {
            Task::Range { first, count, .. } => Some(ChunkRange { first, count }),
            _ => None,
        };
        let mut ranges: Vec<_> = self.lock().named(wanted).filter_map(range).collect();
        ranges.sort();
        ranges
    }

    fn pending(&self, lane: &Lane, kind: Kind) -> usize {
        let inner = self.lock();
        let alive = inner.jobs.values().filter(|entry| entry.state != State::Dead);
        alive.filter(|e| e.job.lane == *lane && e.job.task.kind() == kind).count()
    }

    fn named(&self, wanted: i64) -> Vec<(Lane, bool)> {
        let inner = self.lock();
        let naming = inner.jobs.values().filter(|e| e.job.task.wanted().contains(&wanted));
        naming.map(|e| (e.job.lane, e.state == State::Dead)).collect()
    }

    fn dead(&self) -> Vec<Job> {
        let inner = self.lock();
        let dead = inner.jobs.values().filter(|entry| entry.state == State::Dead);
        dead.map(|entry| entry.job.clone()).collect()
    }

    fn retry_dead(&self, which: &dyn Fn(&Job) -> bool) -> Result<usize, QueueError> {
        let mut inner = self.lock();
        let chosen = |e: &&mut Entry| e.state == State::Dead && which(&e.job);
        let revived = inner.jobs.values_mut().filter(chosen);
        Ok(revived.map(|entry| entry.push_again(Millis(0))).count())
    }

    fn counts(&self, now: Millis) -> Counts {
        let inner = self.lock();
        Counts {
            due: inner.count(|entry| entry.is_due(now)),
            leased: inner.count(|entry| matches!(entry.state, State::Leased { .. })),
            delayed: inner.count(|entry| entry.is_delayed(now)),
            dead: inner.count(|entry| entry.state == State::Dead),
        }
    }

    fn len(&self) -> usize {
        self.lock().jobs.len()
    }
}

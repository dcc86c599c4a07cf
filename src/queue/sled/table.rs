//! The window of jobs in memory, and what each call changes on disk.
//!
//! Owns: every job with its state, the indexes by key and by file. Not here: files, waiting for them.
//! Invariant: a change made here is in the list of changes handed out with it, except for leases,
//! which are nowhere but here.
//! Spec: QUEUE-1 to QUEUE-9.

use std::collections::{BTreeSet, HashMap};

use zotferry_protocol::ids::Millis;
use zotferry_protocol::manifest::ChunkRange;

use super::super::Kind;
use super::records::{self, Change};
use crate::queue::job::kept_reason;
use crate::queue::schedule::Schedule;
use crate::queue::{Accept, Counts, Finish, Job, Lane, NewJob, Policy, Task};

/// A job with what only the queue knows of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) job: Job,
    pub(super) key: Option<Vec<u8>>,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    /// In the schedule, due or delayed.
    Waiting,
    /// With a worker; `again` when it was pushed meanwhile, for that time.
    Leased {
        again: Option<Millis>,
    },
    Dead,
}

impl Row {
    /// The same key was pushed, for `not_before`.
    fn push_again(&mut self, not_before: Millis) {
        match &mut self.state {
            State::Leased { again } => {
                *again = Some(again.map_or(not_before, |at| at.min(not_before)));
                return;
            }
            State::Waiting => self.job.not_before = self.job.not_before.min(not_before),
            State::Dead => self.job.not_before = not_before,
        }
        self.state = State::Waiting;
        self.job.attempts = 0;
    }

    fn give_up(&mut self, reason: &str) {
        self.job.last_error = Some(kept_reason(reason));
        self.state = State::Dead;
    }
}

/// The window.
pub(super) struct Table {
    policy: Policy,
    seed: u64,
    last_id: u64,
    rows: HashMap<u64, Row>,
    keys: HashMap<Vec<u8>, u64>,
    /// Every file that a job names, with the job.
    files: BTreeSet<(i64, u64)>,
    dead: BTreeSet<u64>,
    leased: usize,
    schedule: Schedule,
}

impl Table {
    /// The window as a restart finds it.
    pub(super) fn new(policy: Policy, seed: u64, rows: Vec<Row>) -> Self {
        let mut table = Self {
            policy,
            seed,
            last_id: rows.iter().map(|row| row.job.id).max().unwrap_or(0),
            rows: HashMap::new(),
            keys: HashMap::new(),
            files: BTreeSet::new(),
            dead: BTreeSet::new(),
            leased: 0,
            schedule: Schedule::default(),
        };
        rows.into_iter().for_each(|row| table.insert(row));
        table
    }

    fn insert(&mut self, row: Row) {
        let id = row.job.id;
        self.files.extend(row.job.task.wanted().iter().map(|file| (*file, id)));
        if let Some(key) = &row.key {
            self.keys.insert(key.clone(), id);
        }
        match row.state {
            State::Waiting => self.schedule.insert(&row.job),
            State::Leased { .. } => self.leased += 1,
            State::Dead => _ = self.dead.insert(id),
        }
        self.rows.insert(id, row);
    }

    fn remove(&mut self, id: u64) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        row.job.task.wanted().iter().for_each(|file| _ = self.files.remove(&(*file, id)));
        if let Some(key) = &row.key {
            self.keys.remove(key);
        }
        match row.state {
            State::Waiting => self.schedule.remove(&row.job),
            State::Leased { .. } => self.leased -= 1,
            State::Dead => _ = self.dead.remove(&id),
        }
        Some(row)
    }

    /// Changes one row; `edit` says whether it stays.
    fn edit(&mut self, id: u64, changes: &mut Vec<Change>, edit: impl FnOnce(&mut Row) -> bool) {
        let Some(before) = self.remove(id) else {
            return;
        };
        let mut row = before.clone();
        if !edit(&mut row) {
            changes.push(Change::Delete(records::job_key(id)));
            return;
        }
        let on_disk = |row: &Row| row.state == State::Dead;
        if row.job != before.job || on_disk(&row) != on_disk(&before) {
            changes.push(records::put(&row));
        }
        self.insert(row);
    }

    pub(super) fn push(&mut self, new: &NewJob, changes: &mut Vec<Change>) {
        let queued = new.key.as_ref().and_then(|key| self.keys.get(key).copied());
        if let Some(id) = queued {
            return self.edit(id, changes, |row| {
                row.job.priority = row.job.priority.min(new.priority);
                row.push_again(new.not_before);
                true
            });
        }
        self.last_id += 1;
        let NewJob { lane, task, priority, not_before, key } = new.clone();
        let id = self.last_id;
        let job = Job { id, lane, task, priority, not_before, attempts: 0, last_error: None };
        let row = Row { job, key, state: State::Waiting };
        changes.push(records::put(&row));
        self.insert(row);
    }

    pub(super) fn lease(&mut self, now: Millis, accept: &Accept<'_>, limit: usize) -> Vec<Job> {
        let Self { schedule, rows, .. } = self;
        let accept = |id| rows.get(&id).is_some_and(|Row { job, .. }| accept(&job.lane, &job.task));
        let ids = schedule.take(now, &accept, limit);
        self.leased += ids.len();
        let lease = |id: u64| {
            let row = self.rows.get_mut(&id).expect("the schedule holds jobs of the window only");
            row.state = State::Leased { again: None };
            row.job.clone()
        };
        ids.into_iter().map(lease).collect()
    }

    pub(super) fn finish(
        &mut self,
        id: u64,
        finish: &Finish,
        now: Millis,
        changes: &mut Vec<Change>,
    ) {
        let (policy, seed) = (self.policy, self.seed);
        self.edit(id, changes, |row| {
            let State::Leased { again } = row.state else {
                return true;
            };
            row.state = State::Waiting;
            match finish {
                Finish::Done if again.is_none() => return false,
                // Dead for the moment: the push below revives it with its own time.
                Finish::Done => (row.job.last_error, row.state) = (None, State::Dead),
                Finish::Release => {}
                Finish::Retry { reason, not_before } => {
                    row.give_up(reason);
                    row.job.attempts += 1;
                    if row.job.attempts < policy.max_attempts {
                        let delay = policy.delay(seed, id, row.job.attempts);
                        // QUEUE-12: a wish may lengthen the pause; it shortens none.
                        let own = now.plus(delay);
                        row.job.not_before = not_before.map_or(own, |wish| wish.max(own));
                        row.state = State::Waiting;
                    }
                }
                Finish::Dead { reason } => row.give_up(reason),
            }
            again.into_iter().for_each(|not_before| row.push_again(not_before));
            true
        });
    }

    pub(super) fn forget(&mut self, wanted: i64, changes: &mut Vec<Change>) {
        changes.push(Change::DeleteAll(records::held_prefix(wanted)));
        for id in self.naming(wanted) {
            self.leave_out(id, wanted, changes);
        }
    }

    pub(super) fn keep_to(&mut self, lane: &Lane, wanted: &[i64], changes: &mut Vec<Change>) {
        for &file in wanted {
            for id in self.naming(file) {
                let row = &self.rows[&id];
                let asked = matches!(row.state, State::Leased { .. })
                    && row.job.task.kind() == Kind::Bundle;
                if row.job.lane != *lane && !asked {
                    self.leave_out(id, file, changes);
                }
            }
        }
    }

    /// Takes a file out of a job that names it.
    fn leave_out(&mut self, id: u64, wanted: i64, changes: &mut Vec<Change>) {
        self.edit(id, changes, |row| match &mut row.job.task {
            Task::Bundle { wanted: files } => {
                files.retain(|file| *file != wanted);
                !files.is_empty()
            }
            _ => false,
        });
    }

    pub(super) fn wake(
        &mut self,
        lanes: &dyn Fn(&Lane) -> bool,
        now: Millis,
        changes: &mut Vec<Change>,
    ) -> usize {
        let asleep = |id: &u64| self.rows.get(id).is_some_and(|row| lanes(&row.job.lane));
        let woken: Vec<u64> = self.schedule.delayed(now).filter(asleep).collect();
        for id in &woken {
            self.edit(*id, changes, |row| {
                row.job.not_before = now;
                true
            });
        }
        woken.len()
    }

    pub(super) fn retry_dead(
        &mut self,
        which: &dyn Fn(&Job) -> bool,
        changes: &mut Vec<Change>,
    ) -> usize {
        let chosen: Vec<u64> = self.dead().into_iter().filter(which).map(|job| job.id).collect();
        for id in &chosen {
            self.edit(*id, changes, |row| {
                row.push_again(Millis(0));
                true
            });
        }
        chosen.len()
    }

    pub(super) fn next_due(&mut self, now: Millis) -> Option<Millis> {
        self.schedule.next_due(now)
    }

    pub(super) fn dead(&self) -> Vec<Job> {
        self.dead.iter().map(|id| self.rows[id].job.clone()).collect()
    }

    /// The jobs that name a file, by id.
    fn naming(&self, wanted: i64) -> Vec<u64> {
        self.files.range((wanted, 0)..=(wanted, u64::MAX)).map(|(_, id)| *id).collect()
    }

    pub(super) fn pending(&self, lane: &Lane, kind: Kind) -> usize {
        let alive = self.rows.values().filter(|row| !self.dead.contains(&row.job.id));
        alive.filter(|row| row.job.lane == *lane && row.job.task.kind() == kind).count()
    }

    pub(super) fn named(&self, wanted: i64) -> Vec<(Lane, bool)> {
        let lane = |id: u64| (self.rows[&id].job.lane, self.dead.contains(&id));
        self.naming(wanted).into_iter().map(lane).collect()
    }

    pub(super) fn window(&self, wanted: i64) -> Vec<ChunkRange> {
        let range = |id: u64| match self.rows[&id].job.task {
            Task::Range { first, count, .. } => Some(ChunkRange { first, count }),
            _ => None,
        };
        let mut ranges: Vec<_> = self.naming(wanted).into_iter().filter_map(range).collect();
        ranges.sort();
        ranges
    }

    pub(super) fn counts(&mut self, now: Millis) -> Counts {
        let (due, delayed) = self.schedule.counts(now);
        Counts { due, leased: self.leased, delayed, dead: self.dead.len() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

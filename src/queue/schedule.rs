//! Which jobs come next, without looking through all of them.
//!
//! Owns: the order of due jobs, the clock of delayed ones, whose turn it is. Not here: the jobs
//! themselves, leases, disks.
//! Invariant: a job stands in one place, due or delayed; a lease costs as many steps as there are
//! groups (lanes and kinds) at one priority, however many jobs they have.
//! Spec: QUEUE-2, QUEUE-3.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included};

use zotferry_protocol::ids::Millis;

use super::{Job, Kind, Lane, Task};

/// Where a due job stands; the order of the fields is the order of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    priority: u8,
    site: i64,
    channel: i64,
    kind: Kind,
    /// The file and the first chunk of a range; 0 for other tasks, which come by id.
    wanted: i64,
    first: u32,
    pub(super) id: u64,
}

/// The part of a [`Place`] that a group of jobs has in common.
#[derive(Clone, Copy)]
enum Common {
    Priority,
    Kind,
    File,
}

impl Place {
    /// Where a job stands when it is due.
    pub(super) fn of(job: &Job) -> Self {
        let (wanted, first) = match job.task {
            Task::Range { wanted, first, .. } => (wanted, first),
            _ => (0, 0),
        };
        let (priority, id, kind) = (job.priority, job.id, job.task.kind());
        Self {
            priority,
            site: job.lane.site,
            channel: job.lane.channel,
            kind,
            wanted,
            first,
            id,
        }
    }

    fn lane(&self) -> Lane {
        Lane {
            channel: self.channel,
            site: self.site,
        }
    }

    /// The last place that has so much in common with this one.
    fn end_of(self, common: Common) -> Self {
        let file = Self {
            first: u32::MAX,
            id: u64::MAX,
            ..self
        };
        let kind = Self {
            wanted: i64::MAX,
            ..file
        };
        match common {
            Common::File => file,
            Common::Kind => kind,
            Common::Priority => Self {
                site: i64::MAX,
                channel: i64::MAX,
                kind: Kind::Range,
                ..kind
            },
        }
    }
}

/// When a site, a lane of it, a kind of task in that lane had its last turn; never is 0.
/// Grows with the lanes served since the start, not with jobs.
#[derive(Default)]
struct Turns {
    last: u64,
    sites: HashMap<i64, u64>,
    lanes: HashMap<Lane, u64>,
    kinds: HashMap<(Lane, Kind), u64>,
}

impl Turns {
    /// Groups of one priority are served in ascending order of this.
    fn rank(&self, head: &Place) -> (u64, i64, u64, i64, u64, Kind) {
        let lane = head.lane();
        let site = self.sites.get(&lane.site).copied().unwrap_or(0);
        let channel = self.lanes.get(&lane).copied().unwrap_or(0);
        let kind = self.kinds.get(&(lane, head.kind)).copied().unwrap_or(0);
        (site, lane.site, channel, lane.channel, kind, head.kind)
    }

    fn served(&mut self, head: &Place) {
        self.last += 1;
        self.sites.insert(head.site, self.last);
        self.lanes.insert(head.lane(), self.last);
        self.kinds.insert((head.lane(), head.kind), self.last);
    }
}

/// The jobs that wait for a worker or for their time.
#[derive(Default)]
pub(super) struct Schedule {
    due: BTreeSet<Place>,
    delayed: BTreeMap<(Millis, u64), Place>,
    turns: Turns,
}

impl Schedule {
    /// Adds a job that is not in it.
    pub(super) fn insert(&mut self, job: &Job) {
        self.delayed
            .insert((job.not_before, job.id), Place::of(job));
    }

    /// Takes a job out, as it was when it was inserted.
    pub(super) fn remove(&mut self, job: &Job) {
        if self.delayed.remove(&(job.not_before, job.id)).is_none() {
            self.due.remove(&Place::of(job));
        }
    }

    /// Makes due what has reached its time.
    fn ripen(&mut self, now: Millis) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            self.due.insert(entry.remove());
        }
    }

    /// Takes out the jobs whose turn it is, at most `limit` of one group. `accept` is asked of the
    /// first job of each file in a group.
    pub(super) fn take(
        &mut self,
        now: Millis,
        accept: &dyn Fn(u64) -> bool,
        limit: usize,
    ) -> Vec<u64> {
        self.ripen(now);
        let mut next = self.due.first().copied().filter(|_| limit > 0);
        while let Some(first) = next {
            let mut groups = self.heads(first, Common::Priority, Common::Kind);
            groups.sort_by_cached_key(|head| self.turns.rank(head));
            for head in groups {
                let taken = self.of_group(head, accept, limit);
                if !taken.is_empty() {
                    self.turns.served(&head);
                    taken.iter().for_each(|place| _ = self.due.remove(place));
                    return taken.iter().map(|place| place.id).collect();
                }
            }
            next = self.after(first.end_of(Common::Priority));
        }
        Vec::new()
    }

    fn after(&self, place: Place) -> Option<Place> {
        self.due
            .range((Excluded(place), Included(Place::END)))
            .next()
            .copied()
    }

    /// The first job of each inner group within the outer group that begins with `first`.
    fn heads(&self, first: Place, outer: Common, inner: Common) -> Vec<Place> {
        let end = first.end_of(outer);
        let next = |head: &Place| self.after(head.end_of(inner)).filter(|place| *place <= end);
        std::iter::successors(Some(first), next).collect()
    }

    /// The first `limit` jobs of the group that begins with `head`, of acceptable files only.
    fn of_group(&self, head: Place, accept: &dyn Fn(u64) -> bool, limit: usize) -> Vec<Place> {
        let end = head.end_of(Common::Kind);
        let mut taken = Vec::new();
        let mut next = Some(head);
        while let Some(file) = next.filter(|place| *place <= end && taken.len() < limit) {
            let last = file.end_of(Common::File);
            if accept(file.id) {
                taken.extend(self.due.range(file..=last).take(limit - taken.len()));
            }
            next = self.after(last);
        }
        taken
    }

    /// The delayed jobs, by time.
    pub(super) fn delayed(&mut self, now: Millis) -> impl Iterator<Item = u64> {
        self.ripen(now);
        self.delayed.values().map(|place| place.id)
    }

    /// When the next delayed job becomes due.
    pub(super) fn next_due(&mut self, now: Millis) -> Option<Millis> {
        self.ripen(now);
        self.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// How many are due, and how many delayed.
    pub(super) fn counts(&mut self, now: Millis) -> (usize, usize) {
        self.ripen(now);
        (self.due.len(), self.delayed.len())
    }
}

impl Place {
    /// Nothing stands after it.
    const END: Self = Self {
        priority: u8::MAX,
        site: i64::MAX,
        channel: i64::MAX,
        kind: Kind::Range,
        wanted: i64::MAX,
        first: u32::MAX,
        id: u64::MAX,
    };
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn job(id: u64, site: i64, channel: i64, task: Task) -> Job {
        let lane = Lane { channel, site };
        Job {
            id,
            lane,
            task,
            priority: 1,
            not_before: Millis(0),
            attempts: 0,
            last_error: None,
        }
    }

    /// QUEUE-3: a lease asks once per file of a lane and once per other kind, not once per job.
    #[test]
    fn lease_steps_over_jobs_it_does_not_take() {
        let mut schedule = Schedule::default();
        for id in 0..3000 {
            let wanted = 1 + (id % 3) as i64;
            let first = id as u32;
            schedule.insert(&job(
                id,
                1,
                1,
                Task::Range {
                    wanted,
                    first,
                    count: 1,
                },
            ));
            schedule.insert(&job(10_000 + id, 1, 1, Task::Bundle { wanted: vec![9] }));
        }
        let asked = Cell::new(0);
        let refuse = |_| {
            asked.set(asked.get() + 1);
            false
        };
        assert!(schedule.take(Millis(0), &refuse, 64).is_empty());
        assert_eq!(asked.get(), 3 + 1);
    }

    /// The last possible place is found and passed like any other.
    #[test]
    fn extreme_names_are_ordinary() {
        let mut schedule = Schedule::default();
        let task = Task::Range {
            wanted: i64::MAX,
            first: u32::MAX,
            count: 1,
        };
        let last = Job {
            priority: u8::MAX,
            ..job(u64::MAX, i64::MAX, i64::MAX, task)
        };
        schedule.insert(&last);
        schedule.insert(&job(0, i64::MIN, i64::MIN, Task::Announce));
        assert_eq!(schedule.take(Millis(0), &|id| id > 0, 9), [u64::MAX]);
        assert_eq!(schedule.take(Millis(0), &|_| true, 9), [0]);
        assert_eq!(schedule.counts(Millis(0)), (0, 0));
    }
}

//! Which jobs come next, without looking through all of them.
//!
//! Owns: the order of due jobs, the clock of delayed ones, whose turn it is. Not here: the jobs
//! themselves, leases, disks.
//! Invariant: a job stands in one place, due or delayed; sites and lanes stand in line exactly while
//! they have due jobs. A lease steps over groups (sites, lanes, kinds, files), never over jobs.
//! Spec: QUEUE-2, QUEUE-3.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included};

use zotferry_protocol::ids::Millis;

use super::{Job, Kind, Task};

/// Where a due job stands; the order of the fields is the order of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: u8,
    site: i64,
    channel: i64,
    kind: Kind,
    /// The file and the first chunk of a range; 0 for other tasks, which come by id.
    wanted: i64,
    first: u32,
    id: u64,
}

/// The fields of a [`Place`] that a group of jobs has in common: those up to the named one.
#[derive(Clone, Copy)]
enum Upto {
    Site,
    Channel,
    Kind,
    File,
}

impl Place {
    fn of(job: &Job) -> Self {
        let (wanted, first) = match job.task {
            Task::Range { wanted, first, .. } => (wanted, first),
            _ => (0, 0),
        };
        let (priority, id, kind) = (job.priority, job.id, job.task.kind());
        Self { priority, site: job.lane.site, channel: job.lane.channel, kind, wanted, first, id }
    }

    /// The first and the last place of the group that this one belongs to.
    fn group(self, upto: Upto) -> (Self, Self) {
        let (mut from, mut to) = (self, self);
        (from.first, to.first) = (0, u32::MAX);
        (from.id, to.id) = (0, u64::MAX);
        if !matches!(upto, Upto::File) {
            (from.wanted, to.wanted) = (i64::MIN, i64::MAX);
        }
        if matches!(upto, Upto::Site | Upto::Channel) {
            (from.kind, to.kind) = (Kind::Announce, Kind::Range);
        }
        if matches!(upto, Upto::Site) {
            (from.channel, to.channel) = (i64::MIN, i64::MAX);
        }
        (from, to)
    }
}

/// Sites of one priority in the order in which they are served, and lanes of one site.
type SiteInLine = (u8, u64, i64);
type LaneInLine = (u8, i64, u64, i64);

/// When each had its last turn at a priority; never is 0. Grows with the lanes served since the
/// start, not with jobs.
#[derive(Default)]
struct Turns {
    last: u64,
    sites: HashMap<(u8, i64), u64>,
    lanes: HashMap<(u8, i64, i64), u64>,
    kinds: HashMap<(u8, i64, i64, Kind), u64>,
}

impl Turns {
    fn site(&self, Place { priority, site, .. }: Place) -> SiteInLine {
        (priority, self.sites.get(&(priority, site)).copied().unwrap_or(0), site)
    }

    fn lane(&self, Place { priority, site, channel, .. }: Place) -> LaneInLine {
        let turn = self.lanes.get(&(priority, site, channel)).copied().unwrap_or(0);
        (priority, site, turn, channel)
    }

    fn kind(&self, Place { priority, site, channel, kind, .. }: Place) -> (u64, Kind) {
        (self.kinds.get(&(priority, site, channel, kind)).copied().unwrap_or(0), kind)
    }

    fn served(&mut self, Place { priority, site, channel, kind, .. }: Place) {
        self.last += 1;
        self.sites.insert((priority, site), self.last);
        self.lanes.insert((priority, site, channel), self.last);
        self.kinds.insert((priority, site, channel, kind), self.last);
    }
}

/// The jobs that wait for a worker or for their time.
#[derive(Default)]
pub(super) struct Schedule {
    due: BTreeSet<Place>,
    sites: BTreeSet<SiteInLine>,
    lanes: BTreeSet<LaneInLine>,
    turns: Turns,
    delayed: BTreeMap<(Millis, u64), Place>,
}

impl Schedule {
    /// Adds a job that is not in it.
    pub(super) fn insert(&mut self, job: &Job) {
        self.delayed.insert((job.not_before, job.id), Place::of(job));
    }

    /// Takes a job out, as it was when it was inserted.
    pub(super) fn remove(&mut self, job: &Job) {
        if self.delayed.remove(&(job.not_before, job.id)).is_none() {
            self.remove_due(Place::of(job));
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
        let taken = self.choose(accept, limit);
        if let Some(head) = taken.first() {
            self.serve(*head);
        }
        taken.iter().for_each(|place| self.remove_due(*place));
        taken.iter().map(|place| place.id).collect()
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

    /// Makes due what has reached its time.
    fn ripen(&mut self, now: Millis) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let place = entry.remove();
            self.insert_due(place);
        }
    }

    fn insert_due(&mut self, place: Place) {
        if !self.has_any(place, Upto::Channel) {
            self.sites.insert(self.turns.site(place));
            self.lanes.insert(self.turns.lane(place));
        }
        self.due.insert(place);
    }

    fn remove_due(&mut self, place: Place) {
        self.due.remove(&place);
        if !self.has_any(place, Upto::Channel) {
            self.lanes.remove(&self.turns.lane(place));
            if !self.has_any(place, Upto::Site) {
                self.sites.remove(&self.turns.site(place));
            }
        }
    }

    fn has_any(&self, place: Place, upto: Upto) -> bool {
        let (from, to) = place.group(upto);
        self.due.range(from..=to).next().is_some()
    }

    /// Sends the site, the lane and the kind to the end of their lines.
    fn serve(&mut self, head: Place) {
        self.sites.remove(&self.turns.site(head));
        self.lanes.remove(&self.turns.lane(head));
        self.turns.served(head);
        self.sites.insert(self.turns.site(head));
        self.lanes.insert(self.turns.lane(head));
    }

    fn choose(&self, accept: &dyn Fn(u64) -> bool, limit: usize) -> Vec<Place> {
        for (priority, _, site) in &self.sites {
            let line = (*priority, *site, 0, i64::MIN)..=(*priority, *site, u64::MAX, i64::MAX);
            for (_, _, _, channel) in self.lanes.range(line) {
                for head in self.kinds(*priority, *site, *channel) {
                    let taken = self.of_kind(head, accept, limit);
                    if !taken.is_empty() {
                        return taken;
                    }
                }
            }
        }
        Vec::new()
    }

    /// The first due job of each kind in a lane, in the order of their turns.
    fn kinds(&self, priority: u8, site: i64, channel: i64) -> Vec<Place> {
        let any = Place { priority, site, channel, kind: Kind::Range, wanted: 0, first: 0, id: 0 };
        let (from, to) = any.group(Upto::Channel);
        let first = self.due.range(from..=to).next().copied();
        let next = |head: &Place| self.next_group(*head, Upto::Kind, to);
        let mut heads: Vec<_> = std::iter::successors(first, next).collect();
        heads.sort_by_key(|head| self.turns.kind(*head));
        heads
    }

    /// The first `limit` jobs of a lane and kind, of acceptable files only.
    fn of_kind(&self, head: Place, accept: &dyn Fn(u64) -> bool, limit: usize) -> Vec<Place> {
        let (_, end) = head.group(Upto::Kind);
        let mut taken = Vec::new();
        let mut next = Some(head);
        while let Some(file) = next.filter(|_| taken.len() < limit) {
            if accept(file.id) {
                let (from, to) = file.group(Upto::File);
                taken.extend(self.due.range(from..=to).take(limit - taken.len()));
            }
            next = self.next_group(file, Upto::File, end);
        }
        taken
    }

    /// The first place up to `end` that is not in the group of this one.
    fn next_group(&self, place: Place, upto: Upto, end: Place) -> Option<Place> {
        let (_, last) = place.group(upto);
        // Stepping is cheaper than searching when the group is small.
        let near = self.due.range(place..=end).take(4).find(|next| **next > last);
        near.or_else(|| self.due.range((Excluded(last), Included(end))).next()).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::queue::Lane;

    fn job(id: u64, site: i64, channel: i64, task: Task) -> Job {
        let lane = Lane { channel, site };
        Job { id, lane, task, priority: 1, not_before: Millis(0), attempts: 0, last_error: None }
    }

    /// QUEUE-3: a lease asks once per file of a lane and once per other kind, not once per job.
    #[test]
    fn lease_steps_over_jobs_it_does_not_take() {
        let mut schedule = Schedule::default();
        for id in 0..3000 {
            let wanted = 1 + (id % 3) as i64;
            let first = id as u32;
            schedule.insert(&job(id, 1, 1, Task::Range { wanted, first, count: 1 }));
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
        let task = Task::Range { wanted: i64::MAX, first: u32::MAX, count: 1 };
        let last = Job { priority: u8::MAX, ..job(u64::MAX, i64::MAX, i64::MAX, task) };
        schedule.insert(&last);
        schedule.insert(&job(0, i64::MIN, i64::MIN, Task::Announce));
        assert_eq!(schedule.take(Millis(0), &|id| id > 0, 9), [u64::MAX]);
        assert_eq!(schedule.take(Millis(0), &|_| true, 9), [0]);
        assert_eq!(schedule.counts(Millis(0)), (0, 0));
    }
}

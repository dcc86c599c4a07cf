//! Both backends behind one handle, and short ways to say a job.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use uuid::Uuid;
use zotferry::queue::sled::Options;
use zotferry::queue::{
    Job, Lane, MemoryQueue, NewJob, Opened, Policy, Queue, Rebuilt, SledQueue, Task,
};
use zotferry_protocol::ids::Millis;

pub(crate) const POLICY: Policy = Policy { base: 100, cap: 10_000, max_attempts: 4 };
pub(crate) const SEED: u64 = 7;
pub(crate) const INSTANCE: Uuid = Uuid::from_bytes([5; 16]);

/// A queue that can be restarted.
pub(crate) trait Backend {
    fn queue(&self) -> &dyn Queue;
    fn restart(&mut self);
}

pub(crate) struct Memory(MemoryQueue);

impl Memory {
    pub(crate) fn fresh() -> Self {
        Self(MemoryQueue::new(POLICY, SEED))
    }
}

impl Backend for Memory {
    fn queue(&self) -> &dyn Queue {
        &self.0
    }

    fn restart(&mut self) {
        self.0.restart();
    }
}

pub(crate) struct Sled {
    folder: TempDir,
    queue: Option<SledQueue>,
}

impl Sled {
    pub(crate) fn fresh() -> Self {
        let folder = TempDir::new().unwrap();
        let queue = Some(open(&folder.path().join("queue")).queue);
        Self { folder, queue }
    }
}

impl Backend for Sled {
    fn queue(&self) -> &dyn Queue {
        self.queue.as_ref().unwrap()
    }

    fn restart(&mut self) {
        self.queue = None;
        let opened = open(&self.folder.path().join("queue"));
        assert_eq!(opened.rebuilt, Rebuilt::No);
        self.queue = Some(opened.queue);
    }
}

pub(crate) fn options() -> Options {
    Options::new(POLICY, SEED)
}

/// Opens the queue at `path` at time 1000.
pub(crate) fn open(path: &Path) -> Opened {
    SledQueue::open_or_rebuild(path, &INSTANCE, &options(), Millis(1000)).unwrap()
}

/// A folder for a queue, gone with the first value.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue");
    (folder, path)
}

/// Copies the folder of a closed queue.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Runs each body against both backends.
macro_rules! for_both {
    ($($(#[$doc:meta])* $name:ident)*) => {
        mod memory {
            $($(#[$doc])* #[test] fn $name() {
                super::$name(&mut crate::backends::Memory::fresh());
            })*
        }
        mod sled {
            $($(#[$doc])* #[test] fn $name() {
                super::$name(&mut crate::backends::Sled::fresh());
            })*
        }
    };
}
pub(crate) use for_both;

pub(crate) fn lane(channel: i64, site: i64) -> Lane {
    Lane { channel, site }
}

/// A job of priority 5, due at once, in channel 1's lane to site 1.
pub(crate) fn new(task: Task) -> NewJob {
    NewJob { lane: lane(1, 1), task, priority: 5, not_before: Millis(0), key: None }
}

/// Eight chunks of a file from `first`.
pub(crate) fn range(wanted: i64, first: u32) -> NewJob {
    new(Task::Range { wanted, first, count: 8 })
}

pub(crate) fn bundle(wanted: &[i64]) -> NewJob {
    new(Task::Bundle { wanted: wanted.to_vec() })
}

pub(crate) fn keyed(key: &str) -> NewJob {
    NewJob { key: Some(key.into()), ..new(Task::Deliver) }
}

pub(crate) fn at(now: u64) -> Millis {
    Millis(now)
}

/// Leases without a filter.
pub(crate) fn lease(queue: &dyn Queue, now: u64, limit: usize) -> Vec<Job> {
    queue.lease(Millis(now), &|_, _| true, limit).unwrap()
}

/// Leases exactly one job.
pub(crate) fn lease_one(queue: &dyn Queue, now: u64) -> Job {
    let mut jobs = lease(queue, now, 1);
    jobs.pop().expect("a job is due")
}

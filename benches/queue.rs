//! What the queue costs on disk: a million batches pass through it, then it is opened again.
//!
//! `cargo bench --bench queue [-- BATCHES]`, by default 1,000,000. Batches are pushed 256 at a time,
//! leased 64 at a time and finished with the bitmap that they earned, each step durable as in a hub.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use uuid::Uuid;
use zotferry::queue::{
    Finish, HeldPage, Lane, NewJob, Opened, Options, Policy, Queue, SledQueue, Task,
};
use zotferry_protocol::ids::Millis;

const PUSHED: u32 = 256;
const LEASED: usize = 64;
/// Chunks in a batch, and batches in a file: 1 GiB of 1 MiB chunks.
const COUNT: u32 = 4;
const PER_FILE: u32 = 256;
const NOW: Millis = Millis(1_800_000_000_000);

fn main() -> Result<(), Box<dyn Error>> {
    let batches = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let dir =
        tempfile::tempdir_in(std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()))?;
    let path = dir.path().join("queue");
    let queue = open(&path)?.queue;
    let begun = Instant::now();
    for first in (0..batches).step_by(PUSHED as usize) {
        pass(&queue, first..batches.min(first + PUSHED))?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rate = f64::from(batches) / seconds;
    println!("{batches} batches in {seconds:.1} s, {rate:.0} a second, {} syncs", queue.syncs());
    println!("left in the queue: {} jobs", queue.len());
    drop(queue);
    println!("on disk: {:.1} MiB", mib(&path)?);
    for opening in ["opened again", "and once more"] {
        let begun = Instant::now();
        let opened = open(&path)?;
        println!("{opening}: {:.0} ms, {:?}", begun.elapsed().as_secs_f64() * 1e3, opened.rebuilt);
        drop(opened);
        println!("on disk: {:.1} MiB", mib(&path)?);
    }
    Ok(())
}

fn open(path: &Path) -> Result<Opened, Box<dyn Error>> {
    let options = Options::new(Policy::default(), 1);
    Ok(SledQueue::open_or_rebuild(path, &Uuid::from_u128(1), &options, NOW)?)
}

/// Pushes some batches, leases and finishes them; a file whose last batch is done is forgotten.
fn pass(queue: &SledQueue, batches: std::ops::Range<u32>) -> Result<(), Box<dyn Error>> {
    let jobs: Vec<NewJob> = batches.clone().map(job).collect();
    queue.push(&jobs)?;
    loop {
        let leased = queue.lease(NOW, &|_, _| true, LEASED)?;
        let Some(last) = leased.last() else { break };
        let wanted = last.task.wanted()[0];
        let done: Vec<_> = leased.iter().map(|job| (job.id, Finish::Done)).collect();
        let held = HeldPage { wanted, page: 0, bits: vec![0xff; 128] };
        queue.commit(&done, &[held], NOW)?;
    }
    if batches.end.is_multiple_of(PER_FILE) {
        queue.forget(i64::from(batches.end / PER_FILE))?;
    }
    Ok(())
}

fn job(batch: u32) -> NewJob {
    let (file, place) = (batch / PER_FILE, batch % PER_FILE);
    NewJob {
        lane: Lane { channel: 1, site: 2 },
        task: Task::Range { wanted: i64::from(file) + 1, first: place * COUNT, count: COUNT },
        priority: 2,
        not_before: Millis(0),
        key: None,
    }
}

fn mib(path: &Path) -> std::io::Result<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes +=
            if meta.is_dir() { (mib(&entry.path())? * 1_048_576.0) as u64 } else { meta.len() };
    }
    Ok(bytes as f64 / 1_048_576.0)
}

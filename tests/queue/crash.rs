//! Killed at random moments, the queue loses nothing that it acknowledged, and opens.
//!
//! The test runs itself again as a child, which works in two threads and says on stdout what it is
//! about to do and what was acknowledged. `ZOTFERRY_CRASHES` sets the number of kills.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use zotferry::queue::{Finish, HeldPage, Queue, Rebuilt, SledQueue};

use crate::backends::*;

const TEST: &str = "crash::killed_queue_keeps_what_it_acknowledged";
const CHILD: &str = "ZOTFERRY_CRASH_CHILD";
const WORKERS: i64 = 2;

/// What one worker's file should look like: the ranges queued, and the number in its two pages.
#[derive(Debug, Clone, PartialEq, Default)]
struct Books {
    ranges: BTreeSet<u32>,
    stamp: u64,
}

/// One atomic change of the books.
#[derive(Debug, Clone)]
struct Entry {
    pushed: Vec<u32>,
    done: Vec<u32>,
    stamp: u64,
}

impl Books {
    fn of(queue: &SledQueue, worker: i64) -> Self {
        let page = |page| match queue.held(worker, page).unwrap() {
            Some(bits) => u64::from_le_bytes(bits.try_into().unwrap()),
            None => 0,
        };
        assert_eq!(page(0), page(1), "pages of one commit belong together");
        let ranges = queue.window(worker).iter().map(|range| range.first).collect();
        Self { ranges, stamp: page(0) }
    }

    fn with(&self, entry: &Entry) -> Self {
        let mut books = self.clone();
        books.ranges.extend(&entry.pushed);
        entry.done.iter().for_each(|first| _ = books.ranges.remove(first));
        books.stamp = books.stamp.max(entry.stamp);
        books
    }
}

/// As a child: pushes and commits until it is killed.
fn work(queue: &SledQueue, worker: i64) {
    let books = Books::of(queue, worker);
    let mut next = books.ranges.last().map_or(0, |last| last + 1);
    for stamp in books.stamp + 1.. {
        let jobs: Vec<_> = (next..next + 3).map(|first| range(worker, first)).collect();
        println!("\ntry {worker} push {} {} {}", next, next + 1, next + 2);
        queue.push(&jobs).unwrap();
        println!("\nack {worker}");
        next += 3;
        let limit = 1 + stamp as usize % 5;
        let jobs = queue.lease(at(1), &|_, task| task.wanted() == [worker], limit).unwrap();
        let firsts: Vec<_> = jobs.iter().map(|job| queue_first(&job.task).to_string()).collect();
        let ends: Vec<_> = jobs.iter().map(|job| (job.id, Finish::Done)).collect();
        let held = [0, 1].map(|page| HeldPage {
            wanted: worker,
            page,
            bits: stamp.to_le_bytes().to_vec(),
        });
        println!("\ntry {worker} done {stamp} {}", firsts.join(" "));
        queue.commit(&ends, &held, at(1)).unwrap();
        println!("\nack {worker}");
    }
}

fn queue_first(task: &zotferry::queue::Task) -> u32 {
    match task {
        zotferry::queue::Task::Range { first, .. } => *first,
        other => panic!("{other:?}"),
    }
}

fn be_the_child(path: &Path) {
    let queue = open(path).queue;
    thread::scope(|scope| {
        for worker in 1..=WORKERS {
            let queue = &queue;
            scope.spawn(move || work(queue, worker));
        }
    });
}

/// Ends the child also when the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails only when it has ended by itself.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

fn spawn(path: &Path) -> (Killed, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (Killed(child), stdout)
}

/// The change that a `try` line announces.
fn entry(words: &[&str]) -> Entry {
    let numbers: Vec<u32> = words[1..].iter().map(|word| word.parse().unwrap()).collect();
    match words[0] {
        "push" => Entry { pushed: numbers, done: Vec::new(), stamp: 0 },
        "done" => {
            Entry { pushed: Vec::new(), done: numbers[1..].to_vec(), stamp: numbers[0].into() }
        }
        other => panic!("{other}"),
    }
}

/// Reads what the child said, up to its end, killing it after `lines` and `pause`.
fn listen(path: &Path, books: &mut [Books], lines: usize, pause: Duration) -> Vec<Option<Entry>> {
    let (child, mut stdout) = spawn(path);
    let mut child = Some(child);
    let mut open: Vec<Option<Entry>> = vec![None; books.len()];
    let mut line = String::new();
    for heard in 0.. {
        if heard == lines {
            // Asleep for luck: the kill has to come at a random moment.
            thread::sleep(pause);
            child = None;
        }
        line.clear();
        if stdout.read_line(&mut line).unwrap() == 0 {
            break;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            _ if !line.ends_with('\n') => {}
            ["try", worker, ..] => open[index(worker)] = Some(entry(&words[2..])),
            ["ack", worker] => {
                let entry = open[index(worker)].take().unwrap();
                books[index(worker)] = books[index(worker)].with(&entry);
            }
            _ => {}
        }
    }
    assert!(child.is_none(), "the child ended by itself");
    open
}

fn index(worker: &str) -> usize {
    worker.parse::<usize>().unwrap() - 1
}

/// QUEUE-7: nothing acknowledged is lost, what was under way is there wholly or not at all, and the
/// queue opens.
#[test]
fn killed_queue_keeps_what_it_acknowledged() {
    if let Some(path) = env::var_os(CHILD) {
        return be_the_child(Path::new(&path));
    }
    let rounds: u32 = env::var("ZOTFERRY_CRASHES").map_or(10, |n| n.parse().unwrap());
    let mut dice = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("dice {dice}");
    let (_folder, path) = place();
    drop(open(&path));
    let mut books = vec![Books::default(); WORKERS as usize];
    for round in 0..rounds {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (lines, pause) = ((dice >> 33) as usize % 2_000, Duration::from_micros(dice >> 53));
        // Sometimes while it opens.
        let lines = if round % 5 == 4 { lines % 4 } else { lines };
        let under_way = listen(&path, &mut books, lines, pause);
        let opened = open(&path);
        assert_eq!(opened.rebuilt, Rebuilt::No, "round {round}");
        for (n, known) in books.iter_mut().enumerate() {
            let found = Books::of(&opened.queue, n as i64 + 1);
            let possible = [Some(known.clone()), under_way[n].as_ref().map(|e| known.with(e))];
            assert!(
                possible.contains(&Some(found.clone())),
                "round {round}: {found:?} is none of {possible:?}"
            );
            *known = found;
        }
        println!("round {round}: {lines} lines, {} jobs", opened.queue.len());
    }
}

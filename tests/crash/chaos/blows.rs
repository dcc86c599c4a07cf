//! What goes wrong.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::{HUBS, SPOILT, World};

/// Ahead and behind, in ms, within the day that hubs correct for each other.
const CLOCKS: [i64; 6] = [0, 90_000, -90_000, 3_600_000, -3_600_000, 36_000_000];

pub(super) async fn strike(world: &mut World) {
    let at = world.dice.below(HUBS as u64) as usize;
    match world.dice.below(14) {
        0..2 => kill(world, at).await,
        2 => stop(world, at).await,
        3 => jump(world, at).await,
        4 => fill(world, at).await,
        5 => break_all(world, at),
        6 => refuse(world, at),
        7 => cut(world, at),
        8 => flip(world, at),
        9 => spoil_content(world),
        10 => spoil_partial(world, at).await,
        11 => spoil_queue(world, at).await,
        _ => mend(world, at).await,
    }
}

fn count(world: &mut World, what: &'static str) {
    *world.blows.entry(what).or_insert(0) += 1;
}

/// Whatever is wrong with a hub ends: so that there is progress for the next blow to hit.
async fn mend(world: &mut World, at: usize) {
    world.hubs[at].make_room();
    world.hubs[at].wire.heal();
    world.hubs[at].start().await;
}

async fn kill(world: &mut World, at: usize) {
    count(world, "kill");
    world.hubs[at].kill();
    if world.dice.below(3) > 0 {
        world.hubs[at].start().await;
    }
}

async fn stop(world: &mut World, at: usize) {
    count(world, "stop");
    world.hubs[at].stop();
    world.hubs[at].start().await;
}

async fn jump(world: &mut World, at: usize) {
    count(world, "clock");
    world.hubs[at].kill();
    world.hubs[at].clock = CLOCKS[world.dice.below(CLOCKS.len() as u64) as usize];
    world.hubs[at].start().await;
}

async fn fill(world: &mut World, at: usize) {
    if world.hubs[at].fill() {
        count(world, "full disk");
    }
}

fn break_all(world: &mut World, at: usize) {
    count(world, "break");
    world.hubs[at].wire.break_all();
}

fn refuse(world: &mut World, at: usize) {
    count(world, "refuse");
    world.hubs[at].wire.refuse(true);
    world.hubs[at].wire.break_all();
}

fn cut(world: &mut World, at: usize) {
    count(world, "cut");
    let after = world.dice.below(2 << 20);
    world.hubs[at].wire.cut_after(after);
}

fn flip(world: &mut World, at: usize) {
    count(world, "flip");
    let after = world.dice.below(1 << 20);
    world.hubs[at].wire.flip_after(after);
}

/// A byte of a committed file changes on the disk of one hub, if another hub has that file.
fn spoil_content(world: &mut World) {
    let of = |n: usize| files(&world.hubs[n].storage().join("content"));
    let mine: Vec<(String, PathBuf)> = of(SPOILT);
    let others: BTreeSet<String> =
        (0..HUBS).filter(|n| *n != SPOILT).flat_map(of).map(|(name, _)| name).collect();
    let candidates: Vec<_> = mine.into_iter().filter(|(name, _)| others.contains(name)).collect();
    if candidates.is_empty() {
        return;
    }
    let chosen = &candidates[world.dice.below(candidates.len() as u64) as usize].1;
    if flip_byte(world, &chosen.clone()) {
        count(world, "spoilt content");
    }
}

/// A byte of a partial file changes while its hub is down.
async fn spoil_partial(world: &mut World, at: usize) {
    world.hubs[at].kill();
    let partials = files(&world.hubs[at].storage().join("partial"));
    if let Some((_, path)) = partials.first()
        && flip_byte(world, path)
    {
        count(world, "spoilt partial");
    }
    world.hubs[at].start().await;
}

/// A byte of the queue changes while its hub is down.
async fn spoil_queue(world: &mut World, at: usize) {
    world.hubs[at].kill();
    let queue = files(&world.hubs[at].folder().join("queue"));
    if !queue.is_empty() {
        let (_, path) = &queue[world.dice.below(queue.len() as u64) as usize];
        if flip_byte(world, path) {
            count(world, "spoilt queue");
        }
    }
    world.hubs[at].start().await;
}

fn flip_byte(world: &mut World, path: &Path) -> bool {
    let Ok(file) = File::options().read(true).write(true).open(path) else { return false };
    let size = file.metadata().map_or(0, |about| about.len());
    if size == 0 {
        return false;
    }
    let (at, mut byte) = (world.dice.below(size), [0]);
    file.read_exact_at(&mut byte, at).is_ok() && file.write_all_at(&[byte[0] ^ 1], at).is_ok()
}

/// All files below a folder, with their names.
fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let (mut found, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                waiting.push(path);
            } else if let Some(name) = path.file_name() {
                found.push((name.to_string_lossy().into_owned(), path));
            }
        }
    }
    found.sort();
    found
}

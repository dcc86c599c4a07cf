//! What people do meanwhile, on whichever hub is up. An edit that fails is no edit.

use zotferry::files::PutEvent;
use zotferry::local::client::{Client, ClientError};
use zotferry::local::{Describe, MakeFolder, MoveEntry, Put, RemoveEntry};

use super::World;

/// Around every limit of how content is kept: nothing, a row, a file, several chunks.
const SIZES: [usize; 8] = [0, 100, 65_536, 65_537, 300_000, 1 << 20, (1 << 20) + 1, (5 << 20) + 1];

pub(super) async fn edit(world: &mut World) {
    let at = world.dice.below(super::HUBS as u64) as usize;
    if !world.hubs[at].is_up() {
        return;
    }
    match world.dice.below(10) {
        0..3 => keep(world, at).await,
        3..6 => replace(world, at).await,
        6 => folder(world, at).await,
        7 => moved(world, at).await,
        8 => removed(world, at).await,
        _ => described(world, at).await,
    }
}

fn content(world: &mut World) -> Vec<u8> {
    let size = SIZES[world.dice.below(SIZES.len() as u64) as usize];
    let size = if world.budget < size as u64 { 100 } else { size };
    world.budget = world.budget.saturating_sub(size as u64);
    world.dice.noise(size)
}

/// A file that is put once. If that is acknowledged it counts.
async fn keep(world: &mut World, at: usize) {
    world.files += 1;
    let (name, bytes) = (format!("kept-{}", world.files), content(world));
    let client = world.hubs[at].client().unwrap();
    if put(client, &name, &bytes, "").await.is_ok_and(|done| done) {
        world.kept.insert(name, bytes);
    }
}

/// One of a few files that everybody writes to.
async fn replace(world: &mut World, at: usize) {
    let name = format!("shared-{}", world.dice.below(12));
    let to = if world.dice.below(2) == 0 { String::new() } else { folder_name(world) };
    let bytes = content(world);
    put(world.hubs[at].client().unwrap(), &name, &bytes, &to).await.ok();
}

async fn put(client: &Client, name: &str, bytes: &[u8], to: &str) -> Result<bool, ClientError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let question = Put { channel: "alice".into(), paths: vec![path], to: to.to_owned() };
    let mut lines = client.lines(&question).await?;
    let mut done = false;
    while let Some(event) = lines.next().await? {
        done |= matches!(event, PutEvent::Done { folder: false, .. });
    }
    Ok(done)
}

fn folder_name(world: &mut World) -> String {
    let names = ["red", "green", "blue"];
    let depth = 1 + world.dice.below(2);
    let parts = (0..depth).map(|_| names[world.dice.below(3) as usize]);
    parts.collect::<Vec<_>>().join("/")
}

async fn folder(world: &mut World, at: usize) {
    let path = folder_name(world);
    let question = MakeFolder { channel: "alice".into(), path, parents: true };
    world.hubs[at].client().unwrap().ask(&question).await.ok();
}

/// A file, or a folder with all in it, also into itself by way of another hub.
async fn moved(world: &mut World, at: usize) {
    let from = thing(world);
    let to = format!("{}/", folder_name(world));
    let copy = world.dice.below(3) == 0;
    let question =
        MoveEntry { channel: "alice".into(), from, to, copy, recursive: true, replace: true };
    world.hubs[at].client().unwrap().ask(&question).await.ok();
}

async fn removed(world: &mut World, at: usize) {
    let question = RemoveEntry { channel: "alice".into(), path: thing(world), recursive: true };
    world.hubs[at].client().unwrap().ask(&question).await.ok();
}

async fn described(world: &mut World, at: usize) {
    let title = Some(format!("title {}", world.dice.below(1000)));
    let path = thing(world);
    let question = Describe { channel: "alice".into(), path, title, tags: None, sight: None };
    world.hubs[at].client().unwrap().ask(&question).await.ok();
}

/// A shared file or a folder; never one that is kept.
fn thing(world: &mut World) -> String {
    let folder = folder_name(world);
    match world.dice.below(3) {
        0 => folder,
        1 => format!("{folder}/shared-{}", world.dice.below(12)),
        _ => format!("shared-{}", world.dice.below(12)),
    }
}

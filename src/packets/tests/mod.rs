//! Three clones, random edits on each, a network that loses, doubles, delays and reorders, and crashes:
//! in the end all have the same entries and the same bytes, and nothing that a person wrote is lost.
//!
//! `ZOTFERRY_SEEDS` says how many seeds are tried, `ZOTFERRY_SEED` names one.

mod edits;
mod replays;
mod trees;
mod world;

use world::World;

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("ZOTFERRY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ZOTFERRY_SEEDS").map_or(12, |n: u64| (n / 5).max(12)),
    }
}

/// SYNC-25, SYNC-33 to SYNC-45: whatever was done where, and in whatever order it became known, three clones end
/// with equal catalogs and equal bytes, and each final version that a person wrote is somewhere.
#[tokio::test]
async fn three_clones_end_equal_and_lose_nothing() {
    for seed in seeds() {
        eprintln!("ZOTFERRY_SEED={seed}");
        let mut world = World::new(seed).await;
        for _ in 0..60 {
            world.step().await;
        }
        world.heal().await;
        world.assert_equal().await;
        world.assert_nothing_lost().await;
    }
}

/// SYNC-40: two folders that are moved into each other at the same time stay reachable everywhere.
#[tokio::test]
async fn folders_moved_into_each_other_stay_reachable() {
    let mut world = World::new(1).await;
    world.mkdir(0, "a").await;
    world.mkdir(0, "b").await;
    world.put(0, "a/in-a", 1).await;
    world.put(0, "b/in-b", 2).await;
    world.heal().await;
    world.rename(1, "a", "b/a").await;
    world.rename(2, "b", "a/b").await;
    world.heal().await;
    world.assert_equal().await;
    // The earlier of the two moves, a into b, returned to the top.
    assert_eq!(world.tree(0).await, ["a", "a/b", "a/b/in-b", "a/in-a"]);
}

/// SYNC-35: what was put inside concurrently brings back the folders above.
#[tokio::test]
async fn a_put_inside_a_removed_folder_brings_it_back() {
    let mut world = World::new(2).await;
    world.mkdir(0, "a").await;
    world.mkdir(0, "a/b").await;
    world.put(0, "a/b/old", 1).await;
    world.heal().await;
    world.remove(1, "a").await;
    world.put(2, "a/b/new", 2).await;
    world.heal().await;
    world.assert_equal().await;
    assert_eq!(world.tree(0).await, ["a", "a/b", "a/b/new"]);
}

/// SYNC-33, SYNC-44: a concurrent put beats a remove, and the file can be put again afterwards.
#[tokio::test]
async fn a_concurrent_put_beats_a_remove() {
    let mut world = World::new(3).await;
    world.put(0, "f", 1).await;
    world.heal().await;
    world.put(2, "f", 2).await;
    world.remove(1, "f").await;
    world.heal().await;
    world.assert_equal().await;
    assert_eq!(world.tree(1).await, ["f"]);
    world.put(1, "f", 3).await;
    world.heal().await;
    world.assert_equal().await;
    assert_eq!(world.tree(2).await, ["f"]);
    world.remove(0, "f").await;
    world.heal().await;
    world.assert_equal().await;
    assert!(world.tree(1).await.is_empty());
}

/// SYNC-37, SYNC-45: the loser of two concurrent contents is a copy on every clone, also on one that heard of
/// the winner first.
#[tokio::test]
async fn the_loser_is_kept_as_one_copy_everywhere() {
    let mut world = World::new(4).await;
    world.put(0, "f.txt", 1).await;
    world.heal().await;
    world.put(1, "f.txt", 2).await;
    world.put(2, "f.txt", 3).await;
    world.heal().await;
    world.assert_equal().await;
    for clone in 0..3 {
        let tree = world.tree(clone).await;
        assert_eq!(tree.len(), 2, "{tree:?}");
        assert!(tree[0].starts_with("f.conflict-") && tree[0].ends_with(".txt"), "{tree:?}");
    }
    world.assert_nothing_lost().await;
}

/// SYNC-42: two clones make the same copy in different folders, for one had moved the entry meanwhile; they
/// agree on one of the places.
#[tokio::test]
async fn a_copy_that_was_made_in_two_places_ends_in_one() {
    let mut world = World::new(6).await;
    world.mkdir(0, "d").await;
    world.put(0, "f.txt", 1).await;
    world.heal().await;
    world.put(2, "f.txt", 2).await;
    world.put(1, "f.txt", 3).await;
    world.send_all(1, 2).await;
    world.send_all(2, 1).await;
    world.rename(2, "f.txt", "d/f.txt").await;
    world.land_all().await;
    let copy = |tree: Vec<String>| tree.into_iter().find(|path| path.contains(".conflict-"));
    let (on_1, on_2) = (copy(world.tree(1).await), copy(world.tree(2).await));
    assert_eq!(on_2.clone().map(|path| path.starts_with("d/")), Some(true), "{on_2:?}");
    assert_eq!(on_1.map(|path| path.starts_with("d/")), Some(false));
    world.heal().await;
    world.assert_equal().await;
    assert_eq!(copy(world.tree(0).await), on_2, "the larger place counts");
}

/// SYNC-41: namesakes are shown and found under different names, the same ones everywhere.
#[tokio::test]
async fn namesakes_are_shown_apart() {
    let mut world = World::new(5).await;
    world.put(0, "f.txt", 1).await;
    world.put(1, "f.txt", 2).await;
    world.heal().await;
    world.assert_equal().await;
    let tree = world.tree(2).await;
    assert_eq!(tree.len(), 2, "{tree:?}");
    assert!(tree.contains(&"f.txt".to_owned()));
    let other = tree.iter().find(|name| *name != "f.txt").expect("another name").clone();
    assert!(other.starts_with("f (") && other.ends_with(").txt"), "{other}");
    assert!(world.finds(0, &other).await, "{other} is found");
    world.remove(0, &other).await;
    world.heal().await;
    assert_eq!(world.tree(1).await, ["f.txt"]);
}

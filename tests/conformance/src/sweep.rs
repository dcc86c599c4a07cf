//! What the suite has put into the test channel is removed from it.
//!
//! Not here: the channel's other entries; what is removed is known by its name.
//! Spec: AUDIT-6, AUDIT-8, AUDIT-10, SYNC-33.

use crate::entry::{edit, version};
use crate::keys::new_id;
use crate::wire::{Reply, Value, list, map, read};
use crate::world::World;

/// Removes every entry of the suite, of this run or of one that was broken off.
pub(crate) async fn sweep(world: &World) -> Result<(), String> {
    let keys = keys(world).await?;
    for some in keys.chunks(64) {
        let body = world.me().packet("entry-request", [("keys", list(some.to_vec()))]);
        let Reply::Packet { body, .. } = world.me().ask(&body).await? else { continue };
        let gone: Vec<Value> =
            body.list("operations").iter().filter_map(|told| removal(world, told)).collect();
        if !gone.is_empty() {
            let body = world.me().packet("clone-sync", [("operations", list(gone))]);
            world.me().ask(&body).await?;
        }
    }
    Ok(())
}

/// The keys of all entries, in lists as long as packets are.
async fn keys(world: &World) -> Result<Vec<Value>, String> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let mut range =
            map([("prefix", vec![].into()), ("digest", [0; 32].into()), ("list", true.into())]);
        if let Some(after) = after.take() {
            range.set("after", after);
        }
        let body = world.me().packet("audit-request", [("ranges", list([range]))]);
        let Reply::Packet { body, .. } = world.me().ask(&body).await? else { return Ok(keys) };
        let leaves = body.bin("ranges.0.leaves").unwrap_or_default();
        keys.extend(leaves.chunks(64).map(|leaf| Value::Bin(leaf[..32].to_vec())));
        if body.flag("ranges.0.more") != Some(true) {
            return Ok(keys);
        }
        after = keys.last().cloned();
    }
}

/// The removal of an entry that the suite has made and that lives.
fn removal(world: &World, told: &Value) -> Option<Value> {
    let attach = told.list("attach");
    let entry = attach.last()?;
    let row = read(entry.bin("row")?).ok()?;
    let of_ours = row.text("filename")?.starts_with("conformance ");
    let folder = row.uint("is_dir") != Some(0);
    let lives = if folder { entry.at("removed").is_none() } else { !told.list("data").is_empty() };
    if !of_ours || !lives {
        return None;
    }
    let seen = match (entry.at("content"), entry.at("removed")) {
        (Some(content), Some(removed)) => Some(join(content, removed)),
        (one, other) => one.or(other).cloned(),
    };
    let removed = seen.map_or_else(|| version(world.me()), |seen| edit(&seen, world.me()));
    let mut attach = attach.to_vec();
    attach.last_mut()?.set("removed", removed);
    Some(map([
        ("id", new_id().into()),
        ("op", "remove".into()),
        ("attach", Value::List(attach)),
        ("data", list(Vec::<Value>::new())),
    ]))
}

/// The join of two versions (SYNC-25).
fn join(a: &Value, b: &Value) -> Value {
    let later = if a.uint("hlc") >= b.uint("hlc") { a } else { b };
    let Some(Value::Map(mut vector)) = a.at("vector").cloned() else { return later.clone() };
    if let Some(Value::Map(others)) = b.at("vector") {
        for (replica, counter) in others {
            match (vector.iter_mut().find(|(own, _)| own == replica), counter) {
                (Some((_, Value::Uint(own))), Value::Uint(other)) => *own = (*own).max(*other),
                _ => vector.push((replica.clone(), counter.clone())),
            }
        }
    }
    later.clone().with("vector", Value::Map(vector))
}

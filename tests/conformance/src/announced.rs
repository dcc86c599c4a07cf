//! What the hub under test has announced to hubs of ours, and that it has nothing more to announce.
//!
//! Not here: when a hub announces (the cases).
//! Spec: SYNC-30, SYNC-37, SYNC-45.

use std::sync::Arc;

use crate::actor::{Actor, Incoming};
use crate::case::{Miss, Outcome};
use crate::content::Content;
use crate::entry::{Entry, name, vector_of};
use crate::wire::{Value, read};
use crate::world::World;

/// A replica of nobody.
const NOBODY: [u8; 8] = [0x5c; 8];

/// The operations in a packet that came.
fn operations(incoming: &Incoming) -> &[Value] {
    let packet = incoming.packet.as_ref().filter(|packet| packet.kind == "clone-sync");
    packet.map_or(&[], |packet| packet.body.list("operations"))
}

/// The row of the entry that an operation is about.
fn row(operation: &Value) -> Option<Value> {
    read(operation.list("attach").last()?.bin("row")?).ok()
}

/// The operations about an entry that came to a hub of ours, in their order.
pub(crate) fn about(actor: &Actor, hash: &str) -> Vec<Value> {
    let is = |operation: &&Value| row(operation).is_some_and(|row| row.text("hash") == Some(hash));
    let inbox = actor.inbox();
    inbox.iter().flat_map(|incoming| operations(incoming).iter().filter(is).cloned()).collect()
}

/// Gives the hub something to announce, a conflict copy, and waits until it has come to these hubs of ours: by then so
/// has what was to be announced to them before.
pub(crate) async fn settle(world: &World, actors: &[&Actor]) -> Outcome {
    let (me, stem) = (world.me(), name("announced last"));
    let [first, second] = [(); 2].map(|()| Arc::new(Content::noise(1_000)));
    let entry = Entry::file(me, &format!("{stem}.txt"), &first);
    let clock = entry.place.uint("hlc").unwrap_or(0) + (1 << 16);
    let mut other = entry.clone();
    other.content = Some(vector_of(&[(NOBODY, 1)], clock, NOBODY));
    other.data = vec![second.data("file")];
    for content in [&first, &second] {
        me.serve(content);
    }
    world.sync(me, vec![entry.operation("put")]).await?;
    world.sync(me, vec![other.operation("put")]).await?;
    let copy = format!("{stem}.conflict-");
    let is = |operation: &Value| {
        row(operation).is_some_and(|row| row.text("filename").is_some_and(|n| n.starts_with(&copy)))
    };
    for actor in actors {
        let found = actor.came("a conflict copy is announced", |incoming| {
            operations(incoming).iter().any(is).then_some(())
        });
        found.await.map_err(Miss::Failed)?;
    }
    Ok(())
}

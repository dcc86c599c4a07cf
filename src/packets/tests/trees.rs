//! The vectors of `spec/vectors/trees.json`: what lives of a tree, how a folder goes, and what is made of answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use zotferry_protocol::packets::Op;

use super::world::World;

const VECTORS: &str = include_str!("../../../spec/vectors/trees.json");

/// Runs every case of a kind; a kind that nobody runs fails.
#[tokio::test]
async fn trees_behave_as_specified() {
    let kinds: BTreeMap<String, Vec<Value>> = serde_json::from_str(VECTORS).expect("vectors");
    for (kind, cases) in kinds {
        for case in cases {
            println!("{kind}: {}", case["name"]);
            match kind.as_str() {
                "living" => living(&case).await,
                "removals" => removal(&case).await,
                "answers" => answers(&case).await,
                other => panic!("nobody runs {other}"),
            }
        }
    }
}

/// Texts of a list.
fn texts(list: &Value) -> BTreeSet<String> {
    serde_json::from_value(list.clone()).expect("a list of texts")
}

/// The operations of a case, as they stand in a packet.
fn operations(case: &Value) -> Vec<Vec<u8>> {
    let list = case["operations"].as_array().expect("a list").iter();
    list.map(|op| hex::decode(op.as_str().expect("hex")).expect("hex")).collect()
}

/// SYNC-35: in whatever order it became known.
async fn living(case: &Value) {
    let world = World::new(1).await;
    let mut operations = operations(case);
    for clone in 0..2 {
        for operation in &operations {
            world.deliver(clone, 2, std::slice::from_ref(operation)).await;
        }
        let (living, removed): (Vec<_>, Vec<_>) =
            world.all_entries(clone).await.into_iter().partition(|entry| entry.alive);
        let ids = |entries: Vec<crate::catalog::Attach>| {
            entries.into_iter().map(|entry| entry.hash.to_string()).collect::<BTreeSet<_>>()
        };
        assert_eq!(ids(living), texts(&case["living"]), "living on clone {clone}");
        assert_eq!(ids(removed), texts(&case["removed"]), "removed on clone {clone}");
        operations.reverse();
    }
}

/// SYNC-43: each entry that is seen goes, after all that are inside it.
async fn removal(case: &Value) {
    let mut world = World::new(1).await;
    world.deliver(0, 2, &operations(case)).await;
    let channel = world.channel(0).await;
    let catalog = &world.hubs[0].catalog;
    let top = case["remove"].as_str().expect("an id").parse().expect("an id");
    let path = catalog.path_of(channel.id, &top).await.expect("read").expect("shown");
    let before = channel.seq;
    world.remove(0, &path.join("/")).await;
    let outbox = world.hubs[0].catalog.ops_after(channel.id, before, 256).await.expect("read");
    let mut gone = BTreeSet::new();
    for entry in outbox.entries {
        assert_eq!(entry.entry.op, Op::Remove);
        let hash = entry.entry.hash.to_string();
        let after = texts(&case["after"][&hash]);
        assert!(after.is_subset(&gone), "{hash} went before what is inside: {after:?}");
        assert!(gone.insert(hash));
    }
    assert_eq!(gone, texts(&case["removed"]));
}

/// AUDIT-11: an answer is merged like what is delivered, and nothing of it is announced but conflict copies (SYNC-45).
async fn answers(case: &Value) {
    let world = World::new(1).await;
    let before = world.channel(0).await.seq;
    let mut said = Vec::new();
    for operation in operations(case) {
        let reports = world.deliver(0, 2, &[operation]).await;
        said.extend(
            reports.into_iter().map(|report| serde_json::to_value(report.status).expect("a word")),
        );
    }
    assert_eq!(json!(said), case["status"]);
    let channel = world.channel(0).await;
    let outbox = world.hubs[0].catalog.ops_after(channel.id, before, 256).await.expect("read");
    let told: Vec<_> = outbox.entries.iter().map(|e| e.entry.hash.to_string()).collect();
    assert_eq!(json!(told), case["announced"]);
}

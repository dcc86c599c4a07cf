//! What clones have not heard yet.

use std::collections::HashMap;

use zotferry_protocol::ids::PacketId;

use crate::catalog::testing::{Fixture, NOW, Numbering, put, put_folder, want};

/// SYNC-5, SYNC-30: operations come in order, parents first, with their contents.
#[tokio::test]
async fn operations_come_with_parents_and_contents() {
    let hub = Fixture::create().await;
    let puts = vec![
        put(&["a"], 1, 10),
        put(&["x", "y", "b"], 2, 20),
        put(&["x", "c"], 3, 30),
        put_folder(&["x", "empty"]),
    ];
    hub.local_put(&hub.batch(puts), &mut Numbering::default(), NOW).await.expect("put");
    let out = hub.ops_after(hub.alice, 0, 100).await.expect("read");
    assert_eq!(out.through, 4);
    let told: Vec<_> = out
        .entries
        .iter()
        .map(|op| {
            let parents: Vec<_> = op.parents.iter().map(|p| p.filename.as_str()).collect();
            let sizes: Vec<_> = op.data.iter().map(|d| d.size).collect();
            (op.entry.seq, parents.join("/"), op.entry.filename.as_str(), sizes)
        })
        .collect();
    let expected = [
        (Some(1), String::new(), "a", vec![10]),
        (Some(2), "x/y".into(), "b", vec![20]),
        (Some(3), "x".into(), "c", vec![30]),
        (Some(4), "x".into(), "empty", vec![]),
    ];
    assert_eq!(told, expected);
}

/// SYNC-30: read in runs, an outbox is read once over; an entry edited again comes once, as it is now.
#[tokio::test]
async fn an_outbox_is_read_in_runs() {
    let hub = Fixture::create().await;
    let author = &mut Numbering::default();
    let puts = (0..5).map(|n| put(&[&format!("f{n}")], n, 1)).collect();
    hub.local_put(&hub.batch(puts), author, NOW).await.expect("put");
    hub.local_put(&hub.batch(vec![put(&["f1"], 100, 1)]), author, NOW).await.expect("put");
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let out = hub.ops_after(hub.alice, after, 2).await.expect("read");
        if out.entries.is_empty() {
            break;
        }
        seen.extend(out.entries.into_iter().map(|op| op.entry.filename));
        after = out.through;
    }
    assert_eq!(seen, ["f0", "f2", "f3", "f4", "f1"]);
    assert_eq!(after, hub.heads(hub.alice).await.expect("read").seq);
}

/// SYNC-30: where a remote edit took the last number's row over, a clone still catches up with the head.
#[tokio::test]
async fn numbers_taken_over_do_not_leave_a_clone_behind() {
    let hub = Fixture::create().await;
    let puts = vec![put(&["a"], 1, 1), put(&["b"], 2, 1)];
    hub.local_put(&hub.batch(puts), &mut Numbering::default(), NOW).await.expect("put");
    let mut apply = hub.begin_apply().await.expect("writer");
    let mut row = hub.by_path(hub.alice, &["b"]).await.expect("read").expect("there");
    row.seq = None;
    apply.write(hub.alice, &[row], &HashMap::new(), NOW).await.expect("stored");
    apply.finish(&PacketId([3; 16]), NOW, b"").await.expect("committed");
    let out = hub.ops_after(hub.alice, 0, 2).await.expect("read");
    assert_eq!((out.entries.len(), out.through), (1, 2));
    let rest = hub.ops_after(hub.alice, 1, 1).await.expect("read");
    assert_eq!((rest.entries.len(), rest.through), (0, 2));
}

/// SYNC-31: arrivals come in the order of their numbers; what was superseded since is passed over.
#[tokio::test]
async fn arrivals_are_read_in_runs() {
    let hub = Fixture::create().await;
    let wants: Vec<_> = (0..4).map(|n| want(&format!("f{n}"), n, 1)).collect();
    let ids: Vec<_> = hub.announce(&wants).await.iter().map(|w| w.id).collect();
    for id in [ids[2], ids[0], ids[3], ids[1]] {
        hub.mark_present(&[id]).await.expect("marked");
    }
    let first = hub.present_after(hub.alice, 0, 2).await.expect("read");
    let hashes = |run: &crate::catalog::Arrivals| {
        run.contents.iter().map(|d| d.hash.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((hashes(&first), first.through), (vec!["f2".into(), "f0".into()], 2));
    hub.release(&[ids[1]], NOW).await.expect("released");
    let rest = hub.present_after(hub.alice, first.through, 9).await.expect("read");
    assert_eq!((hashes(&rest), rest.through), (vec!["f3".into()], 4));
    let none = hub.present_after(hub.alice, rest.through, 9).await.expect("read");
    assert_eq!((none.contents.len(), none.through), (0, 4));
    assert_eq!(hub.present_after(hub.bob, 0, 9).await.expect("read").through, 0);
}

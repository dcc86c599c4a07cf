//! The vectors of `spec/vectors/replays.json`: packets that come again, clocks that are set back.

use serde_json::Value;
use zotferry_protocol::envelope::{Header, Party};
use zotferry_protocol::ids::{Millis, PortableId, SiteId};

use super::world::World;
use crate::packets::admit::{answered, heard};

const VECTORS: &str = include_str!("../../../spec/vectors/replays.json");
const ANSWER: &[u8] = b"what it was answered";

/// SIGN-6, SIGN-8, SIGN-9, SIGN-12.
#[tokio::test]
async fn packets_are_remembered_as_specified() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    for case in vectors["memories"].as_array().expect("cases") {
        println!("{}", case["name"]);
        let mut world = World::new(1).await;
        for step in case["steps"].as_array().expect("steps") {
            let now = Millis(step["now"].as_u64().unwrap_or_default());
            match step["do"].as_str().expect("what to do") {
                "packet" => assert_eq!(said(&world, step, now).await, step["said"], "{step}"),
                "forget" => drop(world.hubs[0].catalog.replay_purge(now).await.expect("purged")),
                "restart" => world.crash(0).await,
                other => panic!("nobody does {other}"),
            }
        }
    }
}

/// What becomes of a packet that changes something.
async fn said(world: &World, step: &Value, now: Millis) -> &'static str {
    let catalog = &world.hubs[0].catalog;
    let party = || Party {
        hub: SiteId::new("s".repeat(86)).expect("an id"),
        channel: PortableId::new("p".repeat(86)).expect("an id"),
    };
    let mut from = party();
    if let Some(hub) = step["hub"].as_str() {
        from.hub = SiteId::new(hub.to_owned()).expect("an id");
    }
    let header = Header {
        kind: "clone-sync".to_owned(),
        id: step["id"].as_str().expect("an id").parse().expect("an id"),
        from,
        to: party(),
        at: Millis(step["at"].as_u64().expect("a time")),
        expires: Millis(step["expires"].as_u64().expect("a time")),
        answers: None,
    };
    match answered(catalog, &header, now).await {
        Ok(Some(answer)) => {
            assert_eq!(answer, ANSWER);
            "again"
        }
        Ok(None) => {
            let id = heard(&header);
            let kept = catalog.replay_remember(&id, header.expires, ANSWER).await;
            kept.expect("remembered");
            "taken"
        }
        Err(refusal) => refusal.code.word(),
    }
}

//! Received packets.

use std::collections::HashMap;

use zotferry_protocol::ids::{Millis, PacketId};

use crate::catalog::testing::{Fixture, NOW, entry, folder, resource, want};
use crate::catalog::{CatalogError, VersionBytes};

const PACKET: PacketId = PacketId([1; 16]);

/// SIGN-8, SIGN-9, PKT-12: effects and answer are stored together; a repeat gets the same answer.
#[tokio::test]
async fn a_packet_is_applied_once() {
    let hub = Fixture::create().await;
    let mut apply = hub.begin_apply().await.expect("writer");
    assert_eq!(apply.replayed(&PACKET).await.expect("read"), None);
    let rows = [folder("d1", None, "docs"), entry("f1", Some("d1"), "a")];
    let stored = apply.load(hub.alice, &[resource("d1"), resource("f1")]).await.expect("read");
    assert!(stored.is_empty());
    apply.write(hub.alice, &rows, &HashMap::new(), NOW).await.expect("stored");
    let wanted = apply.want(hub.alice, hub.site_b, &[want("f1", 1, 5)], NOW).await.expect("wanted");
    apply.finish(&PACKET, NOW.plus(600_000), b"stored").await.expect("committed");
    assert_eq!(wanted.len(), 1);

    let hub = hub.reopen().await;
    assert_eq!(hub.replay_lookup(&PACKET).await.expect("read").as_deref(), Some(&b"stored"[..]));
    let mut apply = hub.begin_apply().await.expect("writer");
    assert_eq!(apply.replayed(&PACKET).await.expect("read").as_deref(), Some(&b"stored"[..]));
    let stored = apply.load(hub.alice, &[resource("d1"), resource("f1")]).await.expect("read");
    assert_eq!(stored[&rows[1].hash], rows[1]);
    drop(apply);
    let found = hub.by_path(hub.alice, &["docs", "a"]).await.expect("read");
    assert_eq!(found.as_ref(), Some(&rows[1]));
    assert_eq!(hub.bytes().await, (0, 5));
}

/// SYNC-16: a packet whose application is given up has changed nothing, and the next one proceeds.
#[tokio::test]
async fn an_unfinished_packet_changes_nothing() {
    let hub = Fixture::create().await;
    let mut apply = hub.begin_apply().await.expect("writer");
    apply.write(hub.alice, &[entry("f1", None, "a")], &HashMap::new(), NOW).await.expect("stored");
    apply.want(hub.alice, hub.site_b, &[want("f1", 1, 5)], NOW).await.expect("wanted");
    apply.observe_hlc(hub.alice, 99).await.expect("seen");
    assert_eq!(apply.channel(hub.alice).await.expect("read").reserved, 5);
    drop(apply);
    assert_eq!(hub.entry(hub.alice, &resource("f1")).await.expect("read"), None);
    assert_eq!(hub.bytes().await, (0, 0));
    assert_eq!(hub.channel(hub.alice).await.expect("read").hlc, 0);
    hub.store(&[entry("f2", None, "b")]).await;
}

/// SYNC-16: registers are written as the caller decided, whatever order they came in.
#[tokio::test]
async fn rows_are_replaced_as_the_caller_decides() {
    let hub = Fixture::create().await;
    hub.store(&[entry("f1", None, "a")]).await;
    let mut apply = hub.begin_apply().await.expect("writer");
    let mut stored = apply.load(hub.alice, &[resource("f1")]).await.expect("read");
    let mut row = stored.remove(&resource("f1")).expect("there");
    row.filename = "renamed".into();
    row.place_version = VersionBytes(vec![0; 300]);
    apply.write(hub.alice, std::slice::from_ref(&row), &HashMap::new(), NOW).await.expect("stored");
    apply.finish(&PACKET, NOW, b"").await.expect("committed");
    assert_eq!(hub.entry(hub.alice, &row.hash).await.expect("read"), Some(row));
    assert_eq!(hub.by_path(hub.alice, &["a"]).await.expect("read"), None);
}

/// PKT-7: values that the catalog cannot hold are refused, not bent.
#[tokio::test]
async fn values_that_do_not_fit_are_refused() {
    let hub = Fixture::create().await;
    let mut apply = hub.begin_apply().await.expect("writer");
    let mut large = entry("f1", None, "a");
    large.filesize = u64::MAX;
    let mut late = entry("f1", None, "a");
    late.mtime = Some(Millis(u64::MAX));
    let mut nul = entry("f1", None, "a");
    nul.creator = "x\0y".into();
    for row in [large, late, nul] {
        let refused = apply.write(hub.alice, &[row], &HashMap::new(), NOW).await;
        assert!(matches!(refused, Err(CatalogError::BadValue(_))));
    }
    let mut mime = want("f1", 1, 1);
    mime.mime = "a\0b".into();
    for bad in [want("f1", 1, u64::MAX), mime] {
        let refused = apply.want(hub.alice, hub.site_b, &[bad], NOW).await;
        assert!(matches!(refused, Err(CatalogError::BadValue(_))));
    }
    apply.write(hub.alice, &[], &HashMap::new(), NOW).await.expect("nothing to do");
    assert!(apply.want(hub.alice, hub.site_b, &[], NOW).await.expect("nothing").is_empty());
}

/// SYNC-2: rows of a channel that is not here are refused by the schema itself.
#[tokio::test]
async fn rows_of_no_channel_are_refused() {
    let hub = Fixture::create().await;
    let mut apply = hub.begin_apply().await.expect("writer");
    assert!(apply.write(99, &[entry("f1", None, "a")], &HashMap::new(), NOW).await.is_err());
    assert!(matches!(apply.channel(99).await, Err(CatalogError::UnknownChannel)));
}

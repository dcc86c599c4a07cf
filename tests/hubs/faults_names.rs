//! Names that are unusual, and names that no entry may have.

use zotferry_protocol::ids::{Millis, PacketId};
use zotferry_protocol::packets::{CloneSync, OpStatus, Packet};
use zotferry_protocol::refusal::Code;

use crate::craft::put_operation;
use crate::harness::{MIB, Setup, noise, pair, until};

/// SYNC-6: every other UTF-8 text is a name, and arrives byte by byte as it was.
#[tokio::test(flavor = "multi_thread")]
async fn unusual_names_arrive_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let long = "ü".repeat(127) + "x";
    let names = [
        "two\nlines",
        &long,
        "\u{202e}gpj.exe",
        "README",
        "readme",
        "it's \"quoted\"",
        "-rf",
        "%2e%2e",
        "...",
        " ",
        "e\u{301}",
        "\u{e9}",
        "a\\b",
    ];
    let tree = dir.path().join("names");
    std::fs::create_dir(&tree).unwrap();
    let content = |n: usize| noise(n as u64 + 1, 100 + n + n % 3 * MIB);
    for (n, name) in names.iter().enumerate() {
        std::fs::write(tree.join(name), content(n)).unwrap();
    }
    origin.put("alice", &tree).await;
    clone.has("alice", names.len() as u64).await;
    for (n, name) in names.iter().enumerate() {
        let found = clone.bytes("alice", &["names", name]).await;
        assert!(found.is_some_and(|bytes| bytes == content(n)), "{name:?}");
    }
}

/// SYNC-6, SYNC-8, SYNC-15: names that would lead out of a folder refuse their operation; the others of the
/// packet are stored.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_elsewhere_refuse_their_operation_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let bad = ["..", ".", "", "a/b", "/etc/passwd", "../../up", "nul\0", &"x".repeat(256)];
    let mut operations = vec![put_operation(100, "first", b"")];
    for (n, name) in (0u8..).zip(bad) {
        operations.push(put_operation(n, name, b""));
    }
    operations.push(put_operation(101, "last", b""));
    let count = operations.len();
    let (peer, alice) = (origin.peer(&clone).await, origin.channel("alice").await);
    let packet = Packet::from(CloneSync { operations });
    let answer = origin.hub().call(&peer, &alice.portable_id, &packet, None).await.unwrap();
    let Packet::SyncReport(report) = &*answer else { panic!("a {}", answer.kind()) };
    assert_eq!(report.operations.len(), count);
    for (n, report) in report.operations.iter().enumerate() {
        let good = n == 0 || n == count - 1;
        let wanted = if good { OpStatus::Stored } else { OpStatus::Refused };
        assert_eq!(report.status, wanted, "operation {n}");
        assert!(good || report.code.is_some_and(|code| code == Code::BadName), "operation {n}");
    }
    clone.has("alice", 2).await;
    for name in ["first", "last"] {
        assert_eq!(clone.bytes("alice", &[name]).await.unwrap(), b"");
    }
    assert!(!clone.dir.parent().unwrap().join("up").exists());
}

/// PKT-3, SYNC-8: an entry that no packet can carry is reported, and those behind it are delivered.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_too_large_for_a_packet_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (origin, clone) = pair(dir.path(), Setup::default(), Setup::default()).await;
    let stopped = clone.stop().await;
    for name in ["first", "huge", "last"] {
        origin.put_bytes("alice", name, name.as_bytes()).await;
    }
    let alice = origin.channel("alice").await;
    let catalog = &origin.hub().catalog;
    let mut huge = catalog.by_path(alice.id, &["huge"]).await.unwrap().unwrap();
    huge.deny_cid = "x".repeat(2 << 20);
    let mut apply = catalog.begin_apply().await.unwrap();
    let (now, none) = (Millis(1), std::collections::HashMap::new());
    apply.write(alice.id, &[huge.clone()], &none, now).await.unwrap();
    apply.finish(&PacketId([7; 16]), Millis(u64::MAX >> 1), b"").await.unwrap();
    let clone = stopped.start().await;
    clone.has("alice", 2).await;
    assert_eq!(clone.names("alice").await, ["first", "last"]);
    until("the origin has heard", async || {
        let reports = catalog.reports(alice.id, 9).await.unwrap();
        reports.iter().any(|r| r.op_id == huge.op_id && r.status == "too-large")
    })
    .await;
}

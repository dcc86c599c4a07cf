//! Our own hub, judged like any other.

use std::collections::BTreeSet;

use zotferry_conformance::case::{self, Side};
use zotferry_conformance::known::Known;
use zotferry_conformance::report;
use zotferry_conformance::runner::run;

use crate::harness::{TestHub, free_port};

/// Every case holds against our own hub, without a known failure, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn our_hub_keeps_every_case() {
    let address = free_port();
    let hub = TestHub::start(address, address);
    let told = |ended: &zotferry_conformance::runner::Ended| println!("{}", report::line(ended));
    let found = run(hub.target(address), case::all(), &Known::new(), &told).await.unwrap();
    println!("{}", report::text(&found, true));
    assert!(!found.failed(true), "{:?}", found.broken());
    assert_eq!(found.left_over, None);
}

/// So many cases that each half of an implementation is judged, in every group that there is to be.
#[test]
fn there_are_cases_of_every_group() {
    let cases = case::all();
    let server = cases.iter().filter(|case| case.side == Side::Server).count();
    assert!(server >= 150, "{server} cases in which the hub is asked");
    let groups: BTreeSet<&str> = cases.iter().map(case::Case::group).collect();
    for group in [
        "envelope",
        "signing",
        "freshness",
        "replay",
        "identity",
        "locations",
        "statements",
        "clone-sync",
        "operations",
        "versions",
        "manifest",
        "chunks",
        "resume",
        "streaming",
        "limits",
        "audit",
        "restore",
        "items",
        "refusals",
        "rotation",
        "comparing",
        "pages",
        "secrets",
    ] {
        assert!(groups.contains(group), "no case of {group}");
    }
}

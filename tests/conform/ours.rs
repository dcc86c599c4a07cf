//! Our own hub, judged like any other.

use std::collections::BTreeSet;

use zotferry_conformance::case::{self, Side};
use zotferry_conformance::known::Known;
use zotferry_conformance::report;
use zotferry_conformance::runner::{Ended, run};

use crate::harness::{TestHub, free_port};

/// Every case in which it is asked holds against our own hub.
#[tokio::test(flavor = "multi_thread")]
async fn our_hub_keeps_every_case_in_which_it_is_asked() {
    keeps_every_case_of(Side::Server).await;
}

/// Every case in which it asks.
#[tokio::test(flavor = "multi_thread")]
async fn our_hub_keeps_every_case_in_which_it_asks() {
    keeps_every_case_of(Side::Client).await;
}

/// Without a known failure, and nothing is left behind.
async fn keeps_every_case_of(side: Side) {
    let address = free_port();
    let hub = TestHub::start(address, address);
    let told = |ended: &Ended| println!("{}", report::line(ended));
    let cases = case::all().into_iter().filter(|case| case.side == side).collect();
    let found = run(hub.target(address), cases, &Known::new(), &told).await.unwrap();
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
        "items",
        "manifest",
        "chunks",
        "resume",
        "streaming",
        "limits",
        "refusals",
        "audit",
        "restore",
        "tenants",
        "rotation",
        "comparing",
        "pages",
        "secrets",
    ] {
        assert!(groups.contains(group), "no case of {group}");
    }
}

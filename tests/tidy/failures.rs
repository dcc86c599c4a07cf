//! The page of what goes wrong elsewhere names tests that are there.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{files, none, root};

/// Each test that `tests/FAILURES.md` names exists, and each line of its table names one.
#[test]
fn failures_elsewhere_have_their_tests() {
    let page = fs::read_to_string(root().join("tests/FAILURES.md")).unwrap();
    let sources = ["tests", "src", "protocol"].iter().flat_map(|folder| files(folder, "rs"));
    let texts: Vec<String> = sources.map(|path| fs::read_to_string(path).unwrap()).collect();
    let code: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| text.split("fn ").skip(1))
        .filter_map(|rest| rest.split('(').next())
        .collect();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 17, "{} rows", rows.len());
    let mut findings = Vec::new();
    for row in rows {
        let shown = row.rsplit('|').nth(1).unwrap();
        let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            findings.push(format!("no test: {row}"));
        }
        findings.extend(
            names.iter().filter(|name| !code.contains(**name)).map(|n| format!("missing: {n}")),
        );
    }
    none("tests/FAILURES.md", &findings);
}

//! The pages of what goes wrong elsewhere, and of what strangers may cost, name tests and settings that are there.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{files, none, root};

/// The names of all functions, tests among them.
fn functions() -> BTreeSet<String> {
    let folders = ["tests", "src", "protocol", "backup"];
    let sources = folders.iter().flat_map(|folder| files(folder, "rs"));
    let texts = sources.map(|path| fs::read_to_string(path).unwrap());
    let name = |rest: &str| rest.split('(').next().unwrap_or_default().to_owned();
    texts.flat_map(|text| text.split("fn ").skip(1).map(name).collect::<Vec<_>>()).collect()
}

/// The rows of a page's tables, without their heads.
fn rows(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |n: &usize| {
        let head = lines.get(n + 1).is_some_and(|next| next.starts_with("|---"));
        lines[*n].starts_with("| ") && !head
    };
    (0..lines.len()).filter(is_row).map(|n| lines[n].to_owned()).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn named_tests_are_there(page: &str, least: usize) {
    let (code, rows) = (functions(), rows(page));
    assert!(rows.len() >= least, "{} rows", rows.len());
    let mut findings = Vec::new();
    for row in rows {
        let names = quoted(row.rsplit('|').nth(1).unwrap());
        if names.is_empty() {
            findings.push(format!("no test: {row}"));
        }
        let missing = names.iter().filter(|name| !code.contains(**name));
        findings.extend(missing.map(|name| format!("missing: {name}")));
    }
    none(page, &findings);
}

/// Each test that `tests/FAILURES.md` names exists, and each line of its table names one.
#[test]
fn failures_elsewhere_have_their_tests() {
    named_tests_are_there("tests/FAILURES.md", 17);
}

/// The same for `tests/HOSTILE.md`.
#[test]
fn bounds_for_strangers_have_their_tests() {
    named_tests_are_there("tests/HOSTILE.md", 40);
}

/// Each setting that `tests/HOSTILE.md` names is one, and README says what every limit means.
#[test]
fn bounds_for_strangers_are_settings() {
    let config = ["src/config.rs", "src/config/limits.rs"];
    let config = config.map(|path| fs::read_to_string(root().join(path)).unwrap()).concat();
    let is_setting = |name: &str| config.contains(&format!("pub {name}: "));
    let mut findings = Vec::new();
    for row in rows("tests/HOSTILE.md") {
        for name in quoted(&row) {
            let setting =
                ["limits.", "network.", "transfer."].iter().find_map(|s| name.strip_prefix(s));
            findings.extend(setting.filter(|s| !is_setting(s)).map(|s| format!("no setting: {s}")));
        }
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let limits = fs::read_to_string(root().join("src/config/limits.rs")).unwrap();
    let fields =
        limits.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": "));
    for (name, _) in fields {
        if !readme.contains(&format!("| `limits.{name}` |")) {
            findings.push(format!("README does not say what limits.{name} means"));
        }
    }
    none("settings", &findings);
}

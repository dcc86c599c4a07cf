//! Sizes, names, and what is never left behind.

use crate::source::{Line, none, sources};

const ALL: &[&str] = &["src", "backup", "protocol", "tests", "benches"];
const MOST_LINES: usize = 500;

fn lines_with(folders: &[&str], wrong: impl Fn(&Line<'_>) -> bool) -> Vec<String> {
    let sources = sources(folders);
    let lines = sources.iter().flat_map(|source| source.lines());
    // This file says what it looks for.
    let lines = lines.filter(|line| !line.path.starts_with("tests/tidy/"));
    lines.filter(wrong).map(|line| line.shown()).collect()
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<String> = sources(ALL)
        .iter()
        .filter(|source| source.lines.len() > MOST_LINES)
        .map(|source| format!("{}: {} lines", source.path, source.lines.len()))
        .collect();
    none("split by what it knows, not by line count", &long);
}

#[test]
fn no_module_is_named_for_nothing() {
    let names = ["util", "utils", "helper", "helpers", "manager", "misc", "common"];
    let wrong: Vec<String> = sources(ALL)
        .into_iter()
        .filter(|source| source.path.split(['/', '.']).any(|part| names.contains(&part)))
        .map(|source| source.path)
        .collect();
    none("a module is named for what it knows", &wrong);
}

#[test]
fn nothing_is_left_to_be_done() {
    let left = ["todo!", "unimplemented!", "dbg!(", "FIXME", "XXX"];
    let wrong = lines_with(ALL, |line| left.iter().any(|word| line.text.contains(word)));
    none("finish it, or write an issue", &wrong);
}

#[test]
fn no_test_is_ignored_without_a_reason() {
    let wrong = lines_with(ALL, |line| line.code().contains("#[ignore]"));
    none("#[ignore = \"why\"]", &wrong);
}

/// A pause that is not a wait for something says so in the line above: `// Asleep for luck: ...`.
#[test]
fn no_test_sleeps_in_the_hope_that_something_happens() {
    let mut wrong = Vec::new();
    for source in sources(ALL) {
        let lines: Vec<Line<'_>> = source.lines().collect();
        for pair in lines.windows(2) {
            let sleeps = pair[1].is_test && pair[1].code().contains(concat!("thread::", "sleep"));
            if sleeps && !pair[0].comment().contains("// Asleep ") {
                wrong.push(pair[1].shown());
            }
        }
    }
    none("wait for the event", &wrong);
}

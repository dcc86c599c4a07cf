//! Specification, code, tests and conformance cases name the same requirements.
//!
//! A requirement is a line `> **FETCH-4** (receiver) ... MUST ...` of a chapter. The place in the code
//! that keeps it names it in a comment; a vector, a conformance case or a test names it, too. Ranges ("FETCH-1 to FETCH-9")
//! are for a module's head and count for nothing. What cannot be so stands in `spec/exceptions.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::source::{Source, files, none, root, sources};

const KEYWORDS: [&str; 3] = ["MUST", "SHOULD", "MAY"];
const ROLES: [&str; 4] = ["receiver", "origin", "sender", "hub"];

/// The ids that a text names, in order, and whether each is the end of a range.
fn ids(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut after = String::new();
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
        if let Some((chapter, number)) = word.split_once('-')
            && CHAPTERS.contains(&chapter)
            && number.parse::<u32>().is_ok_and(|n| n.to_string() == number)
        {
            let ends = after == "to";
            if ends && let Some((_, in_range)) = found.last_mut() {
                *in_range = true;
            }
            found.push((word.to_owned(), ends));
        }
        word.clone_into(&mut after);
    }
    found
}

const CHAPTERS: &[&str] = &[
    "PKT", "SIGN", "ID", "FILE", "FETCH", "STREAM", "SYNC", "ITEM", "TRANS", "PHOTO", "QUEUE",
    "AUDIT", "REF", "BACKUP",
];

/// Every requirement, and where it stands.
fn specified() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut wrong = Vec::new();
    for chapter in files("spec", "md") {
        let name = chapter.file_name().unwrap().to_str().unwrap().to_owned();
        for (n, line) in fs::read_to_string(&chapter).unwrap().lines().enumerate() {
            let place = format!("spec/{name}:{}", n + 1);
            match requirement(line) {
                Ok(None) => {}
                Ok(Some(id)) => {
                    if let Some(first) = found.insert(id.to_owned(), place.clone()) {
                        wrong.push(format!("{place}: {id} stands at {first} already"));
                    }
                }
                Err(reason) => wrong.push(format!("{place}: {reason}")),
            }
        }
    }
    none("every MUST is a requirement with an id, a role and one keyword", &wrong);
    assert!(found.len() > 100, "the specification has {} requirements only", found.len());
    found
}

/// The id of a line that is a requirement; `None` for explanation.
fn requirement(line: &str) -> Result<Option<&str>, &'static str> {
    let words = line.split(|c: char| !c.is_ascii_alphabetic());
    let keywords = words.filter(|word| KEYWORDS.contains(word)).count();
    let Some(rest) = line.strip_prefix("> **") else {
        return if keywords == 0 { Ok(None) } else { Err("a keyword outside a requirement") };
    };
    let (id, rest) = rest.split_once("** (").ok_or("not `> **ID-n** (role) ...`")?;
    let (role, _) = rest.split_once(") ").ok_or("not `> **ID-n** (role) ...`")?;
    if ids(id) != [(id.to_owned(), false)] {
        return Err("an id of no chapter; chapters are listed in tests/tidy/requirements.rs");
    }
    if !ROLES.contains(&role) {
        return Err("a role that the README of the specification does not know");
    }
    if keywords != 1 {
        return Err("not one keyword");
    }
    Ok(Some(id))
}

/// The requirements that comments name one by one, in code or in tests.
fn cited(sources: &[Source], in_tests: bool) -> BTreeSet<String> {
    let lines = sources.iter().flat_map(Source::lines);
    let comments =
        lines.filter(|line| line.is_test == in_tests).map(|line| line.comment().to_owned());
    let ids = comments.flat_map(|comment| ids(&comment));
    ids.filter(|(_, in_range)| !in_range).map(|(id, _)| id).collect()
}

/// The requirements that the vectors name.
fn in_vectors() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in files("spec/vectors", "json") {
        let text = fs::read_to_string(path).unwrap();
        let kinds: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
        let cases = kinds.values().flat_map(|cases| cases.as_array().unwrap());
        found.extend(cases.map(|case| case["requirement"].as_str().unwrap().to_owned()));
    }
    found
}

/// The requirements that conformance cases look at.
fn in_cases() -> BTreeSet<String> {
    let cases = zotferry_conformance::case::all();
    cases.into_iter().flat_map(|case| case.requirements).map(str::to_owned).collect()
}

/// `[FETCH-5]` with `code = "why nothing in the code names it"`, `test = "..."` or `outside = "..."`.
fn excepted(what: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("spec/exceptions.toml")).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap();
    let reason =
        |entry: &toml::Value| entry.get(what).is_some_and(|r| r.as_str().unwrap().len() > 10);
    table.into_iter().filter(|(_, entry)| reason(entry)).map(|(id, _)| id).collect()
}

/// Every file that may name requirements, but this folder, which is about all of them.
fn everything() -> Vec<Source> {
    let mut sources = sources(&["src", "backup", "protocol", "tests", "benches"]);
    sources.retain(|source| !source.path.starts_with("tests/tidy/"));
    sources
}

fn missing(
    specified: &BTreeMap<String, String>,
    found: &BTreeSet<String>,
    what: &str,
) -> Vec<String> {
    let excepted = excepted(what);
    let needless = excepted.iter().filter(|id| found.contains(*id) || !specified.contains_key(*id));
    let mut wrong: Vec<String> =
        needless.map(|id| format!("spec/exceptions.toml: {id} needs no exception")).collect();
    let open = specified.iter().filter(|(id, _)| !found.contains(*id) && !excepted.contains(*id));
    wrong.extend(open.map(|(id, place)| format!("{place}: {id}")));
    wrong
}

#[test]
fn every_requirement_has_a_place_in_the_code() {
    let found = cited(&everything(), false);
    none("no comment in the code names it", &missing(&specified(), &found, "code"));
}

#[test]
fn every_requirement_has_a_vector_a_case_or_a_test() {
    let (specified, vectors, cases) = (specified(), in_vectors(), in_cases());
    let mut found = cited(&everything(), true);
    found.extend(vectors.iter().chain(&cases).cloned());
    let of = |covered: &dyn Fn(&String) -> bool| {
        let count = specified.keys().filter(|id| covered(id)).count();
        format!("{count} ({:.1} %)", 100.0 * count as f64 / specified.len() as f64)
    };
    println!(
        "{} requirements; by a vector {}, by a case {}, by one of both {}, by a vector, a case or a test {}",
        specified.len(),
        of(&|id| vectors.contains(id)),
        of(&|id| cases.contains(id)),
        of(&|id| vectors.contains(id) || cases.contains(id)),
        of(&|id| found.contains(id)),
    );
    none("no vector, no case and no test names it", &missing(&specified, &found, "test"));
}

/// What another hub can be held to is not left to our own tests: each MUST is looked at by a vector or a case, but for
/// the few of which nothing is seen from outside.
#[test]
fn every_must_is_covered_by_a_vector_or_a_case() {
    let all = zotferry_conformance::requirements::all();
    let mut specified = specified();
    assert_eq!(all.len(), specified.len(), "the suite reads the same requirements");
    let musts: BTreeSet<&str> =
        all.iter().filter(|one| one.keyword == "MUST").map(|one| one.id).collect();
    specified.retain(|id, _| musts.contains(id.as_str()));
    let covered: BTreeSet<String> = in_vectors().into_iter().chain(in_cases()).collect();
    let open = specified.keys().filter(|id| !covered.contains(*id)).count();
    let share = 100.0 * open as f64 / specified.len() as f64;
    println!(
        "{} MUSTs; {open} of them ({share:.1} %) neither in a vector nor in a case",
        musts.len()
    );
    none("no vector and no case is about it", &missing(&specified, &covered, "outside"));
    assert!(share < MOST_EXCEPTED, "{share:.1} % of the MUSTs are excepted");
}

/// Of the MUSTs, in percent.
const MOST_EXCEPTED: f64 = 5.0;

#[test]
fn every_requirement_that_is_named_exists() {
    let specified = specified();
    let mut wrong = Vec::new();
    for source in everything() {
        for line in source.lines() {
            let unknown = ids(line.text).into_iter().any(|(id, _)| !specified.contains_key(&id));
            wrong.extend(unknown.then(|| line.shown()));
        }
    }
    none("the specification has no such requirement", &wrong);
}

#[test]
fn ids_are_found_in_text() {
    let named = |text: &str| ids(text).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(
        named("/// FETCH-4, SYNC-30: X-4, FETCH-04, PKT-1."),
        ["FETCH-4", "SYNC-30", "PKT-1"]
    );
    assert_eq!(
        ids("Spec: ID-1 to ID-9, ID-12"),
        [("ID-1".into(), true), ("ID-9".into(), true), ("ID-12".into(), false)]
    );
}

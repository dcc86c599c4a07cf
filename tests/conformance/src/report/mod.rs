//! What a run found, told in four forms.
//!
//! Owns: sums, and how requirements stand. Not here: the forms (`text`, `json`, `junit`, `html`).

mod html;
mod json;
mod junit;
mod text;

use std::collections::BTreeMap;

pub use html::html;
pub use json::json;
pub use junit::junit;
pub use text::{line, text};

use crate::requirements::Requirement;
use crate::runner::{Ended, Verdict};

/// The end of a run.
#[derive(Clone)]
pub struct Report {
    /// The hub under test.
    pub url: String,
    /// What it says that it is.
    pub software: String,
    /// Every case that was selected, in the order in which they were run.
    pub results: Vec<Ended>,
    /// What could not be cleared away at the end.
    pub left_over: Option<String>,
}

/// How a requirement stands after a run.
pub struct Standing<'a> {
    /// The requirement.
    pub requirement: Requirement,
    /// The cases that look at it.
    pub results: Vec<&'a Ended>,
}

impl Standing<'_> {
    /// One word: the worst of its cases; `unseen` if none looked at it.
    pub fn word(&self) -> &'static str {
        let worst = ["failed", "known", "noted", "mended", "held", "skipped"];
        let found = |word: &&&str| self.results.iter().any(|r| r.verdict.word() == **word);
        worst.iter().find(found).copied().unwrap_or("unseen")
    }
}

impl Report {
    /// Whether the run failed.
    pub fn failed(&self, strict: bool) -> bool {
        self.results.iter().any(|result| result.verdict.counts(strict))
    }

    /// How many cases ended so.
    pub fn count(&self, word: &str) -> usize {
        self.results.iter().filter(|result| result.verdict.word() == word).count()
    }

    /// The ids of the cases that did not hold.
    pub fn broken(&self) -> Vec<&str> {
        let broken = |r: &&Ended| matches!(r.verdict, Verdict::Failed(_) | Verdict::Noted(_));
        self.results.iter().filter(broken).map(|result| result.case.id.as_str()).collect()
    }

    /// Every requirement of the specification with the cases that looked at it.
    pub fn standings(&self) -> Vec<Standing<'_>> {
        let mut cases: BTreeMap<&str, Vec<&Ended>> = BTreeMap::new();
        for result in &self.results {
            for id in &result.case.requirements {
                cases.entry(id).or_default().push(result);
            }
        }
        let all = crate::requirements::all().into_iter();
        all.map(|requirement| Standing {
            requirement,
            results: cases.remove(requirement.id).unwrap_or_default(),
        })
        .collect()
    }

    /// `140 held, 2 failed, ...`: all words that occur.
    pub fn sums(&self) -> String {
        let words = ["held", "failed", "noted", "known", "mended", "skipped"];
        let counts = words.map(|word| (self.count(word), word));
        let some = counts.iter().filter(|(count, word)| *count > 0 || *word == "held");
        some.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    }
}

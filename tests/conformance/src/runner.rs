//! Runs cases, and says how each ended.
//!
//! Owns: selecting, the order, verdicts. Not here: what is done with the verdicts (`report`).
//! Invariant: every selected case has exactly one verdict, whatever the hub under test does.

use std::time::{Duration, Instant};

use crate::case::{Case, Miss, Side};
use crate::known::Known;
use crate::report::Report;
use crate::target::Target;
use crate::world::World;

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The hub did what it must.
    Held,
    /// It did not.
    Failed(String),
    /// It did not do what it SHOULD; a failure in strict mode only.
    Noted(String),
    /// It could not be tried.
    Skipped(String),
    /// It failed, as is known.
    Known {
        /// What happened.
        why: String,
        /// Why that is known.
        reason: String,
    },
    /// It is known to fail, and holds.
    Mended {
        /// Why it was known to fail.
        reason: String,
    },
}

impl Verdict {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Failed(_) => "failed",
            Self::Noted(_) => "noted",
            Self::Skipped(_) => "skipped",
            Self::Known { .. } => "known",
            Self::Mended { .. } => "mended",
        }
    }

    /// What there is to say beside the word.
    pub fn detail(&self) -> String {
        match self {
            Self::Held => String::new(),
            Self::Failed(why) | Self::Noted(why) | Self::Skipped(why) => why.clone(),
            Self::Known { why, reason } => format!("{why} (known: {reason})"),
            Self::Mended { reason } => {
                format!("holds now; take it out of the known failures ({reason})")
            }
        }
    }

    /// Whether the run fails because of it.
    pub fn counts(&self, strict: bool) -> bool {
        match self {
            Self::Held => false,
            Self::Failed(_) => true,
            Self::Noted(_) | Self::Skipped(_) | Self::Known { .. } | Self::Mended { .. } => strict,
        }
    }
}

/// Which cases are run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Ids, groups, beginnings of ids with `*`, or requirements; all cases if there is none.
    pub only: Vec<String>,
    /// The same, for what is left out.
    pub except: Vec<String>,
    /// One half only.
    pub side: Option<Side>,
}

impl Selection {
    /// Whether a case is among them.
    pub fn takes(&self, case: &Case) -> bool {
        let named = |words: &[String]| words.iter().any(|word| names(word, case));
        (self.only.is_empty() || named(&self.only))
            && !named(&self.except)
            && self.side.is_none_or(|side| side == case.side)
    }

    /// The cases; an error names a word that selects none, which is a misspelt one.
    pub fn cases(&self) -> Result<Vec<Case>, String> {
        let all = crate::case::all();
        for word in self.only.iter().chain(&self.except) {
            if !all.iter().any(|case| names(word, case)) {
                return Err(format!("no case has the id, group or requirement {word:?}"));
            }
        }
        Ok(all.into_iter().filter(|case| self.takes(case)).collect())
    }
}

fn names(word: &str, case: &Case) -> bool {
    let begins = |beginning| case.id.starts_with(beginning);
    case.id == word
        || case.group() == word
        || word.strip_suffix('*').is_some_and(begins)
        || case.requirements.iter().any(|id| id.eq_ignore_ascii_case(word))
}

/// One case's end.
#[derive(Clone)]
pub struct Ended {
    /// The case.
    pub case: Case,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
}

/// Runs cases against a hub, one after the other. An error: the suite is not let in.
pub async fn run(
    target: Target,
    cases: Vec<Case>,
    known: &Known,
    told: &(dyn Fn(&Ended) + Sync),
) -> Result<Report, String> {
    let world = World::enter(target).await?;
    let report = run_in(&world, cases, known, told).await;
    let closed = world.close().await;
    Ok(Report { left_over: closed.err(), ..report })
}

/// Runs cases in a world that goes on.
pub async fn run_in(
    world: &World,
    cases: Vec<Case>,
    known: &Known,
    told: &(dyn Fn(&Ended) + Sync),
) -> Report {
    let mut results = Vec::new();
    for case in cases {
        let begin = Instant::now();
        let verdict = verdict(world, &case, known.get(&case.id)).await;
        let result = Ended { case, verdict, time: begin.elapsed() };
        told(&result);
        results.push(result);
    }
    let shared = world.shared();
    let software = shared.hub.document.get("software").and_then(|software| software.as_str());
    Report {
        url: shared.hub.url.clone(),
        software: software.unwrap_or("unknown software").to_owned(),
        results,
        left_over: None,
    }
}

async fn verdict(world: &World, case: &Case, known: Option<&String>) -> Verdict {
    let longest = world.me().patience() * 8;
    // A task of its own: a case that loses its way is a failure of the case, and the others go on.
    let running = tokio::spawn({
        let (world, case) = (world.clone(), case.clone());
        async move { tokio::time::timeout(longest, case.run(&world)).await }
    });
    let outcome = match running.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Miss::Failed(format!("no end after {} s", longest.as_secs()))),
        Err(error) => Err(Miss::Failed(format!("the case broke: {error}"))),
    };
    world.after_case().await;
    match (outcome, known) {
        (Ok(()), None) => Verdict::Held,
        (Ok(()), Some(reason)) => Verdict::Mended { reason: reason.clone() },
        (Err(Miss::Skipped(why)), _) => Verdict::Skipped(why),
        (Err(Miss::Failed(why)), Some(reason)) => Verdict::Known { why, reason: reason.clone() },
        (Err(Miss::Failed(why)), None) if case.should => Verdict::Noted(why),
        (Err(Miss::Failed(why)), None) => Verdict::Failed(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word selects by id, group, beginning or requirement; one that selects nothing is a mistake.
    #[test]
    fn cases_are_selected_by_word() {
        let count = |word: &str| {
            let selection = Selection { only: vec![word.to_owned()], ..Selection::default() };
            selection.cases().map(|cases| cases.len())
        };
        assert_eq!(count("envelope.version-2"), Ok(1));
        assert!(count("envelope").is_ok_and(|n| n >= 1));
        assert_eq!(count("envelope"), count("envelope.*"));
        assert!(count("pkt-5").is_ok_and(|n| n >= 1));
        assert!(count("envelope.version").is_err());
        let all = Selection::default().cases().map(|cases| cases.len());
        let except = Selection { except: vec!["envelope".to_owned()], ..Selection::default() };
        assert_eq!(all, except.cases().and_then(|c| Ok(c.len() + count("envelope")?)));
    }

    /// What is known fails in strict mode only, and so does what holds although it is known to fail.
    #[test]
    fn strict_mode_counts_more() {
        let reason = || "a reason".to_owned();
        let soft = [
            Verdict::Noted(reason()),
            Verdict::Skipped(reason()),
            Verdict::Known { why: reason(), reason: reason() },
            Verdict::Mended { reason: reason() },
        ];
        assert!(soft.iter().all(|verdict| !verdict.counts(false) && verdict.counts(true)));
        assert!(Verdict::Failed(reason()).counts(false) && !Verdict::Held.counts(true));
    }
}

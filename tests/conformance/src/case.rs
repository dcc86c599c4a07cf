//! A case: what is done to a hub, and what it must do then.
//!
//! Owns: the registry and its form. Not here: running (`runner`), telling (`report`).
//! Invariant: an id names the same case for ever; a case says the exact refusal or effect before it is run.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;

use zotferry_protocol::refusal::Code;

use crate::http::Later;
use crate::target::shown;
use crate::wire::Reply;
use crate::world::World;

/// Which half of an implementation a case judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The hub under test is asked: we are the clone.
    Server,
    /// The hub under test asks: we are the origin.
    Client,
}

/// Why a case did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// The hub did something else.
    Failed(String),
    /// It could not be tried with this hub.
    Skipped(String),
}

impl From<String> for Miss {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

impl From<&str> for Miss {
    fn from(text: &str) -> Self {
        Self::Failed(text.to_owned())
    }
}

/// How a case ends.
pub type Outcome = Result<(), Miss>;

/// Fails a case unless something holds.
pub fn need(holds: bool, otherwise: impl Display) -> Outcome {
    if holds { Ok(()) } else { Err(Miss::Failed(otherwise.to_string())) }
}

type Run = Arc<dyn Fn(World) -> Later<Outcome> + Send + Sync>;

/// One case.
#[derive(Clone)]
pub struct Case {
    /// `group.what`, for ever.
    pub id: String,
    /// Which half it judges.
    pub side: Side,
    /// The requirements that it looks at, the first the one that it is about.
    pub requirements: Vec<&'static str>,
    /// What is done.
    pub sentence: String,
    /// What must come of it.
    pub expectation: String,
    /// Whether only a SHOULD is looked at: failing is told, and counts in strict mode.
    pub should: bool,
    run: Run,
}

impl Case {
    /// A case that asks the hub under test. `requirements` is a list of ids with spaces between.
    pub fn server<F, R>(
        id: impl Into<String>,
        requirements: &'static str,
        sentence: impl Into<String>,
        expectation: impl Into<String>,
        run: F,
    ) -> Self
    where
        F: Fn(World) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            id: id.into(),
            side: Side::Server,
            requirements: requirements.split_whitespace().collect(),
            sentence: sentence.into(),
            expectation: expectation.into(),
            should: false,
            run: Arc::new(move |world| Box::pin(run(world))),
        }
    }

    /// A case that the hub under test asks.
    pub fn client<F, R>(
        id: impl Into<String>,
        requirements: &'static str,
        sentence: impl Into<String>,
        expectation: impl Into<String>,
        run: F,
    ) -> Self
    where
        F: Fn(World) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        let case = Self::server(id, requirements, sentence, expectation, run);
        Self { side: Side::Client, ..case }
    }

    /// Looks at a SHOULD only.
    #[must_use]
    pub fn should(mut self) -> Self {
        self.should = true;
        self
    }

    /// The part of the id before the first dot.
    pub fn group(&self) -> &str {
        self.id.split('.').next().unwrap_or_default()
    }

    /// Tries it.
    pub async fn run(&self, world: &World) -> Outcome {
        (self.run)(world.clone()).await
    }
}

/// The exact answer that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// An unsigned refusal (REF-3).
    Hint(Code),
    /// A signed refusal (REF-2).
    Signed(Code),
    /// A packet of this type.
    Packet(&'static str),
    /// Frames.
    Frames,
    /// Something that is not a refusal.
    Taken,
}

impl Want {
    /// For the case's expectation.
    pub fn sentence(self) -> String {
        match self {
            Self::Hint(code) => format!("the unsigned refusal {}", shown(code)),
            Self::Signed(code) => format!("the signed refusal {}", shown(code)),
            Self::Packet(kind) => format!("a `{kind}` packet, status 200"),
            Self::Frames => "frames, status 200".to_owned(),
            Self::Taken => "no refusal".to_owned(),
        }
    }

    /// Whether an answer is that.
    pub fn check(self, reply: &Reply) -> Outcome {
        let holds = match (self, reply) {
            (Self::Hint(code), Reply::Hint { status, line }) => {
                let named = line.as_ref().is_none_or(|(number, word)| {
                    *number == u64::from(code.number()) && word == code.word()
                });
                *status == code.http() && named
            }
            (Self::Signed(wanted), Reply::Refusal { code, .. }) => {
                *code == u64::from(wanted.number())
            }
            (Self::Packet(wanted), Reply::Packet { kind, .. }) => kind == wanted,
            (Self::Frames, Reply::Bytes(answer)) => {
                answer.status == 200 && answer.content_type() == "application/x-zot-chunks"
            }
            (Self::Taken, Reply::Packet { .. } | Reply::Bytes(_)) => true,
            _ => false,
        };
        need(holds, format_args!("{} instead of {}", reply.shown(), self.sentence()))
    }
}

/// Every case, in the order in which they are run.
pub fn all() -> Vec<Case> {
    let mut cases = crate::server::cases();
    cases.extend(crate::client::cases());
    cases.extend(crate::server::last());
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Ids are names: each stands once, in lower case, with its group before a dot.
    #[test]
    fn ids_are_unique() {
        let mut seen = BTreeSet::new();
        for case in all() {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            assert!(case.id.chars().all(good) && case.id.contains('.'), "{}", case.id);
            assert!(!case.requirements.is_empty(), "{} names no requirement", case.id);
            assert!(!case.sentence.is_empty() && !case.expectation.is_empty(), "{}", case.id);
            assert!(seen.insert(case.id.clone()), "{} stands twice", case.id);
        }
    }
}

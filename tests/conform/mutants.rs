//! Hubs that have forgotten a rule, each caught by the cases that are about it, and by no other of those that are run.
//!
//! Owns: running them. Not here: what each of them does (`asked`, `said`, `tells`, `keeping`, `tenants`, `rotating`), how (`front`).

mod asked;
mod keeping;
mod rotating;
mod said;
mod tells;
mod tenants;

use std::collections::BTreeSet;

use zotferry_conformance::case;
use zotferry_conformance::known::Known;
use zotferry_conformance::runner::run_in;
use zotferry_conformance::world::World;

use crate::front::{Ask, Asked, Front, Keys, Said};
use crate::harness::{TestHub, free_port};

/// A hub that is broken on purpose.
#[derive(Clone)]
pub(super) struct Mutant {
    /// What it does.
    name: &'static str,
    /// The cases that must fail.
    caught_by: &'static [&'static str],
    ask: Ask,
    said: Said,
}

/// Cases that hold with every mutant that is not caught by them: it is a hub still.
const CONTROL: [&str; 6] = [
    "signing.answer",
    "replay.new-packet",
    "chunks.items",
    "resume.exact-budget",
    "streaming.at-once",
    "audit.equal",
];

/// The case after which the second channel has another key. That it holds without a mutant is seen in `ours`.
const USES_UP: &str = "rotation.from-a-clone";

fn as_asked(_: &Front, request: zotferry_conformance::http::Request) -> Asked {
    Asked::Pass(request)
}

fn as_said(
    _: &Front,
    _: &zotferry_conformance::http::Request,
    response: zotferry_conformance::http::Response,
) -> zotferry_conformance::http::Response {
    response
}

/// A hub that answers wrongly.
fn says(name: &'static str, caught_by: &'static [&'static str], said: Said) -> Mutant {
    Mutant { name, caught_by, ask: as_asked, said }
}

/// A hub that takes what it is asked wrongly.
fn takes(name: &'static str, caught_by: &'static [&'static str], ask: Ask) -> Mutant {
    Mutant { name, caught_by, ask, said: as_said }
}

/// Each broken hub fails the cases that it must fail, and the control; without a mutant the same front changes
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn every_mutant_is_caught_by_the_right_cases() {
    let listen = free_port();
    let (front, public) = Front::before(listen).await;
    let hub = TestHub::start(public, listen);
    assert_eq!(hub.address(), listen);
    let mut target = hub.target(public);
    let restart = target.restart.take().unwrap();
    let told = front.clone();
    let noted: zotferry_conformance::target::Restart = std::sync::Arc::new(move || {
        let (restart, told) = (std::sync::Arc::clone(&restart), told.clone());
        Box::pin(async move {
            let ended = restart().await;
            told.restarted();
            ended
        })
    });
    target.restart = Some(noted);
    let channel = target.key.clone();
    let world = World::enter(target).await.unwrap();
    front.give_keys(Keys {
        hub: (world.shared().hub.site.clone(), hub.site_key()),
        channel,
        portable: world.shared().channel.clone(),
        me: (world.me().site().to_owned(), world.me().key().clone()),
        others: world.other_key().clone(),
    });
    let mutants = [
        asked::mutants(),
        said::mutants(),
        tells::mutants(),
        keeping::mutants(),
        tenants::mutants(),
        rotating::mutants(),
    ]
    .concat();
    assert!(mutants.len() >= 25, "{} mutants", mutants.len());
    let mut all: BTreeSet<&str> =
        mutants.iter().flat_map(|mutant| mutant.caught_by).copied().collect();
    // It uses the spare channel up, with which the other cases of two channels would fail for that alone.
    assert!(all.remove(USES_UP));
    let uses = |mutant: &&Mutant| mutant.caught_by.contains(&USES_UP);
    assert_eq!(mutants.iter().filter(uses).count(), 1, "the spare channel does for one");
    assert_eq!(failing(&world, &all).await, BTreeSet::new(), "without a mutant");
    let mut wrong = Vec::new();
    for mutant in &mutants {
        front.become_mutant(Some((mutant.ask, mutant.said)));
        let caught_by: BTreeSet<&str> = mutant.caught_by.iter().copied().collect();
        let failed = failing(&world, &caught_by).await;
        front.become_mutant(None);
        println!("{}: {failed:?}", mutant.name);
        if failed.iter().map(String::as_str).collect::<BTreeSet<_>>() != caught_by {
            wrong.push(format!("{}: caught by {failed:?} instead of {caught_by:?}", mutant.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Which of some cases and the control fail.
async fn failing(world: &World, ids: &BTreeSet<&str>) -> BTreeSet<String> {
    let named = |id: &str| ids.contains(id) || CONTROL.contains(&id);
    let cases: Vec<_> = case::all().into_iter().filter(|case| named(&case.id)).collect();
    let wanted: BTreeSet<&str> = ids.iter().copied().chain(CONTROL).collect();
    assert_eq!(cases.len(), wanted.len(), "a mutant names a case that is not there");
    let report = run_in(world, cases, &Known::new(), &|_| {}).await;
    report.broken().into_iter().map(str::to_owned).collect()
}

//! Hubs that say what nobody may know, or believe whom they must not believe: keys, places, names, rotations.

use zotferry_conformance::http::{Request, Response, Step};
use zotferry_conformance::keys::random;
use zotferry_conformance::wire::{Value, list, read};

use super::{Mutant, as_asked, as_said};
use crate::front::{Ask, Asked, Front, Said, body_of};

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all = texts();
    all.extend(keys());
    all.extend(rotations());
    all
}

fn says(name: &'static str, caught_by: &'static [&'static str], said: Said) -> Mutant {
    Mutant { name, caught_by, ask: as_asked, said }
}

fn takes(name: &'static str, caught_by: &'static [&'static str], ask: Ask) -> Mutant {
    Mutant { name, caught_by, ask, said: as_said }
}

/// A refusal, signed or not, with something behind its text.
fn adding(front: &Front, response: Response, more: &str) -> Response {
    let plain = response.headers.iter().any(|(_, value)| value.starts_with("text/plain"));
    if plain && response.status >= 400 {
        let text = String::from_utf8(response.body()).unwrap();
        let text = format!("{} {more}\n", text.trim_end());
        return Response { steps: vec![Step::Bytes(text.into_bytes())], ..response };
    }
    front.edit_answer(response, |body, _| {
        if body.text("type") == Some("refusal") {
            let text = body.text("text").unwrap_or_default();
            body.set("text", format!("{text} {more}"));
        }
    })
}

fn texts() -> Vec<Mutant> {
    vec![
        says(
            "says in refusals where its files are",
            &["refusals.texts", "refusals.introduced", "refusals.unknown"],
            |front, _, response| adding(front, response, "(/srv/zotferry/catalog.sqlite: locked)"),
        ),
        says(
            "says in refusals whose file it is",
            &["refusals.texts", "refusals.introduced", "refusals.unknown"],
            |front, _, response| adding(front, response, "of 5f2c9ab07cd14e4b8d2f6a1b9e3c7d80"),
        ),
        says(
            "refuses no two things in the same words",
            &["refusals.introduced", "refusals.unknown"],
            |front, _, response| adding(front, response, &format!("no. {}", random::<1>()[0])),
        ),
    ]
}

/// Adds a field to answers of one type.
fn field(front: &Front, response: Response, kind: &str, value: impl Into<Value>) -> Response {
    front.edit_answer(response, |body, _| {
        if body.text("type") == Some(kind) {
            body.set("more", value);
        }
    })
}

fn keys() -> Vec<Mutant> {
    vec![
        says("shows its channel's key to clones", &["secrets.answers"], |front, _, response| {
            let pem = front.keys().channel.pem();
            field(front, response, "locations", pem)
        }),
        says("lets a prime slip into its reports", &["secrets.answers"], |front, _, response| {
            let secrets = front.keys().channel.secrets();
            let prime = secrets.iter().find(|(name, _)| name.contains("prime")).unwrap();
            field(front, response, "sync-report", prime.1.clone())
        }),
        says("writes its exponent into refusals", &["secrets.answers"], |front, _, response| {
            let exponent = hex::encode(&front.keys().channel.secrets()[0].1);
            field(front, response, "refusal", exponent)
        }),
    ]
}

/// The rotations in a `locations` packet.
fn brought(request: &Request) -> Vec<Value> {
    body_of(request).map(|body| body.list("rotations").to_vec()).unwrap_or_default()
}

fn rotations() -> Vec<Mutant> {
    vec![
        says(
            "passes on the rotations of anybody",
            &["rotation.from-a-stranger"],
            |front, request, response| {
                let rotations = brought(request);
                front.edit_answer(response, |body, _| {
                    if body.text("type") == Some("locations") && !rotations.is_empty() {
                        body.set("rotations", list(rotations));
                    }
                })
            },
        ),
        takes(
            "takes the rotation of who introduces himself by it",
            &["rotation.shown-by-a-stranger"],
            |front, request| {
                let keys = front.keys();
                let request = front.edit_body(request, |body| {
                    if body.text("type") == Some("locations") {
                        body.set("records", list(Vec::<Value>::new()));
                    }
                });
                Asked::Pass(front.edit_envelope(request, |envelope| {
                    let place = envelope.bin("location").and_then(|bytes| read(bytes).ok());
                    let shown = place.filter(|place| !place.list("rotations").is_empty());
                    let Some(mut place) = shown else { return };
                    let record = place.bin("record").unwrap_or_default();
                    let text = [b"zot-file-location\n", record].concat();
                    place.remove("rotations").set("channel_sig", keys.channel.sign(&text));
                    envelope.set("location", place.bytes());
                }))
            },
        ),
    ]
}

//! Hubs that keep what they must not keep, or forget what they must not forget: tombstones, backups.

use zotferry_conformance::http::{Request, Response};
use zotferry_conformance::wire::{Value, list, read};

use super::{Mutant, says, takes};
use crate::front::{Asked, Front};

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all = catalogs();
    all.extend(backups());
    all
}

/// Changes the operations of an answer.
fn operations(front: &Front, response: Response, change: impl Fn(&mut Vec<Value>)) -> Response {
    front.edit_answer(response, |body, _| {
        if body.text("type") == Some("clone-sync") {
            let mut operations = body.list("operations").to_vec();
            change(&mut operations);
            body.set("operations", list(operations));
        }
    })
}

fn catalogs() -> Vec<Mutant> {
    vec![says("forgets what was removed", &["audit.tombstone-stays"], |front, _, response| {
        operations(front, response, |all| {
            let removed = |op: &Value| {
                op.list("attach").last().is_some_and(|attach| attach.at("removed").is_some())
            };
            all.retain(|operation| !removed(operation));
        })
    })]
}

/// Changes the record of a statement, and signs it again.
fn statement(front: &Front, request: Request, change: impl FnOnce(&mut Value)) -> Request {
    let signed = (request.path == "/zot/restore").then(|| read(&request.body).ok()).flatten();
    let Some(mut signed) = signed else { return request };
    let record = signed.bin("record").and_then(|bytes| read(bytes).ok());
    let Some(mut record) = record else { return request };
    change(&mut record);
    let text = [b"zot-file-restore\n", record.bytes().as_slice()].concat();
    signed.set("channel_sig", front.keys().channel.sign(&text)).set("record", record.bytes());
    Request { body: signed.bytes(), ..request }
}

fn step(request: &Request) -> Option<String> {
    let signed = (request.path == "/zot/restore").then(|| read(&request.body).ok()).flatten()?;
    Some(read(signed.bin("record")?).ok()?.text("step")?.to_owned())
}

/// How a content stands that is said to be there.
const PRESENT: &str = r#"{"size": 1, "present": true, "held": 1}"#;

fn backups() -> Vec<Mutant> {
    vec![
        says(
            "takes the bytes of a backup as they come",
            &["restore.wrong-bytes", "restore.one-byte-turned", "restore.byte-missing"],
            |_, request, response| {
                let put = request.method == "PUT" && !request.path.contains("/digests/");
                if put && request.path.starts_with("/zot/restore/") {
                    return Response::new(200, "application/json", PRESENT);
                }
                response
            },
        ),
        says(
            "takes the digests of a backup as they come",
            &["restore.digests-with-path"],
            |_, request, response| match request.path.contains("/digests/") {
                true => Response::new(200, "application/json", "{}"),
                false => response,
            },
        ),
        takes(
            "takes backups of anybody",
            &["restore.another-key", "restore.entries-of-another-key"],
            |front, request| Asked::Pass(statement(front, request, |_| {})),
        ),
        takes(
            "takes backups of any channel",
            &["restore.entries-of-another-channel"],
            |front, request| {
                let channel = front.keys().portable.clone();
                Asked::Pass(statement(front, request, |record| {
                    record.set("channel", channel);
                }))
            },
        ),
        takes(
            "takes backups for another hub",
            &["restore.entries-for-another-hub", "restore.another-hub"],
            |front, request| {
                let hub = front.keys().hub.0.clone();
                Asked::Pass(statement(front, request, |record| {
                    record.set("site", hub);
                }))
            },
        ),
        takes(
            "fetches what a backup is bringing",
            &["restore.asked-for-after-the-end", "restore.brought-is-not-asked-for"],
            |front, request| {
                Asked::Pass(statement(front, request, |record| {
                    for n in 0..record.list("operations").len() {
                        let place = format!("operations.{n}.data.0.source");
                        if record.at(&place).is_some() {
                            record.set(&place, "fetch");
                        }
                    }
                }))
            },
        ),
        takes(
            "forgets what a backup did not bring",
            &["restore.asked-for-after-the-end"],
            |_, request| match step(&request).as_deref() {
                Some("end") => Asked::Answer(Response::new(200, "application/json", "{}")),
                _ => Asked::Pass(request),
            },
        ),
    ]
}

//! Hubs that mix up the channels that live on them.

use zotferry_conformance::wire::read;

use super::{Mutant, says, takes};
use crate::front::{Asked, body_of};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        takes(
            "takes a clone of one channel for a clone of any",
            &["tenants.clone-of-one-only", "locations.unknown-channel"],
            |front, request| {
                let portable = front.keys().portable.clone();
                Asked::Pass(front.edit_body(request, |body| {
                    if body.text("from.channel") == body.text("to.channel") {
                        body.set("from.channel", portable.clone()).set("to.channel", portable);
                    }
                }))
            },
        ),
        takes(
            "keeps the ids of all channels in one list",
            &["tenants.same-id"],
            |front, request| {
                let Some(body) = body_of(&request) else { return Asked::Pass(request) };
                if body.text("from.channel") != Some(&front.keys().portable) {
                    for operation in body.list("operations") {
                        let row =
                            operation.list("attach").last().and_then(|attach| attach.bin("row"));
                        let row = row.and_then(|bytes| read(bytes).ok());
                        if let Some(hash) = row.as_ref().and_then(|row| row.text("hash")) {
                            front.remember(hash.as_bytes());
                        }
                    }
                    return Asked::Pass(request);
                }
                Asked::Pass(front.edit_body(request, |body| {
                    let resource = body.text("items.0.resource").unwrap_or_default();
                    if front.remembers(resource.as_bytes()) {
                        body.set("items.0.resource", "of-another-channel");
                    }
                }))
            },
        ),
        says("says no-space of an exhausted quota", &["tenants.quota"], |front, _, response| {
            front.edit_answer(response, |body, _| {
                for n in 0..body.list("operations").len() {
                    let place = format!("operations.{n}.code");
                    if body.uint(&place) == Some(32) {
                        body.set(&place, 33u64);
                    }
                }
            })
        }),
    ]
}

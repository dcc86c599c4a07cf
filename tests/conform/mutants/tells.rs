//! Hubs that tell what nobody may hear, or have forgotten what they must keep.

use zotferry_conformance::http::{Request, Response};
use zotferry_conformance::wire::{Value, list};

use super::{Mutant, as_asked, as_said};
use crate::front::{Asked, Front, body_of};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        said("tells its channel's private key", &["secrets.private-key"], |front, _, response| {
            let secret = front.keys().channel.secrets().remove(0);
            front.edit_answer(response, |body, _| {
                if body.text("type") == Some("locations") {
                    body.set("x-backup", secret);
                }
            })
        }),
        said(
            "names its folder where it refuses",
            &["refusals.no-more-than-asked"],
            |front, _, response| {
                let response = refusal(front, response, |text| {
                    format!("{text}: `/srv/zotferry/hub/catalog.sqlite`")
                });
                let hint =
                    response.headers.iter().any(|(_, value)| value.starts_with("text/plain"));
                if hint && response.status >= 400 {
                    let text = String::from_utf8(response.body()).unwrap();
                    let text = format!("{}: /srv/zotferry/hub\n", text.trim_end());
                    return Response::new(response.status, "text/plain", text);
                }
                response
            },
        ),
        said(
            "tells strangers what is here by how it refuses",
            &["refusals.alike"],
            |front, request, response| {
                let made_up = body_of(request).is_some_and(|body| {
                    body.text("items.0.resource") == Some("conformance-nowhere")
                });
                refusal(front, response, |text| match made_up {
                    true => "there is no such file, and you are no clone".to_owned(),
                    false => text,
                })
            },
        ),
        said(
            "makes a version of each translation",
            &["items.translated-alike", "items.removed"],
            |front, _, response| {
                front.edit_answer(response, |body, _| {
                    for n in 0..body.list("operations").len() {
                        let place = format!("operations.{n}.item.0.version.hlc");
                        if let Some(clock) = body.uint(&place) {
                            body.set(&place, clock + 1);
                        }
                    }
                })
            },
        ),
        said("forgets what was removed", &["audit.tombstone"], |front, _, response| {
            front.edit_answer(response, |body, _| {
                let lives = |operation: &&Value| {
                    operation
                        .list("attach")
                        .last()
                        .is_some_and(|entry| entry.at("removed").is_none())
                };
                let living: Vec<Value> =
                    body.list("operations").iter().filter(lives).cloned().collect();
                if body.text("type") == Some("clone-sync") {
                    body.set("operations", list(living));
                }
            })
        }),
        Mutant {
            name: "takes rotations from anybody",
            caught_by: &["statements.rotation-of-a-stranger"],
            ask: taken,
            said: as_said,
        },
    ]
}

fn said(
    name: &'static str,
    caught_by: &'static [&'static str],
    said: crate::front::Said,
) -> Mutant {
    Mutant { name, caught_by, ask: as_asked, said }
}

/// An answer with another text, if it is a signed refusal.
fn refusal(front: &Front, response: Response, text: impl FnOnce(String) -> String) -> Response {
    front.edit_answer(response, |body, _| {
        if body.text("type") == Some("refusal") {
            let said = body.text("text").unwrap_or_default().to_owned();
            body.set("text", text(said));
        }
    })
}

/// After a rotation was shown, records hold whoever signed them.
fn taken(front: &Front, request: Request) -> Asked {
    const TURNED: &[u8] = b"a rotation was shown";
    let body = body_of(&request).unwrap_or(Value::Nil);
    if body.text("type") != Some("locations") {
        return Asked::Pass(request);
    }
    if !body.list("rotations").is_empty() {
        front.remember(TURNED);
        return Asked::Pass(request);
    }
    if front.remember(TURNED).is_none() {
        return Asked::Pass(request);
    }
    Asked::Pass(front.edit_body(request, |body| {
        body.set("records", list(Vec::<Value>::new()));
    }))
}

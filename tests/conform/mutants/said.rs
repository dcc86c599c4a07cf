//! Hubs that say what they must not say: the real hub's answer is changed and signed again.

use zotferry_conformance::http::{Response, Step};
use zotferry_conformance::keys::random;
use zotferry_conformance::wire::{Value, list, read};

use super::{Mutant, says};
use crate::front::{Front, body_of};

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all = answers();
    all.extend(reports());
    all.extend(refusals());
    all.extend(frames());
    all.extend(streams());
    all.extend(catalogs());
    all
}

fn answers() -> Vec<Mutant> {
    vec![
        says(
            "answers another request",
            &["signing.answer", "replay.new-packet", "audit.equal"],
            |front, _, response| {
                front.edit_answer(response, |body, _| {
                    body.set("answers", random::<16>());
                })
            },
        ),
        says(
            "answers another hub",
            &["signing.answer", "replay.new-packet", "audit.equal"],
            |front, _, response| {
                let hub = front.keys().hub.0.clone();
                front.edit_answer(response, |body, _| {
                    body.set("to.hub", hub);
                })
            },
        ),
        says(
            "signs with a key that is not its own",
            &["signing.answer", "replay.new-packet", "audit.equal"],
            |_, _, mut response| {
                let packet =
                    response.headers.iter().any(|(_, value)| value == "application/x-zot+msgpack");
                if let Ok(mut envelope) = read(&response.body())
                    && packet
                {
                    envelope.set("sig", vec![1; 256]);
                    response.steps = vec![Step::Bytes(envelope.bytes())];
                }
                response
            },
        ),
        says(
            "answers a challenge with another nonce",
            &["identity.challenge-of-the-introduced", "identity.record-not-needed"],
            |front, _, response| {
                front.edit_answer(response, |body, _| {
                    if body.at("nonce").is_some() {
                        body.set("nonce", random::<32>());
                    }
                })
            },
        ),
        says("does not state its own place", &["locations.answer"], |front, _, response| {
            let url = front.keys().hub.1.public().pem().to_owned();
            front.edit_answer(response, |body, _| {
                let is_own = |signed: &Value| {
                    let record = signed.bin("record").and_then(|bytes| read(bytes).ok());
                    record.is_some_and(|record| record.text("site_key") == Some(&url))
                };
                let records = body.list("records");
                if records.iter().any(is_own) {
                    let others: Vec<Value> =
                        records.iter().filter(|r| !is_own(r)).cloned().collect();
                    body.set("records", list(others));
                }
            })
        }),
        says(
            "serves hubs that the channel has left",
            &["locations.left", "locations.notice-removes"],
            |front, request, response| {
                let report =
                    body_of(request).is_some_and(|body| body.text("type") == Some("sync-report"));
                front.edit_answer(response, |body, status| {
                    if report && body.uint("code") == Some(30) {
                        let none = || list(Vec::<Value>::new());
                        *status = 200;
                        body.set("type", "sync-report")
                            .set("operations", none())
                            .set("present", none());
                    }
                })
            },
        ),
        says("reports in another order", &["clone-sync.report-order"], |front, _, response| {
            front.edit_answer(response, |body, _| {
                let reports: Vec<Value> = body.list("operations").iter().rev().cloned().collect();
                if body.text("type") == Some("sync-report") && reports.len() > 1 {
                    body.set("operations", list(reports));
                }
            })
        }),
    ]
}

/// What became of operations.
fn reports() -> Vec<Mutant> {
    vec![
        says(
            "says stored of what it has already",
            &["replay.new-packet", "versions.removed-stays"],
            |front, _, response| status(front, response, "duplicate", "stored"),
        ),
        says(
            "says stored of what is older",
            &["versions.superseded", "versions.conflict-copy"],
            |front, _, response| status(front, response, "superseded", "stored"),
        ),
        says(
            "says duplicate of what is new",
            &["replay.new-packet", "replay.same-answer", "replay.at-once"],
            |front, _, response| status(front, response, "stored", "duplicate"),
        ),
        says(
            "does not say what is not here",
            &["tenants.root-of-another", "manifest.not-here", "manifest.unknown"],
            |front, _, response| {
                front.edit_answer(response, |body, _| {
                    if body.text("type") == Some("manifest-page") {
                        body.remove("refused");
                    }
                })
            },
        ),
        says(
            "says stored of what it has no room for",
            &["limits.more-than-any-disk", "tenants.quota"],
            |front, _, response| status(front, response, "refused", "stored"),
        ),
        says(
            "lets one operation spoil the others",
            &["operations.name-empty", "operations.no-data", "clone-sync.file-becomes-folder"],
            |front, _, response| {
                front.edit_answer(response, |body, http| {
                    let refused =
                        body.list("operations").iter().find_map(|report| report.uint("code"));
                    if let Some(code) = refused {
                        *http = 400;
                        body.set("type", "refusal")
                            .set("code", code)
                            .set("text", "spoilt")
                            .set("clock", 1u64);
                    }
                })
            },
        ),
    ]
}

/// Changes what is said of operations.
fn status(front: &Front, response: Response, from: &str, to: &str) -> Response {
    front.edit_answer(response, |body, _| {
        for n in 0..body.list("operations").len() {
            let place = format!("operations.{n}.status");
            if body.text(&place) == Some(from) {
                body.set(&place, to);
            }
        }
    })
}

fn refusals() -> Vec<Mutant> {
    vec![
        says(
            "gives every refusal one status",
            &["freshness.expired", "locations.unknown-channel"],
            |front, _, response| {
                front.edit_answer(response, |body, status| {
                    if body.text("type") == Some("refusal") {
                        *status = 400;
                        // Signed anew, so that the change counts.
                        body.set("text", "no");
                    }
                })
            },
        ),
        says(
            "signs no refusal",
            &["freshness.expired", "signing.unknown-type", "chunks.beyond-end"],
            |_, _, response| match response.status {
                200..400 => response,
                status => Response::new(status, "text/plain", "no\n"),
            },
        ),
        says(
            "says bad-field of a type that it does not know",
            &["signing.unknown-type", "signing.empty-type"],
            |front, _, response| code(front, response, 13, 14),
        ),
        says(
            "says unknown-resource of what has not arrived",
            &["chunks.not-here", "tenants.chunks-of-another", "tenants.root-of-another"],
            |front, _, response| {
                Front::edit_frames(code(front, response, 43, 40), |frames| {
                    for frame in frames {
                        if let Value::List(parts) = frame
                            && let [_, Value::Nil, why] = parts.as_mut_slice()
                            && why.uint("code") == Some(43)
                        {
                            why.set("code", 40u64);
                        }
                    }
                })
            },
        ),
        says("says no time", &["freshness.clock"], |front, _, response| {
            front.edit_answer(response, |body, _| {
                if body.at("clock").is_some() {
                    body.set("clock", 0u64);
                }
            })
        }),
    ]
}

/// Changes a refusal's code.
fn code(front: &Front, response: Response, from: u64, to: u64) -> Response {
    front.edit_answer(response, |body, _| {
        if body.uint("code") == Some(from) {
            body.set("code", to);
        }
    })
}

/// Changes each data frame: chunk, offset and bytes.
fn data(response: Response, change: impl Fn(&mut Value, &mut Value, &mut Vec<u8>)) -> Response {
    Front::edit_frames(response, |frames| {
        for frame in frames {
            if let Value::List(parts) = frame
                && let [_, chunk, offset, Value::Bin(bytes)] = parts.as_mut_slice()
            {
                change(chunk, offset, bytes);
            }
        }
    })
}

fn frames() -> Vec<Mutant> {
    vec![
        says(
            "serves the wrong chunk",
            &["chunks.one", "chunks.last", "chunks.items", "resume.exact-budget"],
            |_, _, response| data(response, |_, _, bytes| bytes[0] ^= 1),
        ),
        says(
            "counts chunks from one",
            &["chunks.one", "chunks.items", "resume.exact-budget"],
            |_, _, response| {
                data(response, |chunk, _, _| {
                    if let Value::Uint(number) = chunk {
                        *number += 1;
                    }
                })
            },
        ),
        says(
            "is off by one at the last chunk",
            &["chunks.last", "chunks.all"],
            |_, _, response| {
                // The last frames of the library's short chunks have other sizes than whole frames.
                data(response, |_, _, bytes| {
                    if bytes.len() > 1 && bytes.len() < 262_144 {
                        bytes.pop();
                    }
                })
            },
        ),
        says(
            "sends frames beyond their limit",
            &["chunks.one", "chunks.all", "chunks.items", "resume.exact-budget"],
            |_, _, response| {
                Front::edit_frames(response, |frames| {
                    let [Value::List(first), Value::List(second), ..] = frames.as_slice() else {
                        return;
                    };
                    let ([a, b, c, Value::Bin(one)], [_, d, _, Value::Bin(other)]) =
                        (first.as_slice(), second.as_slice())
                    else {
                        return;
                    };
                    if b == d {
                        let all = [one.as_slice(), other].concat();
                        let joined = Value::List(vec![a.clone(), b.clone(), c.clone(), all.into()]);
                        frames.splice(..2, [joined]);
                    }
                })
            },
        ),
        says(
            "ends without an end",
            &["chunks.one", "resume.behind-last", "chunks.items", "resume.exact-budget"],
            |_, _, response| Front::edit_frames(response, |frames| drop(frames.pop())),
        ),
        says(
            "says done where more is to be had",
            &["resume.pieces", "chunks.most", "resume.budget-1"],
            |_, _, response| {
                Front::edit_frames(response, |frames| {
                    if let Some(Value::List(parts)) = frames.last_mut()
                        && parts.len() == 2
                    {
                        parts[1] = "done".into();
                    }
                })
            },
        ),
        says(
            "says limit at the very end",
            &["resume.exact-budget", "chunks.one", "resume.behind-last", "chunks.items"],
            |_, _, response| {
                Front::edit_frames(response, |frames| {
                    if let Some(Value::List(parts)) = frames.last_mut()
                        && parts.len() == 2
                    {
                        parts[1] = "limit".into();
                    }
                })
            },
        ),
        says(
            "passes over what it does not know",
            &["chunks.unknown-resource", "chunks.unknown-root", "chunks.not-here"],
            |_, _, response| {
                Front::edit_frames(response, |frames| {
                    frames.retain(|frame| !matches!(frame, Value::List(parts) if parts.len() == 3));
                })
            },
        ),
    ]
}

fn streams() -> Vec<Mutant> {
    fn is_stream(response: &Response) -> bool {
        response.headers.iter().any(|(_, value)| value == "application/x-zot-file")
    }
    vec![
        says(
            "says of streams that they are bytes",
            &["streaming.whole", "streaming.range", "streaming.at-once"],
            |_, _, response| {
                let stream = is_stream(&response);
                if stream {
                    response.with("content-type", "application/octet-stream")
                } else {
                    response
                }
            },
        ),
        says(
            "tags streams with something else",
            &["streaming.whole", "streaming.range", "streaming.at-once"],
            |_, _, response| {
                let stream = is_stream(&response);
                if stream { response.with("etag", "\"1\"") } else { response }
            },
        ),
        says(
            "answers a range with 200",
            &["streaming.range", "streaming.at-once"],
            |_, _, mut response| {
                if response.status == 206 {
                    response.status = 200;
                }
                response
            },
        ),
        says(
            "streams a byte too few",
            &["streaming.whole", "streaming.at-once"],
            |_, _, mut response| {
                if is_stream(&response) {
                    let mut body = response.body();
                    body.pop();
                    response.steps = vec![Step::Bytes(body)];
                }
                response
            },
        ),
    ]
}

fn catalogs() -> Vec<Mutant> {
    vec![
        says(
            "mixes up the digests of a page",
            &["manifest.page", "manifest.order"],
            |front, _, response| {
                front.edit_answer(response, |body, _| {
                    let digests = body.bin("pages.0.digests").map(<[u8]>::to_vec);
                    if let Some(mut digests) = digests.filter(|digests| digests.len() > 64) {
                        digests.rotate_left(32);
                        body.set("pages.0.digests", digests);
                    }
                })
            },
        ),
        says("gives pages in another order", &["manifest.order"], |front, _, response| {
            front.edit_answer(response, |body, _| {
                let pages: Vec<Value> = body.list("pages").iter().rev().cloned().collect();
                if pages.len() > 1 {
                    body.set("pages", list(pages));
                }
            })
        }),
        says(
            "adds leaves up in another way",
            &["audit.sums", "audit.divided", "audit.equal"],
            |front, _, response| {
                front.edit_answer(response, |body, _| {
                    let digest = body.bin("ranges.0.digest").map(<[u8]>::to_vec);
                    let told = body.at("ranges.0.leaves").is_some()
                        || body.at("ranges.0.digests").is_some();
                    if let Some(mut digest) = digest.filter(|_| told) {
                        digest[3] ^= 9;
                        body.set("ranges.0.digest", digest);
                    }
                    if let Some(mut below) = body.bin("ranges.0.digests").map(<[u8]>::to_vec) {
                        below[3] ^= 9;
                        body.set("ranges.0.digests", below);
                    }
                })
            },
        ),
        says(
            "digests leaves in another way",
            &["audit.file", "audit.folder", "audit.sums", "audit.divided"],
            |front, _, response| {
                front.edit_answer(response, |body, _| {
                    if let Some(mut leaves) = body.bin("ranges.0.leaves").map(<[u8]>::to_vec) {
                        // One of them: what is done to an even number of leaves is not seen in their sum.
                        leaves.chunks_mut(64).take(1).for_each(|leaf| leaf[40] ^= 3);
                        body.set("ranges.0.leaves", leaves);
                    }
                })
            },
        ),
        says(
            "says more than that a range is equal",
            &["audit.equal"],
            |front, request, response| {
                let digest = body_of(request).and_then(|body| body.at("ranges.0.digest").cloned());
                front.edit_answer(response, |body, _| {
                    if digest.is_some() && body.at("ranges.0.digest") == digest.as_ref() {
                        body.set("ranges.0.leaves", Vec::new());
                    }
                })
            },
        ),
        says("gives entries in its own order", &["audit.entries"], |front, _, response| {
            front.edit_answer(response, |body, _| {
                let operations: Vec<Value> =
                    body.list("operations").iter().rev().cloned().collect();
                if body.text("type") == Some("clone-sync") && operations.len() > 1 {
                    body.set("operations", list(operations));
                }
            })
        }),
    ]
}

//! Hubs that take what they must not take: the request is made good before the real hub sees it.

use zotferry_conformance::http::{Request, Response};
use zotferry_conformance::keys::{new_id, now};
use zotferry_conformance::wire::{Value, list, read, read_first};

use super::{Mutant, takes};
use crate::front::{Asked, Front, body_of, envelope_of, with_header, without_header};

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all = checks();
    all.extend(addressed());
    all.extend(dates());
    all.extend(places());
    all.extend(operations());
    all.extend(headers());
    all
}

fn checks() -> Vec<Mutant> {
    vec![
        takes(
            "skips the signature check",
            &[
                "signing.bad-signature",
                "signing.empty-signature",
                "signing.altered-body",
                "signing.another-key",
            ],
            |front, request| {
                let good = front.is_signed(&request);
                Asked::Pass(if good { request } else { front.sign(request, None) })
            },
        ),
        takes(
            "takes a signature over the body alone",
            &["signing.body-alone"],
            |front, request| Asked::Pass(over(front, request, |_, body| body.to_vec())),
        ),
        takes(
            "takes a signature of another context",
            &["signing.other-context"],
            |front, request| {
                Asked::Pass(over(front, request, |_, body| [b"zot-file-location\n", body].concat()))
            },
        ),
        takes(
            "takes any version",
            &["envelope.version-2", "envelope.version-0", "signing.version-before-signature"],
            |front, request| {
                let other =
                    envelope_of(&request).is_some_and(|e| e.uint("v").is_some_and(|v| v != 1));
                let request = front.edit_envelope(request, |envelope| {
                    if other {
                        envelope.set("v", 1u64);
                    }
                });
                Asked::Pass(request)
            },
        ),
        takes("takes any algorithm", &["envelope.algorithm"], |front, request| {
            Asked::Pass(front.edit_envelope(request, |envelope| {
                if envelope.text("alg") == Some("rsa-sha512") {
                    envelope.set("alg", "rsa-sha256");
                }
            }))
        }),
        takes("does not look behind the packet", &["envelope.trailing-byte"], |_, request| {
            let len =
                read_first(&request.body).map_or(0, |(_, rest)| request.body.len() - rest.len());
            let body = request.body[..len].to_vec();
            Asked::Pass(if len > 0 { Request { body, ..request } } else { request })
        }),
        takes("takes a field twice", &["envelope.field-twice"], |front, request| {
            Asked::Pass(front.edit_envelope(request, |envelope| {
                if let Value::Map(fields) = envelope {
                    let mut seen = Vec::new();
                    fields.retain(|(key, _)| {
                        !seen.contains(key) && {
                            seen.push(key.clone());
                            true
                        }
                    });
                }
            }))
        }),
        takes(
            "refuses fields that it does not know",
            &["envelope.unknown-fields", "envelope.16-deep", "envelope.exactly-1-mib"],
            |_, request| match envelope_of(&request) {
                Some(Value::Map(fields)) if fields.iter().any(|(key, _)| *key == "more".into()) => {
                    Asked::Answer(hint(400, "14 bad-field: a field that is not known\n"))
                }
                _ => Asked::Pass(request),
            },
        ),
        takes("takes any content type", &["envelope.content-type"], |_, request| {
            match request.path.as_str() {
                "/zot" => {
                    Asked::Pass(with_header(request, "content-type", "application/x-zot+msgpack"))
                }
                _ => Asked::Pass(request),
            }
        }),
        takes("takes any sender", &["signing.from-another-hub"], |front, request| {
            let key = envelope_of(&request).and_then(|e| e.text("key").map(str::to_owned));
            Asked::Pass(front.edit_body(request, |body| {
                if let Some(key) = key {
                    body.set("from.hub", key);
                }
            }))
        }),
    ]
}

/// To whom a packet is said, and for which channel.
fn addressed() -> Vec<Mutant> {
    vec![
        takes(
            "takes packets for another hub",
            &["signing.to-another-hub", "signing.back-to-sender", "streaming.to-another-hub"],
            |front, request| {
                let hub = front.keys().hub.0.clone();
                Asked::Pass(front.edit_body(request, |body| {
                    body.set("to.hub", hub);
                }))
            },
        ),
        takes(
            "takes another channel's request",
            &["locations.another-channel", "streaming.of-another-channel"],
            |front, request| {
                Asked::Pass(front.edit_body(request, |body| {
                    let channel = body.at("to.channel").cloned().unwrap_or(Value::Nil);
                    body.set("from.channel", channel);
                }))
            },
        ),
    ]
}

fn hint(status: u16, line: &str) -> Response {
    Response::new(status, "text/plain", line)
}

/// Signs again what was signed over another text.
fn over(front: &Front, request: Request, text: fn(&str, &[u8]) -> Vec<u8>) -> Request {
    let Some(envelope) = envelope_of(&request) else { return request };
    let (key, body) =
        (envelope.text("key").unwrap_or_default(), envelope.bin("body").unwrap_or_default());
    let signer = front.keys().me.1.clone();
    let good = signer.public().verifies(&text(key, body), envelope.bin("sig").unwrap_or_default());
    if good { front.sign(request, None) } else { request }
}

fn dates() -> Vec<Mutant> {
    vec![
        takes(
            "ignores expiry",
            &["freshness.expired", "streaming.stale", "freshness.capability-expires"],
            |front, request| {
                Asked::Pass(front.edit_body(request, |body| {
                    let (at, expires) =
                        (body.uint("at").unwrap_or(0), body.uint("expires").unwrap_or(0));
                    if expires < now() && expires >= at && at > 1_000_000 {
                        body.set("at", now()).set("expires", now() + 60_000);
                    }
                }))
            },
        ),
        takes("ignores dates ahead", &["freshness.ahead"], |front, request| {
            Asked::Pass(front.edit_body(request, |body| {
                let (at, expires) =
                    (body.uint("at").unwrap_or(0), body.uint("expires").unwrap_or(0));
                if at > now() + 300_000 && at < u64::MAX && expires - at <= 600_000 {
                    body.set("at", now()).set("expires", now() + 60_000);
                }
            }))
        }),
        takes(
            "lets packets live for ever",
            &["freshness.long-life", "freshness.life-of-a-day"],
            |front, request| {
                Asked::Pass(front.edit_body(request, |body| {
                    let (at, expires) =
                        (body.uint("at").unwrap_or(0), body.uint("expires").unwrap_or(0));
                    if expires.saturating_sub(at) > 600_000 {
                        body.set("expires", at + 600_000);
                    }
                }))
            },
        ),
        takes(
            "forgets what it was sent",
            &["replay.same-answer", "replay.same-id"],
            |front, request| {
                let known = is_sync(&request).and_then(|id| front.remember(&id));
                Asked::Pass(front.edit_body(request, |body| {
                    if known.is_some() {
                        body.set("id", new_id());
                    }
                }))
            },
        ),
        takes(
            "forgets at a restart what it was sent",
            &["replay.survives-restart"],
            |front, request| {
                let known = is_sync(&request).and_then(|id| front.remember(&id));
                let before = known.is_some_and(|start| start < front.starts());
                Asked::Pass(front.edit_body(request, |body| {
                    if before {
                        body.set("id", new_id());
                    }
                }))
            },
        ),
    ]
}

/// The id of a `clone-sync`.
fn is_sync(request: &Request) -> Option<Vec<u8>> {
    let body = body_of(request).filter(|body| body.text("type") == Some("clone-sync"))?;
    Some(body.bin("id")?.to_vec())
}

/// Changes the record by which a hub introduces itself.
fn introduction(
    front: &Front,
    request: Request,
    change: impl FnOnce(&mut Value),
    sign: (bool, bool),
) -> Request {
    let keys = front.keys();
    front.edit_envelope(request, |envelope| {
        let place = envelope.bin("location").and_then(|bytes| read(bytes).ok());
        let Some(mut place) = place else { return };
        let record = place.bin("record").and_then(|bytes| read(bytes).ok());
        let Some(mut record) = record else { return };
        change(&mut record);
        let text = [b"zot-file-location\n", record.bytes().as_slice()].concat();
        place.set("record", record.bytes());
        if sign.0 {
            place.set("channel_sig", keys.channel.sign(&text));
        }
        if sign.1 {
            place.set("site_sig", keys.others.sign(&text));
        }
        envelope.set("location", place.bytes());
    })
}

fn places() -> Vec<Mutant> {
    vec![
        takes(
            "takes places that the channel did not sign",
            &["identity.channel-signature", "identity.other-context"],
            |front, request| Asked::Pass(introduction(front, request, |_| {}, (true, false))),
        ),
        takes(
            "takes places that the hub did not sign",
            &["identity.site-signature"],
            |front, request| Asked::Pass(introduction(front, request, |_| {}, (false, true))),
        ),
        takes(
            "takes URLs that are not in their normal form",
            &["identity.url-with-slash", "identity.url-in-capitals"],
            |front, request| {
                let normal = |record: &mut Value| {
                    let url = record.text("url").unwrap_or_default().trim_end_matches('/');
                    let url = url.replace("HTTP", "http");
                    record.set("url", url);
                };
                Asked::Pass(introduction(front, request, normal, (true, true)))
            },
        ),
        takes(
            "takes notices of anybody",
            &["statements.notice-of-another-key"],
            |front, request| {
                let keys = front.keys();
                Asked::Pass(front.edit_body(request, |body| {
                    let record = body.bin("notices.0.record").map(<[u8]>::to_vec);
                    if let Some(record) = record {
                        let text = [b"zot-file-notice\n", record.as_slice()].concat();
                        body.set("notices.0.channel_sig", keys.channel.sign(&text));
                    }
                }))
            },
        ),
    ]
}

/// Changes the operations of a `clone-sync`.
fn each(front: &Front, request: Request, change: impl Fn(&mut Value)) -> Asked {
    Asked::Pass(front.edit_body(request, |body| {
        for n in 0..body.list("operations").len() {
            let place = format!("operations.{n}");
            if let Some(mut operation) = body.at(&place).cloned() {
                change(&mut operation);
                body.set(&place, operation);
            }
        }
    }))
}

/// Changes the last row of an operation.
fn row(operation: &mut Value, change: impl FnOnce(&mut Value)) {
    let Some(last) = operation.list("attach").len().checked_sub(1) else { return };
    let place = format!("attach.{last}.row");
    let Some(mut row) = operation.bin(&place).and_then(|bytes| read(bytes).ok()) else { return };
    change(&mut row);
    operation.set(&place, row.bytes());
}

fn operations() -> Vec<Mutant> {
    vec![
        takes(
            "takes any name",
            &["operations.name-slash", "operations.name-dots", "operations.name-nul"],
            |front, request| {
                each(front, request, |operation| {
                    row(operation, |row| {
                        let name = row.text("filename").unwrap_or_default().to_owned();
                        if name.contains(['/', '\0']) || name == ".." {
                            row.set("filename", name.replace(['/', '\0', '.'], "conformance "));
                        }
                    });
                })
            },
        ),
        takes("takes any operation for a put", &["operations.unknown-op"], |front, request| {
            each(front, request, |operation| {
                if operation.text("op") == Some("shred") && operation.at("attach").is_some() {
                    operation.set("op", "put");
                }
            })
        }),
        takes(
            "does not compare digests with the root",
            &["operations.digests-of-another"],
            |front, request| {
                each(front, request, |operation| {
                    let digests = operation.bin("data.0.digests").map(<[u8]>::to_vec);
                    if let Some(digests) = digests.filter(|digests| digests.len() == 64) {
                        let (one, other) = digests.split_at(32);
                        let node =
                            |n: &[u8]| zotferry_protocol::ids::Digest::from_slice(n).unwrap();
                        let root = zotferry_protocol::merkle::node(&node(one), &node(other));
                        operation.set("data.0.root", root.0);
                    }
                })
            },
        ),
        takes(
            "drops the fields of rows that it does not know",
            &["clone-sync.row-fields-are-kept"],
            |front, request| {
                each(front, request, |operation| {
                    row(operation, |row| {
                        row.remove("x-of-tomorrow");
                    });
                })
            },
        ),
        takes("takes ranges beyond their limit", &["chunks.1025"], |front, request| {
            Asked::Pass(front.edit_body(request, |body| {
                if body.uint("items.0.ranges.0.count").is_some_and(|count| count > 1024) {
                    body.set("items.0.ranges.0.count", 1024u64);
                }
            }))
        }),
        takes(
            "takes lists beyond their limit",
            &["limits.257-items", "limits.257-keys"],
            |front, request| {
                Asked::Pass(front.edit_body(request, |body| {
                    for name in ["items", "keys"] {
                        let some: Vec<Value> = body.list(name).iter().take(256).cloned().collect();
                        if body.list(name).len() > 256 {
                            body.set(name, list(some));
                        }
                    }
                }))
            },
        ),
    ]
}

fn headers() -> Vec<Mutant> {
    vec![
        takes(
            "begins at the start again",
            &["resume.at-chunk", "resume.inside-chunk", "resume.after-cut"],
            |_, request| Asked::Pass(without_header(request, "zot-resume")),
        ),
        takes(
            "gives more than is asked for",
            &["resume.budget-0", "resume.budget-1", "resume.pieces"],
            |_, request| {
                let small = request.header("zot-max-bytes").len() < 7;
                Asked::Pass(if small { without_header(request, "zot-max-bytes") } else { request })
            },
        ),
        takes(
            "takes headers of any form",
            &["resume.header-signed", "resume.budget-float"],
            |_, request| {
                let resume = request.header("zot-resume").trim_start_matches('+').to_owned();
                let most = request
                    .header("zot-max-bytes")
                    .split('.')
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let mut request = request;
                for (name, value) in [("zot-resume", resume), ("zot-max-bytes", most)] {
                    if !request.header(name).is_empty() {
                        request = with_header(request, name, &value);
                    }
                }
                Asked::Pass(request)
            },
        ),
        takes(
            "ignores ranges of streams",
            &["streaming.range", "streaming.range-suffix", "streaming.range-outside"],
            |_, request| {
                let whole =
                    ["bytes=5-9", "bytes=-3", "bytes=1048577-"].contains(&request.header("range"));
                Asked::Pass(if whole { without_header(request, "range") } else { request })
            },
        ),
        takes("ignores If-Range", &["streaming.if-range"], |_, request| {
            Asked::Pass(without_header(request, "if-range"))
        }),
        takes(
            "streams what the packet does not name",
            &["streaming.another-content", "streaming.another-resource"],
            |front, request| {
                let parts: Vec<String> = request.path.split('/').map(str::to_owned).collect();
                let streams = request.path.starts_with("/zot/file/");
                Asked::Pass(front.edit_body(request, |body| {
                    if streams && body.text("type") == Some("stream-request") {
                        let root =
                            zotferry_protocol::ids::Digest::from_slice(body.bin("root").unwrap())
                                .unwrap();
                        let other = root.to_string() != parts[5]
                            || body.text("resource") != Some(&parts[3]);
                        if other {
                            let named: zotferry_protocol::ids::Digest = parts[5].parse().unwrap();
                            body.set("root", named.0).set("resource", parts[3].as_str());
                        }
                    }
                }))
            },
        ),
    ]
}

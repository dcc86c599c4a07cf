//! Refusals, signed ones and others, and what a hub makes of them: only what the asked hub has signed speaks about a
//! file.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use zotferry_protocol::refusal::Code;

use super::tools::{
    Turn, by_chunks, chunks, file, frames, has_too, holds, no_streams, noise, presented,
};
use crate::actor::{Actor, Packet};
use crate::case::{Case, need};
use crate::desk::{self, refusal, refuse};
use crate::http::Response;
use crate::keys::{new_id, now};
use crate::wire::Value;
use crate::world::World;

/// What is answered in place of the first answers.
type Instead = fn(&World, &Actor, &Packet) -> Response;

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = UNSIGNED.iter().chain(&SIGNED).map(not_the_end).collect();
    cases.extend(PAUSES.iter().map(pause));
    cases.extend([
        redirect(),
        less(),
        elsewhere("gone", Code::Gone),
        elsewhere("unknown-resource", Code::UnknownResource),
        replayed(),
    ]);
    cases
}

type Row = (&'static str, &'static str, &'static str, Instead);

const UNSIGNED: [Row; 6] = [
    (
        "unsigned-unknown-resource",
        "REF-5 REF-3",
        "The unsigned hint `40 unknown-resource`, status 404, comes first.",
        |_, _, _| hint(Code::UnknownResource),
    ),
    (
        "unsigned-malformed",
        "REF-5 REF-3",
        "The unsigned hint `10 malformed`, which means never, comes first.",
        |_, _, _| hint(Code::Malformed),
    ),
    ("unsigned-gone", "REF-5 REF-3", "The unsigned hint `41 gone` comes first.", |_, _, _| {
        hint(Code::Gone)
    }),
    ("proxy-page", "QUEUE-13 FETCH-24", "A page with status 200 comes first.", |_, _, _| {
        Response::new(200, "text/html", "<h1>Welcome to this hotel</h1>")
    }),
    (
        "encoded-frames",
        "FETCH-24 QUEUE-13",
        "An answer that says it is compressed comes first.",
        |_, _, _| {
            Response::new(200, "application/x-zot-chunks", b"\x1f\x8b\x08".as_slice())
                .with("content-encoding", "gzip")
        },
    ),
    ("server-error", "QUEUE-13", "Status 500 without anything comes first.", |_, _, _| {
        Response::new(500, "text/plain", "")
    }),
];

const SIGNED: [Row; 6] = [
    (
        "signed-by-another",
        "SIGN-11 REF-5",
        "A `gone` that another hub signed comes first.",
        |world, origin, packet| {
            let refused = refuse(origin, packet, Code::Gone);
            let Ok((_, body, _)) = crate::wire::open(&refused.body()) else { return refused };
            let me = world.me();
            let body = body.with("from.hub", me.site());
            Response {
                steps: vec![crate::http::Step::Bytes(me.seal(&body).bytes())],
                ..refused.with("content-length", me.seal(&body).bytes().len())
            }
        },
    ),
    (
        "signature-broken",
        "SIGN-11 REF-5",
        "A `gone` with a broken signature comes first.",
        |_, origin, packet| {
            let refused = refuse(origin, packet, Code::Gone);
            let mut bytes = refused.body();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            Response { steps: vec![crate::http::Step::Bytes(bytes)], ..refused }
        },
    ),
    (
        "answers-another",
        "SIGN-11 SIGN-17",
        "A signed `gone` that answers another packet comes first.",
        |_, origin, packet| {
            changed(origin, packet, |body| {
                body.set("answers", new_id());
            })
        },
    ),
    (
        "answers-nothing",
        "SIGN-11 SIGN-17",
        "A signed `gone` without `answers` comes first.",
        |_, origin, packet| {
            changed(origin, packet, |body| {
                body.remove("answers");
            })
        },
    ),
    (
        "to-another",
        "SIGN-11 SIGN-17",
        "A signed `gone` that is addressed to another hub comes first.",
        |world, origin, packet| {
            let site = world.me().site().to_owned();
            changed(origin, packet, move |body| {
                body.set("to.hub", site.as_str());
            })
        },
    ),
    (
        "unknown-code",
        "REF-4",
        "A signed refusal with the code 999 comes first.",
        |_, origin, packet| {
            changed(origin, packet, |body| {
                body.set("code", 999u64);
            })
        },
    ),
];

fn hint(code: Code) -> Response {
    let line = format!("{} {}: {}\n", code.number(), code.word(), code.sentence());
    Response::new(code.http(), "text/plain", line)
}

/// A signed `gone` with its body changed before it was signed.
fn changed(origin: &Actor, packet: &Packet, change: impl Fn(&mut Value)) -> Response {
    let refused = refuse(origin, packet, Code::Gone);
    let Ok((_, mut body, _)) = crate::wire::open(&refused.body()) else { return refused };
    change(&mut body);
    Response::new(refused.status, "application/x-zot+msgpack", origin.seal(&body).bytes())
}

/// Two such answers; after them the origin is honest. No other clone has the file.
fn not_the_end(&(what, requirements, sentence, instead): &Row) -> Case {
    Case::client(
        format!("refused.{what}"),
        requirements,
        format!("{sentence} No other clone has the file."),
        "the hub does not give up: it asks again, and has the right bytes",
        move |world| async move {
            let (origin, entry, content) = file(&world, what, 6_000).await?;
            let around = world.clone();
            let turn = by_chunks(&origin, move |turn, origin, _, packet| {
                (turn < 2).then(|| instead(&around, origin, packet))
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() >= 3, "the hub did not ask again")?;
            holds(&world, &entry, &content).await
        },
    )
}

const PAUSES: [Row; 3] = [
    (
        "429-retry-after",
        "FETCH-44 QUEUE-12",
        "Status 429 with `Retry-After: 3`, not signed.",
        |_, _, _| Response::new(429, "text/plain", "too many\n").with("retry-after", 3),
    ),
    (
        "503-retry-after",
        "FETCH-44 QUEUE-12",
        "Status 503 with `Retry-After: 3`, as by a proxy.",
        |_, _, _| Response::new(503, "text/html", "<h1>busy</h1>").with("retry-after", 3),
    ),
    (
        "signed-retry-after",
        "FETCH-44 QUEUE-12 QUEUE-10",
        "A signed `too-many` with a `retry_after` of 3 s.",
        |_, origin, packet| {
            let refused = changed(origin, packet, |body| {
                body.set("code", u64::from(Code::TooMany.number())).set("retry_after", 3u64);
            });
            Response { status: 429, ..refused }
        },
    ),
];

/// The first answer asks for a pause.
fn pause(&(what, requirements, sentence, instead): &Row) -> Case {
    Case::client(
        format!("refused.{what}"),
        requirements,
        format!("{sentence} It is the first answer."),
        "no chunk-request comes before the 3 s are over; then the file arrives",
        move |world| async move {
            let (origin, entry, content) = file(&world, what, 6_000).await?;
            let times = Arc::new(Mutex::new(Vec::new()));
            let (noted, around) = (Arc::clone(&times), world.clone());
            by_chunks(&origin, move |turn, origin, _, packet| {
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                (turn == 0).then(|| instead(&around, origin, packet))
            });
            world.give(&origin, &entry, &content).await?;
            let times = times.lock().unwrap_or_else(PoisonError::into_inner).clone();
            need(times.len() >= 2, "the hub did not ask again")?;
            let waited = times[1] - times[0];
            // A clock of the hub's own may be read a moment before ours.
            need(
                waited >= Duration::from_millis(2_900),
                format_args!("it asked again after {waited:?}"),
            )?;
            holds(&world, &entry, &content).await
        },
    )
}

fn redirect() -> Case {
    Case::client(
        "refused.redirect",
        "ID-16 QUEUE-13",
        "The first chunk-requests are redirected to another hub of ours, which would answer them.",
        "the redirects are not followed; the hub asks again, and has the right bytes",
        |world| async move {
            let (origin, entry, content) = file(&world, "redirected", 7_000).await?;
            let other = world.stranger().await?;
            other.serve(&content);
            let place = other.url().to_owned();
            by_chunks(&origin, move |turn, _, _, _| {
                let status = [301, 307, 308];
                let to = format!("{place}/zot");
                Some(Response::new(*status.get(turn)?, "text/plain", "").with("location", to))
            });
            world.give(&origin, &entry, &content).await?;
            need(other.inbox().is_empty(), "a redirect was followed")?;
            holds(&world, &entry, &content).await
        },
    )
}

fn less() -> Case {
    Case::client(
        "refused.413",
        "FETCH-46",
        "Twenty small files are announced; every request for more than five of them is answered with 413.",
        "less is asked for at a time, until all have arrived",
        |world| async move {
            let origin = world.second().await?;
            let files: Vec<_> = (0..20).map(|_| noise(&origin, "one of twenty", 3_000)).collect();
            by_chunks(&origin, |_, _, _, packet| {
                let many = packet.body.list("items").len() > 5;
                many.then(|| Response::new(413, "text/html", "<h1>too large</h1>"))
            });
            for (_, content) in &files {
                origin.serve(content);
            }
            world
                .sync(&origin, files.iter().map(|(entry, _)| entry.operation("put")).collect())
                .await?;
            for (entry, content) in &files {
                world.present(&origin, entry, content).await?;
            }
            Ok(())
        },
    )
}

/// Refused by a frame for good at one clone; another one has it.
fn elsewhere(word: &str, code: Code) -> Case {
    Case::client(
        format!("refused.{word}"),
        "FETCH-54 FETCH-17",
        format!(
            "The clone that announced a file refuses it by a frame with `{word}`; another one has reported it."
        ),
        "the hub asks the other one, and has the right bytes",
        move |world| async move {
            let (origin, entry, content) = file(&world, "elsewhere", 8_000).await?;
            by_chunks(&origin, move |_, _, incoming, packet| {
                let _ = incoming;
                let items = (0u64..).zip(packet.body.list("items"));
                let mut all: Vec<_> = items.map(|(number, _)| refusal(number, code)).collect();
                all.push(desk::end("done"));
                Some(frames(&all))
            });
            let other = world.second().await?;
            world.sync(&origin, vec![entry.operation("put")]).await?;
            has_too(&other, &entry, &content).await?;
            world.present(&other, &entry, &content).await?;
            need(presented(&other) > 0, "the other clone was not asked")?;
            holds(&world, &entry, &content).await
        },
    )
}

fn replayed() -> Case {
    Case::client(
        "refused.replayed-answer",
        "SIGN-11",
        "A signed `gone`, the true answer to a request for one file, is given as the answer to the request for another.",
        "it is not believed of the other: the hub asks again, and has its bytes",
        |world| async move {
            let origin = world.second().await?;
            let (first, gone) = noise(&origin, "really gone", 5_000);
            let (second, content) = noise(&origin, "not gone", 5_000);
            let kept: Arc<Mutex<Option<Response>>> = Arc::default();
            let (noted, root) = (Arc::clone(&kept), gone.root);
            let turn = Turn::default();
            let counted = turn.clone();
            origin.hook(move |origin, incoming| {
                if let Some(response) = no_streams(incoming) {
                    return Some(response);
                }
                let packet = chunks(incoming)?;
                let mut kept = noted.lock().unwrap_or_else(PoisonError::into_inner);
                let of_the_first =
                    packet.body.list("items").iter().any(|item| item.bin("root") == Some(&root));
                if of_the_first {
                    let refused = refuse(origin, packet, Code::Gone);
                    *kept = Some(refused.clone());
                    return Some(refused);
                }
                (counted.next() < 2).then(|| kept.clone())?
            });
            world.sync(&origin, vec![first.operation("put")]).await?;
            let mut patience = world.patience("the hub asks for the first file");
            while presented(&origin) == 0 {
                patience.next().await?;
            }
            // A request for both would be refused as a whole: the first is removed before the second is there.
            world.sync(&origin, vec![first.gone(&origin).operation("remove")]).await?;
            world.give(&origin, &second, &content).await?;
            need(turn.count() >= 3, "the hub did not ask again")?;
            holds(&world, &second, &content).await
        },
    )
}

/// For the cases about clocks: when a packet says that it was signed.
pub(super) fn ahead(packet: &Packet) -> i128 {
    i128::from(packet.body.uint("at").unwrap_or(0)) - i128::from(now())
}

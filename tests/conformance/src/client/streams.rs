//! Streams that are none, or not the one that was asked for: the content arrives all the same, by chunk-requests.

use std::sync::Arc;

use zotferry_protocol::refusal::Code;

use super::tools::{Turn, file, has_too, holds, is_stream, presented};
use crate::actor::{Actor, Incoming};
use crate::case::{Case, Miss, Outcome, need};
use crate::content::MIB;
use crate::desk;
use crate::http::{Response, Step};

/// What is made of an honest answer.
type Change = fn(&Actor, &Incoming, Response) -> Response;

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = PATHS.iter().map(path).collect();
    cases.extend([redirect(), too_long(), short_twice(), signed(), asked_rightly(), one_chunk()]);
    cases
}

const PATHS: [(&str, &str, &str, Change); 10] = [
    ("404", "STREAM-9 STREAM-12", "Streams are answered with 404 and a page.", |_, _, _| page(404)),
    ("405", "STREAM-9 STREAM-12", "Streams are answered with 405.", |_, _, _| page(405)),
    ("413", "STREAM-9 STREAM-12", "Streams are answered with 413.", |_, _, _| page(413)),
    ("502", "STREAM-9 STREAM-12", "Streams are answered with 502, as by a proxy.", |_, _, _| {
        page(502)
    }),
    ("page", "STREAM-5 STREAM-9", "Streams are answered with status 200 and a page.", |_, _, _| {
        page(200)
    }),
    (
        "type",
        "STREAM-5 STREAM-9",
        "Streams have the type application/octet-stream.",
        |_, _, honest| honest.with("content-type", "application/octet-stream"),
    ),
    ("encoded", "STREAM-5 STREAM-9", "Streams say that they are compressed.", |_, _, honest| {
        honest.with("content-encoding", "gzip")
    }),
    (
        "whole",
        "STREAM-5 STREAM-9",
        "A part is asked for, and 200 with as many bytes from the beginning comes.",
        |origin, incoming, honest| {
            let content =
                incoming.packet.as_ref().and_then(|p| origin.content(p.body.bin("root")?));
            let len = honest.body().len();
            let bytes = content.map(|content| content.bytes[..len].to_vec()).unwrap_or_default();
            Response::new(200, "application/x-zot-file", bytes)
                .with("content-range", format_args!("bytes 0-{}/{}", len - 1, 5 * MIB))
        },
    ),
    (
        "other-range",
        "STREAM-5 STREAM-9",
        "`Content-Range` names the range one byte further on.",
        |_, incoming, honest| {
            let (first, last) = range(incoming).unwrap_or((0, 0));
            honest
                .with("content-range", format_args!("bytes {}-{}/{}", first + 1, last + 1, 5 * MIB))
        },
    ),
    (
        "other-size",
        "STREAM-5 STREAM-9",
        "`Content-Range` names another size.",
        |_, incoming, honest| {
            let (first, last) = range(incoming).unwrap_or((0, 0));
            honest.with("content-range", format_args!("bytes {first}-{last}/{}", 5 * MIB + 1))
        },
    ),
];

fn page(status: u16) -> Response {
    Response::new(status, "text/html", "<h1>a proxy</h1>")
}

fn range(incoming: &Incoming) -> Option<(usize, usize)> {
    let range = incoming.request.header("range").strip_prefix("bytes=")?.split_once('-')?;
    Some((range.0.parse().ok()?, range.1.parse().ok()?))
}

/// Every stream is answered so; chunk-requests are served.
fn path(
    &(what, requirements, sentence, change): &(&'static str, &'static str, &str, Change),
) -> Case {
    Case::client(
        format!("streams.{what}"),
        requirements,
        sentence,
        "nothing of it counts: the content arrives by chunk-requests",
        move |world| async move {
            let (origin, entry, content) = file(&world, "without a stream", 5 * MIB).await?;
            origin.hook(move |origin, incoming| {
                is_stream(incoming)
                    .then(|| change(origin, incoming, desk::answer(origin, incoming)))
            });
            world.give(&origin, &entry, &content).await?;
            need(presented(&origin) > 0, "what was no stream was taken for one")?;
            holds(&world, &entry, &content).await
        },
    )
}

fn redirect() -> Case {
    Case::client(
        "streams.redirect",
        "ID-16 STREAM-5",
        "Streams are redirected to another hub of ours, which would give them.",
        "the redirect is not followed; the content arrives by chunk-requests",
        |world| async move {
            let (origin, entry, content) = file(&world, "redirected", 3 * MIB).await?;
            let other = world.stranger().await?;
            other.serve(&content);
            let place = other.url().to_owned();
            origin.hook(move |_, incoming| {
                let to = format!("{place}{}", incoming.request.path);
                is_stream(incoming).then(|| page(302).with("location", to))
            });
            world.give(&origin, &entry, &content).await?;
            need(other.inbox().is_empty(), "the redirect was followed")?;
            holds(&world, &entry, &content).await
        },
    )
}

fn too_long() -> Case {
    Case::client(
        "streams.too-long",
        "STREAM-5 STREAM-7 FETCH-3",
        "Streams go on behind the range that their head names.",
        "what was not asked for does not count, and the content arrives",
        |world| async move {
            let (origin, entry, content) = file(&world, "too long", 3 * MIB).await?;
            origin.hook(|origin, incoming| {
                let honest = is_stream(incoming).then(|| desk::answer(origin, incoming))?;
                let len = honest.body().len() + MIB;
                let mut long = honest.with("content-length", len);
                long.steps.push(Step::Bytes(vec![7; MIB]));
                Some(long)
            });
            world.give(&origin, &entry, &content).await?;
            holds(&world, &entry, &content).await
        },
    )
}

fn short_twice() -> Case {
    Case::client(
        "streams.nothing-new",
        "STREAM-10 STREAM-12",
        "Every stream breaks off after 1000 bytes.",
        "after two attempts that brought no chunk the content is asked for by chunk-requests, and arrives",
        |world| async move {
            let (origin, entry, content) = file(&world, "too short", 3 * MIB).await?;
            origin.hook(|origin, incoming| {
                is_stream(incoming).then(|| desk::answer(origin, incoming).cut_after(1000))
            });
            world.give(&origin, &entry, &content).await?;
            need(presented(&origin) > 0, "no chunk-request came")?;
            holds(&world, &entry, &content).await
        },
    )
}

fn signed() -> Case {
    Case::client(
        "streams.signed-refusal",
        "STREAM-13 FETCH-54",
        "The clone that announced a file refuses its stream with a signed `gone`; another one has the file.",
        "the refusal speaks about the content: it comes from the other clone, by a stream if the hub streams",
        |world| async move {
            let (origin, entry, content) = file(&world, "gone here", 3 * MIB).await?;
            let refused = Turn::default();
            let counted = refused.clone();
            origin.hook(move |origin, incoming| {
                let packet = incoming.packet.as_ref()?;
                let wants = is_stream(incoming) || packet.kind == "chunk-request";
                wants.then(|| {
                    counted.next();
                    desk::refuse(origin, packet, Code::Gone)
                })
            });
            let other = world.second().await?;
            world.sync(&origin, vec![entry.operation("put")]).await?;
            has_too(&other, &entry, &content).await?;
            world.present(&other, &entry, &content).await?;
            by_the_same_way(&origin, &other, refused.count())?;
            holds(&world, &entry, &content).await
        },
    )
}

/// A hub that asked the first clone by stream has learnt nothing about the other's path.
fn by_the_same_way(origin: &Actor, other: &Actor, refused: usize) -> Outcome {
    let streamed = |actor: &Actor| actor.inbox().iter().any(|incoming| is_stream(incoming));
    if refused > 0 && streamed(origin) {
        return need(streamed(other), "a signed refusal was taken for one of the path");
    }
    Ok(())
}

fn asked_rightly() -> Case {
    Case::client(
        "streams.asked-rightly",
        "STREAM-1 STREAM-8 SIGN-1",
        "A file of 5 MiB and 1 byte is served honestly.",
        "each stream is asked for at the path of the content, with a signed `stream-request` for it, from the beginning of a \
         chunk to the end of one",
        |world| async move {
            let (origin, entry, content) = file(&world, "asked rightly", 5 * MIB + 1).await?;
            world.give(&origin, &entry, &content).await?;
            let inbox = origin.inbox();
            let streams: Vec<_> = inbox.iter().filter(|incoming| is_stream(incoming)).collect();
            if streams.is_empty() {
                return Err(Miss::Skipped("this hub asks for no streams".into()));
            }
            for incoming in streams {
                let wanted = format!("/zot/file/{}/file/{}", entry.hash(), content.hex());
                need(
                    incoming.request.path == wanted,
                    format_args!("{} is asked", incoming.request.path),
                )?;
                let packet =
                    incoming.packet.as_ref().ok_or("a stream is asked for without a packet")?;
                need(packet.holds && packet.kind == "stream-request", "the packet does not hold")?;
                let body = &packet.body;
                let same = body.text("resource") == Some(entry.hash())
                    && body.bin("root") == Some(&content.root);
                need(same, "the packet names another content")?;
                let all = (0, content.bytes.len() - 1);
                let (first, last) = range(incoming).unwrap_or(all);
                let at_ends = first % MIB == 0 && ((last + 1) % MIB == 0 || last == all.1);
                need(at_ends, format_args!("bytes {first} to {last} are asked for"))?;
            }
            holds(&world, &entry, &Arc::clone(&content)).await
        },
    )
}

fn one_chunk() -> Case {
    Case::client(
        "streams.not-for-one-chunk",
        "STREAM-8",
        "A file of one chunk is announced.",
        "it is asked for by a chunk-request",
        |world| async move {
            let (origin, entry, content) = file(&world, "one chunk", MIB).await?;
            world.give(&origin, &entry, &content).await?;
            let streams = origin.inbox().iter().filter(|incoming| is_stream(incoming)).count();
            need(streams == 0, "it is asked for by a stream")
        },
    )
    .should()
}

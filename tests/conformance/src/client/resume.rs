//! Answers that end too early: what they brought is kept, and no byte of it is asked for again.

use std::sync::{Arc, Mutex, PoisonError};

use zotferry_protocol::refusal::Code;

use super::tools::{Given, Turn, by_chunks, chunks, file, frames, holds, is_stream, presented};
use crate::actor::Actor;
use crate::case::{Case, Outcome, need};
use crate::content::MIB;
use crate::desk::{self, end, refuse};
use crate::http::{Response, Step};

pub(super) fn cases() -> Vec<Case> {
    vec![
        broken(
            "resume.cut",
            "FETCH-20 FETCH-6 FETCH-10 FETCH-25",
            "Each of the first answers breaks off after 200,000 bytes of payload.",
            200_000,
            Ending::Cut,
        ),
        broken(
            "resume.cut-at-a-byte",
            "FETCH-20 FETCH-6",
            "The first answers break off after 1 byte of payload each.",
            1,
            Ending::Cut,
        ),
        broken(
            "resume.limit",
            "FETCH-16 FETCH-14 FETCH-20",
            "Each of the first answers ends with `limit` after 123,457 bytes of payload.",
            123_457,
            Ending::Limit,
        ),
        broken(
            "resume.closed",
            "FETCH-10 FETCH-20",
            "The first answers end in order after 300,000 bytes of payload, without an end frame.",
            300_000,
            Ending::Closed,
        ),
        middle_of_a_frame(),
        nothing(),
        new_capability("resume.too-many", "FETCH-27", Code::TooMany, "`too-many`"),
        new_capability(
            "resume.expired",
            "FETCH-9 SIGN-6",
            Code::Stale,
            "`stale`, with the right clock",
        ),
        stream(),
        restart(),
    ]
}

#[derive(Clone, Copy)]
enum Ending {
    Cut,
    Limit,
    Closed,
}

/// The first four answers for one chunk of 900,000 bytes are short.
fn broken(
    id: &str,
    requirements: &'static str,
    sentence: &str,
    most: usize,
    ending: Ending,
) -> Case {
    let expectation = "the hub goes on where each answer ended, with the same request or a new one; by the same request no \
                       byte is asked for twice";
    Case::client(id, requirements, sentence, expectation, move |world| async move {
        let (origin, entry, content) = file(&world, "broken off", 900_000).await?;
        let given = Given::default();
        let noted = given.clone();
        by_chunks(&origin, move |turn, origin, incoming, packet| {
            let most = if turn < 4 { most } else { usize::MAX };
            let (mut some, all) = noted.some(origin, incoming, packet, most);
            if all {
                return Some(frames(&some));
            }
            Some(match ending {
                Ending::Limit => {
                    some.push(end("limit"));
                    frames(&some)
                }
                Ending::Closed => frames(&some),
                Ending::Cut => {
                    let len = some.concat().len();
                    some.push(end("done"));
                    frames(&some).cut_after(len)
                }
            })
        });
        world.give(&origin, &entry, &content).await?;
        at_most_the_unfinished(&origin, &given)?;
        holds(&world, &entry, &content).await
    })
}

/// FETCH-6: the bytes of an unfinished chunk are kept while the same request goes on. A request that was signed anew
/// begins the chunk anew.
fn at_most_the_unfinished(origin: &Actor, given: &Given) -> Outcome {
    let mut ids: Vec<_> = origin
        .inbox()
        .iter()
        .filter_map(|incoming| Some(chunks(incoming)?.body.bin("id")?.to_vec()))
        .collect();
    ids.sort();
    ids.dedup();
    let again = given.twice_to_one_request();
    need(
        again == 0,
        format_args!("{again} bytes were asked for again by the request that had brought them"),
    )?;
    let most = (ids.len() - 1) * MIB;
    let twice = given.twice();
    need(
        twice <= most,
        format_args!(
            "{twice} of {} bytes were asked for twice by {} requests",
            given.total(),
            ids.len()
        ),
    )
}

fn middle_of_a_frame() -> Case {
    Case::client(
        "resume.cut-inside-a-frame",
        "FETCH-10 FETCH-20",
        "The first answer breaks off in the payload of its second frame.",
        "the bytes of the broken frame count as well: a presentation of the same request goes on behind them",
        |world| async move {
            let (origin, entry, content) = file(&world, "inside a frame", 600_000).await?;
            by_chunks(&origin, |turn, origin, incoming, packet| {
                let honest = frames(&desk::frames_of(origin, incoming, packet));
                // Two heads of frames and 300,000 bytes of payload.
                let (first, second) = (262_144 + 9, 37_856 + 13);
                (turn == 0).then(|| honest.cut_after(first + second))
            });
            world.give(&origin, &entry, &content).await?;
            let inbox = origin.inbox();
            let found: Vec<_> =
                inbox.iter().filter(|incoming| chunks(incoming).is_some()).collect();
            need(found.len() >= 2, "the hub did not ask again")?;
            let id = |n: usize| chunks(found[n]).and_then(|packet| packet.body.bin("id"));
            if id(0) == id(1) {
                let (chunk, bytes) = desk::resume(found[1]);
                let fits = chunk == 0 && (262_144..=300_000).contains(&bytes) && bytes > 262_144;
                need(fits, format_args!("Zot-Resume is {chunk}:{bytes}"))?;
            }
            holds(&world, &entry, &content).await
        },
    )
}

fn nothing() -> Case {
    Case::client(
        "resume.nothing-comes",
        "FETCH-6 QUEUE-13 FETCH-54",
        "The first three connections are cut before an answer.",
        "the hub asks again later, and has the right bytes",
        |world| async move {
            let (origin, entry, content) = file(&world, "nothing comes", 80_000).await?;
            let turn = by_chunks(&origin, |turn, _, _, _| {
                let promised = frames(&[vec![0; 1000]]).cut_after(0);
                (turn < 3).then_some(promised)
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() >= 4, "the hub did not ask often enough")?;
            holds(&world, &entry, &content).await
        },
    )
}

/// The second presentation is refused, signed.
fn new_capability(id: &str, requirements: &'static str, code: Code, word: &str) -> Case {
    let expectation = "the hub signs another request, under another id, and has the right bytes";
    let sentence =
        format!("An answer ends with `limit`; the next presentation is refused with {word}.");
    Case::client(id, requirements, sentence, expectation, move |world| async move {
        let (origin, entry, content) = file(&world, "refused at last", 500_000).await?;
        let refused = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&refused);
        by_chunks(&origin, move |_, origin, incoming, packet| {
            let id = packet.body.bin("id")?.to_vec();
            let mut refused = noted.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(old) = refused.clone() else {
                *refused = Some(id);
                let (mut some, _) = Given::default().some(origin, incoming, packet, 100_000);
                some.push(end("limit"));
                return Some(frames(&some));
            };
            (old == id).then(|| refuse(origin, packet, code))
        });
        world.give(&origin, &entry, &content).await?;
        holds(&world, &entry, &content).await
    })
}

fn stream() -> Case {
    Case::client(
        "resume.cut-stream",
        "STREAM-12 FETCH-6 STREAM-10",
        "Streams break off after 1.5 MiB, so that each brings a whole chunk and a part of one.",
        "the content arrives; a chunk that came whole is not asked for again",
        |world| async move {
            let (origin, entry, content) = file(&world, "a cut stream", 6 * MIB).await?;
            let given = Arc::new(Mutex::new(Vec::new()));
            let noted = Arc::clone(&given);
            origin.hook(move |origin, incoming| {
                let honest = is_stream(incoming).then(|| desk::answer(origin, incoming))?;
                let range =
                    incoming.request.header("range").strip_prefix("bytes=")?.split_once('-')?;
                let (first, last): (usize, usize) = (range.0.parse().ok()?, range.1.parse().ok()?);
                let whole = (last + 1 - first).min(MIB + MIB / 2);
                let came = first..first + whole;
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(came);
                Some(cut(honest, whole))
            });
            world.give(&origin, &entry, &content).await?;
            {
                let given = given.lock().unwrap_or_else(PoisonError::into_inner);
                for number in 0..6 {
                    let (first, last) = (number * MIB, (number + 1) * MIB);
                    let brought =
                        |came: &&std::ops::Range<usize>| came.start <= first && last <= came.end;
                    let times = given.iter().filter(brought).count();
                    need(times <= 1, format_args!("chunk {number} came whole {times} times"))?;
                }
            }
            holds(&world, &entry, &content).await
        },
    )
}

fn cut(honest: Response, len: usize) -> Response {
    let whole = honest.body().len();
    if len < whole { honest.cut_after(len) } else { honest }
}

fn restart() -> Case {
    Case::client(
        "resume.restart",
        "FETCH-34 FETCH-35 QUEUE-1",
        "The hub is stopped and started again while one of four chunks has arrived and the rest does not come.",
        "the chunk that had arrived is not asked for again, and the content arrives",
        |world| async move {
            let (origin, entry, content) = file(&world, "a restart", 4 * MIB).await?;
            let (open, given) = (Turn::default(), Given::default());
            let (opened, noted) = (open.clone(), given.clone());
            by_chunks(&origin, move |_, origin, incoming, packet| {
                if opened.count() > 0 {
                    return Some(frames(&noted.some(origin, incoming, packet, usize::MAX).0));
                }
                // The first chunk and no other, and then nothing more until the connection goes.
                let first = desk::wanted(origin, packet).first().map(|wanted| wanted.chunk)?;
                let whole = if first == 0 && desk::resume(incoming) == (0, 0) { MIB } else { 0 };
                let (some, _) = noted.some(origin, incoming, packet, whole);
                let mut answer = frames(&some).with("content-length", 9 * MIB);
                answer.steps.push(Step::Silence);
                Some(answer)
            });
            origin.serve(&content);
            world.sync(&origin, vec![entry.operation("put")]).await?;
            let mut patience = world.patience("the hub asks for the first chunk");
            while given.total() < MIB {
                patience.next().await?;
            }
            let before = presented(&origin);
            world.restart().await?;
            open.next();
            world.present(&origin, &entry, &content).await?;
            need(presented(&origin) > before, "nothing was asked after the restart")?;
            // What had arrived but was not recorded yet may come once more, not more than that.
            need(given.twice() <= MIB, format_args!("{} bytes came twice", given.twice()))?;
            holds(&world, &entry, &content).await
        },
    )
    .should()
}

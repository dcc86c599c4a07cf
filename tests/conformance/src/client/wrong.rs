//! Bytes, digests and sizes that are wrong: nothing of them counts, and the right ones come in the end.

use std::sync::Arc;

use super::tools::{
    Turn, asked, by_chunks, file, frames, has_too, holds, is_stream, lacks, noise, of_kind,
    presented,
};
use crate::actor::{Actor, Packet};
use crate::case::{Case, need};
use crate::content::MIB;
use crate::desk::{self, frames_of};
use crate::entry::Entry;
use crate::http::Response;
use crate::wire::{Value, list, read_first};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        once(),
        one_of_several(),
        always(),
        elsewhere(),
        in_a_stream(),
        exchanged(),
        size(),
        pages_missing(),
        huge_answer(),
    ];
    cases.extend(PAGES.iter().map(page));
    cases
}

/// The frames of one chunk with their payload changed.
fn spoilt(honest: Vec<Vec<u8>>, chunk: u64) -> Vec<Vec<u8>> {
    let spoil = |one: Vec<u8>| match read_first(&one) {
        Ok((frame, _)) if frame.uint("1") == Some(chunk) && frame.uint("2") == Some(0) => {
            let mut bytes = frame.bin("3").unwrap_or_default().to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            desk::frame(frame.uint("0").unwrap_or(0), chunk, 0, &bytes)
        }
        _ => one,
    };
    honest.into_iter().map(spoil).collect()
}

fn once() -> Case {
    Case::client(
        "wrong.byte-once",
        "FETCH-4 FETCH-3",
        "The first answer for a file of one chunk has a wrong byte, the next is right.",
        "the chunk is discarded and asked for again; the hub has the right bytes",
        |world| async move {
            let (origin, entry, content) = file(&world, "a wrong byte", 10_000).await?;
            let turn = by_chunks(&origin, |turn, origin, incoming, packet| {
                (turn == 0).then(|| frames(&spoilt(frames_of(origin, incoming, packet), 0)))
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() >= 2, "the hub did not ask again")?;
            holds(&world, &entry, &content).await
        },
    )
}

fn one_of_several() -> Case {
    Case::client(
        "wrong.one-chunk-of-four",
        "FETCH-4 FETCH-6",
        "Of four chunks the second comes wrong once.",
        "the first is asked for once, the second twice, and the hub has the right bytes",
        |world| async move {
            let (origin, entry, content) = file(&world, "one of four", 4 * MIB).await?;
            let lied = Turn::default();
            by_chunks(&origin, move |_, origin, incoming, packet| {
                let second = desk::wanted(origin, packet).iter().any(|wanted| wanted.chunk == 1);
                let lie = second && lied.next() == 0;
                lie.then(|| frames(&spoilt(frames_of(origin, incoming, packet), 1)))
            });
            world.give(&origin, &entry, &content).await?;
            let count =
                |number| asked(&origin, &content).iter().filter(|asked| **asked == number).count();
            need(count(0) == 1, format_args!("the first chunk was asked for {} times", count(0)))?;
            need(count(1) == 2, format_args!("the second chunk was asked for {} times", count(1)))?;
            holds(&world, &entry, &content).await
        },
    )
}

fn always() -> Case {
    Case::client(
        "wrong.always",
        "FETCH-3 SYNC-10 FETCH-37",
        "A file comes wrong whenever it is asked for; another file of the same clone comes right.",
        "the wrong one is asked for again, is neither reported nor given (`not-here`), and does not keep the other back",
        |world| async move {
            let (origin, entry, content) = file(&world, "always wrong", 20_000).await?;
            let (other, right) = noise(&origin, "right beside it", 20_000);
            let root = content.root;
            let lied = Turn::default();
            let counted = lied.clone();
            by_chunks(&origin, move |_, origin, incoming, packet| {
                let items = packet.body.list("items");
                let number = items.iter().position(|item| item.bin("root") == Some(&root))?;
                counted.next();
                let honest = frames_of(origin, incoming, packet);
                Some(frames(&spoilt_item(honest, u64::try_from(number).ok()?)))
            });
            origin.serve(&content);
            world.sync(&origin, vec![entry.operation("put")]).await?;
            let mut patience = world.patience("the hub asks again for what came wrong");
            while lied.count() < 2 {
                patience.next().await?;
            }
            world.give(&origin, &other, &right).await?;
            holds(&world, &other, &right).await?;
            let reported = origin.inbox().iter().any(|incoming| {
                of_kind(incoming, "sync-report").is_some_and(|p| names(p, "present", &root))
            });
            need(!reported, "what never came right was reported as present")?;
            lacks(&world, &entry, &content).await
        },
    )
}

/// The frames of one item with their payload changed.
fn spoilt_item(honest: Vec<Vec<u8>>, item: u64) -> Vec<Vec<u8>> {
    let spoil = |one: Vec<u8>| match read_first(&one) {
        Ok((frame, _)) if frame.uint("0") == Some(item) && frame.bin("3").is_some() => {
            let bytes: Vec<u8> =
                frame.bin("3").unwrap_or_default().iter().map(|byte| byte ^ 0x55).collect();
            desk::frame(item, frame.uint("1").unwrap_or(0), frame.uint("2").unwrap_or(0), &bytes)
        }
        _ => one,
    };
    honest.into_iter().map(spoil).collect()
}

fn names(packet: &Packet, field: &str, root: &[u8; 32]) -> bool {
    packet.body.list(field).iter().any(|one| one.bin("root") == Some(root))
}

fn elsewhere() -> Case {
    Case::client(
        "wrong.elsewhere",
        "FETCH-5 FETCH-54 SYNC-11",
        "The clone that announced a file gives it wrong always; another one has reported it and gives it right.",
        "the hub has the right bytes, from the other one",
        |world| async move {
            let (origin, entry, content) = file(&world, "wrong here, right there", 30_000).await?;
            by_chunks(&origin, |_, origin, incoming, packet| {
                Some(frames(&spoilt(frames_of(origin, incoming, packet), 0)))
            });
            let other = world.second().await?;
            origin.serve(&content);
            world.sync(&origin, vec![entry.operation("put")]).await?;
            has_too(&other, &entry, &content).await?;
            world.present(&other, &entry, &content).await?;
            need(presented(&other) > 0, "the hub did not ask the other clone")?;
            holds(&world, &entry, &content).await
        },
    )
}

fn in_a_stream() -> Case {
    Case::client(
        "wrong.chunk-in-a-stream",
        "STREAM-7 FETCH-4",
        "A stream of four chunks has a wrong byte in the third, once.",
        "that chunk is asked for again, by whatever way; the hub has the right bytes",
        |world| async move {
            let (origin, entry, content) = file(&world, "a stream", 4 * MIB).await?;
            let lied = Turn::default();
            let counted = lied.clone();
            origin.hook(move |origin, incoming| {
                let honest = is_stream(incoming).then(|| desk::answer(origin, incoming))?;
                let range =
                    incoming.request.header("range").strip_prefix("bytes=")?.split_once('-')?;
                let (first, last): (usize, usize) = (range.0.parse().ok()?, range.1.parse().ok()?);
                let place = (2 * MIB + 5).checked_sub(first).filter(|_| last > 2 * MIB + 5)?;
                let mut bytes = honest.body();
                if counted.next() > 0 {
                    return None;
                }
                bytes[place] ^= 1;
                Some(Response { steps: vec![crate::http::Step::Bytes(bytes)], ..honest })
            });
            world.give(&origin, &entry, &content).await?;
            if world_streams(&origin) {
                need(lied.count() > 0, "the third chunk never came by stream")?;
            }
            holds(&world, &entry, &content).await
        },
    )
}

/// Whether the hub asked for a stream at all; it need not.
fn world_streams(origin: &Actor) -> bool {
    origin.inbox().iter().any(|incoming| is_stream(incoming))
}

fn exchanged() -> Case {
    Case::client(
        "wrong.other-file",
        "FETCH-3 FETCH-4",
        "The first answer holds the right bytes of another file of the same size.",
        "they do not count as this file's: it is asked for again, and the hub has the right bytes of both",
        |world| async move {
            let (origin, entry, content) = file(&world, "exchanged", 9_000).await?;
            let (other, others) = noise(&origin, "exchanged too", 9_000);
            let bytes = Arc::clone(&others);
            let turn = by_chunks(&origin, move |turn, _, _, _| {
                let wrong = [desk::frame(0, 0, 0, &bytes.bytes), desk::end("done")];
                (turn == 0).then(|| frames(&wrong))
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() >= 2, "the hub did not ask again")?;
            world.give(&origin, &other, &others).await?;
            holds(&world, &entry, &content).await?;
            holds(&world, &other, &others).await
        },
    )
}

fn size() -> Case {
    Case::client(
        "wrong.size",
        "FETCH-3 FILE-5 SYNC-10",
        "A file is announced with a byte less than it has, and its frames hold what was announced of it.",
        "it is asked for, and neither reported nor given",
        |world| async move {
            let (origin, entry, content) = file(&world, "a wrong size", 50_000).await?;
            let short: Entry = {
                let mut entry = entry.clone();
                entry.row.set("filesize", 49_999u64);
                entry.data[0].set("size", 49_999u64);
                entry
            };
            let turn = by_chunks(&origin, |_, origin, _, packet| {
                let content = origin.content(packet.body.bin("items.0.root")?)?;
                Some(frames(&[desk::frame(0, 0, 0, &content.bytes[..49_999]), desk::end("done")]))
            });
            origin.serve(&content);
            world.sync(&origin, vec![short.operation("put")]).await?;
            let mut patience = world.patience("the hub asks for the file");
            while turn.count() < 1 {
                patience.next().await?;
            }
            lacks(&world, &short, &content).await
        },
    )
}

/// What is wrong with a page.
type Page = (&'static str, &'static str, &'static str, fn(&mut Value));

const PAGES: [Page; 5] = [
    ("digest", "FILE-12", "A page has a wrong digest.", |page| {
        let mut digests = page.bin("pages.0.digests").unwrap_or_default().to_vec();
        digests[40] ^= 1;
        page.set("pages.0.digests", digests);
    }),
    ("path", "FILE-12 FILE-11", "A page that needs no path has one.", |page| {
        page.set("pages.0.path", vec![7; 32]);
    }),
    (
        "too-few",
        "FILE-12 FILE-6",
        "A page has a digest less than the content has chunks.",
        |page| {
            let mut digests = page.bin("pages.0.digests").unwrap_or_default().to_vec();
            digests.truncate(digests.len() - 32);
            page.set("pages.0.digests", digests);
        },
    ),
    (
        "number",
        "FILE-12 FETCH-51",
        "The answer names page 1 of a content that has one page.",
        |page| {
            page.set("pages.0.page", 1u64);
        },
    ),
    ("half-digest", "PKT-7", "The digests of a page are cut in the middle of one.", |page| {
        let mut digests = page.bin("pages.0.digests").unwrap_or_default().to_vec();
        digests.truncate(digests.len() - 5);
        page.set("pages.0.digests", digests);
    }),
];

fn page(&(what, requirements, sentence, spoil): &Page) -> Case {
    Case::client(
        format!("wrong.page-{what}"),
        requirements,
        format!("{sentence} The next answer is honest."),
        "no chunk is asked for by it; the page is asked for again, and the content arrives",
        move |world| async move {
            let (origin, entry, content) = file(&world, "by pages", 33 * MIB).await?;
            let (turn, early) = (Turn::default(), Turn::default());
            let (counted, before) = (turn.clone(), early.clone());
            origin.hook(move |origin, incoming| {
                let Some(packet) = of_kind(incoming, "manifest-request") else {
                    // A chunk may be asked for when a good page was given, not before.
                    let wants = is_stream(incoming) || super::tools::chunks(incoming).is_some();
                    if wants && counted.count() < 2 {
                        before.next();
                    }
                    return None;
                };
                (counted.next() == 0)
                    .then(|| altered(origin, desk::answer(origin, incoming), packet, spoil))
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() >= 2, "the page was not asked for again")?;
            need(early.count() == 0, "a chunk was asked for before its digest was known")
        },
    )
}

/// An honest answer with something changed, and signed again.
fn altered(origin: &Actor, honest: Response, packet: &Packet, change: fn(&mut Value)) -> Response {
    let Ok((_, mut body, _)) = crate::wire::open(&honest.body()) else { return honest };
    change(&mut body);
    let pages = body.at("pages").cloned().unwrap_or(Value::Nil);
    origin.reply(
        packet,
        "manifest-page",
        [("pages", pages), ("refused", list(Vec::<Value>::new()))],
    )
}

fn pages_missing() -> Case {
    Case::client(
        "wrong.pages-missing",
        "FETCH-53",
        "The first answer has neither pages nor refusals.",
        "the pages are asked for again, and the content arrives",
        |world| async move {
            let (origin, entry, content) = file(&world, "no pages", 33 * MIB).await?;
            let turn = Turn::default();
            let counted = turn.clone();
            origin.hook(move |origin, incoming| {
                let packet = of_kind(incoming, "manifest-request")?;
                let none = || list(Vec::<Value>::new());
                let empty =
                    origin.reply(packet, "manifest-page", [("pages", none()), ("refused", none())]);
                (counted.next() == 0).then_some(empty)
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() >= 2, "the pages were not asked for again")
        },
    )
}

fn huge_answer() -> Case {
    Case::client(
        "wrong.answer-of-3-mib",
        "PKT-3 SIGN-11",
        "The answer to a `manifest-request` has 3 MiB, most of them in a field that nobody knows.",
        "it is not taken; the pages are asked for again, and the content arrives",
        |world| async move {
            let (origin, entry, content) = file(&world, "a huge answer", 33 * MIB).await?;
            let turn = Turn::default();
            let counted = turn.clone();
            origin.hook(move |origin, incoming| {
                let packet = of_kind(incoming, "manifest-request")?;
                if counted.next() > 0 {
                    return None;
                }
                let (_, body, _) =
                    crate::wire::open(&desk::answer(origin, incoming).body()).ok()?;
                let pages = body.at("pages").cloned().unwrap_or(Value::Nil);
                let more = Value::Bin(vec![0; 3 * MIB]);
                Some(origin.reply(packet, "manifest-page", [("pages", pages), ("more", more)]))
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() >= 2, "an answer of 3 MiB was taken")
        },
    )
}

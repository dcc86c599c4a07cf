//! Answers to a `chunk-request` whose frames are not what they should be; what came before is kept.

use std::sync::{Arc, OnceLock};

use zotferry_protocol::refusal::Code;

use super::tools::{Turn, by_chunks, chunks, file, frames, holds, noise};
use crate::actor::Actor;
use crate::case::{Case, Miss, Outcome, need};
use crate::desk::{end, frame, frames_of, refusal};
use crate::http::Step;
use crate::wire::{Value, map};
use crate::world::World;

/// One chunk, which an honest origin gives in three frames.
const LEN: usize = 600_000;
const FRAME: usize = 262_144;

/// What stands behind the first honest frame.
type Lie = fn(&[Vec<u8>], &[u8]) -> Vec<Vec<u8>>;

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = LIES.iter().map(lie).collect();
    cases.extend([
        whole(
            "frames.after-the-end",
            "FETCH-14 FETCH-19",
            "Behind `done` comes another frame.",
            |honest, bytes| [honest, &[frame(0, 0, 0, &bytes[..10])]].concat(),
        ),
        whole(
            "frames.more-than-asked",
            "FETCH-19",
            "Behind the last byte that was asked for comes the next chunk.",
            |honest, bytes| [&honest[..3], &[frame(0, 1, 0, &bytes[..10])], &honest[3..]].concat(),
        ),
        pieces(),
        bytes(),
        refused_item(),
    ]);
    cases
}

const LIES: [(&str, &str, &str, Lie); 13] = [
    ("gap", "FETCH-19", "The second frame begins behind a gap.", |_, bytes| {
        vec![frame(0, 0, 300_000, &bytes[300_000..400_000]), end("done")]
    }),
    ("twice", "FETCH-19 FETCH-15", "The first frame comes twice.", |honest, _| {
        [&honest[..1], &honest[1..]].concat()
    }),
    (
        "other-item",
        "FETCH-19",
        "The second frame names an item that was not asked for.",
        |_, bytes| vec![frame(1, 0, FRAME as u64, &bytes[FRAME..FRAME + 9]), end("done")],
    ),
    ("other-chunk", "FETCH-19", "The second frame names another chunk.", |_, bytes| {
        vec![frame(0, 1, FRAME as u64, &bytes[FRAME..FRAME + 9]), end("done")]
    }),
    ("empty", "FETCH-12", "The second frame has no payload.", |honest, _| {
        [&[frame(0, 0, FRAME as u64, b"")], &honest[1..]].concat()
    }),
    ("too-large", "FETCH-12 FETCH-11", "The second frame has 262,145 bytes.", |_, bytes| {
        let wide = [&bytes[FRAME..], bytes].concat();
        vec![frame(0, 0, FRAME as u64, &wide[..=FRAME]), end("done")]
    }),
    ("beyond", "FETCH-12", "The second frame reaches beyond 16 MiB.", |_, bytes| {
        vec![frame(0, 0, (16 << 20) - 1, &bytes[..2]), end("done")]
    }),
    ("claimed-length", "FETCH-12", "The second frame claims a payload of 4 GiB.", |_, bytes| {
        let head =
            [&[0x94, 0, 0, 0xce][..], &262_144u32.to_be_bytes(), &[0xc6, 255, 255, 255, 255]];
        vec![head.concat(), bytes.to_vec()]
    }),
    (
        "malformed",
        "FETCH-19",
        "Behind the first frame come bytes that are no frame.",
        |_, bytes| vec![b"\xc1<html>".to_vec(), bytes[..100].to_vec()],
    ),
    ("no-array", "FETCH-19", "Behind the first frame comes a map.", |_, _| {
        vec![map([("item", 0u64.into())]).bytes(), end("done")]
    }),
    (
        "end-word",
        "FETCH-19 FETCH-14",
        "The answer ends with a word that is neither `done` nor `limit`.",
        |_, _| vec![end("stop")],
    ),
    ("early-done", "FETCH-6", "The answer says `done` in the middle.", |_, _| vec![end("done")]),
    ("long-refusal", "FETCH-13 FETCH-19", "A refusal frame has more than 1024 bytes.", |_, _| {
        let why = map([("code", 41u64.into()), ("text", "x".repeat(2000).into())]);
        vec![Value::List(vec![0u64.into(), Value::Nil, why]).bytes(), end("done")]
    }),
];

/// A lie that ends the answer as if it had been cut there, told once.
fn lie(&(what, requirements, sentence, lie): &(&'static str, &'static str, &str, Lie)) -> Case {
    Case::client(
        format!("frames.{what}"),
        requirements,
        format!("{sentence} The next answer is honest."),
        "the answer ends there as if it had been cut: the hub asks again, from behind the first frame if it presents \
         the same request, and has the right bytes",
        move |world| async move {
            let (origin, entry, content) = file(&world, what, LEN).await?;
            by_chunks(&origin, move |turn, origin, incoming, packet| {
                let honest = frames_of(origin, incoming, packet);
                let bytes = origin.content(packet.body.bin("items.0.root")?)?;
                let told = [vec![honest[0].clone()], lie(&honest, &bytes.bytes)].concat();
                (turn == 0).then(|| frames(&told))
            });
            world.give(&origin, &entry, &content).await?;
            goes_on(&origin, FRAME)?;
            holds(&world, &entry, &content).await
        },
    )
}

/// A lie behind the last byte.
fn whole(id: &str, requirements: &'static str, sentence: &str, lie: Lie) -> Case {
    let expectation = "the hub has the right bytes, and never other ones";
    Case::client(id, requirements, sentence, expectation, move |world| async move {
        let (origin, entry, content) = file(&world, "behind the end", LEN).await?;
        by_chunks(&origin, move |turn, origin, incoming, packet| {
            let honest = frames_of(origin, incoming, packet);
            let bytes = origin.content(packet.body.bin("items.0.root")?)?;
            (turn == 0).then(|| frames(&lie(&honest, &bytes.bytes)))
        });
        world.give(&origin, &entry, &content).await?;
        holds(&world, &entry, &content).await
    })
}

/// FETCH-6, FETCH-20: the second presentation of a request goes on behind what the first one brought; another
/// request begins anew.
fn goes_on(origin: &Actor, brought: usize) -> Outcome {
    let inbox = origin.inbox();
    let mut presented = inbox.iter().filter_map(|incoming| chunks(incoming).map(|p| (incoming, p)));
    let (Some((_, first)), Some((incoming, second))) = (presented.next(), presented.next()) else {
        return Err(Miss::from("the hub did not ask again"));
    };
    let same = first.body.bin("id") == second.body.bin("id");
    let wanted = if same { format!("0:{brought}") } else { "0:0".to_owned() };
    let found = incoming.request.header("zot-resume");
    let found = if found.is_empty() { "0:0" } else { found };
    need(found == wanted, format_args!("Zot-Resume is {found}, not {wanted}"))
}

fn pieces() -> Case {
    Case::client(
        "frames.split-anywhere",
        "FETCH-10",
        "An honest answer comes in pieces of 7 bytes.",
        "the hub reads it as if it had come at once, and asks once",
        |world| async move {
            let (origin, entry, content) = file(&world, "in pieces", 5_000).await?;
            let turn = by_chunks(&origin, |_, origin, incoming, packet| {
                let honest = frames(&frames_of(origin, incoming, packet));
                Some(honest.in_pieces(7, &Step::Pause(std::time::Duration::from_micros(50))))
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() == 1, format_args!("the hub asked {} times", turn.count()))?;
            holds(&world, &entry, &content).await
        },
    )
}

fn bytes() -> Case {
    Case::client(
        "frames.one-byte-each",
        "FETCH-10 FETCH-11",
        "Every frame of an honest answer has one byte of payload.",
        "the hub has the right bytes, and asks once",
        |world| async move {
            let (origin, entry, content) = file(&world, "byte by byte", 700).await?;
            let turn = by_chunks(&origin, |_, origin, _, packet| {
                let content = origin.content(packet.body.bin("items.0.root")?)?;
                let one = |(at, byte): (u64, &u8)| frame(0, 0, at, &[*byte]);
                let mut all: Vec<_> = (0u64..).zip(&content.bytes).map(one).collect();
                all.push(end("done"));
                Some(frames(&all))
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() == 1, format_args!("the hub asked {} times", turn.count()))?;
            holds(&world, &entry, &content).await
        },
    )
}

/// Three files, of which the second is refused in every answer until the others have arrived.
fn refused_item() -> Case {
    Case::client(
        "frames.refused-item",
        "FETCH-17 FETCH-20 FETCH-54",
        "Of three small files the one that is asked for first is refused with `not-here`, until the others are there.",
        "the others arrive unharmed; the refused one is asked for again later, and arrives",
        |world| async move {
            let origin = world.second().await?;
            let files: Vec<_> = (0..3).map(|_| noise(&origin, "of three", 4_000)).collect();
            let (refused, open) = (Arc::new(OnceLock::new()), Turn::default());
            let (chosen, closed) = (Arc::clone(&refused), open.clone());
            by_chunks(&origin, move |_, origin, incoming, packet| {
                let items = packet.body.list("items");
                let first = items.first()?.bin("root")?.to_vec();
                let root = chosen.get_or_init(|| first);
                let honest = frames_of(origin, incoming, packet);
                (closed.count() == 0).then(|| frames(&without(honest, items, root)))
            });
            for (_, content) in &files {
                origin.serve(content);
            }
            world
                .sync(&origin, files.iter().map(|(entry, _)| entry.operation("put")).collect())
                .await?;
            let mut patience = world.patience("the hub asks for the first of the files");
            while refused.get().is_none() {
                patience.next().await?;
            }
            for (entry, content) in &files {
                if refused.get().is_some_and(|root| root[..] != content.root[..]) {
                    world.present(&origin, entry, content).await?;
                }
            }
            open.next();
            all_there(&world, &origin, &files).await
        },
    )
}

async fn all_there(
    world: &World,
    origin: &Actor,
    files: &[(crate::entry::Entry, std::sync::Arc<crate::content::Content>)],
) -> Outcome {
    for (entry, content) in files {
        world.present(origin, entry, content).await?;
        holds(world, entry, content).await?;
    }
    Ok(())
}

/// Frames with those of one content replaced by a refusal.
fn without(honest: Vec<Vec<u8>>, items: &[Value], root: &[u8]) -> Vec<Vec<u8>> {
    let number = items.iter().position(|item| item.bin("root") == Some(root));
    let Some(number) = number.and_then(|number| u64::try_from(number).ok()) else { return honest };
    let (mut out, mut told) = (Vec::new(), false);
    for one in honest {
        let item = crate::wire::read_first(&one).ok().and_then(|(value, _)| value.uint("0"));
        if item != Some(number) {
            out.push(one);
        } else if !told {
            out.push(refusal(number, Code::NotHere));
            told = true;
        }
    }
    out
}

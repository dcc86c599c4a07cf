//! Chunks by number: frames, their order, and what is refused.
//!
//! Spec: FETCH-8, FETCH-11, FETCH-13 to FETCH-15, FETCH-17, FETCH-24 to FETCH-30, FILE-2.

use std::sync::Arc;

use zotferry_protocol::refusal::Code;

use super::Odd;
use super::manifest::absent;
use crate::case::{Case, Miss, Outcome, Want, need};
use crate::content::Content;
use crate::entry::{Entry, name};
use crate::keys::random;
use crate::wire::{Answer, Reply, Value, list, map, read_first};
use crate::world::{Book, World};

const BAD_RANGE: Want = Want::Signed(Code::BadRange);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![one(), last(), all_of(), descending(), several_items(), most()];
    cases.extend(refused_items());
    cases.extend(bad().into_iter().map(Case::from));
    cases.extend(beyond());
    cases.extend([gone(), no_encoding(), at_once(), used_twice()]);
    cases
}

/// One frame of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Frame {
    /// `[item, chunk, offset, bytes]`.
    Data(u64, u64, u64, Vec<u8>),
    /// `[item, nil, {code, text}]`.
    Refused(u64, u64),
    /// `[nil, "done"]` or `[nil, "limit"]`.
    End(String),
}

/// The frames of an answer that has come to its end.
pub(super) fn frames(answer: &Answer) -> Result<Vec<Frame>, Miss> {
    let found = some_frames(&answer.body)?;
    need(answer.whole, "the answer was cut")?;
    let ended = matches!(found.last(), Some(Frame::End(_)));
    need(ended, "FETCH-14: the last frame is no end")?;
    Ok(found)
}

/// The frames in some bytes; what is unfinished at their end is left out.
pub(super) fn some_frames(mut bytes: &[u8]) -> Result<Vec<Frame>, Miss> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        need(!matches!(found.last(), Some(Frame::End(_))), "FETCH-14: something follows the end")?;
        let Ok((value, rest)) = read_first(bytes) else { break };
        let len = bytes.len() - rest.len();
        found.push(frame(&value, len)?);
        bytes = rest;
    }
    Ok(found)
}

fn frame(value: &Value, len: usize) -> Result<Frame, Miss> {
    let Value::List(parts) = value else { return Err("FETCH-11: a frame that is no array".into()) };
    match parts.as_slice() {
        [Value::Uint(item), Value::Uint(chunk), Value::Uint(offset), Value::Bin(bytes)] => {
            need(
                (1..=262_144).contains(&bytes.len()),
                format_args!("FETCH-11: {} bytes in a frame", bytes.len()),
            )?;
            Ok(Frame::Data(*item, *chunk, *offset, bytes.clone()))
        }
        [Value::Uint(item), Value::Nil, why] => {
            need(len <= 1024, format_args!("FETCH-13: a refusal frame of {len} bytes"))?;
            need(
                why.text("text").is_some_and(|text| text.len() <= 512),
                "FETCH-13: no text, or a long one",
            )?;
            Ok(Frame::Refused(*item, why.uint("code").ok_or("FETCH-13: no code")?))
        }
        [Value::Nil, Value::Str(word)] if [&b"done"[..], b"limit"].contains(&word.as_slice()) => {
            Ok(Frame::End(String::from_utf8_lossy(word).into_owned()))
        }
        other => Err(Miss::Failed(format!("FETCH-11: no frame: {} parts", other.len()))),
    }
}

/// What a `chunk-request` for some items is answered with.
pub(super) async fn fetch(
    world: &World,
    items: Vec<Value>,
    headers: &[(&str, &str)],
) -> Result<Reply, Miss> {
    let body = world.me().packet("chunk-request", [("items", list(items))]);
    let answer = world.me().post(world.me().seal(&body).bytes(), headers).await?;
    Ok(world.me().judge(&answer, &body)?)
}

/// The frames that it is answered with.
pub(super) async fn fetched(
    world: &World,
    items: Vec<Value>,
    headers: &[(&str, &str)],
) -> Result<Vec<Frame>, Miss> {
    let reply = fetch(world, items, headers).await?;
    Want::Frames.check(&reply)?;
    let Reply::Bytes(answer) = reply else { return Err("no frames".into()) };
    frames(&answer)
}

/// The bytes that frames bring, each beginning where the one before ended: `(item, chunk, bytes)` chunk by chunk.
pub(super) fn chunks_of(frames: &[Frame]) -> Result<Vec<(u64, u64, Vec<u8>)>, Miss> {
    let mut chunks: Vec<(u64, u64, Vec<u8>)> = Vec::new();
    for frame in frames {
        let Frame::Data(item, chunk, offset, bytes) = frame else { continue };
        match chunks.last_mut().filter(|last| (last.0, last.1) == (*item, *chunk)) {
            Some(last) => {
                need(
                    *offset == last.2.len() as u64,
                    format_args!("FETCH-15: offset {offset} is not the next"),
                )?;
                last.2.extend(bytes);
            }
            None => {
                need(*offset == 0, format_args!("FETCH-15: a chunk begins at offset {offset}"))?;
                chunks.push((*item, *chunk, bytes.clone()));
            }
        }
    }
    Ok(chunks)
}

/// Fails unless frames bring exactly these chunks, in this order, and end with a word.
pub(super) fn bring(frames: &[Frame], wanted: &[(u64, &Book, u64)], word: &str) -> Outcome {
    let chunks = chunks_of(frames)?;
    let names: Vec<_> = chunks.iter().map(|(item, chunk, _)| (*item, *chunk)).collect();
    let wanted_names: Vec<_> = wanted.iter().map(|(item, _, chunk)| (*item, *chunk)).collect();
    need(
        names == wanted_names,
        format_args!("FETCH-15: the chunks {names:?} instead of {wanted_names:?}"),
    )?;
    for ((_, chunk, bytes), (_, book, _)) in chunks.iter().zip(wanted) {
        let good = book.content.chunk(usize::try_from(*chunk).unwrap_or(usize::MAX));
        let (found, size) = (bytes.len(), good.len());
        need(
            found == size,
            format_args!("FILE-2: chunk {chunk} has {found} bytes instead of {size}"),
        )?;
        need(bytes == good, format_args!("chunk {chunk} has other bytes"))?;
    }
    let end = Frame::End(word.to_owned());
    need(
        frames.last() == Some(&end),
        format_args!("it ends with {:?} instead of {word}", frames.last()),
    )
}

fn one() -> Case {
    Case::server(
        "chunks.one",
        "FETCH-24 FETCH-11 FETCH-14 FETCH-15",
        "The first chunk of a file of several.",
        "its bytes in frames of at most 262,144 bytes, then `done`",
        |world| async move {
            let book = &world.library().await?.several;
            let frames = fetched(&world, vec![book.chunks(0, 1)], &[]).await?;
            bring(&frames, &[(0, book, 0)], "done")
        },
    )
}

fn last() -> Case {
    Case::server(
        "chunks.last",
        "FILE-2 FETCH-11 FETCH-14",
        "The last chunks of files: of one byte, of a whole chunk, and of a part of one.",
        "exactly the bytes that there are, then `done`",
        |world| async move {
            let library = world.library().await?;
            for (book, chunk) in
                [(&library.byte, 0), (&library.chunk, 0), (&library.two, 1), (&library.several, 3)]
            {
                let frames = fetched(&world, vec![book.chunks(chunk, 1)], &[]).await?;
                bring(&frames, &[(0, book, chunk.into())], "done")?;
            }
            Ok(())
        },
    )
}

fn all_of() -> Case {
    Case::server(
        "chunks.all",
        "FETCH-15 FETCH-24 FILE-1 FILE-2",
        "All chunks of a file in one range.",
        "all of its bytes, in order, then `done`",
        |world| async move {
            let book = &world.library().await?.several;
            let frames = fetched(&world, vec![book.chunks(0, 4)], &[]).await?;
            let wanted: Vec<_> = (0..4).map(|chunk| (0, book, chunk)).collect();
            bring(&frames, &wanted, "done")
        },
    )
}

/// An item with several ranges.
fn ranges(book: &Book, ranges: &[(u32, u32)]) -> Value {
    let range =
        |(first, count): &(u32, u32)| map([("first", (*first).into()), ("count", (*count).into())]);
    book.item().with("ranges", list(ranges.iter().map(range)))
}

fn descending() -> Case {
    Case::server(
        "chunks.range-order",
        "FETCH-15",
        "One item with the ranges 3, 1 to 2, and 0.",
        "the chunks 3, 1, 2, 0 in this order, then `done`",
        |world| async move {
            let book = &world.library().await?.several;
            let frames =
                fetched(&world, vec![ranges(book, &[(3, 1), (1, 2), (0, 1)])], &[]).await?;
            let wanted = [3, 1, 2, 0].map(|chunk| (0, book, chunk));
            bring(&frames, &wanted, "done")
        },
    )
}

fn several_items() -> Case {
    Case::server(
        "chunks.items",
        "FETCH-15 FETCH-11",
        "Chunks of four files, one of them twice.",
        "the items' chunks in the order of the request, each under its item's number, then `done`",
        |world| async move {
            let library = world.library().await?;
            let items = vec![
                library.two.chunks(0, 2),
                library.byte.chunks(0, 1),
                library.several.chunks(2, 1),
                library.byte.chunks(0, 1),
            ];
            let wanted = [
                (0, &library.two, 0),
                (0, &library.two, 1),
                (1, &library.byte, 0),
                (2, &library.several, 2),
                (3, &library.byte, 0),
            ];
            bring(&fetched(&world, items, &[]).await?, &wanted, "done")
        },
    )
}

fn most() -> Case {
    Case::server(
        "chunks.most",
        "FETCH-8 FETCH-22",
        "1024 chunks in 256 items, with `Zot-Max-Bytes: 100`.",
        "100 bytes of the first chunk, then `limit`",
        |world| async move {
            let book = &world.library().await?.several;
            let items = vec![book.chunks(0, 4); 256];
            let frames = fetched(&world, items, &[("zot-max-bytes", "100")]).await?;
            let chunks = chunks_of(&frames)?;
            need(chunks == [(0, 0, book.content.bytes[..100].to_vec())], "other bytes")?;
            need(
                frames.last() == Some(&Frame::End("limit".into())),
                format_args!("{:?}", frames.last()),
            )
        },
    )
}

/// Items that cannot be given, each between two that can.
fn refused_items() -> Vec<Case> {
    type Change = fn(Value) -> Value;
    let all: [(&str, &str, &str, Change); 3] = [
        (
            "chunks.unknown-resource",
            "FETCH-28 FETCH-17 FETCH-13 REF-1",
            "An item of a resource that nobody knows, between two good ones.",
            |item| item.with("resource", "no-such-resource"),
        ),
        (
            "chunks.unknown-root",
            "FETCH-28 FETCH-17",
            "An item of a root that the file does not have, between two good ones.",
            |item| item.with("root", random::<32>()),
        ),
        (
            "chunks.unknown-role",
            "FETCH-28 FETCH-17",
            "An item of a role that the file does not have, between two good ones.",
            |item| item.with("role", "photo-7"),
        ),
    ];
    let expectation =
        "one refusal frame with 40 unknown-resource at its place; the others' bytes; `done`";
    let case = |(id, requirements, sentence, change): (
        &'static str,
        &'static str,
        &'static str,
        Change,
    )| {
        Case::server(id, requirements, sentence, expectation, move |world| async move {
            let book = world.library().await?.byte.clone();
            beside(&world, change(book.chunks(0, 3)), 40).await
        })
    };
    let mut cases: Vec<Case> = all.into_iter().map(case).collect();
    cases.push(Case::server(
        "chunks.not-here",
        "FETCH-30 FETCH-17",
        "An item of a file that was announced and that nobody gives to the hub, between two good ones.",
        "one refusal frame with 43 not-here at its place; the others' bytes; `done`",
        |world| async move {
            let range = map([("first", 0u64.into()), ("count", 1u64.into())]);
            let item = absent(&world, 1_000).await?.with("ranges", list([range]));
            beside(&world, item, 43).await
        },
    ));
    cases
}

fn gone() -> Case {
    Case::server(
        "chunks.gone",
        "FETCH-29 FETCH-17",
        "An item of a content that was announced, never came, and was superseded, between two good ones.",
        "one refusal frame with 41 gone at its place; the others' bytes; `done`",
        |world| async move {
            let me = world.me();
            // On no shelf: nobody can give it to the hub.
            let (old, new) = (Content::noise(900), Arc::new(Content::noise(901)));
            let first = Entry::file(me, &name("gone"), &old);
            world.sync(me, vec![first.operation("put")]).await?;
            world.give(me, &first.replaced(me, &new), &new).await?;
            let book = Book { entry: first, content: Arc::new(old) };
            beside(&world, book.chunks(0, 1), 41).await
        },
    )
}

async fn beside(world: &World, item: Value, code: u64) -> Outcome {
    let library = world.library().await?;
    let items = vec![library.byte.chunks(0, 1), item, library.two.chunks(1, 1)];
    let frames = fetched(world, items, &[]).await?;
    need(
        frames.get(1) == Some(&Frame::Refused(1, code)),
        format_args!("{:?} instead of the refusal {code}", frames.get(1)),
    )?;
    let refusals = frames.iter().filter(|frame| matches!(frame, Frame::Refused(..))).count();
    need(refusals == 1, format_args!("{refusals} refusal frames"))?;
    bring(&frames, &[(0, &library.byte, 0), (2, &library.two, 1)], "done")
}

/// An item that names nothing, with some ranges.
fn item_with(ranges: Vec<(u64, u64)>) -> Value {
    let range =
        |(first, count): (u64, u64)| map([("first", first.into()), ("count", count.into())]);
    map([
        ("resource", "r".into()),
        ("role", "file".into()),
        ("root", [0; 32].into()),
        ("ranges", list(ranges.into_iter().map(range))),
    ])
}

fn bad() -> Vec<Odd> {
    let odd = |id, sentence, make| Odd {
        id,
        requirements: "FETCH-8 REF-2",
        sentence,
        want: BAD_RANGE,
        make,
    };
    vec![
        odd("chunks.no-item", "A `chunk-request` without items.", |me| {
            me.packet("chunk-request", [("items", list(Vec::<Value>::new()))])
        }),
        odd("chunks.no-range", "A `chunk-request` for an item without ranges.", |me| {
            me.packet("chunk-request", [("items", list([item_with(Vec::new())]))])
        }),
        odd("chunks.range-of-none", "A range of no chunk beside one of a chunk.", |me| {
            me.packet("chunk-request", [("items", list([item_with(vec![(0, 1), (1, 0)])]))])
        }),
        odd("chunks.1025", "A `chunk-request` for 1025 chunks.", |me| {
            me.packet("chunk-request", [("items", list([item_with(vec![(0, 1025)])]))])
        }),
        odd(
            "chunks.4-billion-twice",
            "Two ranges of 4,294,967,295 chunks, whose sum does not fit 32 bits.",
            |me| {
                let range = (0, u64::from(u32::MAX));
                me.packet("chunk-request", [("items", list([item_with(vec![range, range])]))])
            },
        ),
    ]
}

fn beyond() -> Vec<Case> {
    type Ask = fn(&crate::world::Library) -> Value;
    let all: [(&str, &str, Ask); 3] = [
        ("chunks.beyond-end", "The chunk behind the last one of a file.", |library| {
            library.several.chunks(4, 1)
        }),
        ("chunks.across-end", "Two chunks of a file that has one.", |library| {
            library.chunk.chunks(0, 2)
        }),
        ("chunks.of-empty", "The first chunk of an empty file.", |library| {
            library.empty.chunks(0, 1)
        }),
    ];
    let case = |(id, sentence, ask): (&'static str, &'static str, Ask)| {
        Case::server(
            id,
            "FETCH-8 FILE-2",
            sentence,
            BAD_RANGE.sentence(),
            move |world| async move {
                let item = ask(world.library().await?);
                BAD_RANGE.check(&fetch(&world, vec![item], &[]).await?)
            },
        )
    };
    all.into_iter().map(case).collect()
}

fn no_encoding() -> Case {
    Case::server(
        "chunks.no-encoding",
        "FETCH-24",
        "A `chunk-request` with `Accept-Encoding: gzip, br, zstd`.",
        "the bytes as they are, without `Content-Encoding`",
        |world| async move {
            let book = &world.library().await?.byte;
            let reply =
                fetch(&world, vec![book.chunks(0, 1)], &[("accept-encoding", "gzip, br, zstd")])
                    .await?;
            Want::Frames.check(&reply)?;
            let Reply::Bytes(answer) = reply else { return Err("no frames".into()) };
            need(answer.header("content-encoding").is_empty(), "it has a `Content-Encoding`")?;
            bring(&frames(&answer)?, &[(0, book, 0)], "done")
        },
    )
}

fn at_once() -> Case {
    Case::server(
        "chunks.at-once",
        "FETCH-25 FETCH-26",
        "One capability, presented four times at the same time.",
        "each time all of its bytes, or the signed refusal 60 too-many (status 429); at least one is not refused",
        |world| async move {
            let book = &world.library().await?.two;
            let body = world.me().packet("chunk-request", [("items", list([book.chunks(0, 2)]))]);
            let envelope = world.me().seal(&body);
            let send = || world.me().send(&body, &envelope);
            let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
            let mut given = 0;
            for reply in [a, b, c, d] {
                let reply = reply?;
                if Want::Signed(Code::TooMany).check(&reply).is_ok() {
                    continue;
                }
                Want::Frames.check(&reply)?;
                let Reply::Bytes(answer) = reply else { return Err("no frames".into()) };
                bring(&frames(&answer)?, &[(0, book, 0), (0, book, 1)], "done")?;
                given += 1;
            }
            need(given > 0, "every presentation was refused")
        },
    )
}

fn used_twice() -> Case {
    Case::server(
        "chunks.twice",
        "FETCH-27 FETCH-25",
        "A capability is presented twice, each time for all its bytes.",
        "both times all of them",
        |world| async move {
            let book = &world.library().await?.several;
            let body = world.me().packet("chunk-request", [("items", list([book.chunks(0, 4)]))]);
            let envelope = world.me().seal(&body);
            for _ in 0..2 {
                let reply = world.me().send(&body, &envelope).await?;
                Want::Frames.check(&reply)?;
                let Reply::Bytes(answer) = reply else { return Err("no frames".into()) };
                let wanted: Vec<_> = (0..4).map(|chunk| (0, book, chunk)).collect();
                bring(&frames(&answer)?, &wanted, "done")?;
            }
            Ok(())
        },
    )
}

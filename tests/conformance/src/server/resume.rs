//! Going on where an answer ended, and asking for less at a time.
//!
//! Spec: FETCH-14, FETCH-16, FETCH-18, FETCH-20 to FETCH-23, FETCH-25.

use zotferry_protocol::refusal::Code;

use super::chunks::{Frame, bring, fetch, fetched, some_frames};
use crate::case::{Case, Outcome, Want, need};
use crate::content::MIB;
use crate::keys::random;
use crate::wire::{Reply, list};
use crate::world::World;

const BAD_RANGE: Want = Want::Signed(Code::BadRange);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        cut_and_resumed(),
        at_the_end(),
        over_refused(),
        many_pieces(),
        last_byte(),
        whole_budget(),
    ];
    cases.extend(positions());
    cases.extend(outside());
    cases.extend(headers());
    cases.extend(limits());
    cases
}

/// The bytes that frames bring, whatever chunk they are of, and the word at the end.
fn bytes_of(frames: &[Frame]) -> (Vec<u8>, String) {
    let (mut bytes, mut word) = (Vec::new(), String::new());
    for frame in frames {
        match frame {
            Frame::Data(_, _, _, part) => bytes.extend(part),
            Frame::End(end) => word.clone_from(end),
            Frame::Refused(..) => {}
        }
    }
    (bytes, word)
}

/// Where an answer begins: the chunk and offset of its first frame.
fn begins(frames: &[Frame]) -> Option<(u64, u64)> {
    frames.iter().find_map(|frame| match frame {
        Frame::Data(_, chunk, offset, _) => Some((*chunk, *offset)),
        _ => None,
    })
}

fn cut_and_resumed() -> Case {
    Case::server(
        "resume.after-cut",
        "FETCH-20 FETCH-25 FETCH-15",
        "An answer of several chunks is cut in its second chunk; the same packet is presented again from there.",
        "it goes on with the very next byte; all bytes together are the file's",
        |world| async move {
            let book = &world.library().await?.several;
            let me = world.me();
            let body = me.packet("chunk-request", [("items", list([book.chunks(0, 4)]))]);
            let packet = me.seal(&body).bytes();
            let kind = ("content-type", "application/x-zot+msgpack");
            let cut = me.once("POST", "/zot", &[kind], packet.clone(), MIB + 400_000).await?;
            let (mut bytes, _) = bytes_of(&some_frames(&cut.body)?);
            need(bytes.len() > MIB, format_args!("only {} bytes came", bytes.len()))?;
            let position = format!("{}:{}", bytes.len() / MIB, bytes.len() % MIB);
            let rest = me.post(packet, &[("zot-resume", &position)]).await?;
            let frames = super::chunks::frames(&rest)?;
            let next = ((bytes.len() / MIB) as u64, (bytes.len() % MIB) as u64);
            need(
                begins(&frames) == Some(next),
                format_args!("it begins at {:?} instead of {next:?}", begins(&frames)),
            )?;
            let (more, word) = bytes_of(&frames);
            bytes.extend(more);
            need(word == "done", "it does not end with done")?;
            need(bytes == book.content.bytes, "the bytes are not the file's")
        },
    )
}

fn positions() -> Vec<Case> {
    let all: [(&str, &str, &str, usize); 4] = [
        ("resume.from-start", "`Zot-Resume: 0:0`.", "0:0", 0),
        ("resume.at-chunk", "`Zot-Resume: 2:0`.", "2:0", 2 * MIB),
        ("resume.inside-chunk", "`Zot-Resume: 1:700001`.", "1:700001", MIB + 700_001),
        (
            "resume.last-byte",
            "The position before the last byte of a file.",
            "3:12344",
            3 * MIB + 12_344,
        ),
    ];
    let case =
        |(id, sentence, position, from): (&'static str, &'static str, &'static str, usize)| {
            let expectation = format!("the bytes of the file from byte {from} on, then `done`");
            Case::server(
                id,
                "FETCH-20 FETCH-21 FETCH-15",
                sentence,
                expectation,
                move |world| async move {
                    let book = &world.library().await?.several;
                    let frames =
                        fetched(&world, vec![book.chunks(0, 4)], &[("zot-resume", position)])
                            .await?;
                    let (bytes, word) = bytes_of(&frames);
                    let first = ((from / MIB) as u64, (from % MIB) as u64);
                    need(
                        begins(&frames) == Some(first),
                        format_args!("it begins at {:?}", begins(&frames)),
                    )?;
                    need(
                        bytes == book.content.bytes[from..] && word == "done",
                        "other bytes, or another end",
                    )
                },
            )
        };
    all.into_iter().map(case).collect()
}

fn at_the_end() -> Case {
    Case::server(
        "resume.behind-last",
        "FETCH-21 FETCH-14",
        "The position right behind the last chunk that was asked for.",
        "`done` and nothing else",
        |world| async move {
            let book = &world.library().await?.several;
            let frames = fetched(&world, vec![book.chunks(0, 4)], &[("zot-resume", "4:0")]).await?;
            need(frames == [Frame::End("done".into())], format_args!("{} frames", frames.len()))
        },
    )
}

fn over_refused() -> Case {
    Case::server(
        "resume.over-refused",
        "FETCH-20 FETCH-17",
        "Two chunks of an unknown file before one of a good file, from position `2:0` on.",
        "the good file's chunk and `done`: the chunks of a refused item count as complete",
        |world| async move {
            let book = &world.library().await?.byte;
            let unknown = book.chunks(0, 2).with("root", random::<32>());
            let frames =
                fetched(&world, vec![unknown, book.chunks(0, 1)], &[("zot-resume", "2:0")]).await?;
            bring(&frames, &[(1, book, 0)], "done")
        },
    )
}

/// Asks again and again with a limit, each time from where the last answer ended.
async fn piecewise(world: &World, most: usize) -> Outcome {
    let book = &world.library().await?.two;
    let body = world.me().packet("chunk-request", [("items", list([book.chunks(0, 2)]))]);
    let packet = world.me().seal(&body).bytes();
    let mut bytes = Vec::new();
    loop {
        let position = format!("{}:{}", bytes.len() / MIB, bytes.len() % MIB);
        let limit = most.to_string();
        let headers = [("zot-resume", position.as_str()), ("zot-max-bytes", limit.as_str())];
        let answer = world.me().post(packet.clone(), &headers).await?;
        Want::Frames.check(&world.me().judge(&answer, &body)?)?;
        let (more, word) = bytes_of(&super::chunks::frames(&answer)?);
        need(more.len() <= most, format_args!("{} bytes instead of at most {most}", more.len()))?;
        need(!more.is_empty() || word == "done", "no progress")?;
        bytes.extend(more);
        let complete = bytes.len() == book.content.bytes.len();
        need(
            (word == "done") == complete,
            format_args!("FETCH-18: {word} after {} bytes", bytes.len()),
        )?;
        if complete {
            return need(bytes == book.content.bytes, "the bytes are not the file's");
        }
    }
}

fn many_pieces() -> Case {
    Case::server(
        "resume.pieces",
        "FETCH-22 FETCH-16 FETCH-14 FETCH-25",
        "A file is asked for by 300,001 bytes at a time, each time the same packet.",
        "never more bytes than that, `limit` until the last byte came, then `done`; all bytes together are the file's",
        |world| async move { piecewise(&world, 300_001).await },
    )
}

fn last_byte() -> Case {
    Case::server(
        "resume.pieces-of-a-chunk",
        "FETCH-22 FETCH-18",
        "A file of a chunk and a byte is asked for by exactly a chunk at a time.",
        "a chunk and `limit`, then a byte and `done`",
        |world| async move { piecewise(&world, MIB).await },
    )
}

fn whole_budget() -> Case {
    Case::server(
        "resume.exact-budget",
        "FETCH-18 FETCH-22",
        "`Zot-Max-Bytes` is exactly what was asked for.",
        "all of it, and `done`",
        |world| async move {
            let book = &world.library().await?.two;
            let limit = (MIB + 1).to_string();
            let frames =
                fetched(&world, vec![book.chunks(0, 2)], &[("zot-max-bytes", &limit)]).await?;
            bring(&frames, &[(0, book, 0), (0, book, 1)], "done")
        },
    )
}

fn limits() -> Vec<Case> {
    let all: [(&str, &str, &str, usize, &str); 3] = [
        ("resume.budget-0", "`Zot-Max-Bytes: 0`.", "0", 0, "limit"),
        ("resume.budget-1", "`Zot-Max-Bytes: 1`.", "1", 1, "limit"),
        (
            "resume.budget-64-bits",
            "`Zot-Max-Bytes: 18446744073709551615`.",
            "18446744073709551615",
            MIB,
            "done",
        ),
    ];
    let case = |(id, sentence, limit, given, word): (
        &'static str,
        &'static str,
        &'static str,
        usize,
        &'static str,
    )| {
        let expectation = format!("{given} bytes of the chunk, then `{word}`");
        Case::server(id, "FETCH-22 FETCH-18", sentence, expectation, move |world| async move {
            let book = &world.library().await?.chunk;
            let frames =
                fetched(&world, vec![book.chunks(0, 1)], &[("zot-max-bytes", limit)]).await?;
            let (bytes, end) = bytes_of(&frames);
            need(bytes == book.content.bytes[..given], format_args!("{} bytes", bytes.len()))?;
            need(end == word, format_args!("it ends with {end}"))
        })
    };
    all.into_iter().map(case).collect()
}

fn outside() -> Vec<Case> {
    let all: [(&str, &str, &str); 4] = [
        ("resume.beyond-list", "`Zot-Resume: 5:0` for four chunks.", "5:0"),
        ("resume.byte-behind-last", "`Zot-Resume: 4:1` for four chunks.", "4:1"),
        ("resume.whole-chunk", "As many bytes as the next chunk has.", "0:1048576"),
        ("resume.beyond-short-chunk", "As many bytes as the short last chunk has.", "3:12345"),
    ];
    let case = |(id, sentence, position): (&'static str, &'static str, &'static str)| {
        Case::server(id, "FETCH-21", sentence, BAD_RANGE.sentence(), move |world| async move {
            let book = &world.library().await?.several;
            BAD_RANGE
                .check(&fetch(&world, vec![book.chunks(0, 4)], &[("zot-resume", position)]).await?)
        })
    };
    all.into_iter().map(case).collect()
}

/// Headers of another form.
fn headers() -> Vec<Case> {
    let all: [(&str, &str, &str); 9] = [
        ("resume.header-one-number", "zot-resume", "1"),
        ("resume.header-three-numbers", "zot-resume", "1:2:3"),
        ("resume.header-negative", "zot-resume", "0:-1"),
        ("resume.header-signed", "zot-resume", "+1:0"),
        ("resume.header-colon", "zot-resume", ":"),
        ("resume.header-33-bits", "zot-resume", "4294967296:0"),
        ("resume.budget-negative", "zot-max-bytes", "-1"),
        ("resume.budget-float", "zot-max-bytes", "1.0"),
        ("resume.budget-65-bits", "zot-max-bytes", "18446744073709551616"),
    ];
    let case = |(id, name, value): (&'static str, &'static str, &'static str)| {
        let expectation = "14 bad-field (status 400), signed or not";
        let sentence = format!("`{name}: {value}`.");
        Case::server(id, "FETCH-23 FETCH-20", sentence, expectation, move |world| async move {
            let book = &world.library().await?.byte;
            let reply = fetch(&world, vec![book.chunks(0, 1)], &[(name, value)]).await?;
            match reply {
                Reply::Hint { .. } => Want::Hint(Code::BadField).check(&reply),
                _ => Want::Signed(Code::BadField).check(&reply),
            }
        })
    };
    all.into_iter().map(case).collect()
}

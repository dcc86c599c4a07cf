//! Contents as plain HTTP.
//!
//! Spec: STREAM-1 to STREAM-4, STREAM-6, STREAM-14, FETCH-28, FETCH-30, SIGN-6, SIGN-14.

use zotferry_protocol::refusal::Code;

use super::manifest::absent;
use crate::case::{Case, Miss, Outcome, Want, need};
use crate::content::MIB;
use crate::desk::to_base64;
use crate::keys::{now, random};
use crate::wire::{Answer, Value};
use crate::world::{Book, World};

pub(super) fn cases() -> Vec<Case> {
    let mut cases =
        vec![whole(), empty(), chunkwise(), at_once(), no_encoding(), if_range(), without()];
    cases.extend(ranges());
    cases.extend(refusals());
    cases.push(not_here());
    cases
}

/// The body of a `stream-request` for a content.
pub(super) fn right(world: &World, content: &Value) -> Value {
    let mut body = world.me().body("stream-request");
    for name in ["resource", "role", "root"] {
        body.set(name, content.at(name).cloned().unwrap_or(Value::Nil));
    }
    body
}

/// GETs a path by the right of a body.
pub(super) async fn get(
    world: &World,
    path: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Result<Answer, Miss> {
    if !world.shared().hub.streams {
        return Err(Miss::Skipped("STREAM-14: the hub says that it does not stream".into()));
    }
    let shown = format!("Zot {}", to_base64(&world.me().seal(body).bytes()));
    let mut all = vec![("authorization", shown.as_str())];
    all.extend_from_slice(headers);
    Ok(world.me().exchange("GET", path, &all, Vec::new()).await?)
}

async fn stream(world: &World, book: &Book, headers: &[(&str, &str)]) -> Result<Answer, Miss> {
    get(world, &book.path(), &right(world, &book.item()), headers).await
}

/// Fails unless an answer is these bytes of a content.
fn is(answer: &Answer, book: &Book, span: Option<(usize, usize)>) -> Outcome {
    let size = book.content.bytes.len();
    let (status, bytes) = match span {
        None => (200, &book.content.bytes[..]),
        Some((first, last)) => (206, &book.content.bytes[first..=last]),
    };
    need(answer.status == status, format_args!("{} instead of status {status}", answer.shown()))?;
    need(
        answer.content_type() == "application/x-zot-file",
        format_args!("the type {:?}", answer.content_type()),
    )?;
    need(answer.header("content-encoding").is_empty(), "it has a `Content-Encoding`")?;
    let len = bytes.len().to_string();
    need(
        answer.header("content-length") == len,
        format_args!("`Content-Length` {:?}", answer.header("content-length")),
    )?;
    let tag = format!("\"{}\"", book.content.hex());
    need(answer.header("etag") == tag, format_args!("the `ETag` {}", answer.header("etag")))?;
    let range = span.map_or(String::new(), |(first, last)| format!("bytes {first}-{last}/{size}"));
    let found = answer.header("content-range");
    need(found == range, format_args!("`Content-Range` {found:?} instead of {range:?}"))?;
    need(answer.whole, "the answer was cut")?;
    need(answer.body == bytes, "other bytes")
}

fn whole() -> Case {
    Case::server(
        "streaming.whole",
        "STREAM-4 STREAM-1",
        "A stream of a file, without `Range`.",
        "status 200, `application/x-zot-file`, its `Content-Length`, the root in quotes as `ETag`, and all bytes",
        |world| async move {
            let book = &world.library().await?.several;
            is(&stream(&world, book, &[]).await?, book, None)
        },
    )
}

fn empty() -> Case {
    Case::server(
        "streaming.empty",
        "STREAM-4 FILE-10",
        "A stream of an empty file.",
        "status 200, `Content-Length: 0`, no bytes",
        |world| async move {
            let book = &world.library().await?.empty;
            is(&stream(&world, book, &[]).await?, book, None)
        },
    )
}

fn chunkwise() -> Case {
    Case::server(
        "streaming.ranges-of-one-right",
        "STREAM-3 STREAM-6",
        "One `stream-request`, presented for each chunk of a file after the other.",
        "status 206 each time, with exactly those bytes",
        |world| async move {
            let book = &world.library().await?.several;
            let body = right(&world, &book.item());
            let size = book.content.bytes.len();
            for first in (0..size).step_by(MIB) {
                let last = (first + MIB - 1).min(size - 1);
                let range = format!("bytes={first}-{last}");
                let answer = get(&world, &book.path(), &body, &[("range", &range)]).await?;
                is(&answer, book, Some((first, last)))?;
            }
            Ok(())
        },
    )
}

fn at_once() -> Case {
    Case::server(
        "streaming.at-once",
        "STREAM-3",
        "One `stream-request`, presented for two ranges at the same time.",
        "status 206 both times, with exactly those bytes",
        |world| async move {
            let book = &world.library().await?.two;
            let body = right(&world, &book.item());
            let path = book.path();
            let one = get(&world, &path, &body, &[("range", "bytes=0-1048575")]);
            let other = get(&world, &path, &body, &[("range", "bytes=1048576-1048576")]);
            let (one, other) = tokio::join!(one, other);
            is(&one?, book, Some((0, MIB - 1)))?;
            is(&other?, book, Some((MIB, MIB)))
        },
    )
}

fn no_encoding() -> Case {
    Case::server(
        "streaming.no-encoding",
        "STREAM-4",
        "A stream with `Accept-Encoding: gzip, br, zstd`.",
        "the bytes as they are, without `Content-Encoding`",
        |world| async move {
            let book = &world.library().await?.byte;
            is(&stream(&world, book, &[("accept-encoding", "gzip, br, zstd")]).await?, book, None)
        },
    )
}

fn ranges() -> Vec<Case> {
    type Span = Option<(usize, usize)>;
    let size = MIB + 1;
    let all: [(&str, &str, Span); 7] = [
        ("streaming.range", "bytes=5-9", Some((5, 9))),
        ("streaming.range-of-first-byte", "bytes=0-0", Some((0, 0))),
        ("streaming.range-to-end", "bytes=1048576-", Some((MIB, size - 1))),
        ("streaming.range-suffix", "bytes=-3", Some((size - 3, size - 1))),
        ("streaming.range-past-end", "bytes=1048570-9999999", Some((MIB - 6, size - 1))),
        ("streaming.range-of-other-unit", "lines=1-2", None),
        ("streaming.range-backwards", "bytes=9-5", None),
    ];
    let case = |(id, range, span): (&'static str, &'static str, Span)| {
        let expectation = match span {
            Some((first, last)) => format!(
                "status 206 with `Content-Range: bytes {first}-{last}/{size}` and those bytes"
            ),
            None => "it is ignored: status 200 with the whole content".to_owned(),
        };
        Case::server(
            id,
            "STREAM-6 STREAM-4",
            format!("`Range: {range}`."),
            expectation,
            move |world| async move {
                let book = &world.library().await?.two;
                is(&stream(&world, book, &[("range", range)]).await?, book, span)
            },
        )
    };
    let mut cases: Vec<Case> = all.into_iter().map(case).collect();
    for (id, range) in [
        ("streaming.range-outside", "bytes=1048577-"),
        ("streaming.range-far-outside", "bytes=2000000-2000005"),
    ] {
        let expectation = "status 416";
        cases.push(Case::server(
            id,
            "STREAM-6",
            format!("`Range: {range}`."),
            expectation,
            move |world| async move {
                let book = &world.library().await?.two;
                let answer = stream(&world, book, &[("range", range)]).await?;
                need(answer.status == 416, answer.shown())
            },
        ));
    }
    cases
}

fn if_range() -> Case {
    Case::server(
        "streaming.if-range",
        "STREAM-6",
        "A range with `If-Range` and the `ETag`, and with another one.",
        "status 206 for its own, 200 with the whole content for the other",
        |world| async move {
            let book = &world.library().await?.two;
            let tag = format!("\"{}\"", book.content.hex());
            let own = stream(&world, book, &[("range", "bytes=5-9"), ("if-range", &tag)]).await?;
            is(&own, book, Some((5, 9)))?;
            let other = format!("\"{}\"", hex::encode(random::<32>()));
            let other =
                stream(&world, book, &[("range", "bytes=5-9"), ("if-range", &other)]).await?;
            is(&other, book, None)
        },
    )
}

fn without() -> Case {
    Case::server(
        "streaming.without-packet",
        "STREAM-1 SIGN-14",
        "A stream without `Authorization`.",
        "status 401, no bytes of the file",
        |world| async move {
            if !world.shared().hub.streams {
                return Err(Miss::Skipped(
                    "STREAM-14: the hub says that it does not stream".into(),
                ));
            }
            let book = &world.library().await?.byte;
            let answer = world.me().exchange("GET", &book.path(), &[], Vec::new()).await?;
            need(answer.status == 401, answer.shown())
        },
    )
}

fn refusals() -> Vec<Case> {
    type Make = fn(&World, &Book) -> (String, Value);
    let bad = Want::Signed(Code::BadField);
    let unknown = Want::Signed(Code::UnknownResource);
    let all: [(&str, &str, &str, Want, Make); 9] = [
        (
            "streaming.another-content",
            "STREAM-2",
            "The packet names another root than the path.",
            bad,
            |world, book| (book.path(), right(world, &book.item().with("root", random::<32>()))),
        ),
        (
            "streaming.another-resource",
            "STREAM-2",
            "The packet names another resource than the path.",
            bad,
            |world, book| (book.path(), right(world, &book.item().with("resource", "another"))),
        ),
        (
            "streaming.another-role",
            "STREAM-2",
            "The packet names another role than the path.",
            bad,
            |world, book| (book.path(), right(world, &book.item().with("role", "photo-4"))),
        ),
        (
            "streaming.another-type",
            "STREAM-2",
            "The packet is a `challenge`.",
            bad,
            |world, book| (book.path(), super::challenge(world.me())),
        ),
        (
            "streaming.unknown-resource",
            "FETCH-28",
            "A resource that nobody knows.",
            unknown,
            |world, book| {
                let path = book.path().replace(book.entry.hash(), "no-such-resource");
                (path, right(world, &book.item().with("resource", "no-such-resource")))
            },
        ),
        (
            "streaming.unknown-root",
            "FETCH-28",
            "A root that the file does not have.",
            unknown,
            |world, book| {
                let root: [u8; 32] = random();
                let path = book.path().replace(&book.content.hex(), &hex::encode(root));
                (path, right(world, &book.item().with("root", root)))
            },
        ),
        (
            "streaming.stale",
            "SIGN-6 STREAM-3",
            "A `stream-request` that expired a minute ago.",
            Want::Signed(Code::Stale),
            |world, book| {
                let at = now() - 120_000;
                (
                    book.path(),
                    right(world, &book.item()).with("at", at).with("expires", at + 60_000),
                )
            },
        ),
        (
            "streaming.to-another-hub",
            "SIGN-5",
            "A `stream-request` to another hub.",
            Want::Hint(Code::NotForMe),
            |world, book| (book.path(), right(world, &book.item()).with("to.hub", "A".repeat(86))),
        ),
        (
            "streaming.of-another-channel",
            "SYNC-1",
            "A `stream-request` in the name of another channel.",
            Want::Signed(Code::NotAClone),
            |world, book| {
                (book.path(), right(world, &book.item()).with("from.channel", "C".repeat(86)))
            },
        ),
    ];
    let case = |(id, requirements, sentence, want, make): (_, _, _, Want, Make)| {
        Case::server(id, requirements, sentence, want.sentence(), move |world: World| async move {
            let book = world.library().await?.byte.clone();
            let (path, body) = make(&world, &book);
            let answer = get(&world, &path, &body, &[]).await?;
            want.check(&world.me().judge(&answer, &body)?)
        })
    };
    let mut cases: Vec<Case> =
        all.into_iter().map(|(a, b, c, d, e)| case((a, b, c, d, e))).collect();
    cases.push(bad_signature());
    cases
}

fn bad_signature() -> Case {
    let want = Want::Hint(Code::BadSignature);
    Case::server(
        "streaming.bad-signature",
        "SIGN-4 STREAM-3",
        "A `stream-request` with one bit of its signature changed.",
        want.sentence(),
        move |world| async move {
            if !world.shared().hub.streams {
                return Err(Miss::Skipped(
                    "STREAM-14: the hub says that it does not stream".into(),
                ));
            }
            let book = &world.library().await?.byte;
            let body = right(&world, &book.item());
            let envelope = world.me().seal(&body);
            let mut sig = envelope.bin("sig").unwrap_or_default().to_vec();
            sig[9] ^= 4;
            let shown = format!("Zot {}", to_base64(&envelope.with("sig", sig).bytes()));
            let headers = [("authorization", shown.as_str())];
            let answer = world.me().exchange("GET", &book.path(), &headers, Vec::new()).await?;
            want.check(&world.me().judge(&answer, &body)?)
        },
    )
}

fn not_here() -> Case {
    let want = Want::Signed(Code::NotHere);
    Case::server(
        "streaming.not-here",
        "FETCH-30 STREAM-13",
        "A stream of a file that was announced and that nobody gives to the hub.",
        want.sentence(),
        move |world| async move {
            let content = absent(&world, 1_000).await?;
            let (resource, root) = (content.text("resource"), content.bin("root"));
            let path = format!(
                "/zot/file/{}/file/{}",
                resource.unwrap_or_default(),
                hex::encode(root.unwrap_or_default())
            );
            let body = right(&world, &content);
            let answer = get(&world, &path, &body, &[]).await?;
            want.check(&world.me().judge(&answer, &body)?)
        },
    )
}

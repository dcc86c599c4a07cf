//! frames.json, streams.json.

use bytes::Bytes;
use serde_json::{Value, json};
use zotferry_protocol::frames::{
    FrameError, FrameEvent, FrameReader, Plan, Resume, ResumeError, Step, Wanted,
};
use zotferry_protocol::path::{Asked, Head, StreamEvent};

use super::support::{Case, File};

pub(crate) const FILES: &[File] = &[
    (
        "frames",
        &[
            ("responses", response),
            ("bad", bad),
            ("resume", resume),
            ("resume_bad", resume_bad),
            ("plans", plan),
        ],
    ),
    ("streams", &[("heads", head)]),
];

/// The events of bytes that come in two pieces, in the words of the vectors, payloads joined.
fn events(bytes: &[u8], cut: usize) -> Result<Vec<Value>, FrameError> {
    let mut reader = FrameReader::new();
    let mut payload: Option<Vec<u8>> = None;
    let mut events = Vec::new();
    let end = |payload: &mut Option<Vec<u8>>, events: &mut Vec<Value>| {
        events.extend(payload.take().map(|p| json!({ "data": hex::encode(p) })));
    };
    for piece in [&bytes[..cut], &bytes[cut..]] {
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(event) = reader.feed(&mut input)? {
            if let FrameEvent::Data(bytes) = event {
                payload.get_or_insert_default().extend_from_slice(&bytes);
                continue;
            }
            end(&mut payload, &mut events);
            events.push(match event {
                FrameEvent::Header { item, chunk, offset, len } => {
                    json!({ "header": [item, chunk, offset, len] })
                }
                FrameEvent::Refused { item, code, text } => {
                    json!({ "refused": [item, code, text] })
                }
                FrameEvent::End(how) => json!({ "end": how.as_str() }),
                FrameEvent::Data(_) => continue,
            });
        }
    }
    end(&mut payload, &mut events);
    Ok(events)
}

/// FETCH-10: however the response is split.
fn response(case: Case<'_>) {
    let bytes = case.bytes("bytes");
    for cut in 0..=bytes.len() {
        let found = events(&bytes, cut).expect("frames");
        assert_eq!(Value::from(found), *case.child("events").0, "split at {cut}");
    }
}

fn bad(case: Case<'_>) {
    let bytes = case.bytes("bytes");
    for cut in 0..=bytes.len() {
        let word = match events(&bytes, cut).expect_err("no frames") {
            FrameError::Malformed(_) => "malformed",
            FrameError::HeadTooLong => "head-too-long",
            FrameError::Empty => "empty",
            FrameError::TooLarge(_) => "too-large",
            FrameError::BeyondChunk { .. } => "beyond-chunk",
            FrameError::AfterEnd => "after-end",
        };
        assert_eq!(word, case.text("error"), "split at {cut}");
    }
}

fn resume(case: Case<'_>) {
    let position = Resume { chunks: case.u32("chunks"), bytes: case.u32("bytes") };
    assert_eq!(case.text("header").parse(), Ok(position));
    assert_eq!(position.to_string(), case.text("header"));
}

fn resume_bad(case: Case<'_>) {
    assert_eq!(case.text("header").parse::<Resume>(), Err(ResumeError::Malformed));
}

fn plan(case: Case<'_>) {
    let wanted = case.list("wanted").map(|w| Wanted {
        item: w.u32("item"),
        chunk: w.u32("chunk"),
        len: w.get("len").map(|_| w.u32("len")),
    });
    let from: Resume = case.text("resume").parse().expect("a position");
    let plan = Plan::new(wanted.collect(), from, case.u64("budget"));
    let Some(expected) = case.get("steps") else {
        assert_eq!(plan.map(drop), Err(ResumeError::OutsideRequest));
        return;
    };
    let steps = plan.expect("a position inside").map(|step| match step {
        Step::Frame(f) => json!({ "frame": [f.item, f.chunk, f.offset, f.len] }),
        Step::Refuse(item) => json!({ "refuse": item }),
        Step::End(end) => json!({ "end": end.as_str() }),
    });
    assert_eq!(Value::from_iter(steps), *expected);
}

fn head(case: Case<'_>) {
    let (answer, asked) = (case.child("head"), case.numbers("asked"));
    let head = Head {
        status: u16::try_from(answer.u64("status")).expect("a status"),
        content_type: answer.maybe_text("type"),
        content_encoding: answer.maybe_text("encoding"),
        content_range: answer.maybe_text("range"),
    };
    let asked = Asked { first: asked[0], last: asked[1], size: asked[2] };
    let verdict = match head.judge(&asked) {
        Ok(()) => "stream",
        Err(StreamEvent::NotOurs(_)) => "not-ours",
        Err(StreamEvent::NoProgress) => "nothing",
        Err(other) => panic!("{other:?} is no verdict on an answer"),
    };
    assert_eq!(verdict, case.text("verdict"));
}

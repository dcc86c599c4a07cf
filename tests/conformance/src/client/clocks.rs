//! A `stale` refusal and the clock in it: believed only where the asked hub has signed it, and within a day.

use zotferry_protocol::refusal::Code;

use super::refused::ahead;
use super::tools::{by_chunks, chunks, file, holds};
use crate::actor::{Actor, Packet};
use crate::case::{Case, Outcome, need};
use crate::desk::refuse;
use crate::http::{Response, Step};
use crate::keys::{new_id, now};
use crate::wire::Value;
use crate::world::World;

const HOUR: u64 = 3_600_000;

/// What is answered first.
type Instead = fn(&World, &Actor, &Packet) -> Response;

pub(super) fn cases() -> Vec<Case> {
    let believed = clock(
        "clocks.believed",
        "SIGN-16 SIGN-10",
        "The first request is refused with a signed `stale` and a clock that is an hour ahead.",
        "the next request is signed under a new id, dated an hour ahead within 5 minutes",
        |_, origin, packet| stale(origin, packet, HOUR),
        true,
    );
    let not_moved = |&(what, requirements, sentence, instead): &Row| {
        clock(&format!("clocks.{what}"), requirements, sentence, NOT_MOVED, instead, false)
    };
    let mut cases = vec![believed.should()];
    cases.extend(LIES.iter().map(not_moved));
    cases
}

type Row = (&'static str, &'static str, &'static str, Instead);

/// Clocks that are not to be believed.
const LIES: [Row; 5] = [
    (
        "more-than-a-day",
        "SIGN-10",
        "The first request is refused with a signed `stale` and a clock that is two days ahead.",
        |_, origin, packet| stale(origin, packet, 48 * HOUR),
    ),
    (
        "unsigned",
        "SIGN-10 REF-5",
        "The first request is answered with the unsigned hint `22 stale`, and a `Date` years ahead.",
        |_, _, _| {
            let hint = Response::new(401, "text/plain", "22 stale: the dates\n");
            hint.with("date", "Fri, 01 Jan 2038 00:00:00 GMT")
        },
    ),
    (
        "of-another-hub",
        "SIGN-10 SIGN-11",
        "The first request is refused with a `stale` that another hub has signed, its clock an hour ahead.",
        |world, origin, packet| {
            let me = world.me();
            changed(me, stale(origin, packet, HOUR), |body| put(body, "from.hub", me.site()))
        },
    ),
    (
        "of-another-answer",
        "SIGN-10 SIGN-11",
        "The first request is refused with a signed `stale` that answers another packet, its clock an hour ahead.",
        |_, origin, packet| {
            changed(origin, stale(origin, packet, HOUR), |body| put(body, "answers", new_id()))
        },
    ),
    (
        "of-another-refusal",
        "SIGN-10",
        "The first request is refused with a signed `unavailable`, its clock an hour ahead.",
        |_, origin, packet| {
            let code = u64::from(Code::Unavailable.number());
            let refused =
                changed(origin, stale(origin, packet, HOUR), |body| put(body, "code", code));
            Response { status: 503, ..refused }
        },
    ),
];

fn put(body: &mut Value, field: &str, value: impl Into<Value>) {
    body.set(field, value);
}

/// A refusal with its body changed, signed by a hub of ours.
fn changed(signer: &Actor, refused: Response, change: impl Fn(&mut Value)) -> Response {
    let Ok((_, mut body, _)) = crate::wire::open(&refused.body()) else { return refused };
    change(&mut body);
    let steps = vec![Step::Bytes(signer.seal(&body).bytes())];
    Response { steps, ..refused }
}

const NOT_MOVED: &str =
    "the clock is not believed: the next request is dated as the first was, and the file arrives";

fn stale(origin: &Actor, packet: &Packet, by: u64) -> Response {
    changed(origin, refuse(origin, packet, Code::Stale), |body| put(body, "clock", now() + by))
}

fn clock(
    id: &str,
    requirements: &'static str,
    sentence: &str,
    expectation: &str,
    instead: Instead,
    moved: bool,
) -> Case {
    Case::client(id, requirements, sentence, expectation, move |world| async move {
        let (origin, entry, content) = file(&world, "a clock", 6_500).await?;
        let around = world.clone();
        by_chunks(&origin, move |turn, origin, _, packet| {
            (turn == 0).then(|| instead(&around, origin, packet))
        });
        world.give(&origin, &entry, &content).await?;
        dated(&origin, moved)?;
        holds(&world, &entry, &content).await
    })
}

/// How the second request is dated, by our clock when it is looked at.
fn dated(origin: &Actor, moved: bool) -> Outcome {
    let inbox = origin.inbox();
    let packets: Vec<&Packet> = inbox.iter().filter_map(|incoming| chunks(incoming)).collect();
    need(packets.len() >= 2, "the hub did not ask again")?;
    let ahead = ahead(packets[1]);
    let hour = i128::from(HOUR);
    if moved {
        let other = packets[0].body.bin("id") != packets[1].body.bin("id");
        need(other, "the second request has the id of the first")?;
        return need((ahead - hour).abs() < 300_000, format_args!("it is dated {ahead} ms ahead"));
    }
    need(ahead.abs() < 1_800_000, format_args!("it is dated {ahead} ms ahead"))
}

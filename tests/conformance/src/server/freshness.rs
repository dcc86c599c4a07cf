//! Dates: when a packet counts.
//!
//! The dates keep away from the borders by some minutes or seconds: the hub's clock is not ours.
//! Spec: SIGN-6, SIGN-10, REF-2, FETCH-9.

use zotferry_protocol::refusal::Code;

use super::{Odd, challenge};
use crate::actor::Actor;
use crate::case::{Case, Want, need};
use crate::keys::now;
use crate::wire::{Reply, Value, list};

const STALE: Want = Want::Signed(Code::Stale);
const ANSWERED: Want = Want::Packet("challenge");
const MINUTE: u64 = 60_000;

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = dates().into_iter().map(Case::from).collect();
    cases.extend([clock(), presented_again()]);
    cases
}

fn dated(me: &Actor, at: u64, expires: u64) -> Value {
    challenge(me).with("at", at).with("expires", expires)
}

fn dates() -> Vec<Odd> {
    let stale =
        |id, sentence, make| Odd { id, requirements: "SIGN-6 REF-2", sentence, want: STALE, make };
    let fresh =
        |id, sentence, make| Odd { id, requirements: "SIGN-6", sentence, want: ANSWERED, make };
    vec![
        stale("freshness.ahead", "A packet signed 6 minutes ahead of now.", |me| {
            let at = now() + 6 * MINUTE;
            dated(me, at, at + MINUTE)
        }),
        stale("freshness.expired", "A packet that expired 10 seconds ago.", |me| {
            let expires = now() - 10_000;
            dated(me, expires - MINUTE, expires)
        }),
        stale("freshness.long-life", "A packet that counts for a ms more than 10 minutes.", |me| {
            dated(me, now(), now() + 10 * MINUTE + 1_000)
        }),
        stale("freshness.life-of-a-day", "A packet that counts for a day.", |me| {
            dated(me, now(), now() + 24 * 60 * MINUTE)
        }),
        stale("freshness.backwards", "A packet that expires a ms before it was signed.", |me| {
            let at = now() + 2 * MINUTE;
            dated(me, at, at - 1)
        }),
        stale("freshness.as-late-as-can-be", "A packet dated 2^64 - 1.", |me| {
            dated(me, u64::MAX, u64::MAX)
        }),
        fresh(
            "freshness.a-little-ahead",
            "A packet signed 4 minutes ahead of now, of 10 minutes.",
            |me| {
                let at = now() + 4 * MINUTE;
                dated(me, at, at + 10 * MINUTE)
            },
        ),
        fresh(
            "freshness.no-life",
            "A packet that expires in the very ms in which it is said to be signed.",
            |me| {
                let at = now() + 2 * MINUTE;
                dated(me, at, at)
            },
        ),
        fresh("freshness.last-seconds", "A packet signed 9 minutes ago, of 10 minutes.", |me| {
            let at = now() - 9 * MINUTE;
            dated(me, at, at + 10 * MINUTE)
        }),
    ]
}

fn clock() -> Case {
    Case::server(
        "freshness.clock",
        "REF-2 SIGN-10",
        "A stale packet: what clock does the refusal carry?",
        "the signed refusal 22 stale, with a `clock` within 5 minutes of ours",
        |world| async move {
            let reply = world.me().ask(&dated(world.me(), 1, 2)).await?;
            STALE.check(&reply)?;
            let Reply::Refusal { body, .. } = reply else { return Err("no refusal".into()) };
            let clock = body.uint("clock").unwrap_or(0);
            need(now().abs_diff(clock) < 5 * MINUTE, format_args!("the clock {clock}"))
        },
    )
}

fn presented_again() -> Case {
    Case::server(
        "freshness.capability-expires",
        "FETCH-9 SIGN-6",
        "A `chunk-request` that counts for some seconds, presented, and again when it has expired.",
        "frames, and then the signed refusal 22 stale (status 401)",
        |world| async move {
            let book = &world.library().await?.byte;
            for life in [2_000, 10_000, 40_000] {
                let body =
                    world.me().packet("chunk-request", [("items", list([book.chunks(0, 1)]))]);
                let expires = now() + life;
                let body = body.with("expires", expires);
                let reply = world.me().ask(&body).await?;
                // A slow machine may need more than two seconds for the first presentation.
                if matches!(reply, Reply::Refusal { .. }) && now() > expires {
                    continue;
                }
                Want::Frames.check(&reply)?;
                let mut patience = world.patience("the packet has expired");
                while now() <= expires + 1_000 {
                    patience.next().await?;
                }
                return STALE.check(&world.me().ask(&body).await?);
            }
            Err("no presentation within its life".into())
        },
    )
}

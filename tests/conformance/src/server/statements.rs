//! Records and notices that do not hold, in a `locations` packet.
//!
//! Spec: ID-5, ID-8, ID-9, ID-19, ID-36.

use zotferry_protocol::refusal::Code;

use super::locations::{note, notice, noticed};
use crate::actor::Actor;
use crate::case::{Case, Want};
use crate::keys::now;
use crate::wire::{Value, list, map};
use crate::world::World;

const BAD_LOCATION: Want = Want::Signed(Code::BadLocation);
const BAD_STATEMENT: Want = Want::Signed(Code::BadStatement);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = records();
    cases.extend(notices());
    cases
}

type Make = fn(&World, &Actor) -> Value;

fn records() -> Vec<Case> {
    let all: [(&str, &str, &str, Want, Make); 4] = [
        (
            "statements.record-of-no-channel",
            "ID-8",
            "A record that another key signed for the channel.",
            BAD_LOCATION,
            |world, me| me.state_by(&me.place(), world.other_key(), me.key()),
        ),
        (
            "statements.record-of-no-hub",
            "ID-9",
            "A record that another key signed for the hub.",
            BAD_LOCATION,
            |world, me| me.state_by(&me.place(), world.channel_key(), world.other_key()),
        ),
        (
            "statements.record-of-another-channel",
            "ID-8",
            "A record of another channel, which this channel's key signed.",
            BAD_LOCATION,
            |_, me| me.state(&me.place().with("channel", "D".repeat(86))),
        ),
        (
            "statements.record-with-bad-key",
            "ID-5",
            "A record whose site key has no last line feed.",
            Want::Signed(Code::BadKey),
            |_, me| me.state(&me.place().with("site_key", me.key().public().pem().trim_end())),
        ),
    ];
    let case = |(id, requirements, sentence, want, make): (_, _, _, Want, Make)| {
        Case::server(id, requirements, sentence, want.sentence(), move |world: World| async move {
            let records = list([make(&world, world.me())]);
            let body = world.me().packet("locations", [("records", records)]);
            want.check(&world.me().ask(&body).await?)
        })
    };
    all.into_iter().map(|(a, b, c, d, e)| case((a, b, c, d, e))).collect()
}

fn notices() -> Vec<Case> {
    let all: [(&str, &str, Make); 4] = [
        ("statements.notice-of-another-key", "A notice that another key signed.", |world, _| {
            noticed(&notice(world, &"E".repeat(86), true, now()), world.other_key())
        }),
        (
            "statements.notice-says-both",
            "A notice that says both `removed` and `primary`.",
            |world, _| {
                let record = notice(world, &"E".repeat(86), true, now()).with("primary", true);
                noticed(&record, world.channel_key())
            },
        ),
        ("statements.notice-of-another-channel", "A notice about another channel.", |world, _| {
            let record =
                notice(world, &"E".repeat(86), true, now()).with("channel", "D".repeat(86));
            noticed(&record, world.channel_key())
        }),
        (
            "statements.notice-in-another-context",
            "A location record's signature in the place of a notice's.",
            |world, _| {
                let record = notice(world, &"E".repeat(86), true, now()).bytes();
                let sig =
                    world.channel_key().sign(&[b"zot-file-location\n", record.as_slice()].concat());
                map([("channel_sig", sig.into()), ("record", record.into())])
            },
        ),
    ];
    let case = |(id, sentence, make): (&'static str, &'static str, Make)| {
        Case::server(id, "ID-36", sentence, BAD_STATEMENT.sentence(), move |world| async move {
            BAD_STATEMENT.check(&note(world.me(), make(&world, world.me())).await?)
        })
    };
    all.into_iter().map(case).collect()
}

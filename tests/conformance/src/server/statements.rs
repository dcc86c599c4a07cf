//! Records, notices and rotations that do not hold, in a `locations` packet.
//!
//! Spec: ID-5, ID-8, ID-9, ID-19, ID-25, ID-30, ID-36.

use zotferry_protocol::refusal::Code;

use super::identity::mute;
use super::locations::{note, notice, noticed};
use super::rotation::Rotation;
use crate::actor::Actor;
use crate::case::{Case, Want, need};
use crate::keys::now;
use crate::wire::{Reply, Value, list, map};
use crate::world::World;

const BAD_LOCATION: Want = Want::Signed(Code::BadLocation);
const BAD_STATEMENT: Want = Want::Signed(Code::BadStatement);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = records();
    cases.extend(notices());
    cases.extend(rotations());
    cases.push(of_a_stranger());
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

fn rotations() -> Vec<Case> {
    let all: [(&str, &str, Make); 8] = [
        (
            "statements.rotation-by-no-old-key",
            "A rotation that the old key has not signed.",
            |world, me| Rotation { old: world.other_key(), ..Rotation::good(world, me) }.signed(),
        ),
        (
            "statements.rotation-by-no-new-key",
            "A rotation that the new key has not signed.",
            |world, me| Rotation { new: world.channel_key(), ..Rotation::good(world, me) }.signed(),
        ),
        (
            "statements.rotation-by-no-hub",
            "A rotation that the hub which rotates has not signed.",
            |world, me| Rotation { site: world.other_key(), ..Rotation::good(world, me) }.signed(),
        ),
        (
            "statements.rotation-of-another-channel",
            "A rotation of another channel.",
            |world, me| Rotation::good(world, me).with("channel", "D".repeat(86)),
        ),
        (
            "statements.rotation-without-itself",
            "A rotation whose own hub is not in `keep`.",
            |world, me| {
                Rotation::good(world, me).with("keep", list([world.shared().hub.site.as_str()]))
            },
        ),
        (
            "statements.rotation-of-later-number",
            "A rotation numbered 2 where none came before.",
            |world, me| Rotation::good(world, me).with("number", 2u64),
        ),
        (
            "statements.rotation-of-no-key",
            "A rotation whose `old_key` is not the channel's.",
            |world, me| {
                let rotation = Rotation { old: me.key(), ..Rotation::good(world, me) };
                rotation.with("old_key", me.key().public().pem())
            },
        ),
        (
            "statements.rotation-to-itself",
            "A rotation to the key that the channel has.",
            |world, me| {
                let rotation = Rotation { new: world.channel_key(), ..Rotation::good(world, me) };
                rotation.with("new_key", world.channel_key().public().pem())
            },
        ),
    ];
    let case = |(id, sentence, make): (&'static str, &'static str, Make)| {
        Case::server(
            id,
            "ID-25 ID-24",
            sentence,
            BAD_STATEMENT.sentence(),
            move |world| async move {
                let (none, rotation) = (list(Vec::<Value>::new()), make(&world, world.me()));
                let fields = [("records", none), ("rotations", list([rotation]))];
                let body = world.me().packet("locations", fields);
                BAD_STATEMENT.check(&world.me().ask(&body).await?)
            },
        )
    };
    all.into_iter().map(case).collect()
}

fn of_a_stranger() -> Case {
    let sentence = "A hub that introduced itself, and does not answer its challenge, sends a rotation that all three keys signed.";
    Case::server(
        "statements.rotation-of-a-stranger",
        "ID-30",
        sentence,
        "the first key still counts: a record of the new key is refused with ".to_owned()
            + &BAD_LOCATION.sentence()
            + ", and the hub tells nobody of the rotation",
        |world| async move {
            let stranger = mute(&world).await?;
            let rotation = list([Rotation::good(&world, &stranger).signed()]);
            let place = stranger.state(&stranger.place());
            let fields = [("records", list([place.clone()])), ("rotations", rotation)];
            stranger.introduce(&stranger.packet("locations", fields), &place).await?;
            let me = world.me();
            let by_new_key = me.state_by(&me.place(), world.other_key(), me.key());
            let body = me.packet("locations", [("records", list([by_new_key]))]);
            BAD_LOCATION.check(&me.ask(&body).await?)?;
            let none = me.packet("locations", [("records", list(Vec::<Value>::new()))]);
            let Reply::Packet { body, .. } = me.ask(&none).await? else {
                return Err("no packet".into());
            };
            need(body.list("rotations").is_empty(), "the hub tells of the rotation")
        },
    )
}

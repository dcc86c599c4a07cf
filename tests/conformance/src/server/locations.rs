//! Where the channel lives: what the hub tells, what it believes, and who is a clone no more.
//!
//! Spec: ID-7, ID-10, ID-17, ID-18, ID-34, ID-35, ID-38, ID-41, SYNC-1, SYNC-2, FETCH-9.

use std::sync::Arc;

use zotferry_protocol::refusal::Code;

use super::challenge;
use crate::actor::Actor;
use crate::case::{Case, Miss, Want, need};
use crate::content::Content;
use crate::entry::{Entry, name};
use crate::keys::{Public, now};
use crate::wire::{Reply, Value, list, map, read};
use crate::world::World;

const NOT_A_CLONE: Want = Want::Signed(Code::NotAClone);
const LOCATIONS: Want = Want::Packet("locations");
const REPORT: Want = Want::Packet("sync-report");

pub(super) fn cases() -> Vec<Case> {
    vec![
        answer(),
        names_the_asker(),
        gone(),
        gone_capability(),
        comes_back(),
        older_serial(),
        removed_by_notice(),
        removed_for_all_serials(),
        told_nothing(),
        other_channels(),
        unknown_channel(),
    ]
}

/// Asks for what the hub knows, bringing nothing.
async fn ask(actor: &Actor) -> Result<Value, Miss> {
    let body = actor.packet("locations", [("records", list(Vec::<Value>::new()))]);
    let reply = actor.ask(&body).await?;
    LOCATIONS.check(&reply)?;
    let Reply::Packet { body, .. } = reply else { return Err("no packet".into()) };
    Ok(body)
}

/// An empty report: what only a listed clone may send.
fn report(actor: &Actor) -> Value {
    let none = || list(Vec::<Value>::new());
    actor.packet("sync-report", [("operations", none()), ("present", none())])
}

/// The fields of a signed record, if its two signatures hold.
pub(super) fn holds(world: &World, signed: &Value) -> Result<Value, String> {
    let bin = |name: &str| signed.bin(name).ok_or(format!("ID-7: a record without `{name}`"));
    let bytes = bin("record")?;
    let text = [b"zot-file-location\n", bytes].concat();
    let record = read(bytes)?;
    if !world.channel_key().public().verifies(&text, bin("channel_sig")?) {
        return Err("ID-8: the channel's signature does not hold".into());
    }
    let key = Public::from_pem(record.text("site_key").unwrap_or_default());
    if !key.map_err(|e| e.to_string())?.verifies(&text, bin("site_sig")?) {
        return Err("ID-9: the hub's signature does not hold".into());
    }
    if record.text("channel") != Some(&world.shared().channel) {
        return Err("ID-8: a record of another channel".into());
    }
    if record.bin("replica").is_none_or(|replica| replica.len() != 8) {
        return Err("PKT-22: a replica id that is not 8 bytes".into());
    }
    Ok(record)
}

fn answer() -> Case {
    Case::server(
        "locations.answer",
        "ID-18 ID-7 ID-2 PKT-22",
        "A clone sends `locations` without a record.",
        "a `locations` packet of at most 64 records, the hub's own among them, each signed by both keys",
        |world| async move {
            let body = ask(world.me()).await?;
            let records = body.list("records");
            need(records.len() <= 64, format_args!("{} records", records.len()))?;
            let mut own = 0;
            for signed in records {
                let record = holds(&world, signed)?;
                let is_own = record.text("url") == Some(&world.shared().hub.url);
                own += u32::from(is_own && record.flag("deleted") == Some(false));
            }
            need(own == 1, format_args!("{own} records of the hub itself"))
        },
    )
}

fn names_the_asker() -> Case {
    Case::server(
        "locations.names-clones",
        "ID-18",
        "A second clone comes in, and the first asks where the channel lives.",
        "the answer holds the second clone's record, byte by byte as that one signed it",
        |world| async move {
            let second = world.second().await?;
            let body = ask(world.me()).await?;
            let found = body.list("records").iter().any(|signed| {
                let record = signed.bin("record").and_then(|bytes| read(bytes).ok());
                let ours = record.is_some_and(|record| record.text("url") == Some(second.url()));
                ours && holds(&world, signed).is_ok()
            });
            need(found, "the second clone's record is not there")
        },
    )
}

/// States a record of a hub of ours.
async fn state(actor: &Actor, record: &Value) -> Result<Reply, String> {
    let body = actor.packet("locations", [("records", list([actor.state(record)]))]);
    actor.ask(&body).await
}

fn gone() -> Case {
    Case::server(
        "locations.left",
        "ID-17 ID-41 SYNC-1",
        "A clone states that the channel has left it, and then sends `sync-report`, `locations` and `challenge`.",
        NOT_A_CLONE.sentence() + " to each",
        |world| async move {
            let second = world.second().await?;
            LOCATIONS.check(&state(&second, &second.lives(false).place()).await?)?;
            NOT_A_CLONE.check(&second.ask(&report(&second)).await?)?;
            let none = second.packet("locations", [("records", list(Vec::<Value>::new()))]);
            NOT_A_CLONE.check(&second.ask(&none).await?)?;
            NOT_A_CLONE.check(&second.ask(&challenge(&second)).await?)
        },
    )
}

fn gone_capability() -> Case {
    Case::server(
        "locations.left-with-capability",
        "FETCH-9 ID-17",
        "A clone presents a `chunk-request`, leaves, and presents the same again.",
        "frames, and then the signed refusal 30 not-a-clone (status 403)",
        |world| async move {
            let second = world.second().await?;
            let book = &world.library().await?.byte;
            let body = second.packet("chunk-request", [("items", list([book.chunks(0, 1)]))]);
            let envelope = second.seal(&body);
            Want::Frames.check(&second.send(&body, &envelope).await?)?;
            LOCATIONS.check(&state(&second, &second.lives(false).place()).await?)?;
            NOT_A_CLONE.check(&second.send(&body, &envelope).await?)
        },
    )
}

fn comes_back() -> Case {
    Case::server(
        "locations.comes-back",
        "ID-41 ID-10 ID-13",
        "A clone leaves, shows its deleted record, then one that is not deleted, under a higher serial.",
        "30 not-a-clone for the deleted record; with the other it is answered, challenged and listed again",
        |world| async move {
            let second = world.second().await?;
            let gone = second.lives(false).place();
            LOCATIONS.check(&state(&second, &gone).await?)?;
            let none = second.packet("locations", [("records", list(Vec::<Value>::new()))]);
            NOT_A_CLONE.check(&second.introduce(&none, &second.state(&gone)).await?)?;
            world.list(&second).await
        },
    )
}

fn older_serial() -> Case {
    Case::server(
        "locations.older-serial",
        "ID-10",
        "A clone states that it is deleted, under a lower serial than its record has.",
        "it stays a clone: its `sync-report` is answered",
        |world| async move {
            let second = world.second().await?;
            let old = second.place().with("deleted", true).with("serial", 1_000u64);
            LOCATIONS.check(&state(&second, &old).await?)?;
            REPORT.check(&second.ask(&report(&second)).await?)
        },
    )
}

/// A notice about a hub (ID-35).
pub(super) fn notice(world: &World, site: &str, removed: bool, serial: u64) -> Value {
    map([
        ("channel", world.shared().channel.as_str().into()),
        ("site", site.into()),
        ("removed", removed.into()),
        ("primary", false.into()),
        ("serial", serial.into()),
    ])
}

/// The notice signed by a key.
pub(super) fn noticed(record: &Value, key: &crate::keys::Key) -> Value {
    let record = record.bytes();
    let sig = key.sign(&[b"zot-file-notice\n", record.as_slice()].concat());
    map([("channel_sig", sig.into()), ("record", record.into())])
}

/// Sends a notice.
pub(super) async fn note(actor: &Actor, notice: Value) -> Result<Reply, String> {
    let none = list(Vec::<Value>::new());
    let body = actor.packet("locations", [("records", none), ("notices", list([notice]))]);
    actor.ask(&body).await
}

/// A second clone that the first has removed by a notice; the notice's serial is in the future.
async fn removed(world: &World) -> Result<Actor, Miss> {
    let second = world.second().await?;
    let record = notice(world, second.site(), true, now() + 1_000);
    LOCATIONS.check(&note(world.me(), noticed(&record, world.channel_key())).await?)?;
    Ok(second)
}

fn removed_by_notice() -> Case {
    Case::server(
        "locations.notice-removes",
        "ID-38 ID-35 ID-17",
        "A clone states by a notice that another one is removed; that one sends a `sync-report`.",
        NOT_A_CLONE.sentence(),
        |world| async move {
            let second = removed(&world).await?;
            NOT_A_CLONE.check(&second.ask(&report(&second)).await?)
        },
    )
}

fn removed_for_all_serials() -> Case {
    Case::server(
        "locations.notice-outlives-records",
        "ID-38 ID-41",
        "A clone that a notice removed shows a record of a far higher serial, then the others state that it is not removed.",
        "30 not-a-clone for the record, whatever its serial; listed again once a later notice takes the first back",
        |world| async move {
            let second = removed(&world).await?;
            let later = second.state(&second.place().with("serial", now() + 100_000_000));
            let none = second.packet("locations", [("records", list(Vec::<Value>::new()))]);
            NOT_A_CLONE.check(&second.introduce(&none, &later).await?)?;
            let record = notice(&world, second.site(), false, now() + 2_000);
            LOCATIONS.check(&note(world.me(), noticed(&record, world.channel_key())).await?)?;
            world.list(&second).await
        },
    )
}

fn told_nothing() -> Case {
    Case::server(
        "locations.left-is-told-nothing",
        "ID-17 SYNC-31",
        "One clone leaves; then a file comes to the hub, which tells every clone that it is present.",
        "another clone is told; nothing is sent to the one that left",
        |world| async move {
            let (left, stays) = (world.second().await?, world.second().await?);
            LOCATIONS.check(&state(&left, &left.lives(false).place()).await?)?;
            let before = left.inbox().len();
            let content = Arc::new(Content::noise(2_000));
            let entry = Entry::file(world.me(), &name("told"), &content);
            world.give(world.me(), &entry, &content).await?;
            world.present(&stays, &entry, &content).await?;
            let told = left.inbox().len() - before;
            need(told == 0, format_args!("{told} requests to a clone that left"))
        },
    )
}

fn other_channels() -> Case {
    Case::server(
        "locations.another-channel",
        "SYNC-1",
        "A clone sends a `sync-report` in the name of another channel, to the test channel.",
        NOT_A_CLONE.sentence(),
        |world| async move {
            let body = report(world.me()).with("from.channel", "C".repeat(86));
            NOT_A_CLONE.check(&world.me().ask(&body).await?)
        },
    )
}

fn unknown_channel() -> Case {
    let want = Want::Signed(Code::UnknownChannel);
    Case::server(
        "locations.unknown-channel",
        "SYNC-2",
        "A clone sends a `sync-report` for a channel that does not live on the hub.",
        want.sentence(),
        move |world| async move {
            let channel = "C".repeat(86);
            let body = report(world.me())
                .with("from.channel", channel.clone())
                .with("to.channel", channel);
            want.check(&world.me().ask(&body).await?)
        },
    )
}

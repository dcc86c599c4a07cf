//! Packets that come twice.
//!
//! Spec: SIGN-8, SIGN-9, SIGN-15, SYNC-16, SYNC-28.

use zotferry_protocol::refusal::Code;

use super::clone_sync::{kept, statuses};
use crate::actor::Actor;
use crate::case::{Case, Miss, Want, need};
use crate::entry::{Entry, edit, name};
use crate::keys::now;
use crate::wire::{Reply, Value, list};
use crate::world::World;

const REPORT: Want = Want::Packet("sync-report");

pub(super) fn cases() -> Vec<Case> {
    vec![
        same_answer(),
        done_once(),
        same_id(),
        after_restart(),
        expired(),
        new_packet(),
        reading_again(),
        at_once(),
    ]
}

fn announcement(me: &Actor, entry: &Entry) -> Value {
    me.packet("clone-sync", [("operations", list([entry.operation("put")]))])
}

/// The report's elements.
fn reports(reply: &Reply) -> Result<Vec<Value>, Miss> {
    REPORT.check(reply)?;
    let Reply::Packet { body, .. } = reply else { return Err("no packet".into()) };
    Ok(body.list("operations").to_vec())
}

fn is_stored(reply: &Reply) -> Result<(), Miss> {
    let found = reports(reply)?;
    need(statuses(&found) == ["stored"], format_args!("{:?} instead of `stored`", statuses(&found)))
}

fn same_answer() -> Case {
    Case::server(
        "replay.same-answer",
        "SIGN-9 SIGN-8",
        "A `clone-sync` is presented twice, byte by byte.",
        "both times a report that the operation is `stored`, not `duplicate`",
        |world| async move {
            let body = announcement(world.me(), &Entry::folder(world.me(), &name("twice")));
            let envelope = world.me().seal(&body);
            is_stored(&world.me().send(&body, &envelope).await?)?;
            is_stored(&world.me().send(&body, &envelope).await?)
        },
    )
}

/// A folder, and the same with another name under a later version.
fn renamed(me: &Actor) -> (Entry, Entry) {
    let first = Entry::folder(me, &name("first"));
    let mut second = first.clone();
    second.row.set("filename", name("second"));
    second.place = edit(&first.place, me);
    (first, second)
}

fn done_once() -> Case {
    Case::server(
        "replay.done-once",
        "SIGN-9",
        "A folder is announced, then renamed, then the first packet is presented again.",
        "the first report again; the folder keeps its later name",
        |world| async move {
            let (first, second) = renamed(world.me());
            let body = announcement(world.me(), &first);
            let envelope = world.me().seal(&body);
            is_stored(&world.me().send(&body, &envelope).await?)?;
            is_stored(&world.me().ask(&announcement(world.me(), &second)).await?)?;
            is_stored(&world.me().send(&body, &envelope).await?)?;
            named(&world, &second).await
        },
    )
}

async fn named(world: &World, entry: &Entry) -> Result<(), Miss> {
    let (_, row) = kept(world, entry).await?.ok_or("the entry is not known")?;
    need(
        row.text("filename") == Some(entry.filename()),
        format_args!("it is called {:?}", row.text("filename")),
    )
}

fn same_id() -> Case {
    Case::server(
        "replay.same-id",
        "SIGN-9 PKT-20",
        "Another folder is announced in a packet under an id that was used before.",
        "the report that the first packet got; the second folder is not known",
        |world| async move {
            let (one, other) = (
                Entry::folder(world.me(), &name("one")),
                Entry::folder(world.me(), &name("other")),
            );
            let first = announcement(world.me(), &one);
            let id = first.bin("id").unwrap_or_default().to_vec();
            let told = reports(&world.me().ask(&first).await?)?;
            let again =
                reports(&world.me().ask(&announcement(world.me(), &other).with("id", id)).await?)?;
            need(told == again, "another report")?;
            need(kept(&world, &other).await?.is_none(), "the second folder was made")
        },
    )
}

fn after_restart() -> Case {
    Case::server(
        "replay.survives-restart",
        "SIGN-8 SIGN-9",
        "A folder is announced, the hub is restarted, and the same packet is presented again.",
        "the first report again, `stored`",
        |world| async move {
            let body = announcement(world.me(), &Entry::folder(world.me(), &name("restart")));
            let envelope = world.me().seal(&body);
            is_stored(&world.me().send(&body, &envelope).await?)?;
            world.restart().await?;
            is_stored(&world.me().send(&body, &envelope).await?)
        },
    )
}

fn expired() -> Case {
    Case::server(
        "replay.expired",
        "SIGN-6 SIGN-14 SIGN-9",
        "A `clone-sync` that counts for some seconds, and the same again when it has expired.",
        "`stored`, and then the signed refusal 22 stale (status 401)",
        |world| async move {
            for life in [2_000, 10_000, 40_000] {
                let expires = now() + life;
                let entry = Entry::folder(world.me(), &name("expires"));
                let body = announcement(world.me(), &entry).with("expires", expires);
                let envelope = world.me().seal(&body);
                let reply = world.me().send(&body, &envelope).await?;
                // A slow machine may need more than two seconds for the first presentation.
                if matches!(reply, Reply::Refusal { .. }) && now() > expires {
                    continue;
                }
                is_stored(&reply)?;
                let mut patience = world.patience("the packet has expired");
                while now() <= expires + 1_000 {
                    patience.next().await?;
                }
                return Want::Signed(Code::Stale).check(&world.me().send(&body, &envelope).await?);
            }
            Err("no presentation within its life".into())
        },
    )
}

fn new_packet() -> Case {
    Case::server(
        "replay.new-packet",
        "SYNC-28 SYNC-27",
        "The same operation in a new packet.",
        "`stored`, and then `duplicate`",
        |world| async move {
            let operation = Entry::folder(world.me(), &name("again")).operation("put");
            let first = world.sync(world.me(), vec![operation.clone()]).await?;
            let again = world.sync(world.me(), vec![operation]).await?;
            let found = [statuses(&first), statuses(&again)].concat();
            need(found == ["stored", "duplicate"], format_args!("{found:?}"))
        },
    )
}

fn reading_again() -> Case {
    Case::server(
        "replay.reading",
        "SIGN-15 FETCH-25",
        "A `manifest-request` and a `chunk-request`, each presented three times.",
        "each is answered three times in the same way",
        |world| async move {
            let book = &world.library().await?.two;
            let page = book.item().with("first", 0u64).with("count", 1u64);
            let ask = world.me().packet("manifest-request", [("items", list([page]))]);
            let chunks = world.me().packet("chunk-request", [("items", list([book.chunks(1, 1)]))]);
            for _ in 0..3 {
                Want::Packet("manifest-page").check(&world.me().ask(&ask).await?)?;
                let reply = world.me().ask(&chunks).await?;
                Want::Frames.check(&reply)?;
                let Reply::Bytes(answer) = reply else { return Err("no frames".into()) };
                need(answer.body.len() < 100, "more than the last chunk's byte")?;
            }
            Ok(())
        },
    )
}

fn at_once() -> Case {
    Case::server(
        "replay.at-once",
        "SIGN-9 SYNC-16",
        "The same `clone-sync` is presented four times at the same time.",
        "every answer is a report that the operation is `stored`",
        |world| async move {
            let body = announcement(world.me(), &Entry::folder(world.me(), &name("at once")));
            let envelope = world.me().seal(&body);
            let send = || world.me().send(&body, &envelope);
            let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
            for reply in [a, b, c, d] {
                is_stored(&reply?)?;
            }
            Ok(())
        },
    )
}

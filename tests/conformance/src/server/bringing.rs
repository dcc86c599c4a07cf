//! What of a backup is taken: bytes that lead to their root, entries of the channel's owner; and what is asked of
//! clones when a backup did not have it.
//!
//! A hub over the network sees no head, index or metadata file: whose a backup is says the statement, and what is in it
//! the operations.
//! Spec: BACKUP-18, BACKUP-24, BACKUP-25, BACKUP-29, FILE-11.

use std::sync::Arc;

use serde_json::Value as Json;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::refusal::Code;

use super::restore::{
    begin, bytes, entries, from_backup, post, record, refused, said, signed, standing, state,
};
use crate::actor::Actor;
use crate::case::{Case, Miss, Outcome, Want, need};
use crate::content::{Content, MIB, TwoPages, joined};
use crate::entry::{Entry, name};
use crate::keys::Key;
use crate::leaves::{at_hub, key_of};
use crate::wire::{Value, list, map};
use crate::world::World;

const BAD_CONTENT: Code = Code::BadContent;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![one_byte(), byte_missing(), digests()];
    cases.extend(of_others());
    cases.extend([asked_for_later(), never_asked_for()]);
    cases
}

/// Where a content's bytes go.
fn place(content: &Content) -> String {
    format!("/zot/restore/{}", content.hex())
}

fn one_byte() -> Case {
    Case::server(
        "restore.one-byte-turned",
        "BACKUP-18 BACKUP-23 BACKUP-29",
        "The bytes of a content of three chunks are put with one byte turned in the last chunk; then those from `held` on, as they are.",
        Want::Hint(BAD_CONTENT).sentence() + ", and the content is not present; then it is",
        |world| async move {
            begin(&world).await?;
            let (file, content) = from_backup(&world, 2 * MIB + 70_000);
            entries(&world, &[&file]).await?;
            let place = place(&content);
            let mut turned = content.bytes.clone();
            turned[2 * MIB + 69_000] ^= 0x10;
            let answer = bytes(&world, "PUT", &format!("{place}/0"), turned).await?;
            refused(&answer, BAD_CONTENT)?;
            let (_, present, held) = standing(&bytes(&world, "GET", &place, Vec::new()).await?)?;
            need(!present && held <= 2, format_args!("present {present}, held {held}"))?;
            let from = usize::try_from(held).unwrap_or(0) * MIB;
            let rest = content.bytes[from..].to_vec();
            let done = bytes(&world, "PUT", &format!("{place}/{held}"), rest).await?;
            need(standing(&done)?.1, "the right bytes are not taken")
        },
    )
}

fn byte_missing() -> Case {
    Case::server(
        "restore.byte-missing",
        "BACKUP-18",
        "Of a content of one chunk, and of one of two, all bytes but the last are put.",
        "neither is present",
        |world| async move {
            begin(&world).await?;
            for len in [9_000, MIB + 9_000] {
                let (file, content) = from_backup(&world, len);
                entries(&world, &[&file]).await?;
                let place = place(&content);
                let some = content.bytes[..len - 1].to_vec();
                let answer = bytes(&world, "PUT", &format!("{place}/0"), some).await?;
                need(answer.status != 200 || !standing(&answer)?.1, "it is said to be present")?;
                let found = standing(&bytes(&world, "GET", &place, Vec::new()).await?)?;
                need(!found.1, format_args!("{len} bytes are present without the last"))?;
            }
            Ok(())
        },
    )
}

fn digests() -> Case {
    Case::server(
        "restore.digests-with-path",
        "BACKUP-18 FILE-11 FILE-7",
        "For a content of 4097 chunks, whose digests have two pages, a page with a digest turned is put, one with the path of \
         the other, one under the other's number, and then both as they are.",
        Want::Hint(BAD_CONTENT).sentence()
            + " for the first three; an empty object for the two pages",
        |world| async move {
            begin(&world).await?;
            let content = TwoPages::noise();
            let mut entry = Entry::of_two_pages(world.me(), &name("two pages"), &content);
            entry.data[0].set("source", "backup");
            let brought = entries(&world, &[&entry]).await?;
            let code = brought.pointer("/operations/0/code").and_then(Json::as_u64);
            if code == Some(32) || code == Some(33) {
                return Err(Miss::Skipped("the hub has no room for 4 GiB".into()));
            }
            let page = |number: u32, digests: &[Digest], of: u32| {
                let path = joined(&content.path(of));
                let body = map([("digests", joined(digests).into()), ("path", path.into())]);
                (format!("/zot/restore/{}/digests/{number}", content.root), body.bytes())
            };
            let (first, second) = (content.page(0), content.page(1));
            let mut turned = first.to_vec();
            turned[4000].0[7] ^= 1;
            let bad = [
                ("a digest turned", page(0, &turned, 0)),
                ("the other's path", page(0, first, 1)),
                ("the other's number", page(1, first, 0)),
            ];
            for (what, (place, body)) in bad {
                let answer = bytes(&world, "PUT", &place, body).await?;
                let found = answer.shown();
                refused(&answer, BAD_CONTENT).map_err(|_| format!("{what}: {found}"))?;
            }
            for (place, body) in [page(0, first, 0), page(1, second, 1)] {
                said(&bytes(&world, "PUT", &place, body).await?)?;
            }
            // The room that was promised for its bytes is free again.
            let gone = entry.gone(world.me()).operation("remove");
            world.sync(world.me(), vec![gone]).await.map(drop)
        },
    )
}

/// Entries that are not the channel's owner's to bring.
fn of_others() -> Vec<Case> {
    type Sign = fn(&World, Value) -> Vec<u8>;
    fn elsewhere(world: &World) -> (String, Key) {
        (world.other_key().channel("a guid of nobody"), world.other_key().clone())
    }
    let all: [(&str, &str, Code, Sign); 3] = [
        (
            "restore.entries-of-another-key",
            "Entries are brought by a statement that another key than the channel's signed; then by one of the channel's key.",
            Code::BadSignature,
            |world, record| signed(&record, world.other_key()),
        ),
        (
            "restore.entries-of-another-channel",
            "Entries are brought by a statement of a channel that does not live here, signed by its own key; then by one of the channel.",
            Code::UnknownChannel,
            |world, record| {
                let (channel, key) = elsewhere(world);
                signed(&record.with("channel", channel), &key)
            },
        ),
        (
            "restore.entries-for-another-hub",
            "Entries are brought by a statement to another hub; then by one to this hub.",
            Code::NotForMe,
            |world, record| signed(&record.with("site", world.me().site()), world.channel_key()),
        ),
    ];
    let case = |(id, sentence, code, sign): (&'static str, &'static str, Code, Sign)| {
        let expectation =
            Want::Hint(code).sentence() + ", and the entry is not known; then it is `stored`";
        let requirements = "BACKUP-24 BACKUP-27";
        Case::server(id, requirements, sentence, expectation, move |world| async move {
            begin(&world).await?;
            let folder = Entry::folder(world.me(), &name("of a backup"));
            let operations = list([folder.operation("put")]);
            let record = record(&world, "entries").with("operations", operations);
            refused(&post(&world, sign(&world, record)).await?, code)?;
            let leaf = at_hub(world.me(), &key_of("attach", folder.hash())).await?;
            need(leaf.is_none(), "the entry was brought into the channel all the same")?;
            let json = entries(&world, &[&folder]).await?;
            let status = json.pointer("/operations/0/status").and_then(Json::as_str);
            need(status == Some("stored"), format_args!("{json}"))
        })
    };
    all.into_iter().map(case).collect()
}

/// How often a hub of ours was asked for a content, in any way.
fn asked(actor: &Actor, content: &Content) -> usize {
    let root = content.root.as_slice();
    let names = |body: &Value| {
        body.bin("root") == Some(root)
            || body.list("items").iter().any(|item| item.bin("root") == Some(root))
    };
    let kinds = ["chunk-request", "manifest-request", "stream-request"];
    let inbox = actor.inbox();
    let packets = inbox.iter().filter_map(|incoming| incoming.packet.as_ref());
    packets.filter(|packet| kinds.contains(&packet.kind.as_str()) && names(&packet.body)).count()
}

/// A hub of ours serves a content and reports it as present.
async fn has_it(origin: &Actor, entry: &Entry, content: &Arc<Content>) -> Outcome {
    origin.serve(content);
    let present = map([
        ("resource", entry.hash().into()),
        ("role", "file".into()),
        ("root", content.root.into()),
    ]);
    let body = origin.packet("sync-report", [("present", list([present]))]);
    Want::Packet("sync-report").check(&origin.ask(&body).await?)
}

/// Another file of the same clone is fetched meanwhile: the hub had its turn to ask for anything.
async fn other_file_comes(world: &World, origin: &Actor) -> Outcome {
    let content = Arc::new(Content::noise(20_000));
    let entry = Entry::file(origin, &name("beside a restore"), &content);
    world.give(origin, &entry, &content).await
}

fn asked_for_later() -> Case {
    Case::server(
        "restore.asked-for-after-the-end",
        "BACKUP-25 SYNC-11",
        "A file is brought without its bytes; a clone reports that it has them, and another file of that clone is fetched. \
         Then the restore ends.",
        "before `end` the clone is not asked for the content, afterwards it is, and the hub reports it as present",
        |world| async move {
            let origin = world.second().await?;
            begin(&world).await?;
            let (file, content) = from_backup(&world, MIB + 300);
            entries(&world, &[&file]).await?;
            has_it(&origin, &file, &content).await?;
            other_file_comes(&world, &origin).await?;
            let early = asked(&origin, &content);
            need(
                early == 0,
                format_args!("while it was being brought it was asked for {early} times"),
            )?;
            said(&state(&world, &record(&world, "end")).await?)?;
            world.present(&origin, &file, &content).await?;
            need(asked(&origin, &content) > 0, "it is present, and was not asked for")
        },
    )
}

fn never_asked_for() -> Case {
    Case::server(
        "restore.brought-is-not-asked-for",
        "BACKUP-25",
        "A clone reports that it has a file's bytes, and a backup brings them; then the restore ends, and another file of \
         that clone is fetched.",
        "the content is present, and the clone was never asked for it",
        |world| async move {
            let origin = world.second().await?;
            begin(&world).await?;
            let (file, content) = from_backup(&world, 30_000);
            entries(&world, &[&file]).await?;
            has_it(&origin, &file, &content).await?;
            let first = format!("{}/0", place(&content));
            let put = bytes(&world, "PUT", &first, content.bytes.clone()).await?;
            need(standing(&put)?.1, "it is not present when all its bytes came")?;
            said(&state(&world, &record(&world, "end")).await?)?;
            other_file_comes(&world, &origin).await?;
            let count = asked(&origin, &content);
            need(count == 0, format_args!("it was asked for {count} times"))
        },
    )
}

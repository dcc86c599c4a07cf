//! A backup, brought over the network by who holds the channel's key.
//!
//! Skipped where a hub has no `/zot/restore`.
//! Spec: BACKUP-25 to BACKUP-29, ID-20.

use std::sync::Arc;

use serde_json::Value as Json;
use zotferry_protocol::refusal::Code;

use crate::actor::Actor;
use crate::case::{Case, Miss, Outcome, Want, need};
use crate::content::{Content, MIB};
use crate::desk::to_base64;
use crate::entry::{Entry, name};
use crate::keys::{Key, new_id, now, random};
use crate::wire::{Answer, Reply, Value, hint, list, map};
use crate::world::World;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = statements();
    cases.extend([
        brought(),
        broken_off(),
        wrong_bytes(),
        not_asked_for(),
        nothing_wanted(),
        unstated(),
        twice(),
        same_replica(),
    ]);
    cases
}

/// The record of a statement, good but for what a case changes.
pub(super) fn record(world: &World, step: &str) -> Value {
    let now = now();
    map([
        ("channel", world.shared().channel.as_str().into()),
        ("site", world.shared().hub.site.as_str().into()),
        ("id", new_id().into()),
        ("at", now.into()),
        ("expires", (now + 600_000).into()),
        ("step", step.into()),
    ])
}

pub(super) fn signed(record: &Value, key: &Key) -> Vec<u8> {
    let record = record.bytes();
    let sig = key.sign(&[b"zot-file-restore\n", record.as_slice()].concat());
    map([("record", record.into()), ("channel_sig", sig.into())]).bytes()
}

pub(super) async fn post(world: &World, statement: Vec<u8>) -> Result<Answer, Miss> {
    let kind = [("content-type", "application/x-zot+msgpack")];
    let answer = world.me().exchange("POST", "/zot/restore", &kind, statement).await?;
    if answer.status == 404 && !answer.body.starts_with(b"31 ") || answer.status == 405 {
        return Err(Miss::Skipped("the hub takes no backups over the network".into()));
    }
    Ok(answer)
}

pub(super) async fn state(world: &World, record: &Value) -> Result<Answer, Miss> {
    post(world, signed(record, world.channel_key())).await
}

/// The JSON of an answer of status 200.
pub(super) fn said(answer: &Answer) -> Result<Json, Miss> {
    need(answer.status == 200, answer.shown())?;
    serde_json::from_slice(&answer.body).map_err(|e| Miss::Failed(format!("no JSON: {e}")))
}

/// A refusal of a request that is no packet: the status, and the line.
pub(super) fn refused(answer: &Answer, code: Code) -> Outcome {
    Want::Hint(code).check(&hint(answer))
}

fn statements() -> Vec<Case> {
    type Make = fn(&World) -> Vec<u8>;
    let all: [(&str, &str, Code, Make); 8] = [
        (
            "restore.unknown-channel",
            "A statement of a channel that does not live on the hub.",
            Code::UnknownChannel,
            |world| {
                signed(&record(world, "begin").with("channel", "C".repeat(86)), world.channel_key())
            },
        ),
        (
            "restore.another-key",
            "A statement that another key signed.",
            Code::BadSignature,
            |world| signed(&record(world, "begin"), world.other_key()),
        ),
        (
            "restore.another-context",
            "A statement signed in the context of a notice.",
            Code::BadSignature,
            |world| {
                let record = record(world, "begin").bytes();
                let sig =
                    world.channel_key().sign(&[b"zot-file-notice\n", record.as_slice()].concat());
                map([("record", record.into()), ("channel_sig", sig.into())]).bytes()
            },
        ),
        ("restore.another-hub", "A statement to another hub.", Code::NotForMe, |world| {
            signed(&record(world, "begin").with("site", "A".repeat(86)), world.channel_key())
        }),
        ("restore.stale", "A statement that expired a minute ago.", Code::Stale, |world| {
            let at = now() - 120_000;
            let record = record(world, "begin").with("at", at).with("expires", at + 60_000);
            signed(&record, world.channel_key())
        }),
        ("restore.long-life", "A statement that counts for an hour.", Code::Stale, |world| {
            signed(&record(world, "begin").with("expires", now() + 3_600_000), world.channel_key())
        }),
        (
            "restore.no-operations",
            "A statement with the step `entries` and without operations.",
            Code::BadField,
            |world| signed(&record(world, "entries"), world.channel_key()),
        ),
        (
            "restore.needless-operations",
            "A statement with the step `begin` and an operation.",
            Code::BadField,
            |world| {
                let operation = Entry::folder(world.me(), &name("needless")).operation("put");
                signed(
                    &record(world, "begin").with("operations", list([operation])),
                    world.channel_key(),
                )
            },
        ),
    ];
    let case = |(id, sentence, code, make): (&'static str, &'static str, Code, Make)| {
        let requirements = "BACKUP-27 BACKUP-26";
        Case::server(
            id,
            requirements,
            sentence,
            Want::Hint(code).sentence(),
            move |world| async move { refused(&post(&world, make(&world)).await?, code) },
        )
    };
    all.into_iter().map(case).collect()
}

/// A file whose bytes are to come from a backup.
pub(super) fn from_backup(world: &World, len: usize) -> (Entry, Arc<Content>) {
    let content = Arc::new(Content::noise(len));
    let mut entry = Entry::file(world.me(), &name("backup"), &content);
    entry.data[0].set("source", "backup");
    (entry, content)
}

/// Brings entries; what the hub wants of them.
pub(super) async fn entries(world: &World, entries: &[&Entry]) -> Result<Json, Miss> {
    let operations = list(entries.iter().map(|entry| entry.operation("put")));
    said(&state(world, &record(world, "entries").with("operations", operations)).await?)
}

/// A request with the right to bring bytes.
pub(super) async fn bytes(
    world: &World,
    method: &str,
    path: &str,
    body: Vec<u8>,
) -> Result<Answer, Miss> {
    let shown =
        format!("Zot-Restore {}", to_base64(&signed(&record(world, "bytes"), world.channel_key())));
    let headers = [("authorization", shown.as_str())];
    Ok(world.me().exchange(method, path, &headers, body).await?)
}

/// `size`, `present` and `held` of an answer.
pub(super) fn standing(answer: &Answer) -> Result<(u64, bool, u64), Miss> {
    let json = said(answer)?;
    let number = |name: &str| json.get(name).and_then(Json::as_u64);
    let present = json.get("present").and_then(Json::as_bool);
    match (number("size"), present, number("held")) {
        (Some(size), Some(present), Some(held)) => Ok((size, present, held)),
        _ => Err(Miss::Failed(format!("{json} has no `size`, `present` or `held`"))),
    }
}

pub(super) async fn begin(world: &World) -> Outcome {
    let json = said(&state(world, &record(world, "begin")).await?)?;
    need(json.is_object(), "no object")
}

fn brought() -> Case {
    Case::server(
        "restore.brought",
        "BACKUP-22 BACKUP-23 BACKUP-26 FETCH-24",
        "A restore from `begin` to `end`: a folder, and a file of three chunks whose bytes are put.",
        "both are `stored`, the content is wanted and then present; the file's bytes are given to a clone that asks",
        |world| async move {
            begin(&world).await?;
            let folder = Entry::folder(world.me(), &name("restored"));
            let (file, content) = from_backup(&world, 2 * MIB + 99);
            let json = entries(&world, &[&folder, &file]).await?;
            let status =
                |n: usize| json.pointer(&format!("/operations/{n}/status")).and_then(Json::as_str);
            need([status(0), status(1)] == [Some("stored"); 2], format_args!("{json}"))?;
            let wanted = json.pointer("/wanted/0/root").and_then(Json::as_str);
            need(wanted == Some(&content.hex()), format_args!("wanted: {json}"))?;
            let place = format!("/zot/restore/{}", content.hex());
            let before = standing(&bytes(&world, "GET", &place, Vec::new()).await?)?;
            need(before == (content.size(), false, 0), format_args!("{before:?}"))?;
            let after = bytes(&world, "PUT", &format!("{place}/0"), content.bytes.clone()).await?;
            need(standing(&after)?.1, "it is not present when all its bytes came")?;
            said(&state(&world, &record(&world, "end")).await?)?;
            let book = crate::world::Book { entry: file, content };
            let frames = super::chunks::fetched(&world, vec![book.chunks(0, 3)], &[]).await?;
            super::chunks::bring(&frames, &[(0, &book, 0), (0, &book, 1), (0, &book, 2)], "done")
        },
    )
}

fn broken_off() -> Case {
    Case::server(
        "restore.goes-on",
        "BACKUP-29 BACKUP-30",
        "The first chunk and a half of a content are put, and then all from the chunk `held` on.",
        "`held` counts the whole chunk; then the content is present",
        |world| async move {
            begin(&world).await?;
            let (file, content) = from_backup(&world, 3 * MIB + 5);
            entries(&world, &[&file]).await?;
            let place = format!("/zot/restore/{}", content.hex());
            let some = content.bytes[..MIB + MIB / 2].to_vec();
            bytes(&world, "PUT", &format!("{place}/0"), some).await?;
            let (_, present, held) = standing(&bytes(&world, "GET", &place, Vec::new()).await?)?;
            need((present, held) == (false, 1), format_args!("present {present}, held {held}"))?;
            let rest = content.bytes[MIB..].to_vec();
            let done = standing(&bytes(&world, "PUT", &format!("{place}/1"), rest).await?)?;
            need(done.1, "it is not present when all its bytes came")
        },
    )
}

fn wrong_bytes() -> Case {
    Case::server(
        "restore.wrong-bytes",
        "BACKUP-29 BACKUP-23",
        "Another content's bytes are put in the place of a content that is wanted.",
        Want::Hint(Code::BadContent).sentence() + "; the content is not present",
        |world| async move {
            begin(&world).await?;
            let (file, content) = from_backup(&world, MIB + 5);
            entries(&world, &[&file]).await?;
            let place = format!("/zot/restore/{}", content.hex());
            let other = Content::noise(MIB + 5).bytes;
            refused(&bytes(&world, "PUT", &format!("{place}/0"), other).await?, Code::BadContent)?;
            let found = standing(&bytes(&world, "GET", &place, Vec::new()).await?)?;
            need(!found.1, "it is present")
        },
    )
}

fn not_asked_for() -> Case {
    Case::server(
        "restore.not-asked-for",
        "BACKUP-25",
        "Two files are brought whose bytes a clone has; of one all bytes are put, of the other none. After `end` the clone \
         announces the second as one that can be fetched.",
        "nothing of either is asked of the clone before `end`; after it the second is fetched",
        |world| async move {
            let clone = world.second().await?;
            begin(&world).await?;
            let (first, content) = from_backup(&world, MIB + 7);
            let (second, missing) = from_backup(&world, 2 * MIB + 7);
            clone.serve(&content);
            clone.serve(&missing);
            entries(&world, &[&first, &second]).await?;
            let place = format!("/zot/restore/{}/0", content.hex());
            let done = bytes(&world, "PUT", &place, content.bytes.clone()).await?;
            need(standing(&done)?.1, "it is not present when all its bytes came")?;
            // What the hub wants of this clone it would have asked for before this, or beside it.
            let other = Arc::new(Content::noise(5000));
            let asked = Entry::file(&clone, &name("asked for"), &other);
            world.give(&clone, &asked, &other).await?;
            let roots = [content.root, missing.root];
            need(
                !roots.iter().any(|root| asks_for(&clone, root)),
                "it is asked for while it is brought",
            )?;
            said(&state(&world, &record(&world, "end")).await?)?;
            let mut announced = second.clone();
            announced.data = vec![missing.data("file")];
            world.sync(&clone, vec![announced.operation("put")]).await?;
            world.present(&clone, &announced, &missing).await?;
            need(!asks_for(&clone, &content.root), "what was brought is asked for")
        },
    )
}

/// Whether a clone was asked for a content, in whatever way.
fn asks_for(clone: &Actor, root: &[u8; 32]) -> bool {
    clone.inbox().iter().filter_map(|incoming| incoming.packet.as_ref()).any(|packet| {
        let named = |item: &Value| item.bin("root") == Some(root);
        let kinds = ["chunk-request", "manifest-request", "stream-request"];
        kinds.contains(&packet.kind.as_str())
            && (named(&packet.body) || packet.body.list("items").iter().any(named))
    })
}

fn nothing_wanted() -> Case {
    let want = Code::UnknownResource;
    Case::server(
        "restore.not-wanted",
        "BACKUP-28",
        "Bytes are put for a content that nobody announced.",
        Want::Hint(want).sentence(),
        move |world| async move {
            begin(&world).await?;
            let place = format!("/zot/restore/{}/0", hex::encode(random::<32>()));
            refused(&bytes(&world, "PUT", &place, vec![1, 2, 3]).await?, want)
        },
    )
}

fn unstated() -> Case {
    Case::server(
        "restore.without-statement",
        "BACKUP-26 BACKUP-27",
        "How far a content is, asked without `Authorization`.",
        Want::Hint(Code::BadSignature).sentence(),
        |world| async move {
            begin(&world).await?;
            let place = format!("/zot/restore/{}", hex::encode(random::<32>()));
            refused(&world.me().exchange("GET", &place, &[], Vec::new()).await?, Code::BadSignature)
        },
    )
}

fn twice() -> Case {
    Case::server(
        "restore.entries-twice",
        "BACKUP-22 SYNC-28",
        "The same entries are brought twice.",
        "`stored`, and then `duplicate`",
        |world| async move {
            begin(&world).await?;
            let folder = Entry::folder(world.me(), &name("twice"));
            let status = |json: &Json| {
                json.pointer("/operations/0/status").and_then(Json::as_str).map(str::to_owned)
            };
            let first = status(&entries(&world, &[&folder]).await?);
            let again = status(&entries(&world, &[&folder]).await?);
            let found = (first.as_deref(), again.as_deref());
            need(found == (Some("stored"), Some("duplicate")), format_args!("{found:?}"))
        },
    )
}

/// The replica in the hub's own record.
async fn replica(world: &World) -> Result<Vec<u8>, Miss> {
    let body = world.me().packet("locations", [("records", list(Vec::<Value>::new()))]);
    let reply = world.me().ask(&body).await?;
    let Reply::Packet { body, .. } = reply else { return Err("no packet".into()) };
    for signed in body.list("records") {
        let record = super::locations::holds(world, signed)?;
        if record.text("url") == Some(&world.shared().hub.url) {
            return Ok(record.bin("replica").unwrap_or_default().to_vec());
        }
    }
    Err("the hub does not state its own place".into())
}

fn same_replica() -> Case {
    Case::server(
        "restore.another-writer",
        "ID-20",
        "The hub's replica id, before a restore begins and after.",
        "another one",
        |world| async move {
            let before = replica(&world).await?;
            begin(&world).await?;
            need(replica(&world).await? != before, "it is the same")
        },
    )
}

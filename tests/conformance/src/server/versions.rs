//! Who wins: newer, older and concurrent versions, conflict copies, removals.
//!
//! Spec: SYNC-9, SYNC-24 to SYNC-28, SYNC-33, SYNC-34, SYNC-37, SYNC-38, SYNC-42, SYNC-45.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::clone_sync::{kept, statuses};
use crate::actor::Actor;
use crate::case::{Case, Miss, Outcome, need};
use crate::content::Content;
use crate::entry::{Entry, edit, name, vector_of};
use crate::keys::now;
use crate::wire::{Value, read};
use crate::world::World;

pub(super) fn cases() -> Vec<Case> {
    vec![
        newer(),
        older(),
        concurrent_name(true),
        concurrent_name(false),
        claims_earlier(),
        superseded_content(),
        conflict_copy(),
        removed(),
        removed_stays(),
        put_beats_removal(),
        equal_versions(),
    ]
}

/// A hub that none of us is, as a writer.
const OTHER: [u8; 8] = [0x5a; 8];

async fn told(world: &World, entry: &Entry, op: &str, wanted: &str) -> Outcome {
    let reports = world.sync(world.me(), vec![entry.operation(op)]).await?;
    let found = statuses(&reports);
    need(found == [wanted], format_args!("{found:?} instead of `{wanted}`"))
}

async fn has(world: &World, entry: &Entry) -> Result<(Value, Value), Miss> {
    kept(world, entry).await?.ok_or_else(|| "the entry is not known".into())
}

fn called(entry: &Entry, what: &str, place: Value) -> Entry {
    let mut entry = entry.clone();
    entry.row.set("filename", name(what));
    entry.place = place;
    entry
}

fn newer() -> Case {
    Case::server(
        "versions.newer",
        "SYNC-24 SYNC-27 SYNC-28",
        "A folder is renamed by an edit that has seen the first name.",
        "`stored`; the folder has the new name under the new version",
        |world| async move {
            let first = Entry::folder(world.me(), &name("first"));
            told(&world, &first, "put", "stored").await?;
            let second = called(&first, "second", edit(&first.place, world.me()));
            told(&world, &second, "place", "stored").await?;
            let (attach, row) = has(&world, &second).await?;
            need(row.text("filename") == Some(second.filename()), "it has another name")?;
            need(same(attach.at("place"), &second.place), "it has another version")
        },
    )
}

fn older() -> Case {
    Case::server(
        "versions.older",
        "SYNC-27 SYNC-24 SYNC-28",
        "A folder is announced under its second name, and then under its first.",
        "`stored`, then `duplicate`; the folder keeps the second name",
        |world| async move {
            let first = Entry::folder(world.me(), &name("first"));
            let second = called(&first, "second", edit(&first.place, world.me()));
            told(&world, &second, "put", "stored").await?;
            told(&world, &first, "put", "duplicate").await?;
            let (_, row) = has(&world, &second).await?;
            need(row.text("filename") == Some(second.filename()), "it went back to the first name")
        },
    )
}

/// Two renames that have not seen each other; the later one wins, whichever comes first.
fn concurrent_name(later_first: bool) -> Case {
    let (id, order) = match later_first {
        true => ("versions.concurrent-later-first", "the later one first"),
        false => ("versions.concurrent-later-last", "the later one last"),
    };
    Case::server(
        id,
        "SYNC-25 SYNC-24",
        format!(
            "A folder is renamed at two places that have not seen each other, and the hub hears {order}."
        ),
        "the later name, under the join of both versions",
        move |world| async move {
            let me = world.me();
            let base = Entry::folder(me, &name("base"));
            told(&world, &base, "put", "stored").await?;
            let (own, clock) = ((me.replica(), 1), now() << 16);
            let early = vector_of(&[own, (OTHER, 1)], clock + 10, OTHER);
            let late = vector_of(&[(me.replica(), 2)], clock + 20, me.replica());
            let (early, late) = (called(&base, "early", early), called(&base, "late", late));
            let (first, second) = if later_first { (&late, &early) } else { (&early, &late) };
            told(&world, first, "place", "stored").await?;
            told(&world, second, "place", "stored").await?;
            let (attach, row) = has(&world, &base).await?;
            need(row.text("filename") == Some(late.filename()), "the earlier name won")?;
            let joined = vector_of(&[(me.replica(), 2), (OTHER, 1)], clock + 20, me.replica());
            need(same(attach.at("place"), &joined), "the version is not the join of both")
        },
    )
}

/// Whether two versions are the same, in whatever order their vectors stand.
fn same(found: Option<&Value>, wanted: &Value) -> bool {
    let parts = |version: &Value| {
        let Some(Value::Map(vector)) = version.at("vector") else { return None };
        let mut vector: Vec<_> = vector.iter().map(|(k, v)| (k.bytes(), v.bytes())).collect();
        vector.sort();
        Some((vector, version.uint("hlc")?, version.bin("replica")?.to_vec()))
    };
    found.and_then(parts).is_some_and(|found| Some(found) == parts(wanted))
}

fn claims_earlier() -> Case {
    Case::server(
        "versions.earlier-clock",
        "SYNC-24 SYNC-25",
        "An edit that has seen everything, but says that it was made earlier than what it replaces.",
        "it counts as concurrent and loses: the folder keeps its name, under the join of both",
        |world| async move {
            let me = world.me();
            let base = Entry::folder(me, &name("base"));
            told(&world, &base, "put", "stored").await?;
            let clock = base.place.uint("hlc").unwrap_or(0);
            let forged = vector_of(&[(me.replica(), 1), (OTHER, 1)], clock - 1_000, OTHER);
            told(&world, &called(&base, "forged", forged), "place", "stored").await?;
            let (attach, row) = has(&world, &base).await?;
            need(row.text("filename") == Some(base.filename()), "the earlier one won")?;
            let joined = vector_of(&[(me.replica(), 1), (OTHER, 1)], clock, me.replica());
            need(same(attach.at("place"), &joined), "the version is not the join of both")
        },
    )
}

/// A small content on our shelf.
fn content(me: &Actor) -> Arc<Content> {
    let content = Arc::new(Content::noise(1_000));
    me.serve(&content);
    content
}

fn superseded_content() -> Case {
    Case::server(
        "versions.superseded",
        "SYNC-9 SYNC-27",
        "New content of a file is announced, and then the content that it replaced.",
        "`stored`, then `superseded`",
        |world| async move {
            let (old, new) = (content(world.me()), content(world.me()));
            let first = Entry::file(world.me(), &name("content"), &old);
            let second = first.replaced(world.me(), &new);
            told(&world, &second, "put", "stored").await?;
            told(&world, &first, "put", "superseded").await?;
            let (attach, row) = has(&world, &first).await?;
            need(row.uint("filesize") == Some(new.size()), "it has another size")?;
            need(
                same(attach.at("content"), second.content.as_ref().unwrap_or(&Value::Nil)),
                "another version",
            )
        },
    )
}

fn conflict_copy() -> Case {
    Case::server(
        "versions.conflict-copy",
        "SYNC-37 SYNC-38 SYNC-45 SYNC-25 SYNC-9",
        "Two contents of one file that have not seen each other; the one that loses comes second.",
        "`superseded`; the hub announces a `put` of the other content under the id and name that the rule gives",
        |world| async move {
            let me = world.me();
            let (winner, loser) = (content(me), content(me));
            let base = Entry::file(me, "conformance conflict.txt", &winner);
            told(&world, &base, "put", "stored").await?;
            let clock = base.content.as_ref().and_then(|version| version.uint("hlc")).unwrap_or(0);
            let lost = vector_of(&[(OTHER, 1)], clock - 1_000, OTHER);
            let mut other = base.clone();
            other.content = Some(lost.clone());
            other.data = vec![loser.data("file")];
            told(&world, &other, "put", "superseded").await?;
            let id = copy_id(base.hash(), &lost);
            let announced = me.came("the hub announces the conflict copy", |incoming| {
                let packet =
                    incoming.packet.as_ref().filter(|p| p.kind == "clone-sync" && p.holds)?;
                packet.body.list("operations").iter().find_map(|operation| {
                    let attach = operation.list("attach").last()?;
                    let row = read(attach.bin("row")?).ok()?;
                    (row.text("hash")? == id).then(|| (operation.clone(), attach.clone(), row))
                })
            });
            let (operation, attach, row) = announced.await?;
            need(operation.text("op") == Some("put"), "it is no `put`")?;
            need(operation.bin("data.0.root") == Some(&loser.root), "it has another root")?;
            for register in ["place", "meta", "content"] {
                need(
                    same(attach.at(register), &lost),
                    format_args!("`{register}` has another version"),
                )?;
            }
            let found = row.text("filename").unwrap_or_default();
            let (begin, end) =
                ("conformance conflict.conflict-", format!("-{}.txt", hex::encode(OTHER)));
            let date = found.strip_prefix(begin).and_then(|rest| rest.strip_suffix(&end));
            let good = date.is_some_and(|date| date.len() == 15 && date.as_bytes()[8] == b'-');
            need(good, format_args!("it is called {found:?}"))
        },
    )
}

/// The id of a conflict copy (SYNC-37).
fn copy_id(entry: &str, version: &Value) -> String {
    let text = [b"zot-file-conflict\n", entry.as_bytes(), b"\n", &version.bytes()].concat();
    let hash = hex::encode(&Sha256::digest(text)[..16]);
    let parts = [&hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..]];
    parts.join("-")
}

/// Whether an entry is removed as the hub tells of it: its `removed` has seen its content.
async fn lives(world: &World, entry: &Entry) -> Result<bool, Miss> {
    let found =
        super::clone_sync::entries(world, vec![crate::leaves::key_of("attach", entry.hash())])
            .await?;
    let operation = found.first().ok_or("the entry is not known any more")?;
    Ok(!operation.list("data").is_empty())
}

fn removed() -> Case {
    Case::server(
        "versions.removed",
        "SYNC-33 SYNC-34",
        "A file that the hub has fetched is removed by who has seen it.",
        "`stored`; the hub tells of the entry without `data` from then on",
        |world| async move {
            let me = world.me();
            let (content, entry) = {
                let content = content(me);
                (Arc::clone(&content), Entry::file(me, &name("removed"), &content))
            };
            world.give(me, &entry, &content).await?;
            told(&world, &entry.gone(me), "remove", "stored").await?;
            need(!lives(&world, &entry).await?, "it is told with its data")
        },
    )
}

fn removed_stays() -> Case {
    Case::server(
        "versions.removed-stays",
        "SYNC-34 SYNC-27",
        "A file is announced, removed, announced again as it was, and removed again.",
        "`stored`, `stored`, then `duplicate` twice; it stays removed",
        |world| async move {
            let me = world.me();
            let entry = Entry::file(me, &name("late"), &content(me));
            told(&world, &entry, "put", "stored").await?;
            let gone = entry.gone(me);
            told(&world, &gone, "remove", "stored").await?;
            told(&world, &entry, "put", "duplicate").await?;
            told(&world, &gone, "remove", "duplicate").await?;
            need(!lives(&world, &entry).await?, "something late brought it back")
        },
    )
}

fn put_beats_removal() -> Case {
    Case::server(
        "versions.put-beats-removal",
        "SYNC-34 SYNC-25",
        "A file is removed by somebody who has not seen its newest content, which comes afterwards.",
        "`stored`; the file lives, with the content that was not seen",
        |world| async move {
            let me = world.me();
            let (old, new) = (content(me), content(me));
            let entry = Entry::file(me, &name("lives"), &old);
            told(&world, &entry, "put", "stored").await?;
            let mut gone = entry.clone();
            let seen = entry.content.as_ref().and_then(|version| version.uint("hlc")).unwrap_or(0);
            gone.removed = Some(vector_of(&[(me.replica(), 1), (OTHER, 1)], seen + 5, OTHER));
            gone.data.clear();
            told(&world, &gone, "remove", "stored").await?;
            need(!lives(&world, &entry).await?, "it was not removed")?;
            told(&world, &entry.replaced(me, &new), "put", "stored").await?;
            need(lives(&world, &entry).await?, "what the remover had not seen is gone")
        },
    )
}

fn equal_versions() -> Case {
    Case::server(
        "versions.equal",
        "SYNC-42",
        "Two names of a folder under one version, the smaller one first, and then the smaller one again.",
        "the folder has the larger name",
        |world| async move {
            let small = Entry::folder(world.me(), &name("a"));
            let mut large = small.clone();
            large.row.set("filename", format!("{}z", small.filename()));
            for entry in [&small, &large, &small] {
                world.sync(world.me(), vec![entry.operation("put")]).await?;
            }
            let (_, row) = has(&world, &small).await?;
            need(
                row.text("filename") == Some(large.filename()),
                format_args!("{:?}", row.text("filename")),
            )
        },
    )
}

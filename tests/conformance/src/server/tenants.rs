//! Two channels on one hub: what one of them has is nothing to the other.
//!
//! Not here: what becomes of a channel whose key changes (`rotation`), which uses the second channel up.
//! Spec: FETCH-28, FETCH-30, FETCH-58, SYNC-1, SYNC-12.

use std::sync::Arc;

use zotferry_protocol::refusal::Code;

use super::chunks::{self, Frame, bring, fetched};
use super::rotation::spare;
use super::{manifest, streaming};
use crate::actor::Actor;
use crate::case::{Case, Miss, Outcome, Want, need};
use crate::content::Content;
use crate::entry::{Entry, name};
use crate::keys::random;
use crate::leaves::key_of;
use crate::wire::{Reply, Value, list, map};
use crate::world::{Book, World};

const NOT_A_CLONE: Want = Want::Signed(Code::NotAClone);

pub(super) fn cases() -> Vec<Case> {
    vec![root_of_another(), chunks_of_another(), clone_of_one_only(), same_id(), quota()]
}

fn root_of_another() -> Case {
    let (here, unknown) = (Want::Signed(Code::NotHere), Want::Signed(Code::UnknownResource));
    Case::server(
        "tenants.root-of-another",
        "FETCH-58 FETCH-28 FETCH-30",
        "A file of the test channel whose bytes the hub has; the second channel announces one of the same root and size, and gives \
         nothing. As a clone of the second channel we ask for the digests and a stream of either.",
        format!(
            "of the one that was announced there: no page, 43 not-here, and {}; of the first channel's: no page, 40 \
             unknown-resource, and {}",
            here.sentence(),
            unknown.sentence()
        ),
        |world| async move {
            let book = world.library().await?.several.clone();
            let other = spare(&world).await?;
            let outcome = claimed(&other, &book).await;
            other.close().await.ok();
            outcome
        },
    )
}

/// Claims a content of another channel in this one, and asks for both without chunks.
async fn claimed(world: &World, book: &Book) -> Outcome {
    let me = world.me();
    let own = claim(world, book).await?;
    for (book, code) in [(&own, Code::NotHere), (book, Code::UnknownResource)] {
        let item = book.item().with("first", 0u64).with("count", 1u64);
        let body = manifest::ask(world, vec![item]).await?;
        let (pages, refused) = (body.list("pages").len(), manifest::refused(&body));
        let wanted = [(Some(0), Some(u64::from(code.number())))];
        need(pages == 0 && refused == wanted, format_args!("{pages} pages, refused {refused:?}"))?;
        let ask = streaming::right(world, &book.item());
        let answer = streaming::get(world, &book.path(), &ask, &[]).await?;
        Want::Signed(code).check(&me.judge(&answer, &ask)?)?;
    }
    Ok(())
}

/// Announces a file of a content that nobody gives in this channel.
async fn claim(world: &World, book: &Book) -> Result<Book, Miss> {
    let entry = Entry::file(world.me(), &name("of another channel"), &book.content);
    let reports = world.sync(world.me(), vec![entry.operation("put")]).await?;
    let status = reports[0].text("status").unwrap_or_default();
    need(status == "stored", format_args!("its announcement is {status}"))?;
    Ok(Book { entry, content: book.content.clone() })
}

fn chunks_of_another() -> Case {
    Case::server(
        "tenants.chunks-of-another",
        "FETCH-58 FETCH-28 FETCH-30",
        "The same two files: as a clone of the second channel we ask for the first chunk of either.",
        "no byte: 43 not-here for the one that was announced there, 40 unknown-resource for the first channel's, and `done`",
        |world| async move {
            let book = world.library().await?.several.clone();
            let other = spare(&world).await?;
            let asked = async {
                let own = claim(&other, &book).await?;
                fetched(&other, vec![own.chunks(0, 1), book.chunks(0, 1)], &[]).await
            };
            let found = asked.await;
            other.close().await.ok();
            let found = found?;
            let wanted =
                [Frame::Refused(0, 43), Frame::Refused(1, 40), Frame::End("done".to_owned())];
            let bytes: usize = chunks::chunks_of(&found)?.iter().map(|chunk| chunk.2.len()).sum();
            need(bytes == 0, format_args!("{bytes} bytes of another channel's file"))?;
            need(found == wanted, format_args!("{found:?}"))
        },
    )
}

fn clone_of_one_only() -> Case {
    Case::server(
        "tenants.clone-of-one-only",
        "SYNC-1",
        "A file of the second channel. A hub that is a clone of the test channel only says packets of every kind in the second \
         channel's name: for a chunk, digests, an entry, a comparison, a stream, and the removal of the file.",
        format!(
            "each is {}; the second channel's clone gets the file as before",
            NOT_A_CLONE.sentence()
        ),
        |world| async move {
            let other = spare(&world).await?;
            let outcome = in_its_name(&world, &other).await;
            other.close().await.ok();
            outcome
        },
    )
}

/// A clone of the one channel asks in the name of the other.
async fn in_its_name(world: &World, other: &World) -> Outcome {
    let book = given(other, Entry::file, 1000).await?;
    let me = world.me();
    let channel = &other.shared().channel;
    let named = |body: Value| {
        body.with("from.channel", channel.as_str()).with("to.channel", channel.as_str())
    };
    let comparison =
        map([("prefix", vec![].into()), ("digest", random::<32>().into()), ("list", true.into())]);
    for (kind, field, asked) in [
        ("chunk-request", "items", book.chunks(0, 1)),
        ("manifest-request", "items", book.item().with("first", 0u64).with("count", 1u64)),
        ("entry-request", "keys", key_of("attach", book.entry.hash()).into()),
        ("audit-request", "ranges", comparison),
        ("clone-sync", "operations", book.entry.gone(me).operation("remove")),
    ] {
        let body = named(me.packet(kind, [(field, list([asked]))]));
        refused(kind, &me.ask(&body).await?)?;
    }
    if world.shared().hub.streams {
        let right = named(streaming::right(world, &book.item()));
        let answer = streaming::get(world, &book.path(), &right, &[]).await?;
        refused("stream-request", &me.judge(&answer, &right)?)?;
    }
    serves(other, &book).await
}

fn refused(kind: &str, reply: &Reply) -> Outcome {
    NOT_A_CLONE.check(reply).map_err(|miss| match miss {
        Miss::Failed(why) => Miss::Failed(format!("{kind}: {why}")),
        skipped @ Miss::Skipped(_) => skipped,
    })
}

/// A new file of this channel whose bytes the hub has.
async fn given(
    world: &World,
    make: impl FnOnce(&Actor, &str, &Content) -> Entry,
    len: usize,
) -> Result<Book, Miss> {
    let content = Arc::new(Content::noise(len));
    let entry = make(world.me(), &name("of one of two channels"), &content);
    world.give(world.me(), &entry, &content).await?;
    Ok(Book { entry, content })
}

/// A clone of the file's channel gets its bytes.
async fn serves(world: &World, book: &Book) -> Outcome {
    let frames = fetched(world, vec![book.chunks(0, 1)], &[]).await?;
    bring(&frames, &[(0, book, 0)], "done")
}

fn same_id() -> Case {
    Case::server(
        "tenants.same-id",
        "FETCH-28 SYNC-1",
        "Either channel has a file of the same resource id, with other bytes; the second channel removes its own.",
        "each is given its own bytes; the first one also after the removal",
        |world| async move {
            let other = spare(&world).await?;
            let outcome = of_one_id(&world, &other).await;
            other.close().await.ok();
            outcome
        },
    )
}

async fn of_one_id(world: &World, other: &World) -> Outcome {
    let ours = given(world, Entry::file, 1000).await?;
    let of_ours = |actor: &Actor, name: &str, content: &Content| {
        let mut entry = Entry::file(actor, name, content);
        entry.row.set("hash", ours.entry.hash());
        entry
    };
    let theirs = given(other, of_ours, 2000).await?;
    serves(world, &ours).await?;
    serves(other, &theirs).await?;
    let gone = theirs.entry.gone(other.me()).operation("remove");
    let reports = other.sync(other.me(), vec![gone]).await?;
    let status = reports[0].text("status").unwrap_or_default();
    need(status == "stored", format_args!("the removal is {status}"))?;
    serves(world, &ours).await
}

fn quota() -> Case {
    Case::server(
        "tenants.quota",
        "SYNC-12 SYNC-15",
        "The second channel, whose quota is known, is told of a file that is larger by a byte, and of an empty one; then of two \
         that are a byte more than half of it each, and of an empty one. Nobody has the bytes.",
        "the larger one and the second half are `refused` with 32 quota-exceeded, the others are `stored`",
        |world| async move {
            let Some(quota) = world.shared().target.spare_quota else {
                return Err(Miss::Skipped("needs --spare-quota, the second channel's".into()));
            };
            let other = spare(&world).await?;
            let outcome = filled(&other, quota).await;
            other.close().await.ok();
            outcome
        },
    )
}

async fn filled(world: &World, quota: u64) -> Outcome {
    let me = world.me();
    let of = |size: u64| {
        let mut entry = Entry::file(me, &name("for a quota"), &Content::noise(1));
        entry.row.set("filesize", size);
        entry.data[0].set("size", size).set("root", random::<32>());
        entry.operation("put")
    };
    let empty =
        || Entry::file(me, &name("beside a quota"), &Content::of(Vec::new())).operation("put");
    let (half, over) = (quota / 2 + 1, ("refused", Some(32)));
    for (told, wanted) in [
        (vec![of(quota + 1), empty()], vec![over, ("stored", None)]),
        (vec![of(half), of(half), empty()], vec![("stored", None), over, ("stored", None)]),
    ] {
        let reports = world.sync(me, told).await?;
        let found: Vec<_> = reports
            .iter()
            .map(|report| (report.text("status").unwrap_or_default(), report.uint("code")))
            .collect();
        need(found == wanted, format_args!("{found:?} instead of {wanted:?}"))?;
    }
    Ok(())
}

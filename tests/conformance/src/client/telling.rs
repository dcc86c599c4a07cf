//! What the hub under test tells on its own: reports, conflict copies, and what it asks of a catalog that differs.

use sha2::{Digest, Sha256};

use super::tools::{Turn, chunks, file, noise, of_kind};
use crate::actor::{Actor, Incoming, Packet};
use crate::case::{Case, Outcome, need};
use crate::content::MIB;
use crate::desk;
use crate::entry::{name, vector_of};
use crate::http::Response;
use crate::keys::now;
use crate::wire::{Value, read};

pub(super) fn cases() -> Vec<Case> {
    vec![
        signed_and_fresh(),
        report_to_all(),
        report_again(),
        report_not_before(),
        empty(),
        copy(),
        copy_again(),
    ]
}

fn signed_and_fresh() -> Case {
    Case::client(
        "telling.signed-and-fresh",
        "SIGN-1 SIGN-2 SIGN-6 PKT-10 PKT-20 PKT-26",
        "A file of three chunks is announced and served honestly.",
        "every packet of the hub is signed by its site key, addressed to the clone, dated now for at most 10 minutes, of the \
         right content type, and a UUIDv7 is its id",
        |world| async move {
            let (origin, entry, content) = file(&world, "looked at", 3 * MIB).await?;
            world.give(&origin, &entry, &content).await?;
            for incoming in origin.inbox() {
                let Some(packet) = &incoming.packet else { continue };
                good(&incoming, packet)?;
            }
            Ok(())
        },
    )
}

fn good(incoming: &Incoming, packet: &Packet) -> Outcome {
    let kind = &packet.kind;
    need(packet.holds, format_args!("a {kind} is not signed by the hub for this clone"))?;
    let (at, expires) =
        (packet.body.uint("at").unwrap_or(0), packet.body.uint("expires").unwrap_or(0));
    need(at.abs_diff(now()) < 300_000, format_args!("a {kind} is dated {at}"))?;
    need(
        at <= expires && expires - at <= 600_000,
        format_args!("a {kind} lives from {at} to {expires}"),
    )?;
    let id = packet.body.bin("id").unwrap_or_default();
    let v7 = id.len() == 16 && id[6] >> 4 == 7 && id[8] >> 6 == 2;
    need(v7, format_args!("the id of a {kind} is {}", hex::encode(id)))?;
    if incoming.request.method == "POST" {
        let found = incoming.request.header("content-type");
        need(found == "application/x-zot+msgpack", format_args!("a {kind} has the type {found}"))?;
    }
    Ok(())
}

fn reports(incoming: &Incoming, root: &[u8; 32]) -> bool {
    let packet = of_kind(incoming, "sync-report");
    packet.is_some_and(|p| p.body.list("present").iter().any(|one| one.bin("root") == Some(root)))
}

fn report_to_all() -> Case {
    Case::client(
        "telling.present-to-all",
        "SYNC-31 SYNC-10",
        "A clone announces a file; another one is listed as well.",
        "both are told that it is present, by packets with at most 4096 contents",
        |world| async move {
            let (origin, entry, content) = file(&world, "for all", 12_000).await?;
            world.give(&origin, &entry, &content).await?;
            world.present(world.me(), &entry, &content).await
        },
    )
}

fn report_again() -> Case {
    Case::client(
        "telling.present-again",
        "SYNC-31 QUEUE-1",
        "The first two reports of a content are answered with 503 and nothing that is signed.",
        "the report is sent again, under another id or the same bytes, until it is answered",
        |world| async move {
            let (origin, entry, content) = file(&world, "told again", 12_000).await?;
            let (turn, root) = (Turn::default(), content.root);
            let counted = turn.clone();
            origin.hook(move |_, incoming| {
                let about = reports(incoming, &root) && counted.next() < 2;
                about.then(|| Response::new(503, "text/html", "<h1>busy</h1>"))
            });
            world.give(&origin, &entry, &content).await?;
            let mut patience = world.patience("the report comes a third time");
            while turn.count() < 3 {
                patience.next().await?;
            }
            Ok(())
        },
    )
}

fn report_not_before() -> Case {
    Case::client(
        "telling.not-before-it-is-there",
        "SYNC-10 FETCH-3",
        "The last chunk of three is held back until the hub has asked for it.",
        "no report comes before the last byte was given",
        |world| async move {
            let (origin, entry, content) = file(&world, "not before", 3 * MIB).await?;
            let (given, early) = (Turn::default(), Turn::default());
            let (last, before, root) = (given.clone(), early.clone(), content.root);
            origin.hook(move |origin, incoming| {
                if reports(incoming, &root) && last.count() == 0 {
                    before.next();
                }
                if let Some(response) = super::tools::no_streams(incoming) {
                    return Some(response);
                }
                let packet = chunks(incoming)?;
                if desk::wanted(origin, packet).iter().any(|wanted| wanted.chunk == 2) {
                    last.next();
                }
                None
            });
            world.give(&origin, &entry, &content).await?;
            need(early.count() == 0, "a content was reported that was not whole")
        },
    )
}

fn empty() -> Case {
    Case::client(
        "telling.empty-file",
        "FILE-10 FILE-2 SYNC-31",
        "An empty file is announced.",
        "it is reported as present, and nothing is asked for",
        |world| async move {
            let (origin, entry, content) = file(&world, "empty", 0).await?;
            world.give(&origin, &entry, &content).await?;
            let asked = origin.inbox().iter().filter(|incoming| chunks(incoming).is_some()).count();
            need(asked == 0, "chunks of an empty file are asked for")
        },
    )
}

/// Two clones write at the same time; the hub has both contents.
fn copy() -> Case {
    Case::client(
        "telling.conflict-copy",
        "SYNC-45 SYNC-37 SYNC-38",
        "Two clones announce other bytes for one file, neither having seen the other's.",
        "the hub announces the copy of the loser as a `put`, under the id and the name that everybody derives",
        |world| async move {
            let (origin, entry, content) = file(&world, "two writers.txt", 5_000).await?;
            world.give(&origin, &entry, &content).await?;
            let other = world.second().await?;
            let (_, bytes) = noise(&other, "the other bytes", 5_000);
            let loser = entry.content.clone().ok_or("a file has a version")?;
            let clock = loser.uint("hlc").unwrap_or(0) + (1 << 16);
            let mut second = entry.clone();
            second.content = Some(vector_of(&[(other.replica(), 1)], clock, other.replica()));
            second.data = vec![bytes.data("file")];
            world.give(&other, &second, &bytes).await?;
            let found = copied(&other, entry.filename()).await?;
            let wanted = copy_id(entry.hash(), &loser);
            need(found.hash == wanted, format_args!("the copy is {}, not {wanted}", found.hash))?;
            let replica = hex::encode(origin.replica());
            let marked = found.name.ends_with(&format!("-{replica}.txt"));
            need(marked, format_args!("the copy is called {}", found.name))
        },
    )
}

/// SYNC-37: the id of a copy, written down as the text says.
fn copy_id(entry: &str, loser: &Value) -> String {
    let text = [b"zot-file-conflict\n", entry.as_bytes(), b"\n", &loser.bytes()].concat();
    let digits = hex::encode(&Sha256::digest(text)[..16]);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// A conflict copy that the hub has announced.
struct Copy {
    hash: String,
    name: String,
    operation: Vec<u8>,
    packet: Vec<u8>,
}

fn copy_in(incoming: &Incoming, stem: &str) -> Option<Copy> {
    let packet = of_kind(incoming, "clone-sync")?;
    packet.body.list("operations").iter().find_map(|operation| {
        let row = read(operation.list("attach").last()?.bin("row")?).ok()?;
        let name = row.text("filename")?.to_owned();
        let is =
            name.starts_with(&format!("{stem}.conflict-")) && operation.text("op") == Some("put");
        is.then_some(Copy {
            hash: row.text("hash")?.to_owned(),
            name,
            operation: operation.bin("id")?.to_vec(),
            packet: packet.body.bin("id")?.to_vec(),
        })
    })
}

async fn copied(other: &Actor, name: &str) -> Result<Copy, String> {
    let stem = stem(name).to_owned();
    other.came("the conflict copy is announced", |incoming| copy_in(incoming, &stem)).await
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The announcement of a copy is not answered at first.
fn copy_again() -> Case {
    Case::client(
        "telling.operation-again",
        "SYNC-30 SYNC-3 PKT-21 PKT-20",
        "A conflict copy is announced to a clone that answers the first two times with 503 and nothing signed.",
        "it is announced again until it is answered: the same operation id, in another packet or the same bytes",
        |world| async move {
            let origin = world.second().await?;
            let (mut entry, content) = noise(&origin, "told again.txt", 5_000);
            entry.row.set("filename", name("told again.txt"));
            world.give(&origin, &entry, &content).await?;
            let other = world.second().await?;
            let (turn, wanted) = (Turn::default(), stem(entry.filename()).to_owned());
            let (counted, sought) = (turn.clone(), wanted.clone());
            other.hook(move |_, incoming| {
                copy_in(incoming, &sought)?;
                (counted.next() < 2).then(|| Response::new(503, "text/html", "<h1>busy</h1>"))
            });
            let (_, bytes) = noise(&other, "the other bytes", 5_000);
            let clock = entry.content.as_ref().and_then(|v| v.uint("hlc")).unwrap_or(0) + (1 << 16);
            let mut second = entry.clone();
            second.content = Some(vector_of(&[(other.replica(), 1)], clock, other.replica()));
            second.data = vec![bytes.data("file")];
            world.give(&other, &second, &bytes).await?;
            let mut patience = world.patience("the copy is announced a third time");
            while turn.count() < 3 {
                patience.next().await?;
            }
            let told: Vec<Copy> =
                other.inbox().iter().filter_map(|i| copy_in(i, &wanted)).collect();
            let same = told.iter().all(|copy| copy.operation == told[0].operation);
            need(same, "the operation has another id when it is announced again")?;
            need(told.iter().all(|copy| !copy.packet.is_empty()), "a packet has no id")
        },
    )
}

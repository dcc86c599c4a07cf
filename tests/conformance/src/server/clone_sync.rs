//! `clone-sync`: what is taken, what is said of it, and what is kept.
//!
//! Spec: SYNC-3, SYNC-6 to SYNC-8, SYNC-15 to SYNC-19, SYNC-21, SYNC-28, PKT-7, PKT-8, PKT-12.

use zotferry_protocol::refusal::Code;

use super::BAD_FIELD;
use crate::actor::Actor;
use crate::case::{Case, Miss, Want, need};
use crate::content::Content;
use crate::entry::{Entry, name, vector_of};
use crate::leaves::key_of;
use crate::target::shown;
use crate::wire::{Reply, Value, list, map, read};
use crate::world::World;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        kinds(),
        looks_dangerous(),
        report_order(),
        parents(),
        unknown_fields(),
        kept_fields(),
        local_fields(),
        file_and_folder(),
        largest(),
        durable(),
    ];
    cases.extend(spoilt());
    cases
}

/// The hub's operations for some keys; none if it knows nothing of them.
pub(super) async fn entries(world: &World, keys: Vec<Vec<u8>>) -> Result<Vec<Value>, Miss> {
    entries_for(world.me(), keys).await
}

/// The same for another clone.
pub(super) async fn entries_for(actor: &Actor, keys: Vec<Vec<u8>>) -> Result<Vec<Value>, Miss> {
    let body = actor.packet("entry-request", [("keys", list(keys))]);
    match actor.ask(&body).await? {
        Reply::Refusal { code: 40, .. } => Ok(Vec::new()),
        reply => {
            Want::Packet("clone-sync").check(&reply)?;
            let Reply::Packet { body, .. } = reply else { return Err("no packet".into()) };
            Ok(body.list("operations").to_vec())
        }
    }
}

/// An entry as the hub has it: the element of `attach`, and its row.
pub(super) async fn kept(world: &World, entry: &Entry) -> Result<Option<(Value, Value)>, Miss> {
    let found = entries(world, vec![key_of("attach", entry.hash())]).await?;
    let Some(attach) = found.first().and_then(|operation| operation.list("attach").last()) else {
        return Ok(None);
    };
    let row = read(attach.bin("row").ok_or("SYNC-5: no row")?)?;
    need(row.text("hash") == Some(entry.hash()), "another entry")?;
    Ok(Some((attach.clone(), row)))
}

/// The statuses of some reports.
pub(super) fn statuses(reports: &[Value]) -> Vec<&str> {
    reports.iter().map(|report| report.text("status").unwrap_or_default()).collect()
}

fn kinds() -> Case {
    Case::server(
        "clone-sync.kinds",
        "SYNC-14 SYNC-28 FILE-14 SYNC-8",
        "An empty file, one of 1 chunk, of 2, of 33, and a folder; then all again in a new packet.",
        "`stored` for each, and the second time `duplicate` for each",
        |world| async move {
            let me = world.me();
            let of = |len| Entry::file(me, &name("kind"), &Content::noise(len));
            // Nobody serves it, so that it need not be made: a size and any root.
            let mut large = of(1);
            large.row.set("filesize", 33u64 << 20);
            large.data[0].set("size", 33u64 << 20);
            let entries =
                [of(0), of(1), of((1 << 20) + 1), large, Entry::folder(me, &name("kind"))];
            let operations: Vec<Value> = entries.iter().map(|e| e.operation("put")).collect();
            let reports = world.sync(me, operations.clone()).await?;
            let found = statuses(&reports);
            need(found.iter().all(|status| *status == "stored"), format_args!("{found:?}"))?;
            let reports = world.sync(me, operations).await?;
            let found = statuses(&reports);
            need(
                found.iter().all(|status| *status == "duplicate"),
                format_args!("again: {found:?}"),
            )
        },
    )
}

fn looks_dangerous() -> Case {
    Case::server(
        "clone-sync.names",
        "SYNC-6 SYNC-15",
        "Files whose names only look dangerous: a line feed, a dash, `CON`, three dots, a character that turns text, 255 bytes.",
        "`stored` for each, and each name comes back as it was sent",
        |world| async move {
            let names = [
                "conformance \n",
                "-rf",
                "CON",
                "...",
                "conformance \u{202e}gpj.exe",
                &"ü".repeat(127),
            ];
            let named = |name: &&str| Entry::file(world.me(), name, &Content::of(Vec::new()));
            let entries: Vec<Entry> = names.iter().map(named).collect();
            let operations = entries.iter().map(|entry| entry.operation("put")).collect();
            let reports = world.sync(world.me(), operations).await?;
            let found = statuses(&reports);
            need(found.iter().all(|status| *status == "stored"), format_args!("{found:?}"))?;
            for (entry, name) in entries.iter().zip(names) {
                let (_, row) = kept(&world, entry).await?.ok_or("an entry is not known")?;
                need(
                    row.text("filename") == Some(name),
                    format_args!("{name:?} came back as another"),
                )?;
            }
            let gone = entries.iter().map(|entry| entry.gone(world.me()).operation("remove"));
            world.sync(world.me(), gone.collect()).await.map(drop)
        },
    )
}

fn report_order() -> Case {
    Case::server(
        "clone-sync.report-order",
        "SYNC-8 SYNC-3 PKT-21",
        "256 operations in one packet.",
        "a report of 256 elements with the ids of the operations in their order, each `stored`",
        |world| async move {
            let folder = || Entry::folder(world.me(), &name("many")).operation("put");
            let operations: Vec<Value> = (0..256).map(|_| folder()).collect();
            let reports = world.sync(world.me(), operations.clone()).await?;
            for (report, operation) in reports.iter().zip(&operations) {
                need(report.bin("id") == operation.bin("id"), "the ids are in another order")?;
                need(report.text("status") == Some("stored"), "one is not stored")?;
            }
            Ok(())
        },
    )
}

fn parents() -> Case {
    Case::server(
        "clone-sync.parents",
        "SYNC-5 AUDIT-10",
        "A file three folders deep, its folders never announced by themselves.",
        "`stored`; the hub then knows the folders too, and tells of the file with its folders before it, from the top down",
        |world| async move {
            let me = world.me();
            let top = Entry::folder(me, &name("top"));
            let middle = Entry::folder(me, &name("middle")).inside(&top);
            let file = Entry::file(me, &name("deep"), &Content::of(Vec::new())).inside(&middle);
            let reports = world.sync(me, vec![file.operation("put")]).await?;
            need(statuses(&reports) == ["stored"], format_args!("{:?}", statuses(&reports)))?;
            need(kept(&world, &middle).await?.is_some(), "a folder above is not known")?;
            let told = entries(&world, vec![key_of("attach", file.hash())]).await?;
            let rows = told.first().map_or(&[][..], |operation| operation.list("attach"));
            let hash =
                |attach: &Value| Some(read(attach.bin("row")?).ok()?.text("hash")?.to_owned());
            let hashes: Vec<String> = rows.iter().filter_map(hash).collect();
            need(
                hashes == [top.hash(), middle.hash(), file.hash()],
                format_args!("the rows are {hashes:?}"),
            )
        },
    )
}

fn unknown_fields() -> Case {
    Case::server(
        "clone-sync.unknown-fields",
        "PKT-8",
        "An operation with unknown fields in it, in its `attach` and its `data`.",
        "`stored`",
        |world| async move {
            let mut operation =
                Entry::file(world.me(), &name("more"), &Content::of(Vec::new())).operation("put");
            operation.add("more", 1u64).add("attach.0.more", Value::Nil).add("data.0.more", "x");
            let reports = world.sync(world.me(), vec![operation]).await?;
            need(statuses(&reports) == ["stored"], format_args!("{:?}", statuses(&reports)))
        },
    )
}

fn kept_fields() -> Case {
    Case::server(
        "clone-sync.row-fields-are-kept",
        "SYNC-7",
        "A row with a list of tags and a nested field that nobody knows, with integers in longer forms.",
        "both come back byte by byte when the entry is asked for",
        |world| async move {
            let mut entry = Entry::folder(world.me(), &name("tags"));
            let odd = Value::Raw(vec![0x82, 0xa1, b'b', 0xcd, 0, 7, 0xa1, b'a', 0x91, 0xc0]);
            let tags = list([map([("term", "holiday".into()), ("ttype", 1u64.into())])]);
            entry.row.set("term", tags.clone()).set("x-of-tomorrow", odd.clone());
            let reports = world.sync(world.me(), vec![entry.operation("put")]).await?;
            need(statuses(&reports) == ["stored"], format_args!("{:?}", statuses(&reports)))?;
            let (attach, _) = kept(&world, &entry).await?.ok_or("the entry is not known")?;
            let row = attach.bin("row").unwrap_or_default();
            for field in [("term", tags), ("x-of-tomorrow", odd)] {
                let bytes = [Value::from(field.0).bytes(), field.1.bytes()].concat();
                let found = row.windows(bytes.len()).any(|window| window == bytes);
                need(found, format_args!("`{}` did not come back as it went", field.0))?;
            }
            Ok(())
        },
    )
}

fn local_fields() -> Case {
    Case::server(
        "clone-sync.local-fields-are-dropped",
        "SYNC-19",
        "A row with `aid`, `uid`, `content`, `os_path` and `os_storage`, which mean something on one hub only.",
        "`stored`; none of them comes back",
        |world| async move {
            let mut entry = Entry::folder(world.me(), &name("local"));
            let local = ["aid", "uid", "content", "os_path", "os_storage"];
            local.iter().for_each(|name| {
                entry.row.set(name, 1u64);
            });
            let reports = world.sync(world.me(), vec![entry.operation("put")]).await?;
            need(statuses(&reports) == ["stored"], format_args!("{:?}", statuses(&reports)))?;
            let (_, row) = kept(&world, &entry).await?.ok_or("the entry is not known")?;
            let found = local.iter().find(|name| row.at(name).is_some());
            need(found.is_none(), format_args!("{found:?} came back"))
        },
    )
}

fn file_and_folder() -> Case {
    Case::server(
        "clone-sync.file-becomes-folder",
        "SYNC-17 SYNC-15",
        "An operation that makes a folder of a file, and one that makes a file of a folder.",
        format!("both are `refused` with {}", shown(Code::BadField)),
        |world| async move {
            let me = world.me();
            let file = Entry::file(me, &name("kind"), &Content::of(Vec::new()));
            let folder = Entry::folder(me, &name("kind"));
            world.sync(me, vec![file.operation("put"), folder.operation("put")]).await?;
            let mut one = Entry::folder(me, &name("kind"));
            one.row.set("hash", file.hash());
            let mut other = Entry::file(me, &name("kind"), &Content::of(Vec::new()));
            other.row.set("hash", folder.hash());
            let reports =
                world.sync(me, vec![one.operation("put"), other.operation("put")]).await?;
            let codes: Vec<_> = reports.iter().map(|report| report.uint("code")).collect();
            need(codes == [Some(14), Some(14)], format_args!("{:?} {codes:?}", statuses(&reports)))
        },
    )
}

fn largest() -> Case {
    Case::server(
        "clone-sync.largest-packet",
        "PKT-3 SYNC-18",
        "A `clone-sync` of nearly 1 MiB: 15 rows of nearly 65,536 bytes.",
        "`stored` for each",
        |world| async move {
            let folder = || {
                let mut entry = Entry::folder(world.me(), &name("large"));
                entry.row.set("more", vec![7; 64_800]);
                entry.operation("put")
            };
            let reports = world.sync(world.me(), (0..15).map(|_| folder()).collect()).await?;
            let found = statuses(&reports);
            need(found.iter().all(|status| *status == "stored"), format_args!("{found:?}"))
        },
    )
}

fn durable() -> Case {
    Case::server(
        "clone-sync.survives-restart",
        "PKT-12 QUEUE-7",
        "A folder is announced and answered for; the hub is restarted.",
        "it knows the folder",
        |world| async move {
            let entry = Entry::folder(world.me(), &name("durable"));
            world.sync(world.me(), vec![entry.operation("put")]).await?;
            world.restart().await?;
            need(kept(&world, &entry).await?.is_some(), "the folder is not known any more")
        },
    )
}

/// Fields outside their type spoil the whole packet.
fn spoilt() -> Vec<Case> {
    type Change = fn(&mut Entry);
    let all: [(&str, &str, &str, Change); 14] = [
        ("clone-sync.vector-empty", "SYNC-21", "A version with an empty vector.", |entry| {
            entry.meta = vector_of(&[], 1, [1; 8]);
        }),
        ("clone-sync.vector-of-257", "SYNC-21 PKT-4", "A version of 257 replicas.", |entry| {
            let replicas: Vec<_> = (0..257u64).map(|n| (n.to_be_bytes(), 1)).collect();
            entry.meta = vector_of(&replicas, 1, 1u64.to_be_bytes());
        }),
        (
            "clone-sync.replica-twice",
            "SYNC-21",
            "A version in which a replica stands twice.",
            |entry| {
                entry.meta = vector_of(&[([1; 8], 1), ([1; 8], 2)], 1, [1; 8]);
            },
        ),
        ("clone-sync.counter-0", "SYNC-21", "A version with a counter of 0.", |entry| {
            entry.meta = vector_of(&[([1; 8], 0)], 1, [1; 8]);
        }),
        ("clone-sync.counter-too-large", "SYNC-21", "A version with a counter of 2^63.", |entry| {
            entry.meta = vector_of(&[([1; 8], 1 << 63)], 1, [1; 8]);
        }),
        ("clone-sync.clock-too-large", "SYNC-21", "A version with an `hlc` of 2^63.", |entry| {
            entry.meta = vector_of(&[([1; 8], 1)], 1 << 63, [1; 8]);
        }),
        (
            "clone-sync.writer-not-in-vector",
            "SYNC-21",
            "A version whose `replica` is not in its vector.",
            |entry| {
                entry.meta = vector_of(&[([1; 8], 1)], 1, [2; 8]);
            },
        ),
        ("clone-sync.row-no-map", "SYNC-18 PKT-7", "A row that is no map.", |entry| {
            entry.row = list([1u64]);
        }),
        ("clone-sync.row-field-twice", "SYNC-18", "A row that has `filename` twice.", |entry| {
            entry.row.add("filename", "another");
        }),
        ("clone-sync.row-of-65-fields", "SYNC-18", "A row of 65 fields.", |entry| {
            (0..49).for_each(|n| {
                entry.row.set(&format!("more{n}"), 1u64);
            });
        }),
        ("clone-sync.row-too-large", "SYNC-18", "A row of more than 65,536 bytes.", |entry| {
            entry.row.set("more", vec![0; 65_536]);
        }),
        ("clone-sync.row-without-field", "SYNC-18 PKT-7", "A row without `deny_gid`.", |entry| {
            entry.row.remove("deny_gid");
        }),
        (
            "clone-sync.row-folder",
            "SYNC-18 PKT-25",
            "A row whose `folder` is no resource id.",
            |entry| {
                entry.row.set("folder", "not an id");
            },
        ),
        (
            "clone-sync.row-name-not-utf8",
            "SYNC-18 PKT-9",
            "A row whose name is not UTF-8.",
            |entry| {
                entry.row.set("filename", Value::Str(vec![0xff, 0xfe]));
            },
        ),
    ];
    let case = |(id, requirements, sentence, change): (
        &'static str,
        &'static str,
        &'static str,
        Change,
    )| {
        let expectation = format!("{}; nothing of the packet is done", BAD_FIELD.sentence());
        Case::server(id, requirements, sentence, expectation, move |world| async move {
            let me = world.me();
            let good = Entry::folder(me, &name("beside"));
            let mut bad = Entry::folder(me, &name("spoilt"));
            change(&mut bad);
            let operations = list([good.operation("put"), bad.operation("put")]);
            BAD_FIELD
                .check(&me.ask(&me.packet("clone-sync", [("operations", operations)])).await?)?;
            need(kept(&world, &good).await?.is_none(), "the good operation beside it was done")
        })
    };
    all.into_iter().map(case).collect()
}

//! Operations that must be refused alone: each stands between two good ones.
//!
//! Spec: SYNC-4 to SYNC-6, SYNC-14, SYNC-15, SYNC-17, SYNC-33, SYNC-36, ITEM-1 to ITEM-5, PHOTO-1, PHOTO-2, FILE-3,
//! FILE-15, FILE-16.

use zotferry_protocol::refusal::Code;

use crate::actor::Actor;
use crate::case::{Case, need};
use crate::content::{Content, MIB, joined};
use crate::entry::{Entry, name, version};
use crate::target::shown;
use crate::wire::{Value, list, map};

/// A way to spoil one operation.
type Make = fn(&Actor) -> Value;

pub(super) fn cases() -> Vec<Case> {
    let all = names().into_iter().chain(rows()).chain(data()).chain(items()).chain(photos());
    all.map(|(id, requirements, sentence, code, make)| case(id, requirements, sentence, code, make))
        .collect()
}

type Row = (&'static str, &'static str, &'static str, Code, Make);

fn case(
    id: &'static str,
    requirements: &'static str,
    sentence: &'static str,
    code: Code,
    make: Make,
) -> Case {
    let expectation =
        format!("`refused` with {}; the operations before and after it are `stored`", shown(code));
    Case::server(id, requirements, sentence, expectation, move |world| async move {
        let me = world.me();
        let good = || Entry::folder(me, &name("beside")).operation("put");
        let (before, bad, after) = (good(), make(me), good());
        let reports = world.sync(me, vec![before, bad, after]).await?;
        for n in [0, 2] {
            let status = reports[n].text("status").unwrap_or_default();
            need(status == "stored", format_args!("SYNC-15: the good operation {n} is {status}"))?;
        }
        let (status, found) =
            (reports[1].text("status").unwrap_or_default(), reports[1].uint("code"));
        let wanted = u64::from(code.number());
        need(
            status == "refused" && found == Some(wanted),
            format_args!("{status} with {found:?} instead of {wanted}"),
        )
    })
}

fn small(me: &Actor) -> Entry {
    Entry::file(me, &name("small"), &Content::noise(100))
}

fn called(me: &Actor, name: &str) -> Value {
    let mut entry = small(me);
    entry.row.set("filename", name);
    entry.operation("put")
}

fn names() -> Vec<Row> {
    let bad =
        |id, sentence, make: Make| (id, "SYNC-6 SYNC-15 REF-1", sentence, Code::BadName, make);
    vec![
        bad("operations.name-empty", "A file without a name.", |me| called(me, "")),
        bad("operations.name-dot", "A file called `.`.", |me| called(me, ".")),
        bad("operations.name-dots", "A file called `..`.", |me| called(me, "..")),
        bad("operations.name-slash", "A file whose name holds a slash.", |me| {
            called(me, "../conformance")
        }),
        bad("operations.name-nul", "A file whose name holds a NUL.", |me| {
            called(me, "conformance\0")
        }),
        bad("operations.name-of-256", "A file with a name of 256 bytes.", |me| {
            called(me, &"x".repeat(256))
        }),
        bad("operations.parent-name", "A file in a folder called `..`.", |me| {
            let mut folder = Entry::folder(me, "");
            folder.row.set("filename", "..");
            small(me).inside(&folder).operation("put")
        }),
    ]
}

fn rows() -> Vec<Row> {
    let place = |id, sentence, make: Make| (id, "SYNC-5 SYNC-15", sentence, Code::BadPlace, make);
    let later = |id, sentence, make: Make| {
        (id, "SYNC-4 SYNC-15", sentence, Code::UnsupportedOperation, make)
    };
    let field = |id, sentence, make: Make| (id, "SYNC-14 SYNC-15", sentence, Code::BadField, make);
    vec![
        later("operations.unknown-op", "An operation `shred`.", |me| small(me).operation("shred")),
        later(
            "operations.unknown-op-alone",
            "An operation `shred` of which there is nothing but `id` and `op`.",
            |me| {
                let operation = small(me).operation("shred");
                operation.without("attach").without("data")
            },
        ),
        place("operations.no-row", "An operation without a row.", |me| {
            small(me).operation("put").with("attach", list(Vec::<Value>::new()))
        }),
        place("operations.no-parent", "A file in a folder that is not among the rows.", |me| {
            let mut entry = small(me).inside(&Entry::folder(me, &name("above")));
            entry.above.clear();
            entry.operation("put")
        }),
        place(
            "operations.another-parent",
            "A file whose `folder` is another than the row before it.",
            |me| {
                let mut entry = small(me).inside(&Entry::folder(me, &name("above")));
                entry.row.set("folder", crate::entry::resource());
                entry.operation("put")
            },
        ),
        place("operations.file-as-parent", "A file in a file.", |me| {
            small(me).inside(&small(me)).operation("put")
        }),
        place(
            "operations.row-too-many",
            "A file at the top, with a folder's row before it.",
            |me| {
                let mut entry = small(me).inside(&Entry::folder(me, &name("above")));
                entry.row.set("folder", "");
                entry.operation("put")
            },
        ),
        field("operations.no-content", "A file without a `content` version.", |me| {
            let mut entry = small(me);
            entry.content = None;
            entry.operation("put")
        }),
        field("operations.no-data", "A file without `data`.", |me| {
            let mut entry = small(me);
            entry.data.clear();
            entry.operation("put")
        }),
        field("operations.photo-alone", "A file that has data of the role `photo-4` only.", |me| {
            let mut entry = small(me);
            entry.data = vec![Content::noise(100).data("photo-4")];
            entry.operation("put")
        }),
        field("operations.folder-with-content", "A folder with a `content` version.", |me| {
            let mut entry = Entry::folder(me, &name("folder"));
            entry.content = Some(version(me));
            entry.operation("put")
        }),
        field("operations.folder-with-data", "A folder with `data`.", |me| {
            let mut entry = Entry::folder(me, &name("folder"));
            entry.data = small(me).data;
            entry.operation("put")
        }),
        field("operations.other-size", "A file whose row has another size than its data.", |me| {
            let mut entry = small(me);
            entry.row.set("filesize", 101u64);
            entry.operation("put")
        }),
        field("operations.role-twice", "A file that has the role `file` twice.", |me| {
            let mut entry = small(me);
            entry.data.push(entry.data[0].clone());
            entry.operation("put")
        }),
        (
            "operations.removes-nothing",
            "SYNC-33 SYNC-15",
            "A `remove` without `removed`.",
            Code::BadField,
            |me| small(me).operation("remove"),
        ),
        (
            "operations.lives-without-data",
            "SYNC-34 SYNC-14",
            "A file that was removed before it was put again, without `data`.",
            Code::BadField,
            |me| {
                let mut entry = small(me);
                let other = crate::entry::vector_of(&[([7; 8], 1)], 1 << 16, [7; 8]);
                entry.removed = Some(other);
                entry.data.clear();
                entry.operation("put")
            },
        ),
    ]
}

/// A file of two chunks of which the announcement says something else.
fn two_chunks(me: &Actor, change: impl FnOnce(&mut Value)) -> Value {
    let mut entry = Entry::file(me, &name("two"), &Content::noise(MIB + 1));
    change(&mut entry.data[0]);
    entry.operation("put")
}

fn data() -> Vec<Row> {
    let field = |id, sentence, make: Make| (id, "FILE-15 FILE-14", sentence, Code::BadField, make);
    let content = |id, sentence, make: Make| (id, "FILE-16", sentence, Code::BadContent, make);
    vec![
        ("operations.above-16-tib", "FILE-3", "A file of 2^44 + 1 bytes.", Code::BadField, |me| {
            let mut entry = small(me);
            entry.row.set("filesize", (1u64 << 44) + 1);
            entry.data[0].set("size", (1u64 << 44) + 1);
            entry.operation("put")
        }),
        field("operations.no-digests", "A file of 2 chunks without digests.", |me| {
            two_chunks(me, |data| {
                data.remove("digests");
            })
        }),
        field("operations.digests-of-one", "A file of 1 chunk with its digest.", |me| {
            let mut entry = small(me);
            let root = entry.data[0].bin("root").unwrap_or_default().to_vec();
            entry.data[0].set("digests", root);
            entry.operation("put")
        }),
        field("operations.digest-too-many", "A file of 2 chunks with 3 digests.", |me| {
            two_chunks(me, |data| {
                data.set("digests", vec![3; 96]);
            })
        }),
        field("operations.digest-cut", "A file of 2 chunks whose digests have 63 bytes.", |me| {
            two_chunks(me, |data| {
                data.set("digests", vec![3; 63]);
            })
        }),
        content(
            "operations.digests-of-another",
            "A file of 2 chunks whose digests give another root.",
            |me| {
                let other = joined(&Content::noise(MIB + 1).digests);
                two_chunks(me, |data| {
                    data.set("digests", other);
                })
            },
        ),
        content("operations.empty-with-root", "An empty file with the root of another.", |me| {
            let mut entry = Entry::file(me, &name("empty"), &Content::of(Vec::new()));
            entry.data[0].set("root", [5; 32]);
            entry.operation("put")
        }),
    ]
}

/// The element of `item` for a post on an entry.
pub(super) fn item(me: &Actor) -> Value {
    let uuid = hex::encode(crate::keys::random::<16>());
    let mid = format!("{}/item/{uuid}", me.url());
    let row = map([
        ("message_id", mid.as_str().into()),
        ("uuid", uuid.into()),
        ("body", "a post".into()),
    ]);
    map([
        ("mid", mid.into()),
        ("row", row.bytes().into()),
        ("version", version(me)),
        ("url", me.url().into()),
        ("nick", "conformance".into()),
    ])
}

/// A file with items.
fn with_items(me: &Actor, items: Vec<Value>) -> Value {
    let mut entry = small(me);
    entry.more.push(("item", list(items)));
    entry.operation("put")
}

/// A file with one item whose row is changed.
fn with_row(me: &Actor, change: impl FnOnce(&mut Value)) -> Value {
    let item = item(me);
    let mut row = crate::wire::read(item.bin("row").unwrap_or_default()).unwrap_or(Value::Nil);
    change(&mut row);
    with_items(me, vec![item.with("row", row.bytes())])
}

fn items() -> Vec<Row> {
    let bad =
        |id, requirements, sentence, make: Make| (id, requirements, sentence, Code::BadField, make);
    vec![
        bad("operations.item-twice", "ITEM-1", "An item that stands twice.", |me| {
            let item = item(me);
            with_items(me, vec![item.clone(), item])
        }),
        bad(
            "operations.item-other-name",
            "ITEM-1",
            "An item whose row has another `message_id`.",
            |me| {
                with_row(me, |row| {
                    row.set("message_id", "another");
                })
            },
        ),
        bad(
            "operations.item-with-bytes",
            "ITEM-2",
            "An item whose row holds a byte string.",
            |me| {
                with_row(me, |row| {
                    row.set("more", vec![1, 2]);
                })
            },
        ),
        bad("operations.item-without-body", "ITEM-2", "An item whose row has no `body`.", |me| {
            with_row(me, |row| {
                row.remove("body");
            })
        }),
        bad("operations.item-of-257-fields", "ITEM-2", "An item whose row has 257 fields.", |me| {
            with_row(me, |row| {
                (0..254).for_each(|n| {
                    row.set(&format!("more{n}"), 1u64);
                });
            })
        }),
        bad(
            "operations.item-with-number",
            "ITEM-3",
            "An item whose row has a hub's own `uid`.",
            |me| {
                with_row(me, |row| {
                    row.set("uid", 1u64);
                })
            },
        ),
        bad(
            "operations.item-without-nick",
            "ITEM-5",
            "An item of a channel without a nick.",
            |me| with_items(me, vec![item(me).with("nick", "")]),
        ),
        bad(
            "operations.item-uid-too-large",
            "ITEM-5",
            "An item of a channel with a number of 2^63.",
            |me| with_items(me, vec![item(me).with("uid", 1u64 << 63)]),
        ),
    ]
}

/// A photo row of an entry.
pub(super) fn photo(entry: &Entry, scale: u64) -> Value {
    map([
        ("resource_id", entry.hash().into()),
        ("imgscale", scale.into()),
        ("width", 10u64.into()),
        ("height", 10u64.into()),
        ("mimetype", "image/png".into()),
        ("filesize", 0u64.into()),
        ("photo_usage", 0u64.into()),
        ("profile", 0u64.into()),
        ("title", "".into()),
        ("description", "".into()),
        ("album", "".into()),
    ])
}

/// A file with photo rows.
fn with_photos(me: &Actor, rows: fn(&Entry) -> Vec<Value>) -> Value {
    let mut entry = small(me);
    let rows = rows(&entry);
    entry.more.push(("photo", list(rows)));
    entry.operation("put")
}

fn photos() -> Vec<Row> {
    let bad =
        |id, requirements, sentence, make: Make| (id, requirements, sentence, Code::BadField, make);
    vec![
        bad("operations.photo-no-map", "SYNC-36 PHOTO-1", "A photo row that is no map.", |me| {
            with_photos(me, |_| vec![list([1u64]).bytes().into()])
        }),
        bad("operations.photo-of-another", "PHOTO-2", "A photo row of another entry.", |me| {
            with_photos(me, |entry| {
                vec![photo(entry, 1).with("resource_id", "another").bytes().into()]
            })
        }),
        bad(
            "operations.photo-too-large",
            "SYNC-36 PHOTO-1",
            "A photo row of more than 16,384 bytes.",
            |me| {
                with_photos(me, |entry| {
                    vec![photo(entry, 1).with("more", vec![0; 16_384]).bytes().into()]
                })
            },
        ),
        bad("operations.photo-scale-twice", "PHOTO-2", "A scale that stands twice.", |me| {
            with_photos(me, |entry| {
                vec![photo(entry, 1).bytes().into(), photo(entry, 1).bytes().into()]
            })
        }),
        bad("operations.photo-scale-10", "PHOTO-1", "A photo row of scale 10.", |me| {
            with_photos(me, |entry| vec![photo(entry, 10).bytes().into()])
        }),
        bad("operations.photo-of-folder", "PHOTO-2", "A folder with a photo row.", |me| {
            let mut entry = Entry::folder(me, &name("folder"));
            let row = photo(&entry, 1).bytes();
            entry.more.push(("photo", list([row])));
            entry.operation("put")
        }),
    ]
}

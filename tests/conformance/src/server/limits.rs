//! Lists, texts and numbers beyond what their fields allow, by a sender that is certain.
//!
//! Spec: PKT-4, PKT-7, PKT-23, PKT-25, PKT-27, SYNC-3, SYNC-12, SYNC-13, AUDIT-5, AUDIT-9.

use super::{BAD_FIELD, Odd};
use crate::actor::Actor;
use crate::case::{Case, Want, need};
use crate::content::Content;
use crate::entry::{Entry, name};
use crate::keys::random;
use crate::wire::{Value, list, map};

pub(super) fn cases() -> Vec<Case> {
    let all = lists().into_iter().chain(values()).chain(operations());
    all.map(Case::from).chain([more_than_any_disk()]).collect()
}

/// Files of 16 TiB: together 4,000 TiB, which no disk has.
fn more_than_any_disk() -> Case {
    Case::server(
        "limits.more-than-any-disk",
        "SYNC-13 SYNC-12 SYNC-15 REF-1",
        "250 files of 16 TiB are announced in one packet, of which nobody has the bytes, and an empty file before and behind them.",
        "the empty files are `stored`; not all of the large ones are: the others are `refused` with 32 quota-exceeded or 33 no-space",
        |world| async move {
            let me = world.me();
            let large = || {
                let mut entry = Entry::file(me, &name("16 TiB"), &Content::noise(1));
                entry.row.set("filesize", 1u64 << 44);
                entry.data[0].set("size", 1u64 << 44).set("root", random::<32>());
                entry
            };
            let empty = || Entry::file(me, &name("beside 16 TiB"), &Content::of(Vec::new()));
            let mut entries: Vec<Entry> = (0..250).map(|_| large()).collect();
            entries.insert(0, empty());
            entries.push(empty());
            let told = entries.iter().map(|entry| entry.operation("put")).collect();
            let reports = world.sync(me, told).await?;
            let is_stored = |report: &Value| report.text("status") == Some("stored");
            let gone = entries.iter().zip(&reports).filter(|(_, report)| is_stored(report));
            let gone: Vec<Value> =
                gone.map(|(entry, _)| entry.gone(me).operation("remove")).collect();
            // What was promised is free again, whatever comes of this.
            world.sync(me, gone).await?;
            let [first, large @ .., last] = reports.as_slice() else {
                return Err("no reports".into());
            };
            need(is_stored(first) && is_stored(last), "an empty file beside them is not stored")?;
            let refused: Vec<&Value> = large.iter().filter(|report| !is_stored(report)).collect();
            need(!refused.is_empty(), "4,000 TiB are stored")?;
            let full = |report: &&Value| {
                let code = report.uint("code").unwrap_or(0);
                report.text("status") == Some("refused") && [32, 33].contains(&code)
            };
            let codes: Vec<_> = refused.iter().map(|report| report.uint("code")).collect();
            need(refused.iter().all(full), format_args!("the codes {codes:?}"))
        },
    )
}

fn content() -> Value {
    map([("resource", "r".into()), ("role", "file".into()), ("root", [0; 32].into())])
}

/// An item of a `chunk-request`.
fn item() -> Value {
    content().with("ranges", list([map([("first", 0u64.into()), ("count", 1u64.into())])]))
}

fn chunks(me: &Actor, items: Vec<Value>) -> Value {
    me.packet("chunk-request", [("items", list(items))])
}

fn report(me: &Actor, operations: Vec<Value>, present: Vec<Value>) -> Value {
    me.packet("sync-report", [("operations", list(operations)), ("present", list(present))])
}

fn range(prefix: usize) -> Value {
    map([("prefix", vec![0; prefix].into()), ("digest", [0; 32].into()), ("list", false.into())])
}

fn audit(me: &Actor, ranges: Vec<Value>) -> Value {
    me.packet("audit-request", [("ranges", list(ranges))])
}

fn places(me: &Actor, records: usize, rotations: usize, notices: usize) -> Value {
    let of = |names: &[&str], count: usize| {
        let fields = names.iter().map(|name| ((*name).into(), Value::Bin(vec![1]))).collect();
        list(vec![Value::Map(fields); count])
    };
    me.packet(
        "locations",
        [
            ("records", of(&["record", "channel_sig", "site_sig"], records)),
            ("rotations", of(&["record", "old_sig", "new_sig", "site_sig"], rotations)),
            ("notices", of(&["record", "channel_sig"], notices)),
        ],
    )
}

fn lists() -> Vec<Odd> {
    let odd = |id, sentence, make| Odd {
        id,
        requirements: "PKT-4 REF-2",
        sentence,
        want: BAD_FIELD,
        make,
    };
    vec![
        odd("limits.257-items", "A `chunk-request` of 257 items.", |me| {
            chunks(me, vec![item(); 257])
        }),
        odd("limits.1025-ranges", "A `chunk-request` for an item of 1025 ranges.", |me| {
            let range = map([("first", 0u64.into()), ("count", 1u64.into())]);
            chunks(me, vec![content().with("ranges", list(vec![range; 1025]))])
        }),
        odd("limits.257-operations", "A `clone-sync` of 257 operations.", |me| {
            let operation = map([("id", [1; 16].into()), ("op", "shred".into())]);
            me.packet("clone-sync", [("operations", list(vec![operation; 257]))])
        }),
        odd("limits.257-reports", "A `sync-report` of 257 reports.", |me| {
            let one = map([("id", [1; 16].into()), ("status", "stored".into())]);
            report(me, vec![one; 257], Vec::new())
        }),
        odd("limits.4097-contents", "A `sync-report` of 4097 contents.", |me| {
            report(me, Vec::new(), vec![content(); 4097])
        }),
        odd("limits.257-ranges", "An `audit-request` of 257 ranges.", |me| {
            audit(me, vec![range(0); 257])
        }),
        odd("limits.257-keys", "An `entry-request` of 257 keys.", |me| {
            me.packet("entry-request", [("keys", list(vec![[0u8; 32]; 257]))])
        }),
        odd("limits.65-records", "A `locations` packet of 65 records.", |me| places(me, 65, 0, 0)),
        odd("limits.33-rotations", "A `locations` packet of 33 rotations.", |me| {
            places(me, 0, 33, 0)
        }),
        odd("limits.65-notices", "A `locations` packet of 65 notices.", |me| places(me, 0, 0, 65)),
    ]
}

fn values() -> Vec<Odd> {
    let odd = |id, requirements, sentence, make| Odd {
        id,
        requirements,
        sentence,
        want: BAD_FIELD,
        make,
    };
    vec![
        odd("limits.field-missing", "PKT-7", "A `chunk-request` without `items`.", |me| {
            me.body("chunk-request")
        }),
        odd("limits.root-of-31", "PKT-23 PKT-7", "A root of 31 bytes.", |me| {
            chunks(me, vec![item().with("root", [0; 31])])
        }),
        odd("limits.unknown-role", "PKT-27 PKT-7", "The role `photo-5`.", |me| {
            chunks(me, vec![item().with("role", "photo-5")])
        }),
        odd("limits.resource-empty", "PKT-25 PKT-7", "An empty resource id.", |me| {
            chunks(me, vec![item().with("resource", "")])
        }),
        odd("limits.resource-of-65", "PKT-25 PKT-7", "A resource id of 65 characters.", |me| {
            chunks(me, vec![item().with("resource", "r".repeat(65))])
        }),
        odd("limits.resource-with-slash", "PKT-25 PKT-7", "A resource id with a slash.", |me| {
            chunks(me, vec![item().with("resource", "a/b")])
        }),
        odd("limits.resource-as-bytes", "PKT-9 PKT-7", "A resource id as byte string.", |me| {
            chunks(me, vec![item().with("resource", vec![b'r'])])
        }),
        odd("limits.root-as-text", "PKT-9 PKT-7", "A root as text.", |me| {
            chunks(me, vec![item().with("root", "r".repeat(32))])
        }),
        odd("limits.chunk-of-33-bits", "PKT-7", "A chunk number of 33 bits.", |me| {
            chunks(me, vec![item().with("ranges.0.first", 1u64 << 32)])
        }),
        odd("limits.nonce-of-31", "PKT-7 ID-13", "A nonce of 31 bytes.", |me| {
            me.packet("challenge", [("nonce", [0; 31].into())])
        }),
        odd("limits.unknown-status", "PKT-7", "A report of the status `lost`.", |me| {
            let one = map([("id", [1; 16].into()), ("status", "lost".into())]);
            report(me, vec![one], Vec::new())
        }),
        odd("limits.code-of-17-bits", "PKT-7", "A report with a code of 17 bits.", |me| {
            let one = map([
                ("id", [1; 16].into()),
                ("status", "refused".into()),
                ("code", 65_536u64.into()),
            ]);
            report(me, vec![one], Vec::new())
        }),
        odd("limits.no-range", "AUDIT-5", "An `audit-request` without ranges.", |me| {
            audit(me, Vec::new())
        }),
        odd("limits.prefix-of-5", "AUDIT-5", "A range with a prefix of 5 bytes.", |me| {
            audit(me, vec![range(5)])
        }),
        odd("limits.range-without-digest", "PKT-7 AUDIT-5", "A range without a digest.", |me| {
            audit(me, vec![range(0).without("digest")])
        }),
        odd("limits.no-key", "AUDIT-9", "An `entry-request` without keys.", |me| {
            me.packet("entry-request", [("keys", list(Vec::<Value>::new()))])
        }),
        odd(
            "limits.key-of-31",
            "PKT-23 AUDIT-9",
            "An `entry-request` for a key of 31 bytes.",
            |me| me.packet("entry-request", [("keys", list([[0; 31]]))]),
        ),
        Odd {
            id: "limits.present-of-others",
            requirements: "SYNC-11 SYNC-31",
            sentence: "A `sync-report` that says of 4096 contents, which nobody knows, that they are present.",
            want: Want::Packet("sync-report"),
            make: |me| report(me, Vec::new(), vec![content(); 4096]),
        },
    ]
}

/// A `clone-sync` of one operation.
fn sync(me: &Actor, change: impl FnOnce(&mut Value)) -> Value {
    let content = crate::content::Content::of(Vec::new());
    let mut operation = Entry::file(me, &name("limits"), &content).operation("put");
    change(&mut operation);
    me.packet("clone-sync", [("operations", list([operation]))])
}

fn operations() -> Vec<Odd> {
    let odd = |id, requirements, sentence, make| Odd {
        id,
        requirements,
        sentence,
        want: BAD_FIELD,
        make,
    };
    vec![
        odd("limits.no-operation", "SYNC-3", "A `clone-sync` without operations.", |me| {
            me.packet("clone-sync", [("operations", list(Vec::<Value>::new()))])
        }),
        odd("limits.operation-without-id", "PKT-7", "An operation without an id.", |me| {
            sync(me, |op| {
                op.remove("id");
            })
        }),
        odd("limits.op-of-33", "PKT-4", "An operation whose `op` has 33 bytes.", |me| {
            sync(me, |op| {
                op.set("op", "o".repeat(33));
            })
        }),
        odd("limits.129-rows", "PKT-4", "An operation of 129 rows.", |me| {
            sync(me, |op| {
                let row = op.at("attach.0").cloned().unwrap_or(Value::Nil);
                op.set("attach", list(vec![row; 129]));
            })
        }),
        odd("limits.four-contents", "PKT-4", "An operation with four elements of `data`.", |me| {
            sync(me, |op| {
                let data = op.at("data.0").cloned().unwrap_or(Value::Nil);
                op.set("data", list(vec![data; 4]));
            })
        }),
        odd("limits.mime-of-256", "PKT-4", "A MIME type of 256 bytes.", |me| {
            sync(me, |op| {
                op.set("data.0.mime", "m".repeat(256));
            })
        }),
        odd("limits.unknown-source", "PKT-7", "The source `post`.", |me| {
            sync(me, |op| {
                op.set("data.0.source", "post");
            })
        }),
        odd("limits.negative-size", "PKT-7", "A negative size.", |me| {
            sync(me, |op| {
                op.set("data.0.size", Value::Neg(-1));
            })
        }),
        odd("limits.17-photo-rows", "SYNC-36 PKT-4", "An operation with 17 photo rows.", |me| {
            sync(me, |op| {
                op.set("photo", list(vec![vec![0x80u8]; 17]));
            })
        }),
    ]
}

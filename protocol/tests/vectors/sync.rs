//! attach.json, versions.json.

use std::collections::BTreeMap;

use zotferry_protocol::codec;
use zotferry_protocol::conflict::{copy_id, copy_name};
use zotferry_protocol::ids::{Millis, ReplicaId, ResourceId};
use zotferry_protocol::packets::{AttachRow, BadRow, is_name};
use zotferry_protocol::places::{Place, displaced};
use zotferry_protocol::refusal::Code;
use zotferry_protocol::version::{Hlc, Relation, Version, join, relation, winner};

use super::support::{Case, File};

pub(crate) const FILES: &[File] = &[
    (
        "attach",
        &[
            ("names", name),
            ("names_bad", name_bad),
            ("rows", row),
            ("rows_local", row_local),
            ("rows_bad", row_bad),
        ],
    ),
    (
        "versions",
        &[
            ("encoded", encoded),
            ("bad", bad),
            ("edits", edit),
            ("pairs", pair),
            ("removals", removal),
            ("revivals", revival),
            ("copies", copy),
            ("cycles", cycle),
        ],
    ),
];

fn name(case: Case<'_>) {
    assert!(is_name(case.text("filename")));
}

fn name_bad(case: Case<'_>) {
    assert!(!is_name(case.text("filename")));
    let row = AttachRow::decode(&case.bytes("row")).expect("a row, but for its name");
    assert_eq!(row.filename, case.text("filename"));
    assert_eq!(row.check(), Err(BadRow::Name));
}

/// SYNC-7: what was read is written again byte by byte, unknown fields too.
fn row(case: Case<'_>) {
    let row = AttachRow::decode(&case.bytes("row")).expect("a good row");
    let fields = case.child("fields");
    assert_eq!(row.hash.as_str(), fields.text("hash"));
    assert_eq!(row.filename, fields.text("filename"));
    assert_eq!(row.folder, fields.text("folder"));
    assert_eq!(row.filesize, fields.u64("filesize"));
    assert_eq!(row.is_folder(), fields.u64("is_dir") == 1);
    assert_eq!(row.mtime, fields.get("mtime").map(|_| fields.u64("mtime")));
    assert_eq!(row.check(), Ok(()));
    assert_eq!(hex::encode(row.encode()), case.text("row"));
}

fn row_local(case: Case<'_>) {
    let row = AttachRow::decode(&case.bytes("row")).expect("a good row");
    assert_eq!(hex::encode(row.encode()), case.text("kept"));
}

fn row_bad(case: Case<'_>) {
    let error = AttachRow::decode(&case.bytes("row")).expect_err("a bad row");
    assert!(matches!(error, BadRow::Form(_)), "{error}");
}

pub(super) fn version(case: Case<'_>) -> Version {
    let vector = case.child("vector").0.as_object().expect("a map");
    let vector: BTreeMap<ReplicaId, u64> = vector
        .iter()
        .map(|(replica, n)| (replica.parse().expect("a replica"), n.as_u64().expect("a number")))
        .collect();
    Version::new(vector, Hlc(case.u64("hlc")), case.replica("replica")).expect("a good version")
}

fn encoded(case: Case<'_>) {
    let expected = version(case.child("version"));
    assert_eq!(codec::decode_owned(&case.bytes("bytes")), Ok(expected.clone()));
    assert_eq!(hex::encode(codec::encode(&expected)), case.text("bytes"));
}

fn bad(case: Case<'_>) {
    let refusal = codec::decode_owned::<Version>(&case.bytes("bytes")).expect_err("a bad version");
    assert_eq!(refusal.code, Code::BadField);
}

fn edit(case: Case<'_>) {
    let previous = case.get("previous").map(|v| version(Case(v)));
    let edit = Version::edit(previous.as_ref(), case.replica("replica"), Millis(case.u64("now")));
    assert_eq!(edit, Ok(version(case.child("result"))));
}

fn pair(case: Case<'_>) {
    let (a, b) = (version(case.child("a")), version(case.child("b")));
    let word = match relation(&a, &b) {
        Relation::Equal => "equal",
        Relation::Older => "older",
        Relation::Newer => "newer",
        Relation::Concurrent => "concurrent",
    };
    assert_eq!(word, case.text("relation"));
    let expected = if case.text("winner") == "a" { &a } else { &b };
    assert_eq!(winner(&a, &b), expected);
    assert_eq!(join(&a, &b), Ok(version(case.child("join"))));
    assert_eq!(a.has_seen(&b), case.flag("a_has_seen_b"));
    assert_eq!(b.has_seen(&a), case.flag("b_has_seen_a"));
}

/// SYNC-33: a removal is an edit of what was seen: the content, and removals before.
fn removal(case: Case<'_>) {
    let seen: Vec<Version> = case.list("seen").map(version).collect();
    let now = Millis(case.u64("now"));
    let all = Version::joined(&seen).expect("a join");
    let removal = Version::edit(all.as_ref(), case.replica("replica"), now).expect("a removal");
    assert_eq!(removal, version(case.child("result")));
    let covers = case.child("covers").0.as_array().expect("a list").clone();
    for (content, covered) in case.list("contents").map(version).zip(covers) {
        assert_eq!(Some(removal.has_seen(&content)), covered.as_bool());
    }
}

/// SYNC-44: what is put again lives, whatever its removal had seen.
fn revival(case: Case<'_>) {
    let (content, removed) = (version(case.child("content")), version(case.child("removed")));
    assert_eq!(!removed.has_seen(&content), case.flag("lived"));
    let both = Version::joined([&content, &removed]).expect("a join");
    let now = Millis(case.u64("now"));
    let edit = Version::edit(both.as_ref(), case.replica("replica"), now).expect("an edit");
    assert_eq!(edit, version(case.child("result")));
    assert!(!removed.has_seen(&edit) && edit.has_seen(&removed) && edit.has_seen(&content));
}

/// SYNC-37, SYNC-38: every clone makes the same copy.
fn copy(case: Case<'_>) {
    let loser = version(case.child("loser"));
    let entry = ResourceId::new(case.text("entry")).expect("an id");
    assert_eq!(copy_id(&entry, &loser).as_str(), case.text("id"));
    assert_eq!(copy_name(case.text("filename"), &loser), case.text("copy"));
    assert!(is_name(case.text("copy")));
}

/// SYNC-40: cycles are broken the same way everywhere.
fn cycle(case: Case<'_>) {
    let folder = |case: Case<'_>, field: &str| ResourceId::new(case.text(field)).ok();
    let places: BTreeMap<ResourceId, Place> = case
        .list("folders")
        .map(|row| {
            let (at, was) = (folder(row, "folder"), folder(row, "was"));
            let place = Place { folder: at, was, version: version(row.child("version")) };
            (ResourceId::new(row.text("hash")).expect("an id"), place)
        })
        .collect();
    let moved = displaced(&places, places.keys().cloned());
    let moved: BTreeMap<String, String> = moved
        .into_iter()
        .map(|(hash, to)| (hash.to_string(), to.map_or_else(String::new, |to| to.to_string())))
        .collect();
    let expected = case.child("displaced").0.as_object().expect("a map");
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(hash, to)| (hash.clone(), to.as_str().expect("an id or nothing").to_owned()))
        .collect();
    assert_eq!(moved, expected);
}

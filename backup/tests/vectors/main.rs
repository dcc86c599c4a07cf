//! Runs `spec/vectors/backup.json`, which an encoder made of the specification's text alone.
#![allow(missing_docs, reason = "a test binary")]

mod folders;

use std::path::Path;

use serde_json::Value;
use zotferry_backup::{Backup, Line, Metadata, row_from_json, row_to_json};
use zotferry_protocol::codec;
use zotferry_protocol::identity::{KeyChain, PublicKey, SignedRotation};
use zotferry_protocol::ids::PortableId;

fn cases(kind: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/backup.json");
    let text = std::fs::read_to_string(path).expect("a file of vectors");
    let kinds: Value = serde_json::from_str(&text).expect("JSON");
    let known = [
        "rows",
        "metadata",
        "metadata_bad",
        "heads",
        "heads_bad",
        "heads_there",
        "lines",
        "folders",
        "folders_bad",
    ];
    let there = kinds.as_object().expect("kinds").keys();
    assert_eq!(
        there.filter(|kind| !known.contains(&kind.as_str())).count(),
        0,
        "a kind without a runner"
    );
    kinds[kind].as_array().expect("cases").clone()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().expect("a text")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    let digits = text(case, field).as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16);
    digits.map(|pair| byte(pair).expect("digits")).collect()
}

/// BACKUP-8.
#[test]
fn rows_are_written_and_read_as_specified() {
    for case in cases("rows") {
        let row = bytes(&case, "row");
        assert_eq!(row_to_json(&row), text(&case, "json"), "{case}");
        assert_eq!(row_from_json(text(&case, "json")).expect("reads"), row, "{case}");
    }
}

/// BACKUP-5, BACKUP-7, BACKUP-10 to BACKUP-12.
#[test]
fn metadata_is_written_and_read_as_specified() {
    for case in cases("metadata") {
        let metadata = Metadata::decode(text(&case, "metadata").as_bytes()).expect("reads");
        let operation = codec::encode(&metadata.operation);
        assert_eq!(hex(&operation), text(&case, "operation"), "{}", case["name"]);
        let written = String::from_utf8(metadata.encode()).expect("UTF-8");
        assert_eq!(written, text(&case, "metadata"), "{}", case["name"]);
    }
}

/// BACKUP-6.
#[test]
fn metadata_that_does_not_hold_is_refused() {
    for case in cases("metadata_bad") {
        let read = Metadata::decode(text(&case, "metadata").as_bytes());
        assert!(read.is_err(), "{}", case["name"]);
    }
}

/// BACKUP-3, BACKUP-4.
#[test]
fn heads_are_believed_as_specified() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = |case: &Value| {
        std::fs::write(dir.path().join("backup.jsonl"), text(case, "head")).expect("written");
        Backup::open(dir.path())
    };
    for case in cases("heads") {
        let backup = open(&case).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
        assert_eq!(backup.header().channel.0.as_str(), text(&case, "channel"));
    }
    for case in cases("heads_bad") {
        assert!(open(&case).is_err(), "{}", case["name"]);
    }
}

/// BACKUP-24.
#[test]
fn backups_come_back_into_their_channel_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    for case in cases("heads_there") {
        std::fs::write(dir.path().join("backup.jsonl"), text(&case, "head")).expect("written");
        let backup = Backup::open(dir.path()).expect("a good head");
        let rotation = |one: &Value| SignedRotation {
            record: bytes(one, "record"),
            old_sig: bytes(one, "old_sig"),
            new_sig: bytes(one, "new_sig"),
            site_sig: bytes(one, "site_sig"),
        };
        let rotations: Vec<_> =
            case["rotations"].as_array().expect("a list").iter().map(rotation).collect();
        let first = PublicKey::from_pem(text(&case, "first_key")).expect("a key");
        let channel = PortableId::new(text(&case, "channel")).expect("an id");
        let living = KeyChain::new(channel, first);
        // A rotation names its channel: another one has none of them.
        let living = living.with(&rotations).expect("a chain");
        assert_eq!(backup.header().is_of(&living), case["taken"] == true, "{}", case["name"]);
    }
}

/// BACKUP-13, BACKUP-15.
#[test]
fn lines_are_read_as_specified() {
    for case in cases("lines") {
        let line: Line = serde_json::from_str(text(&case, "line")).expect("a line");
        assert_eq!(serde_json::to_string(&line).expect("writes"), text(&case, "line"));
        assert_eq!(line.listed().as_deref(), case["listed"].as_str());
    }
}

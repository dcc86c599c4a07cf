//! Imports point one way.

use std::fs;

use crate::source::{Line, none, root, sources};

/// From the bottom up. A module imports from lower rows only, and from itself.
const LAYERS: &[&[&str]] = &[
    &["durable"],
    &["config", "keys", "metrics", "photo", "storage", "text", "translate"],
    &["catalog", "chunker", "queue"],
    &["passwords", "transport"],
    &["hub"],
    &["items", "photos", "receiver"],
    &["packets"],
    &["audit", "channels", "clone_sync", "files", "hook", "sweep"],
    &["backup"],
    &["cloud", "dav", "hubzilla", "watch"],
    &["web"],
    &["service"],
    &["local"],
    &["fuzz"],
    &["cli", "lib", "main"],
];

/// What the rules of the wire may be made of: nothing that waits, ticks, or touches a disk or a network.
const PROTOCOL_MAY_USE: &[&str] = &[
    "base64",
    "bytes",
    "hex",
    "rmp",
    "rmp-serde",
    "rsa",
    "serde",
    "serde_bytes",
    "sha2",
    "thiserror",
    "url",
    "whirlpool",
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// The modules of this crate that a line of code names: `crate::hub::Hub`, `use crate::{hub, web}`, `zotferry::hub`.
fn imports<'a>(line: &'a Line<'a>) -> impl Iterator<Item = &'a str> {
    let code = line.code();
    let after =
        |prefix: &'static str| code.match_indices(prefix).map(|(at, p)| &code[at + p.len()..]);
    after("crate::").chain(after("zotferry::")).flat_map(|rest| {
        let several = rest.strip_prefix('{').map(|inner| inner.split('}').next().unwrap_or(inner));
        let parts: Vec<&str> = several.map_or(vec![rest], |inner| inner.split(',').collect());
        parts.into_iter().map(|part| {
            let part = part.trim();
            let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
            &part[..end]
        })
    })
}

#[test]
fn no_module_imports_one_that_stands_above_it() {
    let mut wrong = Vec::new();
    for source in sources(&["src"]) {
        let module = source.module();
        let Some(own) = layer(module) else {
            wrong.push(format!(
                "{} is in no layer; give it one in tests/tidy/layers.rs",
                source.path
            ));
            continue;
        };
        for line in source.lines() {
            let above =
                |name: &&str| *name != module && layer(name).is_some_and(|theirs| theirs >= own);
            wrong.extend(imports(&line).find(above).map(|_| line.shown()));
        }
    }
    none("a module imports from lower layers only", &wrong);
}

#[test]
fn bytes_and_jobs_know_nothing_of_http() {
    let mut wrong = Vec::new();
    for source in sources(&["src/storage", "src/queue", "src/catalog", "src/chunker"]) {
        let http = |line: &Line<'_>| {
            ["axum::", "hyper::", "http::", "reqwest::"]
                .iter()
                .any(|name| line.code().contains(name))
        };
        wrong.extend(source.lines().filter(http).map(|line| line.shown()));
    }
    none("storage, queue, catalog and chunker do not speak HTTP", &wrong);
}

/// Private keys are used by aws-lc, which blinds what it does with them; the `rsa` crate, which takes another time for another
/// key, sees public ones. Nothing is decrypted with RSA.
#[test]
fn private_keys_are_used_in_one_place() {
    let private = [
        "RsaPrivateKey",
        "pkcs1v15::SigningKey",
        "rsa::KeyPair",
        "decrypt_blinded",
        "Pkcs1v15Encrypt",
    ];
    let mut wrong = Vec::new();
    for source in sources(&["src", "backup/src", "backup/client", "protocol/src"]) {
        let uses = |line: &Line<'_>| {
            !line.is_test && private.iter().any(|name| line.code().contains(name))
        };
        let allowed = source.path == "src/keys.rs";
        wrong.extend(source.lines().filter(|line| uses(line) && !allowed).map(|l| l.shown()));
    }
    none("private keys are used in src/keys.rs alone", &wrong);
}

#[test]
fn the_rules_of_the_wire_need_no_runtime() {
    let text = fs::read_to_string(root().join("protocol/Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let wrong: Vec<String> = manifest["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .filter(|name| !PROTOCOL_MAY_USE.contains(&name.as_str()))
        .cloned()
        .collect();
    none("zotferry-protocol depends on something new", &wrong);
}

#[test]
fn the_rules_of_the_wire_touch_no_clock_disk_or_socket() {
    let mut wrong = Vec::new();
    for source in sources(&["protocol/src"]) {
        let outside = |line: &Line<'_>| {
            let names = [
                "std::fs",
                "std::net",
                "std::thread",
                "std::env",
                "SystemTime",
                "Instant",
                "async fn",
            ];
            !line.is_test && names.iter().any(|name| line.code().contains(name))
        };
        wrong.extend(source.lines().filter(outside).map(|line| line.shown()));
    }
    none("time and effects are passed in and out", &wrong);
}

/// What reads, verifies and restores a backup runs on any system.
#[test]
fn backups_are_for_every_system() {
    let mut wrong = Vec::new();
    for source in sources(&["backup/src", "backup/client"]) {
        let some = |line: &Line<'_>| {
            let names = ["std::os::", "rustix", "cfg(unix)", "target_os", "zotferry::"];
            names.iter().any(|name| line.code().contains(name))
        };
        let edge = source.path == "backup/src/platform.rs";
        wrong.extend(source.lines().filter(|line| some(line) && !edge).map(|line| line.shown()));
    }
    none("what only some systems have is in backup/src/platform.rs", &wrong);
}

#[test]
fn the_conformance_suite_does_not_know_the_hub() {
    let text = fs::read_to_string(root().join("tests/conformance/Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let own = ["zotferry", "zotferry-backup"];
    let mut wrong: Vec<String> = ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|table| table.keys().filter(|name| own.contains(&name.as_str())).cloned())
        .collect();
    for source in sources(&["tests/conformance"]) {
        let names = |line: &Line<'_>| {
            ["zotferry::", "zotferry_backup"].iter().any(|name| line.code().contains(name))
        };
        wrong.extend(source.lines().filter(names).map(|line| line.shown()));
    }
    none(
        "the suite judges every hub alike: it imports the protocol's shapes and nothing of ours",
        &wrong,
    );
}

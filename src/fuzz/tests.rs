//! Every body over its seeds, as they are and changed in small ways, always the same ones for a seed.
//!
//! Seeds are the vectors of `spec/`, and what is kept in `fuzz/corpus`. `ZOTFERRY_FUZZ` says how many changed inputs each
//! body gets (2000), `ZOTFERRY_SEED` which; `ZOTFERRY_FUZZ_SEEDS` names a folder that the seeds are written to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ALL, Body, Known};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn vectors(file: &str) -> Value {
    let text = std::fs::read_to_string(root().join(format!("spec/vectors/{file}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn known() -> Known {
    let (envelopes, locations) = (vectors("envelopes"), vectors("locations"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let key = |value: &Value| super::PublicKey::from_pem(&text(value)).unwrap();
    Known {
        site: key(&envelopes["hubs"][0]["pem"]),
        me: super::SiteId::new(text(&envelopes["accepted"][0]["receiver"])).unwrap(),
        channel: key(&locations["good"][0]["channel_key"]),
    }
}

/// Every text of some fields, however deep.
fn texts(value: &Value, fields: &[&str], found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| texts(value, fields, found)),
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if fields.contains(&name.as_str()) => {
                        found.push(text.clone());
                    }
                    value => texts(value, fields, found),
                }
            }
        }
        _ => {}
    }
}

fn from(files: &[&str], fields: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    files.iter().for_each(|file| texts(&vectors(file), fields, &mut found));
    found
}

fn hex_of(files: &[&str], fields: &[&str]) -> Vec<Vec<u8>> {
    from(files, fields).iter().filter_map(|text| hex::decode(text).ok()).collect()
}

fn before(head: &[u8], inputs: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    inputs.into_iter().map(|input| [head, &input[..]].concat()).collect()
}

/// Maps of text and bytes, as signed statements travel.
fn statements() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for file in ["locations", "notices", "rotations"] {
        let mut waiting = vec![vectors(file)];
        while let Some(value) = waiting.pop() {
            match value {
                Value::Array(list) => waiting.extend(list),
                Value::Object(map) if map.contains_key("record") => {
                    let bytes =
                        |value: &Value| hex::decode(value.as_str().unwrap_or_default()).ok();
                    let fields: Option<Vec<(&String, Vec<u8>)>> =
                        map.iter().map(|(name, value)| Some((name, bytes(value)?))).collect();
                    let fields = fields.unwrap_or_default().into_iter();
                    let map: std::collections::BTreeMap<_, _> = fields
                        .map(|(name, bytes)| (name, serde_bytes::ByteBuf::from(bytes)))
                        .collect();
                    found.push(zotferry_protocol::codec::encode(&map));
                }
                Value::Object(map) => waiting.extend(map.into_iter().map(|(_, value)| value)),
                _ => {}
            }
        }
    }
    found
}

fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = root().join("fuzz/corpus").join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let lines = |texts: Vec<String>| texts.into_iter().map(String::into_bytes).collect::<Vec<_>>();
    let identity = std::fs::read(root().join("tests/fixtures/hubzilla-identity.json")).unwrap();
    let from_vectors = match target {
        "packet" => hex_of(&["packets"], &["body"]),
        "envelope" => hex_of(&["envelopes", "packets"], &["envelope"]),
        "manifest_page" => before(&(1_u64 << 21).to_le_bytes(), hex_of(&["packets"], &["body"])),
        "frames" => before(&[3], hex_of(&["frames"], &["bytes"])),
        "locations" => {
            let mut all = hex_of(&["locations", "notices", "rotations"], &["record"]);
            all.extend(statements());
            all.extend(hex_of(&["restores"], &["statement"]));
            all.extend(lines(from(
                &["ids", "locations", "envelopes"],
                &["url", "typed", "normal"],
            )));
            all.extend(lines(from(&["frames"], &["header"])));
            all
        }
        "authorization" => {
            use base64::Engine;
            use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
            let packets = hex_of(&["packets"], &["envelope"]);
            let mut all: Vec<String> =
                packets.iter().map(|p| format!("Zot {}", URL_SAFE_NO_PAD.encode(p))).collect();
            let statements = hex_of(&["restores"], &["statement"]);
            all.extend(
                statements.iter().map(|p| format!("Zot-Restore {}", URL_SAFE_NO_PAD.encode(p))),
            );
            all.push(format!("Basic {}", STANDARD.encode("alice:abcdef-ghij-klmn")));
            all.extend(["bytes=0-0", "bytes=-5", "bytes=7-", "bytes=0-1,3-4"].map(str::to_owned));
            lines(all)
        }
        "restore_metadata" => lines(from(&["backup"], &["metadata", "head"])),
        _ => vec![identity],
    };
    // The large ones say nothing new, and the time is better spent on many small ones.
    let mut all: Vec<Vec<u8>> = from_vectors
        .into_iter()
        .chain(kept(target))
        .filter(|seed| seed.len() <= 32 << 10)
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Bytes that mean something to a decoder: lengths, markers, the edges of numbers, brackets.
const EDGES: [&[u8]; 20] = [
    &[0x00],
    &[0x7f],
    &[0x80],
    &[0x8f],
    &[0x9f],
    &[0xbf],
    &[0xc0],
    &[0xc1],
    &[0xc4, 0xff],
    &[0xc6, 0xff, 0xff, 0xff, 0xff],
    &[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xd9, 0x20],
    &[0xdd, 0x7f, 0xff, 0xff, 0xff],
    &[0xdf, 0xff, 0xff, 0xff, 0xff],
    &[0xff],
    b"\"",
    b"[[[[[[[[",
    b"18446744073709551615",
    b"\\u202e",
    b"%2e%2e/",
];

fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        match dice.below(7) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 if at < input.len() => input[at] = dice.below(256) as u8,
            2 => input.truncate(at),
            3 => {
                let edge = EDGES[dice.below(EDGES.len())];
                input.splice(at..at, edge.iter().copied());
            }
            4 => {
                let edge = EDGES[dice.below(EDGES.len())];
                let end = (at + edge.len()).min(input.len());
                input.splice(at..end, edge.iter().copied());
            }
            5 => {
                let end = (at + 1 + dice.below(32)).min(input.len());
                let part = input[at..end].to_vec();
                input.splice(at..at, part);
            }
            _ => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input
}

fn run(known: &Known, (target, body): (&str, Body), input: &[u8], seed: u64) {
    let done = catch_unwind(AssertUnwindSafe(|| body(known, input)));
    assert!(done.is_ok(), "{target} fails, ZOTFERRY_SEED={seed}, for {}", hex::encode(input));
}

/// PKT-2 to PKT-4: no bytes of anybody end in a panic, and what is taken is what it says.
#[test]
fn bytes_of_strangers_are_taken_or_refused() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("ZOTFERRY_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let times = number("ZOTFERRY_FUZZ").unwrap_or(2_000);
    println!("ZOTFERRY_SEED={seed}");
    let known = known();
    for (target, body) in ALL {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "no seeds for {target}");
        let mut dice = Dice(seed | 1);
        seeds.iter().for_each(|input| run(&known, (target, body), input, seed));
        for _ in 0..times {
            run(&known, (target, body), &mutated(&mut dice, &seeds), seed);
        }
    }
}

/// A seed that nothing takes leads nowhere: for each body that takes packets some are good.
#[test]
fn seeds_reach_the_ends_of_the_bodies() {
    let known = known();
    let taken = |target: &str, good: &dyn Fn(&[u8]) -> bool| {
        let count = seeds(target).iter().filter(|seed| good(seed)).count();
        assert!(count >= 3, "{target}: {count} good seeds");
    };
    taken("envelope", &|seed| {
        let sealed = zotferry_protocol::envelope::open(seed);
        sealed.is_ok_and(|s| s.authenticate(&known.site, &known.me).is_ok())
    });
    taken("restore_metadata", &|seed| zotferry_backup::Metadata::decode(seed).is_ok());
    taken("locations", &|seed| {
        let signed = zotferry_protocol::codec::decode_owned::<
            zotferry_protocol::identity::SignedLocation,
        >(seed);
        signed
            .is_ok_and(|s| s.claimed_channel().is_ok_and(|c| s.verify(&c, &known.channel).is_ok()))
    });
    let names: BTreeSet<&str> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), ALL.len());
}

/// Writes the seeds for a run of the targets in `fuzz/`, where somebody asks for it.
#[test]
fn seeds_can_be_written() {
    let asked = std::env::var("ZOTFERRY_FUZZ_SEEDS").ok().map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let to = asked.unwrap_or_else(|| temporary.path().to_owned());
    for (target, _) in ALL {
        let folder = to.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for (n, seed) in seeds(target).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{n:04}")), seed).unwrap();
        }
        assert!(std::fs::read_dir(folder).unwrap().next().is_some());
    }
}

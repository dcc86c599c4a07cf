//! Runs the vectors of `spec/vectors/` against this crate. An encoder that was written from the
//! specification's text alone has made them (`spec/make_vectors.py`).
//!
//! Owns: which file and which kind of case is run by what. A file or a kind without a runner fails.
//! Spec: README, "How to prove an implementation".

mod audit;
mod envelopes;
mod files;
mod frames;
mod identity;
mod keys;
mod packets;
mod photos;
mod refusals;
mod restores;
mod support;
mod sync;

use std::collections::BTreeSet;

use support::{File, folder, run};

const THEMES: &[&[File]] = &[
    audit::FILES,
    envelopes::FILES,
    files::FILES,
    frames::FILES,
    identity::FILES,
    keys::FILES,
    packets::FILES,
    photos::FILES,
    refusals::FILES,
    restores::FILES,
    sync::FILES,
];

/// What is about rules that this crate does not know: `backup/tests/vectors/`, and in `src/` `items/tests.rs`,
/// `packets/tests/`, `photo/vectors.rs` and `transport/address.rs` run it, and of `images` `tests/hubs/photos.rs`.
const ELSEWHERE: [&str; 6] = ["addresses", "backup", "images", "items", "replays", "trees"];

/// A vector that nobody runs proves nothing.
#[test]
fn every_file_has_a_runner() {
    let there: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("spec/vectors")
        .filter_map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.to_str()?.strip_suffix(".json").map(str::to_owned)
        })
        .collect();
    let run = THEMES.iter().copied().flatten().map(|file| file.0).chain(ELSEWHERE);
    assert_eq!(there, run.map(str::to_owned).collect());
}

/// AUDIT-1, AUDIT-2, AUDIT-3, AUDIT-4.
#[test]
fn catalogs_are_summed_up_as_specified() {
    run(audit::FILES);
}

/// PKT-1 to PKT-9, SIGN-1, SIGN-3 to SIGN-6, SIGN-11, SIGN-13, SIGN-14.
#[test]
fn envelopes_are_taken_or_refused_as_specified() {
    run(envelopes::FILES);
}

/// FILE-1 to FILE-3, FILE-6 to FILE-8, FILE-10 to FILE-12.
#[test]
fn contents_are_cut_and_proved_as_specified() {
    run(files::FILES);
}

/// FETCH-10 to FETCH-18, FETCH-20, FETCH-21, STREAM-5, STREAM-9, STREAM-10.
#[test]
fn frames_and_streams_are_read_as_specified() {
    run(frames::FILES);
}

/// ID-1 to ID-5, ID-7, ID-8 to ID-10, ID-19, ID-21.
#[test]
fn identities_and_locations_hold_as_specified() {
    run(identity::FILES);
}

/// ID-24 to ID-29, ID-34 to ID-37.
#[test]
fn rotations_and_notices_hold_as_specified() {
    run(keys::FILES);
}

/// PKT-1, SYNC-4 to SYNC-6, SYNC-14, SYNC-15, FILE-14 to FILE-16.
#[test]
fn packets_have_the_specified_bytes() {
    run(packets::FILES);
}

/// PHOTO-1 to PHOTO-4, PHOTO-9.
#[test]
fn photos_are_as_specified() {
    run(photos::FILES);
}

/// REF-1, REF-4.
#[test]
fn refusals_are_those_of_the_table() {
    run(refusals::FILES);
}

/// BACKUP-26, BACKUP-27.
#[test]
fn restores_are_believed_as_specified() {
    run(restores::FILES);
}

/// SYNC-6, SYNC-7, SYNC-18 to SYNC-26, SYNC-33, SYNC-37, SYNC-38, SYNC-40, SYNC-44.
#[test]
fn rows_and_versions_behave_as_specified() {
    run(sync::FILES);
}

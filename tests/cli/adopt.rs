//! Files that were there before.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Home, noise, write};

fn hub(home: &Home) {
    home.init("hub");
    home.run(0, &["--dir", "hub", "channel", "new", "alice"]);
}

fn listed(home: &Home) -> Vec<(String, u64)> {
    let entries = home.run(0, &["--dir", "hub", "ls", "alice", "-R", "--json"]).json();
    let files = entries.iter().filter(|entry| entry["folder"] == false);
    let one = |e: &Value| (e["path"].as_str().unwrap_or("").to_owned(), e["size"].as_u64());
    let mut files: Vec<_> = files.map(one).map(|(path, size)| (path, size.unwrap_or(0))).collect();
    files.sort();
    files
}

/// A folder is adopted under its name, or what lies in it, without a running hub; what cannot be is named.
#[test]
fn a_folder_or_what_lies_in_it_is_adopted() {
    let home = Home::new();
    hub(&home);
    write(&home.path("photos/a.jpg"), b"a");
    write(&home.path("photos/sub/b.jpg"), &noise(100_000));
    symlink("/etc/passwd", home.path("photos/link")).expect("linked");
    let whole = home.run(6, &["--dir", "hub", "adopt", "photos", "alice"]);
    assert!(whole.out.starts_with("adopted 2 files ("), "{}", whole.out);
    assert!(whole.err.contains("link: a symbolic link is not a file"), "{}", whole.err);
    let args = ["--dir", "hub", "adopt", "photos/", "alice", "--to", "/in/it", "--link", "--json"];
    let inside = home.run(6, &args).json();
    let ways: Vec<&Value> =
        inside.iter().filter(|e| e["done"]["folder"] == false).map(|e| &e["done"]["way"]).collect();
    assert_eq!(ways, ["copied", "linked"], "small files are always copied");
    let again = home.run(6, &["--dir", "hub", "adopt", "photos/", "alice", "--to", "/in/it"]);
    assert!(again.out.starts_with("adopted 0 files; 2 were here;"), "{}", again.out);
    let (a, b) = (("a.jpg".to_owned(), 1), ("sub/b.jpg".to_owned(), 100_000));
    let both = ["/in/it/", "/photos/"]
        .iter()
        .flat_map(|at| [&a, &b].map(|(name, size)| (format!("{at}{name}"), *size)));
    assert_eq!(listed(&home), both.collect::<Vec<_>>());
}

/// A file that is gone, a channel that is not there, and words that do not fit each other.
#[test]
fn what_cannot_be_meant_is_refused() {
    let home = Home::new();
    hub(&home);
    write(&home.path("a"), b"a");
    home.run(4, &["--dir", "hub", "adopt", "nothing", "alice"]);
    home.run(4, &["--dir", "hub", "adopt", "a", "bob"]);
    for args in [
        &["a"][..],
        &["a", "alice", "--link", "--move"],
        &["a", "alice", "--store", "."],
        &["alice", "--hubzilla", "mysql://u@localhost/hz"],
        &["a", "alice", "--hubzilla", "mysql://u@localhost/hz", "--store", "."],
        &["alice", "--hubzilla", "mysql://u@localhost/hz", "--store", ".", "--link"],
    ] {
        home.run(2, &[&["--dir", "hub", "adopt"], args].concat());
    }
    for url in ["secret", "http://u:secret@localhost/hz", "mysql://u:secret@localhost"] {
        let args = ["--dir", "hub", "adopt", "--hubzilla", url, "--store", ".", "alice"];
        let refused = home.run(1, &args);
        assert!(
            refused.err.contains("the database's URL") || refused.err.contains("a database's URL"),
            "{}",
            refused.err
        );
        assert!(!refused.err.contains("secret"), "{}", refused.err);
    }
    assert_eq!(listed(&home), []);
}

/// Killed at any moment, a move has lost nothing: every file is where it was or in the channel, and the next
/// run goes on. Nothing half-written is left.
#[test]
fn a_move_that_is_killed_loses_nothing() {
    let home = Home::new();
    hub(&home);
    let names: Vec<String> = (0..1200).map(|n| format!("{:02}/{n}", n % 20)).collect();
    for (n, name) in names.iter().enumerate() {
        let size = if n % 50 == 0 { 300_000 } else { 900 };
        let mut bytes = noise(size);
        bytes[..8].copy_from_slice(&(n as u64).to_le_bytes());
        write(&home.path("tree").join(name), &bytes);
    }
    let size =
        |name: &str| fs::metadata(home.path("tree").join(name)).map(|about| about.len()).ok();
    let sizes: Vec<u64> = names.iter().filter_map(|name| size(name)).collect();
    for round in 0..8 {
        let mut adopt = Command::new(env!("CARGO_BIN_EXE_zotferry"))
            .args(["--dir", "hub", "adopt", "tree/", "alice", "--move", "--json"])
            .current_dir(home.path(""))
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        // Each round is killed a little further on, whatever it is about to do then.
        let told = BufReader::new(adopt.stdout.take().expect("piped")).lines();
        told.take(1 + 31 * round).for_each(|line| drop(line.expect("read")));
        adopt.kill().ok();
        adopt.wait().expect("ended");
        let there = listed(&home);
        for (name, wanted) in names.iter().zip(&sizes) {
            let listed = there.binary_search(&(format!("/{name}"), *wanted)).is_ok();
            assert!(listed || size(name) == Some(*wanted), "{name} is lost in round {round}");
        }
    }
    home.run(0, &["--dir", "hub", "adopt", "tree/", "alice", "--move"]);
    assert_eq!(listed(&home).len(), names.len());
    assert!(names.iter().all(|name| size(name).is_none()), "all were moved");
    let _hub = home.start("hub");
    for name in names.iter().step_by(150) {
        let got = home.run(0, &["--dir", "hub", "get", "alice", &format!("/{name}"), "-"]);
        let n: u64 = name.split('/').next_back().and_then(|n| n.parse().ok()).expect("a number");
        assert_eq!(got.bytes[..8], n.to_le_bytes(), "{name}");
    }
    let left = fs::read_dir(home.path("hub/storage/partial")).expect("read").count();
    assert_eq!(left, 0, "nothing half-written is left");
    home.run(0, &["--dir", "hub", "audit", "alice", "--files"]);
}

/// A copy of files that ordinary tools kept is a channel again by `cp` and `adopt` alone: the same folders,
/// bytes, times and executable bits.
#[test]
fn a_copy_made_by_cp_is_adopted() {
    let home = Home::new();
    hub(&home);
    write(&home.path("backup/films/large"), &noise(2_500_000));
    write(&home.path("backup/notes/ümläut & more.txt"), b"notes");
    let script = home.path("backup/run.sh");
    write(&script, b"#!/bin/sh\n");
    let mut mode = fs::metadata(&script).expect("there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&script, mode).expect("set");
    let shell = "set -e
        find backup -exec touch -d '2003-04-05 06:07:08.250' {} +
        cp -a backup restored
        \"$ZOTFERRY\" --dir hub adopt restored/ alice --to /restored
        \"$ZOTFERRY\" --dir hub get alice /restored/films/large films
        cmp films backup/films/large";
    let mut command = home.command(&[]);
    let binary = command.get_program().to_owned();
    command = assert_cmd::Command::new("sh");
    command.args(["-c", shell]).current_dir(home.path("")).env("ZOTFERRY", binary);
    command.env_remove("ZOTFERRY_DIR").timeout(Duration::from_secs(60)).assert().success();
    let wanted = [("films/large", 2_500_000), ("notes/ümläut & more.txt", 5), ("run.sh", 10)];
    let wanted = wanted.map(|(name, size)| (format!("/restored/{name}"), size));
    assert_eq!(listed(&home), wanted);
    home.run(0, &["--dir", "hub", "get", "alice", "/restored/run.sh"]);
    let (was, is) = (fs::metadata(&script), fs::metadata(home.path("run.sh")));
    let (was, is) = (was.expect("there"), is.expect("there"));
    assert_eq!(is.modified().expect("known"), was.modified().expect("known"));
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&is.permissions()) & 0o100, 0o100);
    let edited = home.run(0, &["--dir", "hub", "ls", "alice", "/restored", "--json"]).json();
    assert!(
        edited.iter().all(|e| e["edited"].as_str().expect("a date").starts_with("2003-04-0")),
        "{edited:?}"
    );
}

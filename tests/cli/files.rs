//! Files put on one hub, read on another.

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use crate::harness::{Home, Running, noise, write};

/// Two running hubs, `a` and `b`, and a channel `alice` on both of them.
fn pair(home: &Home) -> (Running, Running) {
    home.init("a");
    home.init("b");
    home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    home.run(0, &["--dir", "a", "channel", "export", "alice", "alice.id"]);
    home.run(0, &["--dir", "b", "channel", "import", "alice.id"]);
    let hubs = (home.start("a"), home.start("b"));
    for name in ["a", "b"] {
        home.until(name, "the hubs list each other", |channel| {
            channel["clones"][0]["state"] == "listed"
        });
    }
    hubs
}

fn has(files: u64) -> impl Fn(&Value) -> bool {
    move |channel| channel["present"]["files"] == files && channel["wanted"]["files"] == 0
}

/// What is put on one hub is listed and read on the other, with its time and its executable bit,
/// and names cannot steer a terminal.
#[test]
fn files_go_from_one_hub_to_the_other() {
    let home = Home::new();
    let _hubs = pair(&home);
    let large = noise(3_500_000);
    write(&home.path("tree/large"), &large);
    write(&home.path("tree/sub/two\nlines\u{202e}"), b"odd");
    write(&home.path("tree/empty"), b"");
    let script = home.path("tree/script");
    write(&script, b"#!/bin/sh\n");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("set");
    let put = home.run(0, &["--dir", "a", "put", "alice", "tree", "--to", "/from/a"]);
    assert!(put.out.starts_with("put 4 files"), "{}", put.out);
    home.until("b", "four files are there", has(4));

    home.run(0, &["--dir", "b", "get", "alice", "/from/a/tree/large", "got"]);
    assert!(std::fs::read(home.path("got")).expect("there") == large);
    home.run(0, &["--dir", "b", "get", "alice", "/from/a/tree/script"]);
    let (was, is) = (std::fs::metadata(&script), std::fs::metadata(home.path("script")));
    let (was, is) = (was.expect("there"), is.expect("there"));
    assert!(is.permissions().mode() & 0o100 != 0);
    let ms = |about: &std::fs::Metadata| {
        let since = about.modified().expect("known").duration_since(std::time::UNIX_EPOCH);
        since.expect("after 1970").as_millis()
    };
    assert_eq!(ms(&is), ms(&was));
    let odd = "/from/a/tree/sub/two\nlines\u{202e}";
    assert_eq!(home.run(0, &["--dir", "b", "get", "alice", odd, "-"]).bytes, b"odd");
    assert_eq!(home.run(0, &["--dir", "b", "get", "alice", "/from/a/tree/empty", "-"]).bytes, b"");

    let listed = home.run(0, &["--dir", "b", "ls", "alice", "/from/a/tree", "-R"]);
    assert!(listed.out.contains("two\\u{a}lines\\u{202e}"), "{}", listed.out);
    let entries = home.run(0, &["--dir", "b", "ls", "alice", "-R", "--json"]).json();
    let find = |path: &str| entries.iter().find(|entry| entry["path"] == path).expect(path);
    assert_eq!(find("/from/a/tree/large")["size"], 3_500_000);
    assert_eq!(find("/from/a/tree/large")["state"], "present");
    assert_eq!(find(odd)["held"], 3);
    assert_eq!(find("/from/a/tree")["folder"], true);
    assert_eq!(entries.len(), 8);
    let file = home.run(0, &["--dir", "b", "ls", "alice", "/from/a/tree/large", "--json"]).json();
    assert_eq!(file, [find("/from/a/tree/large").clone()]);

    home.until("a", "the clone has answered and reported", |channel| {
        channel["clones"][0]["behind"] == 0 && channel["clones"][0]["present"] == 4
    });
    let counts = &home.status("b")["running"]["counts"];
    assert_eq!(counts["bytes_fetched_twice"], 0);
    assert!(counts["first_wanted_ms"].as_u64() <= counts["last_commit_ms"].as_u64());
    assert!(counts["first_wanted_ms"].as_u64() > Some(0));
    let shown = home.run(0, &["--dir", "b", "status"]);
    assert!(shown.out.contains("here    4 files"), "{}", shown.out);
}

/// A paused channel wants its files and does not fetch them; it says so, and goes on when told to.
#[test]
fn a_paused_channel_rests_until_it_is_resumed() {
    let home = Home::new();
    let _hubs = pair(&home);
    home.run(0, &["--dir", "b", "pause", "alice"]);
    write(&home.path("letter"), b"Dear Bob");
    home.run(0, &["--dir", "a", "put", "alice", "letter"]);
    home.until("a", "the clone has heard of it", |c| c["clones"][0]["behind"] == 0);
    home.until("b", "it rests", |c| c["paused"] == true && c["wanted"]["files"] == 1);
    let missing = home.run(4, &["--dir", "b", "get", "alice", "/letter"]);
    assert!(missing.err.contains("not here yet: 0 B of 8 B"), "{}", missing.err);
    let entry = home.run(0, &["--dir", "b", "ls", "alice", "--json"]).json().remove(0);
    assert_eq!(entry["state"], "wanted");
    home.run(0, &["--dir", "b", "resume", "alice"]);
    home.until("b", "the letter came", has(1));
    assert_eq!(home.run(0, &["--dir", "b", "get", "alice", "/letter", "-"]).bytes, b"Dear Bob");
}

/// What cannot be put is named and the rest is put; a path that is not there stops the command.
#[test]
fn what_cannot_be_put_is_named() {
    let home = Home::new();
    home.init("a");
    home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    let _hub = home.start("a");
    write(&home.path("tree/file"), b"x");
    symlink("/etc/passwd", home.path("tree/link")).expect("linked");
    let put = home.run(6, &["--dir", "a", "put", "alice", "tree"]);
    assert!(put.err.contains("link: a symbolic link is not a file"), "{}", put.err);
    assert!(put.out.starts_with("put 1 file,"), "{}", put.out);
    let missing = home.run(4, &["--dir", "a", "put", "alice", "nothing"]);
    assert!(missing.err.contains("nothing"), "{}", missing.err);
    assert!(missing.err.contains("the hub, which runs as user"), "{}", missing.err);
    let events = home.run(6, &["--dir", "a", "put", "alice", "tree", "--json"]).json();
    assert!(events.iter().any(|event| event["done"]["change"] == "unchanged"), "{events:?}");
    home.run(1, &["--dir", "a", "put", "alice", "tree/file", "--to", "/.."]);
}

/// What is not there is told apart from what failed.
#[test]
fn what_is_not_there_has_its_own_exit_code() {
    let home = Home::new();
    home.init("a");
    home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    let hub = home.start("a");
    write(&home.path("tree/file"), b"x");
    home.run(0, &["--dir", "a", "put", "alice", "tree"]);
    home.run(4, &["--dir", "a", "ls", "bob"]);
    home.run(4, &["--dir", "a", "ls", "alice", "/nothing"]);
    home.run(4, &["--dir", "a", "get", "alice", "/tree/nothing"]);
    home.run(4, &["--dir", "a", "get", "alice", "/tree/file", "nowhere/file"]);
    let folder = home.run(1, &["--dir", "a", "get", "alice", "/tree"]);
    assert!(folder.err.contains("is a folder"), "{}", folder.err);
    let retried = home.run(0, &["--dir", "a", "retry", "alice"]);
    assert_eq!(retried.out, "0 jobs and 0 files are tried again\n");
    drop(hub);
    // Reading needs no running hub.
    assert_eq!(home.run(0, &["--dir", "a", "get", "alice", "/tree/file", "-"]).bytes, b"x");
    home.run(0, &["--dir", "a", "ls", "alice"]);
}

/// A file appears under its name only when it is whole, and an old one stays until then.
#[test]
fn a_get_that_fails_leaves_the_old_file() {
    let home = Home::new();
    home.init("a");
    home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    let _hub = home.start("a");
    write(&home.path("out/file"), b"old");
    home.run(4, &["--dir", "a", "get", "alice", "/nothing", "out/file"]);
    assert_eq!(std::fs::read(home.path("out/file")).expect("there"), b"old");
    assert_eq!(std::fs::read_dir(home.path("out")).expect("read").count(), 1);
}

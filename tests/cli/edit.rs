//! Entries made, moved, copied, removed and described from the command line.

use crate::harness::{Home, write};

/// A hub with a channel and some files, not running.
fn home() -> Home {
    let home = Home::new();
    home.init("a");
    home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    write(&home.path("tree/one"), b"1");
    write(&home.path("tree/two"), b"2");
    let running = home.start("a");
    home.run(0, &["--dir", "a", "put", "alice", "tree"]);
    drop(running);
    home
}

fn listed(home: &Home) -> Vec<String> {
    let entries = home.run(0, &["--dir", "a", "ls", "alice", "-R", "--json"]).json();
    let paths = entries.iter().map(|entry| entry["path"].as_str().expect("a path").to_owned());
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}

/// SYNC-33, SYNC-39: entries are edited beside a running hub as well as without one, and each refusal has its exit code.
#[test]
fn entries_are_edited_by_path() {
    let home = home();
    let run = |code: i32, args: &[&str]| home.run(code, &[&["--dir", "a"], args].concat());
    run(0, &["mkdir", "alice", "/new"]);
    assert!(run(1, &["mkdir", "alice", "/new"]).err.contains("there already"));
    run(4, &["mkdir", "alice", "/deep/er"]);
    run(0, &["mkdir", "-p", "alice", "/deep/er", "/new"]);
    let running = home.start("a");
    run(0, &["mv", "alice", "/tree/one", "/new/first"]);
    run(1, &["mv", "alice", "/tree/two", "/new/first"]);
    run(4, &["mv", "alice", "/nothing", "/new"]);
    run(4, &["mv", "alice", "/tree/two", "/nowhere/"]);
    run(1, &["mv", "alice", "/deep", "/deep/er"]);
    run(1, &["cp", "alice", "/new", "/copy"]);
    let copied = run(0, &["cp", "-r", "alice", "/new", "/copy", "--json"]).json();
    assert_eq!((&copied[0]["from"], &copied[0]["path"]), (&"/new".into(), &"/copy".into()));
    let replaced = run(0, &["mv", "-f", "alice", "/tree/two", "/new/first", "--json"]).json();
    assert_eq!(replaced[0]["replaced"], true);
    run(6, &["mv", "alice", "/new/first", "/copy/first", "/deep/er"]);
    drop(running);
    assert_eq!(
        listed(&home),
        ["/copy", "/copy/first", "/deep", "/deep/er", "/deep/er/first", "/new", "/tree"]
    );
}

/// SYNC-33: a folder goes only when that was said; of several what can be done is.
#[test]
fn removing_asks_for_a_word() {
    let home = home();
    let run = |code: i32, args: &[&str]| home.run(code, &[&["--dir", "a"], args].concat());
    assert!(run(1, &["rm", "alice", "/tree"]).err.contains("-r removes it"));
    run(4, &["rm", "alice", "/nothing"]);
    run(0, &["rm", "-f", "alice", "/nothing"]);
    run(6, &["rm", "alice", "/nothing", "/tree/one"]);
    run(1, &["rm", "-r", "alice", "/"]);
    let removed = run(0, &["rm", "-r", "alice", "/tree", "--json"]).json();
    assert_eq!(removed[0]["removed"], 2);
    assert!(listed(&home).is_empty());
}

/// A title, tags and access lists are set, told and taken away.
#[test]
fn entries_are_described() {
    let home = home();
    let meta = |args: &[&str]| {
        let args = [&["--dir", "a", "meta", "alice", "/tree/one", "--json"], args].concat();
        home.run(0, &args).json().remove(0)
    };
    let before = meta(&[]);
    assert_eq!((&before["sight"], &before["title"]), (&"private".into(), &serde_json::Value::Null));
    let set = meta(&["--title", "The first", "--tag", "one", "--tag", "ün", "--public"]);
    assert_eq!(set, meta(&[]));
    assert_eq!((&set["title"], &set["sight"]), (&"The first".into(), &"public".into()));
    assert_eq!(set["tags"], serde_json::json!(["one", "ün"]));
    assert_eq!(set["id"], before["id"]);
    let lists = meta(&["--allow", "somebody", "--deny-group", "g1"]);
    assert_eq!(lists["sight"]["lists"]["allow"], serde_json::json!(["somebody"]));
    assert_eq!(lists["sight"]["lists"]["deny_groups"], serde_json::json!(["g1"]));
    let cleared = meta(&["--title", "", "--no-tags", "--private"]);
    assert_eq!(cleared, before);
    home.run(1, &["--dir", "a", "meta", "alice", "/tree/one", "--allow", "<x>"]);
    home.run(2, &["--dir", "a", "meta", "alice", "/tree/one", "--public", "--private"]);
    home.run(4, &["--dir", "a", "meta", "alice", "/nothing"]);
}

/// A folder is opened with all that lies in it, and what is as it should be does not change again.
#[test]
fn a_folder_is_opened_with_all_in_it() {
    let home = home();
    let run = |code: i32, args: &[&str]| {
        home.run(code, &[&["--dir", "a", "meta", "alice"], args].concat())
    };
    let sight = |path: &str| run(0, &[path, "--json"]).json().remove(0)["sight"].clone();
    let opened = run(0, &["/tree", "--public", "-R", "--json"]).json();
    assert_eq!(opened[0]["changed"], 3);
    assert_eq!([sight("/tree"), sight("/tree/one")], ["public", "public"]);
    assert!(run(0, &["/tree", "--public", "-R"]).out.contains("changed 0 entries"));
    assert!(run(0, &["/", "--private", "-R"]).out.contains("changed 3 entries"));
    assert_eq!([sight("/tree"), sight("/tree/one")], ["private", "private"]);
    run(2, &["/tree", "-R"]);
    run(4, &["/nothing", "--public", "-R"]);
    assert!(run(1, &["/tree/one", "--public", "-R"]).err.contains("is no folder"));
}

/// What is no rectangle is a mistake in the command, and nothing was put before it is found.
#[test]
fn a_crop_is_four_numbers() {
    let home = home();
    for crop in ["1,2,3", "1,2,3,x", "1,2,0,4"] {
        let told = home.run(
            2,
            &["--dir", "a", "photo", "profile", "alice", "me.jpg", "--put", "--crop", crop],
        );
        assert!(told.err.contains("--crop"), "{}", told.err);
    }
}

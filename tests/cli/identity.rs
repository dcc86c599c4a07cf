//! Channels made, exported, imported.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Home, write};

/// A channel carried to another hub in a file is the same channel; the file is its owner's alone.
#[test]
fn an_exported_channel_is_the_same_elsewhere() {
    let home = Home::new();
    home.init("a");
    home.init("b");
    let made = home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    home.run(0, &["--dir", "a", "channel", "export", "alice", "alice.id"]);
    let mode = std::fs::metadata(home.path("alice.id")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let brought = home.run(0, &["--dir", "b", "channel", "import", "alice.id", "--nick", "ali"]);
    let id = made.out.split_whitespace().nth(1).expect("an id");
    assert!(brought.out.starts_with(&format!("ali  {id}\n")), "{}", brought.out);
    let list = home.run(0, &["--dir", "b", "channel", "list", "--json"]).json();
    assert_eq!(list[0]["id"], id);
    assert_eq!(list[0]["hubs"].as_array().map(Vec::len), Some(2));
    let again = home.run(1, &["--dir", "b", "channel", "import", "alice.id"]);
    assert!(again.err.contains("lives on this hub already"), "{}", again.err);
}

/// A wrong passphrase and a damaged file are told apart, and change nothing.
#[test]
fn what_does_not_open_says_why() {
    let home = Home::new();
    home.init("hub");
    home.run(0, &["--dir", "hub", "channel", "new", "alice"]);
    home.run(0, &["--dir", "hub", "channel", "export", "alice", "alice.id"]);
    let import = |file: &str, passphrase: &str| {
        let mut command = home.command(&["--dir", "hub", "channel", "import", file]);
        let assert = command.env("ZOTFERRY_PASSPHRASE", passphrase).assert().code(5);
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    };
    let wrong = import("alice.id", "wrong horse");
    assert!(wrong.contains("alice.id: wrong passphrase"), "{wrong}");
    let mut file = std::fs::read(home.path("alice.id")).expect("read");
    file[200] ^= 1;
    write(&home.path("damaged.id"), &file);
    let damaged = import("damaged.id", "correct horse");
    assert!(damaged.contains("damaged.id: the identity file is damaged"), "{damaged}");
    write(&home.path("cut.id"), &file[..500]);
    let cut = import("cut.id", "correct horse");
    assert!(cut.contains("cut off"), "{cut}");
    write(&home.path("letter.txt"), b"Dear Alice");
    let letter = import("letter.txt", "correct horse");
    assert!(letter.contains("not an identity file"), "{letter}");
}

/// Passphrases come from a file, the environment or a terminal, and have some length.
#[test]
fn a_passphrase_is_never_guessed() {
    let home = Home::new();
    home.init("hub");
    home.run(0, &["--dir", "hub", "channel", "new", "alice"]);
    let export = ["--dir", "hub", "channel", "export", "alice", "alice.id"];
    let mut without = home.command(&export);
    let assert = without.env_remove("ZOTFERRY_PASSPHRASE").write_stdin("").assert().code(2);
    let error = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(error.contains("--passphrase-file"), "{error}");
    let mut short = home.command(&export);
    short.env("ZOTFERRY_PASSPHRASE", "short").assert().code(1);
    assert!(!home.path("alice.id").exists());
    write(&home.path("secret.txt"), b"from a file\nnot this\n");
    let from_file = [&export[..], &["--passphrase-file", "secret.txt"]].concat();
    home.run(0, &from_file);
    let refused = home.run(1, &export);
    assert!(refused.err.contains("exists already"), "{}", refused.err);
    home.init("b");
    home.run(5, &["--dir", "b", "channel", "import", "alice.id"]);
    let import = ["--dir", "b", "channel", "import", "alice.id"];
    home.run(0, &[&import[..], &["--passphrase-file", "secret.txt"]].concat());
}

/// A Hubzilla export is taken without a passphrase, with a word about the open key.
#[test]
fn a_hubzilla_export_is_taken_with_a_warning() {
    let home = Home::new();
    home.init("hub");
    let file = include_bytes!("../fixtures/hubzilla-identity.json");
    write(&home.path("alice.json"), file);
    let mut import = home.command(&["--dir", "hub", "channel", "import", "alice.json"]);
    let assert = import.env_remove("ZOTFERRY_PASSPHRASE").assert().code(0);
    let error = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(error.contains("destroy the file"), "{error}");
    let status = home.status("hub");
    let clone = &status["channels"][0]["clones"][0];
    assert_eq!(clone["url"], "https://hub-a.test");
    assert_eq!(clone["state"], "foreign");
    // The same channel with the same key, as it was in the file.
    let export: serde_json::Value = serde_json::from_slice(file).expect("JSON");
    let list = home.run(0, &["--dir", "hub", "channel", "list", "--json"]).json();
    assert_eq!(list[0]["id"], export["channel"]["channel_hash"]);
    assert_eq!(list[0]["guid"], export["channel"]["channel_guid"]);
    let keys = std::fs::read_dir(home.path("hub/keys")).expect("read");
    let keys: Vec<String> =
        keys.filter_map(|key| std::fs::read_to_string(key.expect("read").path()).ok()).collect();
    assert!(keys.iter().any(|key| export["channel"]["channel_prvkey"] == key.as_str()));
}

/// Names that cannot be are refused, as are channels that are not there.
#[test]
fn channels_have_names() {
    let home = Home::new();
    home.init("hub");
    let refused = home.run(1, &["--dir", "hub", "channel", "new", "Alice B"]);
    assert!(refused.err.contains("lower-case"), "{}", refused.err);
    let missing = home.run(4, &["--dir", "hub", "channel", "export", "bob", "bob.id"]);
    assert!(missing.err.contains("no channel bob"), "{}", missing.err);
    home.run(4, &["--dir", "hub", "channel", "import", "nothing.id"]);
}

/// ID-31: a rotated channel keeps its id; the file that comes of it brings the new key to a hub that has
/// the channel, once.
#[test]
fn a_new_key_is_carried_in_a_file() {
    let home = Home::new();
    home.init("a");
    home.init("b");
    let made = home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    let id = made.out.split_whitespace().nth(1).expect("an id").to_owned();
    home.run(0, &["--dir", "a", "channel", "export", "alice", "old.id"]);
    home.run(0, &["--dir", "b", "channel", "import", "old.id"]);
    home.run(0, &["--dir", "a", "channel", "rotate", "alice", "new.id"]);
    let brought = home.run(0, &["--dir", "b", "channel", "import", "new.id"]);
    assert!(brought.out.starts_with(&format!("alice  {id}\n")), "{}", brought.out);
    let again = home.run(1, &["--dir", "b", "channel", "import", "new.id"]);
    assert!(again.err.contains("lives on this hub already"), "{}", again.err);
    let here = home.run(0, &["--dir", "b", "clone", "ls", "alice", "--json"]).json();
    let own = here.iter().find(|hub| hub["here"] == true);
    assert_eq!(own.expect("this hub")["newest_key"], true);
}

/// A hub removes no clone that it does not know, nor itself; it leaves, and what it had goes with it.
#[test]
fn a_channel_leaves_a_hub() {
    let home = Home::new();
    home.init("hub");
    home.run(0, &["--dir", "hub", "channel", "new", "alice"]);
    let unknown = home.run(4, &["--dir", "hub", "clone", "remove", "alice", "https://x.example"]);
    assert!(unknown.err.contains("no clone at https://x.example"), "{}", unknown.err);
    let list = home.run(0, &["--dir", "hub", "clone", "ls", "alice"]);
    assert!(list.out.contains("this hub, primary"), "{}", list.out);
    let url = list.out.split_whitespace().next().expect("a URL");
    let itself = home.run(1, &["--dir", "hub", "clone", "remove", "alice", url]);
    assert!(itself.err.contains("zotferry clone leave"), "{}", itself.err);
    home.run(0, &["--dir", "hub", "clone", "leave", "alice", "--remove-files"]);
    assert_eq!(home.run(0, &["--dir", "hub", "channel", "list"]).out, "");
    home.run(4, &["--dir", "hub", "clone", "ls", "alice"]);
}

/// An export of a channel with thousands of connections is many megabytes; the identity in it is small.
#[test]
fn a_large_hubzilla_export_is_taken() {
    let home = Home::new();
    home.init("hub");
    let file = include_bytes!("../fixtures/hubzilla-identity.json");
    let mut export: serde_json::Value = serde_json::from_slice(file).expect("JSON");
    export["abook"] = vec!["a connection".repeat(100); 8000].into();
    write(&home.path("alice.json"), &serde_json::to_vec(&export).expect("JSON"));
    home.run(0, &["--dir", "hub", "channel", "import", "alice.json"]);
    let wrong = br#"{"channel": {"channel_address": "alice"}}"#;
    write(&home.path("wrong.json"), wrong);
    let refused = home.run(5, &["--dir", "hub", "channel", "import", "wrong.json"]);
    assert!(refused.err.contains("wrong.json: "), "{}", refused.err);
}

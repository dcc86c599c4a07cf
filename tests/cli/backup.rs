//! Backups as a person makes, looks through and uses them.

use std::path::{Path, PathBuf};

use crate::harness::{Home, noise, write};

/// A resting hub `a` with a channel of a few files, and their names and bytes.
fn furnished(home: &Home) -> Vec<(&'static str, Vec<u8>)> {
    let files = vec![
        ("large", noise(3_500_000)),
        ("empty", Vec::new()),
        ("sub/odd\u{202e}name", b"odd".to_vec()),
        ("sub/medium", noise(200_000)),
    ];
    for (name, bytes) in &files {
        write(&home.path("tree").join(name), bytes);
    }
    home.init("a");
    home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    let hub = home.start("a");
    home.run(0, &["--dir", "a", "put", "alice", "tree"]);
    drop(hub);
    files
}

fn brought(home: &Home, hub: &str, nick: &str, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = format!("/tree/{name}");
        assert!(home.run(0, &["--dir", hub, "get", nick, &path, "-"]).bytes == *bytes, "{name}");
    }
}

/// The largest data file of a backup.
fn largest(backup: &Path) -> PathBuf {
    let shelves = std::fs::read_dir(backup.join("data")).expect("read");
    let files =
        shelves.flat_map(|shelf| std::fs::read_dir(shelf.expect("a folder").path()).expect("read"));
    let files = files.map(|file| file.expect("a file").path());
    files.max_by_key(|path| path.metadata().expect("there").len()).expect("some")
}

/// Saved, verified, brought back: beside a resting hub and a running one.
#[test]
fn a_channel_is_saved_and_brought_back() {
    let home = Home::new();
    let files = furnished(&home);
    let saved = home.run(0, &["export", "a", "alice", "backup"]);
    assert!(saved.out.starts_with("saved 4 files, 3.53 MiB: 2 linked, 2 written"), "{}", saved.out);
    let running = home.start("a");
    let saved = home.run(0, &["export", "a", "alice", "backup"]);
    assert!(saved.out.ends_with(": 4 there before\n"), "{}", saved.out);
    let whole = home.run(0, &["verify", "backup"]);
    assert_eq!(whole.out, "read 6 entries, 4 files, 3.53 MiB: all as they were signed\n");

    home.init("b");
    let refused = home.run(4, &["restore", "backup", "--to", "b"]);
    assert!(refused.err.contains("zotferry channel import"), "{}", refused.err);
    home.run(0, &["--dir", "a", "channel", "export", "alice", "alice.id"]);
    drop(running);
    home.run(0, &["--dir", "b", "channel", "import", "alice.id"]);
    let dry = home.run(0, &["restore", "backup", "--to", "b", "--dry-run"]);
    assert!(dry.out.starts_with("would bring 4 files; looked at 6 entries"), "{}", dry.out);
    assert_eq!(home.run(0, &["--dir", "b", "ls", "alice"]).out, "");
    let hub = home.start("b");
    let done = home.run(0, &["restore", "backup", "--to", "b"]);
    assert!(done.out.starts_with("brought 4 files"), "{}", done.out);
    brought(&home, "b", "alice", &files);
    let again = home.run(0, &["restore", "backup", "--to", "b", "--json"]).json();
    assert_eq!(again.last().expect("a sum")["done"]["files"], 0);
    drop(hub);
}

/// With the identity in it, and its passphrase, a backup makes a clone of an empty hub.
#[test]
fn a_backup_with_identity_needs_nothing_else() {
    let home = Home::new();
    let files = furnished(&home);
    home.run(0, &["export", "a", "alice", "backup", "--with-identity"]);
    home.init("b");
    let mut command = home.command(&["restore", "backup", "--to", "b"]);
    command.env("ZOTFERRY_PASSPHRASE", "wrong horse").assert().code(5);
    home.run(0, &["restore", "backup", "--to", "b", "--nick", "al", "--copy"]);
    brought(&home, "b", "al", &files);
}

/// Damage is named with the file that it is in, and mended from the hub or from another backup.
#[test]
fn damage_is_named_and_mended() {
    let home = Home::new();
    furnished(&home);
    for name in ["backup", "other"] {
        home.run(0, &["export", "a", "alice", name, "--copy"]);
    }
    let path = largest(&home.path("backup"));
    let good = std::fs::read(&path).expect("read");
    let mut bad = good.clone();
    bad[2_000_000] ^= 1;
    write(&path, &bad);
    let odd = home.path("backup/data/notes.txt");
    write(&odd, b"mine");
    let found = home.run(6, &["verify", "backup"]);
    assert!(found.out.contains("damaged: data/"), "{}", found.out);
    assert!(found.out.contains("(tree/large): 1 of 4 chunks"), "{}", found.out);
    assert!(found.out.contains("extra: data/notes.txt"), "{}", found.out);
    assert!(found.out.contains("1 damaged or missing, 1 extra"), "{}", found.out);
    let found = home.run(0, &["verify", "backup", "--repair-from", "a"]);
    assert!(found.out.contains("damaged, mended: data/"), "{}", found.out);
    assert!(std::fs::read(&path).expect("read") == good);
    std::fs::remove_file(&path).expect("removed");
    let hub = home.start("a");
    home.run(0, &["verify", "backup", "--repair-from", "a"]);
    drop(hub);
    assert!(std::fs::read(&path).expect("read") == good);
    std::fs::remove_dir_all(home.path("backup/meta")).expect("removed");
    home.run(6, &["verify", "backup"]);
    let found = home.run(0, &["verify", "backup", "--repair-from", "other", "--json"]).json();
    assert_eq!(found.last().expect("a sum")["mended"], 6);
    home.run(0, &["verify", "backup", "--threads", "1"]);
    assert!(odd.exists());
}

/// What goes from the channel goes from the backup when that is asked for, and not before; a folder with something
/// else in it is left alone.
#[test]
fn nothing_is_deleted_unless_it_is_asked_for() {
    let home = Home::new();
    furnished(&home);
    home.run(0, &["export", "a", "alice", "backup"]);
    let path = largest(&home.path("backup"));
    home.run(0, &["--dir", "a", "rm", "alice", "/tree/large"]);
    home.run(0, &["export", "a", "alice", "backup"]);
    assert!(path.exists());
    let pruned = home.run(0, &["export", "a", "alice", "backup", "--prune"]);
    assert!(pruned.out.contains("old ones removed"), "{}", pruned.out);
    assert!(!path.exists());
    home.run(0, &["verify", "backup"]);
    let refused = home.run(1, &["export", "a", "alice", "tree"]);
    assert!(refused.err.contains("is not empty and is no backup"), "{}", refused.err);
    home.run(4, &["verify", "tree"]);
    home.run(4, &["export", "a", "bob", "elsewhere"]);
}

/// A backup goes to a hub that runs elsewhere, signed with the key that a hub here has, or an identity file.
#[test]
fn a_backup_is_brought_to_a_url() {
    let home = Home::new();
    let files = furnished(&home);
    home.run(0, &["export", "a", "alice", "backup"]);
    home.init("b");
    let _hub = home.start("b");
    let config = std::fs::read_to_string(home.path("b/config.toml")).expect("read");
    let url = config.lines().find_map(|line| line.strip_prefix("url = ")).expect("a URL");
    let url = url.trim_matches('"');
    let keyless = home.run(2, &["restore", "backup", "--to", url]);
    assert!(keyless.err.contains("--key-from"), "{}", keyless.err);
    let unknown = home.run(4, &["restore", "backup", "--to", url, "--key-from", "a"]);
    assert!(unknown.err.contains("unknown-channel"), "{}", unknown.err);
    home.run(0, &["--dir", "a", "channel", "export", "alice", "alice.id"]);
    home.run(0, &["--dir", "b", "channel", "import", "alice.id"]);
    let done = home.run(0, &["restore", "backup", "--to", url, "--key-from", "a"]);
    assert!(done.out.starts_with("brought 4 files; looked at 6 entries"), "{}", done.out);
    brought(&home, "b", "alice", &files);
    let again = home.run(0, &["restore", "backup", "--to", url, "--identity", "alice.id"]);
    assert!(again.out.starts_with("brought 0 files"), "{}", again.out);
    home.run(2, &["restore", "backup", "--to", url, "--key-from", "a", "--dry-run"]);
    home.run(3, &["restore", "backup", "--to", "http://127.0.0.1:1", "--key-from", "a"]);
}

//! Posts on files, handed over and read on the command line.

use serde_json::{Value, json};

use crate::harness::{Home, write};

/// ITEM-4: what is handed over is listed and printed, what was changed says so, what refers to no file is
/// named and skipped (6), and what is removed is gone (4).
#[test]
fn items_are_added_listed_printed_and_removed() {
    let home = Home::new();
    home.init("a");
    home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    let running = home.start("a");
    write(&home.path("cat.jpg"), b"no picture");
    home.run(0, &["--dir", "a", "put", "alice", "cat.jpg"]);
    let hash = home.run(0, &["--dir", "a", "ls", "alice", "--json"]).json()[0]["hash"].clone();
    let mid = "https://bob.example/item/1";
    let mut post = json!({
        "message_id": mid, "uuid": "1", "resource_id": hash, "body": "a cat\u{202e}", "title": "A\ncat",
        "created": "2026-11-22 16:25:40", "uid": 7,
    });
    let stray = json!({"message_id": "https://bob.example/item/2", "uuid": "2", "body": "x"});
    let answer = json!({
        "message_id": "https://bob.example/item/3", "uuid": "3", "message_parent": mid, "body": "nice",
    });
    write(&home.path("posts.json"), json!([post, stray, answer]).to_string().as_bytes());
    let added = home.run(6, &["--dir", "a", "item", "add", "alice", "posts.json"]);
    assert!(added.out.starts_with("2 added"), "{}", added.out);
    assert!(added.err.contains("item/2"), "{}", added.err);
    drop(running);

    // Without a hub that runs it is all the same.
    post["body"] = json!("a black cat");
    write(&home.path("post.json"), post.to_string().as_bytes());
    let changed = home.run(0, &["--dir", "a", "item", "add", "alice", "post.json", "--json"]);
    assert_eq!(changed.json()[0]["changed"], 1);
    let listed = home.run(0, &["--dir", "a", "item", "ls", "alice", "/cat.jpg"]);
    assert!(listed.out.contains("A\\u{a}cat") && listed.out.contains("/cat.jpg"), "{}", listed.out);
    let listed = home.run(0, &["--dir", "a", "item", "ls", "alice", "--json"]).json();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["resource"], hash);
    let printed = home.run(0, &["--dir", "a", "item", "get", "alice", mid]);
    let printed: Value = serde_json::from_str(&printed.out).expect("JSON");
    assert_eq!(printed["body"], "a black cat");
    assert_eq!(printed.get("uid"), None, "a hub's own number stays where it is");
    home.run(0, &["--dir", "a", "item", "rm", "alice", mid]);
    home.run(4, &["--dir", "a", "item", "get", "alice", mid]);
    home.run(4, &["--dir", "a", "item", "rm", "alice", mid]);
}

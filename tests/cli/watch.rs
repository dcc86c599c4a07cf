//! A folder mirrored by a command, and by the settings.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Home, write};

fn home() -> Home {
    let home = Home::new();
    home.init("a");
    home.run(0, &["--dir", "a", "channel", "new", "alice"]);
    home
}

fn settled(events: &[Value]) -> &Value {
    &events.last().expect("events")["settled"]
}

/// `--once` mirrors what has changed and ends; what was held back ends with 6 until it is confirmed.
#[test]
fn a_folder_is_mirrored_once() {
    let home = home();
    home.run(3, &["--dir", "a", "watch", "alice", "folder", "--once"]);
    let _hub = home.start("a");
    (0..3).for_each(|n| write(&home.path(&format!("folder/sub/{n}")), b"x"));
    let watch = |code: i32, more: &[&str]| {
        let args = ["--dir", "a", "watch", "alice", "folder", "--into", "/in", "--once", "--json"];
        home.run(code, &[&args, more].concat()).json()
    };
    let first = watch(0, &[]);
    assert_eq!((&settled(&first)["put"], &settled(&first)["known"]), (&3.into(), &4.into()));
    assert_eq!(settled(&watch(0, &[]))["put"], 0);
    std::fs::remove_dir_all(home.path("folder/sub")).expect("removed");
    let held = watch(6, &[]);
    assert_eq!((&settled(&held)["held"], &settled(&held)["removed"]), (&4.into(), &0.into()));
    assert_eq!(settled(&watch(0, &["--confirm"]))["removed"], 4);
    home.run(4, &["--dir", "a", "watch", "bob", "folder", "--once"]);
    home.run(1, &["--dir", "a", "watch", "alice", "a", "--once"]);
    let missing = home.run(6, &["--dir", "a", "watch", "alice", "no folder", "--once"]);
    assert!(missing.err.contains("no folder"), "{}", missing.err);
}

/// A `[[watch]]` of the settings mirrors for as long as the hub runs; a command shows what it does.
#[test]
fn a_folder_of_the_settings_is_mirrored() {
    let home = home();
    let config = home.path("a/config.toml");
    let mut text = std::fs::read_to_string(&config).expect("read");
    let folder = home.path("folder");
    text.push_str(&format!("\n[[watch]]\nchannel = \"alice\"\ndir = {folder:?}\ninto = \"/in\"\n"));
    std::fs::write(&config, text).expect("written");
    write(&folder.join("early"), b"x");
    let _hub = home.start("a");
    write(&folder.join("late"), b"y");
    let patience = Instant::now() + Duration::from_secs(60);
    while home.run(0, &["--dir", "a", "status", "--json"]).json()[0]["channels"][0]["present"]["files"]
        != 2
    {
        assert!(Instant::now() < patience, "in vain: both files are mirrored");
        // Asleep between looks: a process outside has no event to wait for.
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(home.run(0, &["--dir", "a", "get", "alice", "/in/late", "-"]).bytes, b"y");
    let args = ["--dir", "a", "watch", "alice", "folder", "--into", "in", "--once", "--json"];
    assert_eq!(settled(&home.run(0, &args).json())["known"], 2);
}

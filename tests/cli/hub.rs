//! A hub as a process: started, stopped, refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use zotferry::catalog::{Catalog, LastStop};

use crate::harness::{Home, write};

fn last_stop(dir: &Path) -> LastStop {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let catalog = Catalog::open(&dir.join("catalog.sqlite")).await.expect("opened");
        let last = catalog.last_stop();
        catalog.close().await;
        last
    })
}

/// SIGTERM and SIGINT both stop a hub in good order, and it starts again.
#[test]
fn a_hub_stops_cleanly_on_a_signal() {
    let home = Home::new();
    let dir = home.init("hub");
    for signal in [Signal::TERM, Signal::INT] {
        let mut hub = home.start("hub");
        assert!(home.status("hub")["running"]["pid"].is_u64());
        hub.signal(signal);
        assert_eq!(hub.wait().code(), Some(0));
        assert_eq!(last_stop(&dir), LastStop::Clean);
        assert!(!dir.join("hub.sock").exists(), "its socket went with it");
        assert!(home.status("hub")["running"].is_null());
    }
}

/// A killed hub leaves a socket and an unclean catalog. Commands that open the folder meanwhile
/// leave it unclean, and the next hub replaces the socket.
#[test]
fn a_killed_hub_leaves_nothing_in_the_way() {
    let home = Home::new();
    let dir = home.init("hub");
    let mut hub = home.start("hub");
    hub.signal(Signal::KILL);
    hub.wait();
    assert!(dir.join("hub.sock").exists());
    assert_eq!(last_stop(&dir), LastStop::Unclean);
    home.run(0, &["--dir", "hub", "channel", "list"]);
    assert_eq!(last_stop(&dir), LastStop::Unclean);
    home.run(3, &["--dir", "hub", "transfers"]);
    let _again = home.start("hub");
    home.run(0, &["--dir", "hub", "transfers"]);
}

/// A folder is served once, and the second hub does not disturb the first.
#[test]
fn a_second_hub_on_a_folder_is_refused() {
    let home = Home::new();
    home.init("hub");
    let hub = home.start("hub");
    let second = home.run(1, &["hub", "hub"]);
    assert!(second.err.contains("in use by a running hub"), "{}", second.err);
    home.run(0, &["--dir", "hub", "transfers"]);
    drop(hub);
}

/// What is wrong with the settings is said, with the file's name.
#[test]
fn a_hub_with_wrong_settings_does_not_start() {
    let home = Home::new();
    let dir = home.init("hub");
    let config = std::fs::read_to_string(dir.join("config.toml")).expect("read");
    let wrong = config.replace("streaming = ", "straeming = ");
    write(&dir.join("config.toml"), wrong.as_bytes());
    let refused = home.run(1, &["hub", "hub"]);
    assert!(refused.err.contains("config.toml"), "{}", refused.err);
    assert!(refused.err.contains("straeming"), "{}", refused.err);
}

/// A port that is taken is named, with the place where it is set.
#[test]
fn a_taken_port_is_named() {
    let home = Home::new();
    home.init("hub");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    home.run(0, &["init", "b", "--url", "https://hub.example", "--listen", &address]);
    let refused = home.run(1, &["hub", "b"]);
    assert!(refused.err.contains(&format!("cannot listen on {address}")), "{}", refused.err);
    assert!(refused.err.contains("config.toml"), "{}", refused.err);
}

/// Commands say where they looked for a hub and how to start one.
#[test]
fn without_a_hub_commands_say_so() {
    let home = Home::new();
    let nowhere = home.run(3, &["--dir", "nowhere", "status"]);
    assert!(nowhere.err.contains("zotferry init"), "{}", nowhere.err);
    let dir = home.init("hub");
    for command in [&["put", "alice", "x"][..], &["transfers"], &["retry"], &["pause", "alice"]] {
        let args = [&["--dir", "hub"], command].concat();
        let refused = home.run(3, &args);
        assert!(refused.err.contains("zotferry hub"), "{}", refused.err);
        assert!(refused.err.contains(&dir.display().to_string()), "{}", refused.err);
    }
}

/// `init` makes a hub of what is new or empty only, and needs a URL.
#[test]
fn init_refuses_what_cannot_be_a_hub() {
    let home = Home::new();
    write(&home.path("full/thesis.tex"), b"x");
    let full = home.run(1, &["init", "full", "--url", "https://hub.example"]);
    assert!(full.err.contains("not empty"), "{}", full.err);
    home.run(2, &["init", "new"]);
    let url = home.run(2, &["init", "new", "--url", "ftp://hub.example"]);
    assert!(url.err.contains("https://"), "{}", url.err);
    assert!(!home.path("new").exists());
}

/// Nobody else can read anything of a hub, or talk to it.
#[test]
fn a_hub_is_its_owners_alone() {
    let home = Home::new();
    let dir = home.init("hub");
    let _hub = home.start("hub");
    let mut folders = vec![dir];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("read") {
            let path = entry.expect("read").path();
            let about = std::fs::symlink_metadata(&path).expect("there");
            let others = about.permissions().mode() & 0o077;
            assert_eq!(others, 0, "{}: {:o}", path.display(), about.permissions().mode());
            if about.is_dir() {
                folders.push(path);
            }
        }
    }
}

/// A socket's address has room for about 100 bytes; folders may lie deeper.
#[test]
fn a_hub_may_lie_deep() {
    let home = Home::new();
    let name = format!("{}/hub", "deep".repeat(40));
    home.init(&name);
    let _hub = home.start(&name);
    home.run(0, &["--dir", &name, "transfers"]);
    assert!(home.status(&name)["running"]["uptime_s"].is_u64());
}

//! App passwords: said once, listed by their first part, removed.

use crate::harness::Home;

/// A password is shown when it is made and never again, with a hub running or not.
#[test]
fn a_password_is_said_once() {
    let home = Home::new();
    home.init("hub");
    home.run(0, &["--dir", "hub", "channel", "new", "alice"]);
    let made = home.run(0, &["--dir", "hub", "password", "new", "alice", "--label", "phone"]).out;
    let hub = home.start("hub");
    let other = home.run(0, &["--dir", "hub", "password", "new", "alice"]).out;
    assert_ne!(made, other);
    let listed = home.run(0, &["--dir", "hub", "password", "ls", "alice"]).out;
    let name = made.split('-').next().expect("a name");
    assert!(listed.contains(name) && listed.contains("phone") && listed.contains("never used"));
    let secret = made.trim().split_once('-').expect("parts").1;
    assert!(!listed.contains(secret) && secret.len() >= 26, "{listed}");
    let json = home.run(0, &["--dir", "hub", "password", "ls", "alice", "--json"]).json();
    assert_eq!((json.len(), json[0]["name"].as_str()), (2, Some(name)));
    home.run(0, &["--dir", "hub", "password", "rm", "alice", made.trim()]);
    drop(hub);
    let gone = home.run(4, &["--dir", "hub", "password", "rm", "alice", name]).err;
    assert!(gone.contains("password ls"), "{gone}");
    home.run(4, &["--dir", "hub", "password", "new", "nobody"]);
    let left = home.run(0, &["--dir", "hub", "password", "ls", "alice", "--json"]).json();
    assert_eq!(left.len(), 1);
}

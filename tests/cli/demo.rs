//! The demonstration on a small tree.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Home, noise, write};

fn tree(home: &Home) {
    write(&home.path("tree/large"), &noise(5_000_001));
    write(&home.path("tree/two\nlines"), b"odd");
    for n in 0..40_usize {
        write(&home.path(&format!("tree/small/{n}")), &noise(n * 997));
    }
}

/// What is left in the folder for temporary files.
fn left(home: &Home) -> usize {
    let entries = std::fs::read_dir(home.path("")).expect("read");
    let names = entries.map(|entry| entry.expect("read").file_name());
    names.filter(|name| name.to_string_lossy().starts_with("zotferry-demo-")).count()
}

/// Both ways carry every byte, once, and leave nothing behind.
#[test]
fn the_demonstration_carries_every_byte() {
    let home = Home::new();
    tree(&home);
    for (flag, mode) in [("--blocked", "chunks"), ("--stream", "stream")] {
        let found = home.run(0, &["demo", "tree", flag, "--json"]).json().remove(0);
        assert_eq!(found["mode"], mode);
        assert_eq!(found["identical"], true);
        assert_eq!(found["files"], 42);
        assert_eq!(found["bytes"], 5_000_001 + 3 + 997 * (39 * 40 / 2));
        assert_eq!(found["bytes_fetched_twice"], 0);
        for number in ["chunks", "requests", "signatures", "origin_peak_rss", "clone_peak_rss"] {
            assert!(found[number].as_u64() > Some(0), "{number}: {found}");
        }
        for number in ["transfer_s", "mb_per_s"] {
            assert!(found[number].as_f64() > Some(0.0), "{number}: {found}");
        }
    }
    assert_eq!(left(&home), 0);
    let table = home.run(0, &["demo", "tree/two\nlines"]);
    assert!(table.out.contains("byte for byte"), "{}", table.out);
}

/// Ctrl-C stops both hubs and removes what was written.
#[test]
fn an_interrupted_demonstration_leaves_nothing() {
    let home = Home::new();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_zotferry"))
        .args(["demo", "--json"])
        .env("TMPDIR", home.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    while left(&home) == 0 {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&demo), Signal::INT).expect("sent");
    assert_eq!(demo.wait().expect("waited").code(), Some(1));
    assert_eq!(left(&home), 0);
}

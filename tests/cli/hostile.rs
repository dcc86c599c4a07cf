//! A hub among strangers: what their noise may cost.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::harness::Home;

/// A stranger who sends nonsense without end does not fill the disk with what the hub says about it.
#[test]
fn nonsense_does_not_fill_the_log() {
    const TIMES: usize = 1_500;
    let home = Home::new();
    let dir = home.init("hub");
    let log = std::fs::File::create(home.path("hub.log")).expect("a log");
    let config = std::fs::read_to_string(dir.join("config.toml")).expect("read");
    let changed = config.replace("log_lines_per_minute = 60", "log_lines_per_minute = 6");
    assert_ne!(changed, config);
    std::fs::write(dir.join("config.toml"), &changed).expect("written");
    let mut hub = Command::new(env!("CARGO_BIN_EXE_zotferry"))
        .args(["hub", "hub"])
        .current_dir(home.path("."))
        .env_remove("ZOTFERRY_LOG")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("started");
    let listen = changed.lines().find_map(|line| line.strip_prefix("listen = ")).expect("set");
    let address = listen.trim_matches('"').to_owned();
    let mut socket = loop {
        // Asleep between looks: a process outside has no event to wait for.
        std::thread::sleep(std::time::Duration::from_millis(20));
        if let Ok(socket) = TcpStream::connect(&address) {
            break socket;
        }
    };
    let ask = "POST /zot HTTP/1.1\r\nhost: hub\r\ncontent-type: application/x-zot+msgpack\r\n\
               content-length: 1\r\n\r\n\u{1}";
    let mut said = Vec::new();
    for _ in 0..TIMES {
        socket.write_all(ask.as_bytes()).expect("sent");
        let mut piece = [0; 4096];
        while !said.ends_with(b"not a map\n") {
            let len = socket.read(&mut piece).expect("answered");
            assert!(len > 0, "{}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&piece[..len]);
        }
        said.clear();
    }
    hub.kill().expect("killed");
    hub.wait().expect("waited");
    let log = std::fs::read_to_string(home.path("hub.log")).expect("read");
    let lines = log.matches("refused before its sender was certain").count();
    assert!((60..200).contains(&lines), "{lines} lines for {TIMES} packets");
    assert!(log.len() < 100_000, "{} bytes", log.len());
}

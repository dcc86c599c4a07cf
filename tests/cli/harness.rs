//! Hubs in temporary folders, run by the real binary.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::assert::Assert;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSPHRASE: &str = "correct horse";

/// A temporary folder, and the binary run in it.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command with these arguments; the passphrase is in the environment.
    pub(crate) fn command(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_zotferry"));
        command.current_dir(self.0.path()).args(args).env_remove("ZOTFERRY_DIR");
        command.env("ZOTFERRY_PASSPHRASE", PASSPHRASE).env("TMPDIR", self.0.path());
        command
    }

    /// Runs a command that must end with this code.
    pub(crate) fn run(&self, code: i32, args: &[&str]) -> Output {
        let assert = self.command(args).timeout(Duration::from_secs(120)).assert();
        Output::of(&assert.code(code))
    }

    /// A new hub in a folder, on a port that was free a moment ago.
    pub(crate) fn init(&self, name: &str) -> PathBuf {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        drop(listener);
        self.run(0, &["init", name, "--url", &url]);
        self.path(name)
    }

    /// A running hub.
    pub(crate) fn start(&self, name: &str) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_zotferry"))
            .args(["hub", name])
            .current_dir(self.0.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("read");
        assert!(line.starts_with("listening on 127.0.0.1:"), "{line:?}");
        Running(child)
    }

    /// What `status --json` says.
    pub(crate) fn status(&self, name: &str) -> Value {
        self.run(0, &["--dir", name, "status", "--json"]).json().remove(0)
    }

    /// Waits until the status of a hub's only channel is as wanted.
    pub(crate) fn until(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.status(name);
            if wanted(&status["channels"][0]) {
                return;
            }
            assert!(Instant::now() < patience, "in vain: {what}: {status:#}");
            // Asleep between looks: a process outside has no event to wait for.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What a command printed.
pub(crate) struct Output {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) bytes: Vec<u8>,
}

impl Output {
    fn of(assert: &Assert) -> Self {
        let output = assert.get_output();
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout.clone(),
        }
    }

    /// Its lines as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// A hub that runs; killed when it is dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("sent");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("waited")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, bytes).expect("written");
}

/// Bytes that no compression makes small.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

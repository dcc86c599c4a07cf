//! A hub of the real binary with a channel for the test.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use zotferry_conformance::keys::Key;
use zotferry_conformance::target::Target;

/// The channel for the test.
const CHANNEL: &str = "conform";
/// The one that a run uses up.
const SPARE: &str = "spare";
/// Its quota.
const QUOTA_MIB: u64 = 64;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zotferry");

/// A hub that runs; killed when it is dropped.
#[derive(Clone)]
pub(crate) struct TestHub(Arc<Parts>);

struct Parts {
    dir: TempDir,
    /// Where it listens.
    address: SocketAddr,
    process: Mutex<Child>,
}

impl Drop for Parts {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap();
        process.kill().ok();
        process.wait().ok();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn zotferry(args: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(args).output().unwrap();
    let (out, err) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "zotferry {args:?}: {err}");
    String::from_utf8(out).unwrap()
}

fn start(dir: &Path) -> Child {
    let mut child = Command::new(PROGRAM)
        .arg("hub")
        .arg(dir)
        .env("ZOTFERRY_LOG", std::env::var("ZOTFERRY_LOG").unwrap_or("warn".to_owned()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on 127.0.0.1:"), "{line:?}");
    child
}

/// Changes a line of a hub's configuration.
fn configure(folder: &Path, from: &str, to: &str) {
    let path = folder.join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

impl TestHub {
    /// A hub that others reach at `public`, with a channel `conform` and one to be used up.
    pub(crate) fn start(public: SocketAddr, listen: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("hub");
        let path = folder.to_str().unwrap();
        let url = format!("http://{public}");
        zotferry(&["init", path, "--url", &url, "--listen", &listen.to_string()]);
        // The first pause after a failure is short: many cases make the hub fail and wait for what it does then.
        configure(&folder, "backoff_ms = 2000\n", "backoff_ms = 200\n");
        let hub =
            Self(Arc::new(Parts { dir, address: listen, process: Mutex::new(start(&folder)) }));
        zotferry(&["--dir", path, "channel", "new", CHANNEL]);
        // Channels that are made from here on have a quota.
        configure(&folder, "quota_mib = 0\n", &format!("quota_mib = {QUOTA_MIB}\n"));
        hub.restart();
        zotferry(&["--dir", path, "channel", "new", SPARE]);
        hub
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.0.dir.path().join("hub")
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Its site key.
    pub(crate) fn site_key(&self) -> Key {
        let pem = std::fs::read_to_string(self.folder().join("keys/site.pem")).unwrap();
        Key::from_pem(&pem).unwrap()
    }

    /// The test channel: guid, and the file of its key.
    pub(crate) fn channel(&self) -> (String, PathBuf) {
        self.named(CHANNEL)
    }

    fn named(&self, nick: &str) -> (String, PathBuf) {
        let folder = self.folder();
        let listed = zotferry(&["--dir", folder.to_str().unwrap(), "channel", "list", "--json"]);
        let mut channels =
            listed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let channel = channels.find(|channel| channel["nick"] == nick).unwrap();
        let id = channel["id"].as_str().unwrap();
        let key = folder.join(format!("keys/channel-{id}.pem"));
        (channel["guid"].as_str().unwrap().to_owned(), key)
    }

    /// What the suite has to be told, as the three lines of its `--help` give it.
    pub(crate) fn target(&self, public: SocketAddr) -> Target {
        let read = |(guid, path): (String, PathBuf)| {
            (guid, Key::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap())
        };
        let ((guid, key), spare) = (read(self.channel()), read(self.named(SPARE)));
        let hub = self.clone();
        let restart = move || -> zotferry_conformance::http::Later<Result<(), String>> {
            let hub = hub.clone();
            Box::pin(async move {
                tokio::task::spawn_blocking(move || hub.restart()).await.map_err(|e| e.to_string())
            })
        };
        let restart: zotferry_conformance::target::Restart = Arc::new(restart);
        let spare = Some(spare);
        Target {
            spare,
            spare_quota: Some(QUOTA_MIB << 20),
            restart: Some(restart),
            ..Target::new(&format!("http://{public}"), &guid, key)
        }
    }

    /// Kills it, without a chance to tidy up, and starts it again.
    fn restart(&self) {
        let mut process = self.0.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        *process = start(&self.folder());
    }
}

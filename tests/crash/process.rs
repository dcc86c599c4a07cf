//! Hubs as processes, and dice.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zotferry::channels::SealKey;
use zotferry::hub::Hub;
use zotferry::local::client::Client;
use zotferry::local::{CloneState, ExportChannel, ImportChannel, MakeChannel, StatusOf};
use zotferry_protocol::identity::BaseUrl;

/// Numbers that are the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        let chosen = std::env::var("ZOTFERRY_SEED").ok().and_then(|text| text.parse().ok());
        let seed = chosen.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        println!("ZOTFERRY_SEED={seed}");
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn noise(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

pub(crate) fn rounds() -> u32 {
    std::env::var("ZOTFERRY_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// A hub's folder without a process.
pub(crate) struct Stopped(PathBuf);

/// A hub that runs.
pub(crate) struct HubProcess {
    dir: PathBuf,
    child: Child,
    client: Client,
}

impl Stopped {
    pub(crate) async fn start(self) -> HubProcess {
        let mut child = Command::new(env!("CARGO_BIN_EXE_zotferry"))
            .arg("hub")
            .arg(&self.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("listening on"), "the hub did not start: {ready}");
        let client = Client::running(&self.0).await.unwrap();
        HubProcess { dir: self.0, child, client }
    }

    /// Changes one byte that was written of some partial file.
    pub(crate) fn flip_partial(&self, dice: &mut Dice) {
        let partials = std::fs::read_dir(self.0.join("storage/partial")).unwrap();
        let path = partials.map(|entry| entry.unwrap().path()).next().expect("a partial file");
        let mut file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let size = file.metadata().unwrap().len();
        let mut byte = [0];
        while byte == [0] {
            file.seek(SeekFrom::Start(dice.below(size))).unwrap();
            file.read_exact(&mut byte).unwrap();
        }
        file.seek(SeekFrom::Current(-1)).unwrap();
        file.write_all(&[byte[0] ^ 1]).unwrap();
        file.sync_all().unwrap();
    }
}

impl HubProcess {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> Stopped {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Stopped(self.dir)
    }

    pub(crate) async fn kill_and_restart(self) -> Self {
        self.kill().start().await
    }

    /// SIGTERM, and the exit code of a hub that stopped as it should.
    pub(crate) async fn stop(mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "the hub did not stop cleanly");
    }
}

pub(crate) async fn new_hub(dir: &Path) -> HubProcess {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = BaseUrl::parse(&format!("http://{address}")).unwrap();
    Hub::init(dir, url, address).await.unwrap();
    let path = dir.join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("backoff_ms = 2000", "backoff_ms = 100")).unwrap();
    Stopped(dir.to_owned()).start().await
}

/// An origin and its clone, each a process, that have listed each other.
pub(crate) async fn two_hubs(dir: &Path) -> (HubProcess, HubProcess) {
    let origin = new_hub(&dir.join("origin")).await;
    let clone = new_hub(&dir.join("clone")).await;
    origin.client.ask(&MakeChannel { nick: "alice".into() }).await.unwrap();
    let key = SealKey::new("correct horse battery staple").unwrap();
    let export = ExportChannel { nick: "alice".into(), key: key.clone() };
    let file = origin.client.ask(&export).await.unwrap().file;
    let import = ImportChannel { file, key: Some(key), nick: None };
    clone.client.ask(&import).await.unwrap();
    let started = Instant::now();
    loop {
        let status = origin.client.ask(&StatusOf {}).await.unwrap();
        let mut clones = status.channels.iter().flat_map(|channel| &channel.clones);
        if clones.any(|clone| clone.state == CloneState::Listed) {
            return (origin, clone);
        }
        assert!(started.elapsed() < Duration::from_secs(30), "the hubs do not list each other");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! One hub of the three: its process, its disk, its clock, the proxy before it.
//!
//! Its folder lies on a small file system of its own where this process may mount one, so that it can be full.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use zotferry::hub::Hub;
use zotferry::local::client::Client;
use zotferry_protocol::identity::BaseUrl;

use super::wire::Wire;

pub(crate) struct ChaosHub {
    pub(crate) name: &'static str,
    dir: PathBuf,
    log: PathBuf,
    level: &'static str,
    pub(crate) wire: Wire,
    /// How far its clock is ahead, in ms.
    pub(crate) clock: i64,
    running: Option<(Child, Client)>,
    disk: Option<Disk>,
}

/// A mounted file system.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

impl ChaosHub {
    pub(crate) async fn create(dir: &Path, name: &'static str, size: u64) -> Self {
        Self::create_logging(dir, name, size, "info,sled=warn,sqlx=warn").await
    }

    /// One that says so much about what it does.
    pub(crate) async fn create_logging(
        dir: &Path,
        name: &'static str,
        size: u64,
        level: &'static str,
    ) -> Self {
        let mount = dir.join(name);
        std::fs::create_dir(&mount).unwrap();
        let disk = mounted(&mount, size);
        if disk.is_none() {
            println!("not checked: full disks; a file system could not be mounted");
        }
        let behind = free_address();
        let wire = Wire::before(behind).await;
        let url = BaseUrl::parse(&format!("http://{}", wire.address)).unwrap();
        let folder = mount.join("hub");
        Hub::init(&folder, url, behind).await.unwrap();
        let path = folder.join("config.toml");
        let mut config: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let mut set = |section: &str, key: &str, value: i64| {
            let table = config[section].as_table_mut().unwrap();
            table.insert(key.to_owned(), value.into());
        };
        set("limits", "backoff_ms", 100);
        set("limits", "max_backoff_ms", 2_000);
        set("limits", "max_attempts", 1_000_000);
        set("limits", "min_free_mib", 4);
        set("transfer", "stall_seconds", 3);
        std::fs::write(&path, config.to_string()).unwrap();
        let log = dir.join(format!("{name}.log"));
        let mut hub = Self { name, dir: folder, log, level, wire, clock: 0, running: None, disk };
        assert!(hub.start().await, "a new hub does not start");
        hub
    }

    pub(crate) fn client(&self) -> Option<&Client> {
        self.running.as_ref().map(|(_, client)| client)
    }

    pub(crate) fn storage(&self) -> PathBuf {
        self.dir.join("storage")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.dir
    }

    /// Whether it is up now; on a full disk it may not come up.
    pub(crate) async fn start(&mut self) -> bool {
        if self.is_up() {
            return true;
        }
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_zotferry"))
            .arg("hub")
            .arg(&self.dir)
            .env("ZOTFERRY_CLOCK_OFFSET_MS", self.clock.to_string())
            .env("ZOTFERRY_LOG", self.level)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        if !ready.starts_with("listening on") {
            child.wait().unwrap();
            return false;
        }
        match Client::running(&self.dir).await {
            Ok(client) => self.running = Some((child, client)),
            Err(_) => drop(child.wait()),
        }
        self.running.is_some()
    }

    /// Whether it runs still: a hub whose disk was full may have stopped by itself.
    pub(crate) fn is_up(&mut self) -> bool {
        let ended =
            self.running.as_mut().is_some_and(|(child, _)| child.try_wait().unwrap().is_some());
        if ended {
            self.running = None;
        }
        self.running.is_some()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            child.kill().ok();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, however it ends.
    pub(crate) fn stop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
            child.wait().unwrap();
        }
    }

    /// Takes all that is free on its disk.
    pub(crate) fn fill(&self) -> bool {
        let Some(Disk(mount)) = &self.disk else { return false };
        let file = std::fs::File::create(mount.join("ballast")).unwrap();
        let free = rustix::fs::statvfs(mount).map(|fs| fs.f_bavail * fs.f_frsize).unwrap();
        let mut bytes = free;
        while bytes > 0 {
            let flags = rustix::fs::FallocateFlags::empty();
            if rustix::fs::fallocate(&file, flags, 0, bytes).is_ok() {
                return true;
            }
            bytes = bytes.saturating_sub(64 << 10);
        }
        false
    }

    pub(crate) fn make_room(&self) {
        if let Some(Disk(mount)) = &self.disk {
            std::fs::remove_file(mount.join("ballast")).ok();
        }
    }

    /// Nothing is wrong any more, and it starts anew: what it learnt about others in bad times would make it wait.
    pub(crate) async fn heal(&mut self) {
        self.make_room();
        self.wire.heal();
        self.stop();
        self.clock = 0;
        assert!(self.start().await, "{} does not start again:\n{}", self.name, self.last_words());
    }

    pub(crate) async fn stop_well(&mut self) {
        let (mut child, _) = self.running.take().unwrap();
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let code = child.wait().unwrap();
        assert!(code.success(), "{} did not stop cleanly:\n{}", self.name, self.last_words());
    }

    /// Everything it has said.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// A panic is a bug, whatever was done to the hub.
    pub(crate) fn has_not_panicked(&self) {
        let log = self.log();
        let at = log.find("panicked at");
        assert!(at.is_none(), "{} panicked: {}", self.name, &log[at.unwrap_or(0)..]);
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for ChaosHub {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking()
            && let Ok(to) = std::env::var("ZOTFERRY_CHAOS_LOGS")
        {
            std::fs::copy(&self.log, Path::new(&to).join(format!("{}.log", self.name))).ok();
        }
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn mounted(at: &Path, size: u64) -> Option<Disk> {
    let options = format!("size={size},mode=700");
    let mounting =
        Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
    mounting.is_ok_and(|done| done.status.success()).then(|| Disk(at.to_owned()))
}

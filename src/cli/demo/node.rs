//! One hub of the demonstration: a process of its own.
//!
//! Invariant: it does not outlive the one who started it: it stops when its standard input ends.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use zotferry::local::client::Client;
use zotferry::local::{Status, StatusOf};
use zotferry_protocol::identity::BaseUrl;

use crate::cli::exit::Failure;

/// Ports that are tried.
const ATTEMPTS: usize = 5;
/// How long a hub may take to stop before it is killed.
const STOPPING: Duration = Duration::from_secs(20);
/// Lines of a hub's log that are shown when it fails.
const LAST_WORDS: usize = 20;

/// Whether a hub serves streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streaming {
    Open,
    Blocked,
}

/// A hub that runs.
pub(super) struct Node {
    pub(super) client: Client,
    process: Process,
    log: PathBuf,
}

/// A process that has ended when it is dropped.
struct Process(Child);

impl Drop for Process {
    /// Waits on the thread: it is the end of the command, and the folder is removed next.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let patience = Instant::now() + STOPPING;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() > patience {
                self.0.start_kill().ok();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Node {
    /// Makes a hub in a new folder and runs it on a free port.
    pub(super) async fn start(dir: &Path, streaming: Streaming) -> Result<Self, Failure> {
        let mut failed = None;
        for attempt in 0..ATTEMPTS {
            // Somebody else may take the port before the hub does: then another one is tried.
            let dir = dir.with_extension(attempt.to_string());
            init(&dir, streaming).await?;
            match Self::run(&dir).await {
                Ok(node) => return Ok(node),
                Err(failure) if failure.text.contains("cannot listen") => failed = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        Err(failed.unwrap_or_else(|| Failure::failed("no port was tried")))
    }

    async fn run(dir: &Path) -> Result<Self, Failure> {
        let log = dir.join("hub.log");
        let stderr = File::create(&log).map_err(|e| Failure::file(&log, &e))?;
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let process = Command::new(program)
            .args(["hub", "--until-stdin-ends"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // Ctrl-C is for the demonstration; it stops the hubs itself.
            .process_group(0)
            .spawn()
            .map_err(Failure::failed)?;
        let mut process = Process(process);
        let mut ready = String::new();
        if let Some(stdout) = process.0.stdout.take() {
            BufReader::new(stdout).read_line(&mut ready).await.map_err(Failure::failed)?;
        }
        if !ready.starts_with("listening on") {
            process.0.wait().await.map_err(Failure::failed)?;
            return Err(Failure::failed(last_words(&log)));
        }
        Ok(Self { client: Client::running(dir).await?, process, log })
    }

    /// How it is.
    pub(super) async fn status(&self) -> Result<Status, Failure> {
        self.client.ask(&StatusOf {}).await.map_err(|error| {
            let Failure { exit, text } = error.into();
            Failure::new(exit, format!("{text}\n{}", self.last_words()))
        })
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        last_words(&self.log)
    }

    /// Stops it as its owner would, and waits.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        drop(self.process.0.stdin.take());
        match tokio::time::timeout(STOPPING, self.process.0.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                Err(Failure::failed(format!("a hub ended with {status}\n{}", self.last_words())))
            }
            Ok(Err(error)) => Err(Failure::failed(error)),
            Err(_) => Err(Failure::failed("a hub did not stop in time")),
        }
    }
}

async fn init(dir: &Path, streaming: Streaming) -> Result<(), Failure> {
    let address = free_address().map_err(Failure::failed)?;
    let url = BaseUrl::parse(&format!("http://{address}")).map_err(Failure::failed)?;
    zotferry::hub::Hub::init(dir, url, address).await?;
    if streaming == Streaming::Blocked {
        block_streams(&dir.join("config.toml"))?;
    }
    Ok(())
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

fn block_streams(path: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?;
    let mut config: toml::Table = text.parse().map_err(Failure::failed)?;
    let transfer = config.entry("transfer").or_insert_with(|| toml::Table::new().into());
    if let Some(transfer) = transfer.as_table_mut() {
        transfer.insert("streaming".into(), false.into());
    }
    std::fs::write(path, config.to_string()).map_err(|e| Failure::file(path, &e))
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
    format!("the last lines of its log:\n{}", last.join("\n"))
}

//! `zotferry demo`: the main job in one command.
//!
//! Owns: the order of things and the verdict. Not here: the hubs (`node`), the sample (`sample`),
//! the comparison (`compare`), the table (`report`).
//! Invariant: the hubs and the temporary folder are gone when it ends, however it ends, unless
//! `--keep` was given.

mod compare;
mod node;
mod report;
mod sample;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zotferry::channels::SealKey;
use zotferry::local::{self, CloneState, ExportChannel, ImportChannel, MakeChannel, Status};

use super::exit::{Exit, Failure};
use super::output;
use super::progress::Progress;
use super::put::{Tally, absolute, put, size_of};
use super::signals::Signals;
use node::{Node, Streaming};
use report::{Report, Shape};

/// How often the clone is asked how far it is.
const EVERY: Duration = Duration::from_millis(100);
/// A transfer that has not moved for so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// The channel's name on both hubs.
const NICK: &str = "demo";

/// Shows the whole way: puts files on one hub, clones them to another, compares every byte.
///
/// Starts two hubs on this machine in a temporary folder (TMPDIR says where; the default sample
/// needs about 800 MiB), and stops them in the end. Exits with 1 if anything differs.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// A file or a folder to clone; by default a sample of 256 MiB with a large file, many small
    /// ones, empty ones and awkward names.
    path: Option<PathBuf>,
    /// Lets files travel as streams.
    #[arg(long, conflicts_with = "blocked")]
    stream: bool,
    /// Blocks streams, so that everything travels by signed requests for numbered chunks. This is
    /// the default.
    #[arg(long)]
    blocked: bool,
    /// Prints one JSON object and nothing else.
    #[arg(long)]
    json: bool,
    /// Keeps the temporary folder, and says where it is.
    #[arg(long)]
    keep: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry demo
  zotferry demo ~/photos --stream
  zotferry demo --json | jq .mb_per_s";

impl Demo {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let signals = Signals::catch()?;
        let folder = tempfile::Builder::new().prefix("zotferry-demo-").tempdir();
        let mut folder = folder.map_err(|e| Failure::file(&std::env::temp_dir(), &e))?;
        folder.disable_cleanup(self.keep);
        let writing = TaskTracker::new();
        let done = tokio::select! {
            done = self.work(folder.path(), &writing) => done,
            () = signals.first() => Err(Failure::failed("interrupted; both hubs are stopped")),
        };
        // Nothing is written any more into a folder that is being removed.
        writing.close();
        writing.wait().await;
        if self.keep {
            eprintln!("kept: {}", output::path(folder.path()));
        }
        done
    }

    async fn work(&self, folder: &Path, writing: &TaskTracker) -> Result<Exit, Failure> {
        let path = self.path.as_deref().map(absolute).transpose()?;
        let path = match path {
            Some(path) => path,
            None => self.sample(folder, writing).await?,
        };
        let streaming = if self.stream { Streaming::Open } else { Streaming::Blocked };
        self.say("making two hubs and a channel");
        let origin = Node::start(&folder.join("origin"), streaming).await?;
        let clone = Node::start(&folder.join("clone"), Streaming::Open).await?;
        let shape = self.carry(&origin, &clone, path).await;
        let (shape, ()) = (shape?, clone.stop().await?);
        origin.stop().await?;
        Ok(self.verdict(&shape))
    }

    async fn sample(&self, folder: &Path, writing: &TaskTracker) -> Result<PathBuf, Failure> {
        self.say("writing a sample");
        let path = folder.join("sample");
        let (at, stop) = (path.clone(), CancellationToken::new());
        let _stopped_with_us = stop.clone().drop_guard();
        let written = writing.spawn_blocking(move || sample::write(&at, &stop)).await;
        written.map_err(Failure::failed)?.map_err(|e| Failure::file(&path, &e))?;
        Ok(path)
    }

    /// From one hub to the other, and the comparison.
    async fn carry(&self, origin: &Node, clone: &Node, path: PathBuf) -> Result<Report, Failure> {
        origin.client.ask(&MakeChannel { nick: NICK.into() }).await?;
        self.say("putting everything on the first hub");
        let total = size_of(std::slice::from_ref(&path));
        let question =
            local::Put { channel: NICK.into(), paths: vec![path.clone()], to: "/".into() };
        let mut progress = Progress::new("put", total, self.json);
        let put = put(&origin.client, &question, &mut progress, false).await?;
        drop(progress);
        self.say("cloning it to the second hub");
        introduce(origin, clone).await?;
        let (origin_status, clone_status) = self.arrive(origin, clone, &put).await?;
        self.say("comparing every byte");
        let differences = compare::compare(&path, &clone.client, NICK).await?;
        let shape = Shape { streams: self.stream, files: put.files, bytes: put.bytes, differences };
        Ok(Report::new(shape, put.skipped, &origin_status, &clone_status))
    }

    /// Waits until the clone has everything.
    async fn arrive(
        &self,
        origin: &Node,
        clone: &Node,
        put: &Tally,
    ) -> Result<(Status, Status), Failure> {
        let mut progress = Progress::new("cloned", put.bytes, self.json);
        let (mut moved, mut last) = (Instant::now(), (0, 0));
        loop {
            let (there, here) = (origin.status().await?, clone.status().await?);
            let channel = here.channels.first().ok_or_else(|| Failure::failed("no channel"))?;
            let now = (channel.present.files, channel.present.bytes + channel.underway);
            progress.at(now.1, || format!("{} of {} files", now.0, put.files));
            if settled(&there) && channel.wanted.files == 0 && arrived(&here, put) {
                return Ok((there, here));
            }
            if now != last {
                (moved, last) = (Instant::now(), now);
            }
            if moved.elapsed() > PATIENCE {
                let text = format!(
                    "nothing came for {} s; {} of {} files are there\n{}",
                    PATIENCE.as_secs(),
                    now.0,
                    put.files,
                    clone.last_words()
                );
                return Err(Failure::failed(text));
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn verdict(&self, report: &Report) -> Exit {
        if self.json {
            output::json(report);
        } else {
            report.differences.iter().for_each(|line| output::line(format!("differs: {line}")));
            output::line(report.table());
        }
        if report.identical { Exit::Done } else { Exit::Failed }
    }

    fn say(&self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }
}

/// What the first hub has is made known to the second, as an owner would do it.
async fn introduce(origin: &Node, clone: &Node) -> Result<(), Failure> {
    let passphrase = uuid::Uuid::new_v4().to_string();
    let key = SealKey::new(&passphrase).map_err(Failure::failed)?;
    let question = ExportChannel { nick: NICK.into(), key: key.clone() };
    let file = origin.client.ask(&question).await?.file;
    let question = ImportChannel { file, key: Some(key), nick: None };
    clone.client.ask(&question).await?;
    Ok(())
}

/// Whether the other hub has answered for everything.
fn settled(origin: &Status) -> bool {
    let mut clones = origin.channels.iter().flat_map(|channel| &channel.clones);
    clones.any(|clone| clone.state == CloneState::Listed && clone.behind == 0)
}

/// Whether every file came, or was given up.
fn arrived(clone: &Status, put: &Tally) -> bool {
    clone.channels.iter().any(|c| c.present.files + c.failed.files >= put.files)
}

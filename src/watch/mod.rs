//! Mirrors ordinary folders into channels, as they change and after they have.
//!
//! Owns: looking at folders (inotify, and once through all of it), what was mirrored of them, putting,
//! moving and removing accordingly. Not here: what these do to a channel (`files`).
//! Invariant: one way, from the folder to the channel: nothing in the folder is ever changed. Nothing
//! is removed from the channel but what was mirrored there and is still the same; and nothing because
//! a disk is not there.
//!
//! | file | knows |
//! |---|---|
//! | `run.rs` | when to look: events, quiet, overflow, the folder coming and going |
//! | `dirty.rs` | which paths have changed and since when they are quiet |
//! | `eyes.rs` | inotify |
//! | `look.rs` | files and folders as they are now |
//! | `compare.rs` | what is different from what was mirrored; moves |
//! | `puts.rs` | reading files that stand still, and putting them |
//! | `removal.rs` | what may be removed |
//! | `told.rs` | what a person hears of it |

mod compare;
mod dirty;
mod eyes;
mod look;
mod puts;
mod removal;
mod run;
mod told;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use zotferry_protocol::packets::is_name;

use crate::catalog::{CatalogError, Channel, WatchNo};
use crate::chunker::ChunkerError;
use crate::files::{EditError, PutError};
use crate::hub::Hub;
use crate::text::visible;

pub use told::{Tally, WatchEvent};

/// Events that a slow listener may be behind.
const BEHIND: usize = 4096;
/// How long a watch of the settings rests after it could not go on.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// Why a folder is not mirrored any more.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage.
    #[error(transparent)]
    Store(#[from] ChunkerError),
    /// Putting what changed.
    #[error(transparent)]
    Put(#[from] PutError),
    /// Moving or removing.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The system's events.
    #[error("inotify: {0}")]
    Eyes(std::io::Error),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
    /// No such channel here.
    #[error("no channel {} on this hub", visible(.0))]
    NoChannel(String),
    /// A folder that cannot be mirrored.
    #[error("{}: {why}", visible(&dir.display().to_string()))]
    Unfit {
        /// The folder.
        dir: PathBuf,
        /// What is the matter with it.
        why: &'static str,
    },
}

/// Which folder goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The channel's name.
    pub channel: String,
    /// The folder of this machine.
    pub dir: PathBuf,
    /// The folder of the channel, from the top.
    pub into: Vec<String>,
}

impl Rule {
    /// A folder into a folder of a channel; the empty path for the top.
    pub fn new(channel: &str, dir: &Path, into: &str) -> Self {
        let into = into.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        // One spelling, as what was mirrored is found by it.
        Self { channel: channel.to_owned(), dir: dir.components().collect(), into }
    }
}

/// The folders that a hub mirrors.
pub struct Watches {
    hub: Arc<Hub>,
    running: Mutex<Vec<Arc<Running>>>,
}

/// A folder that is being mirrored.
pub struct Running {
    rule: Rule,
    told: broadcast::Sender<WatchEvent>,
    /// Rings when all is to be looked through now.
    asked: Notify,
    /// Set when somebody says that what is gone may go.
    sure: AtomicBool,
}

impl Running {
    /// What happens from now on.
    pub fn listen(&self) -> broadcast::Receiver<WatchEvent> {
        self.told.subscribe()
    }

    /// Looks through everything; if it is `sure`, what was held back is removed.
    pub fn look(&self, sure: bool) {
        self.sure.fetch_or(sure, Relaxed);
        self.asked.notify_one();
    }
}

/// What one mirror works with.
struct Mirror {
    hub: Arc<Hub>,
    channel: Channel,
    dir: PathBuf,
    into: Vec<String>,
    watch: WatchNo,
    running: Arc<Running>,
    tally: Tally,
    /// What was last said of it.
    told: Tally,
    /// Paths that were not quiet when they were to be read.
    again: Vec<String>,
    /// The folder that is looked at: another one may be mounted over it.
    identity: Option<(u64, u64)>,
}

impl Watches {
    /// No folder yet.
    pub fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self { hub, running: Mutex::default() })
    }

    /// Mirrors the folders of the settings until the hub stops.
    pub async fn run(self: Arc<Self>) {
        let mut all = tokio::task::JoinSet::new();
        for watch in &self.hub.config.watch {
            let rule = Rule::new(&watch.channel, &watch.dir, &watch.into);
            all.spawn(Arc::clone(&self).keep(rule));
        }
        while all.join_next().await.is_some() {}
    }

    /// Mirrors, and tries again after a failure.
    async fn keep(self: Arc<Self>, rule: Rule) {
        while !self.hub.stop.is_cancelled() {
            let Some(running) = self.begin(&rule) else { return };
            if let Err(error) = self.mirror(&running).await {
                let dir = rule.dir.display();
                tracing::error!(%error, %dir, "a folder is not mirrored for now");
            }
            self.end(&running);
            tokio::select! {
                () = tokio::time::sleep(AFTER_FAILURE) => {}
                () = self.hub.stop.cancelled() => {}
            }
        }
    }

    /// The mirror of a rule that is running.
    pub fn find(&self, rule: &Rule) -> Option<Arc<Running>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().find(|one| one.rule == *rule).cloned()
    }

    /// Registers a mirror; `None` when there is one of that rule.
    pub fn begin(&self, rule: &Rule) -> Option<Arc<Running>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.iter().any(|one| one.rule == *rule) {
            return None;
        }
        let new = Arc::new(Running {
            rule: rule.clone(),
            told: broadcast::channel(BEHIND).0,
            asked: Notify::new(),
            sure: AtomicBool::new(false),
        });
        running.push(Arc::clone(&new));
        Some(new)
    }

    /// Takes a mirror off the list.
    pub fn end(&self, ended: &Arc<Running>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|one| !Arc::ptr_eq(one, ended));
    }

    /// Mirrors until the hub stops. Dropping it is safe at any point: what was done is recorded,
    /// what was not is found again.
    pub async fn mirror(&self, running: &Arc<Running>) -> Result<(), WatchError> {
        let rule = &running.rule;
        let unfit = |why| WatchError::Unfit { dir: rule.dir.clone(), why };
        let dir = fit(&self.hub, &rule.dir).map_err(unfit)?;
        if !rule.into.iter().all(|name| is_name(name)) {
            return Err(unfit("no folder of a channel may be called so"));
        }
        let found = self.hub.catalog.channel_by_nick(&rule.channel).await?;
        let channel = found.ok_or_else(|| WatchError::NoChannel(rule.channel.clone()))?;
        let watch = self.hub.catalog.watch(channel.id, dir, &rule.into.join("/")).await?;
        let mirror = Mirror {
            hub: Arc::clone(&self.hub),
            channel,
            dir: rule.dir.clone(),
            into: rule.into.clone(),
            watch,
            running: Arc::clone(running),
            tally: Tally::default(),
            told: Tally::default(),
            again: Vec::new(),
            identity: None,
        };
        tokio::select! {
            ended = run::run(mirror) => ended,
            () = self.hub.stop.cancelled() => Ok(()),
        }
    }
}

/// The text of a folder that can be mirrored: not one that changes because it is mirrored.
fn fit<'d>(hub: &Hub, dir: &'d Path) -> Result<&'d str, &'static str> {
    let text = dir.to_str().ok_or("its path is not UTF-8")?;
    if !dir.is_absolute() {
        return Err("it is not an absolute path");
    }
    let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let own = hub.folder.path();
    let own = own.canonicalize().unwrap_or_else(|_| own.to_owned());
    match real.starts_with(&own) || own.starts_with(&real) {
        true => Err("it is the hub's own folder, or around it, or inside it"),
        false => Ok(text),
    }
}

impl Mirror {
    fn tell(&self, event: WatchEvent) {
        event.log(&self.dir, &self.told);
        // Nobody may be listening.
        self.running.told.send(event).ok();
    }

    /// A path below the folder as names in the channel.
    fn names(&self, path: &str) -> Vec<String> {
        let below = path.split('/').filter(|name| !name.is_empty()).map(str::to_owned);
        self.into.iter().cloned().chain(below).collect()
    }

    /// A path below the folder as one of this machine.
    fn local(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.dir.clone() } else { self.dir.join(path) }
    }
}

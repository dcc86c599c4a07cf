//! Puts files and folders into a channel.
//!
//! Owns: batches: bytes durable first, then the catalog, then the clones hear. Not here: walking.
//! Spec: SYNC-3, FILE-5.

use std::fs::Metadata;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::author::Here;
use super::photo::looked_at;
use super::walk::{Found, Skipped, walk};
use crate::catalog::{
    Access, CatalogError, Change, Channel, Clash, Filed, LocalContent, LocalPut, PutBatch,
};
use crate::chunker::{ChunkerError, SmallBatch};
use crate::hub::{CallError, Hub};
use crate::storage::Taking;

/// Files entered in one transaction.
const BATCH: usize = 256;
/// Bytes after which a batch is entered although it is not full.
const BATCH_BYTES: u64 = 64 << 20;

/// Why a put ended early. What was entered before stays.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The catalog; over quota among other things.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage; a full disk among other things.
    #[error(transparent)]
    Store(#[from] ChunkerError),
    /// This hub's own jobs.
    #[error(transparent)]
    Jobs(#[from] CallError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// What a put has done so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PutEvent {
    /// A file or folder is in the catalog.
    Done {
        /// Its place in the channel.
        path: String,
        /// Whether it is a folder.
        folder: bool,
        /// Its bytes; 0 for a folder.
        size: u64,
        /// `created`, `replaced` or `unchanged`.
        change: String,
        /// How a file's bytes came in, where that was a question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        way: Option<Way>,
    },
    /// Something was not put.
    Skipped(Skipped),
}

/// Puts each path, and what is below it, into a folder of the channel.
pub async fn put(
    hub: &Arc<Hub>,
    channel: &Channel,
    paths: Vec<PathBuf>,
    into: &[String],
    events: &mpsc::Sender<PutEvent>,
) -> Result<(), PutError> {
    let into = into.to_vec();
    let mut batches = Batches::begin(move |visit| {
        for path in &paths {
            walk(path, &into, visit);
        }
    });
    loop {
        let batch = batches.next(events).await?;
        if batch.is_empty() {
            return Ok(());
        }
        let _until_named = hub.storing.read().await;
        let kept = store(hub, batch, None, events).await?;
        let puts = kept.iter().map(|kept| kept.put.clone()).collect();
        let access = Access::owner(channel.portable_id.as_str());
        let filed = enter(hub, channel, puts, access).await?;
        for (kept, filed) in kept.iter().zip(filed) {
            events.send(kept.event(&filed, None)).await.ok();
        }
    }
}

/// What a walk finds, in batches.
pub(super) struct Batches {
    found: mpsc::Receiver<Result<Found, Skipped>>,
    walking: JoinHandle<()>,
}

/// Hears of what a walk finds; false ends the walk.
pub(super) type Visit<'a> = &'a mut dyn FnMut(Result<Found, Skipped>) -> bool;

impl Batches {
    /// Begins to walk, on a thread of its own.
    pub(super) fn begin(walk: impl FnOnce(Visit<'_>) + Send + 'static) -> Self {
        let (send, found) = mpsc::channel(BATCH);
        let walking = tokio::task::spawn_blocking(move || {
            walk(&mut |item| send.blocking_send(item).is_ok());
        });
        Self { found, walking }
    }

    /// The next ones; none after the last. What cannot be put is told.
    pub(super) async fn next(
        &mut self,
        events: &mpsc::Sender<PutEvent>,
    ) -> Result<Vec<Found>, PutError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            match self.found.recv().await {
                Some(Ok(file)) => {
                    bytes += file.size;
                    batch.push(file);
                }
                Some(Err(skipped)) => drop(events.send(PutEvent::Skipped(skipped)).await),
                None => {
                    if batch.is_empty() {
                        (&mut self.walking).await?;
                    }
                    break;
                }
            }
        }
        Ok(batch)
    }
}

/// Enters files and folders whose bytes are durable, and has the clones told. `hub.storing` is held
/// to read from before they were stored until this has returned.
pub async fn enter(
    hub: &Arc<Hub>,
    channel: &Channel,
    puts: Vec<LocalPut>,
    access: Access,
) -> Result<Vec<Result<Filed, Clash>>, PutError> {
    let puts = looked_at(hub, puts).await;
    let now = hub.clock.now();
    let puts = PutBatch {
        channel: channel.id,
        creator: channel.portable_id.to_string(),
        access,
        date: date(now.0),
        puts,
    };
    let mut author = Here { replica: channel.replica, now };
    let filed = hub.catalog.local_put(&puts, &mut author, now).await?;
    hub.deliver_soon(channel.id).await?;
    Ok(filed)
}

/// A file or folder whose bytes are durable.
pub(super) struct Kept {
    pub(super) file: Found,
    pub(super) put: LocalPut,
    /// How the bytes came in.
    pub(super) way: Way,
    /// The file as it was when it was opened.
    pub(super) seen: Option<Metadata>,
}

/// How the bytes of a file came into the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// They were written.
    Copied,
    /// The file system shares them.
    Shared,
    /// The file itself was linked.
    Linked,
    /// They are in the storage alone: the file is gone from where it was.
    Moved,
    /// They were here.
    Here,
}

impl Kept {
    /// What is told of it once it was entered.
    pub(super) fn event(&self, filed: &Result<Filed, Clash>, way: Option<Way>) -> PutEvent {
        let path = self.file.place();
        match filed {
            Ok(filed) => PutEvent::Done {
                path,
                folder: self.file.is_folder,
                size: if self.file.is_folder { 0 } else { self.file.size },
                change: word(&filed.change),
                way: way.filter(|_| !self.file.is_folder),
            },
            Err(clash) => PutEvent::Skipped(Skipped { path, reason: clash.to_string() }),
        }
    }
}

/// Reads, hashes and stores; all of it is durable when it returns. What cannot be read is told.
pub(super) async fn store(
    hub: &Arc<Hub>,
    batch: Vec<Found>,
    taking: Option<Taking>,
    events: &mpsc::Sender<PutEvent>,
) -> Result<Vec<Kept>, PutError> {
    let storage = Arc::clone(&hub.storage);
    let storing = move || {
        let mut small = SmallBatch::new(&*storage);
        let (mut kept, mut skipped) = (Vec::new(), Vec::new());
        for file in batch {
            let path = file.path.display().to_string();
            match keep(&mut small, file, taking) {
                Ok(one) => kept.push(one),
                Err(ChunkerError::Source(error)) => {
                    skipped.push(Skipped { path, reason: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        small.flush()?;
        Ok((kept, skipped))
    };
    let (kept, skipped) = tokio::task::spawn_blocking(storing).await??;
    for one in skipped {
        events.send(PutEvent::Skipped(one)).await.ok();
    }
    Ok(kept)
}

/// Blocking: one of a batch.
fn keep(
    small: &mut SmallBatch<'_>,
    mut file: Found,
    taking: Option<Taking>,
) -> Result<Kept, ChunkerError> {
    if file.is_folder {
        let put = put_of(&file, None);
        return Ok(Kept { file, put, way: Way::Here, seen: None });
    }
    let source = file.open().map_err(ChunkerError::Source)?;
    let seen = source.metadata().map_err(ChunkerError::Source)?;
    let (content, taken) = match taking {
        None => (small.add_file(&source)?, false),
        Some(how) => small.take_file(&source, how)?,
    };
    let way = match taking.filter(|_| taken) {
        None => Way::Copied,
        Some(Taking::Share) => Way::Shared,
        Some(Taking::Link) => Way::Linked,
    };
    file.size = content.size;
    let content =
        LocalContent { root: content.root, size: content.size, digests: content.inline_digests };
    let put = put_of(&file, Some(content));
    Ok(Kept { file, put, way, seen: Some(seen) })
}

fn put_of(file: &Found, content: Option<LocalContent>) -> LocalPut {
    let executable = content.is_some().then_some(file.executable);
    let put = local_put(file.folders.clone(), &file.name, content);
    LocalPut { mtime: file.mtime, executable, ..put }
}

/// A file to be put, of the type that its name says; without content a folder.
pub fn local_put(folders: Vec<String>, name: &str, content: Option<LocalContent>) -> LocalPut {
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let filetype = if content.is_none() { "multipart/mixed" } else { mime.essence_str() };
    LocalPut {
        folders,
        name: name.to_owned(),
        filetype: filetype.to_owned(),
        is_photo: content.is_some() && filetype.starts_with("image/"),
        picture: None,
        mtime: None,
        executable: None,
        dated: None,
        content,
    }
}

/// What a put did, in a word.
pub fn word(change: &Change) -> String {
    match change {
        Change::Created => "created",
        Change::Replaced { .. } => "replaced",
        Change::Unchanged => "unchanged",
    }
    .to_owned()
}

/// `YYYY-MM-DD HH:MM:SS` in UTC, as Hubzilla writes it.
pub(super) fn date(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

//! Puts files and folders into a channel.
//!
//! Owns: batches: bytes durable first, then the catalog, then the clones hear. Not here: walking.
//! Spec: SYNC-3, FILE-5.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::author::Here;
use super::photo::looked_at;
use super::walk::{Found, Skipped, walk};
use crate::catalog::{
    Access, CatalogError, Change, Channel, Clash, Filed, LocalContent, LocalPut, PutBatch,
};
use crate::chunker::{ChunkerError, SmallBatch};
use crate::hub::{CallError, Hub};
use crate::storage::Storage;

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
    let (send, mut found) = mpsc::channel(BATCH);
    let into = into.to_vec();
    let walking = tokio::task::spawn_blocking(move || {
        for path in &paths {
            walk(path, &into, &mut |item| send.blocking_send(item).is_ok());
        }
    });
    let mut batch: Vec<Found> = Vec::new();
    while let Some(item) = found.recv().await {
        match item {
            Ok(file) => batch.push(file),
            Err(skipped) => drop(events.send(PutEvent::Skipped(skipped)).await),
        }
        let bytes: u64 = batch.iter().map(|file| file.size).sum();
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            put_batch(hub, channel, std::mem::take(&mut batch), events).await?;
        }
    }
    put_batch(hub, channel, batch, events).await?;
    walking.await?;
    Ok(())
}

/// Stores a batch's bytes, enters it in the catalog, and has the clones told.
async fn put_batch(
    hub: &Arc<Hub>,
    channel: &Channel,
    batch: Vec<Found>,
    events: &mpsc::Sender<PutEvent>,
) -> Result<(), PutError> {
    if batch.is_empty() {
        return Ok(());
    }
    let _until_named = hub.storing.read().await;
    let storage = Arc::clone(&hub.storage);
    let (stored, skipped) = tokio::task::spawn_blocking(move || store(&*storage, batch)).await??;
    for one in skipped {
        events.send(PutEvent::Skipped(one)).await.ok();
    }
    let (files, puts): (Vec<Found>, Vec<LocalPut>) = stored.into_iter().unzip();
    let access = Access::owner(channel.portable_id.as_str());
    let filed = enter(hub, channel, puts, access).await?;
    for (file, filed) in files.iter().zip(filed) {
        let path = [&file.folders[..], std::slice::from_ref(&file.name)].concat().join("/");
        let event = match filed {
            Ok(filed) => PutEvent::Done {
                path,
                folder: file.is_folder,
                size: if file.is_folder { 0 } else { file.size },
                change: word(&filed.change),
            },
            Err(clash) => PutEvent::Skipped(Skipped { path, reason: clash.to_string() }),
        };
        events.send(event).await.ok();
    }
    Ok(())
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

type Stored = (Vec<(Found, LocalPut)>, Vec<Skipped>);

/// Blocking: reads, hashes and stores; all of it is durable when it returns.
fn store(storage: &dyn Storage, batch: Vec<Found>) -> Result<Stored, ChunkerError> {
    let mut small = SmallBatch::new(storage);
    let (mut stored, mut skipped) = (Vec::new(), Vec::new());
    for mut file in batch {
        if file.is_folder {
            stored.push((file.clone(), put_of(&file, None)));
            continue;
        }
        let source = match File::open(&file.path) {
            Ok(source) => source,
            Err(error) => {
                let (path, reason) = (file.path.display().to_string(), error.to_string());
                skipped.push(Skipped { path, reason });
                continue;
            }
        };
        let content = small.add_file(&source)?;
        file.size = content.size;
        let content = LocalContent {
            root: content.root,
            size: content.size,
            digests: content.inline_digests,
        };
        let put = put_of(&file, Some(content));
        stored.push((file, put));
    }
    small.flush()?;
    Ok((stored, skipped))
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

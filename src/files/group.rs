//! Files that come one by one from many sides at once, entered together.
//!
//! Owns: the batch: who comes while one is being written goes with the next. Not here: where the bytes
//! come from.
//! Invariant: whoever hears that a file was entered, hears it after the bytes and the entry are
//! durable; one that cannot be entered keeps no other out.
//! Spec: SYNC-3, FILE-5.
//!
//! A transaction and its sync cost the same for one file as for hundreds. There is no worker: of those
//! who wait, one writes for all, and nobody waits for company.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::author::Here;
use super::edit::{About, announce, local_put};
use super::photo::looked_at;
use super::put::date;
use crate::catalog::{
    Access, CatalogError, Channel, ChannelNo, Clash, EditError, Filed, LocalContent, LocalPut,
    PutBatch,
};
use crate::chunker::{ChunkerError, SmallBatch, Stored};
use crate::hub::Hub;

/// Files entered in one transaction.
const BATCH: usize = 256;
/// Bytes of whole contents that are stored together.
const BATCH_BYTES: usize = 8 << 20;

/// Why a file was not entered.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The edit; over quota among other things.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The storage; a full disk among other things.
    #[error(transparent)]
    Store(#[from] ChunkerError),
    /// A worker thread was lost, with the batch.
    #[error("a worker ended before it was done")]
    Lost,
}

/// The bytes of a file.
pub enum NewContent {
    /// All of them: at most 1 MiB.
    Whole(Bytes),
    /// Durable in storage already.
    Stored(Stored),
}

/// A file to be entered: a new one in a folder that is there, or a new revision.
pub struct NewFile {
    /// Its channel.
    pub channel: Channel,
    /// Its path.
    pub path: Vec<String>,
    /// Its bytes.
    pub content: NewContent,
    /// What else is known.
    pub about: About,
}

struct Waiting {
    file: NewFile,
    answer: oneshot::Sender<Result<Filed, GroupError>>,
}

/// Where files meet that are to be entered.
#[derive(Default)]
pub struct Group {
    waiting: Mutex<VecDeque<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

impl Group {
    /// Enters a file, with those that come at the same time. The caller holds `hub.storing` from before
    /// stored bytes were stored, and does not give up waiting: others may be waiting for it.
    ///
    /// # Errors
    /// What kept this file out.
    pub async fn enter(&self, hub: &Arc<Hub>, file: NewFile) -> Result<Filed, GroupError> {
        let (answer, answered) = oneshot::channel();
        self.waiting().push_back(Waiting { file, answer });
        let turn = self.turn.lock().await;
        let batch = self.take();
        if !batch.is_empty() {
            enter(hub, batch).await;
        }
        drop(turn);
        answered.await.map_err(|_| GroupError::Lost)?
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As many as make a batch; for each that is left, somebody waits for the next turn.
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let mut bytes = 0;
        let fits = |one: &Waiting| {
            if let NewContent::Whole(whole) = &one.file.content {
                bytes += whole.len();
            }
            bytes <= BATCH_BYTES
        };
        let count = waiting.iter().take(BATCH).take_while({
            let mut fits = fits;
            move |one| fits(one)
        });
        let count = count.count().max(1).min(waiting.len());
        waiting.drain(..count).collect()
    }
}

/// Stores what has to be, then enters channel by channel.
async fn enter(hub: &Arc<Hub>, batch: Vec<Waiting>) {
    let storage = Arc::clone(&hub.storage);
    let storing = tokio::task::spawn_blocking(move || {
        let stored = store(&*storage, &batch);
        (batch, stored)
    });
    let Ok((batch, stored)) = storing.await else { return };
    let mut channels: BTreeMap<ChannelNo, Vec<(Waiting, Stored)>> = BTreeMap::new();
    match stored {
        Ok(stored) => {
            for (one, stored) in batch.into_iter().zip(stored) {
                channels.entry(one.file.channel.id).or_default().push((one, stored));
            }
        }
        // Nobody knows which of them is to blame.
        Err(_) if batch.len() > 1 => {
            for one in batch {
                Box::pin(enter(hub, vec![one])).await;
            }
        }
        Err(error) => answer(batch, [Err(error.into())]),
    }
    for files in channels.into_values() {
        file(hub, files).await;
    }
}

/// Blocking. All is durable when it returns.
fn store(
    storage: &dyn crate::storage::Storage,
    batch: &[Waiting],
) -> Result<Vec<Stored>, ChunkerError> {
    let mut small = SmallBatch::new(storage);
    let stored: Result<Vec<Stored>, ChunkerError> = batch
        .iter()
        .map(|one| match &one.file.content {
            NewContent::Whole(bytes) => small.add(bytes.clone()),
            NewContent::Stored(stored) => Ok(stored.clone()),
        })
        .collect();
    let stored = stored?;
    small.flush()?;
    Ok(stored)
}

fn answer(
    batch: impl IntoIterator<Item = Waiting>,
    results: impl IntoIterator<Item = Result<Filed, GroupError>>,
) {
    for (one, result) in batch.into_iter().zip(results) {
        // Who does not wait any more need not know.
        one.answer.send(result).ok();
    }
}

/// Enters files of one channel.
async fn file(hub: &Arc<Hub>, files: Vec<(Waiting, Stored)>) {
    match transaction(hub, &files).await {
        Ok(filed) => {
            announce(hub, &files[0].0.file.channel).await;
            answer(files.into_iter().map(|(one, _)| one), filed);
        }
        Err(_) if files.len() > 1 => {
            for one in files {
                Box::pin(file(hub, vec![one])).await;
            }
        }
        Err(error) => {
            answer(files.into_iter().map(|(one, _)| one), [Err(GroupError::Edit(error.into()))]);
        }
    }
}

type Results = Vec<Result<Filed, GroupError>>;

async fn transaction(hub: &Arc<Hub>, files: &[(Waiting, Stored)]) -> Result<Results, CatalogError> {
    let now = hub.clock.now();
    let channel = &files[0].0.file.channel;
    let homes = homes(hub, channel, files).await?;
    let (puts, at_home): (Vec<LocalPut>, Vec<bool>) =
        files.iter().map(|(one, stored)| put(&one.file, stored, &homes)).unzip();
    let entered = puts.iter().zip(&at_home).filter(|(_, at_home)| **at_home);
    let batch = PutBatch {
        channel: channel.id,
        creator: channel.portable_id.to_string(),
        access: Access::owner(channel.portable_id.as_str()),
        date: date(now.0),
        puts: looked_at(hub, entered.map(|(put, _)| put.clone()).collect()).await,
    };
    let mut filed = Vec::new();
    if !batch.puts.is_empty() {
        let mut author = Here { replica: channel.replica, now };
        filed = hub.catalog.local_put(&batch, &mut author, now).await?;
    }
    let mut filed = filed.into_iter();
    let result = |at_home: bool| match at_home.then(|| filed.next()).flatten() {
        Some(Ok(filed)) => Ok(filed),
        Some(Err(Clash::FolderInTheWay)) => Err(EditError::IsFolder.into()),
        Some(Err(Clash::FileInTheWay)) | None => Err(EditError::NoParent.into()),
    };
    Ok(at_home.into_iter().map(result).collect())
}

/// The folders that the files are to lie in, and whether each is there.
async fn homes(
    hub: &Arc<Hub>,
    channel: &Channel,
    files: &[(Waiting, Stored)],
) -> Result<HashMap<Vec<String>, bool>, CatalogError> {
    let mut homes: HashMap<Vec<String>, bool> = HashMap::new();
    for (one, _) in files {
        let folders = one.file.path.split_last().map_or(&[][..], |(_, folders)| folders);
        if homes.contains_key(folders) {
            continue;
        }
        let names: Vec<&str> = folders.iter().map(String::as_str).collect();
        let there = match names.is_empty() {
            true => true,
            false => hub.catalog.by_path(channel.id, &names).await?.is_some_and(|a| a.is_dir),
        };
        homes.insert(folders.to_vec(), there);
    }
    Ok(homes)
}

fn put(file: &NewFile, stored: &Stored, homes: &HashMap<Vec<String>, bool>) -> (LocalPut, bool) {
    let (name, folders) = file.path.split_last().map_or(("", &[][..]), |(n, f)| (n.as_str(), f));
    let content = LocalContent {
        root: stored.root,
        size: stored.size,
        digests: stored.inline_digests.clone(),
    };
    let at_home = !name.is_empty() && homes.get(folders).copied().unwrap_or(false);
    (local_put(folders, name, Some(content), &file.about), at_home)
}

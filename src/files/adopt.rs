//! Makes entries of files that were on the disk before.
//!
//! Owns: what is the same and need not be read, dates, the end of a file that was moved. Not here: walking,
//! storing and entering (`walk`, `put`).
//! Invariant: a file that is moved goes only after its bytes and its entry are durable, and only if it is
//! still what was read. Killed at any moment, every file is where it was, or in the channel, or both.
//! Spec: SYNC-3, SYNC-6.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::put::{Batches, Kept, PutError, PutEvent, Way, date, enter, local_put, store};
use super::walk::{Found, Skipped, walk, walk_inside};
use crate::catalog::{Access, Channel, Clash, Filed, LocalPut};
use crate::chunker::verify::{Verdict, verify};
use crate::hub::Hub;
use crate::storage::{Storage, Taking};

/// What becomes of a file that is adopted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keeping {
    /// It stays; the channel has a copy, which shares its blocks where the file system can.
    #[default]
    Copy,
    /// It stays, and is what the channel has: a hard link. Who writes to it damages the channel's content.
    Link,
    /// It goes once the channel has it.
    Move,
}

/// How files are adopted.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Adopting {
    /// What becomes of the files.
    pub keeping: Keeping,
    /// Reads also those that have the size and the time of what the channel has.
    pub checksum: bool,
    /// Adopts what lies in the folder, not the folder.
    pub inside: bool,
}

/// Makes entries of a file or folder of this machine, and of all below it, in a folder of the channel. What
/// the channel has already is passed over: run again, it goes on.
pub async fn adopt(
    hub: &Arc<Hub>,
    channel: &Channel,
    path: PathBuf,
    into: &[String],
    how: Adopting,
    events: &mpsc::Sender<PutEvent>,
) -> Result<(), PutError> {
    let into = into.to_vec();
    let mut batches = Batches::begin(move |visit| {
        match how.inside {
            true => walk_inside(&path, &into, visit),
            false => walk(&path, &into, visit),
        };
    });
    loop {
        let batch = batches.next(events).await?;
        if batch.is_empty() {
            return Ok(());
        }
        // What is to go is compared byte by byte.
        let batch = match how.checksum || how.keeping == Keeping::Move {
            true => batch,
            false => pass_over(hub, channel, batch, events).await?,
        };
        adopt_batch(hub, channel, batch, how.keeping, events).await?;
    }
}

/// Leaves out the files that stand in the channel with this size and time, and whose bytes are here.
async fn pass_over(
    hub: &Arc<Hub>,
    channel: &Channel,
    batch: Vec<Found>,
    events: &mpsc::Sender<PutEvent>,
) -> Result<Vec<Found>, PutError> {
    // Any content stands for a file: only its place is looked at.
    let places: Vec<LocalPut> = batch
        .iter()
        .map(|file| {
            let put = local_put(file.folders.clone(), &file.name, None);
            LocalPut { content: (!file.is_folder).then(some_content), ..put }
        })
        .collect();
    let standing = hub.catalog.standing(channel.id, &places).await?;
    let storage = Arc::clone(&hub.storage);
    let looking = move || -> Result<Vec<(Found, bool)>, PutError> {
        let look = |(file, standing): (Found, Option<crate::catalog::Attach>)| {
            let same = standing.filter(|entry| {
                let dated = file.mtime.is_some() && entry.mtime == file.mtime;
                dated && !file.is_folder && entry.filesize == file.size
            });
            let here = match same.and_then(|entry| entry.root) {
                Some(root) => {
                    storage.contains(&root).map_err(crate::chunker::ChunkerError::from)?
                }
                None => false,
            };
            Ok((file, here))
        };
        batch.into_iter().zip(standing).map(look).collect()
    };
    let mut rest = Vec::new();
    for (file, here) in tokio::task::spawn_blocking(looking).await?? {
        if !here {
            rest.push(file);
            continue;
        }
        let (path, size, change) = (file.place(), file.size, "unchanged".to_owned());
        let way = Some(Way::Here);
        events.send(PutEvent::Done { path, folder: false, size, change, way }).await.ok();
    }
    Ok(rest)
}

fn some_content() -> crate::catalog::LocalContent {
    let root = zotferry_protocol::ids::Digest([0; 32]);
    crate::catalog::LocalContent { root, size: 0, digests: None }
}

async fn adopt_batch(
    hub: &Arc<Hub>,
    channel: &Channel,
    batch: Vec<Found>,
    keeping: Keeping,
    events: &mpsc::Sender<PutEvent>,
) -> Result<(), PutError> {
    let _until_named = hub.storing.read().await;
    // What is moved is linked first: a rename could lose it between two steps.
    let taking = match keeping {
        Keeping::Copy => Taking::Share,
        Keeping::Link | Keeping::Move => Taking::Link,
    };
    let mut kept = store(hub, batch, Some(taking), events).await?;
    for one in &mut kept {
        one.put.dated = one.file.mtime.map(|mtime| date(mtime.0));
    }
    let puts = kept.iter().map(|kept| kept.put.clone()).collect();
    let access = Access::owner(channel.portable_id.as_str());
    let filed = enter(hub, channel, puts, access).await?;
    let mut kept: Vec<(Kept, Result<Filed, Clash>)> = kept.into_iter().zip(filed).collect();
    let mut stays = Vec::new();
    if keeping == Keeping::Move {
        let storage = Arc::clone(&hub.storage);
        let letting_go = move || {
            let stays = let_all_go(&*storage, &mut kept);
            (kept, stays)
        };
        (kept, stays) = tokio::task::spawn_blocking(letting_go).await?;
    }
    for (one, filed) in &kept {
        events.send(one.event(filed, Some(one.way))).await.ok();
    }
    for one in stays {
        events.send(PutEvent::Skipped(one)).await.ok();
    }
    Ok(())
}

/// Blocking: removes the files that were entered; those that stay, with the reason.
fn let_all_go(storage: &dyn Storage, kept: &mut [(Kept, Result<Filed, Clash>)]) -> Vec<Skipped> {
    let mut stays = Vec::new();
    for (one, filed) in kept {
        if filed.is_err() || one.file.is_folder {
            continue;
        }
        match let_go(storage, one) {
            Ok(()) => one.way = Way::Moved,
            Err(reason) => {
                let path = one.file.path.display().to_string();
                stays.push(Skipped { path, reason: format!("adopted, but not moved: {reason}") });
            }
        }
    }
    stays
}

/// Removes a file whose bytes are the channel's. What was not linked was copied, now or once: that copy is
/// read again first.
fn let_go(storage: &dyn Storage, one: &Kept) -> Result<(), String> {
    let (Some(content), Some(seen)) = (&one.put.content, &one.seen) else { return Ok(()) };
    let stored = storage.open(&content.root).map_err(|e| e.to_string())?;
    let linked = stored.as_ref().and_then(|stored| stored.as_file()?.metadata().ok());
    if !linked.is_some_and(|linked| is_same_file(&linked, seen)) {
        match verify(storage, &content.root, &mut |_| true) {
            Ok(Some(Verdict::Whole)) => {}
            Ok(_) => return Err("what the channel has of it is damaged".into()),
            Err(error) => return Err(error.to_string()),
        }
    }
    if !is_as_seen(&one.file.path, seen) {
        return Err("it was changed meanwhile".into());
    }
    fs::remove_file(&one.file.path).map_err(|e| e.to_string())
}

fn is_same_file(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

fn is_as_seen(path: &Path, seen: &Metadata) -> bool {
    let of = |about: &Metadata| (about.len(), about.mtime(), about.mtime_nsec());
    fs::symlink_metadata(path).is_ok_and(|now| is_same_file(&now, seen) && of(&now) == of(seen))
}

//! A channel into a backup.
//!
//! Owns: the pass over the catalog, page by page, and the thread that writes. Not here: contents
//! (`shelve`), files and their order (`zotferry_backup`).
//! Invariant: pages that wait for the disk are few, whatever the channel holds.
//! Spec: BACKUP-9, BACKUP-13, BACKUP-16.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use zotferry_backup::{Backup, Identity, Kind, Line, Lock, Metadata, Text, Writer, prune};
use zotferry_protocol::codec::{MAX_PACKET, encode};
use zotferry_protocol::packets::{Item, Operation};

use super::SaveError;
use super::shelve::Shelves;
use crate::catalog::{Channel, Data, Saved};
use crate::channels::{SealKey, export as identity};
use crate::hub::Hub;
use crate::items;
use crate::keys::PrivateKey;
use crate::packets::operation_of;

/// Entries read at once.
const PAGE: u32 = 256;
/// Items read at once: each may have half a packet.
const ITEMS: u32 = 16;
/// Entries that wait for the thread that writes.
const WAITING: usize = 32;
/// Bytes of one operation, as in a packet.
const ROOM: usize = MAX_PACKET - (16 << 10);

/// How a backup is made.
pub struct ExportOptions {
    /// The folder.
    pub target: PathBuf,
    /// Real copies, also where links would do.
    pub copy: bool,
    /// Whether what earlier runs left goes.
    pub prune: bool,
    /// The channel's identity goes in, sealed under this.
    pub identity: Option<SealKey>,
}

/// What an export tells as it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportEvent {
    /// So much is done.
    Progress(Exported),
    /// A content that is not in the backup, with the reason.
    Missing {
        /// Path of its entry.
        path: String,
        /// Why.
        reason: String,
    },
    /// All is done.
    Done(Exported),
}

/// What an export has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Entries.
    pub entries: u64,
    /// Contents.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Contents that were there from an earlier run.
    pub there: u64,
    /// Contents that are another name of a file of the hub.
    pub linked: u64,
    /// Contents whose bytes were written.
    pub copied: u64,
    /// Contents that are not on this hub.
    pub missing: u64,
    /// Files of earlier runs that went.
    pub pruned: u64,
}

/// An entry on its way to the thread that writes.
pub(super) struct Going {
    pub(super) operation: Operation,
    pub(super) data: Vec<Data>,
    pub(super) path: Option<String>,
    pub(super) kind: Kind,
    /// The items of its further metadata files.
    pub(super) more: mpsc::Receiver<Vec<Item>>,
}

/// Writes a channel's backup. `told` hears how far it is; when nobody listens any more, it ends.
pub async fn export(
    hub: &Arc<Hub>,
    channel: &Channel,
    options: ExportOptions,
    told: mpsc::Sender<ExportEvent>,
) -> Result<Exported, SaveError> {
    if !hub.holds_newest_key(channel)? {
        return Err(SaveError::OldKey(channel.nick.clone()));
    }
    let whose = Identity {
        channel: channel.portable_id.clone(),
        guid: channel.guid.clone(),
        nick: channel.nick.clone(),
        key: channel.public_pem.clone(),
        rotations: hub.chain(channel).await.map_err(|e| SaveError::Row(e.to_string()))?.signed(),
        url: hub.config.url.to_string(),
    };
    let sealed = match &options.identity {
        Some(key) => Some(identity::export(hub, channel, key).await?),
        None => None,
    };
    let (send, going) = mpsc::channel(WAITING);
    let writing = Writing {
        hub: Arc::clone(hub),
        key: hub.channel_key(channel)?,
        whose,
        sealed,
        options,
        told,
    };
    let written = tokio::task::spawn_blocking(move || writing.run(going));
    let read = read(hub, channel, send).await;
    // Why the writer ended early says more than that it did.
    let written = written.await?;
    match read {
        Err(SaveError::Stopped) | Ok(()) => written,
        Err(error) => Err(error),
    }
}

/// Every entry, in the order of their ids, to the one who writes.
async fn read(
    hub: &Hub,
    channel: &Channel,
    send: mpsc::Sender<Result<Going, ()>>,
) -> Result<(), SaveError> {
    let mut after = None;
    loop {
        let page = hub.catalog.saved_after(channel.id, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.entry.entry.hash.clone());
        for saved in page {
            entry(hub, channel, saved, &send).await?;
        }
    }
    // The end is told, or the backup would be taken for whole when reading failed.
    send.send(Err(())).await.map_err(|_| SaveError::Stopped)
}

async fn entry(
    hub: &Hub,
    channel: &Channel,
    saved: Saved,
    send: &mpsc::Sender<Result<Going, ()>>,
) -> Result<(), SaveError> {
    let operation = operation_of(&saved.entry).map_err(SaveError::Row)?;
    let hash = saved.entry.entry.hash.clone();
    let kind = match (saved.entry.entry.alive, saved.entry.entry.is_dir) {
        (false, _) => Kind::Removed,
        (true, true) => Kind::Folder,
        (true, false) => Kind::File,
    };
    let room = ROOM.saturating_sub(encode(&operation).len());
    let (items, more) = mpsc::channel(1);
    let path = saved.path.map(|names| names.join("/"));
    let going = Going { operation, data: saved.entry.data, path, kind, more };
    send.send(Ok(going)).await.map_err(|_| SaveError::Stopped)?;
    if !saved.has_items {
        return Ok(());
    }
    let (mut part, mut size, mut after) = (Vec::new(), 0, String::new());
    loop {
        let page = hub.catalog.items_after(channel.id, Some(&hash), &after, ITEMS).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.mid);
        for item in &page {
            let item = items::wire(item)?;
            let len = encode(&item).len();
            if size + len > room && !part.is_empty() {
                let part = std::mem::take(&mut part);
                items.send(part).await.map_err(|_| SaveError::Stopped)?;
                size = 0;
            }
            if len > room {
                tracing::error!(
                    mid = item.mid,
                    "an item is too large beside its entry; it is not in the backup"
                );
                continue;
            }
            size += len;
            part.push(item);
        }
    }
    if !part.is_empty() {
        items.send(part).await.map_err(|_| SaveError::Stopped)?;
    }
    Ok(())
}

/// What the thread that writes has.
struct Writing {
    hub: Arc<Hub>,
    key: Arc<PrivateKey>,
    whose: Identity,
    sealed: Option<Vec<u8>>,
    options: ExportOptions,
    told: mpsc::Sender<ExportEvent>,
}

impl Writing {
    fn run(self, mut going: mpsc::Receiver<Result<Going, ()>>) -> Result<Exported, SaveError> {
        let mut writer = Writer::begin(&self.options.target, &self.whose.channel)?;
        if let Some(sealed) = &self.sealed {
            writer.identity(sealed)?;
        }
        let mut done = Exported::default();
        let mut shelves = Shelves::new(&*self.hub.storage, self.options.copy);
        loop {
            match going.blocking_recv() {
                Some(Ok(going)) => self.entry(&mut writer, &mut shelves, going, &mut done)?,
                Some(Err(())) => break,
                None => return Err(SaveError::Stopped),
            }
            if self.told.is_closed() {
                return Err(SaveError::Stopped);
            }
        }
        writer.finish(&self.whose, self.hub.clock.now().0, &*self.key)?;
        if self.options.prune {
            let lock = Lock::take(&self.options.target)?;
            done.pruned = prune(&Backup::open(&self.options.target)?, &lock)?;
        }
        self.told.blocking_send(ExportEvent::Done(done)).ok();
        Ok(done)
    }

    fn entry(
        &self,
        writer: &mut Writer,
        shelves: &mut Shelves<'_>,
        mut going: Going,
        done: &mut Exported,
    ) -> Result<(), SaveError> {
        let Some(id) = going.operation.entry().map(|entry| entry.row.hash.clone()) else {
            return Err(SaveError::Row("an operation without an entry".into()));
        };
        let (mut data, mut missing) = (Vec::new(), Vec::new());
        let mut contents = Vec::new();
        for row in &going.data {
            let (content, reason) = shelves.content(writer, row, done)?;
            let line = zotferry_backup::LineData { root: Text(row.root), size: row.size };
            if content.missing {
                missing.push(line);
                let path = going.path.clone().unwrap_or_else(|| id.to_string());
                let reason = reason.unwrap_or_default();
                self.told.blocking_send(ExportEvent::Missing { path, reason }).ok();
            } else if content.in_data() {
                data.push(line);
            }
            contents.push(content);
        }
        let Going { operation, path, kind, .. } = going;
        let mut meta = Vec::new();
        loop {
            let items = going.more.blocking_recv();
            if items.is_none() && !meta.is_empty() {
                break;
            }
            let item = items.unwrap_or_default();
            let operation = Operation { item, ..operation.clone() };
            meta.push(Text(writer.metadata(&Metadata { operation, contents: contents.clone() })?));
            contents.iter_mut().for_each(|content| content.bytes = None);
        }
        writer.entry(&Line { id: Text(id), kind, path, meta, data, missing })?;
        done.entries += 1;
        // One that nobody has read yet is out of date.
        self.told.try_send(ExportEvent::Progress(*done)).ok();
        Ok(())
    }
}

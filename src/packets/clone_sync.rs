//! Another clone tells of file operations: into the catalog, all of a packet in one transaction.
//!
//! Owns: which registers of an entry change, what is wanted, what is refused. Not here: fetching.
//! Invariant: the report is on disk with the effects; the same packet gets the same report again.
//! Spec: SYNC-4 to SYNC-9, SYNC-12 to SYNC-17, SYNC-24, SYNC-25, SYNC-27, SYNC-28, PKT-12, SIGN-8.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use zotferry_protocol::codec;
use zotferry_protocol::envelope::Header;
use zotferry_protocol::ids::{OpId, ResourceId, Role};
use zotferry_protocol::packets::{
    AttachEntry, CloneSync, Data, OpReport, OpStatus, Operation, Source, SyncReport,
};
use zotferry_protocol::refusal::{Code, Refusal};
use zotferry_protocol::version::{Relation, Version, join, relation, winner};

use super::rows::attach_of;
use super::{Caller, Reply, unavailable};
use crate::catalog::{self, Apply, Attach, VersionBytes, Want};
use crate::hub::Hub;

pub(super) async fn receive(
    hub: &Arc<Hub>,
    caller: &Caller,
    header: &Header,
    sync: CloneSync,
) -> Result<Reply, Refusal> {
    let free = free_space(hub).await?;
    let mut apply = hub.catalog.begin_apply().await.map_err(|e| unavailable(&e))?;
    // Asked again inside the transaction: two deliveries of one packet may come at once.
    if let Some(answer) = apply.replayed(&header.id).await.map_err(|e| unavailable(&e))? {
        return Ok(Reply::Packet(200, answer));
    }
    let done = operations(hub, caller, &mut apply, &sync, free).await?;
    let answer = SyncReport { operations: done.reports, present: Vec::new() }.into();
    let sealed = hub.seal_answer(&header.from, header.id, answer).await;
    let bytes = sealed.map_err(|e| unavailable(&e))?;
    apply.finish(&header.id, header.expires, &bytes).await.map_err(|e| unavailable(&e))?;
    hub.tell_receiver();
    if done.arrived {
        hub.report_soon(caller.channel.id);
    }
    Ok(Reply::Packet(200, bytes))
}

/// Bytes that may still be promised: what is free beyond the floor.
async fn free_space(hub: &Arc<Hub>) -> Result<u64, Refusal> {
    let storage = Arc::clone(&hub.storage);
    let free = tokio::task::spawn_blocking(move || storage.free_space()).await;
    let free = free.map_err(|e| unavailable(&e))?.map_err(|e| unavailable(&e))?;
    let reserved: u64 = hub
        .catalog
        .channels()
        .await
        .map_err(|e| unavailable(&e))?
        .iter()
        .map(|channel| channel.reserved)
        .sum();
    Ok(free.saturating_sub(hub.config.limits.min_free_mib << 20).saturating_sub(reserved))
}

/// What a packet did.
struct Done {
    reports: Vec<OpReport>,
    arrived: bool,
}

async fn operations(
    hub: &Arc<Hub>,
    caller: &Caller,
    apply: &mut Apply<'_>,
    sync: &CloneSync,
    free: u64,
) -> Result<Done, Refusal> {
    let channel = apply.channel(caller.channel.id).await.map_err(|e| unavailable(&e))?;
    let hashes: Vec<ResourceId> = sync
        .operations
        .iter()
        .flat_map(|op| &op.attach)
        .map(|entry| entry.row.hash.clone())
        .collect::<HashSet<_>>()
        .into_iter()
        .collect();
    let known = apply.load(channel.id, &hashes).await.map_err(|e| unavailable(&e))?;
    let mut changes =
        Changes { known, changed: HashSet::new(), wants: Vec::new(), hlc: channel.hlc };
    let mut room = Room { quota: channel.room(), disk: free };
    let mut reports = Vec::new();
    for operation in &sync.operations {
        reports.push(report(operation, changes.take(operation, &mut room)));
    }
    if !changes.wants.is_empty() {
        hub.metrics.first_wanted_ms.first(hub.clock.now());
    }
    let rows = changes.rows();
    apply.upsert_attach(channel.id, &rows).await.map_err(|e| unavailable(&e))?;
    let wanted = apply
        .want(channel.id, caller.site.id, &changes.wants, hub.clock.now())
        .await
        .map_err(|e| unavailable(&e))?;
    apply.observe_hlc(channel.id, changes.hlc).await.map_err(|e| unavailable(&e))?;
    // Content that another channel's file, or another revision, has already.
    let here: Vec<i64> = wanted
        .iter()
        .filter(|w| w.held && w.state == catalog::DataState::Wanted)
        .map(|w| w.id)
        .collect();
    apply.mark_present(&here).await.map_err(|e| unavailable(&e))?;
    Ok(Done { reports, arrived: !here.is_empty() })
}

fn report(operation: &Operation, outcome: Result<OpStatus, Refusal>) -> OpReport {
    match outcome {
        Ok(status) => OpReport { id: operation.id, status, code: None },
        Err(refusal) => {
            tracing::debug!(%refusal, "an operation was refused");
            let code = Some(refusal.code.into());
            OpReport { id: operation.id, status: OpStatus::Refused, code }
        }
    }
}

/// What may still be announced.
struct Room {
    quota: u64,
    disk: u64,
}

impl Room {
    /// SYNC-12, SYNC-13: reserved when announced, refused when there is no room.
    fn reserve(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.quota = self.quota.checked_sub(bytes).ok_or(Code::QuotaExceeded)?;
        self.disk = self.disk.checked_sub(bytes).ok_or(Code::NoSpace)?;
        Ok(())
    }
}

/// What becomes of an entry's bytes.
enum Content {
    /// They are what they were; no version of theirs is new.
    Same,
    /// Ours stay; with the merged version where theirs were concurrent.
    Ours(Option<Version>),
    /// Theirs are taken, under this version.
    Theirs(Version),
}

impl Content {
    fn wins(&self) -> bool {
        matches!(self, Self::Theirs(_))
    }
}

/// The rows that a packet touches, as they become.
struct Changes {
    known: HashMap<ResourceId, Attach>,
    changed: HashSet<ResourceId>,
    wants: Vec<Want>,
    hlc: u64,
}

impl Changes {
    /// SYNC-16: one operation: all of it, or (refused) nothing.
    fn take(&mut self, operation: &Operation, room: &mut Room) -> Result<OpStatus, Refusal> {
        operation.check()?;
        let before = self.snapshot(operation);
        let (quota, disk, hlc) = (room.quota, room.disk, self.hlc);
        self.merge_all(operation, room).inspect_err(|_| {
            (room.quota, room.disk, self.hlc) = (quota, disk, hlc);
            self.restore(before);
        })
    }

    /// The rows that an operation may change, as they are, and whether they had changed.
    fn snapshot(&self, operation: &Operation) -> Vec<(ResourceId, Option<Attach>, bool)> {
        let hashes = operation.attach.iter().map(|entry| &entry.row.hash);
        let row = |hash: &ResourceId| {
            (hash.clone(), self.known.get(hash).cloned(), self.changed.contains(hash))
        };
        hashes.map(row).collect()
    }

    fn restore(&mut self, before: Vec<(ResourceId, Option<Attach>, bool)>) {
        for (hash, row, changed) in before {
            if !changed {
                self.changed.remove(&hash);
            }
            match row {
                Some(row) => drop(self.known.insert(hash, row)),
                None => drop(self.known.remove(&hash)),
            }
        }
    }

    fn merge_all(&mut self, operation: &Operation, room: &mut Room) -> Result<OpStatus, Refusal> {
        let Some(entry) = operation.entry() else { return Err(Code::BadPlace.into()) };
        let content = self.judge_content(entry)?;
        if content.wins() {
            let news = operation.data.iter().filter(|d| self.is_new(entry, d));
            room.reserve(news.map(|d| d.size).sum())?;
        }
        let mut news = false;
        for entry in &operation.attach {
            news |= self.merge(entry, operation.id)?;
        }
        match &content {
            Content::Theirs(version) => {
                self.set_content(entry, operation, version);
                self.wants.extend(operation.data.iter().map(|d| want(entry, d, operation.id)));
            }
            Content::Ours(Some(version)) => self.set_version(entry, version),
            Content::Ours(None) | Content::Same => {}
        }
        Ok(match content {
            Content::Ours(_) => OpStatus::Superseded,
            Content::Theirs(_) => OpStatus::Stored,
            Content::Same if news => OpStatus::Stored,
            Content::Same => OpStatus::Duplicate,
        })
    }

    fn stored(&self, entry: &AttachEntry) -> Option<Version> {
        let row = self.known.get(&entry.row.hash)?;
        codec::decode_owned(&row.content_version.as_ref()?.0).ok()
    }

    /// SYNC-24, SYNC-25: whose bytes an entry has from now on, and the version that has seen both.
    fn judge_content(&self, entry: &AttachEntry) -> Result<Content, Refusal> {
        let Some(theirs) = &entry.content else { return Ok(Content::Same) };
        let Some(ours) = self.stored(entry) else { return Ok(Content::Theirs(theirs.clone())) };
        Ok(match relation(&ours, theirs) {
            Relation::Equal => Content::Same,
            Relation::Newer => Content::Ours(None),
            Relation::Older => Content::Theirs(theirs.clone()),
            Relation::Concurrent => {
                let merged = join(&ours, theirs).map_err(|e| Refusal::with(Code::BadField, e))?;
                match winner(&ours, theirs) == theirs {
                    true => Content::Theirs(merged),
                    false => Content::Ours(Some(merged)),
                }
            }
        })
    }

    fn is_new(&self, entry: &AttachEntry, data: &Data) -> bool {
        self.known.get(&entry.row.hash).is_none_or(|row| row.root != Some(data.root))
    }

    /// Place and meta of one row, each by its own version. Whether anything changed.
    fn merge(&mut self, entry: &AttachEntry, op: OpId) -> Result<bool, Refusal> {
        let clock = [Some(&entry.place), Some(&entry.meta), entry.content.as_ref()];
        self.hlc = clock.into_iter().flatten().map(|v| v.hlc().0).fold(self.hlc, u64::max);
        let hash = &entry.row.hash;
        let Some(ours) = self.known.get_mut(hash) else {
            let mut row = attach_of(&entry.row, op);
            row.place_version = bytes(&entry.place);
            row.meta_version = bytes(&entry.meta);
            self.known.insert(hash.clone(), row);
            self.changed.insert(hash.clone());
            return Ok(true);
        };
        if ours.is_dir != entry.row.is_folder() {
            return Err(Refusal::with(Code::BadField, "a folder does not become a file"));
        }
        let place = later(&ours.place_version, &entry.place)?;
        let meta = later(&ours.meta_version, &entry.meta)?;
        let news = place.is_some() || meta.is_some();
        if let Some((version, theirs)) = place {
            ours.place_version = bytes(&version);
            if theirs {
                entry.row.filename.clone_into(&mut ours.filename);
                ours.folder = entry.row.parent();
            }
        }
        if let Some((version, theirs)) = meta {
            ours.meta_version = bytes(&version);
            if theirs {
                take_meta(ours, attach_of(&entry.row, op));
            }
        }
        if news {
            self.changed.insert(hash.clone());
        }
        Ok(news)
    }

    /// The entry's bytes are theirs from now on.
    fn set_content(&mut self, entry: &AttachEntry, operation: &Operation, version: &Version) {
        let file = operation.data.iter().find(|d| d.role == Role::File);
        let (Some(row), Some(file)) = (self.known.get_mut(&entry.row.hash), file) else { return };
        row.content_version = Some(bytes(version));
        row.root = Some(file.root);
        row.filesize = file.size;
        entry.row.filetype.clone_into(&mut row.filetype);
        row.revision = entry.row.revision.into();
        row.op_id = operation.id;
        // Written elsewhere: not ours to announce any more.
        row.seq = None;
        self.changed.insert(entry.row.hash.clone());
    }

    /// The entry keeps its bytes, and its version has now seen theirs.
    fn set_version(&mut self, entry: &AttachEntry, version: &Version) {
        if let Some(row) = self.known.get_mut(&entry.row.hash) {
            row.content_version = Some(bytes(version));
            self.changed.insert(entry.row.hash.clone());
        }
    }

    fn rows(&self) -> Vec<Attach> {
        self.changed.iter().filter_map(|hash| self.known.get(hash)).cloned().collect()
    }
}

/// The merged version of a register and whether the newcomer's value is its value; `None` when there
/// is nothing new in it.
fn later(ours: &VersionBytes, theirs: &Version) -> Result<Option<(Version, bool)>, Refusal> {
    let ours: Version = codec::decode_owned(&ours.0).map_err(|e| unavailable(&e))?;
    Ok(match relation(&ours, theirs) {
        Relation::Equal | Relation::Newer => None,
        Relation::Older => Some((theirs.clone(), true)),
        Relation::Concurrent => {
            let merged = join(&ours, theirs).map_err(|e| Refusal::with(Code::BadField, e))?;
            Some((merged, winner(&ours, theirs) == theirs))
        }
    })
}

/// Everything of a row but its place and its bytes.
fn take_meta(ours: &mut Attach, theirs: Attach) {
    *ours = Attach {
        filename: std::mem::take(&mut ours.filename),
        folder: ours.folder.take(),
        filesize: ours.filesize,
        filetype: std::mem::take(&mut ours.filetype),
        revision: ours.revision,
        place_version: ours.place_version.clone(),
        meta_version: ours.meta_version.clone(),
        content_version: ours.content_version.clone(),
        root: ours.root,
        op_id: ours.op_id,
        seq: ours.seq,
        ..theirs
    };
}

fn want(entry: &AttachEntry, data: &Data, op_id: OpId) -> Want {
    Want {
        hash: entry.row.hash.clone(),
        role: data.role,
        root: data.root,
        size: data.size,
        mime: data.mime.clone(),
        source: match data.source {
            Source::Fetch => catalog::Source::Fetch,
            Source::Backup => catalog::Source::Backup,
        },
        digests: data.inline_digests(),
        op_id,
    }
}

fn bytes(version: &Version) -> VersionBytes {
    VersionBytes(codec::encode(version))
}

//! A backup into a channel that lives on this hub.
//!
//! Owns: whose backup it is; its entries into the catalog, then their bytes. Not here: reading the backup
//! (`zotferry_backup`), merging (`packets`), bytes (`bring`).
//! Invariant: an entry goes through the same merge as one that another clone announced, so that a restore
//! may be repeated, broken off, and done beside other clones, with one outcome.
//! Spec: BACKUP-22 to BACKUP-25, ID-20.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use zotferry_backup::{Backup, Coming, Content, Group, RestoreEvent, Restored, groups};
use zotferry_protocol::ids::{Digest, ResourceId};
use zotferry_protocol::packets::{OpReport, OpStatus, Operation};

use super::SaveError;
use super::bring::{Brought, bring};
use crate::catalog::{Channel, Data};
use crate::channels::{SealKey, export as identity};
use crate::hub::Hub;
use crate::packets::merge_answer;
use crate::packets::statements::fresh_replica;

/// Bytes of metadata that are merged in one transaction.
const MOST_BYTES: usize = 1 << 20;
/// Groups that are read ahead.
const AHEAD: usize = 1;

/// How a backup is brought back.
pub struct RestoreOptions {
    /// The backup's folder.
    pub backup: PathBuf,
    /// What opens the identity in it, where the channel is not here yet.
    pub identity: Option<SealKey>,
    /// The channel's name here, where it is not here yet.
    pub nick: Option<String>,
    /// Real copies, also where links would do.
    pub copy: bool,
    /// Nothing is changed: only said what would be.
    pub dry_run: bool,
}

/// Brings a backup back. `told` hears how far it is; when nobody listens any more, it ends.
pub async fn restore(
    hub: &Arc<Hub>,
    options: RestoreOptions,
    told: mpsc::Sender<RestoreEvent>,
) -> Result<Restored, SaveError> {
    let path = options.backup.clone();
    let backup = tokio::task::spawn_blocking(move || Backup::open(&path)).await??;
    let backup = Arc::new(backup);
    let channel = channel(hub, &backup, &options).await?;
    let header = backup.header();
    let (nick, entries, bytes) = (channel.nick.clone(), header.entries, header.bytes);
    told.send(RestoreEvent::Begun { channel: nick, entries, bytes }).await.ok();
    let (send, mut coming) = mpsc::channel(AHEAD);
    let from = Arc::clone(&backup);
    let give = move |group| send.blocking_send(group).is_ok();
    let reading = tokio::task::spawn_blocking(move || groups(&from, MOST_BYTES, give));
    let mut restoring =
        Restoring { hub, channel, backup, options, told, done: Restored::default() };
    while let Some(group) = coming.recv().await {
        if restoring.told.is_closed() || hub.stop.is_cancelled() {
            return Err(SaveError::Stopped);
        }
        restoring.group(group).await?;
    }
    reading.await??;
    restoring.end().await
}

/// BACKUP-24: the channel that a backup is of, if it lives here or can be brought by the identity in the backup; from
/// now on another writer.
async fn channel(
    hub: &Arc<Hub>,
    backup: &Backup,
    options: &RestoreOptions,
) -> Result<Channel, SaveError> {
    let header = backup.header();
    let id = &header.channel.0;
    let Some(channel) = hub.catalog.channel_by_id(id).await? else {
        let absent = || SaveError::NoChannel { nick: header.nick.clone(), id: id.to_string() };
        let (Some(key), Some(file)) = (&options.identity, backup.identity()?) else {
            return Err(absent());
        };
        let opened = identity::open(&file, Some(key))?;
        if !opened.identity.chain().is_ok_and(|chain| chain.channel() == id) || options.dry_run {
            return Err(absent());
        }
        // ID-20: an import makes another writer.
        return Ok(identity::import(hub, opened, options.nick.as_deref()).await?);
    };
    let chain = hub.chain(&channel).await.map_err(|e| SaveError::Row(e.to_string()))?;
    if !header.is_of(&chain) {
        return Err(SaveError::OtherKey);
    }
    if !hub.lives_here(channel.id).await? {
        return Err(SaveError::Left(channel.nick));
    }
    if options.dry_run { Ok(channel) } else { renew(hub, &channel).await }
}

/// The channel on this hub is another writer from now on.
pub(super) async fn renew(hub: &Arc<Hub>, channel: &Channel) -> Result<Channel, SaveError> {
    let own = hub.own_place(channel.id).await?;
    let own = own.ok_or_else(|| SaveError::Left(channel.nick.clone()))?;
    // ID-20: what is restored may be older than what this hub has told others under its old name.
    let _one_at_a_time = hub.statements.in_channel(channel.id).await;
    hub.catalog.set_replica(channel.id, fresh_replica()).await?;
    let channel = hub.catalog.channel(channel.id).await?;
    hub.state_location(&channel, own.primary, false).await?;
    let announced = hub.announce_soon(channel.id).await;
    announced.map_err(|e| SaveError::Row(e.to_string()))?;
    Ok(channel)
}

struct Restoring<'a> {
    hub: &'a Arc<Hub>,
    channel: Channel,
    backup: Arc<Backup>,
    options: RestoreOptions,
    told: mpsc::Sender<RestoreEvent>,
    done: Restored,
}

impl Restoring<'_> {
    async fn group(&mut self, group: Group) -> Result<(), SaveError> {
        for (path, reason) in group.troubles {
            self.trouble(path, reason).await;
        }
        let firsts = || group.coming.iter().filter(|coming| coming.first);
        self.done.entries += firsts().count() as u64;
        let contents = || firsts().flat_map(|coming| &coming.contents);
        self.done.missing += contents().filter(|content| content.missing).count() as u64;
        self.done.bytes += contents().map(|content| content.size).sum::<u64>();
        if !self.options.dry_run {
            self.merge(&group.coming).await?;
        }
        self.bring(&group.coming).await?;
        self.told.send(RestoreEvent::Progress(self.done)).await.ok();
        Ok(())
    }

    async fn trouble(&mut self, path: String, reason: String) {
        self.done.troubles += 1;
        self.told.send(RestoreEvent::Trouble { path, reason }).await.ok();
    }

    /// BACKUP-22: into the catalog, as if this hub had asked a clone for them.
    async fn merge(&mut self, coming: &[Coming]) -> Result<(), SaveError> {
        let operations: Vec<Operation> = coming.iter().map(|c| c.operation.clone()).collect();
        if operations.is_empty() {
            return Ok(());
        }
        let merged = merge_answer(self.hub, &self.channel, self.hub.site, &operations).await;
        for (coming, report) in coming.iter().zip(merged.map_err(SaveError::Merge)?) {
            match report {
                OpReport { status: OpStatus::Refused, code, .. } => {
                    let reason = code.map_or_else(|| "refused".to_owned(), |code| code.explained());
                    self.trouble(coming.path.clone(), reason).await;
                }
                OpReport { status: OpStatus::Stored, .. } if coming.first => self.done.taken += 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// BACKUP-23: the bytes of what the catalog lacks now.
    async fn bring(&mut self, coming: &[Coming]) -> Result<(), SaveError> {
        let mut contents: HashMap<Digest, (&Content, &str)> = HashMap::new();
        for coming in coming {
            let here = coming.contents.iter().filter(|content| !content.missing);
            contents.extend(here.map(|c| (c.root, (c, coming.path.as_str()))));
        }
        if self.options.dry_run {
            let embedded = |content: &Content| content.bytes.is_some();
            let all = contents.into_iter().map(|(root, (content, _))| (root, embedded(content)));
            return self.look(all.collect()).await;
        }
        let entries: HashSet<ResourceId> = coming
            .iter()
            .filter_map(|coming| coming.operation.entry())
            .map(|entry| entry.row.hash.clone())
            .collect();
        let entries: Vec<ResourceId> = entries.into_iter().collect();
        let lacking = self.hub.catalog.lacking(self.channel.id, &entries).await?;
        // A row may have been announced with another size than its root has bytes: it is none of these.
        let mut ids: HashMap<Digest, Vec<i64>> = HashMap::new();
        for Data { id, root, size, .. } in lacking {
            if contents.get(&root).is_some_and(|(content, _)| content.size == size) {
                ids.entry(root).or_default().push(id);
            }
        }
        contents.retain(|root, _| ids.contains_key(root));
        let (wanted, paths): (Vec<Content>, Vec<&str>) =
            contents.into_values().map(|(content, path)| (content.clone(), path)).unzip();
        let roots: Vec<Digest> = wanted.iter().map(|content| content.root).collect();
        let held = self.hub.catalog.holding(self.channel.id, &roots).await?;
        let _until_named = self.hub.storing.read().await;
        let (hub, backup, copy) =
            (Arc::clone(self.hub), Arc::clone(&self.backup), self.options.copy);
        let bringing = move || bring(&*hub.storage, &*backup, &wanted, &held, copy);
        let outcomes = tokio::task::spawn_blocking(bringing).await??;
        let mut present = Vec::new();
        for ((outcome, root), path) in outcomes.into_iter().zip(roots).zip(paths) {
            match outcome {
                Ok(how) => {
                    self.done.files += 1;
                    self.done.linked += u64::from(how == Brought::Linked);
                    present.extend(ids.remove(&root).unwrap_or_default());
                }
                Err(fault) => self.trouble(path.to_owned(), fault).await,
            }
        }
        self.hub.catalog.mark_present(&present).await?;
        if !present.is_empty() {
            self.hub.report_soon(self.channel.id);
        }
        Ok(())
    }

    /// A dry run: how many contents would come.
    async fn look(&mut self, roots: Vec<(Digest, bool)>) -> Result<(), SaveError> {
        let named: Vec<Digest> = roots.iter().map(|(root, _)| *root).collect();
        let held = self.hub.catalog.holding(self.channel.id, &named).await?;
        let backup = Arc::clone(&self.backup);
        let looking = move || -> Result<u64, SaveError> {
            let mut come = 0;
            for (root, embedded) in roots {
                let brings = embedded || backup.data(&root)?.is_some();
                come += u64::from(brings && !held.contains_key(&root));
            }
            Ok(come)
        };
        self.done.files += tokio::task::spawn_blocking(looking).await??;
        Ok(())
    }

    async fn end(self) -> Result<Restored, SaveError> {
        if !self.options.dry_run {
            // BACKUP-25: what did not come, other clones may have.
            self.hub.catalog.fetch_instead(self.channel.id).await?;
            self.hub.tell_receiver();
            self.hub.changes.notify_one();
        }
        self.told.send(RestoreEvent::Done(self.done)).await.ok();
        Ok(self.done)
    }
}

//! Another clone tells of file operations: into the catalog, all of a packet in one transaction.
//!
//! Owns: the transaction. Not here: which registers change and who wins (`merge`), fetching.
//! Invariant: the report is on disk with the effects; the same packet gets the same report again.
//! Spec: SYNC-8, SYNC-11, SYNC-12, SYNC-13, SYNC-15, SYNC-16, SYNC-37, PKT-12, SIGN-8.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use zotferry_protocol::envelope::Header;
use zotferry_protocol::ids::{Digest, ResourceId};
use zotferry_protocol::packets::{CloneSync, OpReport, OpStatus, Operation, Source, SyncReport};
use zotferry_protocol::refusal::{Code, Refusal};

use super::admit::heard;
use super::merge::{Loss, LostBytes, Merge, Room};
use super::{Caller, Reply, unavailable};
use crate::catalog::{self, Apply, Attach, Channel, SiteNo};
use crate::hub::Hub;
use crate::items;

pub(super) async fn receive(
    hub: &Arc<Hub>,
    caller: &Caller,
    header: &Header,
    sync: CloneSync,
) -> Result<Reply, Refusal> {
    let free = free_space(hub).await?;
    let items = items::prepare(hub, &caller.channel, &sync.operations).await;
    let items = items.map_err(|e| unavailable(&e))?;
    let mut apply = hub.catalog.begin_apply().await.map_err(|e| unavailable(&e))?;
    // Asked again inside the transaction: two deliveries of one packet may come at once.
    if let Some(answer) = apply.replayed(&heard(header)).await.map_err(|e| unavailable(&e))? {
        return Ok(Reply::Packet(200, answer));
    }
    // SIGN-8: no id is forgotten early, so there may not be more of them than can be kept.
    if let Err(seconds) = hub.paces.change(caller.channel.id, caller.site.id) {
        let text = "more changes than can be remembered; send more operations in each";
        return Err(Refusal::with(Code::TooMany, text).after(seconds));
    }
    let from = (caller.channel.id, caller.site.id);
    let done = operations(hub, from, &mut apply, (&sync.operations, items), free).await?;
    let answer = SyncReport { operations: done.reports.clone(), present: Vec::new() }.into();
    let sealed = hub.seal_answer(&header.from, header.id, answer).await;
    let bytes = sealed.map_err(|e| unavailable(&e))?;
    apply.finish(&heard(header), header.expires, &bytes).await.map_err(|e| unavailable(&e))?;
    done.announce(hub, caller.channel.id).await;
    Ok(Reply::Packet(200, bytes))
}

/// Merges operations that this hub asked a clone for, like those that were announced to it.
pub async fn merge_answer(
    hub: &Arc<Hub>,
    channel: &Channel,
    site: SiteNo,
    asked: &[Operation],
) -> Result<Vec<OpReport>, Refusal> {
    let free = free_space(hub).await?;
    let items = items::prepare(hub, channel, asked).await.map_err(|e| unavailable(&e))?;
    let mut apply = hub.catalog.begin_apply().await.map_err(|e| unavailable(&e))?;
    let done = operations(hub, (channel.id, site), &mut apply, (asked, items), free).await?;
    apply.commit().await.map_err(|e| unavailable(&e))?;
    done.announce(hub, channel.id).await;
    Ok(done.reports)
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
    /// Whether bytes of it were here already.
    arrived: bool,
    /// Whether conflict copies were made.
    copied: bool,
}

impl Done {
    /// After the commit: wakes whoever has something to do now.
    async fn announce(&self, hub: &Arc<Hub>, channel: i64) {
        hub.tell_receiver();
        hub.changes.notify_one();
        if self.arrived {
            hub.report_soon(channel);
        }
        if self.copied
            && let Err(error) = hub.deliver_soon(channel).await
        {
            tracing::warn!(%error, "conflict copies are announced at the next start");
        }
    }
}

/// Merges operations of a site within a transaction.
async fn operations(
    hub: &Arc<Hub>,
    (channel, site): (i64, SiteNo),
    apply: &mut Apply<'_>,
    (operations, items): (&[Operation], items::Prepared),
    free: u64,
) -> Result<Done, Refusal> {
    let channel = apply.channel(channel).await.map_err(|e| unavailable(&e))?;
    let now = hub.clock.now();
    let hashes = hashes(operations);
    let known = apply.load(channel.id, &hashes).await.map_err(|e| unavailable(&e))?;
    let mut merge = Merge::new(known, channel.hlc);
    let entries = apply.entries_left(channel.id).await.map_err(|e| unavailable(&e))?;
    let full_of_text = apply.is_full_of_text(channel.id).await.map_err(|e| unavailable(&e))?;
    let quota = apply.room(&channel).await.map_err(|e| unavailable(&e))?;
    let mut room = Room { quota, disk: free, entries, full_of_text };
    let taken = operations.iter().map(|op| report(op, merge.take(op, &mut room)));
    let mut reports: Vec<OpReport> = taken.collect();
    if !merge.wants.is_empty() {
        hub.metrics.first_wanted_ms.first(now);
    }
    let copied = copies(apply, &channel, &mut merge, now).await?;
    let (wants, roles) = (std::mem::take(&mut merge.wants), std::mem::take(&mut merge.roles));
    let hlc = merge.hlc;
    let (rows, before) = merge.into_rows();
    let again = announced_again(operations, &reports, &before);
    apply.write(channel.id, &rows, &before, now).await.map_err(|e| unavailable(&e))?;
    items::merge(apply, &channel, items, &mut reports).await.map_err(|e| unavailable(&e))?;
    apply.keep_roles(channel.id, &roles, now).await.map_err(|e| unavailable(&e))?;
    let wanted = apply.want(channel.id, site, &wants, now).await.map_err(|e| unavailable(&e))?;
    if site != hub.site {
        apply.may_have(channel.id, site, &again).await.map_err(|e| unavailable(&e))?;
    }
    apply.observe_hlc(channel.id, hlc).await.map_err(|e| unavailable(&e))?;
    // Content that another file of the channel, or another revision, has already.
    let here: Vec<i64> = wanted
        .iter()
        .filter(|w| w.held && w.state == catalog::DataState::Wanted)
        .map(|w| w.id)
        .collect();
    apply.mark_present(&here).await.map_err(|e| unavailable(&e))?;
    Ok(Done { reports, arrived: !here.is_empty(), copied })
}

/// SYNC-11: what is announced of entries that were known before, to be asked for: the sender may have it too, whoever
/// announced it first.
fn announced_again(
    operations: &[Operation],
    reports: &[OpReport],
    before: &HashMap<ResourceId, Attach>,
) -> Vec<Digest> {
    let told = operations.iter().zip(reports).filter(|(operation, report)| {
        let known = operation.entry().is_some_and(|entry| before.contains_key(&entry.row.hash));
        known && report.status != OpStatus::Refused
    });
    let data = told.flat_map(|(operation, _)| &operation.data);
    data.filter(|data| data.source == Source::Fetch).map(|data| data.root).collect()
}

/// SYNC-37, SYNC-45: files what lost, each copy under the channel's next number, so that the other clones hear of
/// it too. Whether there was any that is new.
async fn copies(
    apply: &mut Apply<'_>,
    channel: &Channel,
    merge: &mut Merge,
    now: zotferry_protocol::ids::Millis,
) -> Result<bool, Refusal> {
    let losses = std::mem::take(&mut merge.losses);
    let hashes: Vec<ResourceId> = losses.iter().map(|loss| loss.copy.hash.clone()).collect();
    let mut existing = apply.load(channel.id, &hashes).await.map_err(|e| unavailable(&e))?;
    let mut any = false;
    for Loss { copy, bytes } in losses {
        let (hash, op_id) = (copy.hash.clone(), copy.op_id);
        let found = existing.remove(&hash);
        let is_new = found.is_none();
        if !merge.file_copy(copy, found)? {
            continue;
        }
        any = true;
        let seq = apply.next_seq(channel.id).await.map_err(|e| unavailable(&e))?;
        if let Some(row) = merge.row_mut(&hash) {
            row.seq = Some(seq);
        }
        tracing::info!(copy = %hash, "concurrent content lost and is kept as a conflict copy");
        match bytes {
            LostBytes::Theirs(want) if is_new => merge.wants.push(want),
            LostBytes::Ours { entry, root } if is_new => {
                let copied = (entry, root, hash, op_id);
                apply.copy_content(channel.id, copied, now).await.map_err(|e| unavailable(&e))?;
            }
            LostBytes::Theirs(_) | LostBytes::Ours { .. } => {}
        }
    }
    Ok(any)
}

fn hashes(operations: &[Operation]) -> Vec<ResourceId> {
    let all = operations.iter().flat_map(|op| &op.attach).map(|entry| entry.row.hash.clone());
    all.collect::<HashSet<_>>().into_iter().collect()
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

//! Gets from another clone what it has, and gives it what it lacks.
//!
//! Owns: packets of entries, both ways. Not here: merging (`packets`), which entries.
//! Invariant: nothing is delivered that was not merged with the other's state first.
//! Spec: AUDIT-9, AUDIT-10, AUDIT-11, AUDIT-16, SYNC-29.

use std::collections::HashSet;
use std::sync::Arc;

use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::{
    CloneSync, EntryRequest, MAX_KEYS, OpReport, OpStatus, Operation, Packet,
};
use zotferry_protocol::refusal::Code;
use zotferry_protocol::trie::{Kind, key};

use super::walk::{Cost, Found};
use crate::catalog::Channel;
use crate::hub::{CallError, Hub, Peer};
use crate::packets::{merge_answer, pack};

/// What a repair has done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Repaired {
    /// Entries that came.
    pub(super) fetched: u64,
    /// Entries that went.
    pub(super) sent: u64,
    /// Entries that either refused.
    pub(super) refused: u64,
    pub(super) cost: Cost,
}

/// Both ways with one clone.
pub(super) struct Repair<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) peer: &'a Peer,
    pub(super) channel: &'a Channel,
    pub(super) done: Repaired,
}

impl Repair<'_> {
    /// Makes both agree about some leaves.
    pub(super) async fn settle(&mut self, found: &Found) -> Result<(), CallError> {
        let differing = found.differing.iter().map(|(key, _)| *key);
        let wanted: Vec<Digest> = found.theirs.iter().copied().chain(differing).collect();
        for keys in wanted.chunks(MAX_KEYS) {
            self.fetch(keys).await?;
        }
        // What merged to the other's state needs no sending.
        let mut lacking = found.ours.clone();
        for chunk in found.differing.chunks(MAX_KEYS) {
            let keys: Vec<Digest> = chunk.iter().map(|(key, _)| *key).collect();
            let now = self.hub.catalog.leaves_at(self.channel.id, &keys).await?;
            let same = |key: &Digest, theirs: &Digest| now.get(key) == Some(theirs);
            lacking.extend(chunk.iter().filter(|(key, at)| !same(key, at)).map(|(key, _)| *key));
        }
        for keys in lacking.chunks(MAX_KEYS) {
            self.send(keys).await?;
        }
        Ok(())
    }

    /// AUDIT-9: asks until all have come, or none comes any more.
    async fn fetch(&mut self, keys: &[Digest]) -> Result<(), CallError> {
        let mut left: Vec<Digest> = keys.to_vec();
        while !left.is_empty() {
            let operations = self.ask(&left).await?;
            let came: HashSet<Digest> = operations.iter().flat_map(keys_of).collect();
            let before = left.len();
            left.retain(|key| !came.contains(key));
            if left.len() == before {
                self.done.refused += left.len() as u64;
                return Ok(());
            }
            let merged = merge_answer(self.hub, self.channel, self.peer.row, &operations).await;
            let reports = merged.map_err(|e| CallError::Local(e.to_string()))?;
            let refused = self.count_refused(&reports);
            self.done.fetched += reports.len() as u64 - refused;
        }
        Ok(())
    }

    /// Entries as another clone has them; none when it has none.
    pub(super) async fn ask(&mut self, keys: &[Digest]) -> Result<Vec<Operation>, CallError> {
        let packet = Packet::from(EntryRequest { keys: keys.to_vec() });
        let asked = self.hub.call_weighed(self.peer, &self.channel.portable_id, &packet, None);
        let (answer, bytes) = match asked.await {
            Err(error) if error.is(Code::UnknownResource) => return Ok(Vec::new()),
            other => other?,
        };
        self.count(bytes);
        match answer.into_packet() {
            Packet::CloneSync(sync) => Ok(sync.operations),
            other => Err(CallError::Local(format!("a {} instead of entries", other.kind()))),
        }
    }

    /// Delivers until all have gone, or none fits any more.
    async fn send(&mut self, keys: &[Digest]) -> Result<(), CallError> {
        let mut left: Vec<Digest> = keys.to_vec();
        while !left.is_empty() {
            let packed = pack(self.hub, self.channel.id, &left).await;
            let operations = packed.map_err(|e| CallError::Local(e.to_string()))?;
            let go: HashSet<Digest> = operations.iter().flat_map(keys_of).collect();
            let before = left.len();
            left.retain(|key| !go.contains(key));
            if left.len() == before {
                self.done.refused += left.len() as u64;
                return Ok(());
            }
            let packet = Packet::from(CloneSync { operations });
            let (answer, bytes) =
                self.hub.call_weighed(self.peer, &self.channel.portable_id, &packet, None).await?;
            self.count(bytes);
            let Packet::SyncReport(report) = &*answer else {
                return Err(CallError::Local(format!("a {} instead of a report", answer.kind())));
            };
            let refused = self.count_refused(&report.operations);
            self.done.sent += report.operations.len() as u64 - refused;
        }
        Ok(())
    }

    fn count(&mut self, bytes: u64) {
        self.done.cost.exchanges += 1;
        self.done.cost.bytes += bytes;
    }

    fn count_refused(&mut self, reports: &[OpReport]) -> u64 {
        let refused = reports.iter().filter(|report| report.status == OpStatus::Refused);
        let refused = refused.count() as u64;
        self.done.refused += refused;
        refused
    }
}

/// The leaves that an operation brings.
fn keys_of(operation: &Operation) -> Vec<Digest> {
    let entry = operation.entry().map(|entry| key(Kind::Attach, entry.row.hash.as_str()));
    let items = operation.item.iter().map(|item| key(Kind::Item, &item.mid));
    entry.into_iter().chain(items).collect()
}

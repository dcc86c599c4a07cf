//! One comparison with one clone, and its account.
//!
//! Owns: rounds until both are equal, what is counted and named. Not here: the walk, the packets.
//! Spec: AUDIT-12, AUDIT-13, AUDIT-16.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::Operation;

use super::repair::{Repair, Repaired};
use super::walk::{Cost, Found, Walk};
use crate::catalog::{Channel, Comparison, OutboxEntry};
use crate::hub::{CallError, Hub, Peer};
use crate::queue::Lane;

/// Rounds of a repair: what is changed meanwhile is found by the next.
const ROUNDS: u32 = 4;
/// Entries that are named.
const NAMED: usize = 5;

/// What is done about differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are counted, and the first are named.
    Look,
    /// Both clones get what they lack.
    Repair,
}

/// What a comparison with one clone found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The clone's base URL.
    pub url: String,
    /// Whether both are equal now.
    pub in_sync: bool,
    /// Entries here at the end.
    pub entries: u64,
    /// Requests that were answered.
    pub exchanges: u32,
    /// Bytes of packets, both ways.
    pub bytes: u64,
    /// Entries that only the clone had.
    pub missing_here: u64,
    /// Entries that only this hub had.
    pub missing_there: u64,
    /// Entries that both had, not the same.
    pub differing: u64,
    /// The paths of the first of them.
    pub first: Vec<String>,
    /// Entries that were fetched.
    pub fetched: u64,
    /// Entries that were sent.
    pub sent: u64,
    /// Entries that this hub or the clone refused.
    pub refused: u64,
    /// Why it could not be compared.
    pub error: Option<String>,
}

impl Account {
    /// Entries that were not the same.
    pub fn differences(&self) -> u64 {
        self.missing_here + self.missing_there + self.differing
    }

    fn pay(&mut self, cost: Cost) {
        self.exchanges += cost.exchanges;
        self.bytes += cost.bytes;
    }
}

/// Compares this hub's catalog of a channel with a clone's, and notes what was found.
pub async fn compare(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
    mode: Mode,
) -> Result<Account, CallError> {
    let _one_at_a_time = hub.audits.turn().await;
    let lane = Lane { channel: channel.id, site: peer.row };
    let comparing = Comparing { hub, peer, channel, lane, mode };
    let done = tokio::select! {
        done = comparing.rounds() => done,
        () = hub.stop.cancelled() => Err(CallError::Local("the hub stops".into())),
    };
    hub.audits.set_to_go(lane, 0);
    done
}

struct Comparing<'a> {
    hub: &'a Arc<Hub>,
    peer: &'a Peer,
    channel: &'a Channel,
    lane: Lane,
    mode: Mode,
}

impl Comparing<'_> {
    async fn rounds(&self) -> Result<Account, CallError> {
        let mut account = Account { url: self.peer.url.to_string(), ..Account::default() };
        let mut equal = None;
        let mut left = 0;
        for round in 0..ROUNDS {
            let mut walk = Walk::begin(self.hub, self.peer, self.channel).await?;
            let found = self.round(&mut walk, &mut account, round == 0).await;
            account.pay(walk.cost);
            left = found?;
            if walk.is_equal() {
                equal = Some(walk.ours.edition);
            }
            if equal.is_some() || left == 0 || self.mode == Mode::Look {
                break;
            }
        }
        // Tombstones that only one of them has forgotten are no difference that anybody has to mend.
        account.in_sync = equal.is_some() || left == 0;
        if account.in_sync {
            self.ask_it_too().await?;
        }
        account.entries = self.hub.catalog.whole(self.channel.id).await?.sum.count;
        let (at, due) = (self.hub.clock.now(), self.hub.next_audit());
        let differing = if account.in_sync { 0 } else { left };
        let note = Comparison { at, equal, differing, due };
        self.hub.catalog.note_compared(self.channel.id, self.peer.row, &note).await?;
        Ok(account)
    }

    /// SYNC-11, BACKUP-25: a clone with an equal catalog may have all that is in it.
    async fn ask_it_too(&self) -> Result<(), CallError> {
        let (channel, site) = (self.channel.id, self.peer.row);
        if self.hub.catalog.may_have(channel, site).await? > 0 {
            self.hub.tell_receiver();
        }
        Ok(())
    }

    /// One way through both catalogs; returns how many leaves differed.
    async fn round(
        &self,
        walk: &mut Walk<'_>,
        account: &mut Account,
        counts: bool,
    ) -> Result<u64, CallError> {
        let mut differed = 0;
        let mut to_go = None;
        while let Some(found) = walk.step().await? {
            let found = self.without_forgotten(found).await?;
            let size = found.theirs.len() + found.ours.len() + found.differing.len();
            differed += size as u64;
            if counts {
                account.missing_here += found.theirs.len() as u64;
                account.missing_there += found.ours.len() as u64;
                account.differing += found.differing.len() as u64;
            }
            let mut repair = self.repair();
            if counts && account.first.len() < NAMED {
                self.name(&found, &mut repair, &mut account.first).await?;
            }
            if self.mode == Mode::Repair {
                let theirs = walk.theirs.map_or(0, |sum| sum.count);
                let open = to_go.get_or_insert(theirs.saturating_sub(walk.ours.sum.count));
                self.hub.audits.set_to_go(self.lane, *open);
                repair.settle(&found).await?;
                *open = open.saturating_sub(found.theirs.len() as u64);
            }
            let Repaired { fetched, sent, refused, cost } = repair.done;
            account.fetched += fetched;
            account.sent += sent;
            account.refused += refused;
            account.pay(cost);
        }
        Ok(differed)
    }

    fn repair(&self) -> Repair<'_> {
        let done = Repaired::default();
        Repair { hub: self.hub, peer: self.peer, channel: self.channel, done }
    }

    /// AUDIT-16: a tombstone that was forgotten here does not come back because it is there still.
    async fn without_forgotten(&self, mut found: Found) -> Result<Found, CallError> {
        if !found.theirs.is_empty() {
            let gone = self.hub.catalog.forgotten(self.channel.id, &found.theirs).await?;
            found.theirs.retain(|key| !gone.contains(key));
        }
        Ok(found)
    }

    /// The paths of the first few entries that differ.
    async fn name(
        &self,
        found: &Found,
        repair: &mut Repair<'_>,
        names: &mut Vec<String>,
    ) -> Result<(), CallError> {
        let few = |keys: &mut dyn Iterator<Item = Digest>| keys.take(NAMED).collect::<Vec<_>>();
        let differing = found.differing.iter().map(|(key, _)| *key);
        let here = few(&mut found.ours.iter().copied().chain(differing));
        let entries = self.hub.catalog.entries_at(self.channel.id, &here).await?;
        names.extend(entries.iter().map(path_here));
        let there = few(&mut found.theirs.iter().copied());
        if !there.is_empty() && names.len() < NAMED {
            names.extend(repair.ask(&there).await?.iter().map(path_there));
        }
        names.truncate(NAMED);
        Ok(())
    }
}

fn path_here(entry: &OutboxEntry) -> String {
    let parents = entry.parents.iter().map(|folder| folder.filename.as_str());
    parents.chain([entry.entry.filename.as_str()]).collect::<Vec<_>>().join("/")
}

fn path_there(operation: &Operation) -> String {
    let names = operation.attach.iter().map(|entry| entry.row.filename.as_str());
    names.collect::<Vec<_>>().join("/")
}

//! One file being filled: carries out what its transfer decides.
//!
//! Owns: the transfer, its partial file, the jobs whose chunks are not durable yet. Not here: the
//! decisions (the protocol's `transfer`), requests.
//! Invariant: a job is done in the same batch that records its chunks as held, after the sync.
//! Spec: FETCH-31 to FETCH-37, SYNC-10.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::ChunkRange;
use zotferry_protocol::transfer::{
    HeldBits, Input, Output, Ticket, Transfer, TransferConfig, Verdict,
};

use super::sources::Sources;
use super::{Receiver, ReceiverError, digests, lock};
use crate::catalog::{Data, SiteNo};
use crate::chunker::{Assembly, ChunkSink, ChunkerError, FilledChunk};
use crate::hub::{Capability, Hub};
use crate::queue::{Finish, HeldPage, Lane, NewJob, Task};
use crate::storage::{Announced, StorageError};

/// Jobs into which a file is cut at least, so that many connections find work.
const JOBS: u32 = 256;
/// Most chunks in one job.
const MAX_RANGE: u32 = 16;

/// A wanted file with its partial file.
pub struct ActiveFile {
    /// Its row.
    pub(super) data: Data,
    pub(super) hub: Arc<Hub>,
    /// Who has it.
    pub(super) sources: Mutex<Sources>,
    pub(super) transfer: Mutex<Transfer>,
    /// None while one that was given up is replaced.
    pub(super) assembly: Mutex<Option<Arc<Assembly>>>,
    /// Jobs whose chunks were all written and wait to be durable.
    pub(super) parked: Mutex<Vec<(u64, ChunkRange)>>,
    /// Rings when the transfer has something to do.
    pub(super) bell: Notify,
    /// Tells those who read that something changed.
    changed: watch::Sender<()>,
    /// Signed stream-requests, by hub.
    pub(super) capabilities: Mutex<HashMap<SiteNo, Capability>>,
    pub(super) requests: AtomicU32,
    pub(super) asked: AtomicU64,
    /// Bytes that came, whatever became of them.
    pub(super) came: AtomicU64,
    pub(super) range: u32,
    /// How many read it while it comes.
    pub(super) readers: AtomicU32,
    /// Its channel rests: only those who read it ask.
    resting: AtomicBool,
    /// Cancelled when the file leaves the hand: whole, unwanted, resting, or because the hub stops.
    pub(super) leave: CancellationToken,
    unwanted: AtomicBool,
}

/// How far a file is, for people.
#[derive(Debug, Clone)]
pub struct FileProgress {
    /// Its row.
    pub wanted: i64,
    /// The channel's row.
    pub channel: i64,
    /// The entry.
    pub hash: zotferry_protocol::ids::ResourceId,
    /// Bytes in the file.
    pub size: u64,
    /// Bytes that are durable.
    pub held: u64,
    /// Requests in flight.
    pub requests: u32,
    /// Hubs that they are addressed to.
    pub origins: u32,
    /// People who read it while it comes.
    pub readers: u32,
}

impl ActiveFile {
    /// Opens or continues the partial file of a wanted content that these hubs have, and that other rows have filled, perhaps.
    /// Blocking.
    pub(super) fn open(
        hub: &Arc<Hub>,
        data: Data,
        sites: &[SiteNo],
        twins: &[i64],
    ) -> Result<Arc<Self>, ChunkerError> {
        let chunks = zotferry_protocol::manifest::Manifest::of(data.size)?.chunks();
        let range = (chunks / JOBS).clamp(1, MAX_RANGE);
        let config = TransferConfig { range, ..TransferConfig::default() };
        let mut transfer = Transfer::new(data.root, data.size, config)?;
        let assembly =
            Assembly::open(&*hub.storage, data.channel, data.root, *transfer.manifest())?;
        forget_records(hub, twins, transfer.manifest().pages())
            .map_err(StorageError::io("taking over a partial file"))?;
        if assembly.resumed() {
            restore(hub, &data, &mut transfer);
        } else {
            // What was recorded of a partial file that is gone must not count for its successor.
            let forgotten = hub.queue.forget(data.id).map_err(std::io::Error::other);
            forgotten.map_err(StorageError::io("forgetting a partial file that is gone"))?;
        }
        let lane = Lane { channel: data.channel, site: Lane::ANY };
        let moved = hub.queue.keep_to(&lane, &[data.id]).map_err(std::io::Error::other);
        moved.map_err(StorageError::io("taking a file in hand"))?;
        for queued in hub.queue.window(data.id) {
            transfer.handle(hub.clock.now(), Input::Queued(queued));
        }
        let mut sources = Sources::default();
        sources.set(sites);
        Ok(Arc::new(Self {
            hub: Arc::clone(hub),
            sources: Mutex::new(sources),
            transfer: Mutex::new(transfer),
            assembly: Mutex::new(Some(assembly)),
            parked: Mutex::default(),
            bell: Notify::new(),
            changed: watch::Sender::new(()),
            capabilities: Mutex::default(),
            requests: AtomicU32::new(0),
            asked: AtomicU64::new(0),
            came: AtomicU64::new(0),
            range,
            readers: AtomicU32::new(0),
            resting: AtomicBool::new(false),
            leave: hub.stop.child_token(),
            unwanted: AtomicBool::new(false),
            data,
        }))
    }

    pub(super) fn id(&self) -> i64 {
        self.data.id
    }

    pub(super) fn channel(&self) -> i64 {
        self.data.channel
    }

    /// Whether this is the content of another name of its channel, too.
    pub(super) fn is_of(&self, data: &Data) -> bool {
        let key = |data: &Data| (data.channel, data.root, data.size);
        key(&self.data) == key(data)
    }

    /// How many chunks it has.
    pub(super) fn chunks(&self) -> u32 {
        lock(&self.transfer).manifest().chunks()
    }

    /// For logs.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.data.hash, self.data.role)
    }

    /// Whether its jobs can be served: no digests are missing, and it stays in hand.
    pub(super) fn ready(&self) -> bool {
        !self.is_over() && !self.resting.load(Relaxed) && lock(&self.transfer).is_proven()
    }

    /// Whether somebody reads it.
    pub(super) fn is_read(&self) -> bool {
        self.readers.load(Relaxed) > 0
    }

    /// Its channel rests, or goes on: a file that somebody reads stays in hand for the reader alone.
    pub(super) fn rest(&self, rests: bool) {
        self.resting.store(rests, Relaxed);
        if rests && !self.is_read() {
            self.let_go(false);
        }
    }

    /// Whether its channel rests.
    pub(super) fn rests(&self) -> bool {
        self.resting.load(Relaxed)
    }

    /// Something about it changed: the transfer goes on, and those who read look again.
    pub(super) fn news(&self) {
        self.bell.notify_one();
        self.changed.send_replace(());
    }

    /// Rings at every change.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether it leaves the hand.
    pub(super) fn is_over(&self) -> bool {
        self.leave.is_cancelled()
    }

    /// Resolves when it leaves the hand.
    pub(super) async fn leaving(&self) {
        self.leave.cancelled().await;
    }

    /// Lets it go as soon as what came is durable: its channel rests, or (`unwanted`) the entry has
    /// other content by now.
    pub(super) fn let_go(&self, unwanted: bool) {
        self.unwanted.store(unwanted, Relaxed);
        self.leave.cancel();
        self.news();
    }

    pub(super) fn progress(&self) -> FileProgress {
        // One lock at a time: judging sources takes both, in the other order.
        let held = lock(&self.transfer).progress().bytes_held;
        let origins = lock(&self.sources).asked();
        FileProgress {
            wanted: self.data.id,
            channel: self.data.channel,
            hash: self.data.hash.clone(),
            size: self.data.size,
            held,
            requests: self.requests.load(Relaxed),
            origins,
            readers: self.readers.load(Relaxed),
        }
    }

    /// Where a chunk's bytes go; `None` when it cannot be received now.
    pub(super) fn chunk_sink(&self, chunk: ChunkNo) -> Option<ChunkSink> {
        self.assembly()?
            .sink(chunk)
            .inspect_err(|error| tracing::warn!(%error, "a chunk has no place"))
            .ok()
    }

    /// Judges a chunk that came whole from a hub.
    pub(super) fn receive(&self, chunk: ChunkNo, digest: &Digest, from: SiteNo) -> Verdict {
        lock(&self.transfer).receive(chunk, digest, from)
    }

    /// Writes a chunk whose verdict was to write it.
    pub(super) fn write(&self, filled: FilledChunk) -> Result<(), ChunkerError> {
        filled.write()
    }

    /// Tells the transfer what happened, and has it do what follows.
    pub(super) fn tell(&self, input: Input<'_>) {
        self.tell_all([input]);
    }

    /// Several things at once.
    pub(super) fn tell_all<'a>(&self, inputs: impl IntoIterator<Item = Input<'a>>) {
        let now = self.hub.clock.now();
        let mut transfer = lock(&self.transfer);
        inputs.into_iter().for_each(|input| transfer.handle(now, input));
        drop(transfer);
        self.news();
    }

    pub(super) fn assembly(&self) -> Option<Arc<Assembly>> {
        lock(&self.assembly).clone()
    }

    /// The chunks of a page that are not here in any form.
    pub(super) fn wants(&self, chunk: ChunkNo) -> bool {
        !lock(&self.transfer).has_come(ChunkRange { first: chunk.0, count: 1 })
    }

    /// Number of the partial file, for what is written into it.
    pub(super) fn file_number(&self) -> u32 {
        lock(&self.transfer).file()
    }

    /// Does what the transfer says until the file is whole or leaves the hand.
    pub(super) async fn drive(self: Arc<Self>, receiver: Arc<Receiver>) {
        loop {
            loop {
                let output = lock(&self.transfer).poll(self.hub.clock.now());
                let Some(output) = output else { break };
                tracing::trace!(file = %self.name(), ?output, "next");
                match self.perform(&receiver, output).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        tracing::error!(file = %self.name(), %error, "a step failed; tried again later");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
            let (wake, settled) = {
                let transfer = lock(&self.transfer);
                (transfer.wake_at(), transfer.is_settled())
            };
            let leaving = self.is_over();
            if leaving && settled && self.requests.load(Relaxed) == 0 {
                return self.left(&receiver).await;
            }
            let rest = wake.map_or(3_600_000, |at| at.since(self.hub.clock.now()).max(1));
            let rest = if leaving { rest.min(20) } else { rest };
            tokio::select! {
                () = self.bell.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(rest)) => {}
                () = self.leaving(), if !leaving => {}
            }
        }
    }

    /// It is in hand no more. What nobody wants goes from queue and disk as well; another name of the channel may want the
    /// same, and goes on with what came.
    async fn left(&self, receiver: &Arc<Receiver>) {
        if self.unwanted.load(Relaxed) {
            let Data { channel, root, size, .. } = self.data;
            let unwanted = self.hub.catalog.unwanted(&[Announced { channel, root, size }]).await;
            let goes = unwanted.is_ok_and(|unwanted| !unwanted.is_empty());
            let old = lock(&self.assembly).take().filter(|_| goes);
            let (queue, wanted) = (Arc::clone(&self.hub.queue), self.data.id);
            let clearing = tokio::task::spawn_blocking(move || -> Result<(), ReceiverError> {
                queue.forget(wanted)?;
                old.map_or(Ok(()), |old| old.discard()).map_err(ReceiverError::from)
            });
            if let Ok(Err(error)) = clearing.await {
                tracing::warn!(file = %self.name(), %error, "what nobody wants stays behind");
            }
        }
        receiver.forget(self.data.id);
        if !self.hub.stop.is_cancelled() {
            self.hub.tell_receiver();
        }
    }

    /// One output; `false` when the file is whole.
    async fn perform(
        self: &Arc<Self>,
        receiver: &Arc<Receiver>,
        output: Output,
    ) -> Result<bool, ReceiverError> {
        match output {
            Output::Record(bits) => self.record(bits).await?,
            Output::Enqueue(ranges) => self.enqueue(&ranges).await?,
            Output::Sync(ticket) => self.sync(receiver, ticket),
            Output::Recheck(range) => self.recheck(receiver, range),
            Output::NeedDigests(page) => digests::fetch(receiver, self, page),
            Output::Abandon => self.abandon().await,
            Output::Commit => return Ok(!self.commit(receiver).await),
        }
        Ok(true)
    }

    async fn record(&self, bits: Vec<HeldBits>) -> Result<(), ReceiverError> {
        let held: Vec<HeldPage> = bits
            .into_iter()
            .map(|b| HeldPage { wanted: self.data.id, page: b.page, bits: b.bits })
            .collect();
        let done = self.take_durable();
        let (queue, now) = (Arc::clone(&self.hub.queue), self.hub.clock.now());
        self.hub.metrics.syncs.one();
        let work = move || queue.commit(&done, &held, now);
        Ok(tokio::task::spawn_blocking(work).await??)
    }

    /// The parked jobs of which every chunk is held.
    fn take_durable(&self) -> Vec<(u64, Finish)> {
        let transfer = lock(&self.transfer);
        let mut parked = lock(&self.parked);
        let (done, rest): (Vec<_>, Vec<_>) =
            parked.drain(..).partition(|(_, range)| transfer.holds(*range));
        *parked = rest;
        done.into_iter().map(|(id, _)| (id, Finish::Done)).collect()
    }

    async fn enqueue(&self, ranges: &[ChunkRange]) -> Result<(), ReceiverError> {
        let lane = Lane { channel: self.data.channel, site: Lane::ANY };
        let jobs: Vec<NewJob> = ranges
            .iter()
            .map(|range| NewJob {
                lane,
                task: Task::Range { wanted: self.data.id, first: range.first, count: range.count },
                priority: 2,
                not_before: self.hub.clock.now(),
                key: None,
            })
            .collect();
        let queue = Arc::clone(&self.hub.queue);
        tokio::task::spawn_blocking(move || queue.push(&jobs)).await??;
        self.hub.work.notify_one();
        Ok(())
    }

    /// Runs beside everything else: writes go on while the disk syncs.
    fn sync(self: &Arc<Self>, receiver: &Arc<Receiver>, ticket: Ticket) {
        let file = Arc::clone(self);
        receiver.tasks.spawn(async move {
            let Some(assembly) = file.assembly() else { return };
            file.hub.metrics.syncs.one();
            let synced = tokio::task::spawn_blocking(move || assembly.sync()).await;
            match synced {
                Ok(Ok(())) => file.tell(Input::Synced(ticket)),
                Ok(Err(error)) => file.sync_failed(&error.to_string()),
                Err(error) => file.sync_failed(&error.to_string()),
            }
        });
    }

    pub(super) fn sync_failed(&self, error: &str) {
        tracing::error!(file = %self.name(), error, "a sync failed; the partial file is given up");
        self.tell(Input::SyncFailed);
    }

    fn recheck(self: &Arc<Self>, receiver: &Arc<Receiver>, range: ChunkRange) {
        let file = Arc::clone(self);
        receiver.tasks.spawn_blocking(move || {
            let assembly = file.assembly();
            for chunk in range.iter() {
                let digest = assembly.as_ref().and_then(|a| a.leaf(chunk).ok().flatten());
                file.tell(Input::Checked { chunk, digest });
            }
        });
    }

    /// Rests for so many ms, or until the file leaves the hand.
    pub(super) async fn pause(&self, ms: u64) {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            () = self.leaving() => {}
        }
    }
}

/// What is recorded under other names must not count for a partial file that may be begun anew under this one: who takes it up
/// after this one reads it back.
fn forget_records(hub: &Hub, twins: &[i64], pages: u32) -> std::io::Result<()> {
    let recorded = |id: i64| (0..pages).any(|page| !matches!(hub.queue.held(id, page), Ok(None)));
    let twins = twins.iter().filter(|id| recorded(**id));
    twins.into_iter().try_for_each(|id| hub.queue.forget(*id)).map_err(std::io::Error::other)
}

/// What was here before: durable chunks count. After an unclean stop every chunk that may be on disk is read back,
/// and when the file was begun under another name, of which nothing is recorded under this one.
fn restore(hub: &Hub, data: &Data, transfer: &mut Transfer) {
    let now = hub.clock.now();
    let pages = 0..transfer.manifest().pages();
    let held = |page| hub.queue.held(data.id, page).ok().flatten().map(|bits| (page, bits));
    let held: Vec<(u32, Vec<u8>)> = pages.clone().filter_map(held).collect();
    if hub.recheck || held.is_empty() {
        pages.for_each(|page| transfer.handle(now, Input::Suspect { page, bits: &[0xff; 512] }));
    } else {
        held.iter()
            .for_each(|(page, bits)| transfer.handle(now, Input::Held { page: *page, bits }));
    }
}

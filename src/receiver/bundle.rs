//! Fetches many small files, each of one chunk, with one request.
//!
//! Owns: their bytes until they are stored together. Not here: the exchange.
//! Invariant: at most [`HOLD`] bytes wait to be stored.
//! Spec: FETCH-8, FILE-10, STREAM-8.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::ChunkRange;
use zotferry_protocol::merkle::LeafHasher;
use zotferry_protocol::packets::{ChunkItem, ChunkRequest};
use zotferry_protocol::refusal::{CodeNumber, Retry};

use super::chunks::Outcome;
use super::exchange::{Ended, Exchange, Expected, Taker};
use super::outcome::Run;
use super::{Receiver, ReceiverError};
use crate::catalog::{Data, DataState};
use crate::queue::{Finish, Job};

/// Bytes that are stored together at the most.
const HOLD: usize = 4 << 20;

/// Serves one leased bundle, and ends its lease.
pub(super) async fn fetch(receiver: Arc<Receiver>, mut run: Run, jobs: Vec<Job>) {
    for job in jobs {
        let finish = match serve(&receiver, &mut run, &job).await {
            Ok(finish) => finish,
            Err(error) => {
                let reason = format!("this hub could not store what came: {error}");
                Finish::Retry { reason, not_before: None }
            }
        };
        if let Err(error) = receiver.end(vec![(job.id, finish)]).await {
            tracing::error!(%error, "a lease could not be ended; it ends with this process");
        }
    }
}

async fn serve(
    receiver: &Arc<Receiver>,
    run: &mut Run,
    job: &Job,
) -> Result<Finish, ReceiverError> {
    let rows = receiver.hub.catalog.contents(job.task.wanted()).await?;
    // One that another hub is to be asked for by now goes into that lane.
    let mine = |row: &Data| row.site == Some(job.lane.site);
    let open = |row: &Data| row.state == DataState::Wanted && row.size > 0;
    let (files, moved): (Vec<Data>, Vec<Data>) = rows.into_iter().filter(open).partition(mine);
    if !moved.is_empty() {
        receiver.hub.tell_receiver();
    }
    let (files, twins) = once_each(files);
    let Some(first) = files.first() else { return Ok(Finish::Done) };
    let hub = &receiver.hub;
    let (site, channel) = (first.site.unwrap_or(0), first.channel);
    let (peer, channel) = match hub.peer_and_channel(site, channel).await {
        Ok(found) => found,
        Err(error) => {
            run.fails(&error);
            return Ok(Outcome::Failed(error).for_job(receiver));
        }
    };
    let request = ChunkRequest { items: files.iter().map(item).collect() };
    let expected = (0..).zip(&files).map(expected).collect();
    let exchange = Exchange { hub, peer, channel: &channel, request, expected };
    let mut taker = Bundle::new(receiver, files, twins);
    let ended = exchange.run(run, &mut taker).await;
    taker.store().await?;
    Ok(taker.finish(ended))
}

/// Files with the same bytes as one that is fetched: their rows and channels, by root.
type Twins = HashMap<Digest, Vec<(i64, i64)>>;

/// Each content once, and the other rows that want the same.
fn once_each(files: Vec<Data>) -> (Vec<Data>, Twins) {
    let mut twins: Twins = HashMap::new();
    let mut once = Vec::with_capacity(files.len());
    for file in files {
        match twins.entry(file.root) {
            Entry::Occupied(mut same) => same.get_mut().push((file.id, file.channel)),
            Entry::Vacant(first) => {
                first.insert(Vec::new());
                once.push(file);
            }
        }
    }
    (once, twins)
}

fn item(file: &Data) -> ChunkItem {
    ChunkItem {
        resource: file.hash.clone(),
        role: file.role,
        root: file.root,
        ranges: vec![ChunkRange { first: 0, count: 1 }],
    }
}

fn expected((item, file): (u32, &Data)) -> Expected {
    Expected { item, chunk: ChunkNo(0), len: file.size as u32 }
}

/// The files of a bundle as they arrive.
struct Bundle<'a> {
    receiver: &'a Arc<Receiver>,
    files: Vec<Data>,
    twins: Twins,
    open: Option<(u32, LeafHasher, Vec<Bytes>, usize)>,
    ready: Vec<(Digest, Bytes)>,
    ids: Vec<(i64, i64)>,
    held: usize,
    /// Files that came whole and wait to be stored.
    whole: usize,
    stored: usize,
    trouble: Option<String>,
    failed: Option<ReceiverError>,
}

impl<'a> Bundle<'a> {
    fn new(receiver: &'a Arc<Receiver>, files: Vec<Data>, twins: Twins) -> Self {
        Self {
            receiver,
            files,
            twins,
            open: None,
            ready: Vec::new(),
            ids: Vec::new(),
            held: 0,
            whole: 0,
            stored: 0,
            trouble: None,
            failed: None,
        }
    }

    /// A file came whole: if its bytes are what they should be, they wait to be stored.
    fn complete(&mut self, item: u32, hasher: LeafHasher, pieces: Vec<Bytes>) {
        let Some(file) = self.files.get(item as usize) else { return };
        if hasher.finish() != file.root {
            let metrics = &self.receiver.hub.metrics;
            metrics.bad_chunks.one();
            metrics.bytes_fetched_twice.add(file.size);
            self.trouble = Some("a file with wrong bytes".into());
            return;
        }
        self.receiver.hub.metrics.chunks.one();
        self.held += file.size as usize;
        self.ready.push((file.root, join(pieces)));
        self.ids.push((file.id, file.channel));
        self.whole += 1;
        let twins = self.twins.get(&file.root).into_iter().flatten().copied();
        self.ids.extend(twins.inspect(|_| self.receiver.hub.metrics.bytes_copied.add(file.size)));
    }

    /// Makes what came durable, then visible.
    async fn store(&mut self) -> Result<(), ReceiverError> {
        let (items, ids) = (std::mem::take(&mut self.ready), std::mem::take(&mut self.ids));
        self.held = 0;
        if items.is_empty() {
            return Ok(());
        }
        let _until_named = self.receiver.hub.storing.read().await;
        let storage = Arc::clone(&self.receiver.hub.storage);
        self.receiver.hub.metrics.syncs.one();
        tokio::task::spawn_blocking(move || storage.put_many(&items)).await??;
        self.stored += std::mem::take(&mut self.whole);
        self.receiver.arrived(&ids).await
    }

    fn finish(self, ended: Ended) -> Finish {
        let outcome = match (ended, self.failed, self.trouble) {
            (Ended::Failed(error), ..) => Outcome::Failed(error),
            (_, Some(error), _) => Outcome::Trouble(error.to_string()),
            (_, _, Some(trouble)) => Outcome::Trouble(trouble),
            _ if self.stored == self.files.len() => return Finish::Done,
            _ => Outcome::Again,
        };
        outcome.for_job(self.receiver)
    }
}

/// One piece is passed on as it is; several are put together.
fn join(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.remove(0);
    }
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}

impl Taker for Bundle<'_> {
    async fn take(&mut self, item: u32, _chunk: ChunkNo, bytes: Bytes) -> bool {
        let fresh = || (item, LeafHasher::new(), Vec::new(), 0);
        let (_, mut hasher, mut pieces, len) =
            self.open.take().filter(|(i, ..)| *i == item).unwrap_or_else(fresh);
        let len = len + bytes.len();
        hasher.update(&bytes);
        pieces.push(bytes);
        let whole = self.files.get(item as usize).is_some_and(|file| len as u64 == file.size);
        if whole {
            self.complete(item, hasher, pieces);
        } else {
            self.open = Some((item, hasher, pieces, len));
        }
        if self.held >= HOLD
            && let Err(error) = self.store().await
        {
            self.failed = Some(error);
            return false;
        }
        true
    }

    fn refused(&mut self, item: u32, code: CodeNumber, text: String) {
        let name = self.files.get(item as usize).map(|file| file.hash.to_string());
        let text = crate::text::visible(&text);
        tracing::warn!(file = name, %code, text, "the origin refuses a file");
        let kind = if code.retry() == Retry::Never { "for good" } else { "for now" };
        self.trouble = Some(format!("the origin refuses a file {kind}: {code}"));
    }
}

//! Fetches many small files, each of one chunk, with one request.
//!
//! Owns: their bytes until they are stored together. Not here: the exchange.
//! Invariant: at most [`HOLD`] bytes wait to be stored.
//! Spec: FETCH-8, FETCH-46, FETCH-54, FILE-10, STREAM-8.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::ChunkRange;
use zotferry_protocol::merkle::LeafHasher;
use zotferry_protocol::packets::{ChunkItem, ChunkRequest};
use zotferry_protocol::refusal::{CodeNumber, Retry};

use super::chunks::Outcome;
use super::exchange::{Ended, Exchange, Expected, Taker};
use super::hands::Carried;
use super::origin::Bundling;
use super::outcome::Run;
use super::{Receiver, ReceiverError};
use crate::catalog::{Data, DataState, SiteNo, WantedNo};
use crate::queue::{Finish, Job};

/// Bytes that are stored together at the most.
const HOLD: usize = 4 << 20;

/// What is left of a bundle whose request is over.
struct Left {
    finish: Finish,
    /// Whether other lanes are to look for what it did not bring.
    elsewhere: bool,
    carried: Option<Carried>,
}

/// Serves one leased bundle, and ends its lease.
pub(super) async fn fetch(
    receiver: Arc<Receiver>,
    mut run: Run,
    jobs: Vec<Job>,
    underway: Bundling,
) {
    let mut elsewhere = false;
    for job in jobs {
        let left = match serve(&receiver, &mut run, &job).await {
            Ok(left) => left,
            Err(error) => {
                let reason = format!("this hub could not store what came: {error}");
                let finish = Finish::Retry { reason, not_before: None };
                Left { finish, elsewhere: false, carried: None }
            }
        };
        elsewhere |= left.elsewhere;
        if let Err(error) = receiver.end(vec![(job.id, left.finish)]).await {
            tracing::error!(%error, "a lease could not be ended; it ends with this process");
        }
        drop(left.carried);
    }
    // What the hub is worth is known, and nothing names or claims what it did not give, before
    // others look for it: they pass over what somebody sees to.
    drop(underway);
    drop(run);
    if elsewhere {
        receiver.hub.tell_receiver();
    }
}

async fn serve(receiver: &Arc<Receiver>, run: &mut Run, job: &Job) -> Result<Left, ReceiverError> {
    let (hub, site) = (&receiver.hub, job.lane.site);
    let rows = hub.catalog.contents(job.task.wanted()).await?;
    let sources = hub.catalog.sources_of(hub.site, job.task.wanted()).await?;
    // One that this hub is not to be asked for any more goes into another lane.
    let mine = |row: &Data| sources.get(&row.id).is_some_and(|sites| sites.contains(&site));
    let open = |row: &Data| row.state == DataState::Wanted && row.size > 0;
    let (mut files, moved): (Vec<Data>, Vec<Data>) = rows.into_iter().filter(open).partition(mine);
    let carried = Some(receiver.carry(&mut files));
    let (files, twins) = once_each(files);
    let Some(first) = files.first() else {
        return Ok(Left { finish: Finish::Done, elsewhere: !moved.is_empty(), carried });
    };
    let mut taker = Bundle::new(receiver, site, sources, twins);
    let (peer, channel) = match hub.peer_and_channel(site, first.channel).await {
        Ok(found) => found,
        Err(error) => {
            run.fails(&error);
            taker.files = files;
            let (finish, _) = taker.finish(Ended::Failed(error));
            return Ok(Left { finish, elsewhere: true, carried });
        }
    };
    // The files behind these stay with the job, which is released and leased again.
    let named = run.origin.files_at_a_time().min(files.len());
    run.names(named);
    let request = ChunkRequest { items: files.iter().take(named).map(item).collect() };
    let expected = (0..).zip(files.iter().take(named)).map(expected).collect();
    taker.files = files;
    let exchange = Exchange { hub, peer, channel: &channel, request, expected };
    let ended = exchange.run(run, &mut taker).await;
    taker.store().await?;
    if taker.lied {
        run.lied();
    }
    let (finish, whole) = taker.finish(ended);
    Ok(Left { finish, elsewhere: !whole || !moved.is_empty(), carried })
}

/// Files with the same bytes as one that is fetched: their rows and channels, by root and size.
type Twins = HashMap<(Digest, u64), Vec<(i64, i64)>>;

/// Each content once, and the other rows that want the same.
fn once_each(files: Vec<Data>) -> (Vec<Data>, Twins) {
    let mut twins: Twins = HashMap::new();
    let mut once = Vec::with_capacity(files.len());
    for file in files {
        match twins.entry((file.root, file.size)) {
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
    site: SiteNo,
    files: Vec<Data>,
    /// Who has each.
    sources: HashMap<WantedNo, Vec<SiteNo>>,
    twins: Twins,
    open: Option<(u32, LeafHasher, Vec<Bytes>, usize)>,
    ready: Vec<(Digest, Bytes)>,
    ids: Vec<(i64, i64)>,
    held: usize,
    /// Files that came whole.
    whole: HashSet<WantedNo>,
    /// Files that the hub refused, or of which it sent wrong bytes.
    vain: Vec<WantedNo>,
    trouble: Option<String>,
    lied: bool,
    failed: Option<ReceiverError>,
}

impl<'a> Bundle<'a> {
    fn new(
        receiver: &'a Arc<Receiver>,
        site: SiteNo,
        sources: HashMap<WantedNo, Vec<SiteNo>>,
        twins: Twins,
    ) -> Self {
        Self {
            receiver,
            site,
            files: Vec::new(),
            sources,
            twins,
            open: None,
            ready: Vec::new(),
            ids: Vec::new(),
            held: 0,
            whole: HashSet::new(),
            vain: Vec::new(),
            trouble: None,
            lied: false,
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
            self.lied = true;
            self.vain.push(file.id);
            return;
        }
        self.receiver.hub.metrics.chunks.one();
        self.held += file.size as usize;
        self.ready.push((file.root, join(pieces)));
        self.ids.push((file.id, file.channel));
        self.whole.insert(file.id);
        let twins = self.twins.get(&(file.root, file.size)).into_iter().flatten().copied();
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
        self.receiver.arrived(&ids).await
    }

    /// FETCH-54: what did not come is left to another hub, if there is one that is fit: its lane finds
    /// it in the catalog. Otherwise the job stays and is tried again. Also whether all came.
    fn finish(mut self, ended: Ended) -> (Finish, bool) {
        let now = self.receiver.hub.clock.now();
        if let Some(error) = self.failed.take() {
            return (Outcome::Own(error.to_string()).for_job(self.receiver, false), false);
        }
        let missing = || self.files.iter().filter(|file| !self.whole.contains(&file.id));
        let outcome = match (ended, self.trouble.take()) {
            (Ended::Failed(error), _) => Outcome::Failed(error),
            (_, Some(trouble)) => Outcome::Trouble(trouble),
            _ if missing().next().is_none() => return (Finish::Done, true),
            _ => return (Finish::Release, false),
        };
        self.receiver.avoid(self.site, &self.vain, now);
        let fit = |file: &Data| {
            let sites = self.sources.get(&file.id).into_iter().flatten();
            let mut others = sites.filter(|site| **site != self.site);
            others.any(|site| self.receiver.is_fit(*site, file.id, now))
        };
        if missing().any(fit) {
            tracing::debug!(site = self.site, "another hub is asked for what did not come");
            return (Finish::Done, false);
        }
        (outcome.for_job(self.receiver, false), false)
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
        self.vain.extend(self.files.get(item as usize).map(|file| file.id));
    }
}

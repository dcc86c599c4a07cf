//! Fetches ranges of larger files by chunk-requests.
//!
//! Spec: FETCH-2, FETCH-6, FETCH-8, FETCH-54.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use zotferry_protocol::ids::ChunkNo;
use zotferry_protocol::manifest::{ChunkRange, Manifest};
use zotferry_protocol::packets::{ChunkItem, ChunkRequest, MAX_CHUNKS_ASKED, MAX_ITEMS};
use zotferry_protocol::refusal::{CodeNumber, Retry};

use super::exchange::{Ended, Exchange, Expected, Taker};
use super::file::ActiveFile;
use super::outcome::{Run, finish};
use super::sink::{Found, Piece, Sink};
use super::{Receiver, ReceiverError};
use crate::catalog::SiteNo;
use crate::hub::CallError;
use crate::queue::{Finish, Job};

/// What is asked of one file.
pub(super) struct Part {
    pub(super) file: Arc<ActiveFile>,
    pub(super) jobs: Vec<Job>,
    pub(super) ranges: Vec<ChunkRange>,
}

/// Serves some leased jobs with one request, and ends their leases.
pub(super) async fn fetch(receiver: Arc<Receiver>, mut run: Run, jobs: Vec<Job>) {
    let site = run.site();
    let (parts, homeless) = group(&receiver, site, jobs);
    let mut finished: Vec<(u64, Finish)> =
        homeless.into_iter().map(|id| (id, Finish::Release)).collect();
    let (outcome, refused) = ask(&receiver, &mut run, &parts).await;
    // What the hub is worth is known before its files are asked for again.
    drop(run);
    for part in &parts {
        let unserved = part.file.ended(site, &part.ranges, &part.jobs);
        let outcome = refused.get(&part.file.id()).unwrap_or(&outcome);
        let finish = outcome.of_file(&receiver, &part.file, site);
        finished.extend(unserved.into_iter().map(|id| (id, finish.clone())));
    }
    if let Err(error) = receiver.end(finished).await {
        tracing::error!(%error, "leases could not be ended; they end with this process");
    }
}

/// Asks for chunks that somebody waits for, as [`ActiveFile::ask_now`] gave them; says why they did
/// not all come.
pub(super) async fn fetch_now(
    receiver: &Arc<Receiver>,
    mut run: Run,
    file: Arc<ActiveFile>,
    ranges: Vec<ChunkRange>,
) -> Result<(), String> {
    let site = run.site();
    let part = Part { file, jobs: Vec::new(), ranges };
    let (outcome, refused) = ask(receiver, &mut run, std::slice::from_ref(&part)).await;
    drop(run);
    part.file.ended(site, &part.ranges, &[]);
    let outcome = refused.get(&part.file.id()).unwrap_or(&outcome);
    outcome.of_file(receiver, &part.file, site);
    match outcome {
        Outcome::Again => Ok(()),
        Outcome::Failed(error) => Err(error.to_string()),
        Outcome::Refused(text) | Outcome::Trouble(text) | Outcome::Own(text) => Err(text.clone()),
    }
}

/// What became of a request, for the jobs that it did not serve.
pub(super) enum Outcome {
    /// Nothing speaks against asking again at once.
    Again,
    /// It failed.
    Failed(CallError),
    /// The origin gives nothing of it.
    Refused(String),
    /// Bytes that did not match, or none.
    Trouble(String),
    /// A disk of this hub would not write.
    Own(String),
}

impl Outcome {
    /// What a hub's answer means for the jobs of a file. FETCH-54: while another hub is fit nothing
    /// waits for this one.
    pub(super) fn of_file(&self, receiver: &Receiver, file: &ActiveFile, site: SiteNo) -> Finish {
        if self.is_about_the_content() {
            file.refused_by(site);
        }
        self.for_job(receiver, file.elsewhere(receiver, site))
    }

    /// The same where it is known whether another hub is fit.
    pub(super) fn for_job(&self, receiver: &Receiver, elsewhere: bool) -> Finish {
        let retry = |reason: &String| Finish::Retry { reason: reason.clone(), not_before: None };
        match self {
            Self::Again => Finish::Release,
            Self::Own(reason) => retry(reason),
            _ if elsewhere => Finish::Release,
            Self::Failed(error) => finish(error, receiver.hub.clock.now()),
            Self::Refused(reason) | Self::Trouble(reason) => retry(reason),
        }
    }

    /// Whether the hub has the content no more, or not yet.
    fn is_about_the_content(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Failed(CallError::Refused { code, .. }) => code.retry() != Retry::Later,
            _ => false,
        }
    }

    /// What the sink found, where the exchange itself went well.
    pub(super) fn of(found: &Found) -> Self {
        match &found.failed {
            Some(error) => Self::Own(format!("this hub could not write: {error}")),
            None if found.bad > 0 => {
                Self::Trouble(format!("{} chunks with wrong bytes", found.bad))
            }
            None => Self::Again,
        }
    }
}

/// Jobs by file, each file's chunks marked as asked; and the jobs of files that are not in hand.
fn group(receiver: &Receiver, site: SiteNo, jobs: Vec<Job>) -> (Vec<Part>, Vec<u64>) {
    let mut parts: Vec<Part> = Vec::new();
    let mut homeless = Vec::new();
    for job in jobs {
        let wanted = job.task.wanted().first().copied().unwrap_or(0);
        match parts.iter_mut().find(|part| part.file.id() == wanted) {
            Some(part) => part.jobs.push(job),
            None => match receiver.file(wanted) {
                Some(file) => parts.push(Part { file, jobs: vec![job], ranges: Vec::new() }),
                None => homeless.push(job.id),
            },
        }
    }
    for part in &mut parts {
        part.ranges = part.file.ask(site, &part.jobs);
    }
    (parts, homeless)
}

/// What became of the request, and of the files that the origin refused: those alone.
async fn ask(
    receiver: &Arc<Receiver>,
    run: &mut Run,
    parts: &[Part],
) -> (Outcome, HashMap<i64, Outcome>) {
    let none = HashMap::new;
    let Some(first) = parts.first() else { return (Outcome::Again, none()) };
    let (items, expected, files) = list(parts);
    if expected.is_empty() {
        return (Outcome::Again, none());
    }
    let hub = &receiver.hub;
    let (peer, channel) = match hub.peer_and_channel(run.site(), first.file.channel()).await {
        Ok(found) => found,
        Err(error) => {
            run.fails(&error);
            return (Outcome::Failed(error), none());
        }
    };
    let wanted: Vec<i64> = files.iter().map(|file| file.id()).collect();
    let mut taker = ToSink { sink: Sink::start(hub, files, run.site()), refused: Vec::new() };
    let request = ChunkRequest { items };
    let exchange = Exchange { hub, peer, channel: &channel, request, expected };
    let ended = exchange.run(run, &mut taker).await;
    let found = taker.sink.finish().await;
    if found.bad > 0 {
        run.lied();
    }
    let refused = taker.refused.into_iter().filter_map(|(item, text)| {
        // REF-5: frames are not signed, so whatever one says ends nothing.
        Some((*wanted.get(item as usize)?, Outcome::Refused(text)))
    });
    let outcome = match ended {
        Ended::Failed(error) => Outcome::Failed(error),
        Ended::Whole | Ended::Stopped => Outcome::of(&found),
    };
    (outcome, refused.collect())
}

/// The request's items, its chunks in order, and the file of each item.
fn list(parts: &[Part]) -> (Vec<ChunkItem>, Vec<Expected>, Vec<Arc<ActiveFile>>) {
    let (mut items, mut expected, mut files) = (Vec::new(), Vec::new(), Vec::new());
    let mut room = MAX_CHUNKS_ASKED;
    for part in parts.iter().filter(|part| !part.ranges.is_empty()).take(MAX_ITEMS) {
        let data = &part.file.data;
        let Ok(manifest) = Manifest::of(data.size) else { continue };
        let mut ranges = Vec::new();
        for range in &part.ranges {
            let count = u64::from(range.count).min(room) as u32;
            room -= u64::from(count);
            if count > 0 {
                ranges.push(ChunkRange { first: range.first, count });
            }
        }
        if ranges.is_empty() {
            break;
        }
        let item = items.len() as u32;
        for chunk in ranges.iter().flat_map(|range| range.iter()) {
            let len = manifest.span(chunk).map_or(0, |span| span.len);
            expected.push(Expected { item, chunk, len });
        }
        items.push(ChunkItem {
            resource: data.hash.clone(),
            role: data.role,
            root: data.root,
            ranges,
        });
        files.push(Arc::clone(&part.file));
    }
    (items, expected, files)
}

struct ToSink {
    sink: Sink,
    refused: Vec<(u32, String)>,
}

impl Taker for ToSink {
    async fn take(&mut self, item: u32, chunk: ChunkNo, bytes: Bytes) -> bool {
        self.sink.push(Piece { item, chunk, bytes }).await
    }

    fn refused(&mut self, item: u32, code: CodeNumber, text: String) {
        let text = format!("the origin refuses: {code}: {}", crate::text::visible(&text));
        self.refused.push((item, text));
    }
}

impl Receiver {
    /// Ends leases, durably.
    pub(super) async fn end(&self, finished: Vec<(u64, Finish)>) -> Result<(), ReceiverError> {
        if finished.is_empty() {
            return Ok(());
        }
        tracing::debug!(?finished, "leases end");
        let failed = finished.iter().any(|(_, finish)| matches!(finish, Finish::Retry { .. }));
        let (queue, now) = (Arc::clone(&self.hub.queue), self.hub.clock.now());
        tokio::task::spawn_blocking(move || queue.commit(&finished, &[], now)).await??;
        // Another hub may have announced what this one does not give.
        if failed {
            self.hub.tell_receiver();
        }
        self.hub.work.notify_one();
        Ok(())
    }
}

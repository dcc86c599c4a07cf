//! Reads what is kept again and compares it with its roots; damage is set aside and fetched again.
//!
//! Owns: the pass over all contents, its pace, its mark. Not here: reading one content (`chunker`),
//! fetching (the receiver does, once it is wanted).
//! Invariant: content that was found damaged is out of the way before the catalog wants it again, so
//! that nobody takes it for what was fetched.
//! Spec: AUDIT-17, AUDIT-18.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zotferry_protocol::ids::Digest;

use crate::catalog::{CatalogError, ScrubMark};
use crate::chunker::ChunkerError;
use crate::chunker::verify::{Verdict, verify};
use crate::hub::Hub;
use crate::photos;
use crate::storage::StorageError;

/// Contents looked at between two marks.
const AT_ONCE: u32 = 256;
/// And their bytes, unless it is one.
const BYTES_AT_ONCE: u64 = 64 << 20;
/// A content costs at least so much of the pace: opening it takes time as well.
const LEAST: usize = 16 << 10;
/// How long after the start of the hub the reading goes on.
const SETTLED: Duration = Duration::from_secs(60);
/// A pass begins so long after the one before, in ms: a week.
const BETWEEN: u64 = 7 * 24 * 3600 * 1000;
/// How often it is looked whether a pass is due.
const LOOK: Duration = Duration::from_secs(3600);

/// Why files could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Reading.
    #[error(transparent)]
    Chunker(#[from] ChunkerError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// What reading again has found so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Contents read.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that did not give their root, or could not be read.
    pub damaged: u64,
    /// Those that were not there.
    pub missing: u64,
    /// Entries that want theirs again.
    pub wanted: u64,
    /// Entries whose bytes no other clone can give.
    pub lost: u64,
}

/// How fast files are read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes a second; `None` as fast as it goes.
    pub bytes_per_second: Option<u64>,
}

impl Pace {
    /// Waits, on a thread that may, until `bytes` more are due.
    fn wait(self, since: Instant, done: u64) {
        let Some(rate) = self.bytes_per_second else { return };
        let due = Duration::from_secs_f64(done as f64 / rate.max(1) as f64);
        std::thread::sleep(due.saturating_sub(since.elapsed()).min(Duration::from_secs(1)));
    }
}

/// Reads all contents behind a root. `told` hears, after each group, what was found so far and which
/// root was the last; it ends the reading with false.
pub async fn check_files(
    hub: &Arc<Hub>,
    mut after: Option<Digest>,
    pace: Pace,
    told: &mut (dyn FnMut(&Checked, Option<Digest>) -> bool + Send),
) -> Result<Checked, ScrubError> {
    let mut checked = Checked::default();
    while !hub.stop.is_cancelled() {
        let group = next_group(hub, after.as_ref()).await?;
        let Some((last, _)) = group.last() else {
            told(&checked, None);
            return Ok(checked);
        };
        let last = *last;
        let Some(found) = read(hub, group, pace, &mut checked).await? else { break };
        for (root, verdict) in found {
            set_aside(hub, root, verdict, &mut checked).await?;
        }
        after = Some(last);
        if !told(&checked, after) {
            break;
        }
    }
    Ok(checked)
}

async fn next_group(hub: &Hub, after: Option<&Digest>) -> Result<Vec<(Digest, u64)>, CatalogError> {
    let mut group = hub.catalog.held_after(after, AT_ONCE).await?;
    let mut bytes = 0;
    let fits = group.iter().take_while(|(_, size)| {
        bytes += size;
        bytes <= BYTES_AT_ONCE
    });
    let fits = fits.count().max(1);
    group.truncate(fits);
    Ok(group)
}

/// Those of a group that are not whole; `None` when the hub stops.
async fn read(
    hub: &Arc<Hub>,
    group: Vec<(Digest, u64)>,
    pace: Pace,
    checked: &mut Checked,
) -> Result<Option<Vec<(Digest, Verdict)>>, ScrubError> {
    let (contents, bytes) = (group.len() as u64, group.iter().map(|(_, size)| size).sum::<u64>());
    let (storage, stop) = (Arc::clone(&hub.storage), hub.stop.clone());
    let reading = move || -> Result<_, ChunkerError> {
        let (since, mut done) = (Instant::now(), 0);
        let mut found = Vec::new();
        for (root, _) in group {
            done += LEAST as u64;
            let mut piece = |len: usize| {
                done += len as u64;
                pace.wait(since, done);
                !stop.is_cancelled()
            };
            let mut verdict = verify(&*storage, &root, &mut piece)?;
            if verdict == Some(Verdict::Damaged) {
                // A second look: what is taken for damage costs another clone its bytes.
                verdict = verify(&*storage, &root, &mut piece)?;
            }
            match verdict {
                None => return Ok(None),
                Some(Verdict::Whole) => {}
                Some(bad) => found.push((root, bad)),
            }
        }
        Ok(Some(found))
    };
    let found = tokio::task::spawn_blocking(reading).await??;
    if found.is_some() {
        checked.contents += contents;
        checked.bytes += bytes;
    }
    Ok(found)
}

/// Out of the way first, then wanted again. Content that went while it was looked for is not missing.
async fn set_aside(
    hub: &Arc<Hub>,
    root: Digest,
    verdict: Verdict,
    checked: &mut Checked,
) -> Result<(), ScrubError> {
    let _nothing_is_stored = hub.storing.write().await;
    if verdict == Verdict::Damaged {
        let aside = Arc::clone(hub);
        let setting_aside = move || {
            // What was made of damaged bytes, or noted of them, is not of this content.
            photos::forget(&aside, &[root]);
            aside.storage.set_aside(&root)
        };
        tokio::task::spawn_blocking(setting_aside).await??;
    }
    let given_up = hub.catalog.give_up_held(&root, hub.site).await?;
    if verdict == Verdict::Damaged {
        checked.damaged += 1;
    } else if given_up.wanted + given_up.lost > 0 {
        checked.missing += 1;
    }
    checked.wanted += given_up.wanted;
    checked.lost += given_up.lost;
    tracing::error!(%root, ?verdict, ?given_up, "content is not what it was");
    hub.tell_receiver();
    Ok(())
}

/// Reads slowly, pass after pass, until the hub stops.
pub async fn run(hub: Arc<Hub>) {
    let rate = u64::from(hub.config.audit.scrub_mib_per_second) << 20;
    if rate == 0 {
        return;
    }
    let mut rest = SETTLED;
    loop {
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = hub.stop.cancelled() => return,
        }
        if let Err(error) = scrub_pass(&hub, Pace { bytes_per_second: Some(rate) }).await {
            tracing::error!(%error, "reading files again has to wait");
        }
        rest = LOOK;
    }
}

/// Goes on where the last pass was cut off, or begins one when it is time.
pub async fn scrub_pass(hub: &Arc<Hub>, pace: Pace) -> Result<(), ScrubError> {
    let mut mark = hub.catalog.scrub_mark().await?;
    let now = hub.clock.now();
    if mark.after.is_none() {
        if mark.began.is_some_and(|began| began.plus(BETWEEN) > now) {
            return Ok(());
        }
        mark = ScrubMark { began: Some(now), ended: mark.ended, ..ScrubMark::default() };
    }
    loop {
        let before = mark.clone();
        // A group at a time, so that the mark is on disk before the next is read.
        let mut last = None;
        let mut one = |_: &Checked, after: Option<Digest>| {
            last = after;
            false
        };
        let found = check_files(hub, mark.after, pace, &mut one).await?;
        if hub.stop.is_cancelled() {
            return Ok(());
        }
        mark.contents += found.contents;
        mark.bytes += found.bytes;
        mark.damaged += found.damaged + found.missing;
        mark.after = last;
        if last.is_none() {
            mark.ended = Some(hub.clock.now());
        }
        if mark != before {
            hub.catalog.set_scrub_mark(&mark).await?;
        }
        if last.is_none() {
            return Ok(());
        }
    }
}

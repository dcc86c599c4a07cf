//! The client that brings a backup to a hub elsewhere, on any system.
//!
//! Owns: what is sent, in which order, how often it is tried. Not here: the hub's side, the backup
//! (`zotferry_backup`). Nothing here needs a hub on this machine.
//! Invariant: entries go before their bytes, and bytes only of what the hub says it awaits; so it may be
//! broken off anywhere and done again.
//! Spec: BACKUP-22, BACKUP-26, BACKUP-30.

mod asking;
mod content;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use reqwest::redirect::Policy;
use tokio::sync::mpsc;
use zotferry_backup::{
    Backup, BackupError, Coming, Content, Group, RestoreEvent, Restored, Taken, groups,
};
use zotferry_protocol::identity::{BaseUrl, Signer};
use zotferry_protocol::ids::{Digest, Millis, SiteId};
use zotferry_protocol::packets::{OpStatus, Operation};
use zotferry_protocol::refusal::CodeNumber;
use zotferry_protocol::restore::Step;

/// Contents that are sent at the same time.
const AT_ONCE: usize = 8;
/// Bytes of entries in one statement.
const ENTRIES: usize = 768 << 10;
/// Groups that are read ahead.
const AHEAD: usize = 2;

/// Why a backup could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The hub could not be reached, or went away.
    #[error("{url}: {text}")]
    Away {
        /// Which hub.
        url: String,
        /// What went wrong.
        text: String,
    },
    /// The hub said no.
    #[error("{url} refuses: {text}")]
    Refused {
        /// Which hub.
        url: String,
        /// Its sentence.
        text: String,
    },
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// This machine.
    #[error("{0}")]
    Own(String),
    /// Nobody waits for it any more.
    #[error("it was broken off; the next run goes on from here")]
    Stopped,
}

fn own(error: impl std::fmt::Display) -> SendError {
    SendError::Own(error.to_string())
}

/// What time it is: statements are dated.
pub type Now = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Brings a backup to the hub at a URL, signed with a key of its channel. `told` hears how far it is; when
/// nobody listens any more, it ends.
///
/// # Errors
/// What keeps it from going on. What is wrong with one entry, or its content, is told.
pub async fn send(
    backup: Arc<Backup>,
    url: &BaseUrl,
    key: Arc<dyn Signer>,
    now: Now,
    told: mpsc::Sender<RestoreEvent>,
) -> Result<Restored, SendError> {
    let http = reqwest::Client::builder().no_proxy().redirect(Policy::none());
    let http = http.build().map_err(own)?;
    let site = asking::learn_site(&http, url).await?;
    let right = tokio::sync::Mutex::default();
    let sending = Sending { http, url: url.clone(), site, backup, key, now, right };
    let header = sending.backup.header();
    let (nick, entries, bytes) = (header.nick.clone(), header.entries, header.bytes);
    told.send(RestoreEvent::Begun { channel: nick, entries, bytes }).await.ok();
    let _: Taken = sending.state(Step::Begin, Vec::new()).await?;
    let (give, mut coming) = mpsc::channel(AHEAD);
    let from = Arc::clone(&sending.backup);
    let give = move |group| give.blocking_send(group).is_ok();
    let reading = tokio::task::spawn_blocking(move || groups(&from, ENTRIES, give));
    let mut done = Restored::default();
    while let Some(group) = coming.recv().await {
        if told.is_closed() {
            return Err(SendError::Stopped);
        }
        sending.group(group, &mut done, &told).await?;
    }
    reading.await.map_err(own)??;
    let _: Taken = sending.state(Step::End, Vec::new()).await?;
    told.send(RestoreEvent::Done(done)).await.ok();
    Ok(done)
}

struct Sending {
    http: reqwest::Client,
    url: BaseUrl,
    site: SiteId,
    backup: Arc<Backup>,
    key: Arc<dyn Signer>,
    now: Now,
    /// The right to bring bytes: until when, and as it is shown.
    right: tokio::sync::Mutex<(Millis, String)>,
}

impl Sending {
    async fn group(
        &self,
        group: Group,
        done: &mut Restored,
        told: &mpsc::Sender<RestoreEvent>,
    ) -> Result<(), SendError> {
        for (path, reason) in group.troubles {
            trouble(done, told, path, reason).await;
        }
        if group.coming.is_empty() {
            return Ok(());
        }
        let operations: Vec<Operation> = group.coming.iter().map(|c| c.operation.clone()).collect();
        let taken: Taken = self.state(Step::Entries, operations).await?;
        for (coming, came) in group.coming.iter().zip(&taken.operations) {
            match came.status {
                OpStatus::Refused => {
                    let reason =
                        came.code.map_or_else(String::new, |code| CodeNumber(code).explained());
                    trouble(done, told, coming.path.clone(), reason).await;
                }
                OpStatus::Stored if coming.first => done.taken += 1,
                _ => {}
            }
        }
        let firsts = || group.coming.iter().filter(|coming| coming.first);
        done.entries += firsts().count() as u64;
        let contents = || firsts().flat_map(|coming| &coming.contents);
        done.missing += contents().filter(|content| content.missing).count() as u64;
        self.contents(&group.coming, &taken, done, told).await?;
        done.bytes += contents().map(|content| content.size).sum::<u64>();
        told.send(RestoreEvent::Progress(*done)).await.ok();
        Ok(())
    }

    /// What the hub awaits of a group, several at once.
    async fn contents(
        &self,
        coming: &[Coming],
        taken: &Taken,
        done: &mut Restored,
        told: &mpsc::Sender<RestoreEvent>,
    ) -> Result<(), SendError> {
        let mut known: HashMap<Digest, (&Content, &str)> = HashMap::new();
        for coming in coming {
            known.extend(coming.contents.iter().map(|c| (c.root, (c, coming.path.as_str()))));
        }
        let wanted = taken.wanted.iter().filter_map(|awaited| known.get(&awaited.root.0));
        let sending =
            wanted.map(|(content, path)| async move { (self.content(content).await, *path) });
        let mut sent = stream::iter(sending.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        while let Some((outcome, path)) = sent.next().await {
            match outcome? {
                None => done.files += 1,
                Some(fault) => trouble(done, told, path.to_owned(), fault).await,
            }
        }
        Ok(())
    }
}

async fn trouble(
    done: &mut Restored,
    told: &mpsc::Sender<RestoreEvent>,
    path: String,
    reason: String,
) {
    done.troubles += 1;
    told.send(RestoreEvent::Trouble { path, reason }).await.ok();
}

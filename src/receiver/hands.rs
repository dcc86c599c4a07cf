//! The files in hand: taken up, let go, arrived.
//!
//! Owns: which file is filled by whom: each by one [`ActiveFile`], or carried in one bundle. Not here:
//! in which order they are taken up (`refill`), how they are filled (`file`).
//! Invariant: a content is claimed by one at a time, so that no byte of it is asked for twice.
//! Spec: FETCH-1, SYNC-31.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use zotferry_protocol::ids::Millis;

use super::file::ActiveFile;
use super::sources::LEFT;
use super::{Receiver, ReceiverError, lock};
use crate::catalog::{Data, SiteNo};
use crate::queue::Lane;
use crate::storage::Retry;

/// Files of more than one chunk that are filled at a time, per lane.
const FILES: usize = 32;
/// Beyond so many bytes no further file is begun.
const FILE_BYTES: u64 = 512 << 20;
/// Beyond so many files in hand one that was begun for a reader goes when the reader does.
const READ: usize = 64;
/// How long a file rests that could not be begun.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Most contents of which it is remembered who did not give them.
const REMEMBERED: usize = 10_000;

/// What became of the attempt to take a file in hand.
pub(super) enum Begun {
    /// It is in hand.
    Hand(Arc<ActiveFile>),
    /// Its bytes are here.
    Here,
    /// Somebody else sees to it, or it cannot be begun at the moment.
    Busy,
    /// It cannot be begun.
    Failed(String),
}

/// Contents that a bundle carries; free again when it is dropped.
pub(super) struct Carried {
    receiver: Arc<Receiver>,
    ids: Vec<i64>,
}

impl Drop for Carried {
    fn drop(&mut self) {
        let mut claims = lock(&self.receiver.claims);
        self.ids.iter().for_each(|id| _ = claims.remove(id));
        drop(claims);
        self.receiver.moved.send_replace(());
    }
}

impl Receiver {
    /// Claims those of some small files that nobody else sees to; the others are left out.
    pub(super) fn carry(self: &Arc<Self>, files: &mut Vec<Data>) -> Carried {
        let mut claims = lock(&self.claims);
        files.retain(|file| claims.insert(file.id));
        let ids = files.iter().map(|file| file.id).collect();
        Carried { receiver: Arc::clone(self), ids }
    }

    /// Whether enough files of a lane are being filled.
    pub(super) fn hands_full(&self, lane: &Lane) -> bool {
        let files = lock(&self.files);
        let mine = files.values().filter(|f| f.channel() == lane.channel && f.is_at(lane.site));
        let (open, bytes) = mine.fold((0, 0), |(n, bytes), file| (n + 1, bytes + file.unasked()));
        open >= FILES || (open > 0 && bytes >= FILE_BYTES)
    }

    /// Whether so much is in hand that nothing is kept there but for its own sake.
    pub(super) fn hands_crowded(&self) -> bool {
        lock(&self.files).len() > READ
    }

    /// The file of this content of a channel that is in hand, under whatever name.
    pub(super) fn file_of(&self, data: &Data) -> Option<Arc<ActiveFile>> {
        let files = lock(&self.files);
        files.values().find(|file| file.is_of(data) && !file.is_over()).cloned()
    }

    /// Takes a file in hand.
    pub(super) async fn begin(self: &Arc<Self>, data: Data) -> Result<Begun, ReceiverError> {
        let id = data.id;
        if !lock(&self.claims).insert(id) {
            return Ok(Begun::Busy);
        }
        let begun = self.begin_claimed(data).await;
        if !matches!(begun, Ok(Begun::Hand(_))) {
            lock(&self.claims).remove(&id);
        }
        begun
    }

    async fn begin_claimed(self: &Arc<Self>, data: Data) -> Result<Begun, ReceiverError> {
        if self.here_already(&data).await? {
            return Ok(Begun::Here);
        }
        // The same content under two names of a channel comes once.
        if lock(&self.files).values().any(|file| file.is_of(&data)) {
            self.passed_over.store(true, Relaxed);
            return Ok(Begun::Busy);
        }
        let (hub, id) = (Arc::clone(&self.hub), data.id);
        let sources = hub.catalog.sources_of(hub.site, &[id]).await?;
        let sites = sources.get(&id).cloned().unwrap_or_default();
        let twins = hub.catalog.twins(&data).await?;
        let opening = move || ActiveFile::open(&hub, data, &sites, &twins);
        let file = match tokio::task::spawn_blocking(opening).await? {
            Ok(file) => file,
            Err(error) if error.retry() != Retry::Never => {
                tracing::warn!(wanted = id, %error, "a file cannot be begun yet");
                self.look_again();
                return Ok(Begun::Busy);
            }
            Err(error) => {
                tracing::error!(wanted = id, %error, "a file cannot be begun");
                self.hub.catalog.mark_failed(id, &error.to_string()).await?;
                return Ok(Begun::Failed(error.to_string()));
            }
        };
        lock(&self.files).insert(id, Arc::clone(&file));
        self.tasks.spawn(Arc::clone(&file).drive(Arc::clone(self)));
        Ok(Begun::Hand(file))
    }

    /// Bytes that the channel has already: nothing is fetched.
    async fn here_already(&self, data: &Data) -> Result<bool, ReceiverError> {
        let _until_named = self.hub.storing.read().await;
        let there = self.hub.stored(data.channel, data.root).await?;
        // A size that somebody claimed for what is here is none.
        if there.is_none_or(|content| content.size() != data.size) {
            return Ok(false);
        }
        self.hub.metrics.bytes_copied.add(data.size);
        self.arrived(&[(data.id, data.channel)]).await?;
        let (queue, wanted) = (Arc::clone(&self.hub.queue), data.id);
        tokio::task::spawn_blocking(move || queue.forget(wanted)).await??;
        Ok(true)
    }

    /// Empty files need no bytes: they are stored at once.
    pub(super) async fn without_empty(&self, files: Vec<Data>) -> Result<Vec<Data>, ReceiverError> {
        let (empty, rest): (Vec<Data>, Vec<Data>) = files.into_iter().partition(|f| f.size == 0);
        if let Some(first) = empty.first() {
            let _until_named = self.hub.storing.read().await;
            let (storage, root) = (Arc::clone(&self.hub.storage), first.root);
            let storing = move || storage.put_many(&[(root, bytes::Bytes::new())]);
            tokio::task::spawn_blocking(storing).await??;
            let all: Vec<(i64, i64)> = empty.iter().map(|f| (f.id, f.channel)).collect();
            self.arrived(&all).await?;
        }
        Ok(rest)
    }

    /// A file left the hand. Others of the same content may have waited for it.
    pub(super) fn forget(&self, wanted: i64) {
        lock(&self.files).remove(&wanted);
        lock(&self.claims).remove(&wanted);
        self.moved.send_replace(());
        if self.passed_over.swap(false, Relaxed) {
            self.hub.tell_receiver();
        }
        self.hub.work.notify_one();
    }

    /// Looks through the catalog again after a while: something of this hub's own stood in the way.
    fn look_again(self: &Arc<Self>) {
        let hub = Arc::clone(&self.hub);
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => hub.tell_receiver(),
                () = hub.stop.cancelled() => {}
            }
        });
    }

    /// Contents are durable in storage: the catalog says so, and the other clones hear of it.
    pub(super) async fn arrived(&self, contents: &[(i64, i64)]) -> Result<(), ReceiverError> {
        let ids: Vec<i64> = contents.iter().map(|(id, _)| *id).collect();
        self.hub.catalog.mark_present(&ids).await?;
        self.hub.metrics.files_committed.add(ids.len() as u64);
        self.hub.metrics.last_commit_ms.last(self.hub.clock.now());
        let channels: BTreeSet<i64> = contents.iter().map(|(_, channel)| *channel).collect();
        for channel in channels {
            self.hub.report_soon(channel);
        }
        self.moved.send_replace(());
        Ok(())
    }

    /// FETCH-54: a hub did not give these contents, or gave wrong bytes: others are asked for them, each
    /// time for longer.
    pub(super) fn avoid(&self, site: SiteNo, contents: &[i64], now: Millis) {
        let mut avoided = lock(&self.avoided);
        avoided.retain(|_, (until, times)| until.plus(LEFT.ceiling(*times)) > now);
        for id in contents {
            if avoided.len() < REMEMBERED {
                let (until, times) = avoided.entry((site, *id)).or_default();
                *until = now.plus(LEFT.ceiling(*times));
                *times += 1;
            }
        }
    }

    /// Whether a hub may be asked for a small content, where there are others.
    pub(super) fn is_fit(&self, site: SiteNo, content: i64, now: Millis) -> bool {
        let left = lock(&self.avoided).get(&(site, content)).is_some_and(|left| left.0 > now);
        !left && self.origin(site).is_well(now)
    }

    /// Whether nothing is left aside: then nobody needs to look who else has a content.
    pub(super) fn avoids_nothing(&self, site: SiteNo, now: Millis) -> bool {
        self.origin(site).is_well(now) && lock(&self.avoided).is_empty()
    }
}

//! Reads files that stand still, and puts them.
//!
//! Owns: that what is put is what the file was at one moment: its marks are the same before and after
//! it was read. Not here: which files.
//! Invariant: a path is recorded with marks only when they are old enough that a later write changes
//! them.

use std::collections::HashMap;
use std::path::PathBuf;

use zotferry_protocol::ids::{Digest, Millis};

use super::compare::Changes;
use super::dirty::{CLOSED, QUIET};
use super::look::{self, Seen};
use super::told::WatchEvent;
use super::{Mirror, WatchError};
use crate::catalog::{Access, Clash, Filed, LocalContent, LocalPut, Watched, join};
use crate::chunker::{ChunkerError, SmallBatch};
use crate::files::{self, PutError, Skipped};
use crate::storage::Storage;

/// Files entered in one transaction.
pub(super) const BATCH: usize = 256;
/// Bytes after which a batch is entered although it is not full.
const BATCH_BYTES: u64 = 64 << 20;

/// A file or folder whose bytes are durable.
struct Ready {
    seen: Seen,
    put: LocalPut,
}

/// What became of one file.
enum Read {
    Ready(Box<Ready>),
    /// It changes still.
    Moving(String),
    Skipped(Skipped),
}

impl Mirror {
    /// Puts all that is new or changed, and forgets it.
    pub(super) async fn put(&mut self, changes: &mut Changes) -> Result<(), WatchError> {
        let turned = std::mem::take(&mut changes.turned);
        self.remove(turned, &[]).await?;
        let mut waiting = std::mem::take(&mut changes.fresh).into_iter().peekable();
        while waiting.peek().is_some() {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < BATCH && bytes < BATCH_BYTES {
                let Some(seen) = waiting.next() else { break };
                bytes += seen.mark.size;
                batch.push(seen);
            }
            self.put_batch(batch, changes).await?;
        }
        Ok(())
    }

    async fn put_batch(
        &mut self,
        batch: Vec<Seen>,
        changes: &mut Changes,
    ) -> Result<(), WatchError> {
        // Until the catalog names it, what is stored belongs to nobody.
        let hub = std::sync::Arc::clone(&self.hub);
        let _until_named = hub.storing.read().await;
        let items: Vec<(Seen, PathBuf, Vec<String>)> = batch
            .into_iter()
            .map(|seen| {
                let path = self.local(&join(&seen.parent, &seen.name));
                let folders = self.names(&seen.parent);
                (seen, path, folders)
            })
            .collect();
        let storage = std::sync::Arc::clone(&hub.storage);
        let read = tokio::task::spawn_blocking(move || read_all(&*storage, items)).await??;
        let mut ready = Vec::new();
        for one in read {
            match one {
                Read::Ready(one) => ready.push(*one),
                Read::Moving(path) => self.again.push(path),
                Read::Skipped(skipped) => self.skip(skipped, changes),
            }
        }
        let ready = self.moved_by_content(ready, changes).await?;
        self.enter(ready, changes).await
    }

    /// Takes out what is a file that is gone from another place: it moves there.
    async fn moved_by_content(
        &mut self,
        ready: Vec<Ready>,
        changes: &Changes,
    ) -> Result<Vec<Ready>, WatchError> {
        let mut gone: HashMap<Digest, Vec<String>> = HashMap::new();
        for row in changes.gone.iter().filter(|row| row.mark.size > 0) {
            if let Some(root) = row.root {
                gone.entry(root).or_default().push(row.path());
            }
        }
        if gone.is_empty() {
            return Ok(ready);
        }
        for one in &ready {
            let root = one.put.content.as_ref().map(|content| content.root);
            let Some(from) = root.and_then(|root| gone.get_mut(&root)?.pop()) else { continue };
            let to = join(&one.seen.parent, &one.seen.name);
            let catalog = &self.hub.catalog;
            let is_new = catalog.watched_at(self.watch, &to).await?.is_none();
            let was_here = catalog.watched_at(self.watch, &from).await?.is_some();
            if is_new && was_here {
                self.move_entry(&from, &to, true).await?;
            }
        }
        // Putting what was moved changes nothing but its record.
        Ok(ready)
    }

    async fn enter(&mut self, ready: Vec<Ready>, changes: &mut Changes) -> Result<(), WatchError> {
        if ready.is_empty() {
            return Ok(());
        }
        let (seen, puts): (Vec<Seen>, Vec<LocalPut>) =
            ready.into_iter().map(|one| (one.seen, one.put)).unzip();
        let access = Access::owner(self.channel.portable_id.as_str());
        let filed = files::enter(&self.hub, &self.channel, puts.clone(), access).await;
        let filed = match filed {
            Err(PutError::Catalog(error)) if error.is_over_bounds() && puts.len() > 1 => {
                // Some may have room.
                for (seen, put) in seen.into_iter().zip(puts) {
                    Box::pin(self.enter(vec![Ready { seen, put }], changes)).await?;
                }
                return Ok(());
            }
            Err(PutError::Catalog(error)) if error.is_over_bounds() => {
                let path = join(&seen[0].parent, &seen[0].name);
                self.skip(Skipped { path, reason: error.to_string() }, changes);
                return Ok(());
            }
            filed => filed?,
        };
        self.record(seen, puts, filed, changes).await
    }

    async fn record(
        &mut self,
        seen: Vec<Seen>,
        puts: Vec<LocalPut>,
        filed: Vec<Result<Filed, Clash>>,
        changes: &mut Changes,
    ) -> Result<(), WatchError> {
        let mut rows = Vec::new();
        let mut events = Vec::new();
        for ((seen, put), filed) in seen.into_iter().zip(puts).zip(filed) {
            let path = join(&seen.parent, &seen.name);
            match filed {
                Ok(filed) => {
                    let size = put.content.as_ref().map_or(0, |content| content.size);
                    let change = files::word(&filed.change);
                    if change != "unchanged" && !seen.folder {
                        self.tally.put += 1;
                        self.tally.bytes += size;
                    }
                    events.push(WatchEvent::Put { path, folder: seen.folder, size, change });
                    let root = put.content.map(|content| content.root);
                    rows.push(Watched {
                        parent: seen.parent,
                        name: seen.name,
                        mark: seen.mark,
                        root,
                    });
                }
                Err(clash) => self.skip(Skipped { path, reason: clash.to_string() }, changes),
            }
        }
        self.hub.catalog.watch_keep(self.watch, &rows).await?;
        events.into_iter().for_each(|event| self.tell(event));
        Ok(())
    }
}

/// Blocking: reads, hashes and stores; all of it is durable when it returns.
fn read_all(
    storage: &dyn Storage,
    items: Vec<(Seen, PathBuf, Vec<String>)>,
) -> Result<Vec<Read>, ChunkerError> {
    let mut small = SmallBatch::new(storage);
    let read = items.into_iter().map(|(seen, path, folders)| match seen.folder {
        true => {
            let put = files::local_put(folders, &seen.name, None);
            Ok(Read::Ready(Box::new(Ready { seen, put })))
        }
        false => read_one(&mut small, seen, &path, folders),
    });
    let read = read.collect::<Result<Vec<_>, ChunkerError>>()?;
    small.flush()?;
    Ok(read)
}

fn read_one(
    small: &mut SmallBatch<'_>,
    mut seen: Seen,
    path: &std::path::Path,
    folders: Vec<String>,
) -> Result<Read, ChunkerError> {
    let moving = |seen: &Seen| Ok(Read::Moving(join(&seen.parent, &seen.name)));
    let skipped = |error: std::io::Error| {
        Ok(Read::Skipped(Skipped { path: path.display().to_string(), reason: error.to_string() }))
    };
    let (file, before) = match look::open(path) {
        Ok(opened) => opened,
        Err(error) if look::gone(&error) => return moving(&seen),
        Err(error) => return skipped(error),
    };
    let mark = look::mark(&before);
    if is_young(&seen, mark.ctime) {
        return moving(&seen);
    }
    let stored = match small.add_file(&file) {
        Ok(stored) => stored,
        Err(ChunkerError::Source(error)) => return skipped(error),
        Err(error) => return Err(error),
    };
    let after = match file.metadata() {
        Ok(after) => look::mark(&after),
        Err(error) => return skipped(error),
    };
    if mark != after || stored.size != mark.size {
        return moving(&seen);
    }
    seen.mark = mark;
    let content =
        LocalContent { root: stored.root, size: stored.size, digests: stored.inline_digests };
    let mut put = files::local_put(folders, &seen.name, Some(content));
    put.mtime = u64::try_from(mark.mtime / 1_000_000).ok().map(Millis);
    put.executable = Some(look::is_executable(&before));
    Ok(Read::Ready(Box::new(Ready { seen, put })))
}

/// Whether a file was changed so lately that it may be changing still, or that a write to come would
/// leave no mark. One that was seen as it is now has been quiet since.
fn is_young(seen: &Seen, ctime: i64) -> bool {
    let age = look::now().saturating_sub(ctime);
    let least = if seen.quiet { CLOSED } else { QUIET };
    // A clock that was set back would make it young for long.
    (0..i64::try_from(least.as_nanos()).unwrap_or(i64::MAX)).contains(&age)
}

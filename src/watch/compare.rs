//! What is different from what was mirrored.
//!
//! Owns: walking the folder beside the record of it, recognising what was moved. Not here: reading
//! files, removing.
//! Invariant: memory grows with what has changed, not with what is there. What could not be looked at
//! is not taken for gone.

use std::collections::{HashMap, HashSet};

use super::dirty::Due;
use super::eyes::Eyes;
use super::look::{self, Listed, Seen};
use super::told::WatchEvent;
use super::{Mirror, WatchError};
use crate::catalog::{Watched, join};
use crate::files::{self, EditError, Skipped};

/// New files that are put before all was looked at, although one of them may be one that has moved.
const EARLY: usize = 100_000;
/// A folder that said so many entries and is empty now may be a disk that is not there.
const MANY: u64 = 10;

/// What has changed.
#[derive(Default)]
pub(super) struct Changes {
    /// New or changed: folders before what is in them.
    pub(super) fresh: Vec<Seen>,
    /// Gone, but for what turns out to have been moved.
    pub(super) gone: Vec<Watched>,
    /// A file where a folder was, or the other way round: removed before the new one is put.
    pub(super) turned: Vec<Watched>,
    /// Folders that have become empty, and how much they held.
    pub(super) emptied: Vec<(String, u64)>,
    pub(super) skipped: u64,
}

impl Mirror {
    /// Compares a folder and all below it; `first` when nothing was mirrored yet, so that nothing
    /// can have been moved and files are put on the way.
    pub(super) async fn compare(
        &mut self,
        top: &str,
        eyes: &mut Eyes,
        changes: &mut Changes,
        first: bool,
    ) -> Result<(), WatchError> {
        let mut folders = vec![top.to_owned()];
        while let Some(folder) = folders.pop() {
            // Before it is listed: what comes later is told.
            eyes.watch(&folder).map_err(WatchError::Eyes)?;
            let Some(listed) = self.list(&folder, changes).await? else { continue };
            let below = self.compare_one(&folder, listed, changes).await?;
            folders.extend(below.into_iter().rev());
            if first && changes.fresh.len() >= super::puts::BATCH || changes.fresh.len() > EARLY {
                self.put(changes).await?;
            }
        }
        Ok(())
    }

    /// Compares single paths that have changed.
    pub(super) async fn compare_paths(
        &mut self,
        due: Vec<Due>,
        eyes: &mut Eyes,
        changes: &mut Changes,
    ) -> Result<(), WatchError> {
        let mut missing: HashSet<String> = HashSet::new();
        for Due { path, came, quiet } in due {
            // The folder above is gone, and all in it.
            if path.match_indices('/').any(|(at, _)| missing.contains(&path[..at])) {
                continue;
            }
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let (local, above, name) = (self.local(&path), parent.to_owned(), name.to_owned());
            let looked =
                tokio::task::spawn_blocking(move || look::look(&local, &above, &name)).await?;
            let known = self.hub.catalog.watched_at(self.watch, &path).await?;
            let seen = looked.unwrap_or_else(|skipped| {
                self.skip(skipped, changes);
                None
            });
            let Some(mut seen) = seen else {
                changes.gone.extend(known);
                missing.insert(path);
                continue;
            };
            seen.quiet = quiet;
            let same_folder = known.as_ref().is_some_and(|row| {
                row.root.is_none() && row.mark.inode == seen.mark.inode && seen.folder
            });
            self.compare_entry(seen.clone(), known, changes).await?;
            if seen.folder && (came || !same_folder) {
                self.compare(&path, eyes, changes, false).await?;
            }
        }
        Ok(())
    }

    /// What lies in a folder; `None` when that cannot be said, so that nothing in it is gone.
    async fn list(
        &self,
        folder: &str,
        changes: &mut Changes,
    ) -> Result<Option<Listed>, WatchError> {
        let (local, parent) = (self.local(folder), folder.to_owned());
        let shown = local.display().to_string();
        match tokio::task::spawn_blocking(move || look::list(&local, &parent)).await? {
            Ok(listed) => Ok(Some(listed)),
            // Its parent says so, now or with the next event.
            Err(error) if look::gone(&error) => Ok(None),
            Err(error) => {
                self.skip(Skipped { path: shown, reason: error.to_string() }, changes);
                Ok(None)
            }
        }
    }

    /// Compares what lies in one folder; returns the folders in it.
    async fn compare_one(
        &mut self,
        folder: &str,
        listed: Listed,
        changes: &mut Changes,
    ) -> Result<Vec<String>, WatchError> {
        for skipped in listed.skipped {
            self.skip(skipped, changes);
        }
        let known = self.hub.catalog.watched_in(self.watch, folder).await?;
        if listed.seen.is_empty() && !known.is_empty() {
            let held = self.hub.catalog.watched_below(self.watch, folder).await?;
            if folder.is_empty() || held >= MANY {
                changes.emptied.push((folder.to_owned(), held));
            }
        }
        let mut known: HashMap<String, Watched> =
            known.into_iter().map(|row| (row.name.clone(), row)).collect();
        let mut folders = Vec::new();
        for seen in listed.seen {
            let row = known.remove(&seen.name);
            if seen.folder {
                folders.push(join(&seen.parent, &seen.name));
            }
            self.compare_entry(seen, row, changes).await?;
        }
        changes.gone.extend(known.into_values());
        Ok(folders)
    }

    async fn compare_entry(
        &mut self,
        seen: Seen,
        known: Option<Watched>,
        changes: &mut Changes,
    ) -> Result<(), WatchError> {
        let known = match known {
            Some(row) if row.root.is_none() != seen.folder => {
                changes.turned.push(row);
                None
            }
            Some(row) => Some(row),
            None => self.moved_here(&seen).await?,
        };
        let same = known.as_ref().is_some_and(|row| match seen.folder {
            // Its times change with what is in it.
            true => row.mark.inode == seen.mark.inode,
            false => row.mark == seen.mark,
        });
        if !same {
            changes.fresh.push(seen);
        }
        Ok(())
    }

    /// The record of what had another path until now, once the channel knows the new one. An inode
    /// whose old path is free has moved; of a file its size and time must be the same. Where something
    /// else has the old path by now, that is the entry's next revision, as editors save: who may see
    /// it stays as it was.
    async fn moved_here(&mut self, seen: &Seen) -> Result<Option<Watched>, WatchError> {
        let to = join(&seen.parent, &seen.name);
        for row in self.hub.catalog.watched_inode(self.watch, seen.mark.inode).await? {
            let alike = row.root.is_none() == seen.folder
                && (seen.folder
                    || (row.mark.size, row.mark.mtime) == (seen.mark.size, seen.mark.mtime));
            let from = row.path();
            if !alike || is_below(&to, &from) || self.is_taken(&from).await? {
                continue;
            }
            if self.move_entry(&from, &to, !seen.folder).await? {
                return Ok(self.hub.catalog.watched_at(self.watch, &to).await?);
            }
        }
        Ok(None)
    }

    async fn is_taken(&self, path: &str) -> Result<bool, WatchError> {
        let local = self.local(path);
        let looked = tokio::task::spawn_blocking(move || look::look(&local, "", "x")).await?;
        // What cannot be looked at may still be there.
        Ok(looked.map_or(true, |seen| seen.is_some()))
    }

    /// Moves an entry of the channel and what is recorded of it; false when the channel cannot, as
    /// when somebody has changed it meanwhile. Then what is new is put and what is gone is removed.
    pub(super) async fn move_entry(
        &mut self,
        from: &str,
        to: &str,
        replace: bool,
    ) -> Result<bool, WatchError> {
        let (old, new) = (self.names(from), self.names(to));
        let above = &new[..new.len() - 1];
        let moved = async {
            files::make_dirs(&self.hub, &self.channel, above).await?;
            files::rename(&self.hub, &self.channel, &old, &new, replace).await
        };
        match moved.await {
            Ok(_) => {}
            Err(error) if is_ours(&error) => return Err(error.into()),
            Err(error) => {
                tracing::debug!(%error, from, to, "not moved in the channel");
                return Ok(false);
            }
        }
        self.hub.catalog.watch_move(self.watch, from, to).await?;
        self.tally.moved += 1;
        self.tell(WatchEvent::Moved { from: from.to_owned(), to: to.to_owned() });
        Ok(true)
    }

    pub(super) fn skip(&self, skipped: Skipped, changes: &mut Changes) {
        changes.skipped += 1;
        self.tell(WatchEvent::Skipped(skipped));
    }
}

/// Whether an error is of this hub, and not about the entries that were named.
pub(super) fn is_ours(error: &EditError) -> bool {
    matches!(error, EditError::Catalog(_))
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

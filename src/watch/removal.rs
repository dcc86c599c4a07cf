//! What may be removed from the channel.
//!
//! Owns: the decision, entry by entry. Not here: finding out what is gone from the folder.
//! Invariant: what others have put or changed in the channel stays; so does all, where so much is
//! gone at once that a disk may be missing.

use zotferry_protocol::ids::ResourceId;

use super::compare::{Changes, is_ours};
use super::told::WatchEvent;
use super::{Mirror, WatchError};
use crate::catalog::{Attach, Watched, join};
use crate::files::{self, EditError};

/// Entries of a folder read at once.
const PAGE: u32 = 500;
/// So many may go at once, however few are left.
const FEW: u64 = 100;

impl Mirror {
    /// Removes what is gone. Unless it is `sure`, a folder that is empty all of a sudden keeps what it
    /// had, and if more than half of everything is gone, nothing is removed.
    pub(super) async fn remove_gone(
        &mut self,
        changes: &mut Changes,
        sure: bool,
    ) -> Result<(), WatchError> {
        let mut gone = Vec::new();
        for row in std::mem::take(&mut changes.gone) {
            // What was moved meanwhile is not there any more.
            let path = row.path();
            gone.extend(self.hub.catalog.watched_at(self.watch, &path).await?);
        }
        if !sure && let Some(reason) = self.doubt(changes, &gone).await? {
            self.tell(WatchEvent::Held { entries: self.tally.held, reason });
            return Ok(());
        }
        let emptied = std::mem::take(&mut changes.emptied);
        let kept: Vec<String> =
            if sure { Vec::new() } else { emptied.into_iter().map(|(folder, _)| folder).collect() };
        self.remove(gone, &kept).await
    }

    /// Why nothing, or not all, is removed.
    async fn doubt(
        &mut self,
        changes: &Changes,
        gone: &[Watched],
    ) -> Result<Option<String>, WatchError> {
        let dir = crate::text::visible(&self.dir.display().to_string());
        let say = |what: String| {
            format!(
                "{what}; nothing of it is removed from the channel. If it is to be, say so with \
                 `zotferry watch --confirm`"
            )
        };
        for (folder, held) in &changes.emptied {
            let shown = crate::text::visible(&self.local(folder).display().to_string());
            self.tally.held += held;
            let what =
                format!("{shown} is empty, and had {held} entries (a disk that is not mounted?)");
            if folder.is_empty() {
                return Ok(Some(say(what)));
            }
            self.tell(WatchEvent::Held { entries: *held, reason: say(what) });
        }
        let all = self.hub.catalog.watched_below(self.watch, "").await?;
        let mut going = 0;
        for row in gone {
            going += 1 + self.hub.catalog.watched_below(self.watch, &row.path()).await?;
        }
        if going > FEW && going * 2 > all {
            self.tally.held = going;
            return Ok(Some(say(format!("{going} of {all} entries of {dir} are gone at once"))));
        }
        Ok(None)
    }

    /// Removes entries, but not those in folders that are to be kept.
    pub(super) async fn remove(
        &mut self,
        gone: Vec<Watched>,
        kept: &[String],
    ) -> Result<(), WatchError> {
        for row in gone {
            if kept.contains(&row.parent) {
                continue;
            }
            let path = row.path();
            let names = self.names(&path);
            let refs: Vec<&str> = names.iter().map(String::as_str).collect();
            if let Some(entry) = self.hub.catalog.by_path(self.channel.id, &refs).await? {
                let own = self.own(&entry, &path).await?;
                self.take_away(&entry, &path, own).await?;
            }
            self.hub.catalog.watch_forget(self.watch, &[path]).await?;
        }
        Ok(())
    }

    /// Whether an entry and all in it is as it was mirrored.
    async fn own(&self, entry: &Attach, path: &str) -> Result<bool, WatchError> {
        let Some(row) = self.hub.catalog.watched_at(self.watch, path).await? else {
            return Ok(false);
        };
        if row.root != entry.root {
            return Ok(false);
        }
        if entry.is_dir {
            for child in self.children(&entry.hash).await? {
                let below = join(path, &child.filename);
                if !Box::pin(self.own(&child, &below)).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Removes what is as it was mirrored, and of a folder that holds other things as well only that.
    async fn take_away(&mut self, entry: &Attach, path: &str, own: bool) -> Result<(), WatchError> {
        if own {
            return self.take(path).await;
        }
        if !entry.is_dir {
            let reason = match self.hub.catalog.watched_at(self.watch, path).await? {
                Some(_) => "it was changed in the channel",
                None => "it did not come from this folder",
            };
            self.tell(WatchEvent::Kept { path: path.to_owned(), reason: reason.to_owned() });
            return Ok(());
        }
        for child in self.children(&entry.hash).await? {
            let below = join(path, &child.filename);
            let own = self.own(&child, &below).await?;
            Box::pin(self.take_away(&child, &below, own)).await?;
        }
        Ok(())
    }

    async fn take(&mut self, path: &str) -> Result<(), WatchError> {
        match files::remove(&self.hub, &self.channel, &self.names(path)).await {
            Ok(entries) => {
                self.tally.removed += entries;
                self.tell(WatchEvent::Removed { path: path.to_owned(), entries });
                Ok(())
            }
            // Somebody was faster.
            Err(EditError::NotFound) => Ok(()),
            Err(error) if is_ours(&error) => Err(error.into()),
            Err(error) => {
                let reason = error.to_string();
                self.tell(WatchEvent::Kept { path: path.to_owned(), reason });
                Ok(())
            }
        }
    }

    async fn children(&self, folder: &ResourceId) -> Result<Vec<Attach>, WatchError> {
        let mut all: Vec<Attach> = Vec::new();
        loop {
            let after = all.last().map(|last| (last.filename.as_str(), &last.hash));
            let page =
                self.hub.catalog.children(self.channel.id, Some(folder), after, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }
}

//! Folders, from the top down.
//!
//! Owns: the way through the tree, with one page of each level in memory. Not here: files in them.
//! Invariant: a folder is entered after the one that it lies in. What lies in a cycle is never reached.
//! Spec: SYNC-5.

use std::collections::VecDeque;

use zotferry_protocol::ids::OpId;
use zotferry_protocol::packets::AttachRow;

use super::queries::{Entry, PAGE};
use super::{AdoptError, HubzillaEvent, Import};
use crate::catalog::{Access, Attach, Became, Brought};
use crate::files::{Skipped, bring};
use crate::packets::attach_of;

/// SYNC-5: more folders above an entry cannot travel.
const MAX_DEPTH: usize = 127;

/// A folder whose folders are being looked at.
struct Level {
    /// Its hash; empty for the top.
    folder: String,
    /// The last of its folders that was read; nothing when all were.
    after: Option<i64>,
    /// Folders in it that were entered and not looked into yet.
    inside: VecDeque<String>,
}

impl Level {
    fn of(folder: String) -> Self {
        Self { folder, after: Some(0), inside: VecDeque::new() }
    }
}

impl Import<'_> {
    /// Enters all folders.
    pub(super) async fn folders(&mut self) -> Result<(), AdoptError> {
        self.descend(vec![Level::of(String::new())]).await?;
        let mut after = 0;
        loop {
            let page = self.queries.lost_folders(after).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for entry in &page {
                let reason =
                    "the folder that it lay in is not in the database: it lies at the top now";
                let (path, reason) = (entry.place.clone(), reason.to_owned());
                self.tell(HubzillaEvent::Changed(Skipped { path, reason })).await;
            }
            let inside = self.enter_folders(page, true).await?;
            let top = Level { folder: String::new(), after: None, inside };
            self.descend(vec![top]).await?;
        }
        if self.folders_left > 0 {
            let reason = format!(
                "{} folders lie below one that was left out, or in each other, or have the id of another",
                self.folders_left
            );
            self.skip("attach", reason).await;
        }
        Ok(())
    }

    async fn descend(&mut self, mut levels: Vec<Level>) -> Result<(), AdoptError> {
        while let Some(level) = levels.last_mut() {
            if let Some(folder) = level.inside.pop_front() {
                match levels.len() < MAX_DEPTH {
                    true => levels.push(Level::of(folder)),
                    false => self.skip(&folder, "folders in this one lie too deep").await,
                }
            } else if let Some(after) = level.after {
                let page = self.queries.folders_in(&level.folder, after).await?;
                let last = page.last().map(|entry| entry.id).filter(|_| page.len() == PAGE);
                let inside = self.enter_folders(page, false).await?;
                if let Some(level) = levels.last_mut() {
                    (level.after, level.inside) = (last, inside);
                }
            } else {
                levels.pop();
            }
        }
        Ok(())
    }

    /// Enters folders; those that are there, by their hashes.
    async fn enter_folders(
        &mut self,
        page: Vec<Entry>,
        at_top: bool,
    ) -> Result<VecDeque<String>, AdoptError> {
        self.folders_left = self.folders_left.saturating_sub(page.len() as u64);
        let mut brought = Vec::new();
        let mut places = Vec::new();
        for (row, place) in self.tagged(page).await? {
            let mut row = folder(&row);
            if at_top {
                self.to_top(&mut row);
            }
            brought.push(Brought { row, content: None, cropped: Vec::new() });
            places.push(place);
        }
        let mut inside = VecDeque::new();
        let became = bring(self.hub, self.channel, &brought).await?;
        for ((one, place), became) in brought.iter().zip(places).zip(became) {
            if matches!(became, Became::Created | Became::Unchanged) {
                inside.push_back(one.row.hash.to_string());
            }
            self.tell_became(&one.row, place, became).await;
        }
        Ok(inside)
    }

    /// Puts an entry whose folder is lost at the top. That folder may have been private: an entry that says
    /// nothing about who may see it is the owner's alone from then on.
    pub(super) fn to_top(&self, entry: &mut Attach) {
        (entry.folder, entry.place_folder) = (None, None);
        let lists = [&entry.allow_cid, &entry.allow_gid, &entry.deny_cid, &entry.deny_gid];
        if lists.iter().all(|list| list.is_empty()) {
            entry.allow_cid = Access::owner(self.channel.portable_id.as_str()).allow_cid;
        }
    }

    /// What became of an entry.
    pub(super) async fn tell_became(&self, row: &Attach, path: String, became: Became) {
        let (hash, folder, size) = (row.hash.to_string(), row.is_dir, row.filesize);
        let change = match became {
            Became::Created => "created",
            Became::Replaced => "replaced",
            Became::Completed => "completed",
            Became::Unchanged => "unchanged",
            Became::Removed => {
                return self.skip(&path, "it was removed from the channel, and stays so").await;
            }
            Became::Differs => {
                let reason = "the channel has another entry of its id, which is not older";
                return self.skip(&path, reason).await;
            }
        };
        let change = change.to_owned();
        self.tell(HubzillaEvent::Done { hash, path, folder, size, change }).await;
    }
}

fn folder(row: &AttachRow) -> Attach {
    Attach { filesize: 0, ..attach_of(row, OpId([0; 16])) }
}

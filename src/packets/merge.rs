//! Merges received operations into the entries that this hub knows: in memory, register by register.
//!
//! Owns: which registers change, what is wanted, what loses and is kept as a copy, what is refused. Not
//! here: reading and writing the rows (the caller does), places of folders in cycles (the catalog).
//! Invariant: the outcome follows from the versions alone: any order, any repetition, the same rows.
//! Spec: SYNC-4 to SYNC-7, SYNC-9, SYNC-12 to SYNC-17, SYNC-24 to SYNC-28, SYNC-33, SYNC-34, SYNC-37, SYNC-38, SYNC-42.

use std::collections::{HashMap, HashSet};

use zotferry_protocol::conflict::{copy_id, copy_name};
use zotferry_protocol::ids::{Digest, OpId, ResourceId, Role};
use zotferry_protocol::packets::{AttachEntry, OpStatus, Operation};
use zotferry_protocol::refusal::{Code, Refusal};
use zotferry_protocol::version::{Relation, Version, relation};

use super::registers::{
    Content, bytes, joined, judge_content, later, meta_value, place_value, take_meta, version, want,
};
use super::rows::{attach_of, kept_list};
use crate::catalog::{Attach, FREE_TEXT, Want};

/// What may still be announced.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) quota: u64,
    pub(super) disk: u64,
    /// Entries and items that there may be more.
    pub(super) entries: u64,
    /// Their texts take all that they may.
    pub(super) full_of_text: bool,
}

impl Room {
    /// SYNC-46: what an operation adds to the catalog, at most.
    fn add(&mut self, entries: usize) -> Result<(), Refusal> {
        let text = "the channel has too many entries";
        let left = self.entries.checked_sub(entries as u64);
        self.entries = left.ok_or_else(|| Refusal::with(Code::QuotaExceeded, text))?;
        Ok(())
    }

    /// SYNC-46: whether an entry or an item may have so many bytes of text, where it had some before.
    fn hold_text(self, before: usize, after: usize) -> Result<(), Refusal> {
        match self.full_of_text && after > before.max(FREE_TEXT) {
            true => Err(Refusal::with(Code::QuotaExceeded, "the channel has too much text")),
            false => Ok(()),
        }
    }

    /// SYNC-12, SYNC-13: reserved when announced, refused when there is no room.
    fn reserve(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.quota = self.quota.checked_sub(bytes).ok_or(Code::QuotaExceeded)?;
        self.disk = self.disk.checked_sub(bytes).ok_or(Code::NoSpace)?;
        Ok(())
    }
}

/// SYNC-37: content that lost without having been seen by what replaced it.
#[derive(Debug, Clone)]
pub(super) struct Loss {
    /// The copy, all its registers under the loser's version.
    pub(super) copy: Attach,
    /// Where its bytes come from.
    pub(super) bytes: LostBytes,
}

#[derive(Debug, Clone)]
pub(super) enum LostBytes {
    /// They are another entry's here, or wanted for it.
    Ours { entry: ResourceId, root: Digest },
    /// The sender announced them.
    Theirs(Want),
}

/// The rows that a packet touches, as they become.
#[derive(Default)]
pub(super) struct Merge {
    known: HashMap<ResourceId, Attach>,
    before: HashMap<ResourceId, Attach>,
    changed: HashSet<ResourceId>,
    /// What is to be fetched.
    pub(super) wants: Vec<Want>,
    /// Entries whose cropped photos are those of these roles from now on, and no others.
    pub(super) roles: Vec<(ResourceId, Vec<Role>)>,
    /// What lost.
    pub(super) losses: Vec<Loss>,
    /// The latest clock seen.
    pub(super) hlc: u64,
}

/// What an operation may change, as it was.
struct Undo {
    rows: Vec<(ResourceId, Option<Attach>, bool)>,
    lengths: [usize; 3],
    hlc: u64,
    room: Room,
}

impl Merge {
    pub(super) fn new(known: HashMap<ResourceId, Attach>, hlc: u64) -> Self {
        Self { before: known.clone(), known, hlc, ..Self::default() }
    }

    /// SYNC-16: one operation: all of it, or (refused) nothing.
    pub(super) fn take(
        &mut self,
        operation: &Operation,
        room: &mut Room,
    ) -> Result<OpStatus, Refusal> {
        operation.check()?;
        let undo = self.undo(operation, *room);
        self.merge_all(operation, room).inspect_err(|_| self.restore(undo, room))
    }

    fn undo(&self, operation: &Operation, room: Room) -> Undo {
        let row = |hash: &ResourceId| {
            (hash.clone(), self.known.get(hash).cloned(), self.changed.contains(hash))
        };
        Undo {
            rows: operation.attach.iter().map(|entry| row(&entry.row.hash)).collect(),
            lengths: [self.wants.len(), self.roles.len(), self.losses.len()],
            hlc: self.hlc,
            room,
        }
    }

    fn restore(&mut self, undo: Undo, room: &mut Room) {
        for (hash, row, changed) in undo.rows {
            if !changed {
                self.changed.remove(&hash);
            }
            match row {
                Some(row) => drop(self.known.insert(hash, row)),
                None => drop(self.known.remove(&hash)),
            }
        }
        let [wants, roles, losses] = undo.lengths;
        self.wants.truncate(wants);
        self.roles.truncate(roles);
        self.losses.truncate(losses);
        (self.hlc, *room) = (undo.hlc, undo.room);
    }

    fn merge_all(&mut self, operation: &Operation, room: &mut Room) -> Result<OpStatus, Refusal> {
        let Some(entry) = operation.entry() else { return Err(Code::BadPlace.into()) };
        let ours = self.known.get(&entry.row.hash).cloned();
        let content = judge_content(ours.as_ref(), entry)?;
        let new = operation.attach.iter().filter(|e| !self.known.contains_key(&e.row.hash));
        let items = operation.item.iter().filter(|item| item.row.is_some());
        let items_text = items.clone().filter_map(|item| item.row.as_ref()).map(|row| row.0.len());
        room.hold_text(0, items_text.max().unwrap_or(0))?;
        room.add(new.count() + items.count())?;
        let mut news = false;
        for entry in &operation.attach {
            let text =
                |merge: &Self| merge.known.get(&entry.row.hash).map_or(0, Attach::text_bytes);
            let before = text(self);
            news |= self.merge(entry, operation)?;
            room.hold_text(before, text(self))?;
        }
        let lost = self.loss(ours.as_ref(), entry, operation, &content)?;
        match &content {
            Content::Theirs(version) => self.set_content(entry, operation, version),
            Content::Ours(Some(version)) => self.set_version(entry, version),
            Content::Ours(None) | Content::Same => {}
        }
        self.reserve(ours.as_ref(), operation, &content, room)?;
        if let Some(loss) = lost {
            if let LostBytes::Theirs(want) = &loss.bytes {
                room.reserve(want.size)?;
            }
            self.losses.push(loss);
        }
        self.settle_life(&entry.row.hash)?;
        Ok(match content {
            Content::Ours(_) => OpStatus::Superseded,
            Content::Theirs(_) => OpStatus::Stored,
            Content::Same if news => OpStatus::Stored,
            Content::Same => OpStatus::Duplicate,
        })
    }

    /// Wants what is new in an operation, if there is room for it.
    fn reserve(
        &mut self,
        ours: Option<&Attach>,
        operation: &Operation,
        content: &Content,
        room: &mut Room,
    ) -> Result<(), Refusal> {
        let Some(entry) = operation.entry() else { return Ok(()) };
        let hash = &entry.row.hash;
        let meta_is_theirs = self.roles.last().is_some_and(|(of, _)| of == hash);
        for data in &operation.data {
            let wanted = match data.role {
                Role::File => matches!(content, Content::Theirs(_)),
                _ => meta_is_theirs,
            };
            if !wanted {
                continue;
            }
            if ours.is_none_or(|row| row.root != Some(data.root)) {
                room.reserve(data.size)?;
            }
            self.wants.push(want(hash.clone(), data, operation.id));
        }
        Ok(())
    }

    /// Place, meta and removal of one row, each by its own version. Whether anything changed.
    fn merge(&mut self, entry: &AttachEntry, operation: &Operation) -> Result<bool, Refusal> {
        let clock =
            [Some(&entry.place), Some(&entry.meta), entry.content.as_ref(), entry.removed.as_ref()];
        self.hlc = clock.into_iter().flatten().map(|v| v.hlc().0).fold(self.hlc, u64::max);
        let hash = &entry.row.hash;
        let subject = operation.entry().is_some_and(|last| last.row.hash == *hash);
        let theirs = arriving(entry, operation, subject);
        let Some(ours) = self.known.get_mut(hash) else {
            if subject {
                self.roles.push((hash.clone(), photo_roles(operation)));
            }
            self.known.insert(hash.clone(), theirs);
            self.changed.insert(hash.clone());
            return Ok(true);
        };
        if ours.is_dir != entry.row.is_folder() {
            return Err(Refusal::with(Code::BadField, "a folder does not become a file"));
        }
        let place =
            later(&ours.place_version, &entry.place, || place_value(&theirs) > place_value(ours))?;
        let meta = later(&ours.meta_version, &entry.meta, || {
            subject && meta_value(&theirs) > meta_value(ours)
        })?;
        let removed = joined(ours.removed_version.as_ref(), entry.removed.as_ref())?;
        let news = place.is_some() || meta.is_some() || removed.is_some();
        if let Some((version, true)) = &meta {
            if subject {
                self.roles.push((hash.clone(), photo_roles(operation)));
            }
            take_meta(ours, &theirs, subject);
            ours.meta_version = bytes(version);
        }
        if let Some((version, true)) = &place {
            ours.filename.clone_from(&theirs.filename);
            ours.folder.clone_from(&theirs.place_folder);
            ours.place_folder.clone_from(&theirs.place_folder);
            ours.was.clone_from(&theirs.was);
            ours.place_version = bytes(version);
        }
        if let Some((version, false)) = place {
            ours.place_version = bytes(&version);
        }
        if let Some((version, false)) = meta {
            ours.meta_version = bytes(&version);
        }
        if let Some(version) = removed {
            ours.removed_version = Some(bytes(&version));
        }
        if news {
            self.changed.insert(hash.clone());
        }
        Ok(news)
    }

    /// The entry's bytes are theirs from now on.
    fn set_content(&mut self, entry: &AttachEntry, operation: &Operation, version: &Version) {
        let Some(row) = self.known.get_mut(&entry.row.hash) else { return };
        let theirs = attach_of(&entry.row, operation.id);
        row.content_version = Some(bytes(version));
        row.root = operation.data.iter().find(|d| d.role == Role::File).map(|d| d.root);
        row.filesize = theirs.filesize;
        row.filetype = theirs.filetype;
        row.revision = theirs.revision;
        row.is_photo = theirs.is_photo;
        row.edited = theirs.edited;
        row.mtime = theirs.mtime;
        row.executable = theirs.executable;
        row.op_id = operation.id;
        self.changed.insert(entry.row.hash.clone());
    }

    /// The entry keeps its bytes, and its version has now seen theirs.
    fn set_version(&mut self, entry: &AttachEntry, version: &Version) {
        if let Some(row) = self.known.get_mut(&entry.row.hash) {
            row.content_version = Some(bytes(version));
            self.changed.insert(entry.row.hash.clone());
        }
    }

    /// SYNC-33, SYNC-34: a file lives unless who removed it had seen its content; what is gone has no
    /// root. (Whether a removed folder lives is derived from what is inside.)
    fn settle_life(&mut self, hash: &ResourceId) -> Result<(), Refusal> {
        let Some(row) = self.known.get_mut(hash) else { return Ok(()) };
        if row.is_dir {
            return Ok(());
        }
        row.alive = match (&row.removed_version, &row.content_version) {
            (Some(removed), Some(content)) => !version(removed)?.has_seen(&version(content)?),
            _ => true,
        };
        if !row.alive {
            row.root = None;
            self.wants.retain(|want| want.hash != *hash);
        }
        Ok(())
    }

    /// SYNC-26, SYNC-37: the copy of content that lost, unless the winner or who removed it had seen it.
    fn loss(
        &self,
        ours: Option<&Attach>,
        entry: &AttachEntry,
        operation: &Operation,
        content: &Content,
    ) -> Result<Option<Loss>, Refusal> {
        let (Some(ours), Some(theirs)) = (ours, &entry.content) else { return Ok(None) };
        let Some(held) = ours.content_version.as_ref().map(version).transpose()? else {
            return Ok(None);
        };
        let file = operation.data.iter().find(|d| d.role == Role::File);
        let (winner, loser, root) = match content {
            Content::Theirs(_) if relation(&held, theirs) == Relation::Concurrent => {
                (theirs, &held, ours.root)
            }
            Content::Ours(Some(_)) => (&held, theirs, file.map(|d| d.root)),
            _ => return Ok(None),
        };
        let removed = self.known.get(&entry.row.hash).and_then(|row| row.removed_version.as_ref());
        let removed = removed.map(version).transpose()?;
        let same = ours.root.is_some() && ours.root == file.map(|d| d.root);
        let seen = winner.has_seen(loser) || removed.is_some_and(|removed| removed.has_seen(loser));
        let Some(root) = root.filter(|_| !same && !seen) else { return Ok(None) };
        let ours_won = matches!(content, Content::Ours(_));
        let lost = if ours_won { arriving(entry, operation, true) } else { ours.clone() };
        let copy = copy_of(&lost, loser, root, operation.id);
        let bytes = match file.filter(|_| ours_won) {
            Some(file) => LostBytes::Theirs(want(copy.hash.clone(), file, operation.id)),
            None => LostBytes::Ours { entry: ours.hash.clone(), root },
        };
        Ok(Some(Loss { copy, bytes }))
    }

    /// SYNC-42: files a conflict copy: new, or the same one that another clone made. Whether it changed.
    pub(super) fn file_copy(
        &mut self,
        copy: Attach,
        existing: Option<Attach>,
    ) -> Result<bool, Refusal> {
        let hash = copy.hash.clone();
        let ours = match self.known.get(&hash).cloned().or(existing) {
            None => {
                self.known.insert(hash.clone(), copy);
                self.changed.insert(hash);
                return Ok(true);
            }
            Some(ours) => ours,
        };
        self.before.entry(hash.clone()).or_insert_with(|| ours.clone());
        let mut merged = ours.clone();
        if ours.place_version == copy.place_version && place_value(&copy) > place_value(&ours) {
            merged.filename = copy.filename;
            merged.folder.clone_from(&copy.place_folder);
            merged.place_folder = copy.place_folder;
        }
        let changed = merged != ours;
        if changed {
            self.changed.insert(hash.clone());
        }
        self.known.insert(hash, merged);
        Ok(changed)
    }

    /// Rows that changed, and those of them that there were before.
    pub(super) fn into_rows(self) -> (Vec<Attach>, HashMap<ResourceId, Attach>) {
        let Self { mut known, before, changed, .. } = self;
        (changed.iter().filter_map(|hash| known.remove(hash)).collect(), before)
    }

    /// A row on its way, for the number of its operation.
    pub(super) fn row_mut(&mut self, hash: &ResourceId) -> Option<&mut Attach> {
        self.known.get_mut(hash)
    }
}

/// A row as it arrived, all registers as the sender has them; the content is the caller's to set.
fn arriving(entry: &AttachEntry, operation: &Operation, subject: bool) -> Attach {
    let mut row = attach_of(&entry.row, operation.id);
    row.place_version = bytes(&entry.place);
    row.meta_version = bytes(&entry.meta);
    row.removed_version = entry.removed.as_ref().map(bytes);
    row.was.clone_from(&entry.was);
    if subject {
        row.photos = kept_list(&operation.photo);
        row.op = operation.kind().unwrap_or(row.op);
    }
    row
}

/// PHOTO-7: what was cropped is taken with the rows that speak of it.
fn photo_roles(operation: &Operation) -> Vec<Role> {
    operation.data.iter().map(|d| d.role).filter(|role| *role != Role::File).collect()
}

fn copy_of(lost: &Attach, loser: &Version, root: Digest, op_id: OpId) -> Attach {
    let version = bytes(loser);
    Attach {
        hash: copy_id(&lost.hash, loser),
        filename: copy_name(&lost.filename, loser),
        folder: lost.place_folder.clone(),
        was: None,
        photos: Vec::new(),
        place_version: version.clone(),
        meta_version: version.clone(),
        content_version: Some(version),
        removed_version: None,
        alive: true,
        root: Some(root),
        op: zotferry_protocol::packets::Op::Put,
        op_id,
        seq: None,
        ..lost.clone()
    }
}

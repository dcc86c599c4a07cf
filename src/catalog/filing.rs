//! Decides which row each local put becomes: found by its path, replaced or made new.
//!
//! Owns: the part of the tree that a batch touches, in memory. Not here: writing it back (`put`).
//! Invariant: puts of one batch see each other as if each had a transaction of its own.
//! Spec: SYNC-3, SYNC-6, SYNC-17.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::SqliteConnection;
use zotferry_protocol::ids::{OpId, ResourceId};
use zotferry_protocol::packets::Op;

use super::attach::{self, Attach, attach, folder_text};
use super::columns::list;
use super::edit::seen_content;
use super::error::CatalogError;
use super::put::{Access, Author, Change, Clash, Filed, LocalContent, LocalPut, PutBatch};
use super::{ChannelNo, VersionBytes, photos};

/// Who bears one name in one folder: of several the smallest hash.
#[derive(Default)]
struct Bearers {
    folder: Option<ResourceId>,
    file: Option<ResourceId>,
}

/// The names that a batch touches and their rows, as they are after the puts so far.
#[derive(Default)]
pub(super) struct Tree {
    names: HashMap<(Option<ResourceId>, String), Bearers>,
    rows: HashMap<ResourceId, Attach>,
}

impl Tree {
    /// Reads what is stored below the paths of the puts, one statement per level of folders.
    pub(super) async fn load(
        connection: &mut SqliteConnection,
        channel: ChannelNo,
        puts: &[LocalPut],
    ) -> Result<Self, CatalogError> {
        let mut tree = Self::default();
        // Each put's folder so far: every put starts at the top, and drops out where a folder is missing.
        let mut walks: Vec<_> = puts.iter().map(|put| (put, None::<ResourceId>)).collect();
        for level in 0.. {
            let asked: HashSet<(&str, &str)> = walks
                .iter()
                .filter_map(|(put, at)| Some((folder_text(at.as_ref()), name_at(put, level)?)))
                .collect();
            if asked.is_empty() {
                break;
            }
            tree.read(connection, channel, &list(asked)).await?;
            walks.retain_mut(|(put, at)| {
                let next = put.folders.get(level).and_then(|name| tree.folder(at.as_ref(), name));
                let goes_on = next.is_some();
                *at = next;
                goes_on
            });
        }
        Ok(tree)
    }

    async fn read(
        &mut self,
        connection: &mut SqliteConnection,
        channel: ChannelNo,
        asked: &str,
    ) -> Result<(), CatalogError> {
        let rows = sqlx::query(
            "SELECT a.* FROM json_each(?2) j CROSS JOIN attach a
             WHERE a.channel = ?1 AND a.folder = j.value ->> 0 AND a.filename = j.value ->> 1
               AND a.alive = 1",
        )
        .bind(channel)
        .bind(asked)
        .fetch_all(connection)
        .await?;
        for row in &rows {
            self.add(attach(row)?);
        }
        Ok(())
    }

    /// The file or folder that a put of its kind finds in its place.
    pub(super) fn standing(&self, put: &LocalPut) -> Option<&Attach> {
        let above =
            |at: Option<ResourceId>, name: &String| Some(Some(self.folder(at.as_ref(), name)?));
        let folder = put.folders.iter().try_fold(None, above)?;
        let found = match put.content {
            None => self.folder(folder.as_ref(), &put.name),
            Some(_) => self.file(folder.as_ref(), &put.name),
        };
        self.rows.get(&found?)
    }

    fn add(&mut self, row: Attach) {
        let bearers = self.names.entry((row.folder.clone(), row.filename.clone())).or_default();
        let bearer = if row.is_dir { &mut bearers.folder } else { &mut bearers.file };
        if bearer.as_ref().is_none_or(|borne| row.hash < *borne) {
            *bearer = Some(row.hash.clone());
        }
        self.rows.insert(row.hash.clone(), row);
    }

    fn bearers(&self, folder: Option<&ResourceId>, name: &str) -> Option<&Bearers> {
        self.names.get(&(folder.cloned(), name.to_owned()))
    }

    fn folder(&self, folder: Option<&ResourceId>, name: &str) -> Option<ResourceId> {
        self.bearers(folder, name)?.folder.clone()
    }

    fn file(&self, folder: Option<&ResourceId>, name: &str) -> Option<ResourceId> {
        self.bearers(folder, name)?.file.clone()
    }
}

fn name_at(put: &LocalPut, level: usize) -> Option<&str> {
    put.folders.iter().chain([&put.name]).nth(level).map(String::as_str)
}

/// Bytes to be entered with an entry.
pub(super) struct Content<'a> {
    pub(super) hash: ResourceId,
    pub(super) op_id: OpId,
    pub(super) mime: &'a str,
    pub(super) content: &'a LocalContent,
}

/// A batch that has been filed.
pub(super) struct Entered<'a> {
    /// New and changed rows.
    pub(super) rows: Vec<Attach>,
    /// Contents in the order of the puts.
    pub(super) contents: Vec<Content<'a>>,
    /// The channel's clock after the batch.
    pub(super) hlc: u64,
    /// The channel's last operation after the batch.
    pub(super) seq: u64,
}

/// A batch on its way into the tree.
pub(super) struct Filing<'a> {
    batch: &'a PutBatch,
    tree: Tree,
    author: &'a mut dyn Author,
    hlc: u64,
    seq: u64,
    changed: BTreeSet<ResourceId>,
    contents: Vec<Content<'a>>,
}

impl<'a> Filing<'a> {
    pub(super) fn new(
        batch: &'a PutBatch,
        tree: Tree,
        author: &'a mut dyn Author,
        hlc: u64,
        seq: u64,
    ) -> Self {
        Self { batch, tree, author, hlc, seq, changed: BTreeSet::new(), contents: Vec::new() }
    }

    /// What is to be written. It knows no author, so that it may wait for the disk on any thread.
    pub(super) fn finish(mut self) -> Entered<'a> {
        let rows = &mut self.tree.rows;
        Entered {
            rows: self.changed.iter().filter_map(|hash| rows.remove(hash)).collect(),
            contents: self.contents,
            hlc: self.hlc,
            seq: self.seq,
        }
    }

    /// Files one put. A clash leaves the tree as it was.
    pub(super) fn file(&mut self, put: &'a LocalPut) -> Result<Result<Filed, Clash>, CatalogError> {
        if let Some(clash) = self.clash(put) {
            return Ok(Err(clash));
        }
        let op = self.author.operation();
        let mut folder = None;
        for name in &put.folders {
            folder = Some(match self.tree.folder(folder.as_ref(), name) {
                Some(found) => found,
                None => self.make_folder(folder, name, op, None)?,
            });
        }
        match &put.content {
            None => self.file_folder(put, folder, op),
            Some(content) => self.file_content(put, content, folder, op),
        }
        .map(Ok)
    }

    fn clash(&self, put: &LocalPut) -> Option<Clash> {
        let mut at = None;
        for name in &put.folders {
            let bearers = self.tree.bearers(at.as_ref(), name)?;
            match (&bearers.folder, &bearers.file) {
                (Some(folder), _) => at = Some(folder.clone()),
                (None, Some(_)) => return Some(Clash::FileInTheWay),
                (None, None) => return None,
            }
        }
        let bearers = self.tree.bearers(at.as_ref(), &put.name)?;
        match (&put.content, &bearers.folder, &bearers.file) {
            (Some(_), Some(_), None) => Some(Clash::FolderInTheWay),
            (None, None, Some(_)) => Some(Clash::FileInTheWay),
            _ => None,
        }
    }

    fn file_folder(
        &mut self,
        put: &LocalPut,
        folder: Option<ResourceId>,
        op: OpId,
    ) -> Result<Filed, CatalogError> {
        if let Some(hash) = self.tree.folder(folder.as_ref(), &put.name) {
            return Ok(Filed { hash, change: Change::Unchanged });
        }
        let hash = self.make_folder(folder, &put.name, op, Some(put))?;
        let seq = self.next_seq();
        self.row(&hash).seq = Some(seq);
        Ok(Filed { hash, change: Change::Created })
    }

    fn file_content(
        &mut self,
        put: &'a LocalPut,
        content: &'a LocalContent,
        folder: Option<ResourceId>,
        op: OpId,
    ) -> Result<Filed, CatalogError> {
        let (hash, change) = match self.tree.file(folder.as_ref(), &put.name) {
            None => (self.make_file(put, content, folder, op)?, Change::Created),
            Some(hash) => {
                let previous = self.tree.rows[&hash].root;
                if previous == Some(content.root) {
                    (hash, Change::Unchanged)
                } else {
                    self.replace(&hash, put, content, op)?;
                    (hash, Change::Replaced { previous })
                }
            }
        };
        let op_id = self.tree.rows[&hash].op_id;
        let mime = put.filetype.as_str();
        self.contents.push(Content { hash: hash.clone(), op_id, mime, content });
        Ok(Filed { hash, change })
    }

    fn make_file(
        &mut self,
        put: &LocalPut,
        content: &LocalContent,
        folder: Option<ResourceId>,
        op: OpId,
    ) -> Result<ResourceId, CatalogError> {
        let version = self.author.version(None, &mut self.hlc)?;
        let seq = self.next_seq();
        let mut row = Attach {
            filetype: put.filetype.clone(),
            filesize: content.size,
            is_photo: put.is_photo,
            mtime: put.mtime,
            executable: put.executable,
            content_version: Some(version.clone()),
            root: Some(content.root),
            seq: Some(seq),
            ..self.blank(&put.name, folder, &version, op)
        };
        date(&mut row, put);
        if let Some(picture) = &put.picture {
            row.photos = photos::kept(&photos::plain_rows(&row.hash, picture, content.size));
        }
        Ok(self.insert(row))
    }

    fn make_folder(
        &mut self,
        folder: Option<ResourceId>,
        name: &str,
        op: OpId,
        put: Option<&LocalPut>,
    ) -> Result<ResourceId, CatalogError> {
        let version = self.author.version(None, &mut self.hlc)?;
        let mut row = Attach { is_dir: true, ..self.blank(name, folder, &version, op) };
        if let Some(put) = put.filter(|put| put.dated.is_some()) {
            date(&mut row, put);
            row.mtime = put.mtime;
        }
        Ok(self.insert(row))
    }

    /// Place, creator, access and the rest of its meta stay as they are.
    fn replace(
        &mut self,
        hash: &ResourceId,
        put: &LocalPut,
        content: &LocalContent,
        op: OpId,
    ) -> Result<(), CatalogError> {
        let previous = seen_content(&self.tree.rows[hash])?;
        let version = self.author.version(previous.as_ref(), &mut self.hlc)?;
        let seq = self.next_seq();
        let edited = put.dated.as_ref().unwrap_or(&self.batch.date).clone();
        let row = self.row(hash);
        row.filetype.clone_from(&put.filetype);
        row.filesize = content.size;
        row.revision += 1;
        row.is_photo = put.is_photo;
        row.edited = edited;
        row.mtime = put.mtime;
        row.executable = put.executable;
        row.content_version = Some(version);
        row.root = Some(content.root);
        row.op = Op::Put;
        row.op_id = op;
        row.seq = Some(seq);
        Ok(())
    }

    /// An entry of its maker's, with neither content nor a number of its own, seen by whom its folder is.
    fn blank(
        &mut self,
        name: &str,
        folder: Option<ResourceId>,
        version: &VersionBytes,
        op_id: OpId,
    ) -> Attach {
        let above = folder.as_ref().and_then(|folder| self.tree.rows.get(folder));
        let access = above.map_or_else(|| self.batch.access.clone(), Access::of);
        let hash = self.author.resource();
        let (creator, date) = (&self.batch.creator, &self.batch.date);
        let mut row = attach::blank(hash, name, folder, version, creator, date, op_id);
        access.give(&mut row);
        row
    }

    fn insert(&mut self, row: Attach) -> ResourceId {
        let hash = row.hash.clone();
        self.changed.insert(hash.clone());
        self.tree.add(row);
        hash
    }

    fn row(&mut self, hash: &ResourceId) -> &mut Attach {
        self.changed.insert(hash.clone());
        self.tree.rows.get_mut(hash).expect("a hash that the tree bears has its row")
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
}

/// The dates of what is new are those of its source, where the put says them.
fn date(row: &mut Attach, put: &LocalPut) {
    if let Some(dated) = &put.dated {
        row.created.clone_from(dated);
        row.edited.clone_from(dated);
    }
}

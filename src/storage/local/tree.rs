//! The folders of one local storage, and who has which partial file open.
//!
//! Owns: `content/`, its 256 subfolders, `partial/`, the locks on partial keys.
//! Not here: what is in the files.
//! Invariant: a subfolder's own name is durable before content is reported durable in it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use zotferry_protocol::ids::Digest;

use super::super::{PartialKey, Result, StorageError};
use super::folder::Folder;

/// The open folders below `storage/`.
#[derive(Debug)]
pub(super) struct Tree {
    /// `storage/content`: subfolders named by the first byte of the roots in them.
    pub(super) content: Folder,
    /// `storage/partial`: files named by their key.
    pub(super) partial: Folder,
    /// Subfolders of `content` whose names this process has made durable, by first byte.
    durable: Vec<AtomicBool>,
    open: Mutex<HashSet<PartialKey>>,
}

impl Tree {
    /// Opens or makes the folders below `dir`, which is `storage/`.
    pub(super) fn open(dir: &Path) -> Result<(Self, Folder)> {
        let parent = Folder::root(dir)?;
        let storage = parent.make("storage")?;
        let tree = Self {
            content: storage.make("content")?,
            partial: storage.make("partial")?,
            durable: (0..=u8::MAX).map(|_| AtomicBool::new(false)).collect(),
            open: Mutex::default(),
        };
        storage.sync()?;
        parent.sync()?;
        Ok((tree, storage))
    }

    /// The folder that content of this root lies in; made when it is missing.
    pub(super) fn home(&self, root: &Digest) -> Result<Folder> {
        let home = self.content.make(&home_name(root))?;
        let durable = &self.durable[usize::from(root.0[0])];
        if !durable.load(Ordering::Acquire) {
            self.content.sync()?;
            durable.store(true, Ordering::Release);
        }
        Ok(home)
    }

    /// The folder that content of this root would lie in, if there is one.
    pub(super) fn home_if_any(&self, root: &Digest) -> Result<Option<Folder>> {
        self.content.below(&home_name(root))
    }

    /// Whether content of this root is here as a file.
    pub(super) fn has(&self, root: &Digest) -> Result<bool> {
        self.home_if_any(root)?.map_or(Ok(false), |home| home.has(&root.to_string()))
    }

    /// Takes the lock on a partial file; whoever gets it opens the file and unlocks at the end.
    pub(super) fn lock(&self, key: PartialKey) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.insert(key) { Ok(()) } else { Err(StorageError::Busy(key)) }
    }

    /// Gives the lock back.
    pub(super) fn unlock(&self, key: &PartialKey) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn home_name(root: &Digest) -> String {
    format!("{:02x}", root.0[0])
}

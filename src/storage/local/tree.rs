//! The folders of one local storage: what was put into them, and who has which partial file open.
//!
//! Owns: `content/`, its 256 subfolders, `partial/`, `damaged/`, the locks on partial keys.
//! Not here: what is in the files.
//! Invariant: a name is reported only once it is durable, whoever put it there. After a failed
//! sync of a folder no more names are reported until the storage is opened again (Invariant 4).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use zotferry_protocol::ids::Digest;

use super::super::{PartialKey, Result, StorageError};
use super::folder::Folder;

/// The open folders of a storage.
#[derive(Debug)]
pub(super) struct Tree {
    /// `content`: subfolders named by the first byte of the roots in them.
    content: Folder,
    /// `partial`: files named by their key.
    pub(super) partial: Folder,
    /// `damaged`: what was content, named by the roots that it does not give.
    damaged: Folder,
    /// The names in each subfolder of `content`, by first byte.
    homes: Vec<Names>,
    /// The names in `partial`.
    partials: Names,
    /// The sync of a folder failed.
    failed: AtomicBool,
    open: Mutex<HashSet<PartialKey>>,
}

/// Whether every name in one folder is durable; at first not, since another process may have left
/// names that it did not sync. Held while a name is put there, so that nobody confirms it too
/// early, and while syncing: the system tells a failure once, to one caller.
#[derive(Debug, Default)]
struct Names(Mutex<bool>);

impl Tree {
    /// Whether these folders were made before.
    pub(super) fn exists(storage: &Folder) -> Result<bool> {
        Ok(storage.below("content")?.is_some())
    }

    /// Opens or makes the folders; afterwards they are durable.
    pub(super) fn open(storage: &Folder) -> Result<Self> {
        let partial = storage.make("partial")?;
        let damaged = storage.make("damaged")?;
        let content = storage.make("content")?;
        for byte in 0..=u8::MAX {
            content.make(&home_name(byte))?;
        }
        content.sync()?;
        storage.sync()?;
        Ok(Self {
            content,
            partial,
            damaged,
            homes: (0..=u8::MAX).map(|_| Names::default()).collect(),
            partials: Names::default(),
            failed: AtomicBool::new(false),
            open: Mutex::default(),
        })
    }

    /// The folder that content of this root lies in.
    pub(super) fn home(&self, root: &Digest) -> Result<Folder> {
        let missing = StorageError::Damaged("the storage, which lost a folder below content/,");
        self.content.below(&home_name(root.0[0]))?.ok_or(missing)
    }

    /// The size of the content of this root, if it is here as a file, durable or not.
    pub(super) fn size(&self, root: &Digest) -> Result<Option<u64>> {
        self.home(root)?.size(&root.to_string())
    }

    /// Moves a partial file to its place as content. The caller has synced it and then confirms
    /// the place.
    pub(super) fn place(&self, partial: &str, root: &Digest) -> Result<()> {
        let home = self.home(root)?;
        self.names(root).put(|| self.partial.rename(partial, &home, &root.to_string()))
    }

    /// Makes the name of content durable that is here; costs nothing when it is.
    pub(super) fn confirm(&self, root: &Digest) -> Result<()> {
        self.names(root).confirm(&self.failed, || self.home(root)?.sync())
    }

    /// Takes a file out of the content, durably; that there is none is fine.
    pub(super) fn set_aside(&self, root: &Digest) -> Result<()> {
        let (home, name) = (self.home(root)?, root.to_string());
        if home.size(&name)?.is_none() {
            return Ok(());
        }
        self.names(root).put(|| home.rename(&name, &self.damaged, &name))?;
        self.confirm(root)
    }

    /// Begins a partial file.
    pub(super) fn create_partial(&self, name: &str) -> Result<std::fs::File> {
        self.partials.put(|| self.partial.create(name))
    }

    /// The same as another name of a file outside.
    pub(super) fn link_partial(&self, name: &str, source: &std::fs::File) -> std::io::Result<()> {
        self.partials
            .put(|| Ok(self.partial.link(name, source)))
            .unwrap_or_else(|e| Err(std::io::Error::other(e)))
    }

    /// Makes the names of all partial files durable; costs nothing when they are.
    pub(super) fn confirm_partials(&self) -> Result<()> {
        self.partials.confirm(&self.failed, || self.partial.sync())
    }

    /// Whether names can still be made durable.
    pub(super) fn health(&self) -> Result<()> {
        health(&self.failed)
    }

    fn names(&self, root: &Digest) -> &Names {
        &self.homes[usize::from(root.0[0])]
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

impl Names {
    /// Puts a name into the folder.
    fn put<T>(&self, put: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut durable = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = put()?;
        *durable = false;
        Ok(done)
    }

    /// Syncs the folder if names were put into it since the last time.
    fn confirm(&self, failed: &AtomicBool, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut durable = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *durable {
            return Ok(());
        }
        health(failed)?;
        sync().inspect_err(|error| {
            // No file descriptor to begin with is no failed sync.
            if matches!(error, StorageError::SyncFailed { .. }) {
                failed.store(true, Ordering::Release);
            }
        })?;
        *durable = true;
        Ok(())
    }
}

fn health(failed: &AtomicBool) -> Result<()> {
    match failed.load(Ordering::Acquire) {
        true => Err(StorageError::Abandoned("the storage folder")),
        false => Ok(()),
    }
}

fn home_name(first: u8) -> String {
    format!("{first:02x}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use std::cell::Cell;

    use rustix::io::Errno;

    use super::super::folder::sync_failed;
    use super::*;

    /// Invariant 4: after a folder's sync failed, names that are not known to be durable stay
    /// unconfirmed, in every folder; those confirmed before are not in doubt.
    #[test]
    fn a_failed_folder_sync_confirms_nothing_more() {
        let failed = AtomicBool::new(false);
        let (before, doubtful) = (Names::default(), Names::default());
        before.confirm(&failed, || Ok(())).unwrap();
        let error = doubtful.confirm(&failed, || Err(sync_failed("a folder")(Errno::IO)));
        assert!(matches!(error, Err(StorageError::SyncFailed { .. })), "{error:?}");
        let again = doubtful.confirm(&failed, || Ok(()));
        assert!(matches!(again, Err(StorageError::Abandoned(_))), "{again:?}");
        before.confirm(&failed, || Ok(())).unwrap();
        before.put(|| Ok(())).unwrap();
        assert!(before.confirm(&failed, || Ok(())).is_err());
        assert!(health(&failed).is_err());
    }

    /// A folder that could not be opened was not synced, and may be later.
    #[test]
    fn a_folder_that_is_not_opened_is_no_failed_sync() {
        let (names, failed) = (Names::default(), AtomicBool::new(false));
        let no_descriptor = || Err(StorageError::io("opening a folder")(Errno::MFILE.into()));
        assert!(names.confirm(&failed, no_descriptor).is_err());
        assert!(health(&failed).is_ok());
        names.confirm(&failed, || Ok(())).unwrap();
    }

    /// Names that are durable are not synced again.
    #[test]
    fn a_folder_is_synced_when_names_were_put_into_it() {
        let (names, failed, syncs) = (Names::default(), AtomicBool::new(false), Cell::new(0));
        let sync = || {
            syncs.set(syncs.get() + 1);
            Ok(())
        };
        let confirm = || names.confirm(&failed, sync).unwrap();
        confirm();
        confirm();
        assert_eq!(syncs.get(), 1);
        names.put(|| Ok(())).unwrap();
        confirm();
        assert_eq!(syncs.get(), 2);
    }
}

//! Makes written files durable and then visible, beside the writing of the next ones.
//!
//! Owns: the thread that waits for the disk. Not here: what is written, and under which names.
//! Invariant: one batch at a time; a name stands for a whole and durable file, and none appears after
//! [`Settling::wait`] has returned.
//! Spec: BACKUP-17.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::error::{BackupError, Result};
use crate::platform;

/// Files that go out of sight of the writer together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Temporary name, and the name that it gets.
    files: Vec<(PathBuf, PathBuf)>,
    /// The names, as the backup has them.
    names: HashSet<String>,
    bytes: u64,
}

impl Batch {
    /// One more, of which so many bytes are new on the disk.
    pub(crate) fn push(&mut self, path: PathBuf, to: PathBuf, name: String, bytes: u64) {
        self.files.push((path, to));
        self.names.insert(name);
        self.bytes += bytes;
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Durable first, visible then.
    fn settle(&self, root: &Path) -> Result<()> {
        let mut paths = self.files.iter().map(|(path, _)| path.as_path());
        platform::sync_many(root, &mut paths).map_err(BackupError::io(root))?;
        self.files.iter().try_for_each(|(path, to)| rename(path, to))
    }
}

/// The batch that settles, if one does.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    batch: Arc<Batch>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Settling {
    /// Whether a file of this name is on its way.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.thread.is_some() && self.batch.contains(name)
    }

    /// Lets a batch settle, after the one before it.
    ///
    /// # Errors
    /// Those of the one before.
    pub(crate) fn begin(&mut self, root: &Path, batch: Batch) -> Result<()> {
        self.wait()?;
        self.batch = Arc::new(batch);
        let (root, batch) = (root.to_owned(), Arc::clone(&self.batch));
        self.thread = Some(std::thread::spawn(move || batch.settle(&root)));
        Ok(())
    }

    /// Waits until nothing settles.
    ///
    /// # Errors
    /// What kept files from becoming durable or visible.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.batch = Arc::default();
        thread.join().map_err(|_| BackupError::Worker)?
    }
}

/// Whoever gives up a backup leaves nothing behind that still moves files in it.
impl Drop for Settling {
    fn drop(&mut self) {
        self.wait().ok();
    }
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(BackupError::io(to))?;
    // Of two names of one file the first stays behind.
    match fs::remove_file(from) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::io(from)(error)),
        _ => Ok(()),
    }
}

//! A hub's folder: where everything lies, who may read it, and that only one process serves it.
//!
//! Owns: the layout and the lock. Not here: what the files hold.
//! Invariant: folders are 0700 and files 0600; `init` writes into an empty or absent folder only.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use zotferry_protocol::ids::PortableId;

use crate::durable;

/// The paths in a hub's folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// Why a folder cannot be a hub's.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The system refused.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// `init` in a folder that holds something.
    #[error("{0} is not empty; `zotferry init` makes a hub in a new folder only")]
    NotEmpty(PathBuf),
    /// Another process serves it.
    #[error("{0} is in use by a running hub (process {1}); stop it first, or talk to it")]
    Busy(PathBuf, String),
    /// Not made by `init`, or damaged.
    #[error("{0} is not a hub's folder: {1} is missing; `zotferry init` makes one")]
    NotAHub(PathBuf, &'static str),
}

impl Folder {
    /// The hub's folder at `path`, made absolute.
    pub fn at(path: &Path) -> Result<Self, FolderError> {
        let absolute = std::path::absolute(path).map_err(|e| FolderError::Io(path.into(), e))?;
        Ok(Self(absolute))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The catalog.
    pub fn catalog(&self) -> PathBuf {
        self.0.join("catalog.sqlite")
    }

    /// The queue; may be lost.
    pub fn queue(&self) -> PathBuf {
        self.0.join("queue")
    }

    /// The hub's own key.
    pub fn site_key(&self) -> PathBuf {
        self.0.join("keys/site.pem")
    }

    /// A channel's key.
    pub fn channel_key(&self, channel: &PortableId) -> PathBuf {
        self.0.join(format!("keys/channel-{channel}.pem"))
    }

    /// Scales of images that were made; may be lost.
    pub fn scales(&self) -> PathBuf {
        self.0.join("scales")
    }

    /// Where a channel's backup gathers that comes in file by file.
    pub fn restoring(&self, channel: &PortableId) -> PathBuf {
        self.0.join("restoring").join(channel.as_str())
    }

    /// The socket on which a running hub listens to its owner.
    pub fn socket(&self) -> PathBuf {
        self.0.join("hub.sock")
    }

    /// Makes the folders of a new hub and writes its settings.
    pub fn create(&self, config: &str) -> Result<(), FolderError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |e| FolderError::Io(path, e)
        };
        make_dir(&self.0).map_err(io(&self.0))?;
        let mut entries = std::fs::read_dir(&self.0).map_err(io(&self.0))?;
        if entries.next().is_some() {
            return Err(FolderError::NotEmpty(self.0.clone()));
        }
        make_dir(&self.0.join("keys")).map_err(io(&self.0))?;
        durable::write_new(&self.config(), config.as_bytes()).map_err(io(&self.config()))
    }

    /// Whether `init` has been here.
    pub fn check(&self) -> Result<(), FolderError> {
        for name in ["config.toml", "keys/site.pem"] {
            if !self.0.join(name).exists() {
                return Err(FolderError::NotAHub(self.0.clone(), name));
            }
        }
        Ok(())
    }

    /// Takes the folder for this process until the lock is dropped.
    pub fn lock(&self) -> Result<Lock, FolderError> {
        let path = self.0.join("lock");
        let io = |e| FolderError::Io(path.clone(), e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let owner = std::fs::read_to_string(&path).unwrap_or_default();
            return Err(FolderError::Busy(self.0.clone(), owner.trim().to_owned()));
        }
        file.set_len(0).map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Lock { _file: file })
    }
}

/// While it lives, no other process serves the folder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_served_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(&dir.path().join("hub")).expect("a path");
        folder.create("url = 1").expect("made");
        let lock = folder.lock().expect("free");
        assert!(matches!(folder.lock(), Err(FolderError::Busy(..))));
        drop(lock);
        folder.lock().expect("free again");
    }

    #[test]
    fn init_does_not_touch_a_folder_that_holds_something() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("thesis.tex"), "x").expect("written");
        let folder = Folder::at(dir.path()).expect("a path");
        assert!(matches!(folder.create(""), Err(FolderError::NotEmpty(_))));
        assert!(!folder.config().exists());
    }
}

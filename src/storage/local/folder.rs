//! Open folders, and what is done to the names in them.
//!
//! Owns: every path operation of the local storage, each on one name in one open folder.
//! Not here: what the names mean.
//! Invariant: a symbolic link is never followed (Invariant 9); folders are made 0700, files 0600.

use std::fs::{DirBuilder, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::{Result, StorageError};

const FILE: Mode = Mode::RUSR.union(Mode::WUSR);
const PLAIN: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);
const FOLDER: OFlags = PLAIN.union(OFlags::DIRECTORY);

/// A folder that was opened and stays the same whatever happens to its path.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// The folder that everything lies beneath, made durable when it is missing. Its own path is
    /// the operator's and may go through symbolic links.
    pub(super) fn root(path: &Path) -> Result<Self> {
        let what = "opening the storage's folder";
        let open = |path: &Path| {
            let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
            fs::open(path, flags, Mode::empty()).map(Self).map_err(StorageError::errno(what))
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(StorageError::io(what))?;
        let parent = std::path::absolute(path).map_err(StorageError::io(what))?;
        parent.parent().map_or(Ok(()), |parent| open(parent)?.sync())?;
        open(path)
    }

    /// A folder in this one; `None` when there is none.
    pub(super) fn below(&self, name: &str) -> Result<Option<Self>> {
        match fs::openat(&self.0, name, FOLDER, Mode::empty()) {
            Ok(fd) => Ok(Some(Self(fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(StorageError::errno("opening a storage folder")(errno)),
        }
    }

    /// A folder in this one, made when it is missing. The caller syncs this one.
    pub(super) fn make(&self, name: &str) -> Result<Self> {
        match fs::mkdirat(&self.0, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(StorageError::errno("making a storage folder")(errno)),
        }
        fs::openat(&self.0, name, FOLDER, Mode::empty())
            .map(Self)
            .map_err(StorageError::errno("opening a storage folder"))
    }

    /// A regular file for reading; `None` when there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<File>> {
        self.file(name, OFlags::RDONLY)
    }

    /// A regular file for reading and writing; `None` when there is none.
    pub(super) fn write(&self, name: &str) -> Result<Option<File>> {
        self.file(name, OFlags::RDWR)
    }

    /// A new empty file; fails when the name is taken.
    pub(super) fn create(&self, name: &str) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | PLAIN;
        fs::openat(&self.0, name, flags, FILE)
            .map(File::from)
            .map_err(StorageError::errno("creating a file"))
    }

    /// A second name for an open file; false when the system does not give it one here. It is the file that
    /// was opened, whatever its path is by now.
    pub(super) fn link(&self, source: &File, name: &str) -> Result<bool> {
        match crate::durable::link_open(source, &self.0, Path::new(name)) {
            Ok(()) => Ok(true),
            Err(error) => match Errno::from_io_error(&error) {
                Some(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => {
                    Err(StorageError::errno("linking a file")(errno))
                }
                // Another file system, one without links, or a file that is not ours to link.
                _ => Ok(false),
            },
        }
    }

    /// A new file that shares its blocks with an open one; `None` where the file system cannot.
    pub(super) fn reflink(&self, source: &File, name: &str) -> Result<Option<File>> {
        let file = self.create(name)?;
        match fs::ioctl_ficlone(&file, source) {
            Ok(()) => Ok(Some(file)),
            Err(errno) => {
                self.unlink(name)?;
                match errno {
                    Errno::NOSPC | Errno::DQUOT | Errno::IO => {
                        Err(StorageError::errno("sharing a file")(errno))
                    }
                    _ => Ok(None),
                }
            }
        }
    }

    fn file(&self, name: &str, flags: OFlags) -> Result<Option<File>> {
        // NONBLOCK: a pipe under the name must not hang the opening.
        let flags = flags | PLAIN | OFlags::NONBLOCK;
        let file = match fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(StorageError::errno("opening a file")(errno)),
        };
        let stat = fs::fstat(&file).map_err(StorageError::errno("opening a file"))?;
        plain(&stat).map(|()| Some(file))
    }

    /// The size of a regular file; `None` when there is none.
    pub(super) fn size(&self, name: &str) -> Result<Option<u64>> {
        match fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => plain(&stat).map(|()| u64::try_from(stat.st_size).ok()),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(StorageError::errno("looking for a file")(errno)),
        }
    }

    /// Moves a file into another folder, replacing what is there.
    pub(super) fn rename(&self, name: &str, to: &Self, new: &str) -> Result<()> {
        fs::renameat(&self.0, name, &to.0, new).map_err(StorageError::errno("renaming a file"))
    }

    /// Removes a file; that there is none is fine.
    pub(super) fn unlink(&self, name: &str) -> Result<()> {
        match fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(StorageError::errno("removing a file")(errno)),
        }
    }

    /// Every name in it that is UTF-8; ours all are.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let what = "listing a storage folder";
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.0).map_err(StorageError::errno(what))? {
            let entry = entry.map_err(StorageError::errno(what))?;
            if let Ok(name) = entry.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Makes the names in it durable.
    pub(super) fn sync(&self) -> Result<()> {
        fs::fsync(&self.0).map_err(sync_failed("a storage folder"))
    }

    /// Bytes that an unprivileged writer can still use.
    pub(super) fn free_space(&self) -> Result<u64> {
        let stat = fs::fstatvfs(&self.0).map_err(StorageError::errno("measuring free space"))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn plain(stat: &fs::Stat) -> Result<()> {
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        return Ok(());
    }
    Err(StorageError::Damaged("the storage, where a file should be and is not,"))
}

/// Names a sync that failed.
pub(super) fn sync_failed(what: &'static str) -> impl FnOnce(Errno) -> StorageError {
    move |errno| StorageError::SyncFailed { what, source: errno.into() }
}

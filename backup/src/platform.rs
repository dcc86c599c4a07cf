//! What systems do differently: opening without following links, making durable, folders for one's own.
//!
//! Owns: every line of this crate that only some systems have. Not here: what is opened or synced.
//! Invariant: on a system without such a means the outcome is the same, if slower or less strict
//! about who may read.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

/// Opens a regular file for reading. A symbolic link, a pipe or a device in its place is refused.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    plain(&fs::symlink_metadata(path)?)?;
    let file = open_unfollowed(path)?;
    plain(&file.metadata()?)?;
    Ok(file)
}

fn plain(about: &Metadata) -> io::Result<()> {
    if about.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not an ordinary file"))
}

/// Fails unless a folder is one, and no link to one.
pub(crate) fn plain_folder(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not an ordinary folder"))
}

/// Makes a folder that is its owner's alone; that it is there already is fine.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    match folder_builder().create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => plain_folder(path),
        other => other,
    }
}

#[cfg(unix)]
fn folder_builder() -> fs::DirBuilder {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn folder_builder() -> fs::DirBuilder {
    fs::DirBuilder::new()
}

#[cfg(unix)]
fn open_unfollowed(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
fn open_unfollowed(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// A new file that is its owner's alone.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes files and their names durable, all of one file system: in one go where the system can.
pub(crate) fn sync_many(folder: &Path, files: &mut dyn Iterator<Item = &Path>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let _ = files;
        Ok(rustix::fs::syncfs(File::open(folder)?)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        for path in files {
            fs::OpenOptions::new().write(true).open(path)?.sync_all()?;
        }
        Ok(())
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

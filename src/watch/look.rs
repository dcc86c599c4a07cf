//! Files and folders of this machine as they are now.
//!
//! Invariant: symbolic links are never followed below the watched folder.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};
use zotferry_protocol::packets::is_name;

use crate::catalog::Mark;
use crate::files::Skipped;

/// What lies at a name.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The folder it lies in, from the watched one down.
    pub(super) parent: String,
    /// Its name.
    pub(super) name: String,
    /// Whether it is a folder.
    pub(super) folder: bool,
    /// As it was when it was looked at.
    pub(super) mark: Mark,
    /// Whether it has been quiet for a while.
    pub(super) quiet: bool,
}

/// What lies in a folder.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) seen: Vec<Seen>,
    pub(super) skipped: Vec<Skipped>,
}

pub(super) fn mark(about: &Metadata) -> Mark {
    let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
    Mark {
        size: if about.is_dir() { 0 } else { about.len() },
        mtime: ns(about.mtime(), about.mtime_nsec()),
        ctime: ns(about.ctime(), about.ctime_nsec()),
        inode: about.ino(),
    }
}

/// What lies at a path; `None` when nothing that can be mirrored does.
pub(super) fn look(path: &Path, parent: &str, name: &str) -> Result<Option<Seen>, Skipped> {
    let skipped = |reason: String| Skipped { path: path.display().to_string(), reason };
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(skipped(error.to_string())),
    };
    if let Some(kind) = special(&about) {
        return Err(skipped(format!("{kind} is not mirrored")));
    }
    if !is_name(name) {
        return Err(skipped("no entry may have this name".into()));
    }
    let (parent, name) = (parent.to_owned(), name.to_owned());
    Ok(Some(Seen { parent, name, folder: about.is_dir(), mark: mark(&about), quiet: false }))
}

/// What lies in a folder, in the order of names.
pub(super) fn list(path: &Path, parent: &str) -> io::Result<Listed> {
    let mut listed = Listed::default();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let skipped = |reason: &str| Skipped {
            path: entry.path().display().to_string(),
            reason: reason.to_owned(),
        };
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            listed.skipped.push(skipped("its name is not UTF-8"));
            continue;
        };
        match look(&entry.path(), parent, name) {
            Ok(seen) => listed.seen.extend(seen),
            Err(skipped) => listed.skipped.push(skipped),
        }
    }
    listed.seen.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

/// Opens a regular file; not what a link points to, and not a pipe that would wait.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let about = file.metadata()?;
    match about.is_file() {
        true => Ok((file, about)),
        false => Err(io::Error::other("it is not a regular file any more")),
    }
}

/// The device and inode of the watched folder itself; a link to it is followed.
pub(super) fn identity(dir: &Path) -> io::Result<(u64, u64)> {
    let about = fs::metadata(dir)?;
    match about.is_dir() {
        true => Ok((about.dev(), about.ino())),
        false => Err(io::Error::other("it is not a folder")),
    }
}

pub(super) fn is_executable(about: &Metadata) -> bool {
    about.permissions().mode() & 0o100 != 0
}

/// ns since 1970, by this machine's clock, which is also the one that marks files.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn special(about: &Metadata) -> Option<&'static str> {
    match about.file_type() {
        k if k.is_symlink() => Some("a symbolic link"),
        k if k.is_fifo() => Some("a pipe"),
        k if k.is_socket() => Some("a socket"),
        k if k.is_block_device() || k.is_char_device() => Some("a device"),
        _ => None,
    }
}

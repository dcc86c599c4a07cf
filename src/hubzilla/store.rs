//! Hubzilla's folder `store`, in which the bytes of files lie.
//!
//! Owns: finding a file by the path in its row. Not here: what is done with it.
//! Invariant: a path is followed below the folder only, name by name, and through no symbolic link; nothing
//! is written. A pipe does not keep it waiting.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use zotferry_protocol::packets::is_name;

/// The folder, open.
pub(super) struct Store(OwnedFd);

/// Why a path leads to no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Absent {
    /// Nothing is there.
    Missing,
    /// It leads elsewhere, or to something that is no file, or may not be read.
    Bad(String),
}

const PLAIN: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

impl Store {
    /// The folder that a person named: its own path may go through links.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// The file at a path of a row: `store/nick/…`.
    pub(super) fn file(&self, path: &str) -> Result<File, Absent> {
        let bad = |what: &str| Absent::Bad(what.to_owned());
        let below = path.strip_prefix("store/").ok_or_else(|| bad("it lies outside the store"))?;
        let mut names: Vec<&str> = below.split('/').collect();
        let last = names.pop().filter(|last| is_name(last));
        let last = last.ok_or_else(|| bad("its path is none"))?;
        let mut at = None;
        for name in names {
            if !is_name(name) {
                return Err(bad("its path leads out of the store"));
            }
            let above = at.as_ref().map_or(self.0.as_fd(), OwnedFd::as_fd);
            let flags = OFlags::PATH | OFlags::DIRECTORY | PLAIN;
            at = Some(openat(above, name, flags, Mode::empty()).map_err(absent)?);
        }
        let above = at.as_ref().map_or(self.0.as_fd(), OwnedFd::as_fd);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | PLAIN;
        let file = File::from(openat(above, last, flags, Mode::empty()).map_err(absent)?);
        match file.metadata() {
            Ok(about) if about.is_file() => Ok(file),
            Ok(_) => Err(bad("it is no file")),
            Err(error) => Err(Absent::Bad(error.to_string())),
        }
    }
}

fn absent(errno: Errno) -> Absent {
    match errno {
        Errno::NOENT => Absent::Missing,
        Errno::LOOP | Errno::NOTDIR => Absent::Bad(
            "its path goes through a symbolic link, or through what is no folder".into(),
        ),
        other => Absent::Bad(io::Error::from(other).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    /// What a database says about paths is not believed: nothing outside the store is read.
    #[test]
    fn a_path_stays_below_the_store() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("store");
        fs::create_dir_all(root.join("alice/[data]")).expect("made");
        fs::create_dir(root.join("alice/folder")).expect("made");
        fs::write(dir.path().join("secret"), "secret").expect("written");
        fs::write(root.join("alice/[data]/f1-4"), "photo").expect("written");
        symlink("../../secret", root.join("alice/link")).expect("linked");
        symlink("..", root.join("alice/up")).expect("linked");
        let store = Store::open(&root).expect("opened");
        let mut read = String::new();
        let mut file = store.file("store/alice/[data]/f1-4").expect("there");
        file.read_to_string(&mut read).expect("read");
        assert_eq!(read, "photo");
        assert_eq!(store.file("store/alice/f2").map(drop), Err(Absent::Missing));
        for path in [
            "store/alice/link",
            "store/alice/up/alice/[data]/f1-4",
            "store/../secret",
            "store/alice/../../secret",
            "store//etc/passwd",
            "/etc/passwd",
            "secret",
            "store/alice/folder",
            "store/alice/[data]/f1-4/",
            "store/alice/\0",
            "store/",
            "",
        ] {
            let found = store.file(path).map(drop);
            assert!(matches!(found, Err(Absent::Bad(_))), "{path:?}: {found:?}");
        }
    }
}

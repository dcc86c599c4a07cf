//! Files that are there after a crash, and open to nobody else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, linkat};

/// Bytes of memory that SQLite is to hold, over all connections of the process: for `PRAGMA soft_heap_limit`. Without it
/// caches lend each other room by the page, and pages of 32 KiB take what was meant for as many of 4 KiB.
pub const SQLITE_HEAP: &str = "33554432";

/// Writes a new file of mode 0600 and its name in the folder; never over an existing one.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    File::open(folder_of(path))?.sync_all()
}

/// A new file of mode 0600, open for writing; never an existing one.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Another name, in a folder, of a file that is open: whatever became of its first name meanwhile. Fails
/// where the folder is on another file system, or that has no such names.
pub fn link_open(file: &File, folder: impl AsFd, name: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, open.as_str(), folder, name, AtFlags::SYMLINK_FOLLOW)?)
}

/// The same under a path.
pub fn link_open_at(file: &File, path: &Path) -> io::Result<()> {
    link_open(file, CWD, path)
}

/// The folder that `path` lies in; of a bare name, the current one.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_lies_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("alice.id")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/alice.id")), Path::new("a"));
        assert_eq!(folder_of(Path::new("/alice.id")), Path::new("/"));
    }

    #[test]
    fn an_open_file_gets_another_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        std::fs::write(&first, b"bytes").expect("written");
        let file = File::open(&first).expect("there");
        std::fs::remove_file(&first).ok();
        std::fs::write(&first, b"others").expect("written");
        assert!(link_open_at(&file, &second).is_err(), "what is gone has no names any more");
        let file = File::open(&first).expect("there");
        link_open_at(&file, &second).expect("linked");
        assert_eq!(std::fs::read(&second).expect("read"), b"others");
        assert!(link_open_at(&file, &second).is_err(), "never over an existing one");
    }

    #[test]
    fn an_existing_file_is_never_written_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("key");
        write_new(&path, b"first").expect("written");
        let error = write_new(&path, b"second").expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("read"), b"first");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("there").permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}

//! Looks through a folder that is to be put.
//!
//! Invariant: symlinks are never followed; what cannot be put is named and counted, not passed over
//! in silence.
//! Spec: SYNC-6.

use std::fs::{self, File, FileType};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use zotferry_protocol::ids::Millis;
use zotferry_protocol::packets::is_name;

/// A file or folder that can be put.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// The folders above it in the channel.
    pub folders: Vec<String>,
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Bytes.
    pub size: u64,
    /// Modification time.
    pub mtime: Option<Millis>,
    /// Whether its owner may execute it.
    pub executable: bool,
}

impl Found {
    /// Its path in the channel.
    pub fn place(&self) -> String {
        [&self.folders[..], std::slice::from_ref(&self.name)].concat().join("/")
    }

    /// Opens it for reading, if it is still a file: a link or a pipe that was put in its place meanwhile is
    /// not followed and not waited for.
    pub fn open(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is no file any more")),
        }
    }
}

/// Something that was not put, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Skipped {
    /// Where it lies.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Visits `path` and all below it, folders before what they hold, in the order of names.
pub fn walk(
    path: &Path,
    folders: &[String],
    visit: &mut dyn FnMut(Result<Found, Skipped>) -> bool,
) -> bool {
    match look(path, folders) {
        Err(reason) => visit(Err(Skipped { path: path.display().to_string(), reason })),
        Ok(found) if !found.is_folder => visit(Ok(found)),
        Ok(found) => {
            let mut inside = found.folders.clone();
            inside.push(found.name.clone());
            visit(Ok(found)) && below(path, &inside, visit)
        }
    }
}

/// Visits all that lies in the folder `path`, as [`walk`] does; `path` itself may be a symbolic link.
pub fn walk_inside(
    path: &Path,
    folders: &[String],
    visit: &mut dyn FnMut(Result<Found, Skipped>) -> bool,
) -> bool {
    below(path, folders, visit)
}

fn below(
    path: &Path,
    folders: &[String],
    visit: &mut dyn FnMut(Result<Found, Skipped>) -> bool,
) -> bool {
    let entries = fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            let skipped = Skipped { path: path.display().to_string(), reason: error.to_string() };
            return visit(Err(skipped));
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    entries.iter().all(|entry| walk(&entry.path(), folders, visit))
}

fn look(path: &Path, folders: &[String]) -> Result<Found, String> {
    let about = fs::symlink_metadata(path).map_err(|e| e.to_string())?;
    if let Some(kind) = special(about.file_type()) {
        return Err(format!("{kind} is not a file"));
    }
    let name = path.file_name().ok_or("it has no name")?;
    let name = name.to_str().ok_or("its name is not UTF-8")?;
    if !is_name(name) {
        return Err("no entry may have this name".into());
    }
    let mtime = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(Found {
        path: path.to_owned(),
        folders: folders.to_vec(),
        name: name.to_owned(),
        is_folder: about.is_dir(),
        size: about.len(),
        mtime: mtime.and_then(|since| u64::try_from(since.as_millis()).ok()).map(Millis),
        executable: about.permissions().mode() & 0o100 != 0,
    })
}

fn special(kind: FileType) -> Option<&'static str> {
    match kind {
        k if k.is_symlink() => Some("a symbolic link"),
        k if k.is_fifo() => Some("a pipe"),
        k if k.is_socket() => Some("a socket"),
        k if k.is_block_device() || k.is_char_device() => Some("a device"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SYNC-6: symlinks and names that are no UTF-8 are reported, the rest is found.
    #[test]
    fn what_cannot_be_put_is_named() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("tree");
        fs::create_dir_all(root.join("sub")).expect("made");
        fs::write(root.join("sub/a\nb"), "1").expect("written");
        fs::write(root.join(std::ffi::OsStr::from_bytes(b"bad\xff")), "2").expect("written");
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).expect("linked");
        let (mut found, mut skipped) = (Vec::new(), Vec::new());
        walk(&root, &[], &mut |item| {
            match item {
                Ok(f) => found.push(format!("{}/{}", f.folders.join("/"), f.name)),
                Err(s) => skipped.push(s.reason),
            }
            true
        });
        assert_eq!(found, ["/tree", "tree/sub", "tree/sub/a\nb"]);
        skipped.sort();
        assert_eq!(skipped, ["a symbolic link is not a file", "its name is not UTF-8"]);
    }
}

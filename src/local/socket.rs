//! The socket in a hub's folder: bound, found, replaced.
//!
//! Invariant: nobody but its owner can connect, from the moment it has its name. Bound only by the
//! holder of the folder's lock, so that what lies under the name is a dead hub's.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::net::{UnixListener, UnixStream};

use crate::hub::{Folder, Hub};

/// Longer paths do not fit the address of a socket everywhere.
const LONGEST: usize = 100;

/// A hub's socket, bound.
pub struct Socket {
    pub(super) listener: UnixListener,
    pub(super) path: PathBuf,
}

impl Socket {
    /// Binds the socket of a hub that is open, over one that a dead hub left.
    pub fn bind(hub: &Hub) -> io::Result<Self> {
        let path = hub.folder.socket();
        let fresh = hub.folder.path().join("hub.sock.new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(Address::of(&hub.folder, "hub.sock.new")?.path)?;
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
        std::fs::rename(&fresh, &path)?;
        Ok(Self { listener, path })
    }
}

/// A path that fits a socket's address, however deep the folder lies.
pub(super) struct Address {
    pub(super) path: PathBuf,
    /// The folder, held open while the path goes through it.
    _folder: Option<File>,
}

impl Address {
    pub(super) fn of(folder: &Folder, name: &str) -> io::Result<Self> {
        let path = folder.path().join(name);
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path, _folder: None });
        }
        let open = File::open(folder.path())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()));
        Ok(Self { path, _folder: Some(open) })
    }

    /// The address of a hub that listens.
    pub(super) async fn listening(folder: &Folder) -> io::Result<Self> {
        let address = Self::of(folder, "hub.sock")?;
        UnixStream::connect(&address.path).await?;
        Ok(address)
    }
}

//! Scales that were made, as files named for what they were made of.
//!
//! Owns: the folder `scales/` of a hub. Not here: making them.
//! Invariant: a file has its name only when it is whole and durable; each can go at any time. A note of
//! why nothing can be made of an image keeps it from being decoded at every request.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use zotferry_protocol::ids::Digest;
use zotferry_protocol::photo::MAX_SCALE;

use crate::hub::Hub;

/// Raised when scales are made another way, so that old ones are not shown any more.
const MAKE: u8 = 1;

/// The files made of one content.
pub(super) struct Cache {
    folder: PathBuf,
    root: Digest,
}

impl Cache {
    pub(super) fn of(hub: &Hub, root: Digest) -> Self {
        let folder = hub.folder.scales().join(format!("{:02x}", root.0[0]));
        Self { folder, root }
    }

    fn path(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{}-{MAKE}-{what}", self.root))
    }

    /// A scale that was made; `None` also when it cannot be read.
    pub(super) fn read(&self, scale: u8) -> Option<Vec<u8>> {
        fs::read(self.path(&scale.to_string())).ok()
    }

    /// Keeps a scale.
    pub(super) fn keep(&self, scale: u8, bytes: &[u8]) -> io::Result<()> {
        self.write(&scale.to_string(), bytes)
    }

    /// Why nothing can be made of the content, when that is known.
    pub(super) fn problem(&self) -> Option<String> {
        fs::read_to_string(self.path("bad")).ok()
    }

    /// Notes why.
    pub(super) fn keep_problem(&self, why: &str) -> io::Result<()> {
        self.write("bad", why.as_bytes())
    }

    fn write(&self, what: &str, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        // Without this, what a crash leaves under the name could be half an image.
        file.as_file().sync_data()?;
        file.persist(self.path(what))?;
        Ok(())
    }

    fn remove(&self) {
        for what in (1..=MAX_SCALE).map(|scale| scale.to_string()).chain(["bad".to_owned()]) {
            fs::remove_file(self.path(&what)).ok();
        }
    }
}

/// Blocking: contents went from the storage, and what was made of them goes, too.
pub fn forget(hub: &Arc<Hub>, roots: &[Digest]) {
    for root in roots {
        Cache::of(hub, *root).remove();
    }
}

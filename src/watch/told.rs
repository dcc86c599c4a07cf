//! What a person hears of a mirrored folder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::Skipped;
use crate::text::visible;

/// Something that a mirror did, or did not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchEvent {
    /// A file or folder is in the channel.
    Put {
        /// Below the watched folder.
        path: String,
        /// Whether it is a folder.
        folder: bool,
        /// Bytes.
        size: u64,
        /// `created`, `replaced` or `unchanged`.
        change: String,
    },
    /// A file or folder has another place, without its bytes having been sent.
    Moved {
        /// Where it was.
        from: String,
        /// Where it is.
        to: String,
    },
    /// A file, or a folder with all in it, is not in the channel any more.
    Removed {
        /// Below the watched folder.
        path: String,
        /// How many entries it was.
        entries: u64,
    },
    /// Gone from the folder, and left in the channel.
    Kept {
        /// Below the watched folder.
        path: String,
        /// Why.
        reason: String,
    },
    /// Cannot be mirrored.
    Skipped(Skipped),
    /// So much is gone at once that nothing is removed before somebody says so.
    Held {
        /// How many entries.
        entries: u64,
        /// What is the matter.
        reason: String,
    },
    /// All that has changed so far is mirrored.
    Settled(Tally),
}

/// What a mirror has done since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Files put: new ones and new revisions.
    pub put: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files and folders moved.
    pub moved: u64,
    /// Entries removed.
    pub removed: u64,
    /// What could not be mirrored when all was last looked through.
    pub skipped: u64,
    /// Entries that are held back from being removed.
    pub held: u64,
    /// Files and folders that are mirrored.
    pub known: u64,
}

impl WatchEvent {
    /// A line in the hub's log; of a tally only what is new since the last one.
    pub(super) fn log(&self, dir: &Path, last: &Tally) {
        let dir = visible(&dir.display().to_string());
        match self {
            Self::Put { path, change, .. } => {
                tracing::debug!(dir, path = visible(path), change, "mirrored");
            }
            Self::Moved { from, to } => {
                tracing::debug!(dir, from = visible(from), to = visible(to), "moved");
            }
            Self::Removed { path, entries } => {
                tracing::info!(dir, path = visible(path), entries, "removed");
            }
            Self::Kept { path, reason } => {
                tracing::warn!(dir, path = visible(path), reason, "gone here, kept in the channel");
            }
            Self::Skipped(skipped) => {
                tracing::debug!(path = visible(&skipped.path), reason = skipped.reason, "skipped");
            }
            Self::Held { reason, .. } => tracing::warn!(dir, "{reason}"),
            Self::Settled(tally) if tally == last => {}
            Self::Settled(tally) => {
                let Tally { put, bytes, moved, removed, skipped, known, .. } = *tally;
                tracing::info!(
                    dir,
                    known,
                    put,
                    bytes,
                    moved,
                    removed,
                    skipped,
                    "the mirror is up to date"
                );
            }
        }
    }
}

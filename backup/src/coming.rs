//! A backup's entries in groups, as they go to whoever takes them; and what a restore tells.
//!
//! Owns: the pass over the index and the metadata. Not here: who takes the entries, contents' bytes.
//! Invariant: a metadata file that does not hold is named, and keeps nothing else from coming.
//! Spec: BACKUP-12, BACKUP-22.

use serde::{Deserialize, Serialize};
use zotferry_protocol::codec::encode;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::{Operation, Source};

use crate::content::Content;
use crate::entry::Metadata;
use crate::error::Result;
use crate::folder::Backup;
use crate::index::{Index, Line};

/// Operations in one group.
const MOST: usize = 200;

/// What a restore tells as it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoreEvent {
    /// It begins.
    Begun {
        /// The channel's name there.
        channel: String,
        /// Entries in the backup.
        entries: u64,
        /// Bytes of its contents.
        bytes: u64,
    },
    /// So much is done.
    Progress(Restored),
    /// An entry, or its content, that did not come.
    Trouble {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
    /// All is done.
    Done(Restored),
}

/// What a restore has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Entries looked at.
    pub entries: u64,
    /// Entries that were new there, or newer.
    pub taken: u64,
    /// Contents that came.
    pub files: u64,
    /// Bytes looked at.
    pub bytes: u64,
    /// Contents of those that are links.
    pub linked: u64,
    /// Contents that are not in the backup; other clones are asked for them.
    pub missing: u64,
    /// Entries that were refused, metadata and contents that are damaged.
    pub troubles: u64,
}

/// An operation that comes out of a backup.
#[derive(Debug)]
pub struct Coming {
    /// What a clone would announce.
    pub operation: Operation,
    /// Its contents, with the bytes that are in the metadata.
    pub contents: Vec<Content>,
    /// The entry's path, or its id, for people.
    pub path: String,
    /// Out of the entry's first metadata file; the others bring items alone.
    pub first: bool,
}

/// Some of them, and what could not be read.
#[derive(Debug, Default)]
pub struct Group {
    /// What comes.
    pub coming: Vec<Coming>,
    /// Paths, and why what they name does not come.
    pub troubles: Vec<(String, String)>,
    size: usize,
}

/// Every entry of the index, in groups of at most so many bytes of metadata, as long as `take` takes them.
///
/// # Errors
/// An index that cannot be read. What is wrong with one entry is told in its group.
pub fn groups(
    backup: &Backup,
    most_bytes: usize,
    mut take: impl FnMut(Group) -> bool,
) -> Result<()> {
    let mut index = Index::open(backup)?;
    let mut group = Group::default();
    while let Some(line) = index.next_line()? {
        for (n, digest) in line.meta.iter().enumerate() {
            let next = Group::of(backup, &line, digest.0, n == 0);
            let full = group.coming.len() >= MOST || group.size + next.size > most_bytes;
            if full && !take(std::mem::take(&mut group)) {
                return Ok(());
            }
            group.coming.extend(next.coming);
            group.troubles.extend(next.troubles);
            group.size += next.size;
        }
    }
    take(group);
    Ok(())
}

impl Group {
    /// One metadata file.
    fn of(backup: &Backup, line: &Line, digest: Digest, first: bool) -> Self {
        let path = line.path.clone().unwrap_or_else(|| line.id.0.to_string());
        let metadata = match backup.metadata(&digest) {
            Ok(Some(metadata)) => metadata,
            Ok(None) => return Self::bad(path, "its metadata file is missing or damaged"),
            Err(error) => return Self::bad(path, &error.to_string()),
        };
        if metadata.row().is_none_or(|row| row.hash != line.id.0) {
            return Self::bad(path, "its metadata file speaks of another entry");
        }
        let Metadata { mut operation, contents } = metadata;
        // BACKUP-12: what is not in the backup other clones may have.
        for (data, content) in operation.data.iter_mut().zip(&contents) {
            data.source = if content.missing { Source::Fetch } else { Source::Backup };
        }
        let embedded = contents.iter().filter_map(|content| content.bytes.as_ref());
        let size = encode(&operation).len() + embedded.map(Vec::len).sum::<usize>();
        let coming = vec![Coming { operation, contents, path, first }];
        Self { coming, troubles: Vec::new(), size }
    }

    fn bad(path: String, reason: &str) -> Self {
        Self { troubles: vec![(path, reason.to_owned())], ..Self::default() }
    }
}

//! From a source to content in the storage, in one pass.
//!
//! Owns: the choice between rows, one file and a staging file; [`SmallBatch`].
//! Not here: hashing (`cut`), reading (`source`), the staging file (`staging`).
//! Invariant: what is hashed is what is stored, also when the source changes meanwhile: the root is
//! that of the bytes that were read, and those are the bytes written. After an error no staging
//! file is left.
//! Spec: FILE-1, FILE-2, FILE-5 to FILE-8.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::MIN_CHUNK;
use zotferry_protocol::merkle;

use super::source::{FileSource, ReadSource, Source};
use super::staging::{Staging, Store};
use super::{ChunkerError, Result};
use crate::storage::{PartialKey, SMALL, Storage, Taking};

/// A source that has become content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What the content is called.
    pub root: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Number of chunks.
    pub chunks: u32,
    /// The leaf digests of all chunks, when there are at most 32.
    pub inline_digests: Option<Vec<Digest>>,
}

/// The first buffer for a source that has not said its size.
const HEAD: usize = 64 << 10;

/// Stores a file from its first byte to its last; holes stay holes. Durable when it returns.
/// The position of `source` is not defined afterwards.
///
/// # Errors
/// Those of the storage; the source cannot be read or is larger than 16 TiB.
pub fn store_file(storage: &dyn Storage, source: &File) -> Result<Stored> {
    let mut source = FileSource::new(source).map_err(ChunkerError::Source)?;
    let plan = Plan::of(&source);
    match take_head(&mut source, &plan)? {
        Head::Whole(bytes) => store_whole(storage, bytes),
        Head::Start(head) => stage(storage, &mut source, &plan, head),
    }
}

/// Stores what a reader gives up to its end; `size` is what it is expected to be, in bytes.
/// Durable when it returns.
///
/// # Errors
/// As [`store_file`].
pub fn store_reader(storage: &dyn Storage, source: impl Read, size: Option<u64>) -> Result<Stored> {
    let mut source = ReadSource(source);
    let plan = Plan { size, sparse: false };
    match take_head(&mut source, &plan)? {
        Head::Whole(bytes) => store_whole(storage, bytes),
        Head::Start(head) => stage(storage, &mut source, &plan, head),
    }
}

/// Stores many files; those of one chunk in groups.
pub struct SmallBatch<'s> {
    storage: &'s dyn Storage,
    items: Vec<(Digest, Bytes)>,
    bytes: usize,
}

impl<'s> SmallBatch<'s> {
    /// Most contents in one group.
    pub const ITEMS: usize = 256;
    /// Most bytes that wait.
    pub const BYTES: usize = 8 << 20;

    /// A batch with nothing waiting in it.
    pub fn new(storage: &'s dyn Storage) -> Self {
        Self { storage, items: Vec::new(), bytes: 0 }
    }

    /// Takes a file of any size. It is durable after the next [`SmallBatch::flush`], not before.
    ///
    /// # Errors
    /// As [`store_file`]; also those of earlier contents that had to go first.
    pub fn add_file(&mut self, source: &File) -> Result<Stored> {
        let mut source = FileSource::new(source).map_err(ChunkerError::Source)?;
        let plan = Plan::of(&source);
        match take_head(&mut source, &plan)? {
            Head::Whole(bytes) => self.add(bytes),
            Head::Start(head) => stage(self.storage, &mut source, &plan, head),
        }
    }

    /// As [`SmallBatch::add_file`], without writing the bytes once more where the storage can take the file
    /// so (`true`). Small ones are always copied.
    ///
    /// # Errors
    /// As [`store_file`]; [`ChunkerError::Source`] when a linked file was changed meanwhile.
    pub fn take_file(&mut self, source: &File, how: Taking) -> Result<(Stored, bool)> {
        let before = seen(source)?;
        if before.len() <= SMALL as u64 {
            return Ok((self.add_file(source)?, false));
        }
        let Some(partial) = self.storage.take(&PartialKey::staging(), source, how)? else {
            return Ok((self.add_file(source)?, false));
        };
        let mut staging = Staging::of(Store::Lent(self.storage), partial)?;
        let stored = staging.read_back().and_then(|()| {
            let after = seen(source)?;
            let same =
                before.len() == after.len() && before.modified().ok() == after.modified().ok();
            if how == Taking::Link && !same {
                let changed = std::io::Error::other("it was changed while it was read");
                return Err(ChunkerError::Source(changed));
            }
            staging.finish()
        });
        if stored.is_err() {
            staging.discard();
        }
        Ok((stored?, true))
    }

    /// Takes the whole bytes of a content of at most 1 MiB; durable after the next flush.
    ///
    /// # Errors
    /// Those of the storage, when earlier contents had to go first.
    pub fn add(&mut self, bytes: Bytes) -> Result<Stored> {
        if self.items.len() == Self::ITEMS || self.bytes + bytes.len() > Self::BYTES {
            self.flush()?;
        }
        let stored = describe(&bytes);
        self.bytes += bytes.len();
        self.items.push((stored.root, bytes));
        Ok(stored)
    }

    /// Makes everything that was added durable.
    ///
    /// # Errors
    /// Those of the storage; what waited still waits.
    pub fn flush(&mut self) -> Result<()> {
        if !self.items.is_empty() {
            self.storage.put_many(&self.items)?;
            self.items.clear();
            self.bytes = 0;
        }
        Ok(())
    }
}

fn seen(source: &File) -> Result<std::fs::Metadata> {
    source.metadata().map_err(ChunkerError::Source)
}

/// What is known of a source before it is read.
struct Plan {
    /// Its size in bytes, if it says one; it may be wrong.
    size: Option<u64>,
    /// Whether disk is to be left unreserved because much of it is holes.
    sparse: bool,
}

impl Plan {
    fn of(source: &FileSource<'_>) -> Self {
        Self { size: Some(source.size), sparse: source.sparse }
    }
}

/// The beginning of a source.
enum Head {
    /// All of it: at most one chunk.
    Whole(Bytes),
    /// More is to come.
    Start(Vec<u8>),
}

/// Reads all of a source that may be one chunk; nothing of one that says it is more.
fn take_head(source: &mut dyn Source, plan: &Plan) -> Result<Head> {
    let most = MIN_CHUNK as usize + 1;
    let expected = plan.size.unwrap_or(0);
    if expected > u64::from(MIN_CHUNK) {
        return Ok(Head::Start(Vec::new()));
    }
    // One byte more than expected shows the end of it without another buffer.
    let mut head = vec![0; expected as usize + 1];
    let mut len = 0;
    loop {
        let more = source.bytes(&mut head[len..]).map_err(ChunkerError::Source)?;
        len += more;
        if more == 0 {
            head.truncate(len);
            return Ok(Head::Whole(head.into()));
        }
        if len == most {
            return Ok(Head::Start(head));
        }
        if len == head.len() {
            head.resize((len * 2).clamp(HEAD, most), 0);
        }
    }
}

fn describe(bytes: &[u8]) -> Stored {
    let root = if bytes.is_empty() { merkle::root(&[]) } else { merkle::leaf(bytes) };
    let inline: Vec<_> = (!bytes.is_empty()).then_some(root).into_iter().collect();
    Stored {
        root,
        size: bytes.len() as u64,
        chunks: inline.len() as u32,
        inline_digests: Some(inline),
    }
}

fn store_whole(storage: &dyn Storage, bytes: Bytes) -> Result<Stored> {
    let stored = describe(&bytes);
    storage.put_many(&[(stored.root, bytes)])?;
    Ok(stored)
}

/// Stores by way of a staging file: `head`, which was read already, then the rest of the source.
fn stage(
    storage: &dyn Storage,
    source: &mut dyn Source,
    plan: &Plan,
    head: Vec<u8>,
) -> Result<Stored> {
    let size = plan.size.unwrap_or(0).max(head.len() as u64);
    let mut staging = Staging::begin(Store::Lent(storage), size, plan.sparse)?;
    let stored = staging.fill(source, head).and_then(|()| staging.finish());
    if stored.is_err() {
        staging.discard();
    }
    stored
}

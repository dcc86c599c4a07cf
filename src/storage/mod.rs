//! Keeps bytes by content address: whole verified content, and partial files on the way there.
//!
//! Owns: the traits [`Storage`], [`Content`] and [`Partial`], and the key of a partial file.
//! Not here: which content is wanted, quotas, what a chunk is worth (catalog, queue, receiver).
//! Invariant: content is visible under its root only complete, verified and durable.
//!
//! Every call blocks and belongs on a thread that may block; none of them needs a runtime.
//! [`local`] keeps files in a folder; [`memory`] keeps everything in memory and can lose power.

mod error;
pub mod local;
pub mod memory;
mod phase;

#[cfg(test)]
mod contract;

use std::fmt;
use std::fs::File;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;
use zotferry_protocol::ids::Digest;

pub use error::{Fault, Retry, StorageError};
pub use local::LocalStorage;

/// Content of at most this many bytes may be kept together with others and read by the hundred.
pub const SMALL: usize = 64 << 10;

type Result<T> = std::result::Result<T, StorageError>;

/// A content that somebody announced to a channel. What one channel was told, its size above all, is nothing to
/// another one's: each brings the bytes for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Announced {
    /// The channel's row.
    pub channel: i64,
    /// The Merkle root.
    pub root: Digest,
    /// Bytes, as they were announced.
    pub size: u64,
}

/// What a partial file will become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartialKey {
    /// Content that was announced.
    Wanted(Announced),
    /// Content on its way in from here, whose root is not known before its last byte.
    Staging(Uuid),
}

impl PartialKey {
    /// The key of a content that was announced to a channel.
    pub fn wanted(channel: i64, root: Digest, size: u64) -> Self {
        Self::Wanted(Announced { channel, root, size })
    }

    /// A key that nobody has used before.
    pub fn staging() -> Self {
        Self::Staging(Uuid::now_v7())
    }
}

impl fmt::Display for PartialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wanted(Announced { channel, root, size }) => {
                write!(f, "{root}.{size}.{channel}")
            }
            Self::Staging(uuid) => write!(f, "{uuid}"),
        }
    }
}

impl FromStr for PartialKey {
    type Err = StorageError;

    /// Reads what `Display` wrote: root, size and channel with dots between them, or a hyphenated UUID.
    fn from_str(text: &str) -> Result<Self> {
        let wanted = || {
            let mut parts = text.splitn(3, '.');
            let root = parts.next()?.parse().ok()?;
            let (size, channel) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some(Self::Wanted(Announced { channel, root, size }))
        };
        let key = match text.len() {
            36 => text.parse().ok().map(Self::Staging),
            _ => wanted(),
        };
        key.filter(|key| key.to_string() == text).ok_or(StorageError::Misuse(
            "a partial file's name is a root with size and channel, or a UUID",
        ))
    }
}

/// How the bytes of a file of this machine come in without being written once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// As a reflink: both share blocks until somebody writes to one of them, so that it is a copy.
    Share,
    /// As a hard link: it is the file itself, and who writes to it changes what is kept.
    Link,
}

/// Where content is kept, addressed by its Merkle root: the root determines the bytes.
pub trait Storage: Send + Sync + 'static {
    /// Whether anything can still be made durable here. After a failed sync of a folder or a table
    /// nothing can, until the storage is opened again ([`StorageError::Abandoned`]).
    fn health(&self) -> Result<()>;

    /// Bytes that an unprivileged writer can still use.
    fn free_space(&self) -> Result<u64>;

    /// Whether the content is committed here.
    fn contains(&self, root: &Digest) -> Result<bool>;

    /// Committed content; `None` when it is not here.
    fn open(&self, root: &Digest) -> Result<Option<Box<dyn Content>>>;

    /// Many contents of at most [`SMALL`] bytes in one go, in the order asked. `None` where the
    /// content is not here or not kept as small: [`Storage::open`] tells which.
    fn read_small(&self, roots: &[Digest]) -> Result<Vec<Option<Bytes>>>;

    /// Whole contents of at most one chunk of 1 MiB each. All are durable when it returns; after
    /// an error any of them may be. What is here already is fine.
    fn put_many(&self, items: &[(Digest, Bytes)]) -> Result<()>;

    /// Opens the partial file of this key or begins it. One that was begun with another size
    /// starts anew.
    ///
    /// # Errors
    /// [`StorageError::Busy`] while the partial file is open elsewhere.
    fn partial(&self, key: &PartialKey, size: u64) -> Result<Arc<dyn Partial>>;

    /// A partial file that has all bytes of a file of this machine, without writing them once more. `None`
    /// where that cannot be done: on another file system, on one that knows no reflinks, or in memory.
    /// What is linked can only be read, synced, committed and discarded.
    fn take(
        &self,
        key: &PartialKey,
        source: &File,
        how: Taking,
    ) -> Result<Option<Arc<dyn Partial>>> {
        let _ = (key, source, how);
        Ok(None)
    }

    /// Every partial file that is here.
    fn partials(&self) -> Result<Vec<PartialKey>>;

    /// Keeps one manifest page of content of so many chunks, more than one: the leaf digests of chunks
    /// 4096 × `page` onwards, verified by the caller. It replaces what was kept. Durable when it returns.
    /// The same root with another number of chunks, which somebody may have claimed, has pages of its own.
    fn put_digests(&self, root: &Digest, chunks: u32, page: u32, digests: &[Digest]) -> Result<()>;

    /// The leaf digests of one manifest page, when it is kept.
    fn digests(&self, root: &Digest, chunks: u32, page: u32) -> Result<Option<Vec<Digest>>>;

    /// The subtree roots of all pages kept, in order, for serving pages that prove themselves;
    /// `None` when there is none or one before the last is missing. The caller compares their
    /// number with the manifest's.
    fn page_roots(&self, root: &Digest, chunks: u32) -> Result<Option<Vec<Digest>>>;

    /// Removes content and its digest pages; what is not here is fine.
    fn remove(&self, root: &Digest) -> Result<()>;

    /// Takes content that no longer gives its root out of the way, with its digest pages: it is not
    /// here afterwards. A file is kept beside, for a person to look at. What is not here is fine.
    fn set_aside(&self, root: &Digest) -> Result<()>;
}

/// Committed content, complete and verified.
pub trait Content: Send + Sync {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Reads at `offset` as much as there is, up to the length of `buf`; 0 at the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize>;

    /// The same without waiting for a disk: `None` when that cannot be done.
    fn read_now(&self, offset: u64, buf: &mut [u8]) -> Result<Option<usize>> {
        let _ = (offset, buf);
        Ok(None)
    }

    /// The file it is kept in, where there is one, for the system's own ways of copying.
    fn as_file(&self) -> Option<&File>;
}

/// Content that came out of a row, or lives in memory.
impl Content for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        Ok(copy_out(self, offset, buf))
    }

    fn as_file(&self) -> Option<&File> {
        None
    }
}

/// Copies from `offset` what there is and what fits.
fn copy_out(bytes: &[u8], offset: u64, buf: &mut [u8]) -> usize {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let len = buf.len().min(bytes.len() - from);
    buf[..len].copy_from_slice(&bytes[from..from + len]);
    len
}

/// A file that is being filled, apart from committed content. Shared by its owner's threads.
///
/// After a failed sync every later call but [`Partial::discard`] fails (Invariant 4): Linux marks
/// the pages clean, so reading them back proves nothing. The owner begins a new partial file.
pub trait Partial: Send + Sync {
    /// The size it will have, in bytes.
    fn size(&self) -> u64;

    /// Whether it was here before this opening. If not, no chunk can be in it yet, whatever was
    /// recorded.
    fn existed(&self) -> bool;

    /// Gives it another size: a source turned out longer or shorter than it had said.
    fn resize(&self, size: u64) -> Result<()>;

    /// Reserves disk for the whole size. Repeatable.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`], and nothing is reserved.
    fn allocate(&self) -> Result<()>;

    /// Writes the pieces one after the other from `offset`, and lets the disk begin with them.
    fn write_at(&self, offset: u64, pieces: &[Bytes]) -> Result<()>;

    /// Reads at `offset` as much as there is, up to the length of `buf`; 0 at the end. What was
    /// never written is zeros or missing.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize>;

    /// Copies `len` bytes of committed content, by the system's own means where it has them.
    fn copy_from(&self, from: &dyn Content, src: u64, dst: u64, len: u64) -> Result<()>;

    /// Everything written before this call is durable when it returns.
    fn sync(&self) -> Result<()>;

    /// Makes it the content `root`, durably. The caller has verified every chunk. Repeatable, also
    /// when a crash came in between; the content being here already is fine.
    fn commit(&self, root: &Digest) -> Result<()>;

    /// Removes it; that it is gone already is fine.
    fn discard(&self) -> Result<()>;
}

/// Fails unless bytes `offset` to `offset + len` lie within `size`; returns the end.
fn within(size: u64, offset: u64, len: u64) -> Result<u64> {
    let end = offset.saturating_add(len);
    if end > size {
        return Err(StorageError::OutOfBounds { offset, end, size });
    }
    Ok(end)
}

/// Fills `buf` from content.
///
/// # Errors
/// Those of the content, and [`StorageError::OutOfBounds`] when it ends before.
pub fn read_exact_at(content: &dyn Content, offset: u64, buf: &mut [u8]) -> Result<()> {
    let (size, wanted) = (content.size(), buf.len());
    within(size, offset, wanted as u64)?;
    match read_full(buf, offset, |at, rest| content.read_at(at, rest))? {
        got if got == wanted => Ok(()),
        got => Err(StorageError::OutOfBounds { offset, end: offset + got as u64, size }),
    }
}

/// Reads until `buf` is full or the content ends; returns how much was read.
///
/// # Errors
/// Those of `read`, which reads once at an offset.
pub fn read_full(
    buf: &mut [u8],
    offset: u64,
    read: impl Fn(u64, &mut [u8]) -> Result<usize>,
) -> Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        let got = read(offset + filled as u64, &mut buf[filled..])?;
        if got == 0 {
            break;
        }
        filled += got;
    }
    Ok(filled)
}

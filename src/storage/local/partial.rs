//! One partial file on the disk.
//!
//! Owns: allocation, writes in place, the syncs, the rename that makes it content.
//! Not here: which chunks are in it.
//! Invariant: after a failed sync the file is unlinked and this handle refuses everything else
//! (Invariant 4), so neither a thread that still holds it nor a later opening trusts its pages.

use std::fs::File;
use std::io::IoSlice;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::{Buf, Bytes};
use rustix::fs::{Advice, FallocateFlags};
use rustix::io::Errno;
use zotferry_protocol::ids::Digest;

use super::super::phase::Phase;
use super::super::{Content, Partial, PartialKey, Result, StorageError, Taking, within};
use super::folder::sync_failed;
use super::tree::Tree;

/// Most bytes in one write: larger ones stall in the page cache (measured, ARCHITECTURE.md).
const PIECE: usize = 256 << 10;
/// Bytes whose write-back is started together: fewer calls than one for every chunk, and as fast
/// (measured, ARCHITECTURE.md).
const WRITE_BACK: u64 = 2 << 20;
/// Most slices in one write; far below the system's limit of 1024.
const SLICES: usize = 64;
/// Buffer for copying where the system cannot.
const COPY: usize = 512 << 10;

/// A file in `partial/`, locked against a second opening while this lives.
#[derive(Debug)]
pub(super) struct LocalPartial {
    tree: Arc<Tree>,
    key: PartialKey,
    name: String,
    file: File,
    size: AtomicU64,
    existed: bool,
    /// Held for reading by every use of the file, for writing when its phase changes: no write
    /// is under way when it becomes content.
    phase: RwLock<Phase>,
    /// Held while syncing, until a failure is known to all: the system tells it once, to one
    /// caller, and the next sync would succeed.
    syncing: Mutex<()>,
}

impl LocalPartial {
    /// Locks the key, then opens or begins the file.
    pub(super) fn begin(tree: &Arc<Tree>, key: PartialKey, size: u64) -> Result<Self> {
        tree.lock(key)?;
        Self::open(Arc::clone(tree), key, size).inspect_err(|_| tree.unlock(&key))
    }

    /// The caller has locked the key, and unlocks it when this fails.
    fn open(tree: Arc<Tree>, key: PartialKey, size: u64) -> Result<Self> {
        let name = key.to_string();
        let mut found = tree.partial.write(&name)?;
        if let Some(file) = &found
            && length(file)? != size
        {
            tree.partial.unlink(&name)?;
            found = None;
        }
        let existed = found.is_some();
        let file = found.map_or_else(|| tree.create_partial(&name), Ok)?;
        Ok(Self::of(tree, key, file, size, existed))
    }

    /// Locks the key, then makes the file a reflink or a hard link of another one, if that can be done.
    pub(super) fn take(
        tree: &Arc<Tree>,
        key: PartialKey,
        source: &File,
        how: Taking,
    ) -> Result<Option<Self>> {
        tree.lock(key)?;
        let taken = tree.take_partial(&key.to_string(), source, how).and_then(|file| match file {
            None => Ok(None),
            Some(file) => length(&file).map(|size| Some((file, size))),
        });
        match taken {
            Ok(Some((file, size))) => Ok(Some(Self::of(Arc::clone(tree), key, file, size, false))),
            other => {
                tree.unlock(&key);
                other.map(|_| None)
            }
        }
    }

    fn of(tree: Arc<Tree>, key: PartialKey, file: File, size: u64, existed: bool) -> Self {
        Self {
            tree,
            key,
            name: key.to_string(),
            file,
            size: AtomicU64::new(size),
            existed,
            phase: RwLock::new(Phase::Open),
            syncing: Mutex::default(),
        }
    }

    /// Leave to write; held while writing.
    fn writing(&self) -> Result<RwLockReadGuard<'_, Phase>> {
        let phase = self.phase.read().unwrap_or_else(PoisonError::into_inner);
        phase.writable()?;
        Ok(phase)
    }

    /// Leave to read or sync; held meanwhile.
    fn reading(&self) -> Result<RwLockReadGuard<'_, Phase>> {
        let phase = self.phase.read().unwrap_or_else(PoisonError::into_inner);
        phase.usable()?;
        Ok(phase)
    }

    fn changing(&self) -> RwLockWriteGuard<'_, Phase> {
        self.phase.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the bytes durable, not yet the name. The caller holds `syncing`.
    fn sync_bytes(&self) -> Result<()> {
        let synced = {
            let _reading = self.reading()?;
            rustix::fs::fdatasync(&self.file).map_err(sync_failed("a partial file"))
        };
        self.settle(synced, &mut self.changing())
    }

    /// Gives the file up when a sync of it failed.
    fn settle(&self, synced: Result<()>, phase: &mut Phase) -> Result<()> {
        if synced.is_err() {
            *phase = Phase::Abandoned;
            if let Err(error) = self.tree.partial.unlink(&self.name) {
                tracing::warn!(%error, partial = %self.key, "an abandoned partial file stays behind");
            }
        }
        synced
    }

    /// Makes it the content `root`, whose name is not durable yet.
    pub(super) fn publish(&self, root: &Digest) -> Result<()> {
        let _one = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut phase = self.changing();
        phase.usable()?;
        if *phase == Phase::Committed {
            return Ok(());
        }
        // Renamed before a crash, or somebody else brought the content. One of another size is
        // damaged, and is replaced.
        if self.tree.size(root)? == Some(self.size()) {
            self.tree.partial.unlink(&self.name)?;
        } else {
            let have = length(&self.file)?;
            if have != self.size() {
                return Err(StorageError::Incomplete { key: self.key, have, size: self.size() });
            }
            let synced = rustix::fs::fdatasync(&self.file).map_err(sync_failed("a partial file"));
            self.settle(synced, &mut phase)?;
            self.tree.place(&self.name, root)?;
        }
        *phase = Phase::Committed;
        Ok(())
    }

    /// Starts write-back of the blocks that end in what was just written, so that the sync at the
    /// end finds little to do. A hint: its failure costs time only, what lies on a seam of two
    /// writers waits for the sync, and a failed write-back is reported there.
    fn write_back(&self, offset: u64, len: u64) {
        let (begin, end) = (offset - offset % WRITE_BACK, offset + len);
        let end = if end == self.size() { end } else { end - end % WRITE_BACK };
        if end <= begin {
            return;
        }
        let len = NonZeroU64::new(end - begin);
        if let Err(errno) = rustix::fs::fadvise(&self.file, begin, len, Advice::DontNeed) {
            tracing::debug!(%errno, "early write-back is not available");
        }
    }

    /// Copies without the system's help.
    fn copy_through(&self, from: &dyn Content, src: u64, dst: u64, len: u64) -> Result<()> {
        let mut buffer = vec![0; COPY];
        let mut done = 0;
        while done < len {
            let want = (len - done).min(COPY as u64) as usize;
            let got = from.read_at(src + done, &mut buffer[..want])?;
            if got == 0 {
                return Err(StorageError::Damaged("content that ends before its size"));
            }
            self.file
                .write_all_at(&buffer[..got], dst + done)
                .map_err(StorageError::io("writing a partial file"))?;
            done += got as u64;
        }
        Ok(())
    }

    /// Copies with `copy_file_range`; returns how far it came.
    fn copy_ranges(&self, from: &File, src: u64, dst: u64, len: u64) -> Result<u64> {
        let mut done = 0;
        while done < len {
            let (mut src, mut dst) = (src + done, dst + done);
            let want = usize::try_from(len - done).unwrap_or(usize::MAX);
            let copied =
                rustix::fs::copy_file_range(from, Some(&mut src), &self.file, Some(&mut dst), want);
            match copied {
                Ok(0) => break,
                Ok(copied) => done += copied as u64,
                Err(Errno::INTR) => {}
                Err(Errno::NOSPC | Errno::DQUOT) => {
                    return Err(StorageError::NoSpace("copying content"));
                }
                // Another file system, or one that cannot: the caller reads and writes.
                Err(_) => break,
            }
        }
        Ok(done)
    }
}

impl Partial for LocalPartial {
    fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    fn existed(&self) -> bool {
        self.existed
    }

    fn resize(&self, size: u64) -> Result<()> {
        let _writing = self.writing()?;
        self.file.set_len(size).map_err(StorageError::io("resizing a partial file"))?;
        self.size.store(size, Ordering::Release);
        Ok(())
    }

    fn allocate(&self) -> Result<()> {
        let _writing = self.writing()?;
        let size = self.size();
        let before = length(&self.file)?;
        if size == 0 {
            return Ok(());
        }
        // An allocation that cannot succeed would fill the disk for a moment before it fails.
        if before < size && self.tree.partial.free_space()? < size - before {
            return Err(StorageError::NoSpace("allocating a file"));
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP) => {
                self.file.set_len(size).map_err(StorageError::io("allocating a file"))
            }
            Err(errno) => {
                self.file.set_len(before).map_err(StorageError::io("allocating a file"))?;
                Err(StorageError::errno("allocating a file")(errno))
            }
        }
    }

    fn write_at(&self, offset: u64, pieces: &[Bytes]) -> Result<()> {
        let _writing = self.writing()?;
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        within(self.size(), offset, len)?;
        if len == 0 {
            return Ok(());
        }
        let mut rest: Vec<Bytes> = pieces.iter().rev().cloned().collect();
        let mut at = offset;
        while !rest.is_empty() {
            let written = write_once(&self.file, at, &rest)?;
            at += written as u64;
            advance(&mut rest, written);
        }
        self.write_back(offset, len);
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let _reading = self.reading()?;
        self.file.read_at(buf, offset).map_err(StorageError::io("reading a partial file"))
    }

    fn copy_from(&self, from: &dyn Content, src: u64, dst: u64, len: u64) -> Result<()> {
        let _writing = self.writing()?;
        within(self.size(), dst, len)?;
        within(from.size(), src, len)?;
        let done = match from.as_file() {
            Some(file) => self.copy_ranges(file, src, dst, len)?,
            None => 0,
        };
        self.copy_through(from, src + done, dst + done, len - done)
    }

    fn sync(&self) -> Result<()> {
        let _one = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.sync_bytes()?;
        self.tree.confirm_partials()
    }

    fn commit(&self, root: &Digest) -> Result<()> {
        if matches!(&self.key, PartialKey::Wanted(own) if own.root != *root) {
            return Err(StorageError::Misuse("a wanted file can only become its own root"));
        }
        self.publish(root)?;
        self.tree.confirm(root)
    }

    fn discard(&self) -> Result<()> {
        *self.changing() = Phase::Abandoned;
        self.tree.partial.unlink(&self.name)
    }
}

impl Drop for LocalPartial {
    fn drop(&mut self) {
        self.tree.unlock(&self.key);
    }
}

fn length(file: &File) -> Result<u64> {
    Ok(file.metadata().map_err(StorageError::io("measuring a partial file"))?.len())
}

/// One write of at most [`PIECE`] bytes from the end of `rest`, which is in reverse order.
fn write_once(file: &File, offset: u64, rest: &[Bytes]) -> Result<usize> {
    let mut room = PIECE;
    let mut slices = Vec::with_capacity(rest.len().min(SLICES));
    for piece in rest.iter().rev().take(SLICES) {
        let part = &piece[..piece.len().min(room)];
        slices.push(IoSlice::new(part));
        room -= part.len();
        if room == 0 {
            break;
        }
    }
    match rustix::io::pwritev(file, &slices, offset) {
        Ok(0) if room < PIECE => Err(StorageError::Io {
            what: "writing a partial file",
            source: std::io::ErrorKind::WriteZero.into(),
        }),
        Ok(written) => Ok(written),
        Err(Errno::INTR) => Ok(0),
        Err(errno) => Err(StorageError::errno("writing a partial file")(errno)),
    }
}

/// Drops the first `written` bytes from `rest`, and empty pieces that have come to the front.
fn advance(rest: &mut Vec<Bytes>, mut written: usize) {
    while let Some(piece) = rest.last_mut() {
        if piece.len() > written {
            piece.advance(written);
            return;
        }
        written -= piece.len();
        rest.pop();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::super::folder::Folder;
    use super::*;

    /// Invariant 4: after a failed sync the file is gone, its handle refuses everything, and who
    /// opens the key again gets a new file.
    #[test]
    fn a_failed_sync_abandons_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Arc::new(Tree::open(&Folder::root(dir.path()).unwrap()).unwrap());
        let root = Digest([7; 32]);
        let key = PartialKey::wanted(1, root, 10);
        let partial = LocalPartial::begin(&tree, key, 10).unwrap();
        partial.write_at(0, &[Bytes::from_static(b"0123456789")]).unwrap();
        let failure = Err(sync_failed("a partial file")(Errno::IO));
        let failed = partial.settle(failure, &mut partial.changing());
        assert!(matches!(failed, Err(StorageError::SyncFailed { .. })));
        for refused in [partial.sync(), partial.commit(&root), partial.allocate()] {
            assert!(matches!(refused, Err(StorageError::Abandoned(_))), "{refused:?}");
        }
        assert!(tree.partial.size(&key.to_string()).unwrap().is_none());
        drop(partial);
        assert!(!LocalPartial::begin(&tree, key, 10).unwrap().existed());
        assert!(tree.size(&root).unwrap().is_none());
    }
}

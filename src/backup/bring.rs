//! Bytes of a backup into the storage: by link, reflink or copy, each chunk compared before it counts.
//!
//! Owns: which way the bytes go. Not here: which are wanted (`restore`), what a partial file is.
//! Invariant: content becomes visible only after every byte of the file that it will be was read there and
//! gave its digest; what is read is what is kept, also when the backup changes meanwhile.
//! Spec: BACKUP-23.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use zotferry_backup::{Backup, BackupError, Content, Reading};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::merkle::{self, LeafHasher};

use super::SaveError;
use crate::storage::{self, Partial, PartialKey, SMALL, Storage, StorageError, Taking};

/// Bytes read at once.
const PIECE: usize = 512 << 10;
/// Bytes of small files that are held until they are written together.
const HELD: usize = 8 << 20;
/// Files brought at the same time: they also wait for the disk.
const THREADS: usize = 8;

/// How bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    /// The channel had them.
    There,
    /// The file of the backup is theirs too now.
    Linked,
    /// They were written.
    Copied,
}

/// Why bytes of a backup are not taken: a sentence about the file.
pub(super) type Fault = String;

/// What one content came to.
type Outcome = Result<Brought, Fault>;

/// Where the bytes are.
pub(super) trait Shelf: Sync {
    /// The file with the bytes of a content; `None` when there is none.
    fn data(&self, root: &Digest) -> Result<Option<File>, BackupError>;

    /// The digests of its chunks, or why there are none.
    fn reading(&self, content: &Content) -> Result<Result<Reading, Fault>, BackupError>;
}

impl Shelf for Backup {
    fn data(&self, root: &Digest) -> Result<Option<File>, BackupError> {
        Self::data(self, root)
    }

    fn reading(&self, content: &Content) -> Result<Result<Reading, Fault>, BackupError> {
        let fault = |_| "the digests of its chunks are missing or damaged".to_owned();
        Ok(Reading::of(self, content)?.map_err(fault))
    }
}

/// Brings contents; for each, in their order, how it came or why it did not. Those that came are durable. `held` says
/// which the channel has, with their sizes.
pub(super) fn bring(
    storage: &dyn Storage,
    shelf: &dyn Shelf,
    contents: &[Content],
    held: &HashMap<Digest, u64>,
    copy: bool,
) -> Result<Vec<Outcome>, SaveError> {
    let (next, small) = (AtomicUsize::new(0), Mutex::new(Small::default()));
    let bringing = Bringing { storage, shelf, held, copy, small: &small };
    let work = || -> Result<Vec<(usize, Outcome)>, SaveError> {
        let mut done = Vec::new();
        let mut buffer = vec![0; PIECE];
        loop {
            let n = next.fetch_add(1, Relaxed);
            let Some(content) = contents.get(n) else { return Ok(done) };
            done.push((n, bringing.one(content, &mut buffer)?));
        }
    };
    let threads = contents.len().clamp(1, THREADS);
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(contents.len());
        for worker in workers {
            match worker.join() {
                Ok(done) => all.extend(done?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<_, SaveError>(all)
    })?;
    let small = small.into_inner().unwrap_or_else(PoisonError::into_inner);
    storage.put_many(&small.files)?;
    all.sort_unstable_by_key(|(n, _)| *n);
    Ok(all.into_iter().map(|(_, outcome)| outcome).collect())
}

struct Bringing<'a> {
    storage: &'a dyn Storage,
    shelf: &'a dyn Shelf,
    held: &'a HashMap<Digest, u64>,
    copy: bool,
    small: &'a Mutex<Small>,
}

/// Small files that wait for one another.
#[derive(Default)]
struct Small {
    files: Vec<(Digest, Bytes)>,
    bytes: usize,
}

impl Bringing<'_> {
    fn one(&self, content: &Content, buffer: &mut [u8]) -> Result<Outcome, SaveError> {
        let root = &content.root;
        // What only another channel has is read in the backup, like what nobody has.
        if self.held.get(root) == Some(&content.size)
            && self.storage.open(root)?.is_some_and(|there| there.size() == content.size)
        {
            return Ok(Ok(Brought::There));
        }
        if let Some(bytes) = &content.bytes {
            self.keep(*root, Bytes::from(bytes.clone()))?;
            return Ok(Ok(Brought::Copied));
        }
        let file = match self.shelf.data(root) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Err("its data file is missing".into())),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let size = file.metadata().map_err(|e| unreadable(&e))?.len();
        if size != content.size {
            return Ok(Err(format!("its data file has {size} bytes of {}", content.size)));
        }
        if size <= SMALL as u64 {
            return self.small(content, file);
        }
        match self.shelf.reading(content)? {
            Ok(reading) => self.large(content, file, &reading, buffer),
            Err(fault) => Ok(Err(fault)),
        }
    }

    fn keep(&self, root: Digest, bytes: Bytes) -> Result<(), SaveError> {
        let full = {
            let mut small = self.small.lock().unwrap_or_else(PoisonError::into_inner);
            small.bytes += bytes.len();
            small.files.push((root, bytes));
            (small.bytes >= HELD).then(|| std::mem::take(&mut *small))
        };
        full.map_or(Ok(()), |full| Ok(self.storage.put_many(&full.files)?))
    }

    fn small(&self, content: &Content, file: File) -> Result<Outcome, SaveError> {
        let mut bytes = Vec::with_capacity(content.size as usize);
        file.take(SMALL as u64 + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
        let root = if bytes.is_empty() { merkle::root(&[]) } else { merkle::leaf(&bytes) };
        if root != content.root {
            return Ok(Err("its data file is damaged".into()));
        }
        self.keep(root, bytes.into())?;
        Ok(Ok(Brought::Copied))
    }

    fn large(
        &self,
        content: &Content,
        file: File,
        reading: &Reading,
        buffer: &mut [u8],
    ) -> Result<Outcome, SaveError> {
        let key = PartialKey::staging();
        let linked = match self.copy {
            true => None,
            false => self.storage.take(&key, &file, Taking::Link)?,
        };
        let (partial, how) = match linked {
            Some(partial) => (partial, Brought::Linked),
            None => (self.copied(content, file)?, Brought::Copied),
        };
        let taken = self.take(content, &*partial, reading, buffer);
        if !matches!(taken, Ok(None)) {
            partial.discard()?;
        }
        Ok(match taken? {
            None => Ok(how),
            Some(fault) => Err(fault),
        })
    }

    /// The bytes in a staging file, by the system's own way of copying where it has one.
    fn copied(&self, content: &Content, file: File) -> Result<Arc<dyn Partial>, SaveError> {
        let partial = self.storage.partial(&PartialKey::staging(), content.size)?;
        let from = Outside { file, size: content.size };
        let copied = partial.allocate().and_then(|()| partial.copy_from(&from, 0, 0, content.size));
        if let Err(error) = copied {
            partial.discard()?;
            return Err(error.into());
        }
        Ok(partial)
    }

    /// Reads what is to be kept and, if it is what it is to be, keeps it.
    fn take(
        &self,
        content: &Content,
        partial: &dyn Partial,
        reading: &Reading,
        buffer: &mut [u8],
    ) -> Result<Option<Fault>, SaveError> {
        let manifest = reading.manifest;
        let pages = || (0..manifest.pages()).map(|page| (page, manifest.page_chunks(page)));
        for (_, range) in pages() {
            let digests = reading.digests(range).map_err(|e| unreadable(&e))?;
            for (chunk, digest) in range.iter().zip(&digests) {
                let Some(span) = manifest.span(chunk) else { continue };
                if leaf_of(partial, span.offset, span.len, buffer)?.as_ref() != Some(digest) {
                    return Ok(Some(format!("chunk {} of its data file is damaged", chunk.0)));
                }
            }
        }
        if manifest.chunks() > 1 {
            for (page, range) in pages() {
                let digests = reading.digests(range).map_err(|e| unreadable(&e))?;
                self.storage.put_digests(&content.root, manifest.chunks(), page, &digests)?;
            }
        }
        partial.commit(&content.root)?;
        Ok(None)
    }
}

fn leaf_of(
    partial: &dyn Partial,
    offset: u64,
    len: u32,
    buffer: &mut [u8],
) -> Result<Option<Digest>, StorageError> {
    let mut leaf = LeafHasher::new();
    let (mut at, end) = (offset, offset + u64::from(len));
    while at < end {
        let piece = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        match partial.read_at(at, &mut buffer[..piece])? {
            0 => return Ok(None),
            got => {
                leaf.update(&buffer[..got]);
                at += got as u64;
            }
        }
    }
    Ok(Some(leaf.finish()))
}

/// A file of the backup, to be copied from.
struct Outside {
    file: File,
    size: u64,
}

impl storage::Content for Outside {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, StorageError> {
        let read = self.file.read_at(buf, offset);
        read.map_err(StorageError::io("reading the backup"))
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

fn unreadable(error: &io::Error) -> SaveError {
    let source = io::Error::new(error.kind(), error.to_string());
    StorageError::Io { what: "reading the backup", source }.into()
}

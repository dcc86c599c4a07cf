//! Reading chunks and comparing them with their digests.
//!
//! Owns: the digests of a content as they are found in a backup, and reading along them. Not here: what
//! is done about damage (`mend`).
//! Spec: BACKUP-10, BACKUP-18.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::{ChunkRange, Manifest, PAGE};
use zotferry_protocol::merkle::{LeafHasher, TreeBuilder};

use crate::content::Content;
use crate::error::{BackupError, Result};
use crate::folder::{Backup, Shelf};

/// Bytes read at once: enough to keep a disk busy, little enough to stay in a core's cache.
pub(crate) const PIECE: usize = 128 << 10;

/// Why the digests of a content cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkFault {
    /// The file beneath `digests/` is not there.
    Missing,
    /// It does not give the content's root.
    Damaged,
}

/// The digests of one content, for reading along them.
#[derive(Debug)]
pub struct Reading {
    /// How the content is cut.
    pub manifest: Manifest,
    inline: Option<Vec<Digest>>,
    /// One reader at a time: it has one position.
    file: Option<Mutex<File>>,
}

impl Reading {
    /// The digests of a content; those in a file of their own are compared with the root first.
    ///
    /// # Errors
    /// What the system refuses; in the answer, whether the digests' file is missing or damaged.
    pub fn of(backup: &Backup, content: &Content) -> Result<std::result::Result<Self, ChunkFault>> {
        let manifest = content.manifest().map_err(BackupError::Entry)?;
        if let Some(inline) = content.inline() {
            return Ok(Ok(Self { manifest, inline: Some(inline.to_vec()), file: None }));
        }
        let name = Shelf::Digests.of(&content.root);
        let Some(mut file) = backup.file(&name)? else { return Ok(Err(ChunkFault::Missing)) };
        let io = BackupError::io(&backup.path().join(&name));
        match gives(&mut file, &manifest, &content.root) {
            Ok(true) => Ok(Ok(Self { manifest, inline: None, file: Some(Mutex::new(file)) })),
            Ok(false) => Ok(Err(ChunkFault::Damaged)),
            Err(error) => Err(io(error)),
        }
    }

    /// The digests of a content out of its bytes, without a backup around them; `None` if they do not give its
    /// root. All digests are in memory then: 32 bytes a chunk.
    ///
    /// # Errors
    /// What the system says.
    pub fn hashed(mut file: &File, content: &Content) -> io::Result<Option<Self>> {
        let manifest = content.manifest().map_err(io::Error::other)?;
        let (mut digests, mut buffer) = (Vec::new(), vec![0; PIECE]);
        file.seek(SeekFrom::Start(0))?;
        for span in manifest.all().iter().filter_map(|chunk| manifest.span(chunk)) {
            match hash_chunk(&mut file, span.len, &mut buffer)? {
                Some(digest) => digests.push(digest),
                None => return Ok(None),
            }
        }
        let whole = zotferry_protocol::merkle::root(&digests) == content.root;
        Ok(whole.then_some(Self { manifest, inline: Some(digests), file: None }))
    }

    /// The digests of some chunks, at most a page of them.
    ///
    /// # Errors
    /// What the system says.
    pub fn digests(&self, range: ChunkRange) -> io::Result<Vec<Digest>> {
        let (first, count) = (range.first as usize, range.count as usize);
        if let Some(inline) = &self.inline {
            let all = inline.get(first..first + count);
            return all.map(<[Digest]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let mut bytes = vec![0; count * Digest::LEN];
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(first as u64 * Digest::LEN as u64))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes.as_chunks().0.iter().copied().map(Digest).collect())
    }
}

/// Whether a file of digests has as many as the content has chunks, and gives its root.
pub(crate) fn gives(file: &mut File, manifest: &Manifest, root: &Digest) -> io::Result<bool> {
    if file.metadata()?.len() != u64::from(manifest.chunks()) * Digest::LEN as u64 {
        return Ok(false);
    }
    let mut tree = TreeBuilder::new();
    let mut page = vec![0; PAGE as usize * Digest::LEN];
    for number in 0..manifest.pages() {
        let count = manifest.page_chunks(number).count as usize;
        let page = &mut page[..count * Digest::LEN];
        file.read_exact(page)?;
        page.as_chunks().0.iter().for_each(|digest| tree.push(Digest(*digest)));
    }
    Ok(tree.finish() == *root)
}

/// The digest of a chunk as it is in a file that stands at its first byte; `None` when the file ends before.
pub(crate) fn hash_chunk(
    file: &mut impl Read,
    len: u32,
    buffer: &mut [u8],
) -> io::Result<Option<Digest>> {
    let mut leaf = LeafHasher::new();
    let mut left = len as usize;
    while left > 0 {
        let piece = left.min(buffer.len());
        match file.read(&mut buffer[..piece])? {
            0 => return Ok(None),
            got => {
                leaf.update(&buffer[..got]);
                left -= got;
            }
        }
    }
    Ok(Some(leaf.finish()))
}

/// Those of some chunks that are not, in a file, what their digests say.
pub(crate) fn bad_chunks(
    file: &mut File,
    reading: &Reading,
    range: ChunkRange,
    buffer: &mut [u8],
) -> io::Result<Vec<ChunkNo>> {
    let digests = reading.digests(range)?;
    let mut bad = Vec::new();
    for (chunk, digest) in range.iter().zip(&digests) {
        let Some(span) = reading.manifest.span(chunk) else { continue };
        file.seek(SeekFrom::Start(span.offset))?;
        // Bytes that the disk does not give back are damage like any other.
        let found = hash_chunk(file, span.len, buffer).unwrap_or(None);
        if found.as_ref() != Some(digest) {
            bad.push(chunk);
        }
    }
    Ok(bad)
}

/// One whole chunk of a file, if its bytes are what its digest says.
///
/// # Errors
/// What the system says, but for bytes that are missing or cannot be read.
pub fn read_chunk(
    file: &mut File,
    manifest: &Manifest,
    chunk: ChunkNo,
    digest: &Digest,
) -> io::Result<Option<Vec<u8>>> {
    let Some(span) = manifest.span(chunk) else { return Ok(None) };
    let mut bytes = vec![0; span.len as usize];
    file.seek(SeekFrom::Start(span.offset))?;
    if file.read_exact(&mut bytes).is_err() {
        return Ok(None);
    }
    Ok((zotferry_protocol::merkle::leaf(&bytes) == *digest).then_some(bytes))
}

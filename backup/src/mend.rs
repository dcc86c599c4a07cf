//! Mends a damaged or missing file of a backup, chunk by chunk.
//!
//! Owns: which chunk comes from where. Not here: what is damaged (`verify`), where good bytes are.
//! Invariant: a file is replaced by one whose every chunk was compared with its digest, or not at all.
//! Spec: BACKUP-20.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::ChunkRange;

use crate::chunks::{PIECE, Reading, read_chunk};
use crate::content::Content;
use crate::error::{BackupError, Result};
use crate::folder::{Backup, Lock, Shelf};
use crate::platform;

/// Where good bytes may be: another backup, a hub.
pub trait Pieces: Sync {
    /// The bytes of a content from `offset` on into `buffer`. False when they are not there; whether they
    /// are right the caller sees by their digest.
    ///
    /// # Errors
    /// Why it could not be asked.
    fn chunk(&self, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<bool>;

    /// A file of the backup other than data, by its name in the folder; `None` when it is not there.
    ///
    /// # Errors
    /// Why it could not be asked.
    fn file(&self, name: &str) -> io::Result<Option<Box<dyn Read>>>;
}

impl Pieces for Backup {
    fn chunk(&self, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        let Ok(Some(mut file)) = self.data(content) else { return Ok(false) };
        io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
        Ok(file.read_exact(buffer).is_ok())
    }

    fn file(&self, name: &str) -> io::Result<Option<Box<dyn Read>>> {
        let file = Self::file(self, name).ok().flatten();
        Ok(file.map(|file| Box::new(file) as Box<dyn Read>))
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    /// It is whole again.
    Whole,
    /// Some of its bytes are nowhere.
    No,
}

/// Makes the data file of a content whole: a chunk from the file itself where it is good, else from a
/// source.
///
/// # Errors
/// What the system says about the backup's own folder.
pub fn mend(
    backup: &Backup,
    lock: &Lock,
    content: &Content,
    reading: &Reading,
    source: &dyn Pieces,
) -> Result<Mended> {
    let name = Shelf::Data.of(&content.root);
    let mut old = backup.file(&name).unwrap_or(None);
    let path = lock.fresh();
    let io = |error| BackupError::io(&path)(error);
    let mut new = platform::create_new(&path).map_err(io)?;
    for chunk in reading.manifest.all().iter() {
        let digest = reading.digests(ChunkRange { first: chunk.0, count: 1 }).map_err(io)?;
        let Some(digest) = digest.first() else { continue };
        let own = match &mut old {
            Some(old) => read_chunk(old, &reading.manifest, chunk, digest).map_err(io)?,
            None => None,
        };
        let good = match own {
            Some(bytes) => Some(bytes),
            None => fetched(source, content, reading, chunk, digest).map_err(io)?,
        };
        let Some(bytes) = good else {
            fs::remove_file(&path).map_err(io)?;
            return Ok(Mended::No);
        };
        new.write_all(&bytes).map_err(io)?;
    }
    new.sync_all().map_err(io)?;
    place(backup, &path, &name)?;
    Ok(Mended::Whole)
}

fn fetched(
    source: &dyn Pieces,
    content: &Content,
    reading: &Reading,
    chunk: ChunkNo,
    digest: &Digest,
) -> io::Result<Option<Vec<u8>>> {
    let Some(span) = reading.manifest.span(chunk) else { return Ok(None) };
    let mut bytes = vec![0; span.len as usize];
    if !source.chunk(&content.root, span.offset, &mut bytes)? {
        return Ok(None);
    }
    Ok((zotferry_protocol::merkle::leaf(&bytes) == *digest).then_some(bytes))
}

/// Makes a file whole that is named for the SHA-256 of its bytes: metadata, the index.
pub(crate) fn mend_whole(
    backup: &Backup,
    lock: &Lock,
    name: &str,
    digest: &Digest,
    source: &dyn Pieces,
) -> Result<Mended> {
    let path = lock.fresh();
    let io = |error| BackupError::io(&path)(error);
    let Some(mut from) = source.file(name).map_err(io)? else { return Ok(Mended::No) };
    let mut new = platform::create_new(&path).map_err(io)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match from.read(&mut buffer).map_err(io)? {
            0 => break,
            got => {
                hash.update(&buffer[..got]);
                new.write_all(&buffer[..got]).map_err(io)?;
            }
        }
    }
    if Digest(hash.finalize().into()) != *digest {
        fs::remove_file(&path).map_err(io)?;
        return Ok(Mended::No);
    }
    new.sync_all().map_err(io)?;
    place(backup, &path, name)?;
    Ok(Mended::Whole)
}

/// The digests of a large content, from a source; they prove themselves by the content's root.
pub(crate) fn mend_digests(
    backup: &Backup,
    lock: &Lock,
    content: &Content,
    source: &dyn Pieces,
) -> Result<Mended> {
    let name = Shelf::Digests.of(&content.root);
    let path = lock.fresh();
    let io = |error| BackupError::io(&path)(error);
    let Some(from) = source.file(&name).map_err(io)? else { return Ok(Mended::No) };
    let mut new = platform::create_new(&path).map_err(io)?;
    let most = u64::from(zotferry_protocol::manifest::MAX_CHUNKS as u32) * Digest::LEN as u64;
    io::copy(&mut from.take(most), &mut new).map_err(io)?;
    let manifest = content.manifest().map_err(BackupError::Entry)?;
    io::Seek::seek(&mut new, io::SeekFrom::Start(0)).map_err(io)?;
    if !crate::chunks::gives(&mut new, &manifest, &content.root).map_err(io)? {
        fs::remove_file(&path).map_err(io)?;
        return Ok(Mended::No);
    }
    new.sync_all().map_err(io)?;
    place(backup, &path, &name)?;
    Ok(Mended::Whole)
}

/// A whole and durable file under its name. What stands there and is no file goes.
fn place(backup: &Backup, path: &Path, name: &str) -> Result<()> {
    let to = backup.path().join(name);
    for (at, _) in name.match_indices('/') {
        let folder = backup.path().join(&name[..at]);
        if fs::symlink_metadata(&folder).is_ok_and(|about| !about.is_dir()) {
            fs::remove_file(&folder).map_err(BackupError::io(&folder))?;
        }
        platform::make_folder(&folder).map_err(BackupError::io(&folder))?;
    }
    fs::rename(path, &to).map_err(BackupError::io(&to))?;
    let folder = to.parent().unwrap_or(backup.path());
    platform::sync_folder(folder).map_err(BackupError::io(folder))
}

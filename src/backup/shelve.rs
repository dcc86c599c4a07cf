//! An entry's content into a backup: its digests, and its bytes by link, copy or row.
//!
//! Owns: which way the bytes go. Not here: temporary files and names (`zotferry_backup`).
//! Invariant: digests inside the metadata give the content's root; where none do, the content counts
//! as missing rather than as something else.
//! Spec: BACKUP-10 to BACKUP-12.

use std::io::{self, Write};
use std::path::Path;

use rustix::fs::ioctl_ficlone;
use zotferry_backup::{Content, Digests, INLINE, Placed, Writer, embeds};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::{ChunkRange, Manifest};
use zotferry_protocol::merkle::{self, LeafHasher};

use super::SaveError;
use super::export::Exported;
use crate::catalog::Data;
use crate::durable;
use crate::storage::{self, Storage, StorageError, read_exact_at};

/// Bytes copied at once where the system does not copy.
const PIECE: usize = 512 << 10;

/// Where bytes come from, and how.
pub(super) struct Shelves<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) copy: bool,
    buffer: Vec<u8>,
}

impl<'a> Shelves<'a> {
    pub(super) fn new(storage: &'a dyn Storage, copy: bool) -> Self {
        Self { storage, copy, buffer: vec![0; PIECE] }
    }

    /// A content as metadata speaks of it, its bytes in the backup; why they are not, where they are not.
    pub(super) fn content(
        &mut self,
        writer: &mut Writer,
        row: &Data,
        done: &mut Exported,
    ) -> Result<(Content, Option<String>), SaveError> {
        let mut content = Content {
            role: row.role,
            size: row.size,
            root: row.root,
            mime: row.mime.clone(),
            digests: Digests::Inline(Vec::new()),
            bytes: None,
            missing: false,
        };
        let manifest = Manifest::of(row.size).map_err(|e| SaveError::Row(e.to_string()))?;
        let found = if row.held { self.storage.open(&row.root)? } else { None };
        let Some(found) = found.filter(|found| found.size() == row.size) else {
            let reason = if row.held { DAMAGED } else { NOT_HERE };
            return Ok(missing(content, row, &manifest, reason, done));
        };
        let Some(digests) = self.digests(writer, row, &manifest, &*found)? else {
            return Ok(missing(content, row, &manifest, DAMAGED, done));
        };
        content.digests = digests;
        done.files += 1;
        done.bytes += row.size;
        if embeds(row.role, row.size) {
            let mut bytes = vec![0; row.size as usize];
            read_exact_at(&*found, 0, &mut bytes)?;
            content.bytes = Some(bytes);
            done.copied += 1;
            return Ok((content, None));
        }
        let (copy, buffer) = (self.copy, &mut self.buffer);
        let placed = |path: &Path| place(&*found, path, copy, buffer);
        match writer.content(&row.root, row.size, placed)? {
            Placed::There => done.there += 1,
            Placed::Linked => done.linked += 1,
            Placed::Copied => done.copied += 1,
        }
        Ok((content, None))
    }

    /// BACKUP-10: the chunks' digests as they are kept, or made again; `None` if the bytes do not give the root.
    fn digests(
        &self,
        writer: &mut Writer,
        row: &Data,
        manifest: &Manifest,
        found: &dyn storage::Content,
    ) -> Result<Option<Digests>, SaveError> {
        let chunks = manifest.chunks();
        if chunks < 2 {
            return Ok(Some(Digests::Inline(Vec::new())));
        }
        if chunks <= INLINE {
            let kept = match &row.digests {
                Some(digests) => Some(digests.clone()),
                None => self.storage.digests(&row.root, chunks, 0)?,
            };
            let good = |digests: &Vec<Digest>| merkle::root(digests) == row.root;
            let digests = match kept.filter(good) {
                Some(digests) => digests,
                None => hash(found, manifest, manifest.all())?,
            };
            return Ok(good(&digests).then_some(Digests::Inline(digests)));
        }
        let pages = (0..manifest.pages()).map(|page| {
            let range = manifest.page_chunks(page);
            let kept = self.storage.digests(&row.root, chunks, page).map_err(io::Error::other)?;
            let kept = kept.filter(|digests| digests.len() == range.count as usize);
            match kept {
                Some(digests) => Ok(digests),
                None => hash(found, manifest, range).map_err(io::Error::other),
            }
        });
        writer.digests(&row.root, chunks, pages)?;
        Ok(Some(Digests::File))
    }
}

const NOT_HERE: &str = "it has not arrived on this hub yet";
const DAMAGED: &str = "it is damaged on this hub; `zotferry audit --files` fetches it again";

/// BACKUP-12: named in the metadata, with what an announcement would say.
fn missing(
    mut content: Content,
    row: &Data,
    manifest: &Manifest,
    reason: &str,
    done: &mut Exported,
) -> (Content, Option<String>) {
    content.missing = true;
    let inline = row.digests.clone().filter(|d| d.len() > 1 && manifest.chunks() <= INLINE);
    content.digests = match inline {
        None if manifest.chunks() > INLINE => Digests::File,
        digests => Digests::Inline(digests.unwrap_or_default()),
    };
    done.missing += 1;
    (content, Some(reason.to_owned()))
}

fn hash(
    content: &dyn storage::Content,
    manifest: &Manifest,
    range: ChunkRange,
) -> Result<Vec<Digest>, StorageError> {
    let mut buffer = vec![0; PIECE];
    let mut digests = Vec::with_capacity(range.count as usize);
    for span in range.iter().filter_map(|chunk| manifest.span(chunk)) {
        let mut leaf = LeafHasher::new();
        let (mut at, end) = (span.offset, span.offset + u64::from(span.len));
        while at < end {
            let piece = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            read_exact_at(content, at, &mut buffer[..piece])?;
            leaf.update(&buffer[..piece]);
            at += piece as u64;
        }
        digests.push(leaf.finish());
    }
    Ok(digests)
}

/// The bytes of a content at a path: as another name of its file, as a reflink, or piece by piece.
fn place(
    content: &dyn storage::Content,
    path: &Path,
    copy: bool,
    buffer: &mut [u8],
) -> io::Result<Placed> {
    if let Some(file) = content.as_file().filter(|_| !copy)
        && durable::link_open_at(file, path).is_ok()
    {
        return Ok(Placed::Linked);
    }
    let mut to = durable::create(path)?;
    if content.as_file().is_some_and(|file| ioctl_ficlone(&to, file).is_ok()) {
        return Ok(Placed::Copied);
    }
    let mut at = 0;
    while at < content.size() {
        let piece = usize::try_from(content.size() - at).unwrap_or(PIECE).min(buffer.len());
        read_exact_at(content, at, &mut buffer[..piece]).map_err(io::Error::other)?;
        to.write_all(&buffer[..piece])?;
        at += piece as u64;
    }
    Ok(Placed::Copied)
}

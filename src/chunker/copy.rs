//! Chunks that are here already, in an older revision or another file, are copied instead of fetched.
//!
//! Owns: finding and copying them. Not here: which content may serve (the catalog knows).
//! Invariant: a copied chunk counts only after its bytes were hashed again where they now lie: the
//! older content may have been damaged since it was verified.
//! Spec: FILE-13, FETCH-36.

use std::collections::HashMap;
use std::sync::Arc;

use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::{Manifest, PAGE, Span};

use super::assemble::Assembly;
use super::{ChunkerError, Result};
use crate::storage::{Content, Storage, StorageError};

/// One manifest page of the new file and the chunks on it that are still wanted.
struct Wanted {
    by_digest: HashMap<Digest, Vec<ChunkNo>>,
}

/// Copies into `assembly` every chunk of one of its manifest pages that `older` has too, where
/// `wants` says so. Returns the chunks that are now written, to be treated like received ones:
/// durable after the next sync.
///
/// `digests` are the verified leaf digests of page `page`. The older file's pages are looked through
/// one at a time, wherever in it a chunk may be.
///
/// # Errors
/// What the storage says of the new file. Older content that cannot be read is passed over.
pub fn copy_page(
    storage: &dyn Storage,
    assembly: &Arc<Assembly>,
    page: u32,
    digests: &[Digest],
    wants: impl Fn(ChunkNo) -> bool,
    older: &Digest,
) -> Result<Vec<ChunkNo>> {
    let Some(content) = usable(storage.open(older).map_err(Into::into))?.flatten() else {
        return Ok(Vec::new());
    };
    let Ok(manifest) = Manifest::of(content.size()) else {
        return Ok(Vec::new());
    };
    let mut wanted = Wanted::on(page, digests, wants);
    let mut copied = Vec::new();
    for old_page in 0..manifest.pages() {
        if wanted.by_digest.is_empty() {
            break;
        }
        let Some(digests) = usable(older_digests(storage, older, &manifest, old_page))?.flatten()
        else {
            continue;
        };
        for (no, digest) in manifest.page_chunks(old_page).iter().zip(&digests) {
            if let Some(at) = manifest.span(no) {
                copied.extend(wanted.copy(assembly, digest, &*content, at)?);
            }
        }
    }
    copied.sort_unstable();
    Ok(copied)
}

impl Wanted {
    fn on(page: u32, digests: &[Digest], wants: impl Fn(ChunkNo) -> bool) -> Self {
        let mut by_digest: HashMap<_, Vec<_>> = HashMap::new();
        for (no, digest) in (page.saturating_mul(PAGE)..).map(ChunkNo).zip(digests) {
            if wants(no) {
                by_digest.entry(*digest).or_default().push(no);
            }
        }
        Self { by_digest }
    }

    /// Copies one older chunk to everywhere it is wanted. Where that fails it stays wanted: another
    /// older chunk of this digest may be whole.
    fn copy(
        &mut self,
        assembly: &Arc<Assembly>,
        digest: &Digest,
        from: &dyn Content,
        at: Span,
    ) -> Result<Vec<ChunkNo>> {
        let Some(chunks) = self.by_digest.remove(digest) else {
            return Ok(Vec::new());
        };
        let mut copied = Vec::new();
        let mut left = Vec::new();
        for chunk in chunks {
            let here = usable(assembly.copy_in(chunk, digest, from, at))?.unwrap_or(false);
            if here { copied.push(chunk) } else { left.push(chunk) }
        }
        if !left.is_empty() {
            self.by_digest.insert(*digest, left);
        }
        Ok(copied)
    }
}

/// The new file's failures end the copying; what may be the older content's is only passed over.
fn usable<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Err(ChunkerError::Storage(
            error
            @ (StorageError::Io { .. } | StorageError::Rows { .. } | StorageError::Damaged(_)),
        )) => {
            tracing::warn!(%error, "older content, or a chunk of it, is passed over");
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// The older file's digests; those of one chunk are its root.
fn older_digests(
    storage: &dyn Storage,
    older: &Digest,
    manifest: &Manifest,
    page: u32,
) -> Result<Option<Vec<Digest>>> {
    if manifest.chunks() == 1 {
        return Ok(Some(vec![*older]));
    }
    Ok(storage.digests(older, manifest.chunks(), page)?)
}

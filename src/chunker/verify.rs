//! Reads content again and compares it with its root.
//!
//! Owns: one content. Not here: which, how fast, and what is done about damage.
//! Invariant: content counts as whole only if every byte was read and gives the root.
//! Spec: AUDIT-18, FILE-7, FILE-8.

use std::io;

use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::Manifest;
use zotferry_protocol::merkle::{LeafHasher, TreeBuilder};

use super::{READ, Result};
use crate::storage::{Content, Storage, StorageError, read_exact_at};

/// How content was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it was stored.
    Whole,
    /// Other bytes, or bytes that the disk does not give back.
    Damaged,
    /// Not there.
    Missing,
}

/// Compares content with its root. `read` hears of every piece before it is read, may take its
/// time, and stops the reading with false; then there is no verdict.
///
/// # Errors
/// What the storage says, but for unreadable bytes of this content.
pub fn verify(
    storage: &dyn Storage,
    root: &Digest,
    read: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Verdict>> {
    let Some(content) = storage.open(root)? else { return Ok(Some(Verdict::Missing)) };
    match root_of(&*content, read) {
        Ok(None) => Ok(None),
        Ok(Some(found)) if found == *root => Ok(Some(Verdict::Whole)),
        Ok(Some(_)) => Ok(Some(Verdict::Damaged)),
        Err(error) if is_damage(&error) => {
            tracing::warn!(%root, %error, "content cannot be read");
            Ok(Some(Verdict::Damaged))
        }
        Err(error) => Err(error.into()),
    }
}

/// Bytes that the disk has lost, unlike a lack of descriptors or of memory.
fn is_damage(error: &StorageError) -> bool {
    match error {
        StorageError::Io { source, .. } => {
            source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
        }
        StorageError::OutOfBounds { .. } | StorageError::Damaged(_) => true,
        _ => false,
    }
}

fn root_of(
    content: &dyn Content,
    read: &mut dyn FnMut(usize) -> bool,
) -> std::result::Result<Option<Digest>, StorageError> {
    let manifest = Manifest::of(content.size()).map_err(|error| StorageError::Io {
        what: "reading content",
        source: io::Error::other(error),
    })?;
    let mut tree = TreeBuilder::new();
    let mut buffer = vec![0; READ.min(usize::try_from(content.size()).unwrap_or(READ))];
    for span in manifest.all().iter().filter_map(|chunk| manifest.span(chunk)) {
        let mut leaf = LeafHasher::new();
        let end = span.offset + u64::from(span.len);
        let mut at = span.offset;
        while at < end {
            let piece = usize::try_from(end - at).unwrap_or(READ).min(READ);
            if !read(piece) {
                return Ok(None);
            }
            read_exact_at(content, at, &mut buffer[..piece])?;
            leaf.update(&buffer[..piece]);
            at += piece as u64;
        }
        tree.push(leaf.finish());
    }
    Ok(Some(tree.finish()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use zotferry_protocol::manifest::MIN_CHUNK;
    use zotferry_protocol::merkle;

    use super::*;
    use crate::chunker::store_reader;
    use crate::storage::memory::MemoryStorage;

    const CHUNK: usize = MIN_CHUNK as usize;

    /// AUDIT-18: content of every shape is whole; a bit that has turned, in whichever chunk, is found.
    #[test]
    fn a_bit_that_turned_is_found() {
        let storage = MemoryStorage::default();
        let all = &mut |_| true;
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 1] {
            let bytes: Vec<u8> = (0..len).map(|n| (n / 251) as u8).collect();
            let stored = store_reader(&storage, &bytes[..], None).expect("stored");
            let root = stored.root;
            assert_eq!(verify(&storage, &root, all).expect("read"), Some(Verdict::Whole), "{len}");
            if len > 0 {
                assert!(storage.flip(&root, len - 1));
                let found = verify(&storage, &root, all).expect("read");
                assert_eq!(found, Some(Verdict::Damaged), "{len}");
            }
        }
    }

    /// What is gone is missing; who stops has no verdict.
    #[test]
    fn what_is_not_read_has_no_verdict() {
        let storage = MemoryStorage::default();
        let root = merkle::leaf(b"abc");
        let found = verify(&storage, &root, &mut |_| true).expect("looked for");
        assert_eq!(found, Some(Verdict::Missing));
        storage.put_many(&[(root, Bytes::from_static(b"abc"))]).expect("stored");
        assert_eq!(verify(&storage, &root, &mut |_| false).expect("begun"), None);
    }
}

//! From bytes that somebody pushes, a few at a time, to content in the storage.
//!
//! Owns: an upload on its way in. It holds no thread while nothing comes.
//! Not here: the staging file (`staging`), where the bytes come from.
//! Invariant: an upload that is dropped before its end leaves nothing.
//! Spec: FILE-1, FILE-2, FILE-5 to FILE-8.

use std::sync::Arc;

use bytes::Bytes;

use super::Result;
use super::split::Stored;
use super::staging::{Staging, Store};
use crate::storage::Storage;

/// An upload. Every call blocks; dropping it does, too.
pub struct Intake {
    staging: Staging<'static>,
    finished: bool,
}

impl Intake {
    /// Begins; `size` is what is expected to come, in bytes.
    ///
    /// # Errors
    /// Those of the storage; a full disk among other things.
    pub fn begin(storage: &Arc<dyn Storage>, size: Option<u64>) -> Result<Self> {
        let store = Store::Shared(Arc::clone(storage));
        let intake =
            Self { staging: Staging::begin(store, size.unwrap_or(0), false)?, finished: false };
        intake.staging.reserve(size.unwrap_or(0))?;
        Ok(intake)
    }

    /// Bytes that have come.
    pub fn size(&self) -> u64 {
        self.staging.len()
    }

    /// Takes what comes next.
    ///
    /// # Errors
    /// Those of the storage; more than any file may have.
    pub fn write(&mut self, pieces: &[Bytes]) -> Result<()> {
        self.staging.pieces(pieces)
    }

    /// Makes all that has come content; durable when it returns.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn finish(mut self) -> Result<Stored> {
        let stored = self.staging.finish()?;
        self.finished = true;
        Ok(stored)
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if !self.finished {
            self.staging.discard();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use zotferry_protocol::manifest::MIN_CHUNK;

    use super::*;
    use crate::chunker::store_reader;
    use crate::storage::memory::MemoryStorage;

    fn bytes(size: usize) -> Bytes {
        (0..size).map(|at| (at / 777) as u8).collect::<Vec<u8>>().into()
    }

    /// FILE-1: pushed in pieces of any length, content has the root that it has when it is read.
    #[test]
    fn what_is_pushed_is_what_would_be_read() {
        let chunk = MIN_CHUNK as usize;
        for size in [0, 1, chunk - 1, chunk, chunk + 1, 5 * chunk + 1] {
            let whole = bytes(size);
            let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
            let read = store_reader(&MemoryStorage::default(), &whole[..], None).unwrap();
            for declared in [None, Some(size as u64), Some(7)] {
                let mut intake = Intake::begin(&storage, declared).unwrap();
                for piece in whole.chunks(300_001) {
                    let (one, two) = piece.split_at(piece.len() / 3);
                    let pieces = [Bytes::copy_from_slice(one), Bytes::copy_from_slice(two)];
                    intake.write(&pieces).unwrap();
                }
                assert_eq!(intake.size(), size as u64);
                assert_eq!(intake.finish().unwrap(), read, "{size} {declared:?}");
            }
            assert!(storage.contains(&read.root).unwrap());
            assert!(storage.partials().unwrap().is_empty());
        }
    }

    /// An upload that is cut leaves nothing behind.
    #[test]
    fn a_cut_upload_leaves_nothing() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let mut intake = Intake::begin(&storage, Some(3 << 20)).unwrap();
        intake.write(&[bytes(2 << 20)]).unwrap();
        assert_eq!(storage.partials().unwrap().len(), 1);
        drop(intake);
        assert!(storage.partials().unwrap().is_empty());
    }
}

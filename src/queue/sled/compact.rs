//! Rewrites a folder that has grown far beyond what is live in it: sled's file never shrinks.
//!
//! Owns: when that is worth it, the copy, the swap. Not here: opening.
//! Invariant: at every moment either `<path>` or `<path>.old` is whole, and [`settle`] knows which.
//! Spec: QUEUE-9.
//!
//! ```text
//! write <path>.rewrite, sync | rename <path> to .old | rename .rewrite to <path> | remove .old
//! ```

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::folder::{beside, config, sync_folder};
use crate::durable::folder_of;

/// A folder up to this size is left alone.
pub(super) const WORTH_BYTES: u64 = 64 << 20;
/// How many times the live bytes a folder may take.
const WASTE: u64 = 8;
/// Records in one batch of the copy.
const BATCH: usize = 1000;

/// Whether a folder of `disk` bytes, `live` of them in use, should be rewritten.
pub(super) fn is_worth_it(disk: u64, live: u64, above: u64) -> bool {
    disk > above && disk / WASTE > live
}

fn rewritten(path: &Path) -> PathBuf {
    beside(path, ".rewrite")
}

fn old(path: &Path) -> PathBuf {
    beside(path, ".old")
}

/// Ends what a crash interrupted: afterwards `<path>` is whole (or was never there) and nothing lies
/// beside it.
pub(super) fn settle(path: &Path) -> io::Result<()> {
    if !path.try_exists()? && old(path).try_exists()? {
        fs::rename(old(path), path)?;
        File::open(folder_of(path))?.sync_all()?;
    }
    for leftover in [rewritten(path), old(path)] {
        if leftover.try_exists()? {
            fs::remove_dir_all(leftover)?;
        }
    }
    Ok(())
}

/// Copies what is live into a fresh folder beside the present one.
pub(super) fn copy(db: &::sled::Db, path: &Path) -> Result<(), ::sled::Error> {
    let folder = rewritten(path);
    DirBuilder::new().mode(0o700).create(&folder)?;
    let fresh = config(&folder).open()?;
    let mut entries = db.iter().peekable();
    while entries.peek().is_some() {
        let mut batch = ::sled::Batch::default();
        for entry in entries.by_ref().take(BATCH) {
            let (key, value) = entry?;
            batch.insert(key, value);
        }
        fresh.apply_batch(batch)?;
    }
    fresh.flush()?;
    drop(fresh);
    Ok(sync_folder(&folder)?)
}

/// Puts the copy in the folder's place.
pub(super) fn swap(path: &Path) -> io::Result<()> {
    let beside_them = File::open(folder_of(path))?;
    fs::rename(path, old(path))?;
    beside_them.sync_all()?;
    fs::rename(rewritten(path), path)?;
    beside_them.sync_all()?;
    fs::remove_dir_all(old(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QUEUE-9: a rewrite is for folders that are large and mostly waste.
    #[test]
    fn only_large_waste_is_rewritten() {
        assert!(!is_worth_it(WORTH_BYTES, 0, WORTH_BYTES));
        assert!(is_worth_it(WORTH_BYTES + 1, 1000, WORTH_BYTES));
        assert!(!is_worth_it(WORTH_BYTES + 1, WORTH_BYTES / 8, WORTH_BYTES));
    }
}

//! Many one-chunk contents made durable together.
//!
//! Owns: group commit of contents that are too large for rows. Not here: the rows (`small`).
//! Invariant: none is visible under its root before the bytes of all are durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use zotferry_protocol::ids::Digest;

use super::super::{Partial, PartialKey, Result, StorageError};
use super::partial::LocalPartial;
use super::tree::Tree;

/// From this many files or folders on, one `syncfs` is cheaper than syncing each.
const MANY: usize = 16;

/// The files of one group, by the root that each is to have.
type Staged = BTreeMap<Digest, LocalPartial>;

/// Writes each content to a file of its own, syncs them together, then moves them in.
pub(super) fn put(tree: &Arc<Tree>, items: &[&(Digest, Bytes)]) -> Result<()> {
    let mut staged = Staged::new();
    let put = stage(tree, items, &mut staged)
        .and_then(|()| sync_files(tree, &staged))
        .and_then(|()| publish(tree, &staged));
    if put.is_err() {
        staged.iter().for_each(|(root, partial)| partial.withdraw(root));
    }
    put
}

fn stage(tree: &Arc<Tree>, items: &[&(Digest, Bytes)], staged: &mut Staged) -> Result<()> {
    for (root, bytes) in items {
        if staged.contains_key(root) || tree.has(root)? {
            continue;
        }
        let partial = LocalPartial::begin(tree, PartialKey::staging(), bytes.len() as u64)?;
        let partial = staged.entry(*root).or_insert(partial);
        partial.write_at(0, std::slice::from_ref(bytes))?;
    }
    Ok(())
}

fn sync_files(tree: &Tree, staged: &Staged) -> Result<()> {
    if staged.len() >= MANY {
        return tree.partial.sync_all();
    }
    staged.values().try_for_each(LocalPartial::sync_bytes)
}

fn publish(tree: &Tree, staged: &Staged) -> Result<()> {
    let mut homes = BTreeMap::new();
    for (root, partial) in staged {
        if !partial.publish(root)? {
            return Err(StorageError::Damaged("a file that was just written"));
        }
        homes.insert(root.0[0], root);
    }
    if homes.len() >= MANY {
        return tree.content.sync_all();
    }
    homes.values().try_for_each(|root| tree.home(root)?.sync())
}

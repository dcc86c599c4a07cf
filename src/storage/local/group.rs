//! Many one-chunk contents made durable together.
//!
//! Owns: group commit of contents that are too large for rows. Not here: the rows (`small`).
//! Invariant: none is visible under its root before its bytes are durable, and all are confirmed
//! before this returns.
//!
//! Each file is synced by itself, many at a time: one `syncfs` for all would also wait for whatever
//! else is being written to the disk, and does not tell of failures before Linux 5.8.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use zotferry_protocol::ids::Digest;

use super::super::{Partial, PartialKey, Result};
use super::partial::LocalPartial;
use super::tree::Tree;

/// Most threads of one group. They wait for the disk, which likes to have several waiting.
const THREADS: usize = 8;
/// Contents or folders that are worth a thread.
const SHARE: usize = 4;

/// Writes each content to a file of its own and makes it durable; what is here already stays.
pub(super) fn put(tree: &Arc<Tree>, items: &[&(Digest, Bytes)]) -> Result<()> {
    let contents: BTreeMap<_, _> = items.iter().map(|(root, bytes)| (*root, bytes)).collect();
    let contents: Vec<_> = contents.into_iter().collect();
    each(&contents, |(root, bytes)| put_one(tree, root, bytes))?;
    let mut homes: Vec<_> = contents.into_iter().map(|(root, _)| root).collect();
    homes.dedup_by_key(|root| root.0[0]);
    each(&homes, |root| tree.confirm(root))
}

fn put_one(tree: &Arc<Tree>, root: &Digest, bytes: &Bytes) -> Result<()> {
    let size = bytes.len() as u64;
    if tree.size(root)? == Some(size) {
        return Ok(());
    }
    let partial = LocalPartial::begin(tree, PartialKey::staging(), size)?;
    let put = partial.write_at(0, std::slice::from_ref(bytes)).and_then(|()| partial.publish(root));
    if put.is_err()
        && let Err(error) = partial.discard()
    {
        tracing::warn!(%error, "a staging file stays behind");
    }
    put
}

/// Does something with every item, on several threads when there are many; the first error found.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let threads = items.len().div_ceil(SHARE).clamp(1, THREADS);
    if threads == 1 {
        return items.iter().try_for_each(work);
    }
    let share = items.len().div_ceil(threads);
    thread::scope(|scope| {
        let work = &work;
        let shares: Vec<_> = items
            .chunks(share)
            .map(|share| scope.spawn(move || share.iter().try_for_each(work)))
            .collect();
        shares.into_iter().try_for_each(|share| match share.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

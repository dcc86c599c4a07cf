//! The few pages of digests that are kept; storage has the others.

use std::collections::BTreeSet;

use crate::ids::{ChunkNo, Digest};
use crate::manifest::{PAGE, page_of};

/// Pages that are here, and pages that are to come.
#[derive(Debug)]
pub(super) struct Pages {
    most: usize,
    /// In the order in which they came.
    kept: Vec<(u32, Vec<Digest>)>,
    needed: BTreeSet<u32>,
    asked: BTreeSet<u32>,
}

impl Pages {
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Vec::new(), needed: BTreeSet::new(), asked: BTreeSet::new() }
    }

    pub(super) fn has(&self, page: u32) -> bool {
        self.kept.iter().any(|kept| kept.0 == page)
    }

    pub(super) fn digest(&self, chunk: ChunkNo) -> Option<&Digest> {
        let (_, digests) = self.kept.iter().find(|kept| kept.0 == page_of(chunk))?;
        digests.get((chunk.0 % PAGE) as usize)
    }

    /// A page has to come, unless it is here or on its way.
    pub(super) fn need(&mut self, page: u32) {
        if !self.has(page) && !self.asked.contains(&page) {
            self.needed.insert(page);
        }
    }

    /// The next page to be asked for.
    pub(super) fn ask(&mut self) -> Option<u32> {
        let page = self.needed.pop_first()?;
        self.asked.insert(page);
        Some(page)
    }

    /// A page did not come.
    pub(super) fn missed(&mut self, page: u32) {
        self.asked.remove(&page);
    }

    /// A page came. While there are too many, the oldest that is not busy goes.
    pub(super) fn insert(&mut self, page: u32, digests: Vec<Digest>, busy: impl Fn(u32) -> bool) {
        self.needed.remove(&page);
        self.asked.remove(&page);
        self.forget(page);
        while self.kept.len() >= self.most
            && let Some(idle) = self.kept.iter().position(|kept| !busy(kept.0))
        {
            self.kept.remove(idle);
        }
        self.kept.push((page, digests));
    }

    /// A page is not needed any more.
    pub(super) fn forget(&mut self, page: u32) {
        self.kept.retain(|kept| kept.0 != page);
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }
}

//! A storage in memory, for tests and embedders.
//!
//! Owns: contents and partial files, each with a durable and a volatile half; the accidents that
//! can be ordered: lost power, failed syncs, a full disk, failing reads, flipped bytes.
//! Invariant: what a call reported durable is still there after [`MemoryStorage::crash`], and
//! nothing else is. Every handle from before a crash is dead.
//!
//! It is the readable reference of what the traits promise, and the power-loss double of the
//! crash tests: [`MemoryStorage::power_off_after`] stops at any single step of any sequence.

mod partial;
mod state;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::merkle;

use super::{Content, Partial, PartialKey, Result, Storage, StorageError};
use partial::MemoryPartial;
use state::{Act, State};

/// Content and partial files in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    state: Arc<Mutex<State>>,
}

impl MemoryStorage {
    /// Loses power and gets it back: only what was durable is left, nothing fails any more, and
    /// handles from before refuse everything.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// Lets `steps` more steps happen (each a write, an allocation, a sync, a rename or a
    /// transaction); from then on every call fails until [`MemoryStorage::crash`].
    pub fn power_off_after(&self, steps: u64) {
        self.lock().accidents.steps_left = Some(steps);
    }

    /// Whether power is off: [`MemoryStorage::power_off_after`] has run out.
    pub fn is_off(&self) -> bool {
        self.lock().accidents.steps_left == Some(0)
    }

    /// Lets the next `times` syncs fail, of partial files and of rows alike.
    pub fn fail_syncs(&self, times: u32) {
        self.lock().accidents.syncs = times;
    }

    /// Lets the next `times` syncs of partial files fail.
    pub fn fail_partial_syncs(&self, times: u32) {
        self.lock().accidents.partial_syncs = times;
    }

    /// Like a folder whose sync failed: from now until [`MemoryStorage::crash`] nothing is kept.
    pub fn break_down(&self) {
        self.lock().accidents.broken = true;
    }

    /// Lets the next `times` reads fail, of content and of partial files.
    pub fn fail_reads(&self, times: u32) {
        self.lock().accidents.reads = times;
    }

    /// The size of the disk in bytes; `None`, as at first, for one without end.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Flips a bit of committed content, as a bad disk would; false when there is no such byte.
    pub fn flip(&self, root: &Digest, offset: usize) -> bool {
        let mut state = self.lock();
        let Some(bytes) = state.contents.get_mut(root) else {
            return false;
        };
        let mut changed = bytes.to_vec();
        let flipped = flip(&mut changed, offset);
        *bytes = changed.into();
        flipped
    }

    /// Flips a bit of a partial file, in both halves; false when there is no such byte.
    pub fn flip_partial(&self, key: &PartialKey, offset: usize) -> bool {
        let mut state = self.lock();
        let Some(file) = state.partials.get_mut(key) else {
            return false;
        };
        if let Some(durable) = &mut file.durable {
            flip(durable, offset);
        }
        flip(&mut file.bytes, offset)
    }

    /// The roots of all committed contents, in order.
    pub fn roots(&self) -> Vec<Digest> {
        self.lock().contents.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flip(bytes: &mut [u8], offset: usize) -> bool {
    bytes.get_mut(offset).map(|byte| *byte ^= 1).is_some()
}

impl Storage for MemoryStorage {
    fn health(&self) -> Result<()> {
        self.lock().sound()
    }

    fn free_space(&self) -> Result<u64> {
        let state = self.lock();
        state.powered()?;
        Ok(state.free())
    }

    fn contains(&self, root: &Digest) -> Result<bool> {
        let state = self.lock();
        state.powered()?;
        Ok(state.contents.contains_key(root))
    }

    fn open(&self, root: &Digest) -> Result<Option<Box<dyn Content>>> {
        let state = self.lock();
        state.powered()?;
        let Some(bytes) = state.contents.get(root).cloned() else {
            return Ok(None);
        };
        Ok(Some(Box::new(MemoryContent { bytes, state: Arc::clone(&self.state) })))
    }

    fn read_small(&self, roots: &[Digest]) -> Result<Vec<Option<Bytes>>> {
        let mut state = self.lock();
        state.step(Act::Read)?;
        let mut found = Vec::with_capacity(roots.len());
        for root in roots {
            let bytes = state.contents.get(root).cloned();
            found.push(bytes.filter(|bytes| bytes.len() <= super::SMALL));
        }
        Ok(found)
    }

    fn put_many(&self, items: &[(Digest, Bytes)]) -> Result<()> {
        let mut state = self.lock();
        let new: Vec<_> =
            items.iter().filter(|(root, _)| !state.contents.contains_key(root)).collect();
        state.room_for(new.iter().map(|(_, bytes)| bytes.len() as u64).sum(), "small content")?;
        state.step(Act::Sync)?;
        let new: Vec<_> = new.into_iter().cloned().collect();
        state.contents.extend(new);
        Ok(())
    }

    fn partial(&self, key: &PartialKey, size: u64) -> Result<Arc<dyn Partial>> {
        let partial = MemoryPartial::begin(Arc::clone(&self.state), *key, size)?;
        Ok(Arc::new(partial))
    }

    fn partials(&self) -> Result<Vec<PartialKey>> {
        let state = self.lock();
        state.powered()?;
        Ok(state.partials.keys().copied().collect())
    }

    fn put_digests(&self, root: &Digest, chunks: u32, page: u32, digests: &[Digest]) -> Result<()> {
        let mut state = self.lock();
        state.step(Act::Sync)?;
        state.pages.insert((*root, chunks, page), digests.to_vec());
        Ok(())
    }

    fn digests(&self, root: &Digest, chunks: u32, page: u32) -> Result<Option<Vec<Digest>>> {
        let mut state = self.lock();
        state.step(Act::Read)?;
        Ok(state.pages.get(&(*root, chunks, page)).cloned())
    }

    fn page_roots(&self, root: &Digest, chunks: u32) -> Result<Option<Vec<Digest>>> {
        let mut state = self.lock();
        state.step(Act::Read)?;
        let kept = state.pages.range((*root, chunks, 0)..=(*root, chunks, u32::MAX));
        let kept: Vec<_> =
            kept.map(|((.., page), digests)| (*page, merkle::root(digests))).collect();
        let gapless = (0..).zip(&kept).all(|(expected, (page, _))| expected == *page);
        let roots: Vec<_> = kept.into_iter().map(|(_, subtree)| subtree).collect();
        Ok((gapless && !roots.is_empty()).then_some(roots))
    }

    fn remove(&self, root: &Digest) -> Result<()> {
        let mut state = self.lock();
        state.step(Act::Sync)?;
        state.contents.remove(root);
        state.pages.retain(|(owner, ..), _| owner != root);
        Ok(())
    }

    fn set_aside(&self, root: &Digest) -> Result<()> {
        self.remove(root)
    }
}

/// Committed content; reads of it can be made to fail.
struct MemoryContent {
    bytes: Bytes,
    state: Arc<Mutex<State>>,
}

impl Content for MemoryContent {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        lock(&self.state).step(Act::Read)?;
        self.bytes.read_at(offset, buf)
    }

    fn as_file(&self) -> Option<&std::fs::File> {
        None
    }
}

impl StorageError {
    fn accident(what: &'static str) -> Self {
        Self::Io { what, source: std::io::Error::other("an accident was ordered") }
    }
}

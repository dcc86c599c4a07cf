//! One partial file in memory.
//!
//! Owns: a handle's phase; the file itself is in the shared state, under its key.
//! Invariant: as on a disk, a failed sync removes the file and kills the handle (Invariant 4).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use zotferry_protocol::ids::Digest;

use super::super::phase::Phase;
use super::super::{Content, Partial, PartialKey, Result, StorageError, copy_out, within};
use super::lock;
use super::state::{Act, PartialFile, State};

/// A handle; dead after a crash, a failed sync or a discard.
#[derive(Debug)]
pub(super) struct MemoryPartial {
    state: Arc<Mutex<State>>,
    key: PartialKey,
    size: AtomicU64,
    existed: bool,
    /// The life of the machine that it was opened in.
    life: u64,
    phase: Mutex<Phase>,
}

impl MemoryPartial {
    /// Locks the key, then opens or begins the file.
    pub(super) fn begin(state: Arc<Mutex<State>>, key: PartialKey, size: u64) -> Result<Self> {
        let mut held = lock(&state);
        held.powered()?;
        if !held.open.insert(key) {
            return Err(StorageError::Busy(key));
        }
        let existed = held.partials.get(&key).is_some_and(|file| file.bytes.len() as u64 == size);
        if !existed {
            held.partials.insert(key, PartialFile::default());
        }
        let life = held.life;
        drop(held);
        let phase = Mutex::new(Phase::Open);
        Ok(Self { state, key, size: AtomicU64::new(size), existed, life, phase })
    }

    /// The shared state, while power is on and this handle belongs to this life.
    fn alive(&self) -> Result<MutexGuard<'_, State>> {
        let state = lock(&self.state);
        state.powered()?;
        if self.life != state.life {
            return Err(StorageError::Abandoned("the partial file"));
        }
        Ok(state)
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.alive()?;
        self.phase().writable()?;
        state.step(Act::Write)?;
        Ok(state)
    }

    /// One step that makes something durable; a failed one abandons the file.
    fn syncing(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.alive()?;
        self.phase().usable()?;
        match state.step(Act::SyncPartial) {
            Err(error @ StorageError::SyncFailed { .. }) => {
                *self.phase() = Phase::Abandoned;
                state.partials.remove(&self.key);
                Err(error)
            }
            other => other.map(|()| state),
        }
    }

    /// Makes the file at least `end` bytes long, if the disk has room; returns its bytes.
    fn grow<'s>(&self, state: &'s mut State, end: u64) -> Result<&'s mut Vec<u8>> {
        let have = state.partials.get(&self.key).map_or(0, |file| file.bytes.len());
        let end = usize::try_from(end).unwrap_or(usize::MAX).max(have);
        state.room_for((end - have) as u64, "a partial file")?;
        let bytes = &mut state.partials.entry(self.key).or_default().bytes;
        if bytes.try_reserve_exact(end - have).is_err() {
            return Err(StorageError::NoSpace("a partial file"));
        }
        bytes.resize(end, 0);
        Ok(bytes)
    }

    fn put(&self, state: &mut State, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        self.grow(state, end)?[offset as usize..end as usize].copy_from_slice(bytes);
        Ok(())
    }
}

impl Partial for MemoryPartial {
    fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    fn existed(&self) -> bool {
        self.existed
    }

    fn resize(&self, size: u64) -> Result<()> {
        let mut state = self.writing()?;
        self.grow(&mut state, size)?.truncate(size as usize);
        self.size.store(size, Ordering::Release);
        Ok(())
    }

    fn allocate(&self) -> Result<()> {
        let mut state = self.writing()?;
        self.grow(&mut state, self.size()).map(drop)
    }

    fn write_at(&self, offset: u64, pieces: &[Bytes]) -> Result<()> {
        let mut state = self.writing()?;
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        within(self.size(), offset, len)?;
        let mut at = offset;
        for piece in pieces {
            self.put(&mut state, at, piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let mut state = self.alive()?;
        self.phase().usable()?;
        state.step(Act::Read)?;
        let file = state.partials.get(&self.key);
        Ok(file.map_or(0, |file| copy_out(&file.bytes, offset, buf)))
    }

    fn copy_from(&self, from: &dyn Content, src: u64, dst: u64, len: u64) -> Result<()> {
        within(self.size(), dst, len)?;
        within(from.size(), src, len)?;
        // Read before the lock is taken: the content may be of this very storage.
        let mut bytes = vec![0; len as usize];
        if super::super::read_full(&mut bytes, src, |at, buf| from.read_at(at, buf))? < bytes.len()
        {
            return Err(StorageError::Damaged("content that ends before its size"));
        }
        let mut state = self.writing()?;
        self.put(&mut state, dst, &bytes)
    }

    fn sync(&self) -> Result<()> {
        let mut state = self.syncing()?;
        if let Some(file) = state.partials.get_mut(&self.key) {
            file.durable = Some(file.bytes.clone());
        }
        Ok(())
    }

    fn commit(&self, root: &Digest) -> Result<()> {
        if matches!(&self.key, PartialKey::Wanted(own) if own.root != *root) {
            return Err(StorageError::Misuse("a wanted file can only become its own root"));
        }
        self.sync()?;
        let mut state = self.syncing()?;
        let size = self.size();
        let have = state.partials.get(&self.key).map_or(0, |file| file.bytes.len() as u64);
        if have == size
            && let Some(file) = state.partials.remove(&self.key)
        {
            state.contents.insert(*root, file.bytes.into());
        } else if state.contents.contains_key(root) {
            state.partials.remove(&self.key);
        } else {
            return Err(StorageError::Incomplete { key: self.key, have, size });
        }
        *self.phase() = Phase::Committed;
        Ok(())
    }

    fn discard(&self) -> Result<()> {
        let mut state = self.alive()?;
        *self.phase() = Phase::Abandoned;
        state.step(Act::Write)?;
        state.partials.remove(&self.key);
        Ok(())
    }
}

impl Drop for MemoryPartial {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if state.life == self.life {
            state.open.remove(&self.key);
        }
    }
}

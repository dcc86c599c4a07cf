//! What the memory storage holds, and what is to go wrong with it.
//!
//! Owns: the halves that survive a crash and those that do not; the ordered accidents.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zotferry_protocol::ids::Digest;

use super::super::{PartialKey, Result, StorageError};

/// Everything, behind one lock.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Committed content: it appears in one step, durable at once.
    pub(super) contents: BTreeMap<Digest, Bytes>,
    /// By root, number of chunks, and page.
    pub(super) pages: BTreeMap<(Digest, u32, u32), Vec<Digest>>,
    pub(super) partials: BTreeMap<PartialKey, PartialFile>,
    /// Keys whose partial file somebody has open.
    pub(super) open: BTreeSet<PartialKey>,
    pub(super) capacity: Option<u64>,
    pub(super) accidents: Accidents,
    /// Grows with every crash; a handle belongs to one.
    pub(super) life: u64,
}

/// One partial file.
#[derive(Debug, Default)]
pub(super) struct PartialFile {
    /// As it was at its last sync; `None` before the first.
    pub(super) durable: Option<Vec<u8>>,
    /// As readers see it.
    pub(super) bytes: Vec<u8>,
}

/// What is ordered to go wrong.
#[derive(Debug, Default)]
pub(super) struct Accidents {
    pub(super) steps_left: Option<u64>,
    pub(super) syncs: u32,
    pub(super) partial_syncs: u32,
    pub(super) reads: u32,
    pub(super) broken: bool,
}

/// What a step does, as far as accidents are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Read,
    Write,
    Sync,
    SyncPartial,
}

impl State {
    /// Fails once it broke down.
    pub(super) fn sound(&self) -> Result<()> {
        if self.accidents.broken { Err(StorageError::Abandoned("the storage")) } else { Ok(()) }
    }

    /// Fails while power is off, and once it broke down.
    pub(super) fn powered(&self) -> Result<()> {
        self.sound()?;
        if self.accidents.steps_left == Some(0) {
            return Err(StorageError::accident("power is off"));
        }
        Ok(())
    }

    /// One step: fails when an accident is ordered for it. Reads do not use power up.
    pub(super) fn step(&mut self, act: Act) -> Result<()> {
        self.powered()?;
        let due = match act {
            Act::Read => Some(&mut self.accidents.reads),
            Act::SyncPartial if self.accidents.partial_syncs > 0 => {
                Some(&mut self.accidents.partial_syncs)
            }
            Act::Sync | Act::SyncPartial => Some(&mut self.accidents.syncs),
            Act::Write => None,
        };
        if let Some(times) = due.filter(|times| **times > 0) {
            *times -= 1;
            return Err(match act {
                Act::Sync | Act::SyncPartial => StorageError::SyncFailed {
                    what: "memory",
                    source: std::io::Error::other("an accident was ordered"),
                },
                Act::Read | Act::Write => StorageError::accident("reading memory"),
            });
        }
        if act != Act::Read
            && let Some(steps) = &mut self.accidents.steps_left
        {
            *steps -= 1;
        }
        Ok(())
    }

    /// Bytes that can still be used.
    pub(super) fn free(&self) -> u64 {
        let contents: usize = self.contents.values().map(Bytes::len).sum();
        let partials: usize = self.partials.values().map(|file| file.bytes.len()).sum();
        self.capacity.unwrap_or(u64::MAX).saturating_sub((contents + partials) as u64)
    }

    /// Fails unless `more` bytes fit.
    pub(super) fn room_for(&self, more: u64, what: &'static str) -> Result<()> {
        if more > self.free() { Err(StorageError::NoSpace(what)) } else { Ok(()) }
    }

    /// Loses what is not durable, and forgets accidents and handles.
    pub(super) fn crash(&mut self) {
        self.life += 1;
        self.accidents = Accidents::default();
        self.open.clear();
        self.partials.retain(|_, file| file.durable.is_some());
        for file in self.partials.values_mut() {
            file.bytes = file.durable.clone().unwrap_or_default();
        }
    }
}

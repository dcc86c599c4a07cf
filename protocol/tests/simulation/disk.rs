//! A disk that tells what a process sees (the page cache) from what survives a power loss.

use std::collections::BTreeSet;

use crate::rng::Rng;
use crate::scenario::File;

#[derive(Debug)]
pub(crate) struct Disk {
    cache: Vec<u8>,
    platter: Vec<u8>,
    /// Chunks in the cache that no sync has begun to write.
    dirty: BTreeSet<u32>,
    /// What the running sync writes.
    syncing: Option<Vec<(u32, Vec<u8>)>>,
}

impl Disk {
    pub(crate) fn new(file: &File) -> Self {
        let empty = vec![0; file.bytes.len()];
        Self { cache: empty.clone(), platter: empty, dirty: BTreeSet::new(), syncing: None }
    }

    pub(crate) fn write(&mut self, file: &File, chunk: u32, bytes: &[u8]) {
        self.cache[file.place(chunk)].copy_from_slice(bytes);
        self.dirty.insert(chunk);
    }

    /// A write that a crash or an error interrupts.
    pub(crate) fn tear(&mut self, file: &File, chunk: u32, bytes: &[u8], rng: &mut Rng) {
        let cut = rng.range(0..bytes.len() as u64 + 1) as usize;
        let place = file.place(chunk);
        self.cache[place.start..place.start + cut].copy_from_slice(&bytes[..cut]);
        self.dirty.insert(chunk);
    }

    pub(crate) fn read<'a>(&'a self, file: &File, chunk: u32) -> &'a [u8] {
        &self.cache[file.place(chunk)]
    }

    pub(crate) fn is_durable(&self, file: &File, chunk: u32) -> bool {
        &self.platter[file.place(chunk)] == file.chunk(chunk)
    }

    pub(crate) fn begin_sync(&mut self, file: &File) {
        let dirty = std::mem::take(&mut self.dirty);
        let bytes = |chunk| (chunk, self.cache[file.place(chunk)].to_vec());
        assert!(self.syncing.is_none(), "one sync at a time");
        self.syncing = Some(dirty.into_iter().map(bytes).collect());
    }

    pub(crate) fn end_sync(&mut self, file: &File) {
        for (chunk, bytes) in self.syncing.take().into_iter().flatten() {
            self.platter[file.place(chunk)].copy_from_slice(&bytes);
        }
    }

    /// As on Linux: what could not be written is marked clean, and can still be read back.
    pub(crate) fn fail_sync(&mut self) {
        self.syncing = None;
        self.dirty.clear();
    }

    /// Another partial file takes the place of this one.
    pub(crate) fn new_file(&mut self) {
        self.cache.fill(0);
        self.platter.fill(0);
        self.dirty.clear();
        self.syncing = None;
    }

    /// kill -9: the cache stays, but nothing in it has become more durable.
    pub(crate) fn process_killed(&mut self) {
        let syncing = self.syncing.take().into_iter().flatten();
        self.dirty.extend(syncing.map(|(chunk, _)| chunk));
    }

    /// Of what was not durable any part may be there, and any part not.
    pub(crate) fn power_lost(&mut self, file: &File, rng: &mut Rng) {
        self.process_killed();
        for chunk in std::mem::take(&mut self.dirty) {
            let place = file.place(chunk);
            let cut = place.start + rng.range(0..place.len() as u64 + 1) as usize;
            let kept = if rng.permille(500) { place.start..cut } else { cut..place.end };
            self.platter[kept.clone()].copy_from_slice(&self.cache[kept]);
        }
        self.cache.copy_from_slice(&self.platter);
    }
}

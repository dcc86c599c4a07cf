//! Reads a backup again, all of it, and names what is not what was signed.
//!
//! Owns: the pass over the index, spread over threads; what becomes of each finding. Not here: reading
//! chunks (`chunks`), mending them (`mend`).
//! Invariant: a file is called whole only after every byte of it was read and compared.
//! Spec: BACKUP-18 to BACKUP-20.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use zotferry_protocol::ids::{ChunkNo, Digest};
use zotferry_protocol::manifest::{ChunkRange, Manifest};
use zotferry_protocol::merkle::TreeBuilder;

use crate::chunks::{ChunkFault, PIECE, Reading, bad_chunks, hash_chunk};
use crate::content::{Content, INLINE};
use crate::entry::{MAX_METADATA, Metadata};
use crate::error::{BackupError, Result};
use crate::extras::extras;
use crate::finding::{Finding, Part, Sums, Tally, Trouble};
use crate::folder::{Backup, IDENTITY, LIST, Lock, Shelf, index_name, sha256};
use crate::index::{Index, Line, LineData};
use crate::mend::{Mended, Pieces, mend, mend_digests, mend_whole};

/// Lines that a thread takes at once.
const LINES: usize = 16;
/// Chunks that one thread reads before it takes more of a large file.
const RUN: u32 = 32;
/// Roots that are remembered as read: 4 MiB of them. Equal files beyond that may be read twice.
const REMEMBERED: usize = 128 << 10;

/// Whoever mends: leave to write, and where good bytes may be.
pub type Mender<'a> = (&'a Lock, &'a dyn Pieces);

/// Reads all of a backup with so many threads. `tell` hears of each finding, `read` of bytes that were
/// read.
///
/// # Errors
/// What keeps the pass from going on; damage is a finding.
pub fn verify(
    backup: &Backup,
    threads: usize,
    mender: Option<Mender<'_>>,
    tell: &(dyn Fn(Finding) + Sync),
    read: &(dyn Fn(u64) + Sync),
) -> Result<Sums> {
    let (seen, tally) = (Mutex::default(), Tally::default());
    let pass = Pass { backup, threads: threads.max(1), mender, tell, read, seen, tally };
    let Some(index) = pass.index()? else { return Ok(pass.tally.sums()) };
    pass.identity()?;
    pass.entries(index)?;
    extras(backup, &mut |extra| {
        pass.tally.extra.fetch_add(1, Relaxed);
        let trouble = Trouble::Extra(extra.earlier);
        tell(Finding { part: Part::Other, name: extra.name, path: None, trouble, mended: false });
        Ok(())
    })?;
    Ok(pass.tally.sums())
}

struct Pass<'a> {
    backup: &'a Backup,
    threads: usize,
    mender: Option<Mender<'a>>,
    tell: &'a (dyn Fn(Finding) + Sync),
    read: &'a (dyn Fn(u64) + Sync),
    seen: Mutex<HashSet<Digest>>,
    tally: Tally,
}

/// The file that a finding is about.
struct Named<'a> {
    part: Part,
    name: String,
    line: Option<&'a Line>,
}

impl Pass<'_> {
    /// The index, if it is or can be made what was signed.
    fn index(&self) -> Result<Option<Index>> {
        let digest = self.backup.header().index.0;
        let named = || Named { part: Part::Index, name: index_name(&digest), line: None };
        match Index::open(self.backup) {
            Ok(index) => Ok(Some(index)),
            Err(BackupError::Index(why)) => {
                let there = self.backup.file(&index_name(&digest)).is_ok_and(|f| f.is_some());
                let trouble = if there { Trouble::Damaged(why) } else { Trouble::Missing };
                let whole = self.whole(named(), trouble, &digest)?;
                if whole { Index::open(self.backup).map(Some) } else { Ok(None) }
            }
            Err(error) => Err(error),
        }
    }

    fn identity(&self) -> Result<()> {
        let Err(error) = self.backup.identity() else { return Ok(()) };
        let named = Named { part: Part::Identity, name: IDENTITY.to_owned(), line: None };
        match self.backup.header().identity {
            Some(digest) => {
                let trouble = Trouble::Damaged(error.to_string());
                self.whole(named, trouble, &digest.0).map(drop)
            }
            None => Ok(()),
        }
    }

    /// Every line, spread over threads; beside that, whether the list for people says the same.
    fn entries(&self, mut index: Index) -> Result<()> {
        let (send, lines) = sync_channel::<Vec<Line>>(2 * self.threads);
        let lines = Mutex::new(lines);
        let mut list = Sha256::new();
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..self.threads).map(|_| scope.spawn(|| self.work(&lines))).collect();
            let mut sending = || -> Result<()> {
                let mut some = Vec::with_capacity(LINES);
                while let Some(line) = index.next_line()? {
                    list.update(line.listed().unwrap_or_default());
                    some.push(line);
                    if some.len() == LINES && send.send(std::mem::take(&mut some)).is_err() {
                        return Ok(());
                    }
                }
                send.send(some).ok();
                Ok(())
            };
            let sent = sending();
            drop(send);
            for worker in workers {
                worker.join().map_err(|_| BackupError::Worker)??;
            }
            sent
        })?;
        self.list(&Digest(list.finalize().into()))
    }

    fn work(&self, lines: &Mutex<Receiver<Vec<Line>>>) -> Result<()> {
        let mut buffer = vec![0; PIECE];
        loop {
            let some = lines.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(some) = some else { return Ok(()) };
            let done = some.iter().try_for_each(|line| self.entry(line, &mut buffer));
            if done.is_err() {
                // Whoever sends must not wait for a thread that is gone.
                let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                while lines.recv().is_ok() {}
                return done;
            }
        }
    }

    fn list(&self, digest: &Digest) -> Result<()> {
        let found = self.backup.file(LIST)?.map(hashed).transpose();
        let found = found.map_err(BackupError::io(&self.backup.path().join(LIST)))?;
        if found.as_ref() == Some(digest) {
            return Ok(());
        }
        let named = Named { part: Part::List, name: LIST.to_owned(), line: None };
        let why = "it does not say what the index says; the next export writes it anew";
        let trouble = match found {
            Some(_) => Trouble::Damaged(why.into()),
            None => Trouble::Missing,
        };
        self.found(named, trouble, false);
        Ok(())
    }

    fn entry(&self, line: &Line, buffer: &mut [u8]) -> Result<()> {
        self.tally.entries.fetch_add(1, Relaxed);
        let mut first: Option<Metadata> = None;
        for (n, digest) in line.meta.iter().enumerate() {
            let metadata = self.metadata(line, &digest.0)?;
            if n == 0 {
                first = metadata;
            }
        }
        for data in &line.missing {
            self.tally.not_then.fetch_add(1, Relaxed);
            let name = Shelf::Data.of(&data.root.0);
            let trouble = Trouble::NotThen;
            let path = line.path.clone();
            (self.tell)(Finding { part: Part::Data, name, path, trouble, mended: false });
        }
        for data in &line.data {
            if self.is_new(&data.root.0) {
                let contents = first.as_ref().map_or(&[][..], |first| &first.contents);
                let content =
                    contents.iter().find(|c| c.root == data.root.0 && c.size == data.size);
                self.data(line, data, content, buffer)?;
            }
        }
        Ok(())
    }

    fn is_new(&self, root: &Digest) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(*root)
    }

    /// A metadata file that is what the index says, mended if need be.
    fn metadata(&self, line: &Line, digest: &Digest) -> Result<Option<Metadata>> {
        let name = Shelf::Meta.of(digest);
        let named = Named { part: Part::Metadata, name: name.clone(), line: Some(line) };
        let bytes = match self.backup.small(&name, MAX_METADATA) {
            Ok(bytes) => bytes,
            Err(error) => {
                let trouble = Trouble::Damaged(error.to_string());
                self.whole(named, trouble, digest)?;
                return Ok(None);
            }
        };
        let bytes = match bytes {
            Some(bytes) if sha256(&bytes) == *digest => bytes,
            found => {
                let other = || Trouble::Damaged("it is not what the index says".into());
                let trouble = found.map_or(Trouble::Missing, |_| other());
                if !self.whole(named, trouble, digest)? {
                    return Ok(None);
                }
                self.backup.small(&name, MAX_METADATA)?.unwrap_or_default()
            }
        };
        let named = Named { part: Part::Metadata, name, line: Some(line) };
        match Metadata::decode(&bytes) {
            Ok(metadata) if metadata.row().is_some_and(|row| row.hash == line.id.0) => {
                Ok(Some(metadata))
            }
            Ok(_) => {
                self.found(named, Trouble::Damaged("it speaks of another entry".into()), false);
                Ok(None)
            }
            Err(error) => {
                self.found(named, Trouble::Damaged(error.to_string()), false);
                Ok(None)
            }
        }
    }

    fn data(
        &self,
        line: &Line,
        data: &LineData,
        content: Option<&Content>,
        buffer: &mut [u8],
    ) -> Result<()> {
        self.tally.files.fetch_add(1, Relaxed);
        let name = Shelf::Data.of(&data.root.0);
        let named = Named { part: Part::Data, name: name.clone(), line: Some(line) };
        let reading = match content {
            Some(content) => self.digests(line, content)?,
            None => None,
        };
        let trouble = match self.backup.file(&name) {
            Err(error) => Some(Trouble::Damaged(error.to_string())),
            Ok(None) => Some(Trouble::Missing),
            Ok(Some(file)) => {
                let size =
                    file.metadata().map_err(BackupError::io(&self.backup.path().join(&name)))?;
                if size.len() != data.size {
                    let why = format!("it has {} bytes of {}", size.len(), data.size);
                    Some(Trouble::Damaged(why))
                } else {
                    self.read(file, &name, data, reading.as_ref(), buffer)?
                }
            }
        };
        let Some(trouble) = trouble else { return Ok(()) };
        let mended = match (self.mender, content, &reading) {
            (Some((lock, source)), Some(content), Some(reading)) => {
                mend(self.backup, lock, content, reading, source)? == Mended::Whole
            }
            _ => false,
        };
        self.found(named, trouble, mended);
        Ok(())
    }

    /// The digests of a content; `None` where their file is damaged: then the root alone decides.
    fn digests(&self, line: &Line, content: &Content) -> Result<Option<Reading>> {
        let name = Shelf::Digests.of(&content.root);
        let fault = match Reading::of(self.backup, content) {
            Ok(Ok(reading)) => return Ok(Some(reading)),
            Ok(Err(ChunkFault::Missing)) => Trouble::Missing,
            Ok(Err(ChunkFault::Damaged)) => {
                Trouble::Damaged("it does not give the content's root".into())
            }
            Err(error) => Trouble::Damaged(error.to_string()),
        };
        let mended = match self.mender {
            Some((lock, source)) => {
                mend_digests(self.backup, lock, content, source)? == Mended::Whole
            }
            None => false,
        };
        self.found(Named { part: Part::Digests, name, line: Some(line) }, fault, mended);
        if mended { Ok(Reading::of(self.backup, content)?.ok()) } else { Ok(None) }
    }

    /// Reads a data file whose size is right.
    fn read(
        &self,
        file: File,
        name: &str,
        data: &LineData,
        reading: Option<&Reading>,
        buffer: &mut [u8],
    ) -> Result<Option<Trouble>> {
        let io = |error| BackupError::io(&self.backup.path().join(name))(error);
        let Some(reading) = reading else {
            let whole = self.gives_root(file, data, buffer).map_err(io)?;
            let why = || Trouble::Damaged("its bytes do not give its root".into());
            return Ok((!whole).then(why));
        };
        let all = reading.manifest.chunks();
        let bad = if all <= 2 * RUN {
            let mut file = file;
            let bad = bad_chunks(&mut file, reading, reading.manifest.all(), buffer).map_err(io)?;
            self.was_read(data.size);
            bad
        } else {
            self.spread(name, reading)?
        };
        if bad.is_empty() {
            return Ok(None);
        }
        let first = bad.first().and_then(|chunk| reading.manifest.span(*chunk));
        let at = first.map_or(0, |span| span.offset);
        let why =
            format!("{} of {all} chunks are not what they were, the first at byte {at}", bad.len());
        Ok(Some(Trouble::Damaged(why)))
    }

    /// A large file, read by all threads.
    fn spread(&self, name: &str, reading: &Reading) -> Result<Vec<ChunkNo>> {
        let (next, all) = (AtomicU64::new(0), reading.manifest.chunks());
        let io = |error| BackupError::io(&self.backup.path().join(name))(error);
        let part = || -> Result<Vec<ChunkNo>> {
            let mut bad = Vec::new();
            let mut buffer = vec![0; PIECE];
            let Some(mut file) = self.backup.file(name)? else { return Ok(bad) };
            loop {
                let first = next.fetch_add(u64::from(RUN), Relaxed);
                if first >= u64::from(all) {
                    return Ok(bad);
                }
                let first = first as u32;
                let range = ChunkRange { first, count: RUN.min(all - first) };
                bad.extend(bad_chunks(&mut file, reading, range, &mut buffer).map_err(io)?);
                self.was_read(reading.manifest.bytes(range));
            }
        };
        std::thread::scope(|scope| {
            let parts: Vec<_> = (0..self.threads).map(|_| scope.spawn(part)).collect();
            let mut bad = Vec::new();
            for part in parts {
                bad.extend(part.join().map_err(|_| BackupError::Worker)??);
            }
            bad.sort_unstable();
            Ok(bad)
        })
    }

    fn gives_root(
        &self,
        mut file: File,
        data: &LineData,
        buffer: &mut [u8],
    ) -> std::io::Result<bool> {
        let Ok(manifest) = Manifest::of(data.size) else { return Ok(false) };
        let mut tree = TreeBuilder::new();
        for chunk in manifest.all().iter() {
            let Some(span) = manifest.span(chunk) else { continue };
            match hash_chunk(&mut file, span.len, buffer)? {
                Some(digest) => tree.push(digest),
                None => return Ok(false),
            }
        }
        self.was_read(data.size);
        Ok(tree.finish() == data.root.0)
    }

    fn was_read(&self, bytes: u64) {
        self.tally.bytes.fetch_add(bytes, Relaxed);
        (self.read)(bytes);
    }

    /// Mends a file that is named for its bytes, and tells. Whether it is whole now.
    fn whole(&self, named: Named<'_>, trouble: Trouble, digest: &Digest) -> Result<bool> {
        let mended = match self.mender {
            Some((lock, source)) => {
                mend_whole(self.backup, lock, &named.name, digest, source)? == Mended::Whole
            }
            None => false,
        };
        self.found(named, trouble, mended);
        Ok(mended)
    }

    fn found(&self, named: Named<'_>, trouble: Trouble, mended: bool) {
        let count = if mended { &self.tally.mended } else { &self.tally.bad };
        count.fetch_add(1, Relaxed);
        let path = named.line.and_then(|line| line.path.clone());
        (self.tell)(Finding { part: named.part, name: named.name, path, trouble, mended });
    }
}

fn hashed(mut file: File) -> std::io::Result<Digest> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest(hash.finalize().into())),
            got => hash.update(&buffer[..got]),
        }
    }
}

const _: () = assert!(INLINE >= RUN, "a run's digests are asked for in one go");

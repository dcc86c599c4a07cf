//! The bytes of files and cropped photos, out of the store or out of the database itself.
//!
//! Owns: comparing them with what their rows say. Not here: entries.
//! Invariant: bytes count only if there are as many as the row says; they are durable before anybody is told.
//! Spec: FILE-5, PHOTO-5.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use zotferry_protocol::ids::Role;
use zotferry_protocol::packets::PhotoRow;

use super::queries::At;
use super::store::{Absent, Store};
use super::{AdoptError, HubzillaEvent, Import};
use crate::catalog::{Attach, Brought, LocalContent, RoleContent};
use crate::chunker::{ChunkerError, Intake, SmallBatch, Stored};
use crate::storage::Taking;

/// Bytes that are asked of the database at once.
const PIECE: u64 = 256 << 10;

/// A file that is to be entered.
pub(super) struct Wanted {
    pub(super) entry: Attach,
    /// Its path as people know it.
    pub(super) place: String,
    pub(super) bytes: At,
    pub(super) rows: Vec<PhotoRow>,
    pub(super) cropped: Vec<Cropped>,
}

/// A scale whose bytes come along.
pub(super) struct Cropped {
    pub(super) role: Role,
    pub(super) scale: u8,
    pub(super) bytes: At,
    pub(super) size: u64,
    pub(super) mime: String,
}

/// A file whose bytes are durable.
pub(super) struct Ready {
    pub(super) brought: Brought,
    pub(super) place: String,
    pub(super) rows: Vec<PhotoRow>,
    /// Scales whose bytes are not there.
    pub(super) lacks: Vec<u8>,
}

/// Some bytes, and what became of them.
struct Part {
    bytes: At,
    size: u64,
    found: Option<Result<LocalContent, Lack>>,
}

/// Why there are no bytes.
enum Lack {
    /// None, or another number of them.
    Missing(Option<u64>),
    /// They cannot be read.
    Bad(String),
}

impl Import<'_> {
    /// Stores the bytes of some files. What lacks is told. The caller holds `hub.storing`.
    pub(super) async fn store(&mut self, batch: Vec<Wanted>) -> Result<Vec<Ready>, AdoptError> {
        let mut parts: Vec<Vec<Part>> = batch.iter().map(Wanted::parts).collect();
        for part in parts.iter_mut().flatten() {
            if let At::Column(table, id) = part.bytes {
                part.found = Some(self.column_content(table, id, part.size).await?);
            }
        }
        let (storage, store) = (Arc::clone(&self.hub.storage), Arc::clone(&self.store));
        let storing = move || -> Result<Vec<Vec<Part>>, ChunkerError> {
            let mut small = SmallBatch::new(&*storage);
            for part in parts.iter_mut().flatten() {
                if let At::Path(path) = &part.bytes {
                    part.found = Some(from_store(&mut small, &store, path, part.size)?);
                }
            }
            small.flush()?;
            Ok(parts)
        };
        let parts = tokio::task::spawn_blocking(storing).await??;
        let mut ready = Vec::new();
        for (wanted, parts) in batch.into_iter().zip(parts) {
            ready.extend(self.ready(wanted, parts).await);
        }
        Ok(ready)
    }

    async fn ready(&self, wanted: Wanted, parts: Vec<Part>) -> Option<Ready> {
        let Wanted { entry, place, rows, cropped, .. } = wanted;
        let mut parts = parts.into_iter();
        let content = self.told(parts.next()?, &place, None).await?;
        let (mut lacks, mut here) = (Vec::new(), Vec::new());
        for (Cropped { role, scale, mime, .. }, part) in cropped.into_iter().zip(parts) {
            match self.told(part, &place, Some(scale)).await {
                Some(content) => here.push(RoleContent { role, content, mime }),
                None => lacks.push(scale),
            }
        }
        let brought = Brought { row: entry, content: Some(content), cropped: here };
        Some(Ready { brought, place, rows, lacks })
    }

    /// The content of a part; what lacks is told.
    async fn told(&self, part: Part, place: &str, scale: Option<u8>) -> Option<LocalContent> {
        let expected = part.size;
        let store = match &part.bytes {
            At::Path(path) => path.clone(),
            At::Column(table, id) => format!("the database: {table} {id}"),
        };
        match part.found? {
            Ok(content) => return Some(content),
            Err(Lack::Missing(found)) => {
                let path = place.to_owned();
                self.tell(HubzillaEvent::Missing { path, store, expected, found, scale }).await;
            }
            Err(Lack::Bad(why)) => self.skip(place, format!("{store}: {why}")).await,
        }
        None
    }

    /// Bytes that stand in the database itself, some at a time.
    async fn column_content(
        &mut self,
        table: &'static str,
        id: i64,
        size: u64,
    ) -> Result<Result<LocalContent, Lack>, AdoptError> {
        let length = self.queries.length(table, id).await?;
        if length != size {
            return Ok(Err(Lack::Missing(Some(length))));
        }
        let storage = Arc::clone(&self.hub.storage);
        let begin = move || Intake::begin(&storage, Some(size));
        let mut intake = tokio::task::spawn_blocking(begin).await??;
        let mut at = 0;
        while at < size {
            let part = self.queries.part(table, id, at, PIECE.min(size - at)).await?;
            if part.is_empty() {
                return Ok(Err(Lack::Missing(Some(at))));
            }
            at += part.len() as u64;
            let write = move || intake.write(&[Bytes::from(part)]).map(|()| intake);
            intake = tokio::task::spawn_blocking(write).await??;
        }
        let stored = tokio::task::spawn_blocking(move || intake.finish()).await??;
        Ok(Ok(content(stored)))
    }
}

impl Wanted {
    /// The file, then its cropped photos.
    fn parts(&self) -> Vec<Part> {
        let part = |bytes: &At, size| Part { bytes: bytes.clone(), size, found: None };
        let file = part(&self.bytes, self.entry.filesize);
        std::iter::once(file)
            .chain(self.cropped.iter().map(|cropped| part(&cropped.bytes, cropped.size)))
            .collect()
    }
}

/// Blocking: bytes out of the store. They are shared or copied; Hubzilla writes over a file when it is replaced.
fn from_store(
    small: &mut SmallBatch<'_>,
    store: &Store,
    path: &str,
    size: u64,
) -> Result<Result<LocalContent, Lack>, ChunkerError> {
    let file = match store.file(path) {
        Ok(file) => file,
        Err(Absent::Missing) => return Ok(Err(Lack::Missing(None))),
        Err(Absent::Bad(why)) => return Ok(Err(Lack::Bad(why))),
    };
    let before = length(&file)?;
    if before != size {
        return Ok(Err(Lack::Missing(Some(before))));
    }
    match small.take_file(&file, Taking::Share) {
        Ok((stored, _)) if stored.size == size => Ok(Ok(content(stored))),
        Ok((stored, _)) => Ok(Err(Lack::Missing(Some(stored.size)))),
        Err(ChunkerError::Source(error)) => Ok(Err(Lack::Bad(error.to_string()))),
        Err(error) => Err(error),
    }
}

fn length(file: &File) -> Result<u64, ChunkerError> {
    Ok(file.metadata().map_err(ChunkerError::Source)?.len())
}

fn content(stored: Stored) -> LocalContent {
    LocalContent { root: stored.root, size: stored.size, digests: stored.inline_digests }
}

//! Bytes on their way in.
//!
//! Owns: an upload until it is entered. Not here: storing (`chunker`), entering (`files`).
//! Invariant: only an upload whose last byte has come is entered: dav-server calls `flush` then, and
//! drops what was cut. Memory does not grow with its size; it holds no thread while nothing comes.

use std::fmt;
use std::io::SeekFrom;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use bytes::{Buf, Bytes, BytesMut};
use dav_server::fs::{DavFile, DavMetaData, FsError, FsFuture, FsResult, OpenOptions};
use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::packets::is_name;

use super::meta::Meta;
use super::underway::Share;
use super::visit::Visit;
use crate::catalog::{Attach, Change, MetaChange};
use crate::chunker::{ChunkerError, Intake};
use crate::files::{self, About, EditError, GroupError, NewContent, NewFile};
use crate::hub::{LATER, Turn};
use crate::storage::StorageError;

/// Bytes that are kept in memory, to be stored together with other uploads.
const WHOLE: usize = 256 << 10;
/// Bytes that are written together.
const PIECE: usize = 256 << 10;

/// A file that is being uploaded.
pub(super) struct Upload {
    visit: Arc<Visit>,
    path: Vec<String>,
    /// Bytes that are to come, if that was said.
    declared: Option<u64>,
    received: u64,
    /// Bytes that the channel's quota allows.
    room: u64,
    taken: Taken,
    entered: Option<Meta>,
}

#[allow(clippy::large_enum_variant, reason = "one for each upload, and never moved about")]
enum Taken {
    Memory(BytesMut),
    Disk { intake: Option<Intake>, pieces: Vec<Bytes>, waiting: usize, share: Share, _place: Turn },
}

/// Begins an upload, or refuses it before a byte of it is read.
pub(super) async fn begin(
    visit: &Arc<Visit>,
    path: Vec<String>,
    options: &OpenOptions,
) -> FsResult<Box<dyn DavFile>> {
    let Some((name, folders)) = path.split_last() else {
        return Err(visit.decide(StatusCode::METHOD_NOT_ALLOWED, None));
    };
    if !is_name(name) {
        return Err(FsError::Forbidden);
    }
    // dav-server makes 409 of it.
    if !visit.is_folder(folders).await? {
        return Err(FsError::NotFound);
    }
    let there = visit.lookup(&path).await?;
    match &there {
        Some(_) if options.create_new => return Err(FsError::Exists),
        Some(entry) if entry.is_dir => {
            return Err(visit.decide(StatusCode::METHOD_NOT_ALLOWED, None));
        }
        None if !options.create => return Err(FsError::NotFound),
        _ => {}
    }
    let room = room(visit, there.as_ref()).await?;
    let mut upload = Upload {
        visit: Arc::clone(visit),
        path,
        declared: options.size,
        received: 0,
        room,
        taken: Taken::Memory(BytesMut::new()),
        entered: None,
    };
    if options.size.is_some_and(|size| size > room) {
        return Err(FsError::InsufficientStorage);
    }
    if visit.method.as_str() == "LOCK" {
        // RFC 4918, section 7.3: the lock of a name that is free makes an empty file.
        upload.finish().await?;
    }
    Ok(Box::new(upload))
}

/// Bytes that may come: what quota and disk leave.
async fn room(visit: &Visit, replaced: Option<&Attach>) -> FsResult<u64> {
    let free = visit.free_space().await?;
    Ok(free.min(visit.room(replaced.map_or(0, |entry| entry.filesize)).await?))
}

impl Upload {
    async fn take(&mut self, bytes: Bytes) -> FsResult<()> {
        self.received += bytes.len() as u64;
        if self.declared.is_some_and(|declared| self.received > declared) {
            return Err(self.visit.decide(StatusCode::BAD_REQUEST, None));
        }
        if self.received > self.room {
            return Err(FsError::InsufficientStorage);
        }
        if let Taken::Memory(memory) = &mut self.taken {
            if memory.len() + bytes.len() <= WHOLE {
                memory.extend_from_slice(&bytes);
                return Ok(());
            }
            self.go_to_disk().await?;
        }
        let most = self.visit.channel.quota.unwrap_or(u64::MAX);
        let Taken::Disk { pieces, waiting, share, .. } = &mut self.taken else { return Ok(()) };
        if !share.grow(bytes.len() as u64, most) {
            return Err(FsError::InsufficientStorage);
        }
        *waiting += bytes.len();
        pieces.push(bytes);
        if *waiting >= PIECE { self.write().await } else { Ok(()) }
    }

    /// It is too large for memory.
    async fn go_to_disk(&mut self) -> FsResult<()> {
        let place = self.visit.hub().uploads.take(self.visit.channel.id).await;
        let place = place.map_err(|_| {
            self.visit.decide(StatusCode::SERVICE_UNAVAILABLE, Some(u64::from(LATER)))
        })?;
        let storage = Arc::clone(&self.visit.hub().storage);
        // What is said is believed up to the room that there is.
        let size = self.declared;
        let begun = tokio::task::spawn_blocking(move || Intake::begin(&storage, size)).await;
        let intake = begun.map_err(|e| self.visit.failed(&e))?;
        let intake = intake.map_err(|error| self.store_failed(&error))?;
        if let Taken::Memory(memory) = &mut self.taken {
            let head = std::mem::take(memory).freeze();
            let waiting = head.len();
            let mut share = self.visit.dav.underway.share(self.visit.channel.id);
            // It was in memory: it counts, and is not refused.
            share.grow(waiting as u64, u64::MAX);
            let (intake, pieces) = (Some(intake), vec![head]);
            self.taken = Taken::Disk { intake, pieces, waiting, share, _place: place };
        }
        Ok(())
    }

    /// Writes what has gathered, on a thread that may block.
    async fn write(&mut self) -> FsResult<()> {
        let Taken::Disk { intake, pieces, waiting, .. } = &mut self.taken else { return Ok(()) };
        let Some(mut writer) = intake.take() else { return Err(FsError::GeneralFailure) };
        let gathered = std::mem::take(pieces);
        *waiting = 0;
        let writing = tokio::task::spawn_blocking(move || {
            let written = writer.write(&gathered);
            (writer, written)
        });
        let (writer, written) = writing.await.map_err(|e| self.visit.failed(&e))?;
        *intake = Some(writer);
        written.map_err(|error| self.store_failed(&error))
    }

    /// All has come: stores and enters it.
    async fn finish(&mut self) -> FsResult<()> {
        if self.declared.is_some_and(|declared| self.received != declared) {
            return Err(self.visit.decide(StatusCode::BAD_REQUEST, None));
        }
        self.write().await?;
        let taken = std::mem::replace(&mut self.taken, Taken::Memory(BytesMut::new()));
        let (visit, path) = (Arc::clone(&self.visit), self.path.clone());
        // Of its own: when the connection is lost now, others may still wait for what this one does.
        let entering = tokio::spawn(enter(visit, path, taken)).await;
        let entered = entering.map_err(|error| self.visit.failed(&error))?;
        let entry = entered.map_err(|error| self.not_entered(&error))?;
        self.visit.keep_mtime();
        self.entered = Some(Meta::of(&entry));
        Ok(())
    }

    fn store_failed(&self, error: &ChunkerError) -> FsError {
        match error {
            ChunkerError::Storage(StorageError::NoSpace(_)) => FsError::InsufficientStorage,
            ChunkerError::TooLarge(_) => FsError::TooLarge,
            error => self.visit.failed(error),
        }
    }

    fn not_entered(&self, error: &GroupError) -> FsError {
        match error {
            GroupError::Edit(error) => self.visit.edit(error),
            GroupError::Store(error) => self.store_failed(error),
            GroupError::Lost => self.visit.failed(error),
        }
    }
}

/// Until the catalog names them, the bytes are nobody's: meanwhile nothing is swept.
async fn enter(visit: Arc<Visit>, path: Vec<String>, taken: Taken) -> Result<Attach, GroupError> {
    let hub = visit.hub();
    let _until_named = hub.storing.read().await;
    let content = match taken {
        Taken::Memory(bytes) => NewContent::Whole(bytes.freeze()),
        Taken::Disk { intake, .. } => {
            let intake = intake.ok_or(GroupError::Lost)?;
            let finishing = tokio::task::spawn_blocking(move || intake.finish());
            NewContent::Stored(finishing.await.map_err(|_| GroupError::Lost)??)
        }
    };
    let about = About { mtime: visit.mtime, ..About::default() };
    let channel = visit.channel.clone();
    let file = NewFile { channel, path: path.clone(), content, about };
    let filed = visit.dav.group.enter(hub, file).await?;
    let entry = entry(&visit, &filed.hash).await?;
    match visit.mtime {
        Some(mtime) if filed.change == Change::Unchanged && entry.mtime != Some(mtime) => {
            let change = MetaChange { mtime: Some(mtime), ..MetaChange::default() };
            Ok(files::set_meta(hub, &visit.channel, &path, change).await?)
        }
        _ => Ok(entry),
    }
}

async fn entry(visit: &Visit, hash: &ResourceId) -> Result<Attach, GroupError> {
    let found = visit.hub().catalog.entry(visit.channel.id, hash).await;
    let found = found.map_err(|error| GroupError::Edit(error.into()))?;
    found.ok_or(GroupError::Edit(EditError::NotFound))
}

impl Drop for Upload {
    /// Removing the staging file of one that was cut may wait for the disk.
    fn drop(&mut self) {
        if let Taken::Disk { intake: Some(intake), .. } =
            std::mem::replace(&mut self.taken, Taken::Memory(BytesMut::new()))
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(intake));
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("received", &self.received).finish_non_exhaustive()
    }
}

impl DavFile for Upload {
    fn metadata(&'_ mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        let meta = self.entered.clone().map(|meta| Box::new(meta) as Box<dyn DavMetaData>);
        Box::pin(std::future::ready(meta.ok_or(FsError::NotFound)))
    }

    fn write_bytes(&'_ mut self, buf: Bytes) -> FsFuture<'_, ()> {
        Box::pin(self.take(buf))
    }

    fn write_buf(&'_ mut self, mut buf: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        let bytes = buf.copy_to_bytes(buf.remaining());
        Box::pin(self.take(bytes))
    }

    fn flush(&'_ mut self) -> FsFuture<'_, ()> {
        if self.visit.method != Method::PUT || self.entered.is_some() {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(self.finish())
    }

    fn read_bytes(&'_ mut self, _: usize) -> FsFuture<'_, Bytes> {
        Box::pin(std::future::ready(Err(FsError::Forbidden)))
    }

    fn seek(&'_ mut self, _: SeekFrom) -> FsFuture<'_, u64> {
        Box::pin(std::future::ready(Err(FsError::NotImplemented)))
    }
}

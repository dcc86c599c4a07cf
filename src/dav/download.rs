//! Bytes on their way out.
//!
//! Invariant: a download that cannot be read to its end is cut; a slow reader holds no thread.

use std::fmt;
use std::io::SeekFrom;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use bytes::{Buf, Bytes};
use dav_server::fs::{DavFile, DavMetaData, FsError, FsFuture, FsResult};
use zotferry_protocol::ids::{Digest, Role};

use super::meta::Meta;
use super::visit::Visit;
use crate::catalog::{Attach, Data};
use crate::packets::{Ranged, parse_range};
use crate::receiver::{ReadError, Reading, Receiver};
use crate::storage::Content;

/// Seconds after which a file that is on its way is worth another try.
const LATER: u64 = 30;

/// A file that is being read.
pub(super) struct Download {
    meta: Meta,
    source: Source,
    at: u64,
}

enum Source {
    /// Only its head was asked for.
    Head,
    /// It is here.
    Here(Arc<dyn Content>),
    /// It comes from other clones, through here.
    Away(Box<Away>),
}

/// A file on its way.
struct Away {
    receiver: Arc<Receiver>,
    data: Data,
    reading: Reading,
    /// What has come and was not asked for yet.
    rest: Bytes,
    /// Where that begins.
    at: u64,
}

/// Opens a file to be read.
pub(super) async fn open(visit: &Arc<Visit>, entry: &Attach) -> FsResult<Box<dyn DavFile>> {
    let Some(root) = entry.root.filter(|_| !entry.is_dir) else {
        return Err(FsError::Forbidden);
    };
    let source = match visit.method == Method::HEAD {
        true => Source::Head,
        false => {
            let opened = visit.hub().stored(visit.channel.id, root).await;
            match opened.map_err(|error| visit.failed(&error))? {
                Some(content) => Source::Here(Arc::from(content)),
                None => Source::Away(Box::new(Away::open(visit, entry, root).await?)),
            }
        }
    };
    Ok(Box::new(Download { meta: Meta::of(entry), source, at: 0 }))
}

impl Away {
    /// It is on its way, so that 404 would be a lie: whoever has it is asked now, and when nobody
    /// gives it, later may do.
    async fn open(visit: &Visit, entry: &Attach, root: Digest) -> FsResult<Self> {
        let later = || visit.decide(StatusCode::SERVICE_UNAVAILABLE, Some(LATER));
        let (catalog, channel) = (&visit.hub().catalog, visit.channel.id);
        let data = catalog.content_of(channel, &entry.hash, Role::File).await;
        let data = data.map_err(|error| visit.catalog(&error))?;
        let data = data.filter(|data| data.root == root).ok_or_else(later)?;
        // What dav-server will ask for first.
        let range = visit.range.as_deref().map(|range| parse_range(range, data.size));
        let range = match range {
            Some(Ranged::Part(range)) => range,
            _ => 0..data.size,
        };
        let receiver = Arc::clone(&visit.dav.receiver);
        let at = range.start;
        let reading = receiver.read(&data, range).await.map_err(|error| {
            tracing::debug!(%error, hash = %entry.hash, "a file is not here yet");
            later()
        })?;
        Ok(Self { receiver, data, reading, rest: Bytes::new(), at })
    }

    async fn read(&mut self, at: u64, count: usize) -> Result<Bytes, ReadError> {
        if at != self.at {
            self.reading = self.receiver.read(&self.data, at..self.data.size).await?;
            (self.at, self.rest) = (at, Bytes::new());
        }
        if self.rest.is_empty() {
            self.rest = match self.reading.next().await {
                Some(piece) => piece?,
                None => Bytes::new(),
            };
        }
        let piece = self.rest.split_to(count.min(self.rest.len()));
        self.at += piece.len() as u64;
        Ok(piece)
    }
}

impl Download {
    async fn read(&mut self, count: usize) -> FsResult<Bytes> {
        let piece = match &mut self.source {
            Source::Head => Ok(Bytes::new()),
            Source::Here(content) => read_here(content, self.at, count).await,
            Source::Away(away) => away.read(self.at, count).await,
        };
        let piece = piece.map_err(|error| {
            tracing::warn!(%error, "a download was cut: its content could not be read");
            FsError::GeneralFailure
        })?;
        if piece.is_empty() {
            // dav-server would send zeros for what is missing.
            return Err(FsError::GeneralFailure);
        }
        self.at += piece.len() as u64;
        Ok(piece)
    }
}

/// From memory where that can be done, else on a thread that may wait for the disk.
async fn read_here(content: &Arc<dyn Content>, at: u64, count: usize) -> Result<Bytes, ReadError> {
    let left = usize::try_from(content.size().saturating_sub(at)).unwrap_or(usize::MAX);
    let mut piece = vec![0; count.min(left)];
    let at_hand = content.read_now(at, &mut piece)?.filter(|len| *len > 0);
    let len = match at_hand {
        Some(len) => len,
        None => {
            let content = Arc::clone(content);
            let reading = tokio::task::spawn_blocking(move || {
                let read = content.read_at(at, &mut piece);
                (piece, read)
            });
            let (back, read) = reading.await?;
            piece = back;
            read?
        }
    };
    piece.truncate(len);
    Ok(piece.into())
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("at", &self.at).finish_non_exhaustive()
    }
}

impl DavFile for Download {
    fn metadata(&'_ mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        Box::pin(std::future::ready(Ok(Box::new(self.meta.clone()) as Box<dyn DavMetaData>)))
    }

    fn read_bytes(&'_ mut self, count: usize) -> FsFuture<'_, Bytes> {
        Box::pin(self.read(count))
    }

    fn seek(&'_ mut self, pos: SeekFrom) -> FsFuture<'_, u64> {
        let SeekFrom::Start(at) = pos else {
            return Box::pin(std::future::ready(Err(FsError::NotImplemented)));
        };
        self.at = at;
        Box::pin(std::future::ready(Ok(at)))
    }

    fn write_buf(&'_ mut self, _: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        Box::pin(std::future::ready(Err(FsError::Forbidden)))
    }

    fn write_bytes(&'_ mut self, _: Bytes) -> FsFuture<'_, ()> {
        Box::pin(std::future::ready(Err(FsError::Forbidden)))
    }

    fn flush(&'_ mut self) -> FsFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

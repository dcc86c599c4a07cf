//! Reads a content for somebody who waits for it, also while it is not here yet.
//!
//! Owns: what a reader gets, and in which order the places are tried where the bytes may be. Not here:
//! a file that comes while it is read (`reader`), who may read (the callers), HTTP.
//! Invariant: a byte is handed out only after the chunk that it lies in was verified; what a reader
//! waits for is fetched once, for the reader and for good.
//! Spec: FETCH-3, FETCH-37, FETCH-56.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::hands::Begun;
use super::reader::Reader;
use super::{ActiveFile, Receiver, ReceiverError};
use crate::catalog::{CatalogError, Data, DataState};
use crate::hub::StoredError;
use crate::storage::{Content, StorageError, read_exact_at};

/// How many may read what is not here at a time.
pub(super) const READERS: usize = 64;
/// Bytes handed out at once.
pub(super) const PIECE: usize = 256 << 10;
/// Pieces that wait for the reader: with the one in hand less than 1 MiB.
const WAITING: usize = 2;

/// Why a content cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It was superseded or is of no entry.
    #[error("there is no such content")]
    Gone,
    /// The range does not lie in it (HTTP 416).
    #[error("the content has {0} bytes")]
    OutOfRange(u64),
    /// It is not here, and no clone gives it at the moment (HTTP 503).
    #[error("not here yet, and nobody gives it at the moment: {0}")]
    Nobody(String),
    /// Too many read what is not here (HTTP 503).
    #[error("too many wait for files that are not here yet")]
    TooMany,
    /// The hub stops (HTTP 503).
    #[error("the hub stops")]
    Stopping,
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What the channel has.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// This hub's own fetching.
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

impl ReadError {
    /// The status that says the same in HTTP.
    pub fn http(&self) -> u16 {
        match self {
            Self::Gone => 404,
            Self::OutOfRange(_) => 416,
            Self::Nobody(_) | Self::TooMany | Self::Stopping => 503,
            _ => 500,
        }
    }
}

/// Where pieces go.
pub(super) type Pieces = mpsc::Sender<Result<Bytes, ReadError>>;

/// Bytes of a content on their way to a reader.
#[derive(Debug)]
pub struct Reading {
    /// Bytes in the whole content.
    pub size: u64,
    /// What comes, of these.
    pub range: Range<u64>,
    first: Option<Bytes>,
    pieces: mpsc::Receiver<Result<Bytes, ReadError>>,
}

impl Reading {
    /// The next bytes; `None` when all came. After an error nothing more comes.
    pub async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => self.pieces.recv().await,
        }
    }

    /// The same as a stream, for the body of an answer.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static {
        futures_util::stream::unfold(self, async |mut reading| {
            reading.next().await.map(|piece| (piece, reading))
        })
    }
}

impl Receiver {
    /// FETCH-56: reads bytes of a content of one of this hub's channels, [`Catalog::content_of`] names
    /// it: what is here from the storage or the partial file, what is not as it comes from other
    /// clones, before anything else that is wanted. Returns when the first bytes are there, so that
    /// an error can still become the status of an answer.
    ///
    /// [`Catalog::content_of`]: crate::catalog::Catalog::content_of
    pub async fn read(
        self: &Arc<Self>,
        data: &Data,
        range: Range<u64>,
    ) -> Result<Reading, ReadError> {
        if range.start > range.end || range.end > data.size {
            return Err(ReadError::OutOfRange(data.size));
        }
        let (send, mut pieces) = mpsc::channel(WAITING);
        let (receiver, content, span) = (Arc::clone(self), data.clone(), range.clone());
        tokio::spawn(async move {
            if let Err(error) = receiver.pump(&content, span, &send).await {
                send.send(Err(error)).await.ok();
            }
        });
        let first = pieces.recv().await.transpose()?;
        Ok(Reading { size: data.size, range, first, pieces })
    }

    /// Hands a range out, from wherever its bytes are at the moment.
    async fn pump(
        self: &Arc<Self>,
        data: &Data,
        mut range: Range<u64>,
        send: &Pieces,
    ) -> Result<(), ReadError> {
        let mut waits = None;
        let mut since = Instant::now();
        while !range.is_empty() {
            let mut moved = self.moved.subscribe();
            if let Some(content) = self.stored(data).await? {
                let send = send.clone();
                let handing = move || hand_out(&*content, range, &send);
                return Ok(tokio::task::spawn_blocking(handing).await?);
            }
            if waits.is_none() {
                waits = Some(self.readers.try_acquire().map_err(|_| ReadError::TooMany)?);
            }
            if let Some(file) = self.in_hand(data).await? {
                let before = range.start;
                Reader::new(self, &file, send).hand_out(&mut range).await?;
                if range.start > before {
                    since = Instant::now();
                }
                continue;
            }
            tokio::select! {
                _ = moved.changed() => {}
                () = tokio::time::sleep_until(since + self.patience()) => {
                    return Err(ReadError::Nobody("it did not come in time".into()));
                }
                () = send.closed() => return Ok(()),
                () = self.hub.stop.cancelled() => return Err(ReadError::Stopping),
            }
        }
        Ok(())
    }

    /// How long a reader waits while nothing comes.
    pub(super) fn patience(&self) -> Duration {
        2 * Duration::from_secs(self.hub.config.transfer.stall_seconds)
    }

    /// The content, if the channel has it.
    async fn stored(&self, data: &Data) -> Result<Option<Box<dyn Content>>, ReadError> {
        let stored = self.hub.stored(data.channel, data.root).await?;
        Ok(stored.filter(|content| content.size() == data.size))
    }

    /// The file in hand, which it now is unless a bundle carries it at this moment.
    async fn in_hand(self: &Arc<Self>, data: &Data) -> Result<Option<Arc<ActiveFile>>, ReadError> {
        if self.hub.stop.is_cancelled() {
            return Err(ReadError::Stopping);
        }
        if let Some(file) = self.file_of(data) {
            return Ok(Some(file));
        }
        let row = self.hub.catalog.contents(&[data.id]).await?.pop().ok_or(ReadError::Gone)?;
        match row.state {
            DataState::Superseded => return Err(ReadError::Gone),
            // It may have arrived this very moment.
            DataState::Present if self.stored(data).await?.is_some() => return Ok(None),
            DataState::Present => return Err(ReadError::Nobody("its bytes are lost here".into())),
            DataState::Failed => self.hub.catalog.want_again(row.id).await?,
            DataState::Wanted => {}
        }
        match self.begin(row).await? {
            Begun::Hand(file) => Ok(Some(file)),
            Begun::Here | Begun::Busy => Ok(None),
            Begun::Failed(why) => Err(ReadError::Nobody(why)),
        }
    }
}

/// Reads a range piece by piece, ahead of the reader by a few.
fn hand_out(content: &dyn Content, range: Range<u64>, send: &Pieces) {
    let mut at = range.start;
    while at < range.end {
        let left = usize::try_from(range.end - at).unwrap_or(PIECE);
        let mut piece = vec![0; left.min(PIECE)];
        let read = read_exact_at(content, at, &mut piece);
        at += piece.len() as u64;
        let failed = read.is_err();
        let sent = send.blocking_send(read.map(|()| piece.into()).map_err(ReadError::from));
        if failed || sent.is_err() {
            return;
        }
    }
}

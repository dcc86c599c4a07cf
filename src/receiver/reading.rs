//! Reads a content for somebody who waits for it, also while it is not here yet.
//!
//! Owns: one reader's way through a content, in order. Not here: who may read (the callers), HTTP.
//! Invariant: a byte is handed out only after the chunk that it lies in was verified; what a reader
//! waits for is fetched once, for the reader and for good.
//! Spec: FETCH-3, FETCH-37.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

use super::{Receiver, ReceiverError};
use crate::catalog::{CatalogError, Data, DataState};
use crate::storage::{Content, StorageError, read_exact_at};

/// Bytes handed out at once.
const PIECE: usize = 256 << 10;
/// Pieces that wait for the reader: with the one in hand less than 1 MiB.
const WAITING: usize = 2;
/// How long a reader waits while nothing comes.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// The hub stops (HTTP 503).
    #[error("the hub stops")]
    Stopping,
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
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
            Self::Nobody(_) | Self::Stopping => 503,
            _ => 500,
        }
    }
}

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
    /// Reads bytes of a content of one of this hub's channels, [`Catalog::content_of`] names it:
    /// what is here from the storage, what is not as it comes from other clones. Returns when the
    /// first bytes are there, so that an error can still become the status of an answer.
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

    async fn pump(
        self: &Arc<Self>,
        data: &Data,
        range: Range<u64>,
        send: &mpsc::Sender<Result<Bytes, ReadError>>,
    ) -> Result<(), ReadError> {
        if range.is_empty() {
            return Ok(());
        }
        let content = tokio::select! {
            here = self.here(data) => here?,
            () = tokio::time::sleep(PATIENCE) => {
                return Err(ReadError::Nobody("it did not come in time".into()));
            }
            () = self.hub.stop.cancelled() => return Err(ReadError::Stopping),
        };
        let send = send.clone();
        Ok(tokio::task::spawn_blocking(move || hand_out(&*content, range, &send)).await?)
    }

    /// The content, as soon as it is in storage.
    async fn here(&self, data: &Data) -> Result<Box<dyn Content>, ReadError> {
        loop {
            let (storage, root) = (Arc::clone(&self.hub.storage), data.root);
            let found = tokio::task::spawn_blocking(move || storage.open(&root)).await??;
            if let Some(content) = found {
                return Ok(content);
            }
            let rows = self.hub.catalog.contents(&[data.id]).await?;
            let wanted = rows.first().is_some_and(|row| row.state != DataState::Superseded);
            if !wanted {
                return Err(ReadError::Gone);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Reads a range piece by piece, ahead of the reader by a few.
fn hand_out(
    content: &dyn Content,
    range: Range<u64>,
    send: &mpsc::Sender<Result<Bytes, ReadError>>,
) {
    let mut at = range.start;
    while at < range.end {
        let left = usize::try_from(range.end - at).unwrap_or(PIECE);
        let mut piece = vec![0; left.min(PIECE)];
        let read = read_exact_at(content, at, &mut piece);
        at += piece.len() as u64;
        let failed = read.is_err();
        if send.blocking_send(read.map(|()| piece.into()).map_err(ReadError::from)).is_err()
            || failed
        {
            return;
        }
    }
}

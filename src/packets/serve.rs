//! Content on its way out: read in large pieces, off the async threads, one piece ahead of the wire.
//!
//! Owns: buffers and their reuse. Not here: what may be read (the handlers), HTTP.
//! Invariant: a slow reader holds two pieces of memory and no thread.
//! Spec: FETCH-10, STREAM-4, ID-17.

use std::pin::Pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Content bytes read at a time.
pub(super) const READ: usize = 512 << 10;
/// Room for the heads of frames in a buffer.
pub(super) const HEADS: usize = 16 << 10;
/// Buffers kept for reuse.
const KEPT: usize = 16;

static POOL: LazyLock<Mutex<Vec<Vec<u8>>>> = LazyLock::new(Mutex::default);

/// A buffer that goes back to the pool when the wire has taken it.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// An empty buffer of [`READ`] and [`HEADS`] bytes.
    pub(super) fn take() -> Self {
        let kept = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { bytes: kept.unwrap_or_else(|| vec![0; READ + HEADS]), len: 0 }
    }

    /// Bytes that still fit.
    pub(super) fn room(&self) -> usize {
        self.bytes.len() - self.len
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes that are known to fit.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The next `len` bytes, to be filled; they count once [`Self::grow`] is called.
    pub(super) fn next(&mut self, len: usize) -> &mut [u8] {
        &mut self.bytes[self.len..self.len + len]
    }

    /// Counts bytes that were filled.
    pub(super) fn grow(&mut self, len: usize) {
        self.len += len;
    }

    /// What was written, as a piece for the wire.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            pool.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Something that fills one buffer after the other; blocking.
pub(super) trait Source: Send + 'static {
    /// The next piece; `None` when all is said. An error cuts the response, so that the asker
    /// sees that it is not whole.
    fn next_piece(&mut self) -> std::io::Result<Option<Bytes>>;

    /// The same when it can be had without waiting for a disk; `None`, and nothing has changed, when
    /// it cannot.
    fn piece_at_hand(&mut self) -> Option<std::io::Result<Option<Bytes>>>;
}

/// The pieces of a response body.
pub struct Pieces(pub mpsc::Receiver<std::io::Result<Bytes>>);

impl futures_util::Stream for Pieces {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// Reads a source one piece ahead of the reader. What the system has in memory is read where it is
/// sent, while it is in the processor's cache; only a disk is waited for on another thread.
/// Cut when the right to it ends.
pub(super) fn pump<S: Source>(source: S, right: CancellationToken) -> Pieces {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut source = source;
        while let Ok(place) = send.reserve().await {
            // ID-17: a clone that was removed gets nothing more, also in the middle of an answer.
            if right.is_cancelled() {
                place.send(Err(std::io::Error::other("the asking hub is a clone no more")));
                return;
            }
            let piece = match source.piece_at_hand() {
                Some(piece) => piece,
                None => {
                    let reading = tokio::task::spawn_blocking(move || {
                        let piece = source.next_piece();
                        (source, piece)
                    });
                    let Ok((back, piece)) = reading.await else { return };
                    source = back;
                    piece
                }
            };
            match piece {
                Ok(Some(bytes)) => place.send(Ok(bytes)),
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "a response was cut: its content could not be read");
                    place.send(Err(error));
                    return;
                }
            }
        }
    });
    Pieces(receive)
}

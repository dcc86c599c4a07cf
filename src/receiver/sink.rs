//! Takes the bytes of chunks as they arrive; hashes, judges and writes them off the async threads.
//!
//! Owns: the chunk that is being received. Not here: where bytes come from, what a verdict is based
//! on (the protocol's `transfer`).
//! Invariant: bytes of a chunk are counted, hashed and written in the order of the file; nothing
//! counts before its digest was judged.
//! Spec: FETCH-3, FETCH-4, STREAM-7.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use tokio::sync::mpsc;
use zotferry_protocol::ids::ChunkNo;
use zotferry_protocol::transfer::{Input, Reason, Verdict};

use super::file::ActiveFile;
use crate::catalog::SiteNo;
use crate::chunker::ChunkSink;
use crate::hub::Hub;

/// Pieces that may wait for the worker: about 1 MiB.
const WAITING: usize = 2;

/// The next bytes of a chunk.
pub(super) struct Piece {
    /// Position in the request's list of items.
    pub(super) item: u32,
    /// Which chunk.
    pub(super) chunk: ChunkNo,
    /// They follow what came before.
    pub(super) bytes: Bytes,
}

/// What a worker found, when all is said.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Chunks that did not match.
    pub(super) bad: u32,
    /// Chunks that were written.
    pub(super) written: u32,
    /// Why writing stopped.
    pub(super) failed: Option<String>,
}

/// The sending half of a worker.
pub(super) struct Sink {
    send: mpsc::Sender<Piece>,
    worker: tokio::task::JoinHandle<Found>,
}

impl Sink {
    /// Starts a worker for the files of one request to a hub.
    pub(super) fn start(hub: &Arc<Hub>, files: Vec<Arc<ActiveFile>>, from: SiteNo) -> Self {
        let (send, receive) = mpsc::channel(WAITING);
        let hub = Arc::clone(hub);
        let worker = tokio::task::spawn_blocking(move || work(&hub, &files, from, receive));
        Self { send, worker }
    }

    /// Hands bytes over; `false` when the worker has stopped.
    pub(super) async fn push(&self, piece: Piece) -> bool {
        self.send.send(piece).await.is_ok()
    }

    /// Waits until everything handed over was dealt with.
    pub(super) async fn finish(self) -> Found {
        drop(self.send);
        self.worker
            .await
            .unwrap_or_else(|e| Found { failed: Some(e.to_string()), ..Found::default() })
    }
}

fn work(
    hub: &Hub,
    files: &[Arc<ActiveFile>],
    from: SiteNo,
    mut pieces: mpsc::Receiver<Piece>,
) -> Found {
    let mut found = Found::default();
    let mut open: Option<(u32, ChunkNo, ChunkSink)> = None;
    while let Some(piece) = pieces.blocking_recv() {
        let Some(file) = files.get(piece.item as usize) else { break };
        let same = open.as_ref().is_some_and(|(i, c, _)| (*i, *c) == (piece.item, piece.chunk));
        if !same {
            drop_partial(hub, open.take());
            if file.is_over() && !hub.stop.is_cancelled() {
                break;
            }
            let Some(sink) = file.chunk_sink(piece.chunk) else { break };
            open = Some((piece.item, piece.chunk, sink));
        }
        let Some((_, _, sink)) = &mut open else { break };
        file.came.fetch_add(piece.bytes.len() as u64, Relaxed);
        if let Err(error) = sink.push(piece.bytes) {
            found.failed = Some(error.to_string());
            break;
        }
        if sink.missing() == 0
            && let Some((_, _, sink)) = open.take()
            && let Err(error) = judge(hub, file, from, sink, &mut found)
        {
            found.failed = Some(error);
            break;
        }
    }
    drop_partial(hub, open.take());
    found
}

/// A chunk of which the rest did not come: what came will come again.
fn drop_partial(hub: &Hub, open: Option<(u32, ChunkNo, ChunkSink)>) {
    if let Some((_, _, sink)) = open {
        hub.metrics.bytes_fetched_twice.add(sink.received().into());
    }
}

fn judge(
    hub: &Hub,
    file: &Arc<ActiveFile>,
    from: SiteNo,
    sink: ChunkSink,
    found: &mut Found,
) -> Result<(), String> {
    let (chunk, bytes) = (sink.chunk(), u64::from(sink.received()));
    let filled = sink.finish().map_err(|e| e.to_string())?;
    match file.receive(chunk, filled.digest(), from) {
        Verdict::Write { file: number } => match file.write(filled) {
            Ok(()) => {
                found.written += 1;
                hub.metrics.chunks.one();
                file.tell(Input::Wrote { chunk, file: number });
                Ok(())
            }
            Err(error) => {
                file.tell(Input::WriteFailed { chunk, file: number });
                Err(error.to_string())
            }
        },
        Verdict::Discard(reason) => {
            hub.metrics.bytes_fetched_twice.add(bytes);
            if reason == Reason::BadDigest {
                found.bad += 1;
                hub.metrics.bad_chunks.one();
                let name = file.name();
                tracing::warn!(file = name, chunk = chunk.0, from, "wrong bytes; asked for again");
            }
            Ok(())
        }
    }
}

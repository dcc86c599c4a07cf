//! Answers in lines of JSON, the last of which says how it ended.
//!
//! Invariant: an answer without a last line was cut off, and is not taken for a whole one.

use std::future::Future;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Failure;

/// Events that wait for the one who asked.
const WAITING: usize = 64;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line<T> {
    /// An event.
    Event(T),
    /// The last line: all is done.
    End,
    /// The last line: it failed here.
    Failed(Failure),
}

/// Runs `work` and answers with what it sends. When the one who asked goes away, it is dropped.
pub(super) fn answer<T, W, F>(work: W) -> Response
where
    T: Serialize + Send + 'static,
    W: FnOnce(mpsc::Sender<T>) -> F,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (send, events) = mpsc::channel(WAITING);
    let (last, lines) = mpsc::channel(WAITING);
    tokio::spawn(forward(events, last, work(send)));
    let body = stream::unfold(lines, async |mut lines| lines.recv().await.map(|l| (l, lines)));
    let body = Body::from_stream(Box::pin(body));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

async fn forward<T: Serialize + Send + 'static>(
    mut events: mpsc::Receiver<T>,
    lines: mpsc::Sender<Result<Bytes, std::convert::Infallible>>,
    work: impl Future<Output = Result<(), Failure>> + Send,
) {
    let relay = async {
        let mut some = Vec::with_capacity(WAITING);
        // What waits goes together.
        while events.recv_many(&mut some, WAITING).await > 0 {
            let text: Vec<u8> =
                some.drain(..).flat_map(|event| text(&Line::Event(event))).collect();
            if lines.send(Ok(text.into())).await.is_err() {
                return;
            }
        }
    };
    let both = async { tokio::join!(work, relay).0 };
    let last = tokio::select! {
        ended = both => match ended {
            Ok(()) => Line::End,
            Err(failure) => Line::Failed(failure),
        },
        () = lines.closed() => return,
    };
    lines.send(Ok(text::<T>(&last).into())).await.ok();
}

fn text<T: Serialize>(line: &Line<T>) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("events always serialize");
    text.push(b'\n');
    text
}

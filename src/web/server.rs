//! Accepts connections and serves them until the hub stops.
//!
//! Owns: sockets, header time-outs, the graceful end. Not here: routes.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long answers may take to finish once the hub stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves other hubs.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                // Without it small frames wait for acknowledgements; an error only costs time.
                socket.set_nodelay(true).ok();
                open.spawn(connection(socket, router.clone(), stop.clone()));
            }
            Err(error) => pause(&error).await,
        }
    }
    finish(open).await;
}

/// Serves this hub's owner on its Unix socket.
pub async fn serve_local(listener: UnixListener, router: Router, stop: CancellationToken) {
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => drop(open.spawn(connection(socket, router.clone(), stop.clone()))),
            Err(error) => pause(&error).await,
        }
    }
    finish(open).await;
}

/// Out of file descriptors, most likely: others close theirs meanwhile.
async fn pause(error: &std::io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn finish(open: TaskTracker) {
    open.close();
    if tokio::time::timeout(LAST_WORDS, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "still answering; cut off");
    }
}

async fn connection<S>(socket: S, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

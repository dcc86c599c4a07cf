//! Accepts connections and serves them until the hub stops.
//!
//! Owns: sockets, header time-outs, the graceful end. Not here: routes, how many connections (`doors`), slow bodies and
//! readers (`patience`).
//! Spec: QUEUE-10, QUEUE-11.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};

use super::asker::{self, Connected};
use super::doors::{Doors, NO_ROOM};
use super::patience::{Patience, Patient};
use crate::hub::{Hub, network};

/// How long a question of this hub's owner may take to arrive.
const OWNER_HEAD: Duration = Duration::from_secs(30);
/// The largest head of a request: a packet of a stream request stands in it.
const MAX_HEAD: usize = 64 << 10;
/// How long answers may take to finish once the hub stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves other hubs.
pub async fn serve(listener: TcpListener, router: Router, hub: Arc<Hub>) {
    let (open, stop) = (TaskTracker::new(), hub.stop.clone());
    let limits = &hub.config.limits;
    let doors = Doors::new(limits.connections, limits.connections_per_address);
    let patience = Patience::of(&hub.config);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, from)) => {
                let from = from.ip();
                let counted = !asker::is_proxy(&hub.config.network.proxies, from);
                let Some(through) = doors.enter(counted.then(|| network(from))) else {
                    hub.metrics.refusals.one();
                    tracing::info!(%from, "a connection was refused: too many are open");
                    // A new socket has room for it; nobody waits for who does not listen.
                    socket.try_write(NO_ROOM).ok();
                    continue;
                };
                // Without it small frames wait for acknowledgements; an error only costs time.
                socket.set_nodelay(true).ok();
                let router = router.clone().map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(Connected(from));
                    request
                });
                let socket = Patient::new(socket, patience);
                let serving = connection(socket, router, stop.clone(), patience.stall);
                open.spawn(async move {
                    serving.await;
                    drop(through);
                });
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
            Ok((socket, _)) => {
                let serving = connection(socket, router.clone(), stop.clone(), OWNER_HEAD);
                open.spawn(serving);
            }
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

async fn connection<S, R>(socket: S, router: R, stop: CancellationToken, head: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    R: Clone + Send + 'static,
    R::Future: Send,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(MAX_HEAD)
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

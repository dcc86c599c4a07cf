//! `/zot/restore`: a backup that its owner brings.
//!
//! Owns: routes, JSON, the pace of bodies. Not here: what is taken (`backup`).
//! Spec: BACKUP-26, BACKUP-29, BACKUP-31.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Response, header};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zotferry_backup::Standing;
use zotferry_protocol::codec::{self, MAX_PACKET};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::refusal::{Code, Refusal};

use super::hint;
use crate::backup::Bringers;
use crate::hub::Hub;
use crate::transport::PACKET_TYPE;

/// Bytes of a refused body that are read all the same.
const DRAINED: usize = 4 << 20;

/// What the routes share.
struct Restores {
    bringers: Arc<Bringers>,
    stall: Duration,
}

/// A page of digests, as it travels.
#[derive(Deserialize)]
struct Page {
    digests: ByteBuf,
    path: ByteBuf,
}

pub(super) fn router(hub: Arc<Hub>) -> Router {
    let stall = Duration::from_secs(hub.config.transfer.stall_seconds);
    let restores = Arc::new(Restores { bringers: Bringers::new(hub), stall });
    Router::new()
        .route("/zot/restore", post(state))
        .route("/zot/restore/{root}", get(standing))
        .route("/zot/restore/{root}/digests/{page}", put(digests))
        .layer(DefaultBodyLimit::max(MAX_PACKET))
        .route("/zot/restore/{root}/{first}", put(bring))
        .with_state(restores)
}

async fn state(
    State(restores): State<Arc<Restores>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    if kind != Some(PACKET_TYPE.as_bytes()) {
        return hint(&Refusal::with(Code::Malformed, "another content type"));
    }
    said(restores.bringers.take(&body).await)
}

async fn standing(
    State(restores): State<Arc<Restores>>,
    Path(root): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let answer = async {
        let (statement, root) = (statement(&headers)?, digest(&root)?);
        restores.bringers.standing(&statement, root).await
    };
    said(answer.await)
}

async fn digests(
    State(restores): State<Arc<Restores>>,
    Path((root, page)): Path<(String, u32)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let answer = async {
        let (statement, root) = (statement(&headers)?, digest(&root)?);
        let sent: Page = codec::decode_map(&body)?;
        let (digests, path) = (split(&sent.digests)?, split(&sent.path)?);
        restores.bringers.digests(&statement, root, page, digests, path).await?;
        Ok(serde_json::json!({}))
    };
    said(answer.await)
}

async fn bring(
    State(restores): State<Arc<Restores>>,
    Path((root, first)): Path<(String, u32)>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut pieces = body.into_data_stream();
    let answer = async {
        let (statement, root) = (statement(&headers)?, digest(&root)?);
        pour(&restores, &statement, root, first, &mut pieces).await
    };
    let answer = answer.await;
    if answer.is_err() {
        drain(&restores, &mut pieces).await;
    }
    said(answer)
}

/// Some of what a refused body still brings: a connection that is closed before it may take the answer with it.
async fn drain(restores: &Restores, pieces: &mut BodyDataStream) {
    let mut left = DRAINED;
    while left > 0
        && let Ok(Some(Ok(piece))) = tokio::time::timeout(restores.stall, pieces.next()).await
    {
        left = left.saturating_sub(piece.len());
    }
}

/// BACKUP-31: as long as something comes.
async fn pour(
    restores: &Restores,
    statement: &[u8],
    root: Digest,
    first: u32,
    pieces: &mut BodyDataStream,
) -> Result<Standing, Refusal> {
    let mut taking = restores.bringers.body(statement, root, first).await?;
    while let Ok(Some(piece)) = tokio::time::timeout(restores.stall, pieces.next()).await {
        // A body that breaks off has brought what came before.
        let Ok(piece) = piece else { break };
        taking.push(piece).await?;
    }
    taking.end().await
}

/// What a request shows.
pub(super) fn statement(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let encoded = shown.and_then(|value| value.strip_prefix("Zot-Restore "));
    let encoded = encoded.ok_or_else(|| {
        Refusal::with(Code::BadSignature, "this needs `Authorization: Zot-Restore <statement>`")
    })?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded.trim().trim_end_matches('='));
    decoded.map_err(|_| Refusal::with(Code::Malformed, "the statement is not base64url"))
}

fn digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|_| Refusal::with(Code::BadField, "the root"))
}

fn split(bytes: &[u8]) -> Result<Vec<Digest>, Refusal> {
    match bytes.as_chunks() {
        (digests, []) => Ok(digests.iter().copied().map(Digest).collect()),
        _ => Err(Refusal::with(Code::BadField, "digests have 32 bytes each")),
    }
}

fn said(answer: Result<impl Serialize, Refusal>) -> Response<Body> {
    match answer {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(refusal) => hint(&refusal),
    }
}

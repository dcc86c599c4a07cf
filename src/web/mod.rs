//! HTTP: what other hubs reach.
//!
//! Owns: routes, header names, status codes, connections, how often and how slowly others may ask. Not here: what is
//! answered (`packets`).
//! Spec: PKT-10 to PKT-14, QUEUE-10, REF-3, STREAM-1, STREAM-4, STREAM-14.

mod asker;
mod doors;
mod patience;
mod restore;
mod server;
mod stream;
mod zot;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::json;
use zotferry_protocol::codec::MAX_PACKET;
use zotferry_protocol::envelope::{ALGORITHM, VERSION};
use zotferry_protocol::packets::Op;
use zotferry_protocol::refusal::Refusal;

use crate::cloud;
use crate::dav;
use crate::hub::Hub;
use crate::packets::{Pieces, Reply};
use crate::receiver::Receiver;
use crate::transport::{FRAMES_TYPE, PACKET_TYPE};

pub use server::{serve, serve_local};

/// The routes of one hub.
pub fn router(hub: Arc<Hub>, receiver: Arc<Receiver>) -> Router {
    let backups = restore::router(Arc::clone(&hub));
    let people = cloud::router(Arc::clone(&hub), Arc::clone(&receiver));
    let programs = dav::router(Arc::clone(&hub), receiver);
    let admit = from_fn_with_state(Arc::clone(&hub), asker::admit);
    Router::new()
        .route("/zot", post(zot::post))
        .route("/zot/file/{resource}/{role}/{root}", get(stream::get))
        .route("/.well-known/zot-file", get(capabilities))
        .layer(DefaultBodyLimit::max(MAX_PACKET))
        .with_state(hub)
        .merge(backups)
        .merge(people)
        .merge(programs)
        .layer(admit)
}

/// What a header of a stranger is read by; any bytes may be in it.
pub(crate) fn fuzzed(headers: &HeaderMap) {
    let path = ("f1".to_owned(), "file".to_owned(), "0".repeat(64));
    stream::ask(&path, headers).ok();
    restore::statement(headers).ok();
}

/// PKT-14: what this hub can do, for people and for other implementations.
async fn capabilities(State(hub): State<Arc<Hub>>) -> impl IntoResponse {
    axum::Json(json!({
        "protocol": "zot-file",
        "versions": [VERSION],
        "algorithms": [ALGORITHM],
        "site_id": hub.site_id,
        "url": hub.config.url,
        "site_key": hub.site_key.public().pem(),
        "packets": "/zot",
        "streams": hub.config.transfer.streaming.then_some("/zot/file/{resource}/{role}/{root}"),
        "max_packet": MAX_PACKET,
        "operations": Op::ALL.map(Op::as_str),
        "software": concat!("zotferry/", env!("CARGO_PKG_VERSION")),
    }))
}

/// A reply in HTTP.
fn respond(reply: Reply) -> Response<Body> {
    match reply {
        // PKT-11: the type of every packet.
        Reply::Packet(status, bytes) => build(status, PACKET_TYPE, Body::from(bytes)),
        // FETCH-24: 200, whatever becomes of the single items.
        Reply::Frames(pieces) => build(200, FRAMES_TYPE, body(pieces)),
        Reply::Hint(refusal) => hint(&refusal),
    }
}

/// REF-3: an unsigned refusal: a sentence for people.
fn hint(refusal: &Refusal) -> Response<Body> {
    let text = format!("{} {}: {}\n", refusal.code.number(), refusal.code, refusal.text);
    let mut response = build(refusal.code.http(), "text/plain; charset=utf-8", Body::from(text));
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn body(pieces: Pieces) -> Body {
    Body::from_stream(pieces)
}

fn build(status: u16, content_type: &str, body: Body) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")], body)
        .into_response()
}

//! `GET` and `HEAD /zot/file/{resource}/{role}/{root}`: streams with Range, ETag and If-Range.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zotferry_protocol::ids::{Digest, ResourceId, Role};
use zotferry_protocol::refusal::{Code, Refusal};

use super::{body, hint, respond};
use crate::hub::Hub;
use crate::packets::{Stream, StreamAsk, stream};
use crate::transport::STREAM_TYPE;

pub(super) async fn get(
    State(hub): State<Arc<Hub>>,
    method: Method,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    let ask = match ask(&path, &headers) {
        Ok(ask) => ask,
        Err(refusal) => return hint(&refusal),
    };
    let etag = format!("\"{}\"", ask.root);
    match stream(&hub, &ask).await {
        Stream::Content { size, range, pieces } => {
            let len = range.as_ref().map_or(size, |r| r.end - r.start);
            let pieces = if method == Method::HEAD { Body::empty() } else { body(pieces) };
            let mut response = Response::new(pieces);
            if let Some(range) = &range {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let span = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                set(&mut response, header::CONTENT_RANGE, &span);
            }
            set(&mut response, header::CONTENT_LENGTH, &len.to_string());
            set(&mut response, header::CONTENT_TYPE, STREAM_TYPE);
            set(&mut response, header::ETAG, &etag);
            set(&mut response, header::ACCEPT_RANGES, "bytes");
            response
        }
        Stream::Off => (StatusCode::NOT_FOUND, "this hub does not stream\n").into_response(),
        Stream::Unsatisfiable(size) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            response
        }
        Stream::Refused(reply) => respond(reply),
    }
}

/// STREAM-1: the path's parts and the packet of `Authorization: Zot <base64url>`.
pub(super) fn ask(
    path: &(String, String, String),
    headers: &HeaderMap,
) -> Result<StreamAsk, Refusal> {
    let bad = |what: &str| Refusal::with(Code::BadField, what);
    let text = |name: header::HeaderName| {
        headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
    };
    let credentials = text(header::AUTHORIZATION).ok_or_else(|| {
        Refusal::with(Code::BadSignature, "a stream needs `Authorization: Zot <packet>`")
    })?;
    let encoded = credentials.strip_prefix("Zot ").ok_or_else(|| bad("the scheme is Zot"))?;
    let packet = URL_SAFE_NO_PAD
        .decode(encoded.trim().trim_end_matches('='))
        .map_err(|_| bad("the packet is not base64url"))?;
    Ok(StreamAsk {
        resource: ResourceId::new(path.0.as_str()).map_err(|e| bad(e.0))?,
        role: path.1.parse::<Role>().map_err(|e| bad(e.0))?,
        root: path.2.parse::<Digest>().map_err(|e| bad(e.0))?,
        packet: packet.into(),
        range: text(header::RANGE),
        if_range: text(header::IF_RANGE),
    })
}

fn set(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

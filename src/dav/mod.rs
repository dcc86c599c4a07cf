//! WebDAV (RFC 4918): a channel's files at `/dav/<channel>/`, for programs and file managers.
//!
//! Owns: who may come in, PROPFIND, the file system that dav-server is given for the rest, locks.
//! Not here: the other methods and their headers (the crate dav-server), what they do (`files`).
//! Invariant: nothing is answered before a password has opened the channel; a file is answered as
//! stored (201, 204) only when it is durable and in the catalog; a listing that could not be read to
//! its end is cut, never shown as whole.
//!
//! | file | knows |
//! |---|---|
//! | `entrance.rs` | credentials |
//! | `visit.rs` | one request: what it is about, and an answer that WebDAV has no word for |
//! | `tree.rs` | the file system: which operation is meant by which sequence of calls |
//! | `question.rs`, `propfind.rs`, `multistatus.rs` | what is asked, what is said of it, XML |
//! | `listing.rs`, `meta.rs` | folders page by page; what is known of an entry |
//! | `download.rs`, `upload.rs`, `underway.rs` | bytes out and in; how much of a channel is on its way in |
//! | `restoring.rs`, `arrival.rs` | `.restore/`: a backup that is uploaded file by file; such a file on its way in |
//! | `props.rs`, `locks.rs` | changing dead properties; locks, which lapse |

mod arrival;
mod download;
mod entrance;
mod listing;
mod locks;
mod meta;
mod multistatus;
mod propfind;
mod props;
mod question;
mod restoring;
mod tree;
mod underway;
mod upload;
mod visit;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::any;
use dav_server::DavHandler;
use futures_util::{StreamExt as _, stream};

use crate::catalog::Channel;
use crate::hub::Hub;
use crate::receiver::Receiver;
use entrance::Entrance;
use locks::AllLocks;
use question::Question;
use tree::Tree;
use visit::Visit;

/// Content bytes read at a time.
const READ: usize = 256 << 10;
/// Bytes of a PROPFIND or another request that is not content.
const MAX_QUESTION: usize = 64 << 10;

/// What a header of a stranger is read by; any bytes may be in it.
pub(crate) fn fuzzed(headers: &axum::http::HeaderMap) {
    entrance::credentials(headers);
}

/// What the requests share.
struct Dav {
    hub: Arc<Hub>,
    receiver: Arc<Receiver>,
    locks: AllLocks,
    group: crate::files::Group,
    restoring: restoring::Restoring,
    underway: Arc<underway::Underway>,
}

/// The route of WebDAV. Its bodies have no limit here: quotas and the disk are their limit.
pub fn router(hub: Arc<Hub>, receiver: Arc<Receiver>) -> Router {
    let dav = Arc::new(Dav {
        hub,
        receiver,
        locks: AllLocks::default(),
        group: crate::files::Group::default(),
        restoring: restoring::Restoring::default(),
        underway: Arc::default(),
    });
    Router::new().route("/dav/{*path}", any(answer)).with_state(dav)
}

async fn answer(State(dav): State<Arc<Dav>>, mut request: Request) -> Response<Body> {
    let Some(nick) = nick(request.uri().path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let channel = match entrance::enter(&dav.hub, &nick, request.headers()).await {
        Entrance::Open(channel) => channel,
        Entrance::Shut(response) => return response,
    };
    let mut response = match make_sense(&mut request, &nick) {
        Ok(()) => answer_known(&dav, channel, request).await,
        Err(status) => status.into_response(),
    };
    let headers = response.headers_mut();
    // What somebody uploaded never runs in this hub's name, whatever a browser takes it for.
    let sandbox = HeaderValue::from_static("sandbox; default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, sandbox);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn answer_known(dav: &Arc<Dav>, channel: Channel, request: Request) -> Response<Body> {
    let stall = Duration::from_secs(dav.hub.config.transfer.stall_seconds);
    let (parts, body) = request.into_parts();
    let visit = Visit::new(dav, channel, &parts);
    let body = impatient(body, stall);
    if let Some(name) = restoring::below(&visit) {
        return restoring::answer(dav, &visit, name, parts, body).await;
    }
    if parts.method == Method::PUT {
        return handle(dav, &visit, parts, body).await;
    }
    let Ok(question) = axum::body::to_bytes(body, MAX_QUESTION).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if parts.method.as_str() == "PROPFIND" {
        let depth = parts.headers.get("depth").map_or("", |depth| depth.to_str().unwrap_or("?"));
        return match Question::read(&question) {
            Some(question) => propfind::answer(&visit, question, depth).await,
            None => StatusCode::BAD_REQUEST.into_response(),
        };
    }
    match question::is_modest(&question) {
        true => handle(dav, &visit, parts, Body::from(question)).await,
        false => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// A body that fails when nothing comes for too long: who went away without a word holds no place.
fn impatient(body: Body, patience: Duration) -> Body {
    let pieces = stream::unfold(body.into_data_stream(), move |mut body| async move {
        let piece = match tokio::time::timeout(patience, body.next()).await {
            Ok(piece) => piece?,
            Err(late) => Err(axum::Error::new(late)),
        };
        Some((piece, body))
    });
    Body::from_stream(pieces)
}

/// The channel's name in a path.
fn nick(path: &str) -> Option<String> {
    let first = path.strip_prefix("/dav/")?.split('/').next()?;
    let nick = percent_encoding::percent_decode_str(first).decode_utf8().ok()?;
    Some(nick.into_owned()).filter(|nick| !nick.is_empty())
}

/// Mends and refuses what dav-server would take for something else.
fn make_sense(request: &mut Request, nick: &str) -> Result<(), StatusCode> {
    // The channel's top, without the slash that says so.
    if request.uri().path().trim_start_matches("/dav/").split('/').count() == 1 {
        let uri = format!("/dav/{nick}/").parse::<Uri>();
        *request.uri_mut() = uri.map_err(|_| StatusCode::NOT_FOUND)?;
    }
    let (method, headers) = (request.method(), request.headers());
    // RFC 9110, section 14.5: a part of a file must not be taken for a whole one.
    if *method == Method::PUT && headers.contains_key(header::CONTENT_RANGE) {
        return Err(StatusCode::BAD_REQUEST);
    }
    for name in ["if", "if-match", "if-none-match", "if-range"] {
        let closed = |value: &HeaderValue| question::is_closed(value.as_bytes());
        if !headers.get_all(name).iter().all(closed) {
            return Err(StatusCode::BAD_REQUEST);
        }
    }
    // RFC 9110, section 14.2: ranges may be passed over. Several may overlap, and name a file ten thousand times over.
    if headers.get_all(header::RANGE).iter().any(|range| !is_one_range(range.as_bytes())) {
        request.headers_mut().remove(header::RANGE);
    }
    let (method, headers) = (request.method(), request.headers());
    // RFC 5789: no format of patches is known here.
    if *method == Method::PATCH {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    // RFC 4918, section 9.6.1: a folder goes with all that is in it.
    let depth = headers.get("depth").map(HeaderValue::as_bytes);
    if *method == Method::DELETE && depth.is_some_and(|d| !d.eq_ignore_ascii_case(b"infinity")) {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(())
}

/// Whether a `Range` is a single one, of places that no sum goes beyond.
fn is_one_range(value: &[u8]) -> bool {
    let numbers = value.split(|byte| !byte.is_ascii_digit());
    !value.contains(&b',') && numbers.into_iter().all(|number| number.len() <= 18)
}

/// Gives a request to dav-server.
async fn handle(dav: &Dav, visit: &Arc<Visit>, parts: Parts, body: Body) -> Response<Body> {
    let nick = &visit.channel.nick;
    let handler = DavHandler::builder()
        .filesystem(Box::new(Tree(Arc::clone(visit))))
        .locksystem(Box::new(dav.locks.of(visit.channel.id)))
        .strip_prefix(format!("/dav/{nick}/"))
        .principal(nick.as_str())
        .autoindex(false)
        .read_buf_size(READ)
        .build_handler();
    let response = handler.handle(Request::from_parts(parts, body)).await;
    let mut response = visit.verdict().unwrap_or_else(|| response.map(Body::new));
    if visit.mtime_kept() {
        response.headers_mut().insert(visit::OC_MTIME, HeaderValue::from_static("accepted"));
    }
    response
}

//! A file as a response: whole, a range of it, or that it has not changed.
//!
//! Owns: conditions and ranges of RFC 9110. Not here: who may see it, what a browser may do with it.
//! Invariant: the validator is the content's root, so a response never joins bytes of two contents.

use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};
use zotferry_protocol::ids::{Digest, Role};

use super::headers::{self, set};
use super::{Ask, Cloud, Nothing, notice};
use crate::catalog::{Attach, Channel};
use crate::packets::{Ranged, parse_range, pieces};

/// What is shown, whatever it is kept as.
pub(super) struct Shown<'a> {
    /// Names exactly these bytes.
    pub(super) etag: String,
    pub(super) size: u64,
    pub(super) name: &'a str,
    pub(super) mime: &'a str,
    /// Whether everybody may see it.
    pub(super) public: bool,
}

/// Answers a GET or HEAD of a file.
pub(super) async fn serve(
    cloud: &Cloud,
    channel: &Channel,
    entry: &Attach,
    ask: &Ask<'_>,
    public: bool,
) -> Result<Response<Body>, Nothing> {
    let root = entry.root.ok_or(Nothing::Missing)?;
    let shown = Shown {
        etag: format!("\"{root}\""),
        size: entry.filesize,
        name: &entry.filename,
        mime: &entry.filetype,
        public,
    };
    show(ask, &shown, async |part| body(cloud, channel, entry, root, part).await).await
}

/// Answers with the part that is asked for of what `body` reads; it says `None` when nobody can give
/// it now.
pub(super) async fn show(
    ask: &Ask<'_>,
    shown: &Shown<'_>,
    body: impl AsyncFnOnce(Range<u64>) -> Result<Option<Body>, Nothing>,
) -> Result<Response<Body>, Nothing> {
    let (size, etag) = (shown.size, shown.etag.as_str());
    let dress = |mut response: Response<Body>| {
        set(&mut response, header::ETAG, etag);
        let download = ask.query.has("download");
        headers::file(&mut response, shown.name, shown.mime, download, shown.public);
        response
    };
    if text(ask.headers, header::IF_NONE_MATCH).is_some_and(|tags| names_tag(tags, etag)) {
        return Ok(dress(status(StatusCode::NOT_MODIFIED)));
    }
    // A range counts only for the content that the asker has seen the rest of.
    let same = text(ask.headers, header::IF_RANGE).is_none_or(|tag| tag == etag);
    let range = text(ask.headers, header::RANGE).filter(|_| same);
    let range = match range.map(|range| parse_range(range, size)) {
        None | Some(Ranged::Ignored) => None,
        Some(Ranged::Part(range)) => Some(range),
        Some(Ranged::Outside) => return Ok(notice::outside(size)),
    };
    if *ask.method == Method::HEAD {
        return Ok(dress(with_body(Body::empty(), range, size)));
    }
    match body(range.clone().unwrap_or(0..size)).await? {
        Some(body) => Ok(dress(with_body(body, range, size))),
        None => Ok(notice::not_now(size)),
    }
}

/// The bytes: from here, or from whoever has them, through here. `None` when nobody gives them now.
async fn body(
    cloud: &Cloud,
    channel: &Channel,
    entry: &Attach,
    root: Digest,
    part: Range<u64>,
) -> Result<Option<Body>, Nothing> {
    match cloud.hub.stored(channel.id, root).await {
        Ok(Some(content)) if content.size() == entry.filesize => {
            return Ok(Some(Body::from_stream(pieces(&cloud.hub, content, part))));
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "a file could not be opened"),
    }
    let data = cloud.hub.catalog.content_of(channel.id, &entry.hash, Role::File).await?;
    // What has been replaced just now is asked for again.
    let Some(data) = data.filter(|d| d.root == root && d.size == entry.filesize) else {
        return Ok(None);
    };
    match cloud.receiver.read(&data, part).await {
        Ok(reading) => Ok(Some(Body::from_stream(reading.into_stream()))),
        Err(error) => {
            tracing::debug!(%error, hash = %entry.hash, "a file is not here yet");
            Ok(None)
        }
    }
}

fn with_body(body: Body, range: Option<Range<u64>>, size: u64) -> Response<Body> {
    let mut response = Response::new(body);
    let len = range.as_ref().map_or(size, |range| range.end - range.start);
    if let Some(range) = range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let span = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        set(&mut response, header::CONTENT_RANGE, &span);
    }
    set(&mut response, header::CONTENT_LENGTH, &len.to_string());
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// RFC 9110, section 13.1.2: any of the tags, compared weakly, or `*`.
fn names_tag(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

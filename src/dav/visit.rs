//! One request.
//!
//! Owns: what it is about, what its calls have to tell each other, and an answer for which dav-server
//! has no error. Not here: the calls.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use dav_server::davpath::DavPath;
use dav_server::fs::FsError;
use tokio::sync::OnceCell;
use zotferry_protocol::ids::Millis;

use super::Dav;
use super::tree::names;
use crate::catalog::{CatalogError, Channel};
use crate::hub::Hub;

/// Modification time of what is uploaded, in seconds, as ownCloud's clients and rclone say it.
pub(super) const OC_MTIME: &str = "x-oc-mtime";

/// A request, shared by the calls that it becomes.
pub(super) struct Visit {
    pub(super) dav: Arc<Dav>,
    pub(super) channel: Channel,
    pub(super) method: Method,
    /// The names in its path; none where there is no sense in it, which dav-server says.
    pub(super) source: Vec<String>,
    /// The depth is 0.
    pub(super) shallow: bool,
    /// What of a file is asked for.
    pub(super) range: Option<String>,
    /// Modification time of what is uploaded.
    pub(super) mtime: Option<Millis>,
    /// What stands at the destination of a COPY or MOVE is to go when the new comes.
    pub(super) replace: AtomicBool,
    /// Whether any entry of the channel has dead properties.
    pub(super) any_props: OnceCell<bool>,
    kept_mtime: AtomicBool,
    verdict: Mutex<Option<(StatusCode, Option<u64>)>>,
}

impl Visit {
    pub(super) fn new(dav: &Arc<Dav>, channel: Channel, parts: &Parts) -> Arc<Self> {
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let path = DavPath::new(parts.uri.path()).ok();
        let source = path.and_then(|mut path| {
            path.set_prefix(&format!("/dav/{}/", channel.nick)).ok()?;
            names(&path).ok()
        });
        let source = source.unwrap_or_default();
        Arc::new(Self {
            dav: Arc::clone(dav),
            channel,
            method: parts.method.clone(),
            source,
            shallow: text("depth") == Some("0"),
            range: text("range").map(str::to_owned),
            mtime: text(OC_MTIME).and_then(mtime),
            replace: AtomicBool::new(false),
            any_props: OnceCell::new(),
            kept_mtime: AtomicBool::new(false),
            verdict: Mutex::default(),
        })
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.dav.hub
    }

    /// Decides the answer, whatever dav-server makes of the error that is given back.
    pub(super) fn decide(&self, status: StatusCode, retry_after: Option<u64>) -> FsError {
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.get_or_insert((status, retry_after));
        FsError::GeneralFailure
    }

    /// Something of this hub failed.
    pub(super) fn failed(&self, error: &dyn std::error::Error) -> FsError {
        let (channel, method) = (&self.channel.nick, &self.method);
        tracing::error!(%error, %channel, %method, "a WebDAV request failed");
        FsError::GeneralFailure
    }

    pub(super) fn catalog(&self, error: &CatalogError) -> FsError {
        match error {
            CatalogError::Full => FsError::InsufficientStorage,
            error if error.is_over_bounds() => FsError::InsufficientStorage,
            CatalogError::BadName { .. } | CatalogError::Unchangeable(_) => FsError::Forbidden,
            CatalogError::Busy => self.decide(StatusCode::SERVICE_UNAVAILABLE, Some(2)),
            error => self.failed(error),
        }
    }

    /// The answer that was decided.
    pub(super) fn verdict(&self) -> Option<Response<Body>> {
        let (status, later) = (*self.verdict.lock().unwrap_or_else(PoisonError::into_inner))?;
        let mut response = status.into_response();
        if let Some(seconds) = later {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.method == Method::PUT {
            // What of the upload has not been read is not worth waiting for.
            let close = header::HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        Some(response)
    }

    /// The modification time of the upload was stored with it.
    pub(super) fn keep_mtime(&self) {
        self.kept_mtime.store(self.mtime.is_some(), Relaxed);
    }

    pub(super) fn mtime_kept(&self) -> bool {
        self.kept_mtime.load(Relaxed)
    }
}

/// Seconds since 1970, with or without a fraction.
fn mtime(text: &str) -> Option<Millis> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let seconds: u64 = whole.parse().ok()?;
    let digits: String = part.chars().chain("000".chars()).take(3).collect();
    Some(Millis(seconds.checked_mul(1000)?.checked_add(digits.parse().ok()?)?))
        .filter(|ms| i64::try_from(ms.0).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modification_times_are_seconds() {
        for (text, ms) in [
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.5", Some(1_700_000_000_500)),
            ("1700000000.123456789", Some(1_700_000_000_123)),
            ("-1", None),
            ("", None),
            ("1.x", None),
            ("99999999999999999999", None),
            ("18446744073709551615", None),
        ] {
            assert_eq!(mtime(text).map(|ms| ms.0), ms, "{text}");
        }
    }
}

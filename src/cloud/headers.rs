//! What a browser may do with a response.
//!
//! Owns: content types that may be shown, names in `Content-Disposition`, content security policies.
//! Invariant: no file can run a script, or be taken for another type than it is sent as, in the
//! hub's name.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use crate::text::is_invisible;

/// The style of every page.
pub(super) const STYLE: &str = include_str!("../../templates/style.css");

/// A file: in a sandbox without origin, scripts, forms or requests; what a browser makes around a
/// picture may have its looks.
const FILE_POLICY: &str = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; \
    style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
/// Sound and films: the same with an origin, without which a player is not given their bytes. No
/// script runs in either sandbox.
const PLAYED_POLICY: &str = "sandbox allow-same-origin; default-src 'none'; media-src 'self'; \
    style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// A page: its own style, and nothing else.
static PAGE_POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// RFC 8187's attr-char.
const ATTR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Types that a browser may show. All else is kept for the disk.
const SHOWN: [&str; 8] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "image/x-icon",
    "text/plain",
];

pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Headers of a page.
pub(super) fn page(response: &mut Response<Body>) {
    set(response, header::CONTENT_TYPE, "text/html; charset=utf-8");
    set(response, header::CONTENT_SECURITY_POLICY, &PAGE_POLICY);
    set(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(response, header::REFERRER_POLICY, "no-referrer");
    set(response, header::CACHE_CONTROL, "private, no-cache");
    set(response, header::VARY, "Authorization");
    set(response, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
}

/// Headers of a file. One that everybody may see may be shown by other hubs' pages.
pub(super) fn file(
    response: &mut Response<Body>,
    name: &str,
    mime: &str,
    download: bool,
    public: bool,
) {
    let (mime, shown) = media_type(mime);
    set(response, header::CONTENT_TYPE, &mime);
    set(response, header::CONTENT_DISPOSITION, &disposition(name, shown && !download));
    let played = mime.starts_with("audio/") || mime.starts_with("video/");
    let policy = if played { PLAYED_POLICY } else { FILE_POLICY };
    set(response, header::CONTENT_SECURITY_POLICY, policy);
    set(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(response, header::REFERRER_POLICY, "no-referrer");
    set(response, header::VARY, "Authorization");
    let (cache, whose) = match public {
        true => ("public, no-cache", "cross-origin"),
        false => ("private, no-cache", "same-origin"),
    };
    set(response, header::CACHE_CONTROL, cache);
    set(response, HeaderName::from_static("cross-origin-resource-policy"), whose);
}

/// The type as it is sent, and whether a browser may show it. Pictures that can hold a script keep
/// their type, so that a page can show them as pictures, where they run none.
fn media_type(mime: &str) -> (String, bool) {
    let essence = mime.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let token = |part: &str| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"+-._".contains(&b);
        !part.is_empty() && part.len() <= 64 && part.bytes().all(fine)
    };
    match essence.split_once('/') {
        Some((family, kind)) if token(kind) => match family {
            "audio" | "video" => (essence, true),
            "text" if kind == "plain" => ("text/plain; charset=utf-8".into(), true),
            "image" => {
                let shown = SHOWN.contains(&essence.as_str());
                (essence, shown)
            }
            _ => ("application/octet-stream".into(), false),
        },
        _ => ("application/octet-stream".into(), false),
    }
}

/// RFC 6266: a name in ASCII for old readers, and the whole one (RFC 8187). What a person could not
/// see in it is left out.
fn disposition(name: &str, shown: bool) -> String {
    let clean: String = name.chars().map(|c| if is_invisible(c) { '_' } else { c }).collect();
    let plain = |c: char| match c {
        '"' | '\\' | '%' | '/' => '_',
        c if c.is_ascii() => c,
        _ => '_',
    };
    let ascii: String = clean.chars().map(plain).collect();
    let mut text = format!("{}; filename=\"{ascii}\"", if shown { "inline" } else { "attachment" });
    if ascii != clean {
        let whole = utf8_percent_encode(&clean, ATTR);
        write!(text, "; filename*=UTF-8''{whole}").expect("a text takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only types that cannot script are shown; what is no type becomes bytes.
    #[test]
    fn active_types_are_for_the_disk() {
        for (mime, sent, shown) in [
            ("image/jpeg", "image/jpeg", true),
            ("Image/PNG; q=1", "image/png", true),
            ("image/svg+xml", "image/svg+xml", false),
            ("text/plain", "text/plain; charset=utf-8", true),
            ("text/html", "application/octet-stream", false),
            ("text/xml", "application/octet-stream", false),
            ("application/xhtml+xml", "application/octet-stream", false),
            ("application/pdf", "application/octet-stream", false),
            ("text/javascript", "application/octet-stream", false),
            ("video/mp4", "video/mp4", true),
            ("video/\r\nx: y", "application/octet-stream", false),
            ("image/", "application/octet-stream", false),
            ("", "application/octet-stream", false),
        ] {
            assert_eq!(media_type(mime), (sent.to_owned(), shown), "{mime:?}");
        }
    }

    /// RFC 6266, RFC 8187: no name leaves its quotes, or hides its ending.
    #[test]
    fn names_stay_inside_their_header() {
        assert_eq!(disposition("a b.txt", true), "inline; filename=\"a b.txt\"");
        assert_eq!(
            disposition("a\"; filename=\"x.html\r\nX: y", false),
            "attachment; filename=\"a_; filename=_x.html__X: y\"; \
             filename*=UTF-8''a%22%3B%20filename%3D%22x.html__X%3A%20y"
        );
        assert_eq!(
            disposition("photo\u{202e}gpj.exe", false),
            "attachment; filename=\"photo_gpj.exe\""
        );
        assert_eq!(
            disposition("é%.jpg", true),
            "inline; filename=\"__.jpg\"; filename*=UTF-8''%C3%A9%25.jpg"
        );
    }
}

//! The XML of answers (RFC 4918, sections 13 to 15).
//!
//! Invariant: nothing from a name or a value becomes markup, but for properties that came as XML and
//! were parsed.

use std::fmt::Write as _;
use std::time::SystemTime;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use dav_server::ls::DavLock;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use xmltree::EmitterConfig;

/// The type of every answer.
pub(super) const XML: &str = "application/xml; charset=utf-8";
/// How an answer begins.
pub(super) const BEGIN: &str =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">";
/// How it ends.
pub(super) const END: &str = "</D:multistatus>";
/// Locks that can be had.
pub(super) const SUPPORTED_LOCKS: &str = "<D:lockentry><D:lockscope><D:exclusive/></D:lockscope>\
    <D:locktype><D:write/></D:locktype></D:lockentry>\
    <D:lockentry><D:lockscope><D:shared/></D:lockscope>\
    <D:locktype><D:write/></D:locktype></D:lockentry>";

/// Characters that stay as they are in a path: RFC 3986, section 2.3.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A name as a part of a path.
pub(super) fn encode(name: &str) -> String {
    utf8_percent_encode(name, PATH).to_string()
}

/// Text as XML. What no XML can hold is shown as U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\r' => escaped.push_str("&#13;"),
            '\t' | '\n' => escaped.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// RFC 9110, section 5.6.7.
pub(super) fn http_date(time: SystemTime) -> String {
    let stamp = Timestamp::try_from(time).ok();
    let date =
        stamp.and_then(|stamp| DateTimePrinter::new().timestamp_to_rfc9110_string(&stamp).ok());
    date.unwrap_or_default()
}

/// RFC 3339.
pub(super) fn iso_date(time: SystemTime) -> String {
    let stamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 4918, section 9.1: whole trees are not listed in one answer.
pub(super) fn finite_depth() -> Response<Body> {
    let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
        <D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>";
    (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, XML)], text).into_response()
}

/// What is said of one entry.
pub(super) struct Said<'a> {
    href: &'a str,
    found: String,
    missing: String,
}

impl<'a> Said<'a> {
    pub(super) fn of(href: &'a str) -> Self {
        Self { href, found: String::new(), missing: String::new() }
    }

    /// A property and its value, which is XML.
    pub(super) fn value(&mut self, namespace: &str, name: &str, xml: &str) {
        element(&mut self.found, namespace, name, xml);
    }

    /// A property's name.
    pub(super) fn name(&mut self, namespace: &str, name: &str) {
        element(&mut self.found, namespace, name, "");
    }

    /// A property that came as a whole element.
    pub(super) fn whole(&mut self, xml: &[u8]) {
        self.found.push_str(&String::from_utf8_lossy(xml));
    }

    /// A property that there is not.
    pub(super) fn missing(&mut self, namespace: &str, name: &str) {
        element(&mut self.missing, namespace, name, "");
    }

    pub(super) fn end(self, text: &mut String) {
        text.push_str("<D:response><D:href>");
        text.push_str(self.href);
        text.push_str("</D:href>");
        // RFC 4918, section 14.24: at least one, also when nothing was asked for.
        if !self.found.is_empty() || self.missing.is_empty() {
            propstat(text, &self.found, "200 OK");
        }
        if !self.missing.is_empty() {
            propstat(text, &self.missing, "404 Not Found");
        }
        text.push_str("</D:response>");
    }
}

fn propstat(text: &mut String, props: &str, status: &str) {
    write!(
        text,
        "<D:propstat><D:prop>{props}</D:prop><D:status>HTTP/1.1 {status}</D:status></D:propstat>"
    )
    .expect("a text takes any text");
}

fn element(text: &mut String, namespace: &str, name: &str, inside: &str) {
    let written = match namespace {
        "DAV:" => write!(text, "<D:{name}>{inside}</D:{name}>"),
        "" => write!(text, "<{name}>{inside}</{name}>"),
        other => write!(text, "<x:{name} xmlns:x=\"{}\">{inside}</x:{name}>", escape(other)),
    };
    written.expect("a text takes any text");
}

/// The locks that cover an entry.
pub(super) fn locks(locks: &[DavLock]) -> String {
    locks.iter().map(lock).collect()
}

fn lock(lock: &DavLock) -> String {
    let scope = if lock.shared { "shared" } else { "exclusive" };
    let depth = if lock.deep { "infinity" } else { "0" };
    let timeout = match lock.timeout {
        Some(time) => format!("Second-{}", time.as_secs()),
        None => "Infinite".to_owned(),
    };
    let mut owner = Vec::new();
    if let Some(element) = &lock.owner {
        let config = EmitterConfig::new().write_document_declaration(false);
        if element.write_with_config(&mut owner, config).is_err() {
            owner.clear();
        }
    }
    format!(
        "<D:activelock><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:write/></D:locktype>\
         <D:depth>{depth}</D:depth>{owner}<D:timeout>{timeout}</D:timeout>\
         <D:locktoken><D:href>{token}</D:href></D:locktoken>\
         <D:lockroot><D:href>{root}</D:href></D:lockroot></D:activelock>",
        owner = String::from_utf8_lossy(&owner),
        token = escape(&lock.token),
        root = lock.path.with_prefix().as_url_string(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// Names stay text, whatever is in them, and can be parsed again.
    #[test]
    fn nothing_becomes_markup() {
        let name = "a<b>&\"'\u{1}\n\u{e9}\u{1F600}";
        let mut said = Said::of("/dav/alice/");
        said.value("DAV:", "displayname", &escape(name));
        said.missing("urn:\"<x>", "y");
        said.missing("", "none");
        let mut text = String::from(BEGIN);
        said.end(&mut text);
        text.push_str(END);
        let parsed = xmltree::Element::parse(text.as_bytes()).expect("XML");
        let response = parsed.get_child("response").expect("one");
        let found =
            response.get_child("propstat").and_then(|p| p.get_child("prop")).expect("found");
        let shown = found.get_child("displayname").and_then(xmltree::Element::get_text);
        assert_eq!(shown.as_deref(), Some("a<b>&\"'\u{fffd}\n\u{e9}\u{1F600}"));
        assert_eq!(encode("a b/\u{e9}~"), "a%20b%2F%C3%A9~");
    }

    #[test]
    fn dates_have_their_forms() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
        assert_eq!(http_date(time), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(iso_date(time), "2023-11-14T22:13:20Z");
    }
}

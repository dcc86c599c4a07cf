//! Where URLs of the source begin in a text.
//!
//! Invariant: a URL of another host, however alike, is never taken for one.
//! Spec: TRANS-1, TRANS-3, TRANS-7.

use url::Url;
use zotferry_protocol::identity::BaseUrl;

use super::{Edit, Translation, form};

/// The changes that a text needs, in order.
pub(super) fn edits(t: &Translation<'_>, text: &str) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (colon, _) in text.match_indices("://") {
        let Some((start, path)) = hub(text, colon, &t.from.url) else { continue };
        let Some(named) = form::points(t, &text[path..]) else { continue };
        if t.from.url != t.to.url {
            edits.push(Edit { range: start..path, with: t.to.url.to_string() });
        }
        if let Some((range, with)) = named {
            edits.push(Edit { range: path + range.start..path + range.end, with });
        }
    }
    edits
}

/// Where a URL of this hub begins, and where its path does, given where its colon stands.
///
/// TRANS-1: between the host or port and the path nothing may stand, so neither user names nor
/// longer hosts come through; the rest is for the URL parser to say.
fn hub(text: &str, colon: usize, of: &BaseUrl) -> Option<(usize, usize)> {
    let start = scheme(&text[..colon])?;
    let authority = colon + 3;
    let path = authority + authority_len(&text[authority..])?;
    let url = Url::parse(&text[start..path]).ok()?;
    (url.origin().ascii_serialization() == of.as_str()).then_some((start, path))
}

/// Where the scheme before a colon begins.
fn scheme(before: &str) -> Option<usize> {
    let begins = |scheme: &str| {
        let at = before.len().checked_sub(scheme.len())?;
        let whole = before.get(at..)?.eq_ignore_ascii_case(scheme);
        let after = before[..at].chars().next_back();
        let longer = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        (whole && !after.is_some_and(longer)).then_some(at)
    };
    begins("https").or_else(|| begins("http"))
}

/// Bytes of host and port; `None` where no path follows.
fn authority_len(rest: &str) -> Option<usize> {
    let host = if rest.starts_with('[') {
        let end = rest.find(']')?;
        let address = |c: char| c.is_ascii_hexdigit() || ":.".contains(c);
        rest[1..end].chars().all(address).then_some(end + 1)?
    } else {
        rest.find(|c| !is_word(c))?
    };
    let port = match rest[host..].strip_prefix(':') {
        Some(port) => 1 + port.find(|c: char| !c.is_ascii_digit())?,
        None => 0,
    };
    rest[host + port..].starts_with('/').then_some(host + port)
}

/// What a host, a nick or an id is made of, and more that would make it another one.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "-_%.".contains(c)
}

/// TRANS-7: whether a text is nothing but the URL of an item, which is its name.
pub(super) fn names_an_item(text: &str) -> bool {
    let Some(colon) = text.find("://") else { return false };
    let path = authority_len(&text[colon + 3..]).map(|len| &text[colon + 3 + len..]);
    let named = path
        .and_then(|path| path.strip_prefix("/item/").or_else(|| path.strip_prefix("/activity/")));
    scheme(&text[..colon]) == Some(0)
        && named.is_some_and(|name| !name.is_empty() && name.chars().all(is_word))
}

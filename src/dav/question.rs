//! What a request asks for in XML (RFC 4918, section 9.1).
//!
//! Owns: reading PROPFIND; the look at other bodies before dav-server reads them.
//! Invariant: nothing that is nested deeper than any sensible question is parsed: parsers go down into
//! it on the stack.

use std::io::Cursor;

use xmltree::Element;

/// How deep elements may be nested.
const DEEPEST: usize = 64;
/// Most bytes times elements: each element that is parsed may take along all namespaces that the body declares.
const MOST_PARSED: usize = 4 << 20;
/// Most bytes of the names that one question asks for: each is said again of every entry.
const MOST_NAMED: usize = 8 << 10;

/// A property's namespace and name.
pub(super) type Name = (String, String);

/// What is to be said of each entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Everything that is worth saying unasked, and these.
    All(Vec<Name>),
    /// The names of its properties.
    Names,
    /// These.
    Some(Vec<Name>),
}

impl Question {
    /// Reads the body of a PROPFIND; an empty one asks for all. `None` when it makes no sense.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        if body.is_empty() {
            return Some(Self::All(Vec::new()));
        }
        if !is_modest(body) {
            return None;
        }
        let root = Element::parse(Cursor::new(body)).ok().filter(|root| is(root, "propfind"))?;
        let child =
            |name: &str| root.children.iter().find_map(|c| c.as_element().filter(|e| is(e, name)));
        match (child("prop"), child("propname"), child("allprop")) {
            (Some(prop), None, None) => named(prop).map(Self::Some),
            (None, Some(_), None) => Some(Self::Names),
            (None, None, Some(_)) => {
                child("include").map_or(Some(Vec::new()), named).map(Self::All)
            }
            _ => None,
        }
    }
}

fn is(element: &Element, name: &str) -> bool {
    element.name == name && element.namespace.as_deref() == Some("DAV:")
}

/// The properties that are named; `None` for more than anybody needs.
fn named(prop: &Element) -> Option<Vec<Name>> {
    let children = prop.children.iter().filter_map(|child| child.as_element());
    let names: Vec<Name> =
        children.map(|e| (e.namespace.clone().unwrap_or_default(), e.name.clone())).collect();
    let bytes: usize =
        names.iter().map(|(namespace, name)| namespace.len() + name.len() + 16).sum();
    (bytes <= MOST_NAMED).then_some(names)
}

/// Whether no element is nested too deep to be parsed, and parsing all of them takes little memory. It may take a comment
/// for elements: nobody has so many in one.
pub(super) fn is_modest(body: &[u8]) -> bool {
    let elements = body.iter().filter(|byte| **byte == b'<').count();
    if elements.saturating_mul(body.len()) > MOST_PARSED {
        return false;
    }
    let mut depth = 0_usize;
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[at + 1..];
        let end = rest.iter().position(|byte| *byte == b'>').unwrap_or(rest.len());
        match rest.first() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'!' | b'?') | None => {}
            Some(_) if end > 0 && rest[end - 1] == b'/' => {}
            Some(_) => depth += 1,
        }
        if depth > DEEPEST {
            return false;
        }
    }
    true
}

/// Whether dav-server can read the headers that are compared with entity tags and locks: it takes for
/// granted that what is opened is closed.
pub(super) fn is_closed(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let close = match first {
            b'<' => b'>',
            b'[' => b']',
            b'"' => b'"',
            _ => {
                rest = after;
                continue;
            }
        };
        let mut quoted = false;
        let end = after.iter().position(|byte| {
            quoted ^= *byte == b'"' && close != b'"';
            *byte == close && !quoted
        });
        let Some(end) = end else { return false };
        rest = &after[end + 1..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(namespace: &str, name: &str) -> Name {
        (namespace.to_owned(), name.to_owned())
    }

    #[test]
    fn questions_are_read() {
        let read = |inside: &str| {
            let text = format!("<D:propfind xmlns:D='DAV:'>{inside}</D:propfind>");
            Question::read(text.as_bytes())
        };
        assert_eq!(Question::read(b""), Some(Question::All(vec![])));
        assert_eq!(read("<D:allprop/>"), Some(Question::All(vec![])));
        assert_eq!(
            read("<D:allprop/><D:include><D:quota-used-bytes/></D:include>"),
            Some(Question::All(vec![name("DAV:", "quota-used-bytes")]))
        );
        assert_eq!(read("<D:propname/>"), Some(Question::Names));
        assert_eq!(
            read("<D:prop><D:getetag/><x xmlns='urn:x'/><none/></D:prop>"),
            Some(Question::Some(vec![
                name("DAV:", "getetag"),
                name("urn:x", "x"),
                name("", "none")
            ]))
        );
        for wrong in ["", "<D:prop/><D:allprop/>", "<prop/>", "<D:prop>"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(Question::read(b"<propfind/>"), None);
        assert_eq!(Question::read(b"no XML"), None);
    }

    /// Some kilobytes of opening tags would end the program, not the request.
    #[test]
    fn nothing_deep_is_parsed() {
        let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert!(is_modest(deep(DEEPEST).as_bytes()));
        assert!(!is_modest(deep(DEEPEST + 1).as_bytes()));
        assert!(!is_modest("<a b=''>".repeat(8000).as_bytes()));
        assert!(is_modest("<a/><b></b>".repeat(300).as_bytes()));
        assert!(is_modest(b"<?xml version='1.0'?><!-- <> --><a"));
        assert_eq!(Question::read("<a>".repeat(20_000).as_bytes()), None);
    }

    #[test]
    fn what_is_opened_is_closed() {
        for whole in ["", "*", "\"a\"", "(<urn:x> [\"a]\"]) (Not <DAV:no-lock>)", "W/\"a\", \"b\""]
        {
            assert!(is_closed(whole.as_bytes()), "{whole}");
        }
        for cut in ["\"", "(<urn:x", "(<urn:x> [\"a\"", "([\"a]", "\"a\", \""] {
            assert!(!is_closed(cut.as_bytes()), "{cut}");
        }
    }

    /// Names that would be said again of every entry are bounded, and so is what namespaces cost to be parsed. (One request
    /// for 7,000 names in a namespace of 20 KB took 550 MiB.)
    #[test]
    fn questions_are_bounded() {
        let ask = |namespace: usize, names: usize| {
            let namespace = "n".repeat(namespace);
            let inside = "<x:a/>".repeat(names);
            let text = format!(
                "<D:propfind xmlns:D='DAV:' xmlns:x='{namespace}'><D:prop>{inside}</D:prop></D:propfind>"
            );
            Question::read(text.as_bytes()).is_some()
        };
        assert!(ask(30, 100));
        assert!(!ask(20_000, 7000), "as it was sent");
        assert!(!ask(20_000, 2) && !ask(5, 2000));
        assert!(is_modest(&[&b"<a>"[..], &[b'x'; 60_000], b"</a>"].concat()));
        assert!(!is_modest(&b"<a/>".repeat(16_000)));
    }
}

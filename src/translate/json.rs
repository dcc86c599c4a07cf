//! Strings inside JSON text: each is translated as what it stands for, and all else keeps its bytes.
//!
//! Spec: TRANS-6, TRANS-7.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::{Edit, Translation, find};

/// How deep JSON may stand in strings of JSON.
const DEEPEST: usize = 4;
/// Members whose value names an item, if it is its URL.
const NAMES: [&str; 4] = ["id", "inReplyTo", "context", "conversation"];

/// The changes that a value needs: JSON inside its strings, anything else as text. `key` is the
/// member that it is the value of.
pub(super) fn edits(t: &Translation<'_>, text: &str, key: &str) -> Vec<Edit> {
    value(t, text, key, DEEPEST)
}

fn value(t: &Translation<'_>, text: &str, key: &str, depth: usize) -> Vec<Edit> {
    if NAMES.contains(&key) && find::names_an_item(text) {
        return Vec::new();
    }
    if depth > 0 && is_json(text) {
        return inside(t, text, depth - 1);
    }
    find::edits(t, text)
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A map or list that is open.
struct Open {
    is_map: bool,
    /// The member whose value is being read.
    key: String,
    wants_key: bool,
}

fn inside(t: &Translation<'_>, json: &str, depth: usize) -> Vec<Edit> {
    let (mut edits, mut open): (Vec<Edit>, Vec<Open>) = (Vec::new(), Vec::new());
    let bytes = json.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let top = open.last_mut();
        match (bytes[at], top) {
            (b'{' | b'[', top) => {
                let key = top.map_or_else(String::new, |top| top.key.clone());
                let is_map = bytes[at] == b'{';
                open.push(Open { is_map, key, wants_key: is_map });
            }
            (b'}' | b']', _) => drop(open.pop()),
            (b',', Some(top)) => top.wants_key = top.is_map,
            (b':', Some(top)) => top.wants_key = false,
            (b'"', top) => {
                let literal = Literal::read(json, at + 1);
                at = literal.raw.end;
                match top {
                    Some(top) if top.wants_key => top.key = literal.text,
                    top => {
                        let key = top.map_or("", |top| top.key.as_str());
                        let found = value(t, &literal.text, key, depth);
                        edits.extend(found.into_iter().map(|edit| literal.outside(json, edit)));
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    edits
}

/// A string of JSON, without its quotes.
struct Literal {
    raw: Range<usize>,
    /// What it stands for.
    text: String,
    /// For each byte of `text`, and its end, where it stands in the JSON.
    places: Vec<usize>,
}

impl Literal {
    /// Reads a string of JSON that is known to be well-formed, from behind its quote.
    fn read(json: &str, start: usize) -> Self {
        let (mut text, mut places) = (String::new(), Vec::new());
        let mut chars = json[start..].char_indices().map(|(at, c)| (start + at, c));
        let mut end = json.len();
        while let Some((at, c)) = chars.next() {
            let c = match c {
                '"' => {
                    end = at;
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, 'u')) => {
                        let (c, digits) = escaped(&json[at..]);
                        chars.nth(digits - 3);
                        c
                    }
                    Some((_, c)) => plain(c),
                    None => break,
                },
                c => c,
            };
            places.resize(places.len() + c.len_utf8(), at);
            text.push(c);
        }
        places.push(end);
        Self { raw: start..end, text, places }
    }

    /// A change of the text as a change of the JSON.
    fn outside(&self, json: &str, edit: Edit) -> Edit {
        let range = self.places[edit.range.start]..self.places[edit.range.end];
        let escaped = json[range.clone()].contains("\\/");
        let with = if escaped { edit.with.replace('/', "\\/") } else { edit.with };
        Edit { range, with }
    }
}

/// The character of `\u` and four digits, or of two such that belong together, and how long that is.
fn escaped(text: &str) -> (char, usize) {
    let unit = |at: usize| text.get(at..at + 4).and_then(|d| u16::from_str_radix(d, 16).ok());
    let first = unit(2).unwrap_or(0xfffd);
    let second = text.get(6..8).filter(|mark| *mark == "\\u").and_then(|_| unit(8));
    let decoded = |units: &[u16]| match char::decode_utf16(units.iter().copied()).next() {
        Some(Ok(c)) => Some(c),
        _ => None,
    };
    if let Some(c) = decoded(&[first]) {
        return (c, 6);
    }
    match second.and_then(|second| decoded(&[first, second])) {
        Some(c) => (c, 12),
        None => (char::REPLACEMENT_CHARACTER, 6),
    }
}

fn plain(escape: char) -> char {
    match escape {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        other => other,
    }
}

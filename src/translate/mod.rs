//! URL translation: what points to the channel on one hub points to it on another.
//!
//! Owns: which URLs of a text point to the channel, and what becomes of them. Not here: which
//! resources and items are the channel's (an [`Owns`] says), signatures, where rows are kept.
//! Invariant: no I/O, and no byte changes but a URL's scheme, host and port, and the nick or number
//! in its path.
//!
//! | file | knows |
//! |---|---|
//! | `find.rs` | where URLs of a hub begin in a text |
//! | `form.rs` | which paths point to the channel |
//! | `json.rs` | strings inside JSON text, escapes kept |
//! | `row.rs` | which fields of an item's row are translated, and how |
//!
//! Spec: TRANS-1 to TRANS-7.

mod find;
mod form;
mod json;
mod row;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::ids::ResourceId;

/// Where a channel lives, as URLs say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The hub.
    pub url: BaseUrl,
    /// The channel's name there.
    pub nick: String,
    /// The channel's number there, which stands in URLs of profile photos.
    pub uid: Option<u64>,
}

/// Whose a thing is that a URL names without naming a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The channel's.
    Channel,
    /// Somebody else's.
    Other,
    /// It may become known later.
    Unknown,
}

/// Says whose resources and items are.
pub trait Owns {
    /// An entry, by its hash.
    fn resource(&self, id: &ResourceId) -> Whose;
    /// An item, by its UUID.
    fn item(&self, uuid: &str) -> Whose;
}

/// From one home of a channel to another.
pub struct Translation<'a> {
    from: &'a Home,
    to: &'a Home,
    owns: &'a dyn Owns,
    unknown: Cell<bool>,
}

/// One change to a text.
struct Edit {
    range: Range<usize>,
    with: String,
}

impl<'a> Translation<'a> {
    /// From where a text was written to where it is shown.
    pub fn new(from: &'a Home, to: &'a Home, owns: &'a dyn Owns) -> Self {
        Self { from, to, owns, unknown: Cell::new(false) }
    }

    /// A text: plain, bbcode or HTML.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        applied(text, &find::edits(self, text))
    }

    /// A text that may be JSON, and is translated inside its strings if so.
    pub fn json<'t>(&self, text: &'t str) -> Cow<'t, str> {
        applied(text, &json::edits(self, text, ""))
    }

    /// Whether anything that was translated so far named a thing of which nobody knows whose it is.
    pub fn met_unknown(&self) -> bool {
        self.unknown.get()
    }

    /// Whether any of a thing's possible names is the channel's.
    fn is_ours(&self, names: impl IntoIterator<Item = Whose>) -> bool {
        let mut unknown = true;
        for whose in names {
            match whose {
                Whose::Channel => return true,
                Whose::Other => unknown = false,
                Whose::Unknown => {}
            }
        }
        self.unknown.set(self.unknown.get() || unknown);
        false
    }
}

/// A text with changes, which stand in order and do not overlap. TRANS-5: all else is copied, so that the way
/// back finds what the way there found.
fn applied<'t>(text: &'t str, edits: &[Edit]) -> Cow<'t, str> {
    if edits.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for edit in edits {
        out.push_str(&text[at..edit.range.start]);
        out.push_str(&edit.with);
        at = edit.range.end;
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

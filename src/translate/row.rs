//! The row of an item: which of its fields are translated, and how.
//!
//! Invariant: what is not translated keeps its bytes, known or not.
//! Spec: ITEM-7, TRANS-3, TRANS-6, TRANS-7, the table of fields in the chapter on items.

use std::borrow::Cow;
use std::ops::Range;

use zotferry_protocol::codec::{self, MAX_DEPTH};
use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::raw::{self, RawError};

use super::{Owns, Translation, Whose, find, json};

/// Fields that are text, bbcode or HTML.
const TEXT: [&str; 5] = ["title", "summary", "body", "html", "permalink"];
/// Fields that are JSON, as values or as text. TRANS-7: those that name items are in neither list.
const JSON: [&str; 8] = ["object", "target", "attach", "tags", "term", "author", "owner", "source"];

/// A value of the row that changes: where it stands, and what stands there then.
type Patch = (Range<usize>, Vec<u8>);

impl Translation<'_> {
    /// The row of an item, a MessagePack map.
    pub fn row<'r>(&self, row: &'r [u8]) -> Result<Cow<'r, [u8]>, RawError> {
        let mut patches = Vec::new();
        for (name, value) in raw::entries(row, MAX_DEPTH)? {
            if TEXT.contains(&name) {
                self.put(row, value, self.text(raw::text(value).unwrap_or("")), &mut patches);
            } else if name == "llink" {
                self.link_of_this_hub().local(row, value, &mut patches);
            } else if JSON.contains(&name) {
                self.value(row, value, name, MAX_DEPTH - 1, &mut patches)?;
            }
        }
        Ok(patched(row, &patches))
    }

    /// A value of JSON, however it is kept.
    fn value(
        &self,
        row: &[u8],
        value: &[u8],
        key: &str,
        depth: usize,
        patches: &mut Vec<Patch>,
    ) -> Result<(), RawError> {
        let below = depth.saturating_sub(1);
        if raw::is_map(value) {
            for (key, value) in raw::entries(value, depth)? {
                self.value(row, value, key, below, patches)?;
            }
        } else if raw::is_list(value) {
            for element in raw::elements(value, depth)? {
                self.value(row, element, key, below, patches)?;
            }
        } else if let Some(text) = raw::text(value) {
            let new = super::applied(text, &json::edits(self, text, key));
            self.put(row, value, new, patches);
        }
        Ok(())
    }

    fn put(&self, row: &[u8], value: &[u8], new: Cow<'_, str>, patches: &mut Vec<Patch>) {
        let Cow::Owned(new) = new else { return };
        let start = value.as_ptr() as usize - row.as_ptr() as usize;
        patches.push((start..start + value.len(), codec::encode(&new)));
    }

    fn link_of_this_hub(&self) -> ThisHub<'_> {
        ThisHub(Translation::new(self.from, self.to, self))
    }
}

/// `llink` is where the hub itself shows an item, whoever wrote that.
struct ThisHub<'a>(Translation<'a>);

impl ThisHub<'_> {
    fn local(&self, row: &[u8], value: &[u8], patches: &mut Vec<Patch>) {
        let text = raw::text(value).unwrap_or("");
        self.0.put(row, value, super::applied(text, &find::edits(&self.0, text)), patches);
    }
}

impl Owns for Translation<'_> {
    fn resource(&self, id: &ResourceId) -> Whose {
        self.owns.resource(id)
    }

    fn item(&self, _: &str) -> Whose {
        Whose::Channel
    }
}

fn patched<'r>(row: &'r [u8], patches: &[Patch]) -> Cow<'r, [u8]> {
    if patches.is_empty() {
        return Cow::Borrowed(row);
    }
    let mut out = Vec::with_capacity(row.len() + 256);
    let mut at = 0;
    for (range, bytes) in patches {
        out.extend_from_slice(&row[at..range.start]);
        out.extend_from_slice(bytes);
        at = range.end;
    }
    out.extend_from_slice(&row[at..]);
    Cow::Owned(out)
}

//! Who wrote an item, and whose it is: rows of `xchan`, as items name people when they travel.
//!
//! Not here: whether an item is the channel's own (`items`).
//! Invariant: a person whom the database does not know keeps the id alone.
//! Spec: ITEM-7.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::table::Fields;

/// The columns that are needed.
pub(super) const XCHAN: &[&str] = &[
    "xchan_hash",
    "xchan_guid",
    "xchan_guid_sig",
    "xchan_pubkey",
    "xchan_photo_mimetype",
    "xchan_photo_m",
    "xchan_addr",
    "xchan_url",
    "xchan_name",
    "xchan_network",
];
/// A column of `item`, and the field of an item that travels.
const NAMED: [(&str, &str); 2] = [("author_xchan", "author"), ("owner_xchan", "owner")];

/// People by their ids.
pub(super) type People = HashMap<String, Value>;

/// The ids of all who are named by some items.
pub(super) fn named<'a>(items: impl IntoIterator<Item = &'a Fields>) -> BTreeSet<String> {
    let ids = |fields: &'a Fields| NAMED.iter().filter_map(|(column, _)| id(fields, column));
    items.into_iter().flat_map(ids).map(str::to_owned).collect()
}

/// An item with the people that it names.
pub(super) fn with_people(mut fields: Fields, people: &People) -> Fields {
    for (column, field) in NAMED {
        let person = id(&fields, column).and_then(|id| people.get(id)).cloned();
        if let Some(person) = person {
            fields.insert(field.to_owned(), person);
        }
    }
    fields
}

fn id<'a>(fields: &'a Fields, column: &str) -> Option<&'a str> {
    fields.get(column).and_then(Value::as_str).filter(|id| !id.is_empty())
}

/// A row of `xchan`: its id, and the person.
pub(super) fn person(row: &Fields) -> (String, Value) {
    let text = |column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default();
    let person = json!({
        "name": text("xchan_name"),
        "address": text("xchan_addr"),
        "url": text("xchan_url"),
        "network": text("xchan_network"),
        "photo": { "mimetype": text("xchan_photo_mimetype"), "src": text("xchan_photo_m") },
        "id": text("xchan_guid"),
        "id_sig": text("xchan_guid_sig"),
        "key": text("xchan_pubkey"),
    });
    (text("xchan_hash").to_owned(), person)
}

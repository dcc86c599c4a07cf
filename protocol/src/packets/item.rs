//! One item: a post, comment or like that sits on an entry, under the names of Hubzilla's sync packets.
//!
//! Owns: the element of an operation's `item` list and its limits. Not here: URLs inside the row, its
//! signature, what a hub does with it.
//! Invariant: a row that was checked holds nothing but what JSON can hold, so that hub software can read it.
//! Spec: ITEM-1 to ITEM-5.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::codec::{self, MAX_DEPTH};
use crate::identity::BaseUrl;
use crate::raw::{self, RawError};
use crate::refusal::{Code, Refusal};
use crate::version::Version;

/// ITEM-2: the largest row of an item, in bytes.
pub const MAX_ITEM: usize = 512 << 10;
/// ITEM-2: most fields in a row.
const MAX_FIELDS: usize = 256;
/// ITEM-3: fields that mean something on one hub only.
const LOCAL: [&str; 4] = ["id", "aid", "uid", "parent"];

/// A post, comment or like as it travels. It is a register of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its message id: its name on every clone, for ever.
    #[serde(deserialize_with = "codec::short_text::<_, 255>")]
    pub mid: String,
    /// The row; none once the item was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<ItemRow>,
    /// Of the whole row.
    pub version: Version,
    /// ITEM-5: base URL of the hub in whose form the row is.
    pub url: BaseUrl,
    /// The channel's nick there.
    #[serde(deserialize_with = "codec::short_text::<_, 64>")]
    pub nick: String,
    /// The channel's number there, which stands in URLs of profile photos.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u64>,
}

/// The row as a MessagePack map, byte by byte as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemRow(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// ITEM-1: each item once, each by its rules.
pub(super) fn check(items: &[Item]) -> Result<(), Refusal> {
    let mids: BTreeSet<&str> = items.iter().map(|item| item.mid.as_str()).collect();
    if mids.len() != items.len() {
        return Err(bad("an item stands twice"));
    }
    items.iter().try_for_each(Item::check)
}

impl Item {
    /// ITEM-1, ITEM-2, ITEM-5: names, and a row that bears its own.
    pub fn check(&self) -> Result<(), Refusal> {
        if !is_name(&self.mid)
            || !is_name(&self.nick)
            || i64::try_from(self.uid.unwrap_or(0)).is_err()
        {
            return Err(bad("an item or its channel has no good name or number"));
        }
        let Some(row) = &self.row else { return Ok(()) };
        row.check()?;
        match row.text("message_id") {
            Some(mid) if mid == self.mid => Ok(()),
            _ => Err(bad("an item's row bears another name")),
        }
    }
}

impl ItemRow {
    /// ITEM-2, ITEM-3: a map within the limits, that JSON could hold, of no hub's own numbers.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.0.len() > MAX_ITEM {
            return Err(bad(format_args!("an item of {} bytes", self.0.len())));
        }
        let fields = raw::entries(&self.0, MAX_DEPTH).map_err(bad)?;
        let names: BTreeSet<_> = fields.iter().map(|(name, _)| *name).collect();
        if fields.len() > MAX_FIELDS || names.len() != fields.len() {
            return Err(bad("an item with too many fields, or one that stands twice"));
        }
        if LOCAL.iter().any(|name| names.contains(name)) {
            return Err(bad("an item with a hub's own numbers"));
        }
        fields.iter().try_for_each(|(_, value)| plain(value, MAX_DEPTH - 1)).map_err(bad)?;
        if !self.text("uuid").is_some_and(is_name) || self.text("body").is_none() {
            return Err(bad("an item without uuid or body"));
        }
        Ok(())
    }

    /// The raw value of a field.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let fields = raw::entries(&self.0, MAX_DEPTH).ok()?;
        fields.into_iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// A field that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        raw::text(self.field(name)?)
    }

    /// ITEM-3: whether a field means something on one hub only.
    pub fn is_local(name: &str) -> bool {
        LOCAL.contains(&name)
    }
}

fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len()) && !text.contains('\0')
}

fn bad(why: impl std::fmt::Display) -> Refusal {
    Refusal::with(Code::BadField, why)
}

/// Whether JSON could hold a value: no byte strings, no keys but text, no infinities.
fn plain(value: &[u8], depth: usize) -> Result<(), RawError> {
    let below = depth.saturating_sub(1);
    if raw::is_map(value) {
        return raw::entries(value, depth)?.iter().try_for_each(|(_, v)| plain(v, below));
    }
    if raw::is_list(value) {
        return raw::elements(value, depth)?.iter().try_for_each(|v| plain(v, below));
    }
    let fits = match value.first() {
        Some(0xc4..=0xc6) => false,
        Some(0xa0..=0xbf | 0xd9..=0xdb) => raw::text(value).is_some(),
        Some(0xca | 0xcb) => codec::decode::<f64>(value).is_ok_and(f64::is_finite),
        _ => true,
    };
    if fits { Ok(()) } else { Err(RawError::Marker) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ids::{Millis, ReplicaId};

    fn row(changes: &[(&str, Vec<u8>)]) -> ItemRow {
        let mut fields: BTreeMap<&str, Vec<u8>> = ["message_id", "uuid", "body"]
            .map(|name| (name, codec::encode(&format!("the {name}"))))
            .into();
        fields.extend(changes.iter().cloned());
        let mut bytes = Vec::new();
        rmp::encode::write_map_len(&mut bytes, fields.len() as u32).expect("memory");
        for (name, value) in fields {
            rmp::encode::write_str(&mut bytes, name).expect("memory");
            bytes.extend(value);
        }
        ItemRow(bytes)
    }

    fn item(row: ItemRow) -> Item {
        Item {
            mid: "the message_id".into(),
            row: Some(row),
            version: Version::edit(None, ReplicaId([1; 8]), Millis(1)).expect("a first edit"),
            url: BaseUrl::parse("https://a.example").expect("a URL"),
            nick: "alice".into(),
            uid: None,
        }
    }

    /// ITEM-2: a row is what hub software can read as JSON, whatever else it holds.
    #[test]
    fn a_row_is_what_json_can_hold() {
        let nested = codec::encode(&BTreeMap::from([("later", vec![Some(1.5), None])]));
        assert_eq!(item(row(&[("object", nested)])).check(), Ok(()));
        for (name, value) in [
            ("bytes", vec![0xc4, 1, 7]),
            ("not UTF-8", vec![0xa1, 0xff]),
            ("infinite", codec::encode(&f64::INFINITY)),
            ("a key that is a number", vec![0x81, 1, 1]),
            ("deep", [vec![0x91; 16], vec![0xc0]].concat()),
            ("body", vec![0xc0]),
            ("uuid", codec::encode(&"nul\0")),
            ("uid", vec![2]),
        ] {
            let refused = item(row(&[(name, value)])).check().expect_err(name);
            assert_eq!(refused.code, Code::BadField, "{name}");
        }
    }

    /// ITEM-1: an item stands once, under its own name.
    #[test]
    fn an_item_bears_its_name() {
        let other = row(&[("message_id", codec::encode(&"another"))]);
        assert_eq!(item(other).check().expect_err("another").code, Code::BadField);
        let one = item(row(&[]));
        assert_eq!(check(std::slice::from_ref(&one)), Ok(()));
        let large = Item { uid: Some(1 << 63), ..one.clone() };
        assert_eq!(large.check().expect_err("ITEM-5").code, Code::BadField);
        assert_eq!(check(&[one.clone(), one]).expect_err("twice").code, Code::BadField);
    }

    /// ITEM-4: a removed item has no row, and encodes and decodes like any.
    #[test]
    fn a_removed_item_has_no_row() {
        let gone = Item { row: None, uid: Some(2), ..item(row(&[])) };
        assert_eq!(gone.check(), Ok(()));
        assert_eq!(codec::decode_owned(&codec::encode(&gone)), Ok(gone));
    }
}

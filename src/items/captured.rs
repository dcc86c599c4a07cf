//! Items in the JSON of hub software: one, a list of them, or a whole sync packet of Hubzilla's.
//!
//! Owns: finding them, column names to the names that travel, JSON to a row. Not here: on which entry
//! an item sits.
//! Spec: ITEM-2, ITEM-3, the table of fields in the chapter on items.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zotferry_protocol::codec;
use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::packets::ItemRow;

/// Hubzilla's `item` columns and the names under which they travel.
const COLUMNS: [(&str, &str); 11] = [
    ("mid", "message_id"),
    ("parent_mid", "message_top"),
    ("thr_parent", "message_parent"),
    ("plink", "permalink"),
    ("obj", "object"),
    ("obj_type", "object_type"),
    ("tgt_type", "target_type"),
    ("sig", "signature"),
    ("coord", "longlat"),
    ("public_policy", "public_scope"),
    ("comment_policy", "comment_scope"),
];

/// Why JSON is no item.
#[derive(Debug, thiserror::Error)]
pub enum NoItem {
    /// Neither an item nor a list nor a packet with items.
    #[error("neither an item, nor a list of items, nor a sync packet that holds some")]
    Form,
    /// An item that may not be.
    #[error("{mid}: {why}", mid = crate::text::visible(.0), why = .1)]
    Bad(String, String),
}

/// The home that a packet was written at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relocate {
    /// The hub.
    pub url: BaseUrl,
    /// The channel's nick there.
    pub channel_address: String,
}

/// Items as hub software hands them over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Captured {
    /// Each as JSON.
    pub items: Vec<Value>,
    /// Where they were written, if the packet says so; else here.
    pub at: Option<Relocate>,
}

/// One item, ready to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Its name.
    pub mid: String,
    /// Its row as it travels.
    pub row: ItemRow,
    /// The channel's number in the hub software, if it tells it.
    pub uid: Option<u64>,
}

impl Captured {
    /// The items in a text. A first line that is no JSON (captured traffic has its signature there) is
    /// left out.
    pub fn read(text: &str) -> Result<Self, NoItem> {
        let json = match text.trim_start().starts_with(['{', '[']) {
            true => text,
            false => text.split_once('\n').map_or("", |(_, rest)| rest),
        };
        Self::find(serde_json::from_str(json).map_err(|_| NoItem::Form)?)
    }

    /// The items in a value.
    pub fn find(value: Value) -> Result<Self, NoItem> {
        match value {
            Value::Array(items) => Ok(Self { items, at: None }),
            Value::Object(map) if is_item(&map) => {
                Ok(Self { items: vec![Value::Object(map)], at: None })
            }
            Value::Object(mut map) => {
                let inner = match map.remove("data") {
                    Some(Value::String(text)) => serde_json::from_str(&text).ok(),
                    other => other,
                };
                let map = match inner {
                    Some(Value::Object(inner)) => inner,
                    _ => map,
                };
                Self::packet(map)
            }
            _ => Err(NoItem::Form),
        }
    }

    fn packet(mut packet: Map<String, Value>) -> Result<Self, NoItem> {
        let at = packet.remove("relocate").and_then(|at| serde_json::from_value(at).ok());
        let mut items = list(packet.remove("item"));
        let files = list(packet.remove("file"));
        if files.is_empty() && items.is_empty() {
            return Err(NoItem::Form);
        }
        for mut file in files {
            items.extend(list(file.get_mut("item").map(Value::take)));
        }
        Ok(Self { items, at })
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn is_item(map: &Map<String, Value>) -> bool {
    map.contains_key("message_id") || map.contains_key("mid")
}

impl Handed {
    /// An item out of its JSON: column names become those that travel, numbers of the hub are left out.
    pub fn of(value: Value) -> Result<Self, NoItem> {
        let Value::Object(mut map) = value else { return Err(NoItem::Form) };
        for (column, name) in COLUMNS {
            if let Some(value) = map.remove(column) {
                map.entry(name).or_insert(value);
            }
        }
        let mid = map.get("message_id").and_then(Value::as_str).unwrap_or("").to_owned();
        let bad = |why: String| NoItem::Bad(mid.clone(), why);
        if !(1..=255).contains(&mid.len()) || mid.contains('\0') {
            return Err(bad("its message_id is missing or too long".into()));
        }
        let uid = map.get("uid").and_then(Value::as_u64);
        map.retain(|name, _| !ItemRow::is_local(name));
        let row = ItemRow(codec::encode(&map));
        row.check().map_err(|refusal| bad(refusal.to_string()))?;
        Ok(Self { mid, row, uid })
    }
}

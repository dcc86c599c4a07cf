//! The fields of an item's row that this hub looks at.
//!
//! Invariant: a field that is set changes no other byte of the row but the count of its fields.

use serde::Deserialize;
use zotferry_protocol::codec::{self, MAX_DEPTH};
use zotferry_protocol::identity::{PublicKey, portable_id};
use zotferry_protocol::ids::{PortableId, ResourceId};
use zotferry_protocol::packets::ItemRow;
use zotferry_protocol::raw;

use super::ItemError;
use crate::catalog::Channel;

/// An author as sync packets carry one: a guid and a key.
#[derive(Deserialize)]
struct Author {
    #[serde(default)]
    id: String,
    #[serde(default)]
    key: String,
}

/// Portable id of the author of a row; empty where there is none, as for authors of other networks.
pub fn author(row: &ItemRow, channel: &Channel) -> String {
    if let Some(xchan) = row.text("author_xchan") {
        return PortableId::new(xchan).map_or_else(|_| String::new(), |id| id.to_string());
    }
    let named: Option<Author> = row.field("author").and_then(|raw| codec::decode_owned(raw).ok());
    let Some(Author { id, key }) = named else { return String::new() };
    // The id is that of the channel's first key, also when the key has been changed.
    if id == channel.guid && key == channel.public_pem {
        return channel.portable_id.to_string();
    }
    PublicKey::from_pem(&key)
        .map_or_else(|_| String::new(), |key| portable_id(&id, &key).to_string())
}

/// Entries to which a row refers by itself: its `resource_id`, else what its `attach` names, in order.
pub fn attached(row: &ItemRow) -> Vec<ResourceId> {
    if let Some(id) = row.text("resource_id").filter(|id| !id.is_empty()) {
        return ResourceId::new(id).into_iter().collect();
    }
    let Some(attach) = row.field("attach") else { return Vec::new() };
    let listed: Option<serde_json::Value> = match raw::text(attach) {
        Some(text) => serde_json::from_str(text).ok(),
        None => codec::decode_owned(attach).ok(),
    };
    let Some(serde_json::Value::Array(listed)) = listed else { return Vec::new() };
    let named = listed.iter().filter_map(|element| {
        let hash = element["hash"].as_str();
        hash.or_else(|| element["href"].as_str()?.split_once("/attach/").map(|(_, id)| id))
    });
    named.filter_map(|id| ResourceId::new(id.split('/').next().unwrap_or(id)).ok()).collect()
}

/// A row in which one field has another value; it is added if it was not there.
pub fn set_field(row: &[u8], name: &str, value: &[u8]) -> Result<Vec<u8>, ItemError> {
    let fields = raw::entries(row, MAX_DEPTH).map_err(|e| ItemError::Row(e.to_string()))?;
    let Some((_, old)) = fields.iter().find(|(field, _)| *field == name) else {
        let header = match row.first() {
            Some(0xde) => 3,
            Some(0xdf) => 5,
            _ => 1,
        };
        let mut out = map_header(fields.len() + 1);
        out.extend_from_slice(&row[header..]);
        out.extend(codec::encode(&name));
        out.extend_from_slice(value);
        return Ok(out);
    };
    let at = old.as_ptr() as usize - row.as_ptr() as usize;
    Ok([&row[..at], value, &row[at + old.len()..]].concat())
}

fn map_header(fields: usize) -> Vec<u8> {
    match u8::try_from(fields) {
        Ok(few) if few < 16 => vec![0x80 | few],
        _ => [&[0xde], &u16::try_from(fields).unwrap_or(u16::MAX).to_be_bytes()[..]].concat(),
    }
}

//! What rows have in common: maps of a database's columns that travel as a `bin`.
//!
//! Owns: reading the known columns by type, and the others as they are. Not here: which columns a row has.
//! Spec: SYNC-7, SYNC-18, PHOTO-1, PHOTO-3.

use std::collections::BTreeSet;

use rmp::encode::{write_map_len, write_str};
use serde::de::DeserializeOwned;

use crate::codec::{self, MAX_DEPTH};
use crate::raw;

/// Most columns in a row.
const MAX_FIELDS: usize = 64;
/// Columns that mean something on one hub only.
const LOCAL: [&str; 7] = ["id", "aid", "uid", "content", "os_path", "display_path", "os_storage"];

/// The columns of a row of at most `max` bytes, each with its raw value.
pub(super) fn fields(bytes: &[u8], max: usize) -> Result<Vec<(&str, &[u8])>, String> {
    if bytes.len() > max {
        return Err(format!("{} bytes", bytes.len()));
    }
    let fields = raw::entries(bytes, MAX_DEPTH).map_err(|e| e.to_string())?;
    let names: BTreeSet<_> = fields.iter().map(|(k, _)| *k).collect();
    if fields.len() > MAX_FIELDS || names.len() != fields.len() {
        return Err("too many fields, or one that stands twice".into());
    }
    Ok(fields)
}

/// One known column; one that is missing is read as nil, which only the optional ones accept.
pub(super) fn field<T: DeserializeOwned>(
    fields: &[(&str, &[u8])],
    name: &str,
) -> Result<T, String> {
    let raw = fields.iter().find(|(k, _)| *k == name).map_or(&[0xc0][..], |(_, v)| v);
    codec::decode_owned(raw).map_err(|e| format!("{name}: {}", e.text))
}

/// The columns that are neither known nor local, as they came.
pub(super) fn others(fields: &[(&str, &[u8])], known: &[&str]) -> Vec<(String, Vec<u8>)> {
    let unknown = fields.iter().filter(|(k, _)| !known.contains(k) && !LOCAL.contains(k));
    unknown.map(|(k, v)| ((*k).to_owned(), v.to_vec())).collect()
}

/// SYNC-19, PHOTO-3: a row without the columns that mean something on one hub only, the others as they came; `None` if it has
/// none of them, or is no row.
pub fn without_local(row: &[u8]) -> Option<Vec<u8>> {
    let fields = raw::entries(row, MAX_DEPTH).ok()?;
    let kept = fields.iter().filter(|(k, _)| !LOCAL.contains(k));
    let kept: Vec<(&str, Vec<u8>)> = kept.map(|(k, v)| (*k, v.to_vec())).collect();
    (kept.len() < fields.len()).then(|| map(&kept))
}

/// A row as a MessagePack map.
pub(super) fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let len = u32::try_from(fields.len()).expect("at most 64 fields");
    write_map_len(&mut out, len).expect("memory");
    for (name, value) in fields {
        write_str(&mut out, name).expect("memory");
        out.extend_from_slice(value);
    }
    out
}

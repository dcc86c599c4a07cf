//! Between Rust values and SQLite's: reading columns, and lists as one JSON parameter.
//!
//! Owns: the conversions. Not here: which columns a table has.
//! Invariant: a stored value that does not have its type's form is reported as damage, never
//! passed on; a list always travels as a bound parameter, never as SQL text.

use std::str::FromStr;

use serde::{Serialize, Serializer};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zotferry_protocol::ids::Digest;

use super::error::CatalogError;

/// A version register as the caller encoded it. The catalog keeps it and never looks inside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct VersionBytes(pub Vec<u8>);

impl Serialize for VersionBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Hex(&self.0).serialize(serializer)
    }
}

/// Bytes inside a JSON parameter, for `unhex()`.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex_text(self.0))
    }
}

/// As `hex::encode`, which goes character by character and shows in a profile of bulk work.
pub(super) fn hex_text(bytes: &[u8]) -> String {
    let mut text = vec![0; 2 * bytes.len()];
    hex::encode_to_slice(bytes, &mut text).expect("two digits for each byte");
    String::from_utf8(text).expect("hex digits are ASCII")
}

/// A list as one parameter for `json_each`.
pub(super) fn list<T: Serialize>(items: impl IntoIterator<Item = T>) -> String {
    let mut out = Vec::from(*b"[");
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, &item).expect("plain values always encode");
    }
    out.push(b']');
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// SQLite's integers are signed.
pub(super) fn integer(value: u64) -> Result<i64, CatalogError> {
    i64::try_from(value).map_err(|_| CatalogError::BadValue("a number above 2^63 - 1"))
}

/// For bounds only, where the largest integer means the same as any number above it.
pub(super) fn bound(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn damage(column: &str, why: &dyn std::fmt::Display) -> CatalogError {
    CatalogError::Corrupt(format!("column {column}: {why}"))
}

/// A text column as a checked type.
pub(super) fn parsed<T>(row: &SqliteRow, column: &str) -> Result<T, CatalogError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|why| damage(column, &why))
}

/// A blob column as a checked type.
pub(super) fn checked<T, E: std::fmt::Display>(
    row: &SqliteRow,
    column: &str,
    check: fn(&[u8]) -> Result<T, E>,
) -> Result<T, CatalogError> {
    let bytes: &[u8] = row.try_get(column)?;
    check(bytes).map_err(|why| damage(column, &why))
}

/// A blob column as a checked type, or NULL.
pub(super) fn maybe_checked<T, E: std::fmt::Display>(
    row: &SqliteRow,
    column: &str,
    check: fn(&[u8]) -> Result<T, E>,
) -> Result<Option<T>, CatalogError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(check).transpose().map_err(|why| damage(column, &why))
}

/// An integer column that is never negative.
pub(super) fn number(row: &SqliteRow, column: &str) -> Result<u64, CatalogError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|why| damage(column, &why))
}

/// An integer column that is never negative, or NULL.
pub(super) fn maybe_number(row: &SqliteRow, column: &str) -> Result<Option<u64>, CatalogError> {
    let value: Option<i64> = row.try_get(column)?;
    value.map(u64::try_from).transpose().map_err(|why| damage(column, &why))
}

/// Digests stored one after the other.
pub(super) fn digests(bytes: &[u8]) -> Result<Vec<Digest>, zotferry_protocol::ids::BadId> {
    bytes.chunks(Digest::LEN).map(Digest::from_slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quotes and control characters stay inside the parameter.
    #[test]
    fn a_list_is_one_json_array() {
        assert_eq!(list(["a'b", "c\"d", "e\nf"]), r#"["a'b","c\"d","e\nf"]"#);
        assert_eq!(list([Hex(&[0, 255])]), r#"["00ff"]"#);
        assert_eq!(list(Vec::<i64>::new()), "[]");
    }

    /// Digests come back one by one; a torn one is refused.
    #[test]
    fn stored_digests_are_cut_at_32_bytes() {
        let bytes = [[1; 32], [2; 32]].concat();
        assert_eq!(digests(&bytes), Ok(vec![Digest([1; 32]), Digest([2; 32])]));
        assert!(digests(&bytes[..63]).is_err());
    }
}

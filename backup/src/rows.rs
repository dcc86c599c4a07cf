//! Rows between MessagePack and JSON, without losing a byte.
//!
//! Owns: the choice of the form. Not here: what is in a row.
//! Invariant: what is read back is, byte by byte, what was written.
//! Spec: BACKUP-8.

use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::{BackupError, Result};

/// BACKUP-8: a row as a JSON object if that gives the same bytes again; else the base64 of its bytes, as
/// text.
pub(crate) fn to_json(row: &[u8]) -> Box<RawValue> {
    let object = object(row).filter(|json| packed(json).is_ok_and(|back| back == row));
    let json = object.unwrap_or_else(|| format!("\"{}\"", STANDARD.encode(row)));
    RawValue::from_string(json).expect("a JSON value was written")
}

/// The row of either form.
pub(crate) fn from_json(json: &RawValue) -> Result<Vec<u8>> {
    let json = json.get();
    let wrong = |e: &dyn std::fmt::Display| BackupError::Entry(format!("a row: {e}"));
    if !json.starts_with('"') {
        return packed(json).map_err(|e| wrong(&e));
    }
    let text: String = serde_json::from_str(json).map_err(|e| wrong(&e))?;
    STANDARD.decode(text).map_err(|e| wrong(&e))
}

/// BACKUP-8 as text: the bytes of a row as they stand in a metadata file.
pub fn row_to_json(row: &[u8]) -> String {
    to_json(row).get().to_owned()
}

/// The other way.
///
/// # Errors
/// No JSON, or no base64.
pub fn row_from_json(json: &str) -> Result<Vec<u8>> {
    let json: &RawValue = serde_json::from_str(json)
        .map_err(|error| BackupError::Entry(format!("a row: {error}")))?;
    from_json(json)
}

fn object(row: &[u8]) -> Option<String> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(row);
    let json = serde_json::to_string(&Relay::of(&mut reader)).ok()?;
    json.starts_with('{').then_some(json)
}

fn packed(json: &str) -> std::result::Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let mut out = Vec::with_capacity(json.len());
    Relay::of(&mut reader).serialize(&mut rmp_serde::Serializer::new(&mut out))?;
    Ok(out)
}

/// Hands on what a deserializer gives to a serializer, in its order, with no value in memory.
struct Relay<D>(Cell<Option<D>>);

impl<D> Relay<D> {
    fn of(deserializer: D) -> Self {
        Self(Cell::new(Some(deserializer)))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Relay<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let from = self.0.take().ok_or_else(|| S::Error::custom("read twice"))?;
        from.deserialize_any(To(serializer)).map_err(S::Error::custom)
    }
}

struct To<S>(S);

macro_rules! scalars {
    ($($visit:ident($type:ty) => $serialize:ident;)*) => { $(
        fn $visit<E: serde::de::Error>(self, value: $type) -> std::result::Result<S::Ok, E> {
            self.0.$serialize(value).map_err(E::custom)
        }
    )* };
}

impl<'de, S: Serializer> Visitor<'de> for To<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    scalars! {
        visit_bool(bool) => serialize_bool;
        visit_i64(i64) => serialize_i64;
        visit_u64(u64) => serialize_u64;
        visit_f64(f64) => serialize_f64;
        visit_str(&str) => serialize_str;
    }

    fn visit_unit<E: serde::de::Error>(self) -> std::result::Result<S::Ok, E> {
        self.0.serialize_unit().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<S::Ok, A::Error> {
        let mut out = self.0.serialize_seq(list.size_hint()).map_err(A::Error::custom)?;
        while list.next_element_seed(Element(&mut out))?.is_some() {}
        out.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<S::Ok, A::Error> {
        let mut out = self.0.serialize_map(map.size_hint()).map_err(A::Error::custom)?;
        while let Some(key) = map.next_key::<String>()? {
            out.serialize_key(&key).map_err(A::Error::custom)?;
            map.next_value_seed(Member(&mut out))?;
        }
        out.end().map_err(A::Error::custom)
    }
}

struct Element<'a, O>(&'a mut O);

impl<'de, O: SerializeSeq> DeserializeSeed<'de> for Element<'_, O> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        self.0.serialize_element(&Relay::of(from)).map_err(D::Error::custom)
    }
}

struct Member<'a, O>(&'a mut O);

impl<'de, O: SerializeMap> DeserializeSeed<'de> for Member<'_, O> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        self.0.serialize_value(&Relay::of(from)).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// BACKUP-8: what JSON can hold is written as JSON, in its order, and comes back byte by byte.
    #[test]
    fn rows_are_json_where_that_loses_nothing() {
        let value = json!({"z": 1, "a": [null, true, -5, 0.5, "ü\n\u{0}", {"b": []}], "n": 70_000});
        let row = rmp_serde::to_vec(&value).expect("encodes");
        let json = to_json(&row);
        assert_eq!(serde_json::from_str::<serde_json::Value>(json.get()).expect("JSON"), value);
        assert_eq!(from_json(&json).expect("reads"), row);
    }

    /// BACKUP-8: a byte string, a number wider than it needs to be, a key that stands twice: the bytes are kept.
    #[test]
    fn other_rows_keep_their_bytes() {
        let rows: [&[u8]; 4] = [
            &[0x81, 0xa1, b'a', 0xc4, 1, 7],
            &[0x81, 0xa1, b'a', 0xcd, 0, 7],
            &[0x81, 0xa1, b'a', 0xca, 0x3f, 0x80, 0, 0],
            &[0x91, 0xc0],
        ];
        for row in rows {
            let json = to_json(row);
            assert!(json.get().starts_with('"'), "{}", json.get());
            assert_eq!(from_json(&json).expect("reads"), row);
        }
    }
}

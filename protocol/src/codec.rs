//! MessagePack to values and back, with the limits checked before anything is allocated.
//!
//! Owns: size, depth, trailing bytes, counts. Not here: which kind of value is which (`strict`), what a packet means.
//! Invariant: nothing is decoded into a generic value; memory is bounded by the bytes present.
//! Spec: PKT-2 to PKT-4, PKT-7.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::raw::{self, RawError};
use crate::refusal::{Code, Refusal};
use crate::strict::Strict;

/// PKT-3: the largest packet, in bytes.
pub const MAX_PACKET: usize = 1 << 20;
/// PKT-3: the deepest nesting of arrays and maps.
pub const MAX_DEPTH: usize = 16;

/// PKT-9: a value as MessagePack: maps with string keys, shortest integers.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("protocol types always encode")
}

/// PKT-2: [`decode`] of bytes that have to be a map. The decoder would take an array of a type's fields too.
pub fn decode_map<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refusal> {
    if bytes.len() <= MAX_PACKET && !raw::is_map(bytes) {
        return Err(Refusal::with(Code::Malformed, "not a map"));
    }
    decode(bytes)
}

/// One value from exactly these bytes.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refusal> {
    if bytes.len() > MAX_PACKET {
        return Err(Refusal::with(Code::TooLarge, format_args!("{} bytes", bytes.len())));
    }
    match raw::value_len(bytes, MAX_DEPTH) {
        Ok(len) if len == bytes.len() => {}
        Ok(len) => {
            let extra = bytes.len() - len;
            return Err(Refusal::with(
                Code::Malformed,
                format_args!("{extra} bytes after the value"),
            ));
        }
        Err(RawError::Depth) => return Err(Refusal::with(Code::TooLarge, "nested too deeply")),
        Err(error) => return Err(Refusal::with(Code::Malformed, error)),
    }
    let mut plain = rmp_serde::Deserializer::from_read_ref(bytes);
    T::deserialize(Strict(&mut plain)).map_err(refuse)
}

/// [`decode`] into a value that owns all it holds.
pub fn decode_owned<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    decode(bytes)
}

fn refuse(error: rmp_serde::decode::Error) -> Refusal {
    use rmp_serde::decode::Error;
    match error {
        Error::Syntax(text) => Refusal::with(Code::BadField, text),
        other => Refusal::with(Code::BadField, other),
    }
}

/// PKT-4: a list of at most `N` elements; for `#[serde(deserialize_with = "bounded::<_, _, 256>")]`.
pub fn bounded<'de, D, T, const N: usize>(d: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const N: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Bounded<T, N> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {N} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut out = Vec::new();
            while let Some(element) = seq.next_element()? {
                if out.len() == N {
                    return Err(A::Error::custom(format_args!("more than {N} elements")));
                }
                out.push(element);
            }
            Ok(out)
        }
    }
    d.deserialize_seq(Bounded::<T, N>(PhantomData))
}

/// A byte string, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bin<'a>(pub &'a [u8]);

impl Serialize for Bin<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bin<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = &'de [u8];

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(bytes)
            }
        }
        d.deserialize_bytes(Bytes).map(Self)
    }
}

/// PKT-4: text of at most `N` bytes.
pub fn short_text<'de, D: Deserializer<'de>, const N: usize>(d: D) -> Result<String, D::Error> {
    let text = <&str>::deserialize(d)?;
    if text.len() > N {
        return Err(D::Error::custom(format_args!("text of more than {N} bytes")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Few {
        #[serde(deserialize_with = "bounded::<_, _, 2>")]
        list: Vec<u8>,
    }

    /// PKT-2: what stands after the value is refused, not ignored.
    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&Few { list: vec![1] });
        assert_eq!(decode::<Few>(&bytes), Ok(Few { list: vec![1] }));
        bytes.push(0xc0);
        assert_eq!(decode::<Few>(&bytes).expect_err("trailing").code, Code::Malformed);
    }

    /// PKT-4: a list with one element too many is refused.
    #[test]
    fn long_lists_are_refused() {
        let bytes = encode(&Few { list: vec![1, 2, 3] });
        assert_eq!(decode::<Few>(&bytes).expect_err("too long").code, Code::BadField);
    }

    /// PKT-3: depth and size end in a refusal, not in a stack overflow.
    #[test]
    fn deep_and_large_packets_are_refused() {
        let mut deep = vec![0x81, 0xa1, b'x'];
        deep.extend(std::iter::repeat_n(0x91, 100));
        deep.push(0xc0);
        assert_eq!(decode::<Few>(&deep).expect_err("deep").code, Code::TooLarge);
        let large = vec![0xc0; MAX_PACKET + 1];
        assert_eq!(decode::<Few>(&large).expect_err("large").code, Code::TooLarge);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Way {
        Up,
    }

    /// PKT-7: bytes, texts, lists, maps and keys are told apart, though serde would take one for the other.
    #[test]
    fn each_kind_of_value_is_taken_for_what_it_is() {
        let (text, bin) = (encode(&"up"), encode(&Bin(b"up")));
        let (numbers, map) = (encode(&b"up".to_vec()), encode(&BTreeMap::from([("up", ())])));
        fn takes<T: DeserializeOwned>(good: &[u8], bad: &[&[u8]]) {
            assert!(decode::<T>(good).is_ok(), "{good:x?}");
            for bad in bad {
                assert_eq!(
                    decode::<T>(bad).err().expect("another").code,
                    Code::BadField,
                    "{bad:x?}"
                );
            }
        }
        takes::<String>(&text, &[&bin, &numbers, &map]);
        takes::<Option<String>>(&text, &[&bin, &numbers, &map]);
        takes::<Vec<String>>(&encode(&["up"]), &[&encode(&[Bin(b"up")]), &text, &map]);
        takes::<serde_bytes::ByteBuf>(&bin, &[&text, &numbers, &map]);
        takes::<Way>(&text, &[&bin, &numbers, &map]);
        let few = Few { list: vec![1] };
        let mut keyed = encode(&few);
        keyed.splice(1..2, [0xc4, 4]);
        takes::<Few>(&encode(&few), &[&keyed, &encode(&[[1u8]])]);
        takes::<BTreeMap<String, Few>>(
            &encode(&BTreeMap::from([("a", few)])),
            &[&[0x81, 0xa1, b'a', 0x91, 0x91, 1]],
        );
    }

    /// PKT-2: a length that the bytes cannot hold allocates nothing.
    #[test]
    fn claimed_lengths_are_not_believed() {
        let claim = [0x81, 0xa4, b'l', b'i', b's', b't', 0xdd, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(decode::<Few>(&claim).expect_err("claim").code, Code::Malformed);
    }
}

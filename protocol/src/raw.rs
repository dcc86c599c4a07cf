//! MessagePack without decoding: how long a value is, and what a map's entries are, as raw bytes.
//!
//! Owns: the walk over markers that checks depth and lengths before anything is allocated, and that
//! lets unknown fields be kept byte by byte. Not here: typed values (see `codec`).
//! Invariant: nothing is allocated, and recursion is bounded by the depth given.
//! Spec: PKT-2, PKT-3; the MessagePack specification's format table.

/// Why bytes are not one well-formed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RawError {
    /// The bytes end inside a value.
    #[error("the bytes end inside a value")]
    Cut,
    /// 0xc1, or an extension type, which this protocol does not use.
    #[error("a marker that this protocol does not use")]
    Marker,
    /// Arrays and maps nested deeper than allowed.
    #[error("nested too deeply")]
    Depth,
    /// A map was expected.
    #[error("not a map with text keys")]
    NotAMap,
    /// A list was expected.
    #[error("not a list")]
    NotAList,
}

/// What a value's first byte says.
enum Shape {
    /// A value without children: total length in bytes.
    Leaf(usize),
    /// Children: length of the header, number of values that follow.
    Nested(usize, u64),
}

fn number(bytes: &[u8], width: usize) -> Result<u64, RawError> {
    let digits = bytes.get(1..=width).ok_or(RawError::Cut)?;
    Ok(digits.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

fn sized(bytes: &[u8], width: usize) -> Result<Shape, RawError> {
    let len = usize::try_from(number(bytes, width)?).map_err(|_| RawError::Cut)?;
    Ok(Shape::Leaf(1 + width + len))
}

fn shape(bytes: &[u8]) -> Result<Shape, RawError> {
    let first = *bytes.first().ok_or(RawError::Cut)?;
    Ok(match first {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Shape::Leaf(1),
        0x80..=0x8f => Shape::Nested(1, 2 * u64::from(first & 15)),
        0x90..=0x9f => Shape::Nested(1, u64::from(first & 15)),
        0xa0..=0xbf => Shape::Leaf(1 + usize::from(first & 31)),
        0xc4 | 0xd9 => sized(bytes, 1)?,
        0xc5 | 0xda => sized(bytes, 2)?,
        0xc6 | 0xdb => sized(bytes, 4)?,
        0xcc | 0xd0 => Shape::Leaf(2),
        0xcd | 0xd1 => Shape::Leaf(3),
        0xca | 0xce | 0xd2 => Shape::Leaf(5),
        0xcb | 0xcf | 0xd3 => Shape::Leaf(9),
        0xdc => Shape::Nested(3, number(bytes, 2)?),
        0xdd => Shape::Nested(5, number(bytes, 4)?),
        0xde => Shape::Nested(3, 2 * number(bytes, 2)?),
        0xdf => Shape::Nested(5, 2 * number(bytes, 4)?),
        0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return Err(RawError::Marker),
    })
}

/// Length in bytes of the value that starts here, with at most `depth` arrays and maps inside
/// one another.
pub fn value_len(bytes: &[u8], depth: usize) -> Result<usize, RawError> {
    match shape(bytes)? {
        Shape::Leaf(len) if len <= bytes.len() => Ok(len),
        Shape::Leaf(_) => Err(RawError::Cut),
        Shape::Nested(..) if depth == 0 => Err(RawError::Depth),
        Shape::Nested(mut at, children) => {
            for _ in 0..children {
                at += value_len(&bytes[at..], depth - 1)?;
            }
            Ok(at)
        }
    }
}

/// The elements of a list, each as its raw bytes.
pub fn elements(list: &[u8], depth: usize) -> Result<Vec<&[u8]>, RawError> {
    let Shape::Nested(mut at, children) = shape(list)? else {
        return Err(RawError::NotAList);
    };
    if is_map(list) {
        return Err(RawError::NotAList);
    }
    let mut out = Vec::new();
    for _ in 0..children {
        out.push(take(list, &mut at, depth)?);
    }
    if at == list.len() { Ok(out) } else { Err(RawError::Cut) }
}

/// Whether the value that starts here is a list.
pub fn is_list(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x90..=0x9f | 0xdc | 0xdd))
}

/// Whether the value that starts here is a map.
pub fn is_map(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf))
}

/// The entries of a map with text keys, each value as its raw bytes.
pub fn entries(map: &[u8], depth: usize) -> Result<Vec<(&str, &[u8])>, RawError> {
    if !is_map(map) {
        return Err(RawError::NotAMap);
    }
    let Shape::Nested(mut at, children) = shape(map)? else {
        return Err(RawError::NotAMap);
    };
    let mut out = Vec::new();
    for _ in 0..children / 2 {
        let key = take(map, &mut at, depth)?;
        let value = take(map, &mut at, depth)?;
        out.push((text(key).ok_or(RawError::NotAMap)?, value));
    }
    if at == map.len() { Ok(out) } else { Err(RawError::Cut) }
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, depth: usize) -> Result<&'a [u8], RawError> {
    let rest = bytes.get(*at..).ok_or(RawError::Cut)?;
    let len = value_len(rest, depth.saturating_sub(1))?;
    *at += len;
    Ok(&rest[..len])
}

/// The text that a raw value is; `None` for another value, or where it is not UTF-8.
pub fn text(raw: &[u8]) -> Option<&str> {
    let start = match raw.first()? {
        0xa0..=0xbf => 1,
        0xd9 => 2,
        0xda => 3,
        0xdb => 5,
        _ => return None,
    };
    std::str::from_utf8(raw.get(start..)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PKT-3: the length of every kind of value is read off its marker.
    #[test]
    fn lengths_agree_with_an_encoder() {
        let mut bytes = Vec::new();
        rmp::encode::write_map_len(&mut bytes, 2).expect("memory");
        rmp::encode::write_str(&mut bytes, "a").expect("memory");
        rmp::encode::write_bin(&mut bytes, &[7; 70_000]).expect("memory");
        rmp::encode::write_str(&mut bytes, &"k".repeat(300)).expect("memory");
        rmp::encode::write_array_len(&mut bytes, 3).expect("memory");
        rmp::encode::write_sint(&mut bytes, -70_000).expect("memory");
        rmp::encode::write_f64(&mut bytes, 0.5).expect("memory");
        rmp::encode::write_nil(&mut bytes).expect("memory");
        assert_eq!(value_len(&bytes, 2), Ok(bytes.len()));
        assert_eq!(value_len(&bytes, 1), Err(RawError::Depth));
        let entries = entries(&bytes, 16).expect("a map");
        assert_eq!(entries[0].0, "a");
        assert_eq!(entries[1].1.len(), 1 + 5 + 9 + 1);
        for cut in [1, 2, 100, bytes.len() - 1] {
            assert_eq!(value_len(&bytes[..cut], 2), Err(RawError::Cut), "cut at {cut}");
        }
    }

    /// PKT-2: reserved and extension markers are refused.
    #[test]
    fn unused_markers_are_refused() {
        for marker in [0xc1, 0xc7, 0xd4, 0xd8] {
            assert_eq!(value_len(&[marker, 0, 0, 0], 4), Err(RawError::Marker));
        }
    }
}

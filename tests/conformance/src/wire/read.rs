//! MessagePack read from bytes that a hub sent.
//!
//! Invariant: depth and memory are bounded by what is there, and what is left over is said.

use super::Value;

/// Nesting beyond this is an error, whatever the hub means by it.
const MAX_DEPTH: usize = 64;

/// Why bytes are no value.
pub type ReadError = String;

/// The one value that these bytes are.
pub fn read(bytes: &[u8]) -> Result<Value, ReadError> {
    let (value, rest) = read_first(bytes)?;
    if rest.is_empty() { Ok(value) } else { Err(format!("{} bytes after the value", rest.len())) }
}

/// The first value in these bytes, and what follows it.
pub fn read_first(bytes: &[u8]) -> Result<(Value, &[u8]), ReadError> {
    let mut reader = Reader { left: bytes };
    let value = reader.value(0)?;
    Ok((value, reader.left))
}

struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ReadError> {
        let (taken, left) = self.left.split_at_checked(len).ok_or("the bytes end too early")?;
        self.left = left;
        Ok(taken)
    }

    /// A big-endian number of so many bytes.
    fn number(&mut self, len: usize) -> Result<u64, ReadError> {
        Ok(self.take(len)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn length(&mut self, len: usize) -> Result<usize, ReadError> {
        usize::try_from(self.number(len)?).map_err(|e| e.to_string())
    }

    fn signed(&mut self, len: usize) -> Result<Value, ReadError> {
        let shift = 64 - 8 * u32::try_from(len).map_err(|e| e.to_string())?;
        let number = (self.number(len)?.cast_signed() << shift) >> shift;
        Ok(u64::try_from(number).map_or(Value::Neg(number), Value::Uint))
    }

    fn value(&mut self, depth: usize) -> Result<Value, ReadError> {
        if depth > MAX_DEPTH {
            return Err("nested too deeply".into());
        }
        let mark = self.take(1)?[0];
        Ok(match mark {
            0x00..=0x7f => Value::Uint(mark.into()),
            0x80..=0x8f => self.fields(usize::from(mark & 15), depth)?,
            0x90..=0x9f => self.elements(usize::from(mark & 15), depth)?,
            0xa0..=0xbf => Value::Str(self.take(usize::from(mark & 31))?.to_vec()),
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Bool(mark == 0xc3),
            0xc4..=0xc6 => {
                let len = self.length(1 << (mark - 0xc4))?;
                Value::Bin(self.take(len)?.to_vec())
            }
            0xca => {
                let bits = u32::try_from(self.number(4)?).map_err(|e| e.to_string())?;
                Value::Float(f32::from_bits(bits).into())
            }
            0xcb => Value::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => Value::Uint(self.number(1 << (mark - 0xcc))?),
            0xd0..=0xd3 => self.signed(1 << (mark - 0xd0))?,
            0xd9..=0xdb => {
                let len = self.length(1 << (mark - 0xd9))?;
                Value::Str(self.take(len)?.to_vec())
            }
            0xdc | 0xdd => {
                let len = self.length(2 << (mark - 0xdc))?;
                self.elements(len, depth)?
            }
            0xde | 0xdf => {
                let len = self.length(2 << (mark - 0xde))?;
                self.fields(len, depth)?
            }
            0xe0..=0xff => Value::Neg(i64::from(mark.cast_signed())),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return Err(format!("a byte {mark:#04x}")),
        })
    }

    fn elements(&mut self, len: usize, depth: usize) -> Result<Value, ReadError> {
        let mut values = Vec::new();
        for _ in 0..len {
            values.push(self.value(depth + 1)?);
        }
        Ok(Value::List(values))
    }

    fn fields(&mut self, len: usize, depth: usize) -> Result<Value, ReadError> {
        let mut fields = Vec::new();
        for _ in 0..len {
            fields.push((self.value(depth + 1)?, self.value(depth + 1)?));
        }
        Ok(Value::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{list, map};
    use super::*;

    /// What the writer writes is read as the same value, in every width.
    #[test]
    fn values_are_read_as_they_were_written() {
        let numbers = [0, 127, 128, 255, 256, 65_535, 65_536, u64::MAX];
        let negative = [-1, -32, -33, -129, -40_000, i64::MIN];
        let value = map([
            ("numbers", list(numbers)),
            ("negative", Value::List(negative.map(Value::Neg).to_vec())),
            ("nil", Value::Nil),
            ("flags", list([true, false])),
            ("bytes", list([vec![1; 3], vec![2; 300], vec![3; 70_000]])),
            ("texts", list(["", &"x".repeat(40), &"y".repeat(300)])),
            ("float", Value::Float(0.5)),
        ]);
        assert_eq!(read(&value.bytes()), Ok(value));
    }

    /// Claims are not believed, and nothing may follow.
    #[test]
    fn what_is_no_value_is_an_error() {
        for bytes in
            [&b"\xdd\xff\xff\xff\xff"[..], b"\xc6\xff\xff\xff\xff", b"", b"\xc1", b"\xc0\xc0"]
        {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        assert!(read(&[0x91; 100]).is_err(), "nested too deeply");
    }
}

//! A MessagePack value that can be changed anywhere, and need not be right.

use rmp::encode;

/// Any MessagePack value. A map keeps its order and may hold a key twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// nil.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer that is not negative.
    Uint(u64),
    /// A negative integer.
    Neg(i64),
    /// A floating-point number.
    Float(f64),
    /// `str`: UTF-8, unless a case wants something else.
    Str(Vec<u8>),
    /// `bin`.
    Bin(Vec<u8>),
    /// An array.
    List(Vec<Value>),
    /// A map.
    Map(Vec<(Value, Value)>),
    /// Bytes that stand for a value as they are.
    Raw(Vec<u8>),
}

/// A map with text for keys.
pub fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// An array.
pub fn list(values: impl IntoIterator<Item = impl Into<Value>>) -> Value {
    Value::List(values.into_iter().map(Into::into).collect())
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into_bytes())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Uint(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Uint(number.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bin(bytes)
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bin(bytes.to_vec())
    }
}

impl Value {
    /// Its bytes, each length and integer in its shortest form.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        let length = |len: usize| u32::try_from(len).expect("a packet is smaller");
        match self {
            Self::Nil => out.push(0xc0),
            Self::Bool(flag) => out.push(if *flag { 0xc3 } else { 0xc2 }),
            Self::Uint(number) => drop(encode::write_uint(out, *number).expect("memory")),
            Self::Neg(number) => drop(encode::write_sint(out, *number).expect("memory")),
            Self::Float(number) => encode::write_f64(out, *number).expect("memory"),
            Self::Str(text) => {
                encode::write_str_len(out, length(text.len())).expect("memory");
                out.extend_from_slice(text);
            }
            Self::Bin(bytes) => {
                encode::write_bin_len(out, length(bytes.len())).expect("memory");
                out.extend_from_slice(bytes);
            }
            Self::List(values) => {
                encode::write_array_len(out, length(values.len())).expect("memory");
                values.iter().for_each(|value| value.write(out));
            }
            Self::Map(fields) => {
                encode::write_map_len(out, length(fields.len())).expect("memory");
                for (key, value) in fields {
                    key.write(out);
                    value.write(out);
                }
            }
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// What stands at a path of field names and positions, as `items.0.root`; none if nothing does.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, step| match value {
            Self::Map(fields) => {
                fields.iter().find(|(key, _)| key.is(step)).map(|(_, found)| found)
            }
            Self::List(values) => values.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    fn at_mut(&mut self, path: &str) -> Option<&mut Self> {
        path.split('.').try_fold(self, |value, step| match value {
            Self::Map(fields) => {
                fields.iter_mut().find(|(key, _)| key.is(step)).map(|(_, found)| found)
            }
            Self::List(values) => values.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    fn is(&self, text: &str) -> bool {
        matches!(self, Self::Str(own) if own == text.as_bytes())
    }

    /// Puts a value where a path leads: in the place of what stands there, or as a new field.
    ///
    /// # Panics
    ///
    /// If nothing stands above the place: a case has lost its way.
    pub fn set(&mut self, path: &str, new: impl Into<Self>) -> &mut Self {
        let new = new.into();
        if let Some(old) = self.at_mut(path) {
            *old = new;
            return self;
        }
        self.add(path, new)
    }

    /// Puts a field behind the others of its map, also one that stands there already.
    ///
    /// # Panics
    ///
    /// If nothing stands above the place: a case has lost its way.
    pub fn add(&mut self, path: &str, new: impl Into<Self>) -> &mut Self {
        let (above, name) = path.rsplit_once('.').map_or((None, path), |(a, n)| (Some(a), n));
        let place = match above {
            Some(above) => self.at_mut(above),
            None => Some(&mut *self),
        };
        match place {
            Some(Self::Map(fields)) => fields.push((name.into(), new.into())),
            _ => panic!("no map at {path}"),
        }
        self
    }

    /// Takes a field out of its map.
    ///
    /// # Panics
    ///
    /// If nothing stands above the place: a case has lost its way.
    pub fn remove(&mut self, path: &str) -> &mut Self {
        let (above, name) = path.rsplit_once('.').map_or((None, path), |(a, n)| (Some(a), n));
        let place = match above {
            Some(above) => self.at_mut(above),
            None => Some(&mut *self),
        };
        match place {
            Some(Self::Map(fields)) => fields.retain(|(key, _)| !key.is(name)),
            _ => panic!("no map at {path}"),
        }
        self
    }

    /// The same with another value at a path.
    #[must_use]
    pub fn with(mut self, path: &str, new: impl Into<Self>) -> Self {
        self.set(path, new);
        self
    }

    /// The same without a field.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.remove(path);
        self
    }

    /// A number at a path.
    pub fn uint(&self, path: &str) -> Option<u64> {
        match self.at(path)? {
            Self::Uint(number) => Some(*number),
            _ => None,
        }
    }

    /// A text at a path.
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.at(path)? {
            Self::Str(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// Bytes at a path.
    pub fn bin(&self, path: &str) -> Option<&[u8]> {
        match self.at(path)? {
            Self::Bin(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A boolean at a path.
    pub fn flag(&self, path: &str) -> Option<bool> {
        match self.at(path)? {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// An array at a path; empty where there is none.
    pub fn list(&self, path: &str) -> &[Self] {
        match self.at(path) {
            Some(Self::List(values)) => values,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths lead through maps and arrays; a field can be put twice, which no typed encoder does.
    #[test]
    fn values_are_changed_by_path() {
        let mut value = map([("items", list([map([("first", 1u64.into())])]))]);
        value.set("items.0.first", 7u64).add("items.0.first", 8u64).set("more", "text");
        assert_eq!(value.uint("items.0.first"), Some(7));
        let bytes = value.bytes();
        assert_eq!(
            bytes,
            b"\x82\xa5items\x91\x82\xa5first\x07\xa5first\x08\xa4more\xa4text".to_vec()
        );
        value.remove("items.0.first");
        assert_eq!(value.at("items.0"), Some(&Value::Map(Vec::new())));
        assert_eq!(value.text("more"), Some("text"));
    }
}

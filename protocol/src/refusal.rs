//! One table of everything a hub may refuse, and how it travels.
//!
//! Owns: refusal codes, their HTTP status, their sentence and whether asking again can help.
//! Not here: who refuses what when (see `envelope` and the hub's handlers).
//! Spec: REF-1, REF-4; the table of `spec/refusals.md`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether and where the same request may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Asking again changes nothing: the job is dead until a person acts.
    Never,
    /// Ask again later, the same hub.
    Later,
    /// Ask another location; later this one.
    Elsewhere,
}

macro_rules! refusals {
    ($( $name:ident = $code:literal, $word:literal, $req:literal, $http:literal, $retry:ident, $text:literal; )*) => {
        /// Why a packet, an operation or an item was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $( #[doc = $text] $name, )*
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$( Self::$name, )*];

            /// The number on the wire.
            pub fn number(self) -> u16 {
                match self { $( Self::$name => $code, )* }
            }

            /// The code of a number; `None` for one that this version does not know.
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $( $code => Some(Self::$name), )* _ => None }
            }

            /// A short name for people and logs.
            pub fn word(self) -> &'static str {
                match self { $( Self::$name => $word, )* }
            }

            /// The requirement that the refused thing broke.
            pub fn requirement(self) -> &'static str {
                match self { $( Self::$name => $req, )* }
            }

            /// The HTTP status of an answer that refuses the whole packet.
            pub fn http(self) -> u16 {
                match self { $( Self::$name => $http, )* }
            }

            /// Whether the same request may succeed later.
            pub fn retry(self) -> Retry {
                match self { $( Self::$name => Retry::$retry, )* }
            }

            /// The sentence for the peer.
            pub fn sentence(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }
        }
    };
}

refusals! {
    Malformed = 10, "malformed", "PKT-2", 400, Never, "the packet is not well-formed MessagePack of the described shape";
    TooLarge = 11, "too-large", "PKT-3", 413, Never, "the packet is larger or deeper than the limits allow";
    UnsupportedVersion = 12, "unsupported-version", "PKT-5", 400, Never, "the envelope's version or algorithm is not supported here";
    UnknownType = 13, "unknown-type", "PKT-6", 400, Never, "packets of this type are not known here";
    BadField = 14, "bad-field", "PKT-7", 400, Never, "a field is missing or holds a value outside its range";
    UnknownLocation = 20, "unknown-location", "SIGN-3", 401, Later, "the signing key is not a known location";
    BadSignature = 21, "bad-signature", "SIGN-4", 401, Later, "the signature does not hold";
    Stale = 22, "stale", "SIGN-6", 401, Later, "the packet's dates are outside the allowed window";
    NotForMe = 23, "not-for-me", "SIGN-5", 403, Never, "the packet is addressed to another hub";
    BadKey = 24, "bad-key", "ID-5", 401, Never, "the key's size or exponent is not acceptable";
    ChallengeFailed = 25, "challenge-failed", "ID-14", 403, Later, "the location did not answer its challenge";
    BadLocation = 26, "bad-location", "ID-8", 400, Never, "the location record does not hold";
    BadStatement = 27, "bad-statement", "ID-25", 400, Never, "the rotation or notice does not hold";
    NotAClone = 30, "not-a-clone", "SYNC-1", 403, Later, "the asking hub is not a listed clone of the channel";
    UnknownChannel = 31, "unknown-channel", "SYNC-2", 404, Later, "the channel does not live on this hub";
    QuotaExceeded = 32, "quota-exceeded", "SYNC-12", 403, Later, "the channel's quota on this hub is exhausted";
    NoSpace = 33, "no-space", "SYNC-13", 503, Later, "this hub has no disk space for the file";
    UnknownResource = 40, "unknown-resource", "FETCH-28", 404, Elsewhere, "no such resource, role and root in this channel";
    Gone = 41, "gone", "FETCH-29", 410, Elsewhere, "this root was superseded and is no longer kept";
    Superseded = 42, "superseded", "SYNC-9", 409, Never, "a newer version is already here";
    NotHere = 43, "not-here", "FETCH-30", 404, Elsewhere, "the file is known here but its bytes have not arrived yet";
    BadContent = 44, "bad-content", "FILE-12", 422, Elsewhere, "the bytes do not match the manifest";
    BadRange = 45, "bad-range", "FETCH-8", 400, Never, "the asked range lies outside the file or the limits";
    BadName = 50, "bad-name", "SYNC-6", 400, Never, "a name is empty, longer than 255 bytes, reserved, or holds '/' or NUL";
    UnsupportedOperation = 51, "unsupported-operation", "SYNC-4", 400, Later, "this operation is not supported by this hub";
    BadPlace = 52, "bad-place", "SYNC-5", 400, Never, "the parents of an entry do not lead to the top";
    TooMany = 60, "too-many", "QUEUE-10", 429, Later, "too many requests; come back later";
    Unavailable = 61, "unavailable", "QUEUE-11", 503, Later, "this hub cannot answer now; come back later";
}

impl Code {
    /// For a person: the word and its sentence.
    pub fn explained(self) -> String {
        format!("{self}: {}", self.sentence())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u16(self.number())
    }
}

/// A number as it came; this version may not know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeNumber(pub u16);

impl CodeNumber {
    /// REF-4: a code that is not known is treated by its class: later, the same hub.
    pub fn retry(self) -> Retry {
        Code::from_number(self.0).map_or(Retry::Later, Code::retry)
    }

    /// For a person: [`Code::explained`], or the number of a code that is not known.
    pub fn explained(self) -> String {
        Code::from_number(self.0).map_or_else(|| self.to_string(), Code::explained)
    }
}

impl From<Code> for CodeNumber {
    fn from(code: Code) -> Self {
        Self(code.number())
    }
}

impl PartialEq<Code> for CodeNumber {
    fn eq(&self, code: &Code) -> bool {
        self.0 == code.number()
    }
}

impl fmt::Display for CodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Code::from_number(self.0) {
            Some(code) => f.write_str(code.word()),
            None => write!(f, "refusal {}", self.0),
        }
    }
}

/// A refusal with what this one case adds to the table's sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Refusal {
    /// Which row of the table.
    pub code: Code,
    /// The sentence, with the case's detail. At most 200 characters, no secrets.
    pub text: String,
    /// Seconds after which asking again may help.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// The table's sentence alone.
    pub fn new(code: Code) -> Self {
        Self { code, text: code.sentence().to_owned(), retry_after: None }
    }

    /// The table's sentence and the case's detail.
    pub fn with(code: Code, detail: impl fmt::Display) -> Self {
        let mut text = format!("{}: {detail}", code.sentence());
        if let Some((cut, _)) = text.char_indices().nth(200) {
            text.truncate(cut);
        }
        Self { code, text, retry_after: None }
    }

    /// Asks the peer to wait for so many seconds.
    #[must_use]
    pub fn after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REF-1: numbers and words are unique and numbers lead back to their code.
    #[test]
    fn every_code_has_its_own_number_and_word() {
        let mut words = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!(words.insert(code.word()), "{code} stands twice");
            assert!((400..600).contains(&code.http()), "{code} is no HTTP error");
        }
        assert!(Code::ALL.windows(2).all(|w| w[0].number() < w[1].number()));
    }

    /// REF-4: a number from a later version is no reason to drop a job.
    #[test]
    fn unknown_codes_are_retried_later() {
        assert_eq!(CodeNumber(999).retry(), Retry::Later);
        assert_eq!(CodeNumber(999).to_string(), "refusal 999");
    }

    #[test]
    fn details_are_cut_at_a_character() {
        let refusal = Refusal::with(Code::BadName, "ü".repeat(400));
        assert_eq!(refusal.text.chars().count(), 200);
    }
}

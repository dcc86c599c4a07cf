//! Where in its list a `chunk-request` goes on: the header `Zot-Resume`.
//!
//! Owns: its text form. Not here: counting what was held (see `transfer`).
//! Invariant: a header that is not exactly two decimal numbers is refused, never guessed at.
//! Spec: FETCH-20, FETCH-21.

use std::fmt;
use std::str::FromStr;

/// FETCH-20: how much of the request's flattened list of chunks needs no sending.
///
/// The chunks of a refused item count as complete, so that both sides count the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resume {
    /// Chunks complete, from the start of the list.
    pub chunks: u32,
    /// Bytes held of the next one.
    pub bytes: u32,
}

/// A position that cannot be resumed at. The fault is with whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// Not of the form.
    #[error("Zot-Resume must be <chunks complete>:<bytes of the next one>")]
    Malformed,
    /// Beyond the end of the list or of its next chunk.
    #[error("Zot-Resume lies outside what the request asks for")]
    OutsideRequest,
}

impl fmt::Display for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.chunks, self.bytes)
    }
}

impl FromStr for Resume {
    type Err = ResumeError;

    fn from_str(text: &str) -> Result<Self, ResumeError> {
        let (chunks, bytes) = text.split_once(':').ok_or(ResumeError::Malformed)?;
        Ok(Self {
            chunks: decimal(chunks)?,
            bytes: decimal(bytes)?,
        })
    }
}

/// Digits only: `u32::from_str` alone would take a sign.
fn decimal(text: &str) -> Result<u32, ResumeError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or(ResumeError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FETCH-20: two decimal numbers and a colon.
    #[test]
    fn the_header_has_one_form() {
        let position = Resume {
            chunks: 3,
            bytes: u32::MAX,
        };
        assert_eq!(position.to_string(), "3:4294967295");
        assert_eq!("3:4294967295".parse(), Ok(position));
        assert_eq!("0:0".parse(), Ok(Resume::default()));
    }

    /// FETCH-20: anything else is malformed.
    #[test]
    fn any_other_form_is_refused() {
        let wrong = [
            "", ":", "1", "1:", ":1", "+1:0", "-1:0", " 1:0", "1:0 ", "1:2:3", "x:0",
        ];
        let too_large = ["4294967296:0", "0:4294967296", "0x1:0", "1.0:0", "١:0"];
        for text in wrong.into_iter().chain(too_large) {
            assert_eq!(
                text.parse::<Resume>(),
                Err(ResumeError::Malformed),
                "{text:?}"
            );
        }
    }
}

//! Whether an answer is the stream that was asked for, and what it says about the path if not.
//!
//! Owns: the rules for status, type, encoding and range. Not here: what follows from the verdict
//! (see `path`), signed refusals, which speak about the file and not about the path.
//! Invariant: a page of a proxy, a compressed or a shifted body never counts as a stream.
//! Spec: STREAM-5, STREAM-9.

use super::StreamEvent;

/// The only content type a stream has.
pub const STREAM_TYPE: &str = "application/x-zot-file";

/// What in an answer shows that it is not a stream of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// A status that something on the path answers when streams do not pass.
    #[error("the path answers streams with status {0}")]
    Status(u16),
    /// Another content type than [`STREAM_TYPE`].
    #[error("the answer is not of type application/x-zot-file")]
    ContentType,
    /// Compressed or otherwise encoded on the way.
    #[error("the answer is not in identity encoding")]
    ContentEncoding,
    /// Not the bytes that were asked for.
    #[error("the answer does not hold the range that was asked for")]
    ContentRange,
}

/// The bytes a stream was asked for: at least one, inside a file of `size` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
    /// Bytes in the whole file.
    pub size: u64,
}

/// The head of an answer that carries no signed refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// HTTP status.
    pub status: u16,
    /// Content-Type, if any.
    pub content_type: Option<&'a str>,
    /// Content-Encoding, if any.
    pub content_encoding: Option<&'a str>,
    /// Content-Range, if any.
    pub content_range: Option<&'a str>,
}

impl Head<'_> {
    /// STREAM-5: whether the body is the stream that was asked for; if not, what that says about the path.
    pub fn judge(&self, asked: &Asked) -> Result<(), StreamEvent> {
        if !matches!(self.status, 200 | 206) {
            return Err(self.unsigned_status());
        }
        let ours = self
            .check_type()
            .and_then(|()| self.check_encoding())
            .and_then(|()| self.check_range(asked));
        ours.map_err(StreamEvent::NotOurs)
    }

    /// STREAM-9: the statuses that close a path at once; any other only failed to bring something.
    fn unsigned_status(&self) -> StreamEvent {
        match self.status {
            404 | 405 | 406 | 411 | 413 | 500..=599 => {
                StreamEvent::NotOurs(NotOurs::Status(self.status))
            }
            _ => StreamEvent::NoProgress,
        }
    }

    fn check_type(&self) -> Result<(), NotOurs> {
        let media_type = self.content_type.and_then(|value| value.split(';').next());
        match media_type {
            Some(found) if found.trim().eq_ignore_ascii_case(STREAM_TYPE) => Ok(()),
            _ => Err(NotOurs::ContentType),
        }
    }

    fn check_encoding(&self) -> Result<(), NotOurs> {
        match self.content_encoding {
            None => Ok(()),
            Some(found) if found.trim().eq_ignore_ascii_case("identity") => Ok(()),
            Some(_) => Err(NotOurs::ContentEncoding),
        }
    }

    /// 206 names exactly what was asked for; 200 is the whole file, which must be what was asked for.
    fn check_range(&self, asked: &Asked) -> Result<(), NotOurs> {
        let Asked { first, last, size } = *asked;
        let exact = match (self.status, self.content_range) {
            (206, Some(range)) => range == format!("bytes {first}-{last}/{size}"),
            (200, None) => first == 0 && last.checked_add(1) == Some(size),
            _ => false,
        };
        if exact { Ok(()) } else { Err(NotOurs::ContentRange) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked { first: 10, last: 19, size: 100 };
    const GOOD: Head<'_> = Head {
        status: 206,
        content_type: Some(STREAM_TYPE),
        content_encoding: None,
        content_range: Some("bytes 10-19/100"),
    };

    /// STREAM-5: 206 with the exact range, our type, identity encoding.
    #[test]
    fn a_stream_of_ours_counts() {
        assert_eq!(GOOD.judge(&ASKED), Ok(()));
        let spelt = Some("Application/X-Zot-File; charset=binary");
        let identity = Some("Identity");
        let head = Head { content_type: spelt, content_encoding: identity, ..GOOD };
        assert_eq!(head.judge(&ASKED), Ok(()));
    }

    /// STREAM-5: a type, an encoding or a range of something else is not ours.
    #[test]
    fn an_answer_with_a_wrong_head_is_not_ours() {
        let not_ours = |head: Head<'_>| match head.judge(&ASKED) {
            Err(StreamEvent::NotOurs(what)) => Some(what),
            _ => None,
        };
        for content_type in [None, Some("text/html"), Some("application/x-zot-file-2"), Some("")] {
            assert_eq!(not_ours(Head { content_type, ..GOOD }), Some(NotOurs::ContentType));
        }
        for encoding in ["gzip", "br", "identity, gzip"] {
            let head = Head { content_encoding: Some(encoding), ..GOOD };
            assert_eq!(not_ours(head), Some(NotOurs::ContentEncoding));
        }
        for range in ["bytes 10-18/100", "bytes 0-9/100", "bytes 10-19/*", "bytes 10-19/101"] {
            let head = Head { content_range: Some(range), ..GOOD };
            assert_eq!(not_ours(head), Some(NotOurs::ContentRange));
        }
        let without = Head { content_range: None, ..GOOD };
        assert_eq!(not_ours(without), Some(NotOurs::ContentRange));
    }

    /// STREAM-5: 200 is the whole file, so it answers only who asked for the whole file.
    #[test]
    fn status_200_is_the_whole_file() {
        let head = Head { status: 200, content_range: None, ..GOOD };
        assert_eq!(head.judge(&Asked { first: 0, last: 99, size: 100 }), Ok(()));
        let wrong = Err(StreamEvent::NotOurs(NotOurs::ContentRange));
        assert_eq!(head.judge(&ASKED), wrong);
        assert_eq!(head.judge(&Asked { first: 0, last: 98, size: 100 }), wrong);
    }

    /// STREAM-9: which unsigned statuses speak about the path, and which only brought nothing.
    #[test]
    fn unsigned_statuses_are_told_apart() {
        for status in [404, 405, 406, 411, 413, 500, 502, 503, 599] {
            let event = StreamEvent::NotOurs(NotOurs::Status(status));
            assert_eq!(Head { status, ..GOOD }.judge(&ASKED), Err(event));
        }
        for status in [204, 301, 302, 400, 401, 403, 410, 416, 429] {
            assert_eq!(Head { status, ..GOOD }.judge(&ASKED), Err(StreamEvent::NoProgress));
        }
    }
}

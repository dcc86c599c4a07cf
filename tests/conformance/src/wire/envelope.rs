//! Envelopes made and opened, and what an answer turns out to be.
//!
//! Invariant: an answer counts only if every rule of an answer holds; what breaks one is named.
//! Spec: PKT-1, PKT-11, PKT-13, SIGN-1, SIGN-2, SIGN-11, SIGN-17, REF-2, REF-3.

use zotferry_protocol::refusal::Code;

use super::{Value, map, read};
use crate::keys::{Key, Public};

/// Content type of packets.
const PACKET: &str = "application/x-zot+msgpack";

/// SIGN-1: what a packet's signature covers.
pub fn message(key: &str, body: &[u8]) -> Vec<u8> {
    [format!("zot-file-packet\n1\nrsa-sha256\n{key}\n").as_bytes(), body].concat()
}

/// An envelope around a body, signed by a site key under a site id.
pub fn seal(key: &Key, site_id: &str, body: &[u8]) -> Value {
    map([
        ("v", 1u64.into()),
        ("alg", "rsa-sha256".into()),
        ("key", site_id.into()),
        ("body", body.to_vec().into()),
        ("sig", key.sign(&message(site_id, body)).into()),
    ])
}

/// The signer, the body and the whole of an envelope whose shape is right. Its signature is not looked at.
pub fn open(bytes: &[u8]) -> Result<(String, Value, Value), String> {
    let envelope = read(bytes)?;
    let key = envelope.text("key").ok_or("an envelope without `key`")?.to_owned();
    let body = read(envelope.bin("body").ok_or("an envelope without `body`")?)?;
    Ok((key, body, envelope))
}

/// What came back over HTTP.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, or as much of it as was read.
    pub body: Vec<u8>,
    /// Whether the body ended as HTTP says it should.
    pub whole: bool,
}

impl Answer {
    /// A header's value; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The content type without parameters.
    pub fn content_type(&self) -> &str {
        self.header("content-type").split(';').next().unwrap_or_default().trim()
    }

    /// The seconds of `Retry-After`.
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").parse().ok()
    }

    /// In a few words, for a report.
    pub fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(80)]);
        let text = text.lines().next().unwrap_or_default().escape_default().to_string();
        format!("status {}, type {:?}, {text:?}", self.status, self.header("content-type"))
    }
}

/// What an answer is.
#[derive(Debug, Clone)]
pub enum Reply {
    /// REF-3: an unsigned refusal: its status, and number and word where the line has its form.
    Hint {
        /// The HTTP status.
        status: u16,
        /// Number and word.
        line: Option<(u64, String)>,
    },
    /// REF-2: a signed refusal.
    Refusal {
        /// Its number.
        code: u64,
        /// The body of the packet.
        body: Value,
    },
    /// Another packet.
    Packet {
        /// Its type.
        kind: String,
        /// Its body.
        body: Value,
    },
    /// Frames or a stream, as they came.
    Bytes(Answer),
}

impl Reply {
    /// In a few words, for a report.
    pub fn shown(&self) -> String {
        match self {
            Self::Hint { status, line: Some((code, word)) } => {
                format!("an unsigned refusal {code} {word} (status {status})")
            }
            Self::Hint { status, line: None } => format!("an unsigned answer of status {status}"),
            Self::Refusal { code, body } => {
                let text = body.text("text").unwrap_or_default().escape_default().to_string();
                format!("a signed refusal {} ({text})", named(*code))
            }
            Self::Packet { kind, .. } => format!("a {kind:?} packet"),
            Self::Bytes(answer) => answer.shown(),
        }
    }
}

/// A code with its word, as the table of refusals has it.
fn named(code: u64) -> String {
    let known = u16::try_from(code).ok().and_then(Code::from_number);
    known.map_or(format!("{code}"), |known| format!("{code} {known}"))
}

/// Who asked whom, and in which packet.
pub struct Asked<'a> {
    /// The hub that was asked: site id and key.
    pub hub: (&'a str, &'a Public),
    /// The hub that asked.
    pub me: &'a str,
    /// The channel in whose name it asked.
    pub channel: &'a str,
    /// The id of the request.
    pub id: &'a [u8],
}

/// What an answer is; an error if it is none that may be given to that request.
pub fn judge(answer: &Answer, asked: &Asked<'_>) -> Result<Reply, String> {
    match answer.content_type() {
        PACKET => signed(answer, asked),
        "application/x-zot-chunks" | "application/x-zot-file" => Ok(Reply::Bytes(answer.clone())),
        _ if answer.status >= 400 => Ok(hint(answer)),
        _ => Err(format!("no answer of this protocol: {}", answer.shown())),
    }
}

/// An answer that nobody signed.
pub fn hint(answer: &Answer) -> Reply {
    let plain = answer.content_type() == "text/plain";
    Reply::Hint { status: answer.status, line: plain.then(|| line(&answer.body)).flatten() }
}

/// `20 unknown-location: ...`.
fn line(body: &[u8]) -> Option<(u64, String)> {
    let text = std::str::from_utf8(body).ok()?;
    let (head, sentence) = text.split_once(": ")?;
    let (number, word) = head.split_once(' ')?;
    let single = !sentence.trim_end_matches(['\r', '\n']).contains('\n');
    (single && !sentence.trim().is_empty())
        .then(|| Some((number.parse().ok()?, word.to_owned())))?
}

fn signed(answer: &Answer, asked: &Asked<'_>) -> Result<Reply, String> {
    let (key, body, envelope) = open(&answer.body)?;
    let Value::Map(fields) = &envelope else { return Err("an envelope that is no map".into()) };
    if envelope.uint("v") != Some(1) || envelope.text("alg") != Some("rsa-sha256") {
        return Err("PKT-1: an envelope of another version or algorithm".into());
    }
    if fields.len() != 5 {
        return Err(format!("PKT-1: an envelope of {} fields", fields.len()));
    }
    let (text, sig) = (envelope.bin("body").unwrap_or_default(), envelope.bin("sig"));
    if key != asked.hub.0 || body.text("from.hub") != Some(asked.hub.0) {
        return Err("SIGN-2: `key` and `from.hub` are not both the site id of the hub".into());
    }
    if !sig.is_some_and(|sig| asked.hub.1.verifies(&message(&key, text), sig)) {
        return Err("SIGN-17: the answer's signature does not hold".into());
    }
    header(&body, asked)?;
    let kind = body.text("type").unwrap_or_default().to_owned();
    if kind != "refusal" {
        return match answer.status {
            200 => Ok(Reply::Packet { kind, body }),
            status => Err(format!("PKT-11: a {kind} with status {status}")),
        };
    }
    let code = body.uint("code").ok_or("a refusal without a code")?;
    if body.uint("clock").is_none() || body.text("text").is_none() {
        return Err("a refusal without `clock` or `text`".into());
    }
    let known = u16::try_from(code).ok().and_then(Code::from_number);
    if known.is_some_and(|known| known.http() != answer.status) {
        return Err(format!("PKT-13: refusal {} with status {}", named(code), answer.status));
    }
    Ok(Reply::Refusal { code, body })
}

/// The fields that every body has, and that it answers this very request.
fn header(body: &Value, asked: &Asked<'_>) -> Result<(), String> {
    if body.text("to.hub") != Some(asked.me) {
        return Err("SIGN-17: an answer to another hub".into());
    }
    if body.text("from.channel").is_none() || body.text("to.channel") != Some(asked.channel) {
        return Err("SIGN-17: an answer to another channel".into());
    }
    if body.bin("answers") != Some(asked.id) {
        return Err("SIGN-17: `answers` is not the id of the request".into());
    }
    let id = body.bin("id").unwrap_or_default();
    if id.len() != 16 || id[6] >> 4 != 7 || id[8] >> 6 != 2 {
        return Err("PKT-20: the id is no UUIDv7".into());
    }
    match (body.uint("at"), body.uint("expires")) {
        (Some(at), Some(expires)) if expires >= at && expires - at <= 600_000 => Ok(()),
        dates => Err(format!("SIGN-6: an answer with the dates {dates:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REF-3: the line has a number, a word and a sentence.
    #[test]
    fn a_hint_has_one_form() {
        assert_eq!(line(b"23 not-for-me: to another hub\n"), Some((23, "not-for-me".into())));
        for other in ["", "23 not-for-me", "x not-for-me: y", "23 not-for-me: a\nb\n", "23: y"] {
            assert_eq!(line(other.as_bytes()), None, "{other:?}");
        }
    }
}

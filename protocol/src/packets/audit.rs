//! `audit-request`, `audit-page` and `entry-request`: what two catalogs disagree about, range by range.
//!
//! Spec: AUDIT-5 to AUDIT-10.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::manifest::{join, split};
use crate::codec;
use crate::ids::Digest;
use crate::refusal::{Code, Refusal};
use crate::trie::{FAN_OUT, MAX_PREFIX, Sum};

/// Most ranges in one packet.
pub const MAX_RANGES: usize = 256;
/// Most entries asked for in one packet.
pub const MAX_KEYS: usize = 256;
/// AUDIT-8: a range of so many leaves is listed rather than divided.
pub const LISTED: u64 = 128;

/// One range, and what it is at the asker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRange {
    /// The first bytes of all its keys, 0 to 4.
    pub prefix: ByteBuf,
    /// The asker's digest.
    pub digest: Digest,
    /// Whether leaves are wanted, however many there are.
    pub list: bool,
    /// Leaves are wanted from behind this key on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
}

/// Asks how some ranges stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRequest {
    /// The ranges, in the order of the answer.
    #[serde(deserialize_with = "codec::bounded::<_, _, 256>")]
    pub ranges: Vec<AuditRange>,
}

/// How one range stands at the answerer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAnswer {
    /// Number of the range in the request.
    pub range: u32,
    /// The answerer's digest.
    pub digest: Digest,
    /// How many leaves it has there.
    pub count: u64,
    /// When divided: the digests of the 256 ranges below, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<ByteBuf>,
    /// When divided: how many leaves each of them has.
    #[serde(
        default,
        deserialize_with = "codec::bounded::<_, _, 256>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub counts: Vec<u64>,
    /// When listed: key and digest of each leaf, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<ByteBuf>,
    /// When listed: whether leaves follow behind the last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// As many of the asked ranges, in order, as fit one packet; what is missing is asked for again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The ranges.
    #[serde(deserialize_with = "codec::bounded::<_, _, 256>")]
    pub ranges: Vec<AuditAnswer>,
}

/// Asks for entries by their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRequest {
    /// Which.
    #[serde(deserialize_with = "codec::bounded::<_, _, 256>")]
    pub keys: Vec<Digest>,
}

impl AuditRequest {
    /// AUDIT-5.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.ranges.is_empty() || self.ranges.iter().any(|r| r.prefix.len() > MAX_PREFIX) {
            return Err(Refusal::with(Code::BadField, "1 to 256 ranges of 0 to 4 bytes"));
        }
        Ok(())
    }
}

impl AuditAnswer {
    /// A range that is equal at both, or of which no more is to be said.
    pub fn of(range: u32, sum: &Sum) -> Self {
        let Sum { count, digest } = *sum;
        Self { range, digest, count, digests: None, counts: Vec::new(), leaves: None, more: false }
    }

    /// A range by the 256 below it.
    #[must_use]
    pub fn divided(self, below: &[Sum]) -> Self {
        let digests: Vec<Digest> = below.iter().map(|sum| sum.digest).collect();
        let counts = below.iter().map(|sum| sum.count).collect();
        Self { digests: Some(join(&digests)), counts, ..self }
    }

    /// A range by its leaves: key and digest.
    #[must_use]
    pub fn listed(self, leaves: &[(Digest, Digest)], more: bool) -> Self {
        let joined: Vec<Digest> = leaves.iter().flat_map(|(key, leaf)| [*key, *leaf]).collect();
        Self { leaves: Some(join(&joined)), more, ..self }
    }

    /// The 256 ranges below, where it is divided.
    pub fn below(&self) -> Option<Vec<Sum>> {
        let digests = split(self.digests.as_ref()?);
        let sums = digests.iter().zip(&self.counts);
        Some(sums.map(|(digest, count)| Sum { count: *count, digest: *digest }).collect())
    }

    /// Its leaves, where it is listed: key and digest.
    pub fn leaves(&self) -> Option<Vec<(Digest, Digest)>> {
        let digests = split(self.leaves.as_ref()?);
        let (pairs, _) = digests.as_chunks();
        Some(pairs.iter().map(|[key, leaf]| (*key, *leaf)).collect())
    }

    /// AUDIT-8: equal, divided or listed, and whole.
    fn is_whole(&self) -> bool {
        let divided = self.digests.as_ref().map(|d| d.len());
        let listed = self.leaves.as_ref().map(|l| l.len());
        match (divided, listed) {
            (None, None) => self.counts.is_empty() && !self.more,
            (Some(bytes), None) => {
                bytes == FAN_OUT * Digest::LEN && self.counts.len() == FAN_OUT && !self.more
            }
            (None, Some(bytes)) => {
                bytes.is_multiple_of(2 * Digest::LEN)
                    && self.counts.is_empty()
                    && (bytes > 0 || !self.more)
            }
            (Some(_), Some(_)) => false,
        }
    }
}

impl AuditPage {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let rising = self.ranges.windows(2).all(|pair| pair[0].range < pair[1].range);
        if rising && self.ranges.iter().all(AuditAnswer::is_whole) {
            return Ok(());
        }
        Err(Refusal::with(Code::BadField, "a range is equal, divided or listed"))
    }
}

impl EntryRequest {
    /// AUDIT-9.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.keys.is_empty() {
            return Err(Refusal::with(Code::BadField, "no key"));
        }
        Ok(())
    }
}

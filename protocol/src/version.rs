//! Versions of one register of an entry, and who wins.
//!
//! Owns: version vectors, the hybrid logical clock, their order. Not here: what a version is the
//! version of, conflict copies, clocks.
//! Invariant: merging is the same whatever the order, the grouping or the repetition, on every clone.
//! Invariant: no version is ever made that a peer would refuse to decode.
//! Spec: SYNC-20 to SYNC-26.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::ids::{Millis, ReplicaId};

#[cfg(test)]
mod tests;

/// SYNC-21: no vector names more replicas than this.
pub const MAX_REPLICAS: usize = 256;
/// SYNC-21: the largest counter: what a signed 64-bit column still holds.
pub const MAX_COUNTER: u64 = i64::MAX as u64;

/// A version that must not exist, on the wire or here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// More than [`MAX_REPLICAS`].
    #[error("a version names at most 256 replicas")]
    TooManyReplicas,
    /// A counter or the clock has no successor that fits.
    #[error("a version's counter or clock is beyond its limit")]
    Exhausted,
    /// A counter of zero, which is the same as none.
    #[error("a version's counters start at 1")]
    ZeroCounter,
    /// The replica of the last writer does not stand in the vector.
    #[error("a version's vector must name its last writer")]
    UnknownWriter,
}

/// SYNC-22: a hybrid logical clock: Unix time in ms (upper 48 bits), then a counter (16 bits).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The last moment: what a signed 64-bit column still holds (the year 6429).
    pub const MAX: Self = Self(i64::MAX as u64);

    /// `now`, or just after `last` where the wall clock lags behind it. Above `last` unless that is past [`Hlc::MAX`].
    #[must_use]
    pub fn after(last: Self, now: Millis) -> Self {
        let wall = now.0.min(Self::MAX.0 >> 16) << 16;
        Self(wall.max(last.0.saturating_add(1)))
    }

    /// The wall clock part.
    pub fn millis(self) -> Millis {
        Millis(self.0 >> 16)
    }
}

/// How one version stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The same version.
    Equal,
    /// The first is dominated by the second.
    Older,
    /// The first dominates the second.
    Newer,
    /// Neither has seen the other.
    Concurrent,
}

/// SYNC-20: what a register's content has seen, and who wrote it last.
///
/// On the wire a map: `vector` (replica → counter), `hlc`, `replica`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Version {
    vector: BTreeMap<ReplicaId, u64>,
    hlc: Hlc,
    replica: ReplicaId,
}

impl Version {
    /// SYNC-21: within all limits, and the last writer stands in the vector.
    pub fn new(
        vector: BTreeMap<ReplicaId, u64>,
        hlc: Hlc,
        replica: ReplicaId,
    ) -> Result<Self, VersionError> {
        if vector.len() > MAX_REPLICAS {
            return Err(VersionError::TooManyReplicas);
        }
        if hlc > Hlc::MAX || vector.values().any(|counter| *counter > MAX_COUNTER) {
            return Err(VersionError::Exhausted);
        }
        if vector.values().any(|counter| *counter == 0) {
            return Err(VersionError::ZeroCounter);
        }
        if !vector.contains_key(&replica) {
            return Err(VersionError::UnknownWriter);
        }
        Ok(Self { vector, hlc, replica })
    }

    /// SYNC-23: the version of an edit at `replica` of what stood at `previous`; it dominates that.
    ///
    /// Fails only where a peer (or 256 replicas) used up a limit; a newly minted replica id helps
    /// against a counter.
    pub fn edit(
        previous: Option<&Self>,
        replica: ReplicaId,
        now: Millis,
    ) -> Result<Self, VersionError> {
        let mut vector = previous.map(|version| version.vector.clone()).unwrap_or_default();
        let counter = vector.entry(replica).or_default();
        *counter = counter.saturating_add(1);
        let last = previous.map_or(Hlc::default(), |version| version.hlc);
        Self::new(vector, Hlc::after(last, now), replica)
    }

    /// SYNC-33, SYNC-44: what a removal, or new content of an entry that has `removed`, is an edit of: the join of what is there of
    /// both. `None` where there is nothing.
    pub fn joined<'a>(
        seen: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Option<Self>, VersionError> {
        let mut seen = seen.into_iter();
        let first = seen.next().cloned();
        first.map(|first| seen.try_fold(first, |all, next| join(&all, next))).transpose()
    }

    /// Edits seen, by the replica that made them; never 0.
    pub fn vector(&self) -> &BTreeMap<ReplicaId, u64> {
        &self.vector
    }

    /// When the content was written; above every version that it dominates.
    pub fn hlc(&self) -> Hlc {
        self.hlc
    }

    /// Who wrote the content.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// SYNC-26: whether the edit that wrote the content under `other` is among what this version has seen.
    ///
    /// Concurrent versions can still hold the same content, or content of which one was replaced
    /// knowingly (a join carries more than its last writer saw). Only what the winner has not
    /// seen is a loss, worth a conflict copy.
    pub fn has_seen(&self, other: &Self) -> bool {
        // Edits of one replica follow each other, so the last writer's counter is the edit itself.
        self.counter(&other.replica) >= other.counter(&other.replica)
    }

    fn counter(&self, replica: &ReplicaId) -> u64 {
        self.vector.get(replica).copied().unwrap_or(0)
    }

    fn stamp(&self) -> (Hlc, ReplicaId) {
        (self.hlc, self.replica)
    }

    fn is_within(&self, other: &Self) -> bool {
        self.stamp() <= other.stamp()
            && self.vector.iter().all(|(replica, counter)| *counter <= other.counter(replica))
    }

    /// A total order in which every version stands above those it dominates.
    fn precedence(&self, other: &Self) -> Ordering {
        let seen = |version: &Self| version.vector.values().map(|n| u128::from(*n)).sum::<u128>();
        self.stamp()
            .cmp(&other.stamp())
            .then_with(|| seen(self).cmp(&seen(other)))
            .then_with(|| self.vector.cmp(&other.vector))
    }
}

/// SYNC-24: how `a` stands to `b`.
///
/// To dominate, a version must have seen everything *and* be later by (HLC, replica). Honest ones
/// always are. One that has seen everything but claims an earlier time counts as concurrent: so
/// versions are ordered as a lattice, and even forged ones merge to the same everywhere.
pub fn relation(a: &Version, b: &Version) -> Relation {
    match (a.is_within(b), b.is_within(a)) {
        (true, true) => Relation::Equal,
        (true, false) => Relation::Older,
        (false, true) => Relation::Newer,
        (false, false) => Relation::Concurrent,
    }
}

/// SYNC-25: whose content stays: the dominating version's, or the one with the larger (HLC, replica).
pub fn winner<'a>(a: &'a Version, b: &'a Version) -> &'a Version {
    match a.precedence(b) {
        Ordering::Less => b,
        Ordering::Equal | Ordering::Greater => a,
    }
}

/// SYNC-25: the version of the merged register: both vectors joined, without an increment, under
/// the winner's clock and replica. Fails when the two name more than [`MAX_REPLICAS`] together.
pub fn join(a: &Version, b: &Version) -> Result<Version, VersionError> {
    let mut vector = a.vector.clone();
    for (replica, counter) in &b.vector {
        let own = vector.entry(*replica).or_default();
        *own = (*own).max(*counter);
    }
    let winner = winner(a, b);
    Version::new(vector, winner.hlc, winner.replica)
}

/// A version as it came, not checked yet.
#[derive(Deserialize)]
struct Fields {
    #[serde(deserialize_with = "bounded_vector")]
    vector: BTreeMap<ReplicaId, u64>,
    hlc: Hlc,
    replica: ReplicaId,
}

impl TryFrom<Fields> for Version {
    type Error = VersionError;
    fn try_from(fields: Fields) -> Result<Self, VersionError> {
        Self::new(fields.vector, fields.hlc, fields.replica)
    }
}

/// Stops at the first entry too many, whatever length the map claims.
fn bounded_vector<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<ReplicaId, u64>, D::Error> {
    struct Vector;

    impl<'de> de::Visitor<'de> for Vector {
        type Value = BTreeMap<ReplicaId, u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of at most 256 replica ids to counters")
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut vector = BTreeMap::new();
            while let Some((replica, counter)) = map.next_entry()? {
                if vector.insert(replica, counter).is_some() {
                    return Err(de::Error::custom("a replica stands twice in a version"));
                }
                if vector.len() > MAX_REPLICAS {
                    return Err(de::Error::custom(VersionError::TooManyReplicas));
                }
            }
            Ok(vector)
        }
    }

    d.deserialize_map(Vector)
}

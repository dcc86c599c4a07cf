//! Where folders lie when concurrent moves put them into each other.
//!
//! Owns: breaking cycles, from the state alone, so that every clone breaks them the same way. Not
//! here: reading the folders, writing where they lie.
//! Invariant: no folder is below itself; whatever the order in which moves arrived, the result is one.
//! Spec: SYNC-39, SYNC-40.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::ResourceId;
use crate::version::Version;

/// What a folder's place register says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder it was put into; none at the top.
    pub folder: Option<ResourceId>,
    /// The folder it was moved from.
    pub was: Option<ResourceId>,
    /// When, and by whom.
    pub version: Version,
}

impl Place {
    fn parent(&self, returned: u8) -> Option<&ResourceId> {
        match returned {
            0 => self.folder.as_ref(),
            1 => self.was.as_ref(),
            _ => None,
        }
    }
}

/// SYNC-40: the folders that do not lie where their register says, and where they lie instead. `places` holds
/// every folder above any of `from`, along `folder` and along `was`; a folder that is not in it ends the way.
pub fn displaced(
    places: &BTreeMap<ResourceId, Place>,
    from: impl IntoIterator<Item = ResourceId>,
) -> BTreeMap<ResourceId, Option<ResourceId>> {
    let mut returned: BTreeMap<ResourceId, u8> = BTreeMap::new();
    let mut to_look: BTreeSet<ResourceId> = from.into_iter().collect();
    while let Some(start) = to_look.pop_first() {
        while let Some(cycle) = cycle_above(places, &returned, &start) {
            let loser = cycle
                .iter()
                .filter(|hash| returned.get(*hash).copied().unwrap_or(0) < 2)
                .min_by_key(|hash| {
                    let version = &places[*hash].version;
                    (version.hlc(), version.replica(), (*hash).clone())
                })
                .expect("a folder at the top is in no cycle")
                .clone();
            *returned.entry(loser.clone()).or_default() += 1;
            to_look.insert(loser);
        }
    }
    returned.into_iter().map(|(hash, n)| (hash.clone(), places[&hash].parent(n).cloned())).collect()
}

/// The folders of the cycle that the way up from `start` runs into.
fn cycle_above(
    places: &BTreeMap<ResourceId, Place>,
    returned: &BTreeMap<ResourceId, u8>,
    start: &ResourceId,
) -> Option<Vec<ResourceId>> {
    let mut way: Vec<ResourceId> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut at = Some(start);
    while let Some(hash) = at {
        let place = places.get(hash)?;
        if !seen.insert(hash.clone()) {
            let begins = way.iter().position(|h| h == hash).expect("it was seen on the way");
            return Some(way.split_off(begins));
        }
        way.push(hash.clone());
        at = place.parent(returned.get(hash).copied().unwrap_or(0));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Millis, ReplicaId};

    fn id(name: &str) -> ResourceId {
        ResourceId::new(name).expect("an id")
    }

    fn places(rows: &[(&str, &str, &str, u64)]) -> BTreeMap<ResourceId, Place> {
        let maybe = |name: &str| (!name.is_empty()).then(|| id(name));
        rows.iter()
            .map(|(hash, folder, was, ms)| {
                let version = Version::edit(None, ReplicaId([1; 8]), Millis(*ms)).expect("an edit");
                (id(hash), Place { folder: maybe(folder), was: maybe(was), version })
            })
            .collect()
    }

    fn resolved(rows: &[(&str, &str, &str, u64)]) -> Vec<(String, String)> {
        let places = places(rows);
        let text = |folder: Option<ResourceId>| folder.map_or_else(String::new, |f| f.to_string());
        let moved = displaced(&places, places.keys().cloned());
        moved.into_iter().map(|(hash, folder)| (hash.to_string(), text(folder))).collect()
    }

    fn pair(hash: &str, folder: &str) -> (String, String) {
        (hash.to_owned(), folder.to_owned())
    }

    /// SYNC-40: a tree is left as it is.
    #[test]
    fn without_a_cycle_nothing_moves() {
        assert!(resolved(&[("a", "", "", 1), ("b", "a", "", 2), ("c", "gone", "", 3)]).is_empty());
    }

    /// SYNC-40: the earlier of two moves yields and returns to where it came from.
    #[test]
    fn the_earlier_move_returns() {
        let rows = [("t", "", "", 1), ("a", "b", "t", 5), ("b", "a", "", 6), ("c", "b", "", 2)];
        assert_eq!(resolved(&rows), [pair("a", "t")]);
    }

    /// SYNC-40: where the old place is in the cycle too, it goes to the top; a folder in itself as well.
    #[test]
    fn what_cannot_return_goes_to_the_top() {
        assert_eq!(resolved(&[("a", "b", "b", 5), ("b", "a", "", 6)]), [pair("a", "")]);
        assert_eq!(resolved(&[("a", "a", "", 5)]), [pair("a", "")]);
    }

    /// SYNC-40: returning can close another cycle, which is broken in turn.
    #[test]
    fn a_return_that_closes_another_cycle_is_looked_at_again() {
        // a returns to c, which lies below a by way of d: then d, the earliest there, returns to the top.
        let rows = [("a", "b", "c", 5), ("b", "a", "", 6), ("c", "d", "", 9), ("d", "a", "", 3)];
        assert_eq!(resolved(&rows), [pair("a", "c"), pair("d", "")]);
    }

    /// SYNC-40: where one begins to look does not matter.
    #[test]
    fn every_beginning_leads_to_the_same() {
        let rows = [("a", "b", "c", 5), ("b", "a", "", 6), ("c", "d", "", 9), ("d", "a", "", 3)];
        let places = places(&rows);
        let all = displaced(&places, places.keys().cloned());
        for start in places.keys() {
            assert_eq!(displaced(&places, [start.clone()]), all, "from {start}");
        }
    }
}

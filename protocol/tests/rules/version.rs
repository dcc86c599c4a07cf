//! Who wins is the same on every clone, whatever was lost, repeated or reordered on the way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zotferry_protocol::ids::{Millis, ReplicaId};
use zotferry_protocol::version::{Hlc, Relation, Version, join, relation, winner};

/// Few replicas, counters and moments, so that ties and dominations are common.
fn replica() -> impl Strategy<Value = ReplicaId> {
    (0..4_u8).prop_map(|n| ReplicaId([n; 8]))
}

/// Any version that decodes, honest or not.
fn any_version() -> impl Strategy<Value = Version> {
    let vector = prop::collection::btree_map(replica(), 1..4_u64, 1..4);
    (vector, 0..4_u64, any::<prop::sample::Index>()).prop_map(|(vector, hlc, writer)| {
        let writer = *writer.get(&vector.keys().copied().collect::<Vec<_>>());
        Version::new(vector, Hlc(hlc), writer).expect("within the limits")
    })
}

fn join_of(a: &Version, b: &Version) -> Version {
    join(a, b).expect("few replicas")
}

fn opposite(relation: Relation) -> Relation {
    match relation {
        Relation::Older => Relation::Newer,
        Relation::Newer => Relation::Older,
        same => same,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// SYNC-24: seen from the other side, a relation is its opposite; only equal versions are equal.
    #[test]
    fn relation_is_antisymmetric(a in any_version(), b in any_version()) {
        prop_assert_eq!(relation(&a, &b), opposite(relation(&b, &a)));
        prop_assert_eq!(relation(&a, &b) == Relation::Equal, a == b);
    }

    /// SYNC-24: what is older than an older version is older.
    #[test]
    fn relation_is_transitive(a in any_version(), b in any_version(), c in any_version()) {
        let older = |x, y| relation(x, y) == Relation::Older;
        prop_assert!(!(older(&a, &b) && older(&b, &c)) || older(&a, &c));
    }

    /// SYNC-25: there is one winner, whichever side asks, and a dominated version never wins.
    #[test]
    fn winner_is_the_same_on_every_clone(a in any_version(), b in any_version()) {
        let won = winner(&a, &b);
        prop_assert_eq!(won, winner(&b, &a));
        prop_assert!(*won == a || *won == b);
        match relation(&a, &b) {
            Relation::Older => prop_assert_eq!(won, &b),
            Relation::Newer => prop_assert_eq!(won, &a),
            Relation::Equal | Relation::Concurrent => {}
        }
    }

    /// SYNC-25: three versions have one winner in whatever order they meet.
    #[test]
    fn winner_does_not_depend_on_the_order(
        a in any_version(), b in any_version(), c in any_version(),
    ) {
        let (left, right) = (winner(winner(&a, &b), &c), winner(&a, winner(&b, &c)));
        prop_assert_eq!(left, right);
    }

    /// SYNC-25: join is commutative, associative and idempotent, and stands above both sides.
    #[test]
    fn join_is_a_semilattice(a in any_version(), b in any_version(), c in any_version()) {
        let joined = join_of(&a, &b);
        prop_assert_eq!(&joined, &join_of(&b, &a));
        prop_assert_eq!(join_of(&joined, &c), join_of(&a, &join_of(&b, &c)));
        prop_assert_eq!(&join_of(&a, &a), &a);
        for part in [&a, &b] {
            prop_assert!(matches!(relation(part, &joined), Relation::Older | Relation::Equal));
        }
    }

    /// SYNC-25: joining with a dominated version changes nothing, so a repeated delivery is harmless.
    #[test]
    fn join_with_a_dominated_version_changes_nothing(a in any_version(), b in any_version()) {
        if relation(&a, &b) == Relation::Newer {
            prop_assert_eq!(join_of(&a, &b), a);
        }
    }

    /// SYNC-23: an edit dominates what it edited, under a clock above it, whatever the wall clock says.
    #[test]
    fn an_edit_dominates_whatever_the_wall_clock_says(
        before in any_version(), at in replica(), now in prop_oneof![0..3_u64, any::<u64>()],
    ) {
        let edit = Version::edit(Some(&before), at, Millis(now)).expect("room above");
        prop_assert_eq!(relation(&edit, &before), Relation::Newer);
        prop_assert!(edit.hlc() > before.hlc());
        prop_assert!(edit.has_seen(&before) && !before.has_seen(&edit));
        let seen: u64 = before.vector().values().sum();
        prop_assert_eq!(edit.vector().values().sum::<u64>(), seen + 1);
    }

    /// SYNC-20: what is sent is what is received.
    #[test]
    fn a_version_survives_the_wire(version in any_version()) {
        let bytes = rmp_serde::to_vec_named(&version).expect("encodes");
        prop_assert_eq!(rmp_serde::from_slice::<Version>(&bytes).expect("decodes"), version);
    }
}

/// A register as a clone holds it: the version, and which edit its content comes from.
type Register = Option<(Version, usize)>;

/// What happens among three clones.
#[derive(Debug, Clone)]
enum Act {
    /// A clone edits, under its own idea of the time.
    Edit { clone: usize, now: u64 },
    /// A clone receives what another one holds.
    Receive { clone: usize, from: usize },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..3_usize, 0..6_u64).prop_map(|(clone, now)| Act::Edit { clone, now }),
        (0..3_usize, 0..3_usize).prop_map(|(clone, from)| Act::Receive { clone, from }),
    ]
}

/// Applies the rule of SYNC-24 and SYNC-25 to what arrived.
fn receive(held: &mut Register, arrived: &Register) {
    let Some((version, content)) = arrived else {
        return;
    };
    let Some((own, own_content)) = held else {
        held.clone_from(arrived);
        return;
    };
    match relation(version, own) {
        Relation::Equal | Relation::Older => {}
        Relation::Newer => held.clone_from(arrived),
        Relation::Concurrent => {
            let content = if winner(version, own) == own {
                *own_content
            } else {
                *content
            };
            *held = Some((join_of(own, version), content));
        }
    }
}

/// Three clones, and every register that any of them ever sent.
#[derive(Default)]
struct Clones {
    held: [Register; 3],
    ever: Vec<Register>,
    edits: BTreeMap<usize, Version>,
}

impl Clones {
    fn act(&mut self, act: &Act) {
        match *act {
            Act::Edit { clone, now } => self.edit(clone, now),
            Act::Receive { clone, from } => {
                let arrived = self.held[from].clone();
                receive(&mut self.held[clone], &arrived);
                self.ever.push(self.held[clone].clone());
            }
        }
    }

    fn edit(&mut self, clone: usize, now: u64) {
        let previous = self.held[clone].as_ref().map(|(version, _)| version);
        let version = Version::edit(previous, ReplicaId([clone as u8; 8]), Millis(now));
        let version = version.expect("room above");
        let content = self.edits.len();
        self.edits.insert(content, version.clone());
        self.held[clone] = Some((version, content));
        self.ever.push(self.held[clone].clone());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// SYNC-25: three clones agree on version and content once each received everything, in any
    /// order and any number of times.
    #[test]
    fn three_clones_agree_in_any_order(
        acts in prop::collection::vec(act(), 1..14),
        orders in prop::array::uniform3(prop::collection::vec(any::<prop::sample::Index>(), 0..20)),
    ) {
        let mut clones = Clones::default();
        acts.iter().for_each(|act| clones.act(act));
        let Clones { mut held, ever, .. } = clones;
        for (own, order) in held.iter_mut().zip(orders) {
            if !ever.is_empty() {
                order.iter().for_each(|index| receive(own, index.get(&ever)));
            }
            ever.iter().for_each(|register| receive(own, register));
        }
        prop_assert_eq!(&held[0], &held[1]);
        prop_assert_eq!(&held[1], &held[2]);
    }

    /// SYNC-23, SYNC-24: among honest clones a version that has seen everything is also later by its
    /// clock, so the order is that of the vectors alone.
    #[test]
    fn honest_clocks_never_contradict_the_vectors(acts in prop::collection::vec(act(), 1..14)) {
        let mut clones = Clones::default();
        acts.iter().for_each(|act| clones.act(act));
        let versions: Vec<_> = clones.ever.iter().flatten().map(|(version, _)| version).collect();
        for (a, b) in versions.iter().flat_map(|a| versions.iter().map(move |b| (a, b))) {
            let seen = |x: &Version, y: &Version| {
                x.vector().iter().all(|(replica, n)| y.vector().get(replica).is_some_and(|m| n <= m))
            };
            let by_vectors = match (seen(a, b), seen(b, a)) {
                (true, true) => Relation::Equal,
                (true, false) => Relation::Older,
                (false, true) => Relation::Newer,
                (false, false) => Relation::Concurrent,
            };
            prop_assert_eq!(relation(a, b), by_vectors);
        }
    }

    /// SYNC-26: `has_seen` says exactly whether the edit behind the content is in the causal past.
    #[test]
    fn has_seen_follows_the_edit_behind_the_content(acts in prop::collection::vec(act(), 1..14)) {
        let mut clones = Clones::default();
        acts.iter().for_each(|act| clones.act(act));
        for (version, _) in clones.ever.iter().flatten() {
            for (other, content) in clones.ever.iter().flatten() {
                let edit = &clones.edits[content];
                let in_the_past = matches!(relation(edit, version), Relation::Older | Relation::Equal);
                prop_assert_eq!(version.has_seen(other), in_the_past);
            }
        }
    }
}

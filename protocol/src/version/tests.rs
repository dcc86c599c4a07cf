//! The wire form, the limits, and the cases that are easy to get wrong.

use super::*;

fn replica(n: u16) -> ReplicaId {
    let mut bytes = [0; ReplicaId::LEN];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    ReplicaId(bytes)
}

fn version(vector: &[(u16, u64)], hlc: u64, writer: u16) -> Version {
    let vector = vector
        .iter()
        .map(|(n, counter)| (replica(*n), *counter))
        .collect();
    Version::new(vector, Hlc(hlc), replica(writer)).expect("a version within limits")
}

fn encode(version: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(version).expect("encodes")
}

/// Decodes what a peer sends, and gives the reason where it is refused.
fn decode(bytes: &[u8]) -> Result<Version, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}

/// Any vector, checked or not, in the form a version has on the wire.
#[derive(Serialize)]
struct Sent<'a> {
    vector: &'a BTreeMap<ReplicaId, u64>,
    hlc: Hlc,
    replica: ReplicaId,
}

/// SYNC-20: a version is a map of vector, hlc and replica; replica ids are bin.
#[test]
fn a_version_is_a_map_on_the_wire() {
    let bytes = encode(&version(&[(1, 2)], 300, 1));
    let expected = "83a6766563746f7281c40800010000000000000\
                    2a3686c63cd012ca77265706c696361c4080001000000000000";
    assert_eq!(hex::encode(&bytes), expected);
    assert_eq!(decode(&bytes), Ok(version(&[(1, 2)], 300, 1)));
}

/// SYNC-21: 256 replicas are the most that a vector may name.
#[test]
fn a_vector_names_at_most_256_replicas() {
    let vector = |count| (0..count).map(|n| (replica(n), 1)).collect();
    for (count, accepted) in [(256, true), (257, false)] {
        let sent = Sent {
            vector: &vector(count),
            hlc: Hlc(1),
            replica: replica(0),
        };
        assert_eq!(decode(&encode(&sent)).is_ok(), accepted, "{count} replicas");
    }
    let full = Version::new(vector(256), Hlc(1), replica(0)).expect("256 are allowed");
    let newcomer = Version::edit(Some(&full), replica(256), Millis(1));
    assert_eq!(newcomer, Err(VersionError::TooManyReplicas));
    let stranger = version(&[(256, 1)], 1, 256);
    assert_eq!(join(&full, &stranger), Err(VersionError::TooManyReplicas));
}

/// SYNC-21: a vector without its last writer, with zeros, with a replica twice, or empty is refused.
#[test]
fn malformed_versions_are_refused() {
    let refused = |vector: &[(u16, u64)], hlc, writer| {
        let vector = vector
            .iter()
            .map(|(n, counter)| (replica(*n), *counter))
            .collect();
        let sent = Sent {
            vector: &vector,
            hlc: Hlc(hlc),
            replica: replica(writer),
        };
        decode(&encode(&sent)).expect_err("must be refused")
    };
    let because = |error: VersionError| error.to_string();
    assert_eq!(refused(&[], 1, 1), because(VersionError::UnknownWriter));
    assert_eq!(
        refused(&[(2, 1)], 1, 1),
        because(VersionError::UnknownWriter)
    );
    assert_eq!(
        refused(&[(1, 1), (2, 0)], 1, 1),
        because(VersionError::ZeroCounter)
    );
    assert_eq!(
        refused(&[(1, u64::MAX)], 1, 1),
        because(VersionError::Exhausted)
    );
    assert_eq!(
        refused(&[(1, 1)], u64::MAX, 1),
        because(VersionError::Exhausted)
    );
    let twice = [
        b"\x83\xa6vector\x82".as_slice(),
        &[0xc4, 8, 0, 1, 0, 0, 0, 0, 0, 0, 1].repeat(2),
    ];
    let rest = b"\xa3hlc\x01\xa7replica\xc4\x08\x00\x01\0\0\0\0\0\0";
    let twice = [&twice.concat(), rest.as_slice()].concat();
    assert_eq!(
        decode(&twice),
        Err("a replica stands twice in a version".to_owned())
    );
}

/// SYNC-23: where a limit leaves no room above, an edit fails instead of falling back below.
#[test]
fn an_edit_never_wraps_around() {
    let last_counter = version(&[(1, MAX_COUNTER)], 1, 1);
    let edited = Version::edit(Some(&last_counter), replica(1), Millis(1));
    assert_eq!(edited, Err(VersionError::Exhausted));
    assert!(Version::edit(Some(&last_counter), replica(2), Millis(1)).is_ok());
    let last_moment = version(&[(1, 1)], Hlc::MAX.0, 1);
    let edited = Version::edit(Some(&last_moment), replica(1), Millis(1));
    assert_eq!(edited, Err(VersionError::Exhausted));
}

/// SYNC-22: the clock follows the wall clock, and counts on where that lags or stands still.
#[test]
fn the_clock_follows_time_but_never_goes_back() {
    let noon = Hlc::after(Hlc::default(), Millis(1000));
    assert_eq!(noon, Hlc(1000 << 16));
    assert_eq!(Hlc::after(noon, Millis(1000)), Hlc((1000 << 16) + 1));
    assert_eq!(Hlc::after(noon, Millis(3)), Hlc((1000 << 16) + 1));
    assert_eq!(Hlc::after(noon, Millis(1001)), Hlc(1001 << 16));
    assert_eq!(
        Hlc::after(noon, Millis(u64::MAX)).millis(),
        Hlc::MAX.millis()
    );
}

/// SYNC-24: dominated is ignored, dominating is applied, everything else is concurrent.
#[test]
fn relations_follow_what_was_seen() {
    let first = version(&[(1, 1)], 10, 1);
    let second = version(&[(1, 1), (2, 1)], 20, 2);
    let apart = version(&[(3, 1)], 30, 3);
    assert_eq!(relation(&first, &first), Relation::Equal);
    assert_eq!(relation(&first, &second), Relation::Older);
    assert_eq!(relation(&second, &first), Relation::Newer);
    assert_eq!(relation(&second, &apart), Relation::Concurrent);
    assert_eq!(*winner(&second, &apart), apart);
    assert_eq!(
        join(&second, &apart),
        Ok(version(&[(1, 1), (2, 1), (3, 1)], 30, 3))
    );
}

/// SYNC-25: at the same moment the larger replica wins.
#[test]
fn equal_clocks_are_decided_by_replica() {
    let (one, two) = (version(&[(1, 1)], 10, 1), version(&[(2, 1)], 10, 2));
    assert_eq!(*winner(&one, &two), two);
    assert_eq!(*winner(&two, &one), two);
}

/// SYNC-24: a writer who has seen everything but dates itself earlier does not dominate.
#[test]
fn a_backdated_version_is_concurrent() {
    let honest = version(&[(1, 1)], 1000, 1);
    let backdated = version(&[(1, 1), (2, 1)], 10, 2);
    assert_eq!(relation(&backdated, &honest), Relation::Concurrent);
    assert_eq!(*winner(&backdated, &honest), honest);
}

/// SYNC-26: what the winner replaced knowingly is no conflict, although the versions are concurrent.
#[test]
fn only_unseen_edits_are_a_loss() {
    let first = version(&[(1, 1)], 50, 1);
    let beaten = version(&[(2, 1)], 40, 2);
    let merged = join(&first, &beaten).expect("few replicas");
    let replaced = version(&[(1, 1), (3, 1)], 60, 3);
    assert_eq!(relation(&merged, &replaced), Relation::Concurrent);
    assert!(
        replaced.has_seen(&merged),
        "the merged register still holds the first edit"
    );
    assert!(!replaced.has_seen(&beaten));
}

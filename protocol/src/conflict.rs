//! Conflict copies: what becomes of content that lost against concurrent content.
//!
//! Owns: the copy's id and name, both made from the loser alone, so that every clone makes the same
//! copy without asking. Not here: when there is a loser ([`crate::version`]), writing the copy.
//! Invariant: the name is one that an entry may have (SYNC-6).
//! Spec: SYNC-37, SYNC-38.

use sha2::{Digest as _, Sha256};

use crate::codec;
use crate::ids::{Millis, ResourceId};
use crate::version::Version;

/// Longest name of an entry, in bytes.
const MAX_NAME: usize = 255;

/// SYNC-37: the id of the copy of an entry's content that was written under `loser`.
pub fn copy_id(entry: &ResourceId, loser: &Version) -> ResourceId {
    let mut hash = Sha256::new();
    hash.update(b"zot-file-conflict\n");
    hash.update(entry.as_str());
    hash.update(b"\n");
    hash.update(codec::encode(loser));
    let hex: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    ResourceId::new(parts.join("-")).expect("hexadecimal digits and hyphens are an id")
}

/// SYNC-38: what the copy is called: `notes.conflict-20270115-080000-0102030405060708.txt`, after the time and
/// the replica that wrote it. (A host name would be nicer, but not every clone knows every replica's.)
pub fn copy_name(name: &str, loser: &Version) -> String {
    let (stem, extension) = split(name);
    let mark = format!(".conflict-{}-{}", date(loser.hlc().millis()), loser.replica());
    let room = MAX_NAME - mark.len();
    // An extension that leaves no room for a stem is none.
    let (stem, extension) = if extension.len() < room { (stem, extension) } else { (name, "") };
    format!("{}{mark}{extension}", cut(stem, room - extension.len()))
}

/// A name before its last dot, and from there on. A name that begins with its only dot has no extension.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 => name.split_at(at),
        _ => (name, ""),
    }
}

/// At most `room` bytes, whole characters.
fn cut(text: &str, room: usize) -> &str {
    let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// `YYYYMMDD-HHMMSS` in UTC, by the calendar that has no leap seconds.
fn date(at: Millis) -> String {
    let seconds = at.0 / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years: the leap day ends each year.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{of_month:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ReplicaId;
    use crate::packets::is_name;

    fn loser(ms: u64) -> Version {
        Version::edit(None, ReplicaId([0xab; 8]), Millis(ms)).expect("a first edit")
    }

    /// SYNC-38: time and replica stand before the extension.
    #[test]
    fn a_copy_is_named_after_its_writer() {
        let name = |name: &str| copy_name(name, &loser(1_800_000_000_000));
        let mark = ".conflict-20270115-080000-abababababababab";
        for (from, to) in [
            ("notes.txt", format!("notes{mark}.txt")),
            ("a.tar.gz", format!("a.tar{mark}.gz")),
            ("README", format!("README{mark}")),
            (".bashrc", format!(".bashrc{mark}")),
        ] {
            assert_eq!(name(from), to);
        }
    }

    /// SYNC-38: dates of leap years and of the first and the last moment.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "19700101-000000"),
            (951_782_400_000, "20000229-000000"),
            (4_107_542_399_999, "21000228-235959"),
            (4_107_542_400_000, "21000301-000000"),
            (253_402_300_799_000, "99991231-235959"),
        ] {
            assert_eq!(date(Millis(ms)), text);
        }
    }

    /// SYNC-6, SYNC-38: whatever the name was, the copy's is one.
    #[test]
    fn the_name_stays_a_name() {
        for from in ["x".repeat(255), "\u{e9}".repeat(127), format!("a.{}", "e".repeat(253))] {
            let name = copy_name(&from, &loser(1));
            assert!(is_name(&name), "{name}");
            assert!(name.contains(".conflict-"), "{name}");
        }
    }

    /// SYNC-37: another entry or another loser is another copy; the same is the same.
    #[test]
    fn the_id_follows_from_the_loser() {
        let entry = ResourceId::new("f1").expect("an id");
        let other = ResourceId::new("f2").expect("an id");
        assert_eq!(copy_id(&entry, &loser(1)), copy_id(&entry, &loser(1)));
        assert_ne!(copy_id(&entry, &loser(1)), copy_id(&entry, &loser(2)));
        assert_ne!(copy_id(&entry, &loser(1)), copy_id(&other, &loser(1)));
    }
}

//! Looks for the channel's private key in everything that the hub under test says.
//!
//! Owns: how a part of the key looks in bytes and in text, what was found. Not here: whose bodies are looked at
//! (`actor`).
//! Invariant: a body is looked at as a whole when it has come, and is not kept.
//! Spec: ID-32.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::keys::Key;

/// So many bytes of a part are enough to know it by.
const WINDOW: usize = 24;
/// A line of a PEM has 48 bytes: of windows so far apart, one at least lies within each.
const STRIDE: usize = 8;

/// Which way a body went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The hub has answered with it.
    Answered,
    /// The hub has sent it.
    Sent,
}

/// What is looked for, and what was found.
#[derive(Debug)]
pub struct Watch {
    /// What a part looks like, and its name, by the first two bytes.
    signs: HashMap<[u8; 2], Vec<Sign>>,
    /// Whether a sign begins with two bytes.
    begins: Vec<bool>,
    found: [Mutex<BTreeSet<String>>; 2],
    looked: [AtomicUsize; 2],
}

#[derive(Debug)]
struct Sign {
    bytes: Vec<u8>,
    part: String,
}

impl Watch {
    /// For one private key.
    pub fn of(key: &Key) -> Self {
        let mut all = BTreeSet::from([(b"PRIVATE KEY-----".to_vec(), "a PEM of it".to_owned())]);
        for (name, number) in key.secrets() {
            for (bytes, how) in signs_of(&number) {
                all.insert((bytes, format!("{name} {how}")));
            }
        }
        let (mut signs, mut begins) = (HashMap::<_, Vec<Sign>>::new(), vec![false; 1 << 16]);
        for (bytes, part) in all {
            let begin = [bytes[0], bytes[1]];
            begins[usize::from(u16::from_be_bytes(begin))] = true;
            signs.entry(begin).or_default().push(Sign { bytes, part });
        }
        Self { signs, begins, found: Default::default(), looked: Default::default() }
    }

    /// Looks at a body.
    pub fn look(&self, way: Way, body: &[u8]) {
        self.looked[way as usize].fetch_add(1, Ordering::Relaxed);
        for (at, pair) in body.windows(2).enumerate() {
            let begin = [pair[0], pair[1]];
            if !self.begins[usize::from(u16::from_be_bytes(begin))] {
                continue;
            }
            let here = |sign: &&Sign| body[at..].starts_with(&sign.bytes);
            if let Some(sign) = self.signs.get(&begin).into_iter().flatten().find(here) {
                let found = &self.found[way as usize];
                found.lock().unwrap_or_else(PoisonError::into_inner).insert(sign.part.clone());
            }
        }
    }

    /// How many bodies were looked at.
    pub fn looked(&self, way: Way) -> usize {
        self.looked[way as usize].load(Ordering::Relaxed)
    }

    /// What was found since this was asked last.
    pub fn found(&self, way: Way) -> BTreeSet<String> {
        let mut found = self.found[way as usize].lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut found)
    }
}

/// What the bytes of a number look like, wherever they begin in what holds them.
fn signs_of(number: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let mut all = Vec::new();
    let reversed: Vec<u8> = number.iter().rev().copied().collect();
    for bytes in [number, &reversed] {
        for window in [&bytes[..WINDOW], &bytes[bytes.len() - WINDOW..]] {
            all.push((window.to_vec(), "as bytes"));
            all.push((hex::encode(window).into_bytes(), "in hexadecimal"));
            all.push((hex::encode_upper(window).into_bytes(), "in hexadecimal"));
        }
    }
    for window in number.windows(WINDOW).step_by(STRIDE) {
        for skipped in 0..3 {
            // Three bytes are four characters: what is left over at either end depends on its neighbours.
            let whole = &window[skipped..skipped + (WINDOW - skipped) / 3 * 3];
            all.push((STANDARD_NO_PAD.encode(whole).into_bytes(), "in base64"));
            all.push((URL_SAFE_NO_PAD.encode(whole).into_bytes(), "in base64"));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ID-32: a part of the key is found in every form, wherever it stands; what is public is not.
    #[test]
    fn every_part_is_found_in_every_form() {
        let key = Key::new().unwrap();
        let watch = Watch::of(&key);
        let seen = |body: &[u8]| {
            watch.look(Way::Answered, body);
            !watch.found(Way::Answered).is_empty()
        };
        assert!(!seen(key.public().pem().as_bytes()) && !seen(&key.sign(b"a text")));
        assert!(seen(key.pem().as_bytes()));
        let lines = key.pem();
        let lines: Vec<&str> = lines.lines().filter(|line| line.len() == 64).collect();
        // Wherever its first line was cut off, and with whatever its lines end.
        assert!(seen(lines[10..14].join("\\n").as_bytes()));
        for (name, number) in key.secrets() {
            for before in 0..3 {
                let body = [&vec![b'x'; before], number.as_slice(), b"yz"].concat();
                assert!(seen(&body), "{name} after {before} bytes");
                assert!(seen(STANDARD_NO_PAD.encode(&body).as_bytes()), "{name} in base64");
                assert!(seen(URL_SAFE_NO_PAD.encode(&body).as_bytes()), "{name} in base64url");
                assert!(seen(hex::encode(&body).as_bytes()), "{name} in hexadecimal");
            }
            let reversed: Vec<u8> = number.into_iter().rev().collect();
            assert!(seen(&reversed), "{name} with its last byte first");
        }
        assert_eq!((watch.looked(Way::Sent), watch.found(Way::Sent)), (0, BTreeSet::new()));
    }
}

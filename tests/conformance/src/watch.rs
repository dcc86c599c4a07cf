//! Looks for the channel's private key in all that the hub under test sends.
//!
//! Owns: the forms in which it is looked for. Not here: who brings what came (`actor`).
//! Spec: ID-32.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

use crate::keys::Key;

/// Bytes of a secret that are looked for as they are, or in hexadecimal.
const RAW: usize = 32;
/// Bytes that are looked for in base64, at several places: one of them lies on one line, wherever lines end.
const TEXT: usize = 15;
/// Of larger bodies the beginning is looked at.
const MOST: usize = 1 << 20;

/// What was looked at, and what was found.
pub struct Watch {
    needles: Vec<Finder<'static>>,
    seen: AtomicUsize,
    found: Mutex<Option<String>>,
}

impl Watch {
    /// For the secrets of a key.
    pub fn of(key: &Key) -> Self {
        let needles = key.secrets().iter().flat_map(|secret| forms(secret)).collect();
        Self { needles, seen: AtomicUsize::new(0), found: Mutex::default() }
    }

    /// Something that the hub has sent.
    pub fn look(&self, what: &str, bytes: &[u8]) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        let bytes = &bytes[..bytes.len().min(MOST)];
        if self.needles.iter().any(|needle| needle.find(bytes).is_some()) {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            found.get_or_insert_with(|| what.to_owned());
        }
    }

    /// How many bodies were looked at.
    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }

    /// In what a secret was found first.
    pub fn found(&self) -> Option<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A secret as bytes, in hexadecimal, and in base64 wherever it begins and lines end.
fn forms(secret: &[u8]) -> Vec<Finder<'static>> {
    let inside = &secret[4..];
    let mut forms: Vec<Vec<u8>> = vec![inside[..RAW].to_vec()];
    let hex = hex::encode(&inside[..RAW]);
    forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes()]);
    for part in (0..4).flat_map(|line| (0..3).map(move |start| 12 * line + start)) {
        let bytes = &inside[part..part + TEXT];
        forms.push(STANDARD_NO_PAD.encode(bytes).into_bytes());
        forms.push(URL_SAFE_NO_PAD.encode(bytes).into_bytes());
    }
    forms.iter().map(|form| Finder::new(form).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use rsa::RsaPrivateKey;
    use rsa::pkcs8::spki::der::pem::LineEnding;
    use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey};
    use rsa::rand_core::OsRng;

    use super::*;

    /// ID-32: a key is found in every form in which it could leave; its public half is none.
    #[test]
    fn a_private_key_is_found_in_any_form() {
        let private = RsaPrivateKey::new(&mut OsRng, 2048).expect("a key");
        let pem = private.to_pkcs8_pem(LineEnding::LF).expect("a PEM");
        let der = private.to_pkcs8_der().expect("DER");
        let public = private.to_public_key().to_public_key_pem(LineEnding::LF).expect("a PEM");
        let key = Key::from_pem(&pem).expect("a key");
        let finds = |bytes: &[u8]| {
            let watch = Watch::of(&key);
            watch.look("something", &[b"before ", bytes, b" after"].concat());
            watch.found().is_some()
        };
        assert!(finds(pem.as_bytes()) && finds(der.as_bytes()));
        assert!(finds(hex::encode(der.as_bytes()).as_bytes()));
        assert!(finds(URL_SAFE_NO_PAD.encode(der.as_bytes()).as_bytes()));
        for start in 1..4 {
            assert!(finds(STANDARD.encode(&der.as_bytes()[start..]).as_bytes()), "from {start}");
        }
        assert!(key.secrets().iter().all(|secret| finds(secret)));
        assert!(!finds(public.as_bytes()) && !finds(&key.sign(b"something")));
    }
}

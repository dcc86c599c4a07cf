//! RSA public keys as they travel (SPKI PEM), and the ids that are made from them.
//!
//! Invariant: a [`PublicKey`] has 2048 to 8192 bits and a sane exponent, and its PEM is in the one
//! form that is hashed, so that one key has one id.
//! Spec: ID-1 to ID-3, ID-5.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs8::spki::der::Decode;
use rsa::pkcs8::spki::der::pem::LineEnding;
use rsa::pkcs8::{Document, EncodePublicKey, spki};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha256};
use whirlpool::Whirlpool;

use super::BaseUrl;
use crate::ids::{PortableId, SiteId};

/// Fewest bits of an acceptable key.
const MIN_BITS: usize = 2048;
/// Most bits of an acceptable key.
const MAX_BITS: usize = 8192;
/// The longest acceptable PEM, in bytes: 8192 bits and some air.
const MAX_PEM: usize = 2048;

/// Why a key is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not an SPKI PEM of an RSA key, or not in the form that OpenSSL writes.
    #[error("not an RSA public key in PEM form: {0}")]
    Form(String),
    /// Too few or too many bits.
    #[error("an RSA key of {0} bits: {MIN_BITS} to {MAX_BITS} are accepted")]
    Size(usize),
    /// An exponent that is even, below 65537, or above 2^33.
    #[error("the RSA key's exponent is not acceptable")]
    Exponent,
}

/// A public key whose size and exponent have been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: RsaPublicKey,
    pem: String,
}

impl PublicKey {
    /// ID-5: reads an SPKI PEM and checks it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let form = |e: &dyn fmt::Display| KeyError::Form(e.to_string());
        if pem.len() > MAX_PEM {
            return Err(KeyError::Form(format!("{} bytes", pem.len())));
        }
        let document = Document::from_pem(pem).map_err(|e| form(&e))?.1;
        let spki =
            spki::SubjectPublicKeyInfoRef::from_der(document.as_bytes()).map_err(|e| form(&e))?;
        spki.algorithm.assert_algorithm_oid(rsa::pkcs1::ALGORITHM_OID).map_err(|e| form(&e))?;
        let raw = rsa::pkcs1::RsaPublicKey::from_der(spki.subject_public_key.raw_bytes())
            .map_err(|e| form(&e))?;
        let n = BigUint::from_bytes_be(raw.modulus.as_bytes());
        let e = BigUint::from_bytes_be(raw.public_exponent.as_bytes());
        let key = Self::checked(n, e)?;
        let canonical = key.to_public_key_pem(LineEnding::LF).map_err(|e| form(&e))?;
        if canonical != pem {
            return Err(KeyError::Form("lines, ending or encoding differ from OpenSSL's".into()));
        }
        Ok(Self { key, pem: canonical })
    }

    fn checked(n: BigUint, e: BigUint) -> Result<RsaPublicKey, KeyError> {
        let bits = n.bits();
        if !(MIN_BITS..=MAX_BITS).contains(&bits) {
            return Err(KeyError::Size(bits));
        }
        if e < BigUint::from(65_537u32) {
            return Err(KeyError::Exponent);
        }
        RsaPublicKey::new_with_max_size(n, e, MAX_BITS).map_err(|_| KeyError::Exponent)
    }

    /// The PEM, with its trailing newline, as it is hashed into ids.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Size of the modulus in bits.
    pub fn bits(&self) -> usize {
        self.key.n().bits()
    }

    /// Whether `signature` is this key's RSASSA-PKCS1-v1_5 SHA-256 over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let digest = Sha256::digest(message);
        self.key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits)", self.bits())
    }
}

fn whirlpool_id(first: &str, pem: &str) -> String {
    URL_SAFE_NO_PAD.encode(Whirlpool::new().chain_update(first).chain_update(pem).finalize())
}

/// ID-1: base64url(whirlpool(guid + PEM)). The key is the channel's first.
pub fn portable_id(guid: &str, first_key: &PublicKey) -> PortableId {
    PortableId::new(whirlpool_id(guid, first_key.pem())).expect("64 bytes are 86 characters")
}

/// ID-3: base64url(whirlpool(base URL + PEM)).
pub fn site_id(url: &BaseUrl, key: &PublicKey) -> SiteId {
    SiteId::new(whirlpool_id(url.as_str(), key.pem())).expect("64 bytes are 86 characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ID-5: 512-bit keys and small exponents are refused, though the library takes them.
    #[test]
    fn weak_keys_are_refused() {
        let small = "-----BEGIN PUBLIC KEY-----\n\
            MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf\n\
            9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n\
            -----END PUBLIC KEY-----\n";
        assert_eq!(PublicKey::from_pem(small), Err(KeyError::Size(512)));
        let n = (BigUint::from(1u32) << 2047) + BigUint::from(1u32);
        assert_eq!(PublicKey::checked(n.clone(), 3u32.into()), Err(KeyError::Exponent));
        assert_eq!(PublicKey::checked(n, 65_538u32.into()), Err(KeyError::Exponent));
    }

    /// ID-2: another line length, a missing newline or CRLF would give the key a second id.
    #[test]
    fn only_one_form_of_a_pem_is_accepted() {
        let pem = include_str!("../../tests/fixtures/channel.pem");
        assert_eq!(PublicKey::from_pem(pem).expect("as OpenSSL writes it").bits(), 4096);
        for other in [pem.trim_end().to_owned(), pem.replace('\n', "\r\n"), format!("{pem}\n")] {
            assert!(matches!(PublicKey::from_pem(&other), Err(KeyError::Form(_))), "{other:?}");
        }
    }
}

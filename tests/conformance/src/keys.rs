//! Keys and ids: what our hubs and the test channel sign with.
//!
//! Owns: private keys, made here or given. Not here: what is signed.
//! Spec: ID-1 to ID-3, ID-5, PKT-20.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::spki::der::pem::LineEnding;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::rand_core::{OsRng, RngCore};
use rsa::traits::PrivateKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest as _, Sha256};
use zotferry_protocol::identity::{BaseUrl, PublicKey, portable_id, site_id};

/// A public key that was checked.
pub type Public = PublicKey;

/// A private key.
#[derive(Clone)]
pub struct Key {
    private: Arc<RsaPrivateKey>,
    public: Public,
}

impl Key {
    /// A new one, as small as is accepted: making a larger one takes long.
    pub fn new() -> Result<Self, String> {
        Self::of(RsaPrivateKey::new(&mut OsRng, 2048).map_err(|e| e.to_string())?)
    }

    /// Out of a PEM, in either of the forms that OpenSSL writes.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let private = RsaPrivateKey::from_pkcs8_pem(pem)
            .or_else(|_| RsaPrivateKey::from_pkcs1_pem(pem))
            .map_err(|e| format!("no private RSA key in PEM form: {e}"))?;
        Self::of(private)
    }

    fn of(private: RsaPrivateKey) -> Result<Self, String> {
        let pem = private.to_public_key().to_public_key_pem(LineEnding::LF);
        let public = Public::from_pem(&pem.map_err(|e| e.to_string())?);
        Ok(Self { private: Arc::new(private), public: public.map_err(|e| e.to_string())? })
    }

    /// Its public half.
    pub fn public(&self) -> &Public {
        &self.public
    }

    /// The private key as PEM.
    ///
    /// # Panics
    ///
    /// If it has no form, which no key that signs is without.
    pub fn pem(&self) -> String {
        self.private.to_pkcs8_pem(LineEnding::LF).expect("a key has a form").to_string()
    }

    /// What makes the key a private one: names and numbers, the first byte the highest.
    pub fn secrets(&self) -> Vec<(&'static str, Vec<u8>)> {
        let key = &self.private;
        let primes = ["the first prime", "the second prime"].into_iter().zip(key.primes());
        let exponents =
            [("its exponent modulo the first prime", key.dp()), ("modulo the second", key.dq())];
        let exponents = exponents.into_iter().filter_map(|(name, number)| Some((name, number?)));
        let all = [("the private exponent", key.d())].into_iter().chain(primes).chain(exponents);
        all.map(|(name, number)| (name, number.to_bytes_be())).collect()
    }

    /// The PKCS#1 v1.5 signature with SHA-256 over a message.
    ///
    /// # Panics
    ///
    /// If the system has no randomness for blinding.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let digest = Sha256::digest(message);
        let padding = Pkcs1v15Sign::new::<Sha256>();
        self.private.sign_with_rng(&mut OsRng, padding, &digest).expect("a key signs")
    }

    /// ID-1: the portable id of the channel whose first key this is.
    pub fn channel(&self, guid: &str) -> String {
        portable_id(guid, &self.public).to_string()
    }

    /// ID-3: the site id of a hub with this key.
    pub fn site(&self, url: &str) -> Result<String, String> {
        let url = BaseUrl::parse(url).map_err(|e| format!("{url}: {e}"))?;
        Ok(site_id(&url, &self.public).to_string())
    }
}

/// ms since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

/// PKT-20: a new UUIDv7.
pub fn new_id() -> [u8; 16] {
    let mut id: [u8; 16] = random();
    id[..6].copy_from_slice(&now().to_be_bytes()[2..]);
    id[6] = id[6] & 0x0f | 0x70;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

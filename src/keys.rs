//! Private keys: made, kept in files of mode 0600, used to sign.
//!
//! Owns: the one place where private keys are in memory. Not here: what is signed.
//! Signing uses aws-lc, which rustls brings anyway and which signs 4096 bits seven times faster
//! than the `rsa` crate, with the same bytes; a hub signs once per packet, so many small requests
//! would otherwise wait for it.
//! Spec: ID-2, ID-5, ID-6.

use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use rsa::pkcs8::spki::der::pem::LineEnding;
use rsa::pkcs8::{Document, SecretDocument};
use zeroize::Zeroizing;
use zotferry_protocol::identity::{KeyError, PublicKey, SignError, Signer};

use crate::durable;

/// Why a private key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Not a PEM of an RSA key.
    #[error("not a usable private key: {0}")]
    Form(String),
    /// A size or exponent that is not accepted.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// An RSA key pair.
pub struct PrivateKey {
    pair: KeyPair,
    public: PublicKey,
}

impl PrivateKey {
    /// A new key of 4096 bits. Takes about a second.
    pub fn generate() -> Result<Self, KeyFileError> {
        let pair = KeyPair::generate(KeySize::Rsa4096).map_err(|e| form(&e))?;
        Self::of(pair)
    }

    /// Reads a PEM of PKCS#8, or of PKCS#1 as old channels have it; 2048 to 8192 bits.
    pub fn from_pem(pem: &str) -> Result<Self, KeyFileError> {
        let (label, der) = SecretDocument::from_pem(pem).map_err(|e| form(&e))?;
        let pair = match label {
            "RSA PRIVATE KEY" => KeyPair::from_der(der.as_bytes()),
            _ => KeyPair::from_pkcs8(der.as_bytes()),
        };
        Self::of(pair.map_err(|e| form(&e))?)
    }

    fn of(pair: KeyPair) -> Result<Self, KeyFileError> {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|e| form(&e))?;
        let document = Document::try_from(der.as_ref()).map_err(|e| form(&e))?;
        let pem = document.to_pem("PUBLIC KEY", LineEnding::LF).map_err(|e| form(&e))?;
        Ok(Self { public: PublicKey::from_pem(&pem)?, pair })
    }

    /// PKCS#8 PEM.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyFileError> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|e| form(&e))?;
        let document = SecretDocument::try_from(der.as_ref()).map_err(|e| form(&e))?;
        document.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|e| form(&e))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Reads a key file.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let pem = std::fs::read_to_string(path).map_err(|e| KeyFileError::File(path.into(), e))?;
        Self::from_pem(&Zeroizing::new(pem))
    }

    /// Writes a new key file of mode 0600, durably; never over an existing one.
    pub fn save_new(&self, path: &Path) -> Result<(), KeyFileError> {
        let pem = self.to_pem()?;
        durable::write_new(path, pem.as_bytes()).map_err(|e| KeyFileError::File(path.into(), e))
    }
}

fn form(error: &dyn std::fmt::Display) -> KeyFileError {
    KeyFileError::Form(error.to_string())
}

impl Signer for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|e| SignError(e.to_string()))?;
        Ok(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SIGN-1: what this key signs, its public half verifies, also after a round through PEM.
    #[test]
    fn a_key_survives_its_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("site.pem");
        let key = PrivateKey::generate().expect("a key");
        key.save_new(&path).expect("saved");
        let again = PrivateKey::load(&path).expect("loaded");
        let signature = again.sign(b"message").expect("signed");
        assert!(key.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"another", &signature));
        assert!(key.save_new(&path).is_err(), "a key file is never written over");
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).expect("is there").permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    /// What OpenSSL wrote before it knew PKCS#8 is the same key.
    #[test]
    fn an_old_form_of_a_key_is_read() {
        use rsa::pkcs1::EncodeRsaPrivateKey as _;
        use rsa::pkcs8::DecodePrivateKey as _;
        let key = PrivateKey::generate().expect("a key");
        let pem = key.to_pem().expect("PEM");
        let old = rsa::RsaPrivateKey::from_pkcs8_pem(&pem).expect("the same");
        let old = old.to_pkcs1_pem(LineEnding::LF).expect("PEM");
        assert!(old.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        let again = PrivateKey::from_pem(&old).expect("read");
        assert_eq!(again.to_pem().expect("PEM"), pem);
        assert!(PrivateKey::from_pem(&old.replace("RSA PRIVATE", "PRIVATE")).is_err());
    }
}

//! A secret under a passphrase, as the bytes of one file.
//!
//! Owns: the layout, the key derivation (argon2id, RFC 9106), the encryption
//! (XChaCha20-Poly1305). Not here: what the secret is.
//! Invariant: nothing is decrypted and no memory is spent before the file is known to be whole and
//! its parameters to be bounded; the head is authenticated with the secret.
//!
//! `magic 12 | version 1 | memory KiB 4 | passes 4 | lanes 4 | salt 16 | nonce 24 | length 4 |
//! ciphertext and tag | SHA-256 of all before`, numbers big-endian. The checksum tells a damaged
//! file from a wrong passphrase; it says nothing about the secret.
//! Not part of the specification: the file is this program's own.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The largest file that is read, in bytes.
pub(super) const MAX_FILE: usize = 1 << 20;

/// Characters in the passphrase of a new file at least.
const MIN_PASSPHRASE: usize = 8;

const MAGIC: &[u8; 12] = b"zotferry-id\n";
const VERSION: u8 = 1;
const SALT: usize = 16;
const NONCE: usize = 24;
const HEAD: usize = MAGIC.len() + 1 + 12 + SALT + NONCE + 4;
const CHECK: usize = 32;

/// Why a sealed file does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Larger than any.
    #[error("an identity file has at most 1 MiB, this one has {0} bytes")]
    TooLarge(usize),
    /// A passphrase for a new file that is easily guessed.
    #[error("a passphrase has at least {MIN_PASSPHRASE} characters")]
    Short,
    /// Something else.
    #[error("this is not an identity file")]
    Foreign,
    /// Made by a later release.
    #[error("this identity file has version {0}; this release reads version {VERSION}")]
    Version(u8),
    /// The end is missing.
    #[error("the identity file is cut off: {0} bytes are missing")]
    Truncated(usize),
    /// Some bytes are not those that were written.
    #[error("the identity file is damaged: its checksum does not match")]
    Damaged,
    /// Parameters that would stall the machine.
    #[error("the identity file asks for more work than is allowed ({0})")]
    Costly(String),
    /// The passphrase does not fit.
    #[error("wrong passphrase, or the file is damaged")]
    Passphrase,
    /// The machine could not do it.
    #[error("the key could not be derived: {0}")]
    Derive(String),
}

/// How much work a guess costs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Cost {
    /// Memory in KiB.
    memory: u32,
    /// Passes over it.
    passes: u32,
    /// Lanes.
    lanes: u32,
}

impl Cost {
    /// RFC 9106, section 4, the second choice, with one lane: 64 MiB, three passes.
    const STANDARD: Self = Self { memory: 64 << 10, passes: 3, lanes: 1 };
    /// The most that is done for a file from elsewhere: 256 MiB.
    const MOST: Self = Self { memory: 256 << 10, passes: 16, lanes: 16 };

    fn params(self) -> Result<Params, SealError> {
        let Self { memory, passes, lanes } = self;
        let most = Self::MOST;
        let text = || format!("{memory} KiB of memory, {passes} passes, {lanes} lanes");
        if memory > most.memory || passes > most.passes || lanes > most.lanes {
            return Err(SealError::Costly(text()));
        }
        Params::new(memory, passes, lanes, Some(32)).map_err(|_| SealError::Costly(text()))
    }
}

/// A key made from a passphrase, and how it was made: what a file is sealed under.
///
/// Making one takes a good part of a second and much memory, on purpose; so it is made by whoever asks
/// for the passphrase, and a hub is given the key.
#[derive(Clone, Serialize, Deserialize)]
pub struct SealKey {
    cost: Cost,
    salt: [u8; SALT],
    key: Secret,
}

/// 32 bytes that are wiped when they are dropped.
#[derive(Clone)]
struct Secret(Zeroizing<[u8; 32]>);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Zeroizing::new(Deserialize::deserialize(deserializer)?)))
    }
}

impl SealKey {
    /// For a new file. Blocking.
    pub fn new(passphrase: &str) -> Result<Self, SealError> {
        if passphrase.chars().count() < MIN_PASSPHRASE {
            return Err(SealError::Short);
        }
        Self::with_cost(passphrase, Cost::STANDARD)
    }

    fn with_cost(passphrase: &str, cost: Cost) -> Result<Self, SealError> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).map_err(|e| SealError::Derive(e.to_string()))?;
        Self::derive(passphrase, salt, cost)
    }

    /// For a file that is there. Blocking.
    pub fn of(file: &[u8], passphrase: &str) -> Result<Self, SealError> {
        let sealed = Sealed::read(file)?;
        Self::derive(passphrase, sealed.salt, sealed.cost)
    }

    fn derive(passphrase: &str, salt: [u8; SALT], cost: Cost) -> Result<Self, SealError> {
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?);
        let mut key = Zeroizing::new([0; 32]);
        argon
            .hash_password_into(passphrase.as_bytes(), &salt, &mut *key)
            .map_err(|e| SealError::Derive(e.to_string()))?;
        Ok(Self { cost, salt, key: Secret(key) })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new_from_slice(&*self.key.0).expect("32 bytes are a key")
    }
}

/// Encrypts a secret.
pub(super) fn seal(secret: &[u8], key: &SealKey) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE];
    rand::fill(&mut nonce).map_err(|e| SealError::Derive(e.to_string()))?;
    let mut file = Vec::with_capacity(HEAD + secret.len() + 16 + CHECK);
    file.extend_from_slice(MAGIC);
    file.push(VERSION);
    for number in [key.cost.memory, key.cost.passes, key.cost.lanes] {
        file.extend_from_slice(&number.to_be_bytes());
    }
    file.extend_from_slice(&key.salt);
    file.extend_from_slice(&nonce);
    let length = u32::try_from(secret.len() + 16).map_err(|_| SealError::TooLarge(secret.len()))?;
    file.extend_from_slice(&length.to_be_bytes());
    let payload = Payload { msg: secret, aad: &file };
    let sealed = key.cipher().encrypt(XNonce::from_slice(&nonce), payload);
    file.extend_from_slice(&sealed.map_err(|e| SealError::Derive(e.to_string()))?);
    file.extend_from_slice(&Sha256::digest(&file));
    if file.len() > MAX_FILE {
        return Err(SealError::TooLarge(file.len()));
    }
    Ok(file)
}

/// What is done to the bytes of a file before its passphrase counts: as they are, and as what stands between the magic
/// and a checksum that holds.
pub(super) fn fuzzed(bytes: &[u8]) {
    let fields = HEAD - MAGIC.len() - 1 - 4;
    let mut whole = [&MAGIC[..], &[VERSION]].concat();
    if let Some((head, ciphertext)) = bytes.split_at_checked(fields) {
        whole.extend_from_slice(head);
        whole.extend_from_slice(&(ciphertext.len() as u32).to_be_bytes());
        whole.extend_from_slice(ciphertext);
        whole.extend_from_slice(&Sha256::digest(&whole));
        assert!(Sealed::read(&whole).is_ok() || whole.len() > MAX_FILE);
    }
    for file in [bytes, &whole] {
        let Ok(sealed) = Sealed::read(file) else { continue };
        let (most, cost) = (Cost::MOST, sealed.cost);
        assert!(file.len() <= MAX_FILE && sealed.ciphertext.len() < file.len());
        let bounded = cost.memory <= most.memory && cost.passes <= most.passes;
        assert!(cost.params().is_err() || bounded, "unbounded work: {cost:?}");
        let key = SealKey { cost, salt: sealed.salt, key: Secret(Zeroizing::new([7; 32])) };
        assert_eq!(open(file, &key), Err(SealError::Passphrase));
    }
}

/// Whether a file claims to be a sealed one.
pub(super) fn is_sealed(file: &[u8]) -> bool {
    file.starts_with(MAGIC)
}

/// Decrypts a file.
pub(super) fn open(file: &[u8], key: &SealKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let sealed = Sealed::read(file)?;
    let payload = Payload { msg: sealed.ciphertext, aad: sealed.head };
    let secret = key
        .cipher()
        .decrypt(XNonce::from_slice(sealed.nonce), payload)
        .map_err(|_| SealError::Passphrase)?;
    Ok(Zeroizing::new(secret))
}

/// A file that is whole.
struct Sealed<'a> {
    head: &'a [u8],
    cost: Cost,
    salt: [u8; SALT],
    nonce: &'a [u8],
    ciphertext: &'a [u8],
}

impl<'a> Sealed<'a> {
    fn read(file: &'a [u8]) -> Result<Self, SealError> {
        if file.len() > MAX_FILE {
            return Err(SealError::TooLarge(file.len()));
        }
        let rest = file.strip_prefix(MAGIC).ok_or(SealError::Foreign)?;
        match rest.first() {
            Some(&VERSION) | None => {}
            Some(&other) => return Err(SealError::Version(other)),
        }
        let head = file.get(..HEAD).ok_or(SealError::Truncated(HEAD.saturating_sub(file.len())))?;
        let (numbers, random) = head[MAGIC.len() + 1..HEAD - 4].split_at(12);
        let (salt, nonce) = random.split_at(SALT);
        let ciphertext = whole(file, number(&head[HEAD - 4..]) as usize)?;
        let cost = Cost {
            memory: number(&numbers[..4]),
            passes: number(&numbers[4..8]),
            lanes: number(&numbers[8..]),
        };
        let salt = salt.try_into().expect("as long as a salt");
        Ok(Self { head, cost, salt, nonce, ciphertext })
    }
}

/// The ciphertext of a file that has all its bytes, as they were written.
fn whole(file: &[u8], length: usize) -> Result<&[u8], SealError> {
    let total = HEAD + length + CHECK;
    if file.len() < total && total <= MAX_FILE {
        return Err(SealError::Truncated(total - file.len()));
    }
    if file.len() != total {
        return Err(SealError::Damaged);
    }
    let (written, check) = file.split_at(total - CHECK);
    if Sha256::digest(written)[..] != *check {
        return Err(SealError::Damaged);
    }
    Ok(&written[HEAD..])
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEAK: Cost = Cost { memory: 8, passes: 1, lanes: 1 };

    fn example() -> Vec<u8> {
        seal(b"secret", &SealKey::with_cost("correct horse", WEAK).expect("made")).expect("sealed")
    }

    fn open(file: &[u8], passphrase: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        super::open(file, &SealKey::of(file, passphrase)?)
    }

    fn checked(mut file: Vec<u8>) -> Vec<u8> {
        file.truncate(file.len() - CHECK);
        let check = Sha256::digest(&file);
        file.extend_from_slice(&check);
        file
    }

    /// The passphrase opens the file, and only the passphrase.
    #[test]
    fn a_sealed_secret_opens_with_its_passphrase_only() {
        let file = example();
        assert_eq!(*open(&file, "correct horse").expect("opens"), b"secret");
        assert_eq!(open(&file, "correct horsf"), Err(SealError::Passphrase));
        assert_eq!(open(&file, ""), Err(SealError::Passphrase));
        assert_ne!(file, example(), "salt and nonce are fresh each time");
    }

    /// Whatever byte is not as it was written, the file does not open, and is not taken for
    /// a wrong passphrase.
    #[test]
    fn every_flipped_byte_is_damage() {
        let file = example();
        for at in 0..file.len() {
            let mut other = file.clone();
            other[at] ^= 0x21;
            let error = open(&other, "correct horse").expect_err("damaged");
            assert_ne!(error, SealError::Passphrase, "byte {at}");
        }
    }

    /// Who changes the file and its checksum too meets the authentication of head and secret.
    #[test]
    fn a_flipped_byte_with_a_new_checksum_is_not_opened() {
        let file = example();
        for at in MAGIC.len() + 13..file.len() - CHECK {
            let mut other = file.clone();
            other[at] ^= 1;
            assert!(open(&checked(other), "correct horse").is_err(), "byte {at}");
        }
    }

    /// A cut file says so, wherever it was cut.
    #[test]
    fn a_cut_file_says_how_much_is_missing() {
        let file = example();
        for len in MAGIC.len()..file.len() {
            let error = open(&file[..len], "correct horse").expect_err("cut");
            let missing = if len < HEAD { HEAD - len } else { file.len() - len };
            assert_eq!(error, SealError::Truncated(missing), "{len} bytes");
        }
        assert_eq!(open(&file[..5], "correct horse"), Err(SealError::Foreign));
    }

    /// Parameters are bounded before any memory is taken.
    #[test]
    fn absurd_parameters_are_refused_at_once() {
        for (at, bytes) in [(13, u32::MAX), (17, u32::MAX), (21, 0x00ff_ffff), (13, 0), (17, 0)] {
            let mut file = example();
            file[at..at + 4].copy_from_slice(&bytes.to_be_bytes());
            let before = std::time::Instant::now();
            let error = open(&checked(file), "correct horse").expect_err("refused");
            assert!(matches!(error, SealError::Costly(_)), "{error}");
            assert!(before.elapsed().as_millis() < 100, "refused before any work");
        }
    }

    /// Later versions and other files are named as such.
    #[test]
    fn other_files_are_told_apart() {
        let mut file = example();
        file[MAGIC.len()] = 2;
        assert_eq!(open(&file, ""), Err(SealError::Version(2)));
        assert_eq!(open(b"-----BEGIN PRIVATE KEY-----", ""), Err(SealError::Foreign));
        assert_eq!(open(&vec![0; MAX_FILE + 1], ""), Err(SealError::TooLarge(MAX_FILE + 1)));
    }
}

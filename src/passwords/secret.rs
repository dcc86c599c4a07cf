//! How a password looks, and what argon2id makes of it (RFC 9106).
//!
//! Owns: random bits as text; the runs, one at a time, in memory that is kept for the next one: a
//! new piece for every run would leave its pages with whichever thread ran.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::PasswordError;
use crate::catalog::SecretHash;

/// KiB of memory and passes over it: one of OWASP's equivalents for argon2id, the smallest one.
const MEMORY: u32 = 7 << 10;
const PASSES: u32 = 5;

/// RFC 4648 base 32 in lower case: nothing that looks like something else in most fonts.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Digits of a name: enough that a channel's few rarely meet.
const NAME: usize = 6;
/// Digits of a secret: 130 bits.
const SECRET: usize = 26;

/// A password that nobody has seen yet.
pub(super) struct Minted {
    pub(super) name: String,
    /// All of it, its name included.
    pub(super) text: Zeroizing<String>,
}

/// A new one.
pub(super) fn mint() -> Result<Minted, PasswordError> {
    let mut random = Zeroizing::new([0; NAME + SECRET]);
    rand::fill(&mut random[..]).map_err(|_| PasswordError::Hash("no random bytes"))?;
    let digit = |byte: &u8| char::from(DIGITS[usize::from(byte % 32)]);
    let part = |range: std::ops::Range<usize>| random[range].iter().map(digit).collect::<String>();
    let name = part(0..NAME);
    let half = NAME + SECRET / 2;
    let text = format!("{name}-{}-{}", part(NAME..half), part(half..NAME + SECRET));
    Ok(Minted { name, text: Zeroizing::new(text) })
}

/// The name in what somebody shows as a password.
pub(super) fn name_of(shown: &str) -> Option<&str> {
    let (name, _) = shown.split_once('-')?;
    (name.len() == NAME && name.bytes().all(|b| DIGITS.contains(&b))).then_some(name)
}

/// A hash that costs what those of new passwords do.
pub(super) fn costing(salt: [u8; 16], hash: [u8; 32]) -> SecretHash {
    SecretHash { salt, hash, memory: MEMORY, passes: PASSES }
}

/// The runs of argon2id.
#[derive(Default)]
pub(super) struct Kdf {
    turn: Arc<tokio::sync::Mutex<()>>,
    memory: Arc<Mutex<Vec<Block>>>,
    /// How many there were.
    #[cfg(test)]
    pub(super) runs: std::sync::atomic::AtomicU32,
}

impl Kdf {
    /// What is kept of a new password.
    pub(super) async fn hash(&self, text: Zeroizing<String>) -> Result<SecretHash, PasswordError> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(|_| PasswordError::Hash("no random bytes"))?;
        let mut made = costing(salt, [0; 32]);
        made.hash = self.run(text, made.clone()).await?;
        Ok(made)
    }

    /// Whether what is shown was hashed to this.
    pub(super) async fn fits(&self, shown: &str, kept: &SecretHash) -> Result<bool, PasswordError> {
        let found = self.run(Zeroizing::new(shown.to_owned()), kept.clone()).await?;
        Ok(verify_slices_are_equal(&found, &kept.hash).is_ok())
    }

    /// One run at a time; who waits for it waits without a thread.
    async fn run(
        &self,
        text: Zeroizing<String>,
        cost: SecretHash,
    ) -> Result<[u8; 32], PasswordError> {
        #[cfg(test)]
        self.runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let memory = Arc::clone(&self.memory);
        let running = move || {
            let _turn = turn;
            derive(
                text.as_bytes(),
                &cost,
                &mut memory.lock().unwrap_or_else(PoisonError::into_inner),
            )
        };
        tokio::task::spawn_blocking(running).await?
    }
}

fn derive(
    text: &[u8],
    cost: &SecretHash,
    memory: &mut Vec<Block>,
) -> Result<[u8; 32], PasswordError> {
    let params = Params::new(cost.memory, cost.passes, 1, Some(32))
        .map_err(|_| PasswordError::Hash("its cost is not one that argon2 knows"))?;
    memory.resize(params.block_count(), Block::default());
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut out = [0; 32];
    argon
        .hash_password_into_with_memory(text, &cost.salt, &mut out, &mut memory[..])
        .map_err(|_| PasswordError::Hash("it is longer than argon2 takes"))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    /// The same as the reference implementation for these parameters: a stored hash outlives releases.
    #[tokio::test]
    async fn a_hash_is_argon2id() {
        let argon = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(MEMORY, PASSES, 1, Some(32)).unwrap(),
        );
        let kdf = Kdf::default();
        for text in ["one", "two", "one"] {
            let made = kdf.hash(Zeroizing::new(text.to_owned())).await.unwrap();
            let mut whole = [0; 32];
            argon.hash_password_into(text.as_bytes(), &made.salt, &mut whole).unwrap();
            assert_eq!(made.hash, whole);
        }
    }

    /// Every password is another one, and says its name.
    #[test]
    fn passwords_differ() {
        let minted: Vec<_> = (0..100).map(|_| mint().unwrap()).collect();
        let mut texts: Vec<_> = minted.iter().map(|m| m.text.to_string()).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 100);
        for one in &minted {
            assert_eq!(name_of(&one.text), Some(one.name.as_str()));
            assert_eq!(one.text.len(), NAME + SECRET + 2);
        }
        for shown in ["", "abcdef", "abc-def", "ABCDEF-x", "abcde\u{e9}-x"] {
            assert_eq!(name_of(shown), None);
        }
    }
}

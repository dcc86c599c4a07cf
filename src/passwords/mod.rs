//! App passwords: what a program shows to reach one channel over WebDAV.
//!
//! Owns: making and checking them; how many checks run and wait at once. Not here: their rows
//! (`catalog`), HTTP (`dav`).
//! Invariant: a password that was removed opens nothing any more once its removal has returned.
//! Whether the channel, the password's name or its secret is wrong, the same work is done.
//!
//! A password is `name-secret-secret`: the name finds its row, so that one run of argon2id decides.
//! The secret has 128 random bits, which nobody guesses; the hash only has to make a stolen catalog
//! worthless. So 7 MiB and five passes do, one run at a time in memory that is kept: the hub stays
//! small however many ask. A program sends its password with every request, hence the cache.

mod cache;
mod secret;

use std::time::Instant;

use aws_lc_rs::rand;
use tokio::sync::{Semaphore, TryAcquireError};
use zotferry_protocol::ids::Millis;

use crate::catalog::{AppPassword, Catalog, CatalogError, Channel, SecretHash};
use cache::{Cache, Mark};
use secret::{Kdf, Minted};

/// Checks that may wait for the one that runs.
const WAITING: usize = 32;

/// Why a password was not made or not checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many are being checked.
    #[error("too many passwords are being checked at this moment")]
    Busy,
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The machine has no random bytes, or no memory.
    #[error("a password could not be hashed: {0}")]
    Hash(&'static str),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// The passwords of a hub: what is known of those shown lately, and the one place where others are checked.
pub struct Passwords {
    cache: Cache,
    kdf: Kdf,
    /// Places in the queue, the running check's included.
    places: Semaphore,
    /// Compared with when there is nothing else to compare with.
    nobody: SecretHash,
}

impl Passwords {
    /// With nothing known yet.
    ///
    /// # Errors
    /// The machine has no random bytes.
    pub fn new() -> Result<Self, PasswordError> {
        let (mut salt, mut hash) = ([0; 16], [0; 32]);
        rand::fill(&mut salt).map_err(|_| PasswordError::Hash("no random bytes"))?;
        rand::fill(&mut hash).map_err(|_| PasswordError::Hash("no random bytes"))?;
        let nobody = secret::costing(salt, hash);
        let places = Semaphore::new(WAITING + 1);
        Ok(Self { cache: Cache::new()?, kdf: Kdf::default(), places, nobody })
    }

    /// Makes a password and gives it back: this once, as it is not kept.
    ///
    /// # Errors
    /// Those of the catalog; no random bytes.
    pub async fn make(
        &self,
        catalog: &Catalog,
        channel: &Channel,
        label: &str,
        now: Millis,
    ) -> Result<String, PasswordError> {
        loop {
            let Minted { name, text } = secret::mint()?;
            let secret = self.kdf.hash(text.clone()).await?;
            let new =
                AppPassword { name, label: label.to_owned(), secret, created: now, used: None };
            // Another one may have the name, which is short.
            if catalog.add_password(channel.id, &new).await? {
                return Ok(text.to_string());
            }
        }
    }

    /// Removes a password; `false` when the channel has none of that name.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn remove(
        &self,
        catalog: &Catalog,
        channel: &Channel,
        name: &str,
    ) -> Result<bool, PasswordError> {
        let removed = catalog.remove_password(channel.id, name).await?;
        self.cache.clear();
        Ok(removed)
    }

    /// Whether a password opens a channel; `channel` is `None` for one that does not exist.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] when too many wait already.
    pub async fn check(
        &self,
        catalog: &Catalog,
        nick: &str,
        channel: Option<&Channel>,
        shown: &str,
        now: Millis,
    ) -> Result<bool, PasswordError> {
        let mark = self.cache.mark(channel.map(|channel| channel.id), nick, shown);
        if self.cache.knows(&mark, Instant::now()) {
            return Ok(channel.is_some());
        }
        // A program opens many connections at once: its password is checked for all of them.
        let check = self.cache.check_of(mark);
        let run = async || self.run(catalog, mark, channel, shown, now).await;
        check.get_or_try_init(run).await.copied()
    }

    /// One check that was not made before.
    async fn run(
        &self,
        catalog: &Catalog,
        mark: Mark,
        channel: Option<&Channel>,
        shown: &str,
        now: Millis,
    ) -> Result<bool, PasswordError> {
        let _place = self.places.try_acquire().map_err(|error| match error {
            TryAcquireError::NoPermits | TryAcquireError::Closed => PasswordError::Busy,
        })?;
        // Read before the row is: a removal in between then keeps this answer out of the cache.
        let age = self.cache.age();
        let row = match (channel, secret::name_of(shown)) {
            (Some(channel), Some(name)) => catalog.password(channel.id, name).await?,
            // The same way through the catalog for what cannot be there.
            _ => catalog.password(0, "nobody").await?,
        };
        let against = row.as_ref().map_or(&self.nobody, |row| &row.secret);
        let fits = self.kdf.fits(shown, against).await?;
        let (Some(row), Some(channel), true) = (row, channel, fits) else {
            return Ok(false);
        };
        self.cache.remember(mark, age, Instant::now());
        catalog.password_used(channel.id, &row.name, now).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;
    use crate::catalog::NewChannel;
    use crate::keys::PrivateKey;

    struct Room {
        catalog: Catalog,
        passwords: Passwords,
        alice: Channel,
        bob: Channel,
        _dir: tempfile::TempDir,
    }

    async fn room() -> Room {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.sqlite");
        let catalog = Catalog::create(&path, Millis(1)).await.unwrap();
        let key = PrivateKey::generate().unwrap();
        let mut channels = Vec::new();
        for nick in ["alice", "bob"] {
            let new = NewChannel {
                portable_id: zotferry_protocol::identity::portable_id(nick, key.public()),
                guid: nick.into(),
                nick: nick.into(),
                public_pem: key.public().pem().to_owned(),
                replica: zotferry_protocol::ids::ReplicaId([1; 8]),
                quota: None,
            };
            channels.push(catalog.add_channel(&new, Millis(1)).await.unwrap());
        }
        let (bob, alice) = (channels.pop().unwrap(), channels.pop().unwrap());
        Room { catalog, passwords: Passwords::new().unwrap(), alice, bob, _dir: dir }
    }

    impl Room {
        async fn opens(&self, nick: &str, channel: Option<&Channel>, shown: &str) -> bool {
            self.passwords.check(&self.catalog, nick, channel, shown, Millis(7)).await.unwrap()
        }
    }

    /// A password opens its own channel and no other, from the cache as well as without it.
    #[tokio::test]
    async fn a_password_opens_its_channel_alone() {
        let room = room().await;
        let text =
            room.passwords.make(&room.catalog, &room.alice, "phone", Millis(5)).await.unwrap();
        for _ in 0..2 {
            assert!(room.opens("alice", Some(&room.alice), &text).await);
            assert!(!room.opens("bob", Some(&room.bob), &text).await);
            assert!(!room.opens("nobody", None, &text).await);
        }
        let mut wrong = text.clone();
        let last = if wrong.pop() == Some('a') { 'b' } else { 'a' };
        wrong.push(last);
        for shown in [wrong.as_str(), "", "-", &text[..text.len() - 1], &text.to_uppercase()] {
            assert!(!room.opens("alice", Some(&room.alice), shown).await, "{shown}");
        }
        let row = &room.catalog.passwords(room.alice.id).await.unwrap()[0];
        assert_eq!((row.label.as_str(), row.used), ("phone", Some(Millis(7))));
        assert!(text.starts_with(&row.name) && row.name.len() < 10);
    }

    /// An unknown channel, an unknown name, a wrong secret and what is no password at all cost one run each, of the same
    /// parameters as a right one: nothing is to be learnt from how long it takes.
    #[tokio::test]
    async fn what_is_unknown_costs_what_is_wrong_costs() {
        let room = room().await;
        let made = room.passwords.make(&room.catalog, &room.alice, "", Millis(5)).await.unwrap();
        let kept = room.catalog.passwords(room.alice.id).await.unwrap().remove(0).secret;
        let nobody = &room.passwords.nobody;
        assert_eq!((nobody.memory, nobody.passes), (kept.memory, kept.passes));
        let runs = || room.passwords.kdf.runs.load(std::sync::atomic::Ordering::Relaxed);
        let (alice, name) = (Some(&room.alice), secret::name_of(&made).unwrap());
        let wrong = format!("{name}-aaaaaaaaaaaaa-aaaaaaaaaaaaa");
        for (nick, channel, shown, opens) in [
            ("nobody", None, made.as_str(), false),
            ("alice", alice, "zzzzzz-aaaaaaaaaaaaa-aaaaaaaaaaaaa", false),
            ("alice", alice, &wrong, false),
            ("alice", alice, "no password", false),
            ("alice", alice, "", false),
            ("alice", alice, &made, true),
        ] {
            let before = runs();
            assert_eq!(room.opens(nick, channel, shown).await, opens, "{shown}");
            assert_eq!(runs() - before, 1, "{nick} {shown}");
        }
    }

    /// What was removed is forgotten at once, also where it had been shown a moment ago.
    #[tokio::test]
    async fn a_removed_password_opens_nothing() {
        let room = room().await;
        let make =
            async || room.passwords.make(&room.catalog, &room.alice, "", Millis(5)).await.unwrap();
        let (gone, stays) = (make().await, make().await);
        assert!(room.opens("alice", Some(&room.alice), &gone).await);
        let name = secret::name_of(&gone).unwrap();
        assert!(room.passwords.remove(&room.catalog, &room.alice, name).await.unwrap());
        assert!(!room.passwords.remove(&room.catalog, &room.alice, name).await.unwrap());
        assert!(!room.opens("alice", Some(&room.alice), &gone).await);
        assert!(room.opens("alice", Some(&room.alice), &stays).await);
    }

    /// A program that opens many connections at once waits for one check, not for its turn in a queue.
    #[tokio::test]
    async fn the_same_password_is_checked_once_for_all() {
        let room = room().await;
        let made = room.passwords.make(&room.catalog, &room.alice, "", Millis(5)).await.unwrap();
        let asks = (0..4 * WAITING).map(|_| room.opens("alice", Some(&room.alice), &made));
        assert!(futures_util::future::join_all(asks).await.into_iter().all(|opens| opens));
        let wrong = (0..4 * WAITING).map(|_| room.opens("alice", Some(&room.alice), "abcdef-x"));
        assert!(!futures_util::future::join_all(wrong).await.into_iter().any(|opens| opens));
    }

    /// Memory and time are bounded however many ask: who finds the queue full hears so.
    #[tokio::test]
    async fn a_full_queue_says_so() {
        let room = room().await;
        let asks = (0..WAITING + 20).map(|n| {
            let shown = format!("guess-{n}");
            let (room, alice) = (&room, &room.alice);
            async move {
                let check =
                    room.passwords.check(&room.catalog, "alice", Some(alice), &shown, Millis(1));
                check.await
            }
        });
        let answers = futures_util::future::join_all(asks).await;
        let busy = answers.iter().filter(|a| matches!(a, Err(PasswordError::Busy))).count();
        let wrong = answers.iter().filter(|a| matches!(a, Ok(false))).count();
        assert_eq!((busy, wrong), (19, WAITING + 1));
        assert!(!room.opens("alice", Some(&room.alice), "guess-again").await);
    }
}

//! Locks (RFC 4918, section 6), in memory: a restart forgets them, and so does their time.
//!
//! Owns: one set of locks for each channel; when they lapse, how many there may be. Not here: which
//! lock covers what (dav-server's `MemLs`, which keeps a lock for ever).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use dav_server::davpath::DavPath;
use dav_server::ls::{DavLock, DavLockSystem, LsFuture};
use dav_server::memls::MemLs;
use futures_util::FutureExt as _;
use xmltree::Element;

use crate::catalog::ChannelNo;

/// How long a lock lasts when its owner wants it for ever.
const LONGEST: Duration = Duration::from_secs(3600);
/// Most locks in one channel.
const MOST: usize = 4096;
/// Longest `owner` that is kept, as XML, in bytes.
const LONGEST_OWNER: usize = 1024;

/// The locks of every channel.
#[derive(Default)]
pub(super) struct AllLocks(Mutex<HashMap<ChannelNo, Locks>>);

impl AllLocks {
    pub(super) fn of(&self, channel: ChannelNo) -> Locks {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(channel).or_insert_with(Locks::new).clone()
    }
}

/// The locks of one channel.
#[derive(Debug, Clone)]
pub(super) struct Locks {
    held: MemLs,
    until: Arc<Mutex<HashMap<String, Until>>>,
}

#[derive(Debug)]
struct Until {
    path: DavPath,
    time: SystemTime,
}

impl Locks {
    fn new() -> Self {
        Self { held: *MemLs::new(), until: Arc::default() }
    }

    /// When each lock lapses, after those that have are gone.
    fn current(&self) -> MutexGuard<'_, HashMap<String, Until>> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        until.retain(|token, lapses| {
            let stays = now < lapses.time;
            if !stays {
                // It acts when it is called. That the lock was given back meanwhile is fine.
                self.held.unlock(&lapses.path, token).now_or_never();
            }
            stays
        });
        until
    }
}

impl Locks {
    /// The locks that cover a path.
    pub(super) fn covering(&self, path: &DavPath) -> Vec<DavLock> {
        match self.current().is_empty() {
            true => Vec::new(),
            false => at_once(self.held.discover(path)).into_iter().collect(),
        }
    }
}

/// MemLs acts when it is called; its futures have the result.
fn at_once<T>(done: LsFuture<'_, T>) -> T {
    done.now_or_never().expect("MemLs waits for nothing")
}

/// Whether what a client says of itself is short enough to be kept with its lock.
fn is_short(owner: &Element) -> bool {
    let mut written = Vec::new();
    owner.write(&mut written).is_ok() && written.len() <= LONGEST_OWNER
}

fn bounded(timeout: Option<Duration>) -> Duration {
    timeout.unwrap_or(LONGEST).min(LONGEST)
}

impl DavLockSystem for Locks {
    fn lock(
        &'_ self,
        path: &DavPath,
        principal: Option<&str>,
        owner: Option<&Element>,
        timeout: Option<Duration>,
        shared: bool,
        deep: bool,
    ) -> LsFuture<'_, Result<DavLock, DavLock>> {
        let mut until = self.current();
        let timeout = bounded(timeout);
        if until.len() >= MOST {
            // Told like a lock of somebody else's.
            let full = DavLock {
                token: String::new(),
                path: Box::new(path.clone()),
                principal: None,
                owner: None,
                timeout_at: None,
                timeout: None,
                shared: false,
                deep: false,
            };
            return std::future::ready(Err(full)).boxed();
        }
        let owner = owner.filter(|owner| is_short(owner));
        let locked = at_once(self.held.lock(path, principal, owner, Some(timeout), shared, deep));
        if let Ok(lock) = &locked {
            let lapses = Until { path: path.clone(), time: SystemTime::now() + timeout };
            until.insert(lock.token.clone(), lapses);
        }
        std::future::ready(locked).boxed()
    }

    fn unlock(&'_ self, path: &DavPath, token: &str) -> LsFuture<'_, Result<(), ()>> {
        let mut until = self.current();
        let unlocked = at_once(self.held.unlock(path, token));
        if unlocked.is_ok() {
            until.remove(token);
        }
        std::future::ready(unlocked).boxed()
    }

    fn refresh(
        &'_ self,
        path: &DavPath,
        token: &str,
        timeout: Option<Duration>,
    ) -> LsFuture<'_, Result<DavLock, ()>> {
        let mut until = self.current();
        let timeout = bounded(timeout);
        let refreshed = at_once(self.held.refresh(path, token, Some(timeout)));
        if refreshed.is_ok()
            && let Some(lapses) = until.get_mut(token)
        {
            lapses.time = SystemTime::now() + timeout;
        }
        std::future::ready(refreshed).boxed()
    }

    fn check(
        &'_ self,
        path: &DavPath,
        principal: Option<&str>,
        ignore_principal: bool,
        deep: bool,
        submitted_tokens: &[String],
    ) -> LsFuture<'_, Result<(), DavLock>> {
        drop(self.current());
        self.held.check(path, principal, ignore_principal, deep, submitted_tokens)
    }

    fn discover(&'_ self, path: &DavPath) -> LsFuture<'_, Vec<DavLock>> {
        drop(self.current());
        self.held.discover(path)
    }

    fn delete(&'_ self, path: &DavPath) -> LsFuture<'_, Result<(), ()>> {
        self.held.delete(path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    fn lock(locks: &Locks, path: &DavPath, time: Duration) -> Result<DavLock, DavLock> {
        at_once(locks.lock(path, Some("alice"), None, Some(time), false, true))
    }

    /// A program that went away without unlocking is in nobody's way for long.
    #[test]
    fn a_lock_lapses() {
        let (locks, path) = (Locks::new(), DavPath::new("/a").unwrap());
        let gone = lock(&locks, &path, Duration::ZERO).unwrap();
        let held = lock(&locks, &path, Duration::from_secs(60)).unwrap();
        assert!(lock(&locks, &path, Duration::from_secs(60)).is_err());
        let check =
            |tokens: &[String]| at_once(locks.check(&path, Some("alice"), false, false, tokens));
        assert!(check(&[gone.token]).is_err());
        assert!(check(std::slice::from_ref(&held.token)).is_ok());
        let refreshed = at_once(locks.refresh(&path, &held.token, Some(Duration::ZERO))).unwrap();
        assert_eq!(refreshed.timeout, Some(Duration::ZERO));
        assert!(check(&[]).is_ok());
        assert!(at_once(locks.unlock(&path, &held.token)).is_err());
    }

    /// Nobody holds a lock for ever, nor any number of them.
    #[test]
    fn locks_are_bounded_in_time_and_number() {
        let locks = Locks::new();
        for n in 0..MOST {
            let path = DavPath::new(&format!("/{n}")).unwrap();
            let made = at_once(locks.lock(&path, None, None, None, false, false)).unwrap();
            assert_eq!(made.timeout, Some(LONGEST));
        }
        let path = DavPath::new("/more").unwrap();
        assert!(at_once(locks.lock(&path, None, None, None, false, false)).is_err());
    }

    /// What a client says of itself is kept with its lock while it is short. (60 locks of one password took a GiB.)
    #[test]
    fn long_owners_are_not_kept() {
        let locks = Locks::new();
        for (len, kept) in [(10, true), (60_000, false)] {
            let owner = format!("<owner>{}</owner>", "x".repeat(len));
            let owner = Element::parse(owner.as_bytes()).unwrap();
            let path = DavPath::new(&format!("/{len}")).unwrap();
            let made = locks.lock(&path, None, Some(&owner), None, false, false);
            assert_eq!(at_once(made).unwrap().owner.is_some(), kept);
        }
    }
}

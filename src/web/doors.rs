//! How many connections are open, in all and of one address.
//!
//! Owns: the counts, and how many the system lets this process have. Not here: what is asked on them.
//! Invariant: files and the catalog keep their share of what the system allows: connections never take the last of it.
//! Spec: QUEUE-10, QUEUE-11.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors that are not for connections from outside: storage, catalog, connections to others.
const RESERVED: u64 = 512;
/// What a connection says that there is no room for.
pub(super) const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
    retry-after: 5\r\ncontent-length: 46\r\nconnection: close\r\n\r\n61 unavailable: too many connections are open\n";

/// The connections of one hub.
#[derive(Debug)]
pub(super) struct Doors {
    most: u32,
    most_of_one: u32,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: u32,
    by: HashMap<IpAddr, u32>,
}

/// One connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Through {
    doors: Arc<Doors>,
    from: Option<IpAddr>,
}

impl Doors {
    /// So many in all, as far as the system allows, and so many of one address.
    pub(super) fn new(most: u32, most_of_one: u32) -> Arc<Self> {
        let most = most.min(allowed(u64::from(most) + RESERVED));
        Arc::new(Self { most, most_of_one, open: Mutex::default() })
    }

    /// One more, of an address or of a proxy that speaks for many; `None` when there are too many.
    pub(super) fn enter(self: &Arc<Self>, from: Option<IpAddr>) -> Option<Through> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.most {
            return None;
        }
        if let Some(from) = from {
            let count = open.by.entry(from).or_insert(0);
            if *count >= self.most_of_one {
                return None;
            }
            *count += 1;
        }
        open.all += 1;
        Some(Through { doors: Arc::clone(self), from })
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        let mut open = self.doors.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(from) = self.from
            && let Some(count) = open.by.get_mut(&from)
        {
            *count -= 1;
            if *count == 0 {
                open.by.remove(&from);
            }
        }
    }
}

/// Asks the system for so many file descriptors; how many connections there may be under what it gives.
fn allowed(wanted: u64) -> u32 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let now = limit.current.unwrap_or(u64::MAX);
    if now < wanted.min(most) {
        let more = Rlimit { current: Some(wanted.min(most)), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, more) {
            tracing::warn!(%error, "no more files can be open at once than {now}");
        }
    }
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Half of very little is better than nothing.
    let room = now.saturating_sub(RESERVED).max(now / 2);
    u32::try_from(room).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    /// QUEUE-10: an address has its own share, and all together have theirs; what ends makes room.
    #[test]
    fn connections_are_counted_by_address_and_in_all() {
        let doors = Doors::new(5, 2);
        let ip = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let (one, _two) = (doors.enter(ip(1)).unwrap(), doors.enter(ip(1)).unwrap());
        assert!(doors.enter(ip(1)).is_none(), "a third of one address");
        let _other = doors.enter(ip(2)).unwrap();
        let _proxies = [doors.enter(None).unwrap(), doors.enter(None).unwrap()];
        assert!(doors.enter(ip(3)).is_none(), "a sixth in all");
        assert!(doors.enter(None).is_none(), "a sixth in all");
        drop(one);
        let again = doors.enter(ip(1)).unwrap();
        drop(again);
        assert_eq!(doors.open.lock().unwrap().by.len(), 2, "who left is not counted any more");
    }

    /// The answer without room is one that HTTP understands.
    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = std::str::from_utf8(NO_ROOM).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}

//! Inotify: which names below a folder have changed.
//!
//! The system's own interface, by rustix: a watch is set on each folder before it is listed, so that
//! nothing falls between; opening and reading, which the mirror itself does, are not asked for; and
//! it tells of a disk that goes.
//!
//! Owns: watches, their paths. Not here: what has changed about a name.
//! Invariant: a folder that was watched under an old name is known by its new one once that is watched.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::catalog::join;

/// Events that are read at once take so many bytes at most.
const BUFFER: usize = 16 << 10;

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Glance {
    /// Something about a name.
    At {
        /// From the watched folder down.
        path: String,
        /// Whether a writer has closed it, or it came as it is.
        closed: bool,
        /// Whether it is a folder that has come.
        came: bool,
    },
    /// A name that is not UTF-8.
    Odd(PathBuf),
    /// Events were lost.
    Overflow,
    /// The watched folder itself was moved, removed or unmounted.
    Root,
}

/// Watches on a folder and those below it.
pub(super) struct Eyes {
    inotify: AsyncFd<OwnedFd>,
    dir: PathBuf,
    paths: HashMap<i32, String>,
    watches: BTreeMap<String, i32>,
    /// Set when there were more folders than the system watches.
    pub(super) blind: bool,
}

impl Eyes {
    #[expect(deprecated, reason = "what follows it is unsafe; an `OwnedFd` keeps its descriptor")]
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let inotify = AsyncFd::new(inotify)?;
        let (paths, watches) = (HashMap::new(), BTreeMap::new());
        Ok(Self { inotify, dir, paths, watches, blind: false })
    }

    /// Watches one folder. That it is gone is no error: its parent tells.
    pub(super) fn watch(&mut self, path: &str) -> io::Result<()> {
        let mut flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::EXCL_UNLINK;
        let whole = match path {
            "" => {
                flags |= WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
                self.dir.clone()
            }
            path => {
                flags |= WatchFlags::DONT_FOLLOW;
                self.dir.join(path)
            }
        };
        match inotify::add_watch(&self.inotify, &whole, flags) {
            Ok(watch) => {
                if let Some(old) = self.paths.insert(watch, path.to_owned())
                    && old != path
                {
                    self.watches.remove(&old);
                }
                self.watches.insert(path.to_owned(), watch);
                Ok(())
            }
            Err(Errno::NOSPC) => {
                self.blind = true;
                Ok(())
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Stops watching a folder that is gone, and those below it.
    pub(super) fn forget(&mut self, path: &str) {
        let below = format!("{path}/");
        let inside = self.watches.range(below.clone()..).map(|(p, _)| p.clone());
        let mut paths: Vec<String> = inside.take_while(|p| p.starts_with(&below)).collect();
        paths.push(path.to_owned());
        for path in paths {
            if let Some(watch) = self.watches.remove(&path) {
                self.paths.remove(&watch);
                // It is gone by itself where the folder is.
                inotify::remove_watch(&self.inotify, watch).ok();
            }
        }
    }

    /// What happens next.
    pub(super) async fn wait(&mut self) -> io::Result<Vec<Glance>> {
        loop {
            // Before reading, so that what comes after the last read rings again.
            self.inotify.readable().await?.clear_ready();
            let glances = self.read()?;
            if !glances.is_empty() {
                return Ok(glances);
            }
        }
    }

    /// All that has happened, without waiting.
    pub(super) fn read(&mut self) -> io::Result<Vec<Glance>> {
        let mut glances = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut ended = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    let flags = event.events();
                    if flags.contains(ReadFlags::IGNORED) {
                        ended.push(event.wd());
                    }
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    let parent = self.paths.get(&event.wd()).map(String::as_str);
                    glances.extend(glance(parent, name, flags, &self.dir));
                }
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for watch in ended {
            if let Some(path) = self.paths.remove(&watch)
                && self.watches.get(&path) == Some(&watch)
            {
                self.watches.remove(&path);
            }
        }
        Ok(glances)
    }
}

fn glance(
    parent: Option<&str>,
    name: Option<&OsStr>,
    flags: ReadFlags,
    dir: &std::path::Path,
) -> Option<Glance> {
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Glance::Overflow);
    }
    let parent = parent?;
    let Some(name) = name else {
        let left = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        return (parent.is_empty() && flags.intersects(left)).then_some(Glance::Root);
    };
    let arrived = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
    let Some(name) = name.to_str() else {
        return arrived.then(|| Glance::Odd(dir.join(parent).join(name)));
    };
    Some(Glance::At {
        path: join(parent, name),
        closed: flags.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO),
        came: arrived && flags.contains(ReadFlags::ISDIR),
    })
}

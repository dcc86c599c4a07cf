//! When a mirrored folder is looked at.
//!
//! Owns: the loop: looking through everything at the start, after lost events and now and then; single
//! paths as they become quiet; the folder itself coming and going.
//! Invariant: while the folder is not there, or is another than was looked at, nothing is concluded
//! from what is missing.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::compare::Changes;
use super::dirty::{Dirty, Due, QUIET};
use super::eyes::{Eyes, Glance};
use super::look;
use super::told::WatchEvent;
use super::{Mirror, WatchError};
use crate::files::{self, Skipped};

/// How often the folder itself is looked for.
const CHECK: Duration = Duration::from_secs(2);
/// How often everything is looked through although nothing was missed, for file systems that tell
/// only of what this machine does.
const RESCAN: Duration = Duration::from_secs(3600);
/// The same where the system watches no more folders.
const RESCAN_BLIND: Duration = Duration::from_secs(60);

/// How one stay with the folder ended.
enum Left {
    /// The hub stops.
    Stopped,
    /// The folder is not there any more, or it is another one.
    Away,
}

/// Mirrors until the hub stops.
pub(super) async fn run(mut mirror: Mirror) -> Result<(), WatchError> {
    loop {
        if !mirror.arrive().await {
            return Ok(());
        }
        match mirror.stay().await? {
            Left::Stopped => return Ok(()),
            Left::Away => tracing::debug!("the watched folder has changed as such"),
        }
    }
}

impl Mirror {
    /// Waits for the folder to be there; false when the hub stops.
    async fn arrive(&mut self) -> bool {
        let mut told = false;
        loop {
            match look::identity(&self.dir) {
                Ok(_) => return true,
                Err(error) if !told => {
                    told = true;
                    let dir = crate::text::visible(&self.dir.display().to_string());
                    let reason = format!(
                        "{dir}: {error}; the channel keeps what it has, and the mirror goes on when \
                         the folder is back"
                    );
                    let known = self.hub.catalog.watched_below(self.watch, "").await;
                    self.tally.held = known.unwrap_or(0);
                    self.tell(WatchEvent::Held { entries: self.tally.held, reason });
                    self.settled().await.ok();
                }
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(CHECK) => {}
                () = self.hub.stop.cancelled() => return false,
            }
        }
    }

    /// Mirrors while the folder is there.
    async fn stay(&mut self) -> Result<Left, WatchError> {
        self.identity = look::identity(&self.dir).ok();
        let mut eyes = Eyes::open(self.dir.clone()).map_err(WatchError::Eyes)?;
        let mut dirty = Dirty::default();
        files::make_dirs(&self.hub, &self.channel, &self.into).await?;
        let mut rescan = self.look_through(&mut eyes, &mut dirty).await?;
        let mut checks = interval(CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = dirty.next(Instant::now()).map_or(rescan, |due| due.min(rescan));
            tokio::select! {
                () = self.hub.stop.cancelled() => return Ok(Left::Stopped),
                glances = eyes.wait() => {
                    let glances = glances.map_err(WatchError::Eyes)?;
                    if !self.take_in(glances, &mut dirty) {
                        continue;
                    }
                }
                _ = checks.tick() => {}
                () = self.running.asked.notified() => {
                    rescan = self.look_through(&mut eyes, &mut dirty).await?;
                }
                () = sleep_until(due) => {
                    if dirty.take_overflow() || due == rescan {
                        rescan = self.look_through(&mut eyes, &mut dirty).await?;
                    } else {
                        self.follow(&mut eyes, &mut dirty).await?;
                    }
                }
            }
            if !self.is_here() {
                return Ok(Left::Away);
            }
        }
    }

    /// Whether the folder is the one that was begun with.
    fn is_here(&self) -> bool {
        self.identity.is_some() && look::identity(&self.dir).ok() == self.identity
    }

    fn rest(&self, eyes: &Eyes) -> Duration {
        if !eyes.blind {
            return RESCAN;
        }
        tracing::warn!(
            dir = %self.dir.display(),
            "there are more folders than the system watches (sysctl fs.inotify.max_user_watches); \
             they are looked through every minute instead"
        );
        RESCAN_BLIND
    }

    /// Notes what has happened; true when it happened to the folder itself.
    fn take_in(&self, glances: Vec<Glance>, dirty: &mut Dirty) -> bool {
        let now = Instant::now();
        let mut root = false;
        for glance in glances {
            match glance {
                Glance::At { path, closed, came } => dirty.touch(path, closed, came, now),
                Glance::Overflow => dirty.overflow(),
                Glance::Root => root = true,
                Glance::Odd(path) => {
                    let path = path.display().to_string();
                    let reason = "its name is not UTF-8".to_owned();
                    self.tell(WatchEvent::Skipped(Skipped { path, reason }));
                }
            }
        }
        root
    }

    /// Looks through everything; returns when to do so again.
    async fn look_through(
        &mut self,
        eyes: &mut Eyes,
        dirty: &mut Dirty,
    ) -> Result<Instant, WatchError> {
        let first = self.hub.catalog.watched_below(self.watch, "").await? == 0;
        let sure = self.running.sure.swap(false, Relaxed);
        let mut changes = Changes::default();
        self.tally.held = 0;
        self.compare("", eyes, &mut changes, first).await?;
        self.wait_for_young(eyes, &mut changes).await?;
        self.conclude(eyes, &mut changes, sure).await?;
        self.tally.skipped = changes.skipped;
        self.finish(eyes, dirty).await?;
        Ok(Instant::now() + self.rest(eyes))
    }

    /// Puts what is new, and what has just been written as well if it soon rests: one of these may be
    /// what is gone from another place.
    async fn wait_for_young(
        &mut self,
        eyes: &mut Eyes,
        changes: &mut Changes,
    ) -> Result<(), WatchError> {
        for _ in 0..2 {
            if !self.is_here() {
                return Ok(());
            }
            self.put(changes).await?;
            if self.again.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(QUIET).await;
            let young = std::mem::take(&mut self.again).into_iter();
            let due = young.map(|path| Due { path, came: false, quiet: false }).collect();
            self.compare_paths(due, eyes, changes).await?;
        }
        Ok(())
    }

    /// Looks at the paths that are quiet. What is missing among them was seen to go.
    async fn follow(&mut self, eyes: &mut Eyes, dirty: &mut Dirty) -> Result<(), WatchError> {
        let due = dirty.take(Instant::now());
        let mut changes = Changes::default();
        self.compare_paths(due, eyes, &mut changes).await?;
        self.conclude(eyes, &mut changes, true).await?;
        self.finish(eyes, dirty).await
    }

    /// Puts what is new and removes what is gone, if the folder is still there.
    async fn conclude(
        &mut self,
        eyes: &mut Eyes,
        changes: &mut Changes,
        sure: bool,
    ) -> Result<(), WatchError> {
        if !self.is_here() {
            return Ok(());
        }
        self.put(changes).await?;
        for row in changes.gone.iter().filter(|row| row.root.is_none()) {
            eyes.forget(&row.path());
        }
        match self.is_here() {
            true => self.remove_gone(changes, sure).await,
            false => Ok(()),
        }
    }

    /// Takes up what was not quiet and what has happened meanwhile; says so when nothing has.
    async fn finish(&mut self, eyes: &mut Eyes, dirty: &mut Dirty) -> Result<(), WatchError> {
        let now = Instant::now();
        for path in std::mem::take(&mut self.again) {
            dirty.touch(path, false, false, now + QUIET / 2);
        }
        let glances = eyes.read().map_err(WatchError::Eyes)?;
        self.take_in(glances, dirty);
        if dirty.is_empty() {
            self.settled().await?;
        }
        Ok(())
    }

    async fn settled(&mut self) -> Result<(), WatchError> {
        self.tally.known = self.hub.catalog.watched_below(self.watch, "").await?;
        self.tell(WatchEvent::Settled(self.tally));
        self.told = self.tally;
        Ok(())
    }
}

//! What is logged, and how much of it: nobody outside fills the disk by making this program talk.
//!
//! Owns: the lines to stderr, and how many there are of one kind. Not here: what they say.
//! Invariant: lines of one place in the code come so often at most as the settings say; how many were left out is said
//! with the next one. Errors are all shown; so is what was asked for with `debug` or `trace`.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt};

/// Lines at once, as many times those of a minute.
const BURST: u32 = 10;
/// Lines of one kind a minute, until a hub's settings say otherwise; 0 for no limit.
static A_MINUTE: AtomicU32 = AtomicU32::new(60);

/// A hub says what it does; other commands say what goes wrong.
pub(super) fn begin(hub: bool) {
    let default = if hub { "info,sled=warn,sqlx=warn" } else { "warn" };
    let filter =
        EnvFilter::try_from_env("ZOTFERRY_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_filter(Brake::default());
    Registry::default().with(filter).with(lines).init();
}

/// So many lines of one kind a minute from now on.
pub(super) fn set_pace(a_minute: u32) {
    A_MINUTE.store(a_minute, Relaxed);
}

/// Lets so many lines of each kind pass.
#[derive(Default)]
struct Brake(Mutex<HashMap<Identifier, Account>>);

/// Lines of one place in the code.
struct Account {
    /// Lines that may come at once, in parts.
    credit: f64,
    since: Instant,
    left_out: u64,
}

impl Account {
    fn new(now: Instant, a_minute: u32) -> Self {
        Self { credit: f64::from(a_minute) * f64::from(BURST), since: now, left_out: 0 }
    }

    /// Whether a line may pass, and how many before it did not.
    fn one_more(&mut self, now: Instant, a_minute: u32) -> Option<u64> {
        let rate = f64::from(a_minute);
        let earned = now.saturating_duration_since(self.since).as_secs_f64() / 60.0 * rate;
        self.credit = (self.credit + earned).min(rate * f64::from(BURST));
        self.since = now;
        if self.credit < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.credit -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl<S: Subscriber> Filter<S> for Brake {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let a_minute = A_MINUTE.load(Relaxed);
        let about = event.metadata();
        if a_minute == 0 || ![Level::WARN, Level::INFO].contains(about.level()) {
            return true;
        }
        let now = Instant::now();
        let passes = {
            let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let account =
                accounts.entry(about.callsite()).or_insert_with(|| Account::new(now, a_minute));
            account.one_more(now, a_minute)
        };
        if let Some(left_out @ 1..) = passes {
            // Not a line of the log's own: it would come back here.
            let (file, line) = (about.file().unwrap_or("?"), about.line().unwrap_or(0));
            eprintln!("... {left_out} lines like the next were left out ({file}:{line})");
        }
        passes.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A kind of line that comes without end costs a bounded part of the disk, and is not hidden either.
    #[test]
    fn lines_of_one_kind_are_counted() {
        let begun = Instant::now();
        let mut account = Account::new(begun, 60);
        let first = (0..100_000).filter(|_| account.one_more(begun, 60).is_some()).count();
        assert_eq!(first, 600);
        assert_eq!(account.one_more(begun + Duration::from_millis(500), 60), None);
        let said = account.one_more(begun + Duration::from_millis(1_500), 60);
        assert_eq!(said, Some(100_000 - 600 + 1));
        let later = begun + Duration::from_secs(3600);
        let again = (0..100_000).filter(|_| account.one_more(later, 60).is_some()).count();
        assert_eq!(again, 600, "a pause earns no more than the first time");
    }
}

//! Progress: a bar with rate and time left on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use zotferry::text::bytes;

use super::output::duration;

/// How often a plain line is printed.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Tells a person how far something is, on standard error.
pub(crate) struct Progress {
    way: Way,
    total: u64,
    done: u64,
    started: Instant,
}

enum Way {
    Silent,
    Bar(ProgressBar),
    Lines(Instant),
}

impl Progress {
    /// Towards `total` bytes, about `what`.
    pub(crate) fn new(what: &str, total: u64, silent: bool) -> Self {
        let way = match (silent, std::io::stderr().is_terminal()) {
            (true, _) => Way::Silent,
            (false, true) => Way::Bar(bar(what, total)),
            (false, false) => Way::Lines(Instant::now()),
        };
        Self { way, total, done: 0, started: Instant::now() }
    }

    /// So many bytes are done by now; `note` says it in other words.
    pub(crate) fn at(&mut self, done: u64, note: impl FnOnce() -> String) {
        self.done = done;
        match &mut self.way {
            Way::Silent => {}
            Way::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(note());
            }
            Way::Lines(last) if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                let (rate, left) = self.pace();
                eprintln!(
                    "{} of {}, {}, {}/s, {} left",
                    bytes(done),
                    bytes(self.total),
                    note(),
                    bytes(rate),
                    left.map_or("some time".to_owned(), duration)
                );
            }
            Way::Lines(_) => {}
        }
    }

    /// Bytes a second so far, and the seconds that are left at that rate.
    fn pace(&self) -> (u64, Option<u64>) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = self.done.saturating_mul(1000) / ms;
        (rate, self.total.saturating_sub(self.done).checked_div(rate))
    }

    /// A line that stays, beside the bar.
    pub(crate) fn say(&self, text: &str) {
        match &self.way {
            Way::Bar(bar) => bar.println(text),
            Way::Silent | Way::Lines(_) => eprintln!("{text}"),
        }
    }

    /// It is over.
    pub(crate) fn end(&self) {
        if let Way::Bar(bar) = &self.way {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn bar(what: &str, total: u64) -> ProgressBar {
    let template = "{prefix} {bar:30} {binary_bytes} of {binary_total_bytes}, \
        {binary_bytes_per_sec}, {eta} left  {wide_msg}";
    let bar = ProgressBar::new(total).with_prefix(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

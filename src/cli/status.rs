//! `zotferry status`: how a hub and its channels are.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use zotferry::local::client::Client;
use zotferry::local::{self, ChannelStatus, CloneState, CloneStatus, StatusOf};
use zotferry::text::{bytes, visible};

use super::exit::{Exit, Failure};
use super::output;

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);

/// Shows how a hub is: what is here, what is wanted, how far each clone is.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// Shows it again every second, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Prints JSON, one line each time.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub status
  zotferry --dir hub status --watch
  zotferry --dir hub status --json | jq '.channels[] | {nick, wanted}'";

impl Status {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        if !self.watch {
            let client = Client::running_or_resting(dir).await?;
            let status = client.ask(&StatusOf {}).await;
            client.close().await?;
            self.show(&status?);
            return Ok(Exit::Done);
        }
        let client = Client::running(dir).await?;
        loop {
            let status = client.ask(&StatusOf {}).await?;
            if !self.json && std::io::stdout().is_terminal() {
                // Clears the screen and goes to its top.
                output::line("\u{1b}[2J\u{1b}[H");
            }
            self.show(&status);
            tokio::time::sleep(EVERY).await;
        }
    }

    fn show(&self, status: &local::Status) {
        if self.json { output::json(status) } else { output::line(text(status).trim_end()) }
    }
}

fn text(status: &local::Status) -> String {
    let mut out = format!("{}  ", status.url);
    match &status.running {
        None => out.push_str("not running\n"),
        Some(running) => {
            let (up, c) = (output::duration(running.uptime_s), &running.counts);
            let peak = running.peak_rss.map_or("unknown".to_owned(), bytes);
            _ = writeln!(out, "running for {up}, process {}, peak memory {peak}", running.pid);
            _ = writeln!(
                out,
                "  fetched {} in {} chunks, {} of it twice; sent {}; {} requests, {} signatures",
                bytes(c.bytes_fetched),
                c.chunks,
                bytes(c.bytes_fetched_twice),
                bytes(c.bytes_served),
                c.requests,
                c.signatures
            );
        }
    }
    let jobs = status.jobs;
    _ = writeln!(
        out,
        "  jobs: {} due, {} in work, {} waiting, {} given up",
        jobs.due, jobs.leased, jobs.delayed, jobs.dead
    );
    let read = status.files_read;
    if read.files > 0 {
        let (amount, damaged) = (output::amount(read.files, read.bytes), read.damaged);
        let still = if read.underway { "so far" } else { "the last time" };
        _ = writeln!(out, "  read again: {amount} {still}, {damaged} damaged");
    }
    status.channels.iter().for_each(|channel| describe(&mut out, channel));
    out
}

fn describe(out: &mut String, channel: &ChannelStatus) {
    let paused = if channel.paused { "  (paused)" } else { "" };
    _ = writeln!(out, "\n{}{paused}", visible(&channel.nick));
    let quota = channel.quota.map_or(String::new(), |quota| format!(" of {}", bytes(quota)));
    let present = output::amount(channel.present.files, channel.present.bytes);
    _ = writeln!(out, "  here    {present}{quota}");
    if channel.wanted.files > 0 {
        let wanted = output::amount(channel.wanted.files, channel.wanted.bytes);
        let left = channel.wanted.bytes - channel.underway;
        let pace = channel.rate.filter(|rate| *rate > 0).map_or(String::new(), |rate| {
            format!(", {}/s, {} left", bytes(rate), output::duration(left / rate))
        });
        _ = writeln!(out, "  wanted  {wanted} ({} of it here){pace}", bytes(channel.underway));
    }
    if channel.failed.files > 0 {
        let failed = output::amount(channel.failed.files, channel.failed.bytes);
        _ = writeln!(out, "  failed  {failed}; `zotferry retry` tries again");
    }
    channel.clones.iter().for_each(|clone| clone_line(out, clone));
}

/// How a clone was found when both catalogs were compared.
fn found(clone: &CloneStatus) -> String {
    let Some(found) = &clone.found else { return String::new() };
    let when = |ago: u64| format!("{} ago", output::duration(ago));
    match (found.differing, found.equal_ago_s, found.ago_s) {
        _ if found.by_audit => ", brought up by comparing".to_owned(),
        (0, Some(ago), _) => format!(", in sync as of {}", when(ago)),
        (n, _, Some(ago)) => format!(", {n} entries differed {}", when(ago)),
        (_, _, None) => String::new(),
    }
}

fn clone_line(out: &mut String, clone: &CloneStatus) {
    let state = match clone.state {
        CloneState::Foreign => "does not speak this protocol".to_owned(),
        CloneState::Pending => "has to prove itself".to_owned(),
        CloneState::Listed if clone.behind == 0 => "up to date".to_owned(),
        CloneState::Listed => format!("{} operations behind", clone.behind),
    };
    let (present, found) = (clone.present, found(clone));
    _ = writeln!(
        out,
        "  clone   {}  {state}{found}, reported {present} files",
        visible(&clone.url)
    );
    if clone.to_go > 0 {
        _ = writeln!(out, "          {} entries are still to be asked of it", clone.to_go);
    }
    if let Some(error) = &clone.last_error {
        _ = writeln!(out, "          {} failed attempts: {}", clone.attempts, visible(error));
    }
}

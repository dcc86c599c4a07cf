//! The command line of the suite, for its own runner and for `zotferry conform`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::case::Side;
use crate::keys::Key;
use crate::known::{self, Known};
use crate::report::{self, Report};
use crate::runner::{Selection, run};
use crate::target::{Target, by_command};

/// Judges a hub by the specification, from outside.
///
/// The suite comes in as further clones of a channel made for the test. It asks, as a clone does, what the hub must
/// answer and what it must refuse; and it announces files and serves them slowly, wrongly or in part, to see what the
/// hub takes. It needs the hub's URL, and the channel's guid and private key. What it puts into the channel it
/// removes at the end. Never use a channel that means something to somebody.
#[derive(Args, Debug, Clone)]
#[command(after_help = HELP)]
pub struct Options {
    /// The hub's base URL.
    #[arg(required_unless_present = "list")]
    url: Option<String>,
    /// The test channel's guid.
    #[arg(long, required_unless_present = "list", allow_hyphen_values = true)]
    guid: Option<String>,
    /// A file with the test channel's private key, PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    key: Option<PathBuf>,
    /// The guid of a second channel, which a run uses up: its key is changed. For the cases that need it.
    #[arg(long, value_name = "GUID", requires = "spare_key", allow_hyphen_values = true)]
    spare_guid: Option<String>,
    /// A file with the second channel's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "spare_guid")]
    spare_key: Option<PathBuf>,
    /// The second channel's quota, if it has one: 64 MiB or more, so that a file of half of it has more digests than travel
    /// with its announcement.
    #[arg(long, value_name = "MIB", requires = "spare_guid", value_parser = clap::value_parser!(u64).range(64..=1 << 20))]
    spare_quota: Option<u64>,
    /// Only these cases: ids, groups, beginnings of ids with `*`, or requirements.
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    only: Vec<String>,
    /// All but these.
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    except: Vec<String>,
    /// One half only: what the hub answers, or what it fetches.
    #[arg(long)]
    side: Option<Half>,
    /// Names the cases instead of running them.
    #[arg(long)]
    list: bool,
    /// A TOML file of failures that are known, each with a reason.
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// What a hub SHOULD do, what is skipped and what is known counts as well.
    #[arg(long)]
    strict: bool,
    /// Writes the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes the report as one HTML page, with a row for each requirement.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Prints only what does not hold.
    #[arg(long, short)]
    quiet: bool,
    /// A shell command that stops the hub and starts it again, for the cases that need it.
    #[arg(long, value_name = "COMMAND")]
    restart: Option<String>,
    /// Where the suite's own hubs listen, each on a port of its own.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// The name or address by which the hub reaches them, if it is another.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// How long to wait for what the hub does on its own.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Half {
    /// The hub is asked.
    Server,
    /// The hub asks.
    Client,
}

const HELP: &str = "\
A Zotferry hub for the test, in three lines:
  zotferry init hub --url http://127.0.0.1:9000 && zotferry hub hub &
  zotferry --dir hub channel new conform
  zotferry --dir hub channel list --json        prints `id` and `guid`; the key is hub/keys/channel-<id>.pem
Any other hub needs the same: to run on loopback, or be allowed to contact the addresses that --listen and --host
name, over plain HTTP; and a channel whose guid and private key you know. `--spare-guid` and `--spare-key` name a second one,
made in the same way, whose key a run changes: make another for each run. `--spare-quota` is its quota: of a Zotferry hub
`limits.quota_mib` in hub/config.toml, as it was when the hub was started and the channel made.

Examples:
  zotferry conform http://127.0.0.1:9000 --guid GUID --key hub/keys/channel-ID.pem --html report.html
  zotferry conform URL --guid GUID --key FILE --only signing,SYNC-9,resume.over*
  zotferry conform --list --only replay

How a case ends:
  held     the hub did exactly what is expected
  failed   it did not: the report says what was done, what was expected, and what was found
  noted    it did not do what it SHOULD; a failure with --strict
  skipped  it could not be tried; a failure with --strict
  known    it failed, and --known has the reason; a failure with --strict
  mended   --known says that it fails, and it holds; a failure with --strict

Exit codes: 0 nothing failed, 1 something failed, 2 the command line is wrong, 3 the hub cannot be reached or does not
let the suite in.";

/// How the command ends.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing failed.
    Held,
    /// A case failed.
    Failed,
    /// The command line, or a file that it names, is wrong.
    Usage(String),
    /// The hub cannot be reached, or does not let the suite in.
    NoHub(String),
}

impl Options {
    /// Does what the command line says; `print` gets the lines of the report.
    pub async fn run(self, print: impl Fn(&str) + Sync) -> End {
        match self.try_run(&print).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn try_run(self, print: &(impl Fn(&str) + Sync)) -> Result<End, End> {
        let side = self.side.map(|half| match half {
            Half::Server => Side::Server,
            Half::Client => Side::Client,
        });
        let selection = Selection { only: self.only.clone(), except: self.except.clone(), side };
        let cases = selection.cases().map_err(End::Usage)?;
        if self.list {
            for case in &cases {
                let ids = case.requirements.join(" ");
                print(&format!(
                    "{} [{ids}]\n    {} -> {}",
                    case.id, case.sentence, case.expectation
                ));
            }
            print(&format!("{} cases", cases.len()));
            return Ok(End::Held);
        }
        let known = match &self.known {
            Some(path) => known::read(path).map_err(End::Usage)?,
            None => Known::new(),
        };
        let target = self.target().map_err(End::Usage)?;
        self.can_write().map_err(End::Usage)?;
        let told = |result: &crate::runner::Ended| {
            if !self.quiet || result.verdict.counts(self.strict) {
                print(&report::line(result));
            }
        };
        let report = run(target, cases, &known, &told).await.map_err(End::NoHub)?;
        print(report::text(&report, self.strict).trim_end());
        self.write(&report).map_err(End::Usage)?;
        Ok(if report.failed(self.strict) { End::Failed } else { End::Held })
    }

    fn target(&self) -> Result<Target, String> {
        let missing = "the hub's URL, --guid and --key are needed";
        let (Some(url), Some(guid), Some(path)) = (&self.url, &self.guid, &self.key) else {
            return Err(missing.into());
        };
        let spare = match (&self.spare_guid, &self.spare_key) {
            (Some(guid), Some(path)) => Some((guid.clone(), key_in(path)?)),
            _ => None,
        };
        let key = key_in(path)?;
        Ok(Target {
            spare,
            spare_quota: self.spare_quota.map(|mib| mib << 20),
            listen: self.listen,
            host: self.host.clone(),
            patience: Duration::from_secs(self.patience),
            restart: self.restart.as_deref().map(by_command),
            ..Target::new(url, guid, key)
        })
    }

    /// A run takes minutes: whether its reports can be written is seen before.
    fn can_write(&self) -> Result<(), String> {
        for path in [&self.json, &self.junit, &self.html].into_iter().flatten() {
            let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
            opened.map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(())
    }

    fn write(&self, report: &Report) -> Result<(), String> {
        let write = |path: &Path, text: String| {
            std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
        };
        if let Some(path) = &self.json {
            write(path, format!("{:#}\n", report::json(report, self.strict)))?;
        }
        if let Some(path) = &self.junit {
            write(path, report::junit(report, self.strict))?;
        }
        if let Some(path) = &self.html {
            write(path, report::html(report, self.strict))?;
        }
        Ok(())
    }
}

/// The private key in a file.
fn key_in(path: &Path) -> Result<Key, String> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let bytes = std::fs::read(path).map_err(|e| named(&e))?;
    Key::from_pem(&String::from_utf8_lossy(&bytes)).map_err(|e| named(&e))
}

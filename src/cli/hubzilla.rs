//! `zotferry adopt --hubzilla`: what is told of it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use zotferry::hubzilla::HubzillaEvent;
use zotferry::local::AdoptHubzilla;
use zotferry::local::client::Client;
use zotferry::text::{bytes, visible};

use super::exit::{Exit, Failure};
use super::output;
use super::progress::Progress;
use super::put::absolute;

/// The variable that a database's password may stand in.
const PASSWORD: &str = "ZOTFERRY_DB_PASSWORD";

/// Where Hubzilla keeps what it has.
#[derive(Args)]
pub(crate) struct Hubzilla {
    /// Adopts a channel of Hubzilla: the URL of its database, mysql://, mariadb:// or postgres://. It is only read. The password is
    /// best given in the variable ZOTFERRY_DB_PASSWORD: other users see a command line.
    #[arg(id = "database", long = "hubzilla", value_name = "DB_URL", requires = "store")]
    pub(crate) database: Option<String>,
    /// Hubzilla's folder `store`. It is only read, and the hub has to be able to.
    #[arg(long, value_name = "DIR", requires = "database")]
    pub(crate) store: Option<PathBuf>,
    /// The URL at which Hubzilla runs, where its database does not say it: links in posts begin with it.
    #[arg(long, value_name = "URL", requires = "database")]
    pub(crate) url: Option<String>,
}

/// What has been adopted.
#[derive(Default, Serialize)]
struct Summary {
    folders: u64,
    files: u64,
    bytes: u64,
    unchanged: u64,
    items: u64,
    items_elsewhere: u64,
    missing: u64,
    skipped: u64,
    changed: u64,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Last<'a> {
    summary: &'a Summary,
}

/// Adopts, and tells how far it is.
pub(crate) async fn run(
    dir: &Path,
    channel: String,
    hubzilla: Hubzilla,
    checksum: bool,
    json: bool,
) -> Result<Exit, Failure> {
    let Hubzilla { database: Some(database), store: Some(store), url } = hubzilla else {
        return Err(Failure::new(Exit::Usage, "--hubzilla needs --store"));
    };
    let password = std::env::var(PASSWORD).ok().filter(|password| !password.is_empty());
    let store = absolute(&store)?;
    let question = AdoptHubzilla { channel, database, password, store, url, checksum };
    let client = Client::running_or_resting(dir).await?;
    let summary = take(&client, &question, json).await;
    client.close().await?;
    let summary = summary?;
    match json {
        true => output::json(&Last { summary: &summary }),
        false => output::line(summary.told()),
    }
    Ok(if summary.missing + summary.skipped > 0 { Exit::Partly } else { Exit::Done })
}

async fn take(client: &Client, question: &AdoptHubzilla, json: bool) -> Result<Summary, Failure> {
    let mut events = client.lines(question).await?;
    let mut progress = Progress::new("adopt", 0, json);
    let mut summary = Summary::default();
    while let Some(event) = events.next().await? {
        if json {
            output::json(&event);
        }
        if let HubzillaEvent::Begin { bytes, .. } = event {
            progress = Progress::new("adopt", bytes, json);
        }
        summary.note(&event);
        if let Some(text) = told(&event) {
            progress.say(&text);
        }
        progress.at(summary.bytes, || format!("{} files", summary.files + summary.unchanged));
    }
    Ok(summary)
}

/// A line about what did not go as it should.
fn told(event: &HubzillaEvent) -> Option<String> {
    Some(match event {
        HubzillaEvent::Missing { path, store, expected, found, scale } => {
            let what = match scale {
                Some(scale) => format!("{}, scale {scale}", visible(path)),
                None => visible(path),
            };
            let found = match found {
                Some(found) => format!("{found} bytes found"),
                None => "nothing found".to_owned(),
            };
            format!("missing {what}: {expected} bytes expected, {found} at {}", visible(store))
        }
        HubzillaEvent::Skipped(skipped) => {
            format!("skipped {}: {}", visible(&skipped.path), visible(&skipped.reason))
        }
        HubzillaEvent::Changed(changed) => {
            format!("{}: {}", visible(&changed.path), visible(&changed.reason))
        }
        _ => return None,
    })
}

impl Summary {
    fn note(&mut self, event: &HubzillaEvent) {
        match event {
            HubzillaEvent::Begin { .. } => {}
            HubzillaEvent::Done { size, change, folder, .. } => {
                self.bytes += size;
                match (change.as_str(), folder) {
                    ("unchanged", _) => self.unchanged += 1,
                    (_, true) => self.folders += 1,
                    (_, false) => self.files += 1,
                }
            }
            HubzillaEvent::Missing { .. } => self.missing += 1,
            HubzillaEvent::Skipped(_) => self.skipped += 1,
            HubzillaEvent::Changed(_) => self.changed += 1,
            HubzillaEvent::Items { added, changed, elsewhere, .. } => {
                self.items += added + changed;
                self.items_elsewhere += elsewhere;
            }
        }
    }

    fn told(&self) -> String {
        format!(
            "adopted {} in {} folders, and {} posts and comments; {} were here; {} in all; {} missing, {} skipped",
            match self.files {
                1 => "1 file".to_owned(),
                files => format!("{files} files"),
            },
            self.folders,
            self.items,
            self.unchanged,
            bytes(self.bytes),
            self.missing,
            self.skipped
        )
    }
}

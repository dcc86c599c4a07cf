//! `zotferry ls`: what lies in a folder of a channel.

use std::path::Path;

use clap::Args;
use zotferry::local::client::Client;
use zotferry::local::{Entry, EntryState, List};
use zotferry::text::{bytes, visible};

use super::exit::{Exit, Failure};
use super::output;

/// Lists a folder of a channel, and how much of each file is here.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ls {
    /// Which channel.
    channel: String,
    /// The folder.
    #[arg(default_value = "/")]
    folder: String,
    /// Lists what is below its folders, too.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Prints JSON, one entry a line, with names as they are.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub ls alice
  zotferry --dir hub ls alice /photos -R
  zotferry --dir hub ls alice -R --json | jq -r 'select(.state == \"failed\") | .path'";

impl Ls {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let client = Client::running_or_resting(dir).await?;
        let done = self.list(&client).await;
        client.close().await?;
        done.map(|()| Exit::Done)
    }

    async fn list(self, client: &Client) -> Result<(), Failure> {
        let (channel, path, recursive) = (self.channel, self.folder, self.recursive);
        let mut entries = client.lines(&List { channel, path, recursive }).await?;
        while let Some(entry) = entries.next().await? {
            if self.json { output::json(&entry) } else { output::line(line(&entry, recursive)) }
        }
        Ok(())
    }
}

fn line(entry: &Entry, whole_path: bool) -> String {
    let path = entry.path.as_str();
    let name = if whole_path { path } else { path.rsplit('/').next().unwrap_or(path) };
    let name = visible(name);
    if entry.folder {
        return format!("{:>9}  {:>11}  {}  {name}/", "", "", entry.edited);
    }
    let state = match entry.state {
        EntryState::Present => "here".to_owned(),
        EntryState::Wanted => format!("{} %", percent(entry.held, entry.size)),
        EntryState::Failed => "failed".to_owned(),
    };
    let reason = match (&entry.reason, entry.state) {
        (Some(reason), EntryState::Failed) => format!("  ({})", visible(reason)),
        _ => String::new(),
    };
    format!("{state:>9}  {:>11}  {}  {name}{reason}", bytes(entry.size), entry.edited)
}

/// Never 100 before the last byte.
fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(99).min(99)
}

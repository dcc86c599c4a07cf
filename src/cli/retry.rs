//! `zotferry retry`: once more with what was given up.

use std::path::Path;

use clap::Args;
use zotferry::local;
use zotferry::local::client::Client;

use super::exit::{Exit, Failure};
use super::output;

/// Tries again what was given up: jobs that failed too often, files that could not be fetched.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Retry {
    /// Of which channel; by default of all.
    channel: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub retry
  zotferry --dir hub retry alice";

impl Retry {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let client = Client::running(dir).await?;
        let retried = client.ask(&local::Retry { channel: self.channel }).await?;
        output::line(format!("{} jobs and {} files are tried again", retried.jobs, retried.files));
        Ok(Exit::Done)
    }
}

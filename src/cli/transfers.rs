//! `zotferry transfers`: the larger files that are on their way at this moment.

use std::path::Path;

use clap::Args;
use zotferry::local;
use zotferry::local::client::Client;
use zotferry::text::{bytes, visible};

use super::exit::{Exit, Failure};
use super::output;

/// Shows the files that are being filled at this moment.
///
/// Files of one chunk (1 MiB) travel many at a time and are not shown one by one; `status` counts
/// them.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Transfers {
    /// Prints JSON, one file a line.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub transfers
  watch zotferry --dir hub transfers";

impl Transfers {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let client = Client::running(dir).await?;
        let files = client.ask(&local::Transfers {}).await?;
        if files.is_empty() && !self.json {
            output::line("nothing larger than 1 MiB is on its way");
        }
        for file in files {
            if self.json {
                output::json(&file);
                continue;
            }
            output::line(format!(
                "{:>11} of {:>11}  {:>2} requests to {} hubs  {}:{}",
                bytes(file.held),
                bytes(file.size),
                file.requests,
                file.origins,
                visible(&file.channel),
                visible(&file.path)
            ));
        }
        Ok(Exit::Done)
    }
}

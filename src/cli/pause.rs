//! `zotferry pause` and `zotferry resume`: a channel's transfers rest, and go on.

use std::path::Path;

use clap::Args;
use zotferry::local::SetPaused;
use zotferry::local::client::Client;
use zotferry::text::visible;

use super::exit::{Exit, Failure};
use super::output;

/// Lets a channel's transfers rest. What has arrived stays, also of half files.
#[derive(Args)]
#[command(after_help = "Example:\n  zotferry --dir hub pause alice")]
pub(crate) struct Pause {
    /// Which channel.
    channel: String,
}

/// Lets a channel's transfers go on.
#[derive(Args)]
#[command(after_help = "Example:\n  zotferry --dir hub resume alice")]
pub(crate) struct Resume {
    /// Which channel.
    channel: String,
}

impl Pause {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        set(dir, self.channel, true).await
    }
}

impl Resume {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        set(dir, self.channel, false).await
    }
}

async fn set(dir: &Path, channel: String, paused: bool) -> Result<Exit, Failure> {
    let client = Client::running(dir).await?;
    let nick = visible(&channel);
    client.ask(&SetPaused { channel, paused }).await?;
    output::line(format!("{nick} {}", if paused { "rests" } else { "goes on" }));
    Ok(Exit::Done)
}

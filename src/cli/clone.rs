//! `zotferry clone`: the hubs on which a channel lives.

use std::path::Path;

use clap::{Args, Subcommand};
use zotferry::local::client::Client;
use zotferry::local::{CloneInfo, LeaveChannel, ListClones, MakePrimary, RemoveClone, Standing};
use zotferry::text::visible;

use super::exit::{Exit, Failure};
use super::output;

/// Lists, removes and arranges the hubs on which a channel lives.
///
/// These work beside a running hub as well as without one; other hubs hear of a change as soon as
/// this one runs and reaches them.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Clone {
    /// Lists the hubs of a channel.
    Ls {
        /// Which channel.
        channel: String,
        /// Prints JSON, one hub a line.
        #[arg(long)]
        json: bool,
    },
    /// Makes this hub, or the named one, the primary: the one that others name first.
    Primary {
        /// Which channel.
        channel: String,
        /// The hub's URL; by default this hub.
        url: Option<String>,
    },
    Remove(Remove),
    /// Lets a clone come back that was removed.
    Allow {
        /// Which channel.
        channel: String,
        /// The clone's URL.
        url: String,
    },
    Leave(Leave),
}

/// Removes a clone: it gets nothing more, and nothing that it says counts.
///
/// The removed hub still holds the channel's private key. If you do not trust it, rotate the key
/// with `zotferry channel rotate --without URL`.
#[derive(Args)]
pub(crate) struct Remove {
    /// Which channel.
    channel: String,
    /// The clone's URL.
    url: String,
}

/// The channel leaves this hub: the other clones hear it, and nothing is fetched or served here.
///
/// Its files stay readable here, and importing its identity again brings it back, unless
/// --remove-files takes them away with the key.
#[derive(Args)]
pub(crate) struct Leave {
    /// Which channel.
    channel: String,
    /// Removes the channel's files, its rows and its private key from this hub.
    #[arg(long)]
    remove_files: bool,
    /// Also when files or changes are here that no other clone has.
    #[arg(long, requires = "remove_files")]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub clone ls alice
  zotferry --dir hub clone primary alice
  zotferry --dir hub clone primary alice https://other.example
  zotferry --dir hub clone remove alice https://other.example
  zotferry --dir hub clone leave alice --remove-files";

impl Clone {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        match self {
            Self::Ls { channel, json } => ls(dir, channel, json).await,
            Self::Primary { channel, url } => primary(dir, channel, url).await,
            Self::Remove(Remove { channel, url }) => remove(dir, channel, url, false).await,
            Self::Allow { channel, url } => remove(dir, channel, url, true).await,
            Self::Leave(leave) => leave.run(dir).await,
        }
    }
}

async fn ls(dir: &Path, channel: String, json: bool) -> Result<Exit, Failure> {
    let client = Client::running_or_resting(dir).await?;
    let clones = client.ask(&ListClones { channel }).await;
    client.close().await?;
    for clone in clones? {
        if json { output::json(&clone) } else { show(&clone) }
    }
    Ok(Exit::Done)
}

fn show(clone: &CloneInfo) {
    let standing = match clone.standing {
        Standing::Clone => "clone",
        Standing::Pending => "has not proved itself yet",
        Standing::Left => "left",
        Standing::Removed => "removed",
        Standing::Foreign => "does not speak this protocol",
    };
    let counts = matches!(clone.standing, Standing::Clone | Standing::Pending);
    let words = [
        Some(standing),
        clone.here.then_some("this hub"),
        clone.primary.then_some("primary"),
        (counts && !clone.newest_key).then_some("has not shown the newest key yet"),
    ];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    output::line(format!("{}  {}", visible(&clone.url), words.join(", ")));
}

async fn primary(dir: &Path, channel: String, url: Option<String>) -> Result<Exit, Failure> {
    let client = Client::running_or_resting(dir).await?;
    let clones = client.ask(&MakePrimary { channel, url }).await;
    client.close().await?;
    clones?.iter().for_each(show);
    Ok(Exit::Done)
}

async fn remove(dir: &Path, channel: String, url: String, allow: bool) -> Result<Exit, Failure> {
    let client = Client::running_or_resting(dir).await?;
    let (nick, at) = (visible(&channel), visible(&url));
    let (nick, at) = (nick.to_string(), at.to_string());
    let clones = client.ask(&RemoveClone { channel, url, allow }).await;
    client.close().await?;
    clones?.iter().for_each(show);
    if !allow {
        output::line(format!(
            "{at} gets nothing more. It still holds the channel's private key: if you do not trust \
             it, rotate the key with `zotferry channel rotate {nick} FILE --without {at}`."
        ));
    }
    Ok(Exit::Done)
}

impl Leave {
    async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let client = Client::running_or_resting(dir).await?;
        let Self { channel, remove_files, force } = self;
        let left = client.ask(&LeaveChannel { channel, remove_files, force }).await;
        client.close().await?;
        let left = left?;
        for url in &left.untold {
            let url = visible(url);
            let text = match remove_files {
                true => "could not be told; remove this hub there, with `zotferry clone remove`",
                false => "could not be told yet; it is told when this hub reaches it",
            };
            eprintln!("zotferry: {url} {text}");
        }
        Ok(if left.untold.is_empty() { Exit::Done } else { Exit::Partly })
    }
}

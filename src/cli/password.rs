//! `zotferry password`: what lets programs reach a channel over WebDAV.

use std::path::Path;

use clap::Subcommand;
use jiff::Timestamp;
use zotferry::local::client::Client;
use zotferry::local::{Ask, ListPasswords, MakePassword, PasswordInfo, RemovePassword};
use zotferry::text::visible;

use super::exit::{Exit, Failure};
use super::output;

/// Makes, lists and removes app passwords: each lets one program reach one channel over WebDAV.
///
/// The user name is the channel's name on this hub, the address <URL of the hub>/dav/<channel>/.
/// These work beside a running hub as well as without one.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Password {
    /// Makes a password and prints it: this once, as only a hash of it is kept.
    New {
        /// For which channel.
        channel: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Lists a channel's passwords by their first part.
    Ls {
        /// Which channel.
        channel: String,
        /// Prints JSON, one password a line.
        #[arg(long)]
        json: bool,
    },
    /// Removes a password. It opens nothing any more.
    Rm {
        /// Of which channel.
        channel: String,
        /// Its first part, up to the first '-'.
        name: String,
    },
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub password new alice --label phone
  zotferry --dir hub password ls alice
  zotferry --dir hub password rm alice kq3xab";

impl Password {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        match self {
            Self::New { channel, label } => {
                let made = ask(dir, &MakePassword { channel, label }).await?;
                output::line(made.password);
            }
            Self::Ls { channel, json } => {
                for password in ask(dir, &ListPasswords { channel }).await? {
                    if json { output::json(&password) } else { show(&password) }
                }
            }
            Self::Rm { channel, name } => {
                // Who pastes the whole password means its name.
                let name = name.split('-').next().unwrap_or_default().to_owned();
                ask(dir, &RemovePassword { channel, name }).await?;
            }
        }
        Ok(Exit::Done)
    }
}

async fn ask<A: Ask>(dir: &Path, question: &A) -> Result<A::Answer, Failure> {
    let client = Client::running_or_resting(dir).await?;
    let answer = client.ask(question).await;
    client.close().await?;
    Ok(answer?)
}

fn show(password: &PasswordInfo) {
    let used = password.used.map_or("never used".to_owned(), |at| format!("used {}", day(at)));
    let label = visible(&password.label);
    let (name, made) = (visible(&password.name), day(password.created));
    output::line(format!("{name}  made {made}, {used}  {label}").trim_end());
}

fn day(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or("?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

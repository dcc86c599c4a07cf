//! `zotferry item`: posts, comments and likes that sit on a channel's files.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use zotferry::local::client::Client;
use zotferry::local::{AddItems, Described, GetItem, ListItems, RemoveItem};
use zotferry::text::visible;

use super::exit::{Exit, Failure};
use super::output;

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub item add alice post.json      enters what hub software wrote
  zotferry --dir hub item ls alice /photos/me.jpg  what sits on that file, with this hub's URLs";

/// Posts, comments and likes that sit on a channel's files.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Item {
    Add(Add),
    Ls(Ls),
    Get(Get),
    Rm(Rm),
}

/// Enters items that hub software hands over.
///
/// FILE holds one item, a list of items, or a whole sync packet of Hubzilla's, as JSON; `-` is standard
/// input. An item is taken if it refers to a file or folder of the channel, or answers an item that does.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zotferry --dir hub item add alice post.json
  hub-export | zotferry --dir hub item add alice -")]
pub(crate) struct Add {
    /// Which channel.
    channel: String,
    /// The items.
    file: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Lists items, with this hub's URLs.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zotferry --dir hub item ls alice
  zotferry --dir hub item ls alice /photos/sunset.jpg --json | jq -r .item.body")]
pub(crate) struct Ls {
    /// Which channel.
    channel: String,
    /// Of which file or folder; without, all.
    #[arg(default_value = "")]
    path: String,
    /// Prints JSON, one item a line, with the whole item.
    #[arg(long)]
    json: bool,
}

/// Prints an item as JSON, with this hub's URLs.
#[derive(Args)]
#[command(
    after_help = "Example:\n  zotferry --dir hub item get alice https://hub.example/item/017e600a-b212-4f12-b8c3-e688fc46051c"
)]
pub(crate) struct Get {
    /// Which channel.
    channel: String,
    /// Its message id.
    mid: String,
}

/// Removes an item, on every clone.
#[derive(Args)]
#[command(
    after_help = "Example:\n  zotferry --dir hub item rm alice https://hub.example/item/017e600a-b212-4f12-b8c3-e688fc46051c"
)]
pub(crate) struct Rm {
    /// Which channel.
    channel: String,
    /// Its message id.
    mid: String,
}

impl Item {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let client = Client::running_or_resting(dir).await?;
        let done = match self {
            Self::Add(add) => add.run(&client).await,
            Self::Ls(ls) => ls.run(&client).await.map(|()| Exit::Done),
            Self::Get(get) => get.run(&client).await.map(|()| Exit::Done),
            Self::Rm(rm) => rm.run(&client).await.map(|()| Exit::Done),
        };
        client.close().await?;
        done
    }
}

impl Add {
    /// Like `put`, it ends with 6 where some were skipped.
    async fn run(self, client: &Client) -> Result<Exit, Failure> {
        let text = read(&self.file)?;
        let questions = AddItems::of(&self.channel, &text).map_err(Failure::failed)?;
        let mut exit = Exit::Done;
        for question in questions {
            let added = client.ask(&question).await?;
            for skipped in &added.skipped {
                exit = Exit::Partly;
                eprintln!("zotferry: {}: {}", visible(&skipped.mid), visible(&skipped.why));
            }
            if self.json {
                output::json(&added);
            } else {
                let (new, changed, same) = (added.added, added.changed, added.unchanged);
                output::line(format!("{new} added, {changed} changed, {same} as before"));
            }
        }
        Ok(exit)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().read_to_string(&mut text).map(drop),
        false => std::fs::read_to_string(path).map(|read| text = read),
    };
    read.map_err(|error| Failure::file(path, &error))?;
    Ok(text)
}

impl Ls {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        let (channel, path) = (self.channel, self.path);
        let mut items = client.lines(&ListItems { channel, path }).await?;
        while let Some(item) = items.next().await? {
            if self.json { output::json(&item) } else { output::line(line(&item)) }
        }
        Ok(())
    }
}

fn line(item: &Described) -> String {
    let whose = if item.own { "own" } else { "other" };
    let path = visible(item.path.as_deref().unwrap_or(""));
    let (created, title) = (visible(item.text("created")), visible(item.text("title")));
    format!("{whose:>5}  {created}  {path}  {}  {title}", visible(&item.mid))
}

impl Get {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        let described = client.ask(&GetItem { channel: self.channel, mid: self.mid }).await?;
        let text = serde_json::to_string_pretty(&described.item).map_err(Failure::failed)?;
        output::line(text);
        Ok(())
    }
}

impl Rm {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        let mid = visible(&self.mid);
        client.ask(&RemoveItem { channel: self.channel, mid: self.mid }).await?;
        output::line(format!("{mid} is removed"));
        Ok(())
    }
}

//! `zotferry channel`: the channels of a hub as identities.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use zotferry::channels::SealKey;
use zotferry::channels::export::{ExportError, essence, is_plain};
use zotferry::local::{
    self,
    client::{Client, ClientError},
};
use zotferry::local::{
    ChannelInfo, ExportChannel, ImportChannel, Imported, ListChannels, MakeChannel, RotateKey,
};
use zotferry::text::visible;

use super::exit::{Exit, Failure};
use super::output;
use super::passphrase::{PassphraseArgs, write_secret};

/// Makes, lists, exports and imports channels, and rotates their keys.
///
/// These work beside a running hub as well as without one.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Channel {
    /// Makes a channel that lives on this hub.
    New {
        /// Its name here: lower-case letters, digits, '-', '_' and '.'.
        nick: String,
    },
    Export(Export),
    Import(Import),
    Rotate(Rotate),
    /// Lists the channels of this hub and where each of them lives.
    List {
        /// Prints JSON, one channel a line.
        #[arg(long)]
        json: bool,
    },
}

/// Writes a channel's identity into a file, encrypted under a passphrase.
///
/// Whoever has the file and the passphrase has the channel.
#[derive(Args)]
pub(crate) struct Export {
    /// Which channel.
    nick: String,
    /// The file, which must not exist.
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Makes this hub a clone of the channel in a file.
///
/// The hub announces itself to the channel's other hubs, and fetches the channel's files. The file
/// comes from `zotferry channel export`, or from Hubzilla (a JSON export). Where the channel lives
/// here already, the file brings it the new key of `zotferry channel rotate`; where it has left this
/// hub, it comes back.
#[derive(Args)]
pub(crate) struct Import {
    /// The file.
    file: PathBuf,
    /// The channel's name here; by default its name there.
    #[arg(long)]
    nick: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Gives a channel another key, and writes its identity with the new key into a file.
///
/// The channel keeps its id. Import the file on each other clone; until then they go on as before.
/// A hub that is put out with --without can do nothing with the old key.
#[derive(Args)]
pub(crate) struct Rotate {
    /// Which channel.
    nick: String,
    /// The file, which must not exist.
    file: PathBuf,
    /// A clone that is put out; may be given several times.
    #[arg(long, value_name = "URL")]
    without: Vec<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

const EXAMPLES: &str = "\
Examples:
  zotferry --dir hub channel new alice
  zotferry --dir hub channel export alice alice.id
  zotferry --dir there channel import alice.id
  zotferry --dir there channel import alice.id --nick alice-2 --passphrase-file secret.txt
  zotferry --dir hub channel rotate alice alice-2.id --without https://lost.example";

impl Channel {
    pub(crate) async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        match self {
            Self::New { nick } => new(dir, nick).await,
            Self::Export(export) => export.run(dir).await,
            Self::Import(import) => import.run(dir).await,
            Self::Rotate(rotate) => rotate.run(dir).await,
            Self::List { json } => list(dir, json).await,
        }
    }
}

async fn new(dir: &Path, nick: String) -> Result<Exit, Failure> {
    let client = Client::running_or_resting(dir).await?;
    let made = client.ask(&MakeChannel { nick }).await;
    client.close().await?;
    show(&made?);
    Ok(Exit::Done)
}

async fn list(dir: &Path, json: bool) -> Result<Exit, Failure> {
    let client = Client::running_or_resting(dir).await?;
    let channels = client.ask(&ListChannels {}).await;
    client.close().await?;
    for channel in channels? {
        if json { output::json(&channel) } else { show(&channel) }
    }
    Ok(Exit::Done)
}

fn show(channel: &ChannelInfo) {
    let paused = if channel.paused { " (paused)" } else { "" };
    output::line(format!("{}{paused}  {}", visible(&channel.nick), channel.id));
    for hub in &channel.hubs {
        output::line(format!("  {}", visible(hub)));
    }
}

impl Export {
    async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        if self.file.exists() {
            let file = output::path(&self.file);
            return Err(Failure::failed(format!("{file} exists already; nothing was written")));
        }
        let client = Client::running_or_resting(dir).await?;
        // Made here: a hub keeps little memory.
        let key = SealKey::new(&self.passphrase.choose()?).map_err(Failure::failed)?;
        let exported = client.ask(&ExportChannel { nick: self.nick, key }).await;
        client.close().await?;
        let file = STANDARD.decode(exported?.file).map_err(Failure::failed)?;
        write_secret(&self.file, &file)?;
        let file = output::path(&self.file);
        output::line(format!("{file} opens with this passphrase only; keep both apart."));
        Ok(Exit::Done)
    }
}

impl Rotate {
    async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let file = output::path(&self.file);
        if self.file.exists() {
            return Err(Failure::failed(format!("{file} exists already; nothing was changed")));
        }
        let client = Client::running_or_resting(dir).await?;
        let key = SealKey::new(&self.passphrase.choose()?).map_err(Failure::failed)?;
        let (channel, without) = (self.nick, self.without);
        let rotated = client.ask(&RotateKey { channel, without, key }).await;
        client.close().await?;
        let bytes = STANDARD.decode(rotated?.file).map_err(Failure::failed)?;
        write_secret(&self.file, &bytes).map_err(|Failure { exit, text }| {
            let next = "the key is rotated; write its identity with `zotferry channel export`";
            Failure::new(exit, format!("{text}; {next}"))
        })?;
        output::line(format!(
            "{file} holds the new key. Import it on each other clone of the channel \
             (`zotferry channel import`); until then they go on with the old one."
        ));
        Ok(Exit::Done)
    }
}

impl Import {
    async fn run(self, dir: &Path) -> Result<Exit, Failure> {
        let file = std::fs::read(&self.file).map_err(|e| Failure::file(&self.file, &e))?;
        let client = Client::running_or_resting(dir).await?;
        let imported = self.ask(&client, &file).await;
        client.close().await?;
        let imported = imported.map_err(|Failure { exit, text }| {
            Failure::new(exit, format!("{}: {text}", output::path(&self.file)))
        })?;
        if let Some(warning) = imported.warning {
            eprintln!("zotferry: {}: {warning}", output::path(&self.file));
        }
        show(&imported.channel);
        Ok(Exit::Done)
    }

    async fn ask(&self, client: &Client, file: &[u8]) -> Result<Imported, Failure> {
        let failed = |error: ExportError| ClientError::from(local::Failure::from(error));
        let (key, file) = match is_plain(file) {
            true => (None, STANDARD.encode(essence(file).map_err(failed)?)),
            false => {
                let key = SealKey::of(file, &self.passphrase.recall()?);
                (Some(key.map_err(|error| failed(error.into()))?), STANDARD.encode(file))
            }
        };
        Ok(client.ask(&ImportChannel { file, key, nick: self.nick.clone() }).await?)
    }
}

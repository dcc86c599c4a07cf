//! The part of `zotferry restore` that goes over the network: whose key, which hub.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use tokio::sync::mpsc;
use uuid::Uuid;
use zotferry::channels::SealKey;
use zotferry::channels::export::{ExportError, Opened, is_plain, open};
use zotferry::hub::Clock;
use zotferry::keys::PrivateKey;
use zotferry::local::client::{Client, ClientError};
use zotferry::local::{self, ExportChannel, ListChannels};
use zotferry::text::visible;
use zotferry_backup::{Backup, RestoreEvent, Restored};
use zotferry_backup_client::{SendError, send};
use zotferry_protocol::identity::BaseUrl;

use super::exit::{Exit, Failure};
use super::passphrase::PassphraseArgs;
use super::verify::broken;

/// Where the channel's key comes from, for a hub elsewhere.
#[derive(Args)]
pub(super) struct KeyArgs {
    /// To a URL: an identity file of the channel, to sign with; by default the identity in the backup.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// To a URL: a hub of this machine that has the channel's key.
    #[arg(long, value_name = "HUB", conflicts_with = "identity")]
    key_from: Option<PathBuf>,
}

/// The URL that a target is; none where it is a folder.
pub(super) fn url(target: &str) -> Result<Option<BaseUrl>, Failure> {
    if !target.starts_with("http://") && !target.starts_with("https://") {
        return Ok(None);
    }
    let parsed = BaseUrl::parse(target).map_err(|e| Failure::new(Exit::Usage, e))?;
    Ok(Some(parsed))
}

/// Brings a backup to a hub at a URL; `told` is what a person sees of it.
pub(super) async fn bring(
    backup: Backup,
    url: &BaseUrl,
    key: PrivateKey,
    mut told: impl FnMut(RestoreEvent),
) -> Result<Restored, Failure> {
    let (give, mut events) = mpsc::channel(64);
    let url = url.clone();
    let clock = Clock::from_env();
    let now = Arc::new(move || clock.now());
    let sending =
        tokio::spawn(async move { send(Arc::new(backup), &url, Arc::new(key), now, give).await });
    while let Some(event) = events.recv().await {
        told(event);
    }
    let sent = sending.await.map_err(Failure::failed)?;
    sent.map_err(|error| {
        let exit = match &error {
            SendError::Away { .. } => Exit::NoHub,
            SendError::Refused { text, .. } if text.contains("unknown-channel") => Exit::NotFound,
            _ => Exit::Failed,
        };
        Failure::new(exit, visible(&error.to_string()))
    })
}

impl KeyArgs {
    /// The private key of the backup's channel.
    pub(super) async fn key(
        &self,
        backup: &Backup,
        passphrase: &PassphraseArgs,
    ) -> Result<PrivateKey, Failure> {
        let opened = match (&self.identity, &self.key_from) {
            (Some(path), _) => {
                let file = std::fs::read(path).map_err(|e| Failure::file(path, &e))?;
                opened(&file, passphrase)?
            }
            (None, Some(hub)) => from_hub(hub, backup).await?,
            (None, None) => {
                let file = backup.identity().map_err(broken)?.ok_or_else(|| {
                    let text = "the channel's key is needed to sign with: --identity FILE or \
                        --key-from HUB; the backup has none in it";
                    Failure::new(Exit::Usage, text)
                })?;
                opened(&file, passphrase)?
            }
        };
        let chain = opened.identity.chain().map_err(Failure::failed)?;
        if *chain.channel() != backup.header().channel.0 {
            return Err(Failure::failed("the identity is of another channel than the backup"));
        }
        Ok(opened.identity.key)
    }
}

fn opened(file: &[u8], passphrase: &PassphraseArgs) -> Result<Opened, Failure> {
    let sealed = |error| ClientError::from(local::Failure::from(ExportError::from(error)));
    let key = match is_plain(file) {
        true => None,
        false => Some(SealKey::of(file, &passphrase.recall()?).map_err(sealed)?),
    };
    open(file, key.as_ref()).map_err(|e| ClientError::from(local::Failure::from(e)).into())
}

/// The identity as the hub exports it, under a passphrase that nobody keeps.
async fn from_hub(hub: &Path, backup: &Backup) -> Result<Opened, Failure> {
    let client = Client::running_or_resting(hub).await?;
    let exported = export(&client, backup).await;
    client.close().await?;
    exported
}

async fn export(client: &Client, backup: &Backup) -> Result<Opened, Failure> {
    let id = backup.header().channel.0.as_str();
    let channels = client.ask(&ListChannels {}).await?;
    let channel = channels.into_iter().find(|channel| channel.id == id).ok_or_else(|| {
        let nick = visible(&backup.header().nick);
        Failure::new(
            Exit::NotFound,
            format!("the channel of the backup, {nick}, is not on that hub"),
        )
    })?;
    let secret = format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
    let key = SealKey::new(&secret).map_err(Failure::failed)?;
    let exported = client.ask(&ExportChannel { nick: channel.nick, key: key.clone() }).await?;
    let file = STANDARD.decode(exported.file).map_err(Failure::failed)?;
    open(&file, Some(&key)).map_err(|e| ClientError::from(local::Failure::from(e)).into())
}

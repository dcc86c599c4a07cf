//! Backups: a channel into one, one into a channel, and bytes to mend one with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use zotferry_backup::{RestoreEvent, Text};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::MAX_CHUNK;

use super::{AskLines, Failure, Local, lines};
use crate::backup::{
    ExportEvent, ExportOptions, RestoreOptions, export as save, restore as bring_back,
};
use crate::channels::SealKey;
use crate::storage::read_exact_at;
use crate::text::visible;

/// Writes a channel's backup. The hub writes it itself.
#[derive(Serialize, Deserialize)]
pub struct ExportBackup {
    /// Which channel.
    pub channel: String,
    /// The folder, as an absolute path.
    pub target: PathBuf,
    /// Real copies, also where links would do.
    pub copy: bool,
    /// Whether what earlier runs left goes.
    pub prune: bool,
    /// The channel's identity goes in, sealed under this.
    pub identity: Option<SealKey>,
}

/// Brings a backup back into a channel. The hub reads it itself.
#[derive(Serialize, Deserialize)]
pub struct RestoreBackup {
    /// The backup's folder, as an absolute path.
    pub backup: PathBuf,
    /// What opens the identity in it, where the channel is not here yet.
    pub identity: Option<SealKey>,
    /// The channel's name here, where it is not here yet.
    pub nick: Option<String>,
    /// Real copies, also where links would do.
    pub copy: bool,
    /// Nothing is changed.
    pub dry_run: bool,
}

/// Asks for bytes of a content, at most a chunk of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Piece {
    /// Which content.
    pub root: Text<Digest>,
    /// From which byte on.
    pub offset: u64,
    /// How many.
    pub len: u64,
}

impl AskLines for ExportBackup {
    const PATH: &'static str = "/backup/export";
    type Event = ExportEvent;
}

impl AskLines for RestoreBackup {
    const PATH: &'static str = "/backup/restore";
    type Event = RestoreEvent;
}

impl Piece {
    /// Where it is posted. What comes back is the bytes.
    pub const PATH: &'static str = "/backup/piece";
}

pub(super) async fn export(
    State(local): State<Arc<Local>>,
    Json(ask): Json<ExportBackup>,
) -> Result<Response, Failure> {
    let channel = local.channel(&ask.channel).await?;
    absolute(&ask.target)?;
    let hub = Arc::clone(&local.hub);
    let ExportBackup { target, copy, prune, identity, .. } = ask;
    let options = ExportOptions { target, copy, prune, identity };
    Ok(lines::answer(async move |events| {
        save(&hub, &channel, options, events).await?;
        Ok(())
    }))
}

pub(super) async fn restore(
    State(local): State<Arc<Local>>,
    Json(ask): Json<RestoreBackup>,
) -> Result<Response, Failure> {
    absolute(&ask.backup)?;
    let hub = Arc::clone(&local.hub);
    let RestoreBackup { backup, identity, nick, copy, dry_run } = ask;
    let options = RestoreOptions { backup, identity, nick, copy, dry_run };
    Ok(lines::answer(async move |events| {
        bring_back(&hub, options, events).await?;
        Ok(())
    }))
}

pub(super) async fn piece(
    State(local): State<Arc<Local>>,
    Json(ask): Json<Piece>,
) -> Result<Response, Failure> {
    let storage = Arc::clone(&local.hub.storage);
    let Piece { root, offset, len } = ask;
    let absent = || Failure::not_found(format!("no bytes {} to {} of {}", offset, len, root.0));
    if len > u64::from(MAX_CHUNK) {
        return Err(absent());
    }
    let reading = move || -> Result<Option<Vec<u8>>, Failure> {
        let Some(content) = storage.open(&root.0)? else { return Ok(None) };
        let mut bytes = vec![0; len as usize];
        // Bytes that are not there, or that the disk does not give back, are no bytes.
        Ok(read_exact_at(&*content, offset, &mut bytes).is_ok().then_some(bytes))
    };
    let bytes = tokio::task::spawn_blocking(reading).await??;
    bytes.map(IntoResponse::into_response).ok_or_else(absent)
}

fn absolute(path: &Path) -> Result<(), Failure> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{} is not an absolute path",
        visible(&path.display().to_string())
    )))
}

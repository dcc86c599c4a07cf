//! The bytes of one file.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::list::{Entry, EntryState};
use super::{Failure, Local, list, names};
use crate::catalog::{Attach, Channel};
use crate::storage::{Content, StorageError};
use crate::text::{bytes as amount, visible};

/// Bytes read at once.
const PIECE: usize = 512 << 10;
/// Pieces that wait for the one who asked.
const WAITING: usize = 4;
/// Header: modification time of the file that it was made from, in Unix ms.
pub(super) const MTIME: &str = "x-mtime";
/// Header: present where that file was executable.
pub(super) const EXECUTABLE: &str = "x-executable";

/// Reads a file of a channel.
#[derive(Debug, Serialize, Deserialize)]
pub struct Get {
    /// Which channel.
    pub channel: String,
    /// Its path there.
    pub path: String,
}

impl Get {
    /// Where it is posted. What comes back is the file's bytes.
    pub const PATH: &'static str = "/get";
}

pub(super) async fn get(
    State(local): State<Arc<Local>>,
    Json(ask): Json<Get>,
) -> Result<Response, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let shown = visible(&ask.path);
    let found = local.hub.catalog.by_path(channel.id, &names(&ask.path)).await?;
    let entry = found.ok_or_else(|| {
        Failure::not_found(format!("{shown}: no such file in {}", visible(&channel.nick)))
    })?;
    if entry.is_dir {
        return Err(Failure::failed(format!("{shown} is a folder; `zotferry ls` lists it")));
    }
    let Some(content) = content(&local, &channel, &entry).await? else {
        return Err(not_here(&local, &channel, entry, &shown).await?);
    };
    let mut response = ([(header::CONTENT_LENGTH, content.size())], body(content)).into_response();
    if let Some(mtime) = entry.mtime {
        response.headers_mut().insert(MTIME, mtime.0.into());
    }
    if entry.executable == Some(true) {
        response.headers_mut().insert(EXECUTABLE, 1.into());
    }
    Ok(response)
}

async fn content(
    local: &Local,
    channel: &Channel,
    entry: &Attach,
) -> Result<Option<Box<dyn Content>>, Failure> {
    let Some(root) = entry.root else { return Ok(None) };
    Ok(local.hub.stored(channel.id, root).await?)
}

/// Says how far a file is that has not arrived.
async fn not_here(
    local: &Local,
    channel: &Channel,
    entry: Attach,
    shown: &str,
) -> Result<Failure, Failure> {
    let entries = list::described(local, channel, "", vec![entry]).await?;
    Ok(Failure::not_found(match entries.first() {
        Some(Entry { state: EntryState::Failed, reason, .. }) => format!(
            "{shown} could not be fetched ({}); `zotferry retry` tries again",
            reason.as_deref().unwrap_or("no reason is known")
        ),
        Some(entry) => format!(
            "{shown} is not here yet: {} of {}; `zotferry transfers` shows what is on its way",
            amount(entry.held),
            amount(entry.size)
        ),
        None => format!("{shown} is not here"),
    }))
}

/// Reads ahead of the one who asked, by a few pieces.
fn body(content: Box<dyn Content>) -> Body {
    let (send, pieces) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || read(&*content, &send));
    let stream = stream::unfold(pieces, async |mut pieces: mpsc::Receiver<_>| {
        pieces.recv().await.map(|piece| (piece, pieces))
    });
    Body::from_stream(Box::pin(stream))
}

fn read(content: &dyn Content, send: &mpsc::Sender<Result<Bytes, StorageError>>) {
    let mut offset = 0;
    while offset < content.size() {
        let left = usize::try_from(content.size() - offset).unwrap_or(PIECE);
        let mut piece = vec![0; left.min(PIECE)];
        let read = crate::storage::read_exact_at(content, offset, &mut piece);
        offset += piece.len() as u64;
        let failed = read.is_err();
        if send.blocking_send(read.map(|()| piece.into())).is_err() || failed {
            return;
        }
    }
}

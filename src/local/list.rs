//! What lies in a folder, and how much of it is here.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use zotferry_protocol::ids::{ResourceId, Role};

use super::{AskLines, Failure, Local, lines, names};
use crate::catalog::{Attach, Channel, DataState, Listed};
use crate::text::visible;

/// Entries read at once.
const PAGE: u32 = 500;

/// Lists a folder, or names one file.
#[derive(Debug, Serialize, Deserialize)]
pub struct List {
    /// Which channel.
    pub channel: String,
    /// Which folder; empty or `/` for the top.
    pub path: String,
    /// Whether to list the folders below it, too.
    pub recursive: bool,
}

/// A file or folder of a channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// From the top, with a `/` before each name.
    pub path: String,
    /// Its hash: its id on every clone, by which items refer to it.
    pub hash: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// Bytes.
    pub size: u64,
    /// Bytes that are here.
    pub held: u64,
    /// What its bytes are to this hub.
    pub state: EntryState,
    /// Why it failed.
    pub reason: Option<String>,
    /// Mime type.
    pub mime: String,
    /// When it was last changed: `YYYY-MM-DD HH:MM:SS`, UTC.
    pub edited: String,
    /// How often it was changed.
    pub revision: u64,
}

/// What an entry's bytes are to this hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryState {
    /// All are here. A folder always is.
    Present,
    /// They are fetched, or wait for it.
    Wanted,
    /// Given up.
    Failed,
}

impl AskLines for List {
    const PATH: &'static str = "/list";
    type Event = Entry;
}

pub(super) async fn list(
    State(local): State<Arc<Local>>,
    Json(ask): Json<List>,
) -> Result<Response, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let names = names(&ask.path);
    let top = match names.as_slice() {
        [] => None,
        names => Some(local.hub.catalog.by_path(channel.id, names).await?.ok_or_else(|| {
            let (path, nick) = (visible(&ask.path), visible(&channel.nick));
            Failure::not_found(format!("{path}: no such file or folder in {nick}"))
        })?),
    };
    let above = |upto: usize| names[..upto].iter().map(|n| format!("/{n}")).collect::<String>();
    let (parent, path) = (above(names.len().saturating_sub(1)), above(names.len()));
    Ok(lines::answer(async move |events| match top {
        Some(file) if !file.is_dir => {
            send(&events, described(&local, &channel, &parent, vec![file]).await?).await;
            Ok(())
        }
        top => folder(&local, &channel, (top.map(|t| t.hash), path), ask.recursive, &events).await,
    }))
}

/// Depth first: what is still to be listed is one path down and its neighbours.
async fn folder(
    local: &Local,
    channel: &Channel,
    top: (Option<ResourceId>, String),
    recursive: bool,
    events: &mpsc::Sender<Entry>,
) -> Result<(), Failure> {
    let mut waiting = vec![top];
    while let Some((hash, path)) = waiting.pop() {
        let mut below = Vec::new();
        let mut after: Option<(String, ResourceId)> = None;
        loop {
            let from = after.as_ref().map(|(name, hash)| (name.as_str(), hash));
            let page = local.hub.catalog.listing(channel.id, hash.as_ref(), from, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.filename.clone(), last.hash.clone()));
            let folders = page.iter().filter(|entry| recursive && entry.is_dir);
            below.extend(folders.map(|a| (Some(a.hash.clone()), format!("{path}/{}", a.shown))));
            let underway = underway(local);
            let told = page.into_iter().map(|listed| entry(listed, &path, &underway)).collect();
            if !send(events, told).await {
                return Ok(());
            }
        }
        waiting.extend(below.into_iter().rev());
    }
    Ok(())
}

async fn send(events: &mpsc::Sender<Entry>, entries: Vec<Entry>) -> bool {
    for entry in entries {
        if events.send(entry).await.is_err() {
            return false;
        }
    }
    true
}

/// Entries as they are told: with what is here of each.
pub(super) async fn described(
    local: &Local,
    channel: &Channel,
    parent: &str,
    rows: Vec<Attach>,
) -> Result<Vec<Entry>, Failure> {
    let mut contents = local.hub.catalog.contents_of(channel.id, &rows).await?;
    let shown = local.hub.catalog.shown_names(channel.id, &rows).await?;
    let underway = underway(local);
    let told = rows.into_iter().zip(shown).map(|(row, name)| {
        let contents = contents.remove(&row.hash).unwrap_or_default();
        let content = contents.into_iter().find(|data| data.role == Role::File);
        entry(Listed::of(row, name, content), parent, &underway)
    });
    Ok(told.collect())
}

/// Bytes held of each content in hand.
fn underway(local: &Local) -> HashMap<i64, u64> {
    let files = local.receiver.iter().flat_map(|receiver| receiver.progress());
    files.map(|file| (file.wanted, file.held)).collect()
}

fn entry(listed: Listed, parent: &str, underway: &HashMap<i64, u64>) -> Entry {
    let (state, held) = match listed.content {
        _ if listed.is_dir => (EntryState::Present, 0),
        Some((_, DataState::Present)) => (EntryState::Present, listed.filesize),
        Some((_, DataState::Failed)) => (EntryState::Failed, 0),
        content => {
            let held = content.and_then(|(id, _)| underway.get(&id).copied());
            (EntryState::Wanted, held.unwrap_or(0))
        }
    };
    Entry {
        path: format!("{parent}/{}", listed.shown),
        hash: listed.hash.to_string(),
        folder: listed.is_dir,
        size: listed.filesize,
        held,
        state,
        reason: listed.error,
        mime: listed.filetype,
        edited: listed.edited,
        revision: listed.revision,
    }
}

//! Making, moving, copying and removing entries.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use zotferry_protocol::packets::is_name;

use super::{Ask, Failure, Local, names};
use crate::catalog::{Attach, Channel, EditError};
use crate::files;
use crate::text::visible;

/// Makes a folder.
#[derive(Debug, Serialize, Deserialize)]
pub struct MakeFolder {
    /// Which channel.
    pub channel: String,
    /// Its path there.
    pub path: String,
    /// Makes the folders above it, too, and takes one that is there for made.
    pub parents: bool,
}

/// Moves, renames or copies a file or folder.
#[derive(Debug, Serialize, Deserialize)]
pub struct MoveEntry {
    /// Which channel.
    pub channel: String,
    /// Where it is.
    pub from: String,
    /// Where it is to be: its new path, or a folder to put it into.
    pub to: String,
    /// Whether it stays where it is as well.
    pub copy: bool,
    /// Whether a folder may be copied, with all in it.
    pub recursive: bool,
    /// Whether a file that is in the way goes.
    pub replace: bool,
}

/// Removes a file or folder, on every clone.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveEntry {
    /// Which channel.
    pub channel: String,
    /// Its path there.
    pub path: String,
    /// Whether a folder may be removed, with all in it.
    pub recursive: bool,
}

/// What an edit did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Edited {
    /// Where the entry is now, or was until it was removed.
    pub path: String,
    /// Where it was, or what it was copied from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether something was there that is gone now.
    #[serde(default)]
    pub replaced: bool,
    /// How many entries went; 0 when none did.
    #[serde(default)]
    pub removed: u64,
}

impl Ask for MakeFolder {
    const PATH: &'static str = "/mkdir";
    type Answer = Edited;
}

impl Ask for MoveEntry {
    const PATH: &'static str = "/move";
    type Answer = Edited;
}

impl Ask for RemoveEntry {
    const PATH: &'static str = "/remove";
    type Answer = Edited;
}

pub(super) async fn make_folder(
    State(local): State<Arc<Local>>,
    Json(ask): Json<MakeFolder>,
) -> Result<Json<Edited>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let path = checked(&ask.path)?;
    let made = match ask.parents {
        true => files::make_dirs(&local.hub, &channel, &path).await,
        false => files::mkdir(&local.hub, &channel, &path).await.map(drop),
    };
    made.map_err(|error| about(&ask.path, &error))?;
    Ok(Json(Edited { path: shown(&path), from: None, replaced: false, removed: 0 }))
}

pub(super) async fn move_entry(
    State(local): State<Arc<Local>>,
    Json(ask): Json<MoveEntry>,
) -> Result<Json<Edited>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let (from, mut to) = (checked(&ask.from)?, checked(&ask.to)?);
    let entry = found(&local, &channel, &ask.from).await?;
    if ask.copy && entry.is_dir && !ask.recursive {
        let text = format!("{} is a folder; -r copies it with all in it", visible(&ask.from));
        return Err(Failure::failed(text));
    }
    let there = at(&local, &channel, &to).await?;
    let into = to.is_empty() || there.as_ref().is_some_and(|there| there.is_dir);
    if into {
        to.extend(from.last().cloned());
    } else if ask.to.ends_with('/') {
        return Err(Failure::not_found(format!("{}: no such folder", visible(&ask.to))));
    }
    let (hub, replace) = (&local.hub, ask.replace);
    // What is in the way of a file may go; a folder is never replaced by the way.
    if let Some(there) =
        at(&local, &channel, &to).await?.filter(|t| t.is_dir && t.hash != entry.hash)
    {
        let text = format!("{} is a folder that is there already", visible(&there.filename));
        return Err(Failure::failed(text));
    }
    let done = match ask.copy {
        true => files::copy(hub, &channel, &from, &to, replace).await,
        false => files::rename(hub, &channel, &from, &to, replace).await,
    };
    let done = done.map_err(|error| match error {
        EditError::Exists => Failure::failed(format!(
            "{}: something of that name is there already; --force replaces a file",
            visible(&shown(&to))
        )),
        error => about(&ask.to, &error),
    })?;
    let (path, from) = (shown(&to), Some(shown(&from)));
    Ok(Json(Edited { path, from, replaced: done.replaced, removed: 0 }))
}

pub(super) async fn remove_entry(
    State(local): State<Arc<Local>>,
    Json(ask): Json<RemoveEntry>,
) -> Result<Json<Edited>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let path = checked(&ask.path)?;
    if found(&local, &channel, &ask.path).await?.is_dir && !ask.recursive {
        let text = format!("{} is a folder; -r removes it with all in it", visible(&ask.path));
        return Err(Failure::failed(text));
    }
    let removed = files::remove(&local.hub, &channel, &path).await;
    let removed = removed.map_err(|error| about(&ask.path, &error))?;
    Ok(Json(Edited { path: shown(&path), from: None, replaced: false, removed }))
}

/// The names in a path, each of which an entry may have.
pub(super) fn checked(path: &str) -> Result<Vec<String>, Failure> {
    let names: Vec<String> = names(path).into_iter().map(str::to_owned).collect();
    match names.iter().find(|name| !is_name(name)) {
        Some(bad) => Err(Failure::failed(format!("nothing may be called {:?}", visible(bad)))),
        None => Ok(names),
    }
}

/// The entry at a path.
pub(super) async fn found(local: &Local, channel: &Channel, path: &str) -> Result<Attach, Failure> {
    let names = checked(path)?;
    if names.is_empty() {
        return Err(about(path, &EditError::Top));
    }
    let found = at(local, channel, &names).await?;
    found.ok_or_else(|| about(path, &EditError::NotFound))
}

async fn at(local: &Local, channel: &Channel, names: &[String]) -> Result<Option<Attach>, Failure> {
    if names.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(local.hub.catalog.by_path(channel.id, &names).await?)
}

/// Why an edit of a path was not made.
pub(super) fn about(path: &str, error: &EditError) -> Failure {
    let text = format!("{}: {error}", visible(path));
    match error {
        EditError::NotFound | EditError::NoParent => Failure::not_found(text),
        _ => Failure::failed(text),
    }
}

fn shown(path: &[String]) -> String {
    format!("/{}", path.join("/"))
}

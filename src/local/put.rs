//! Files of this machine, put into a channel or adopted by it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use zotferry_protocol::packets::is_name;

use super::{AskLines, Failure, Local, lines, names};
use crate::files::{self, Adopting, PutEvent};
use crate::text::visible;

/// Puts files and folders into a channel. The hub reads them itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Put {
    /// Which channel.
    pub channel: String,
    /// What, as absolute paths.
    pub paths: Vec<PathBuf>,
    /// The folder to put it into; made if it is not there. Empty or `/` for the top.
    pub to: String,
}

impl AskLines for Put {
    const PATH: &'static str = "/put";
    type Event = PutEvent;
}

pub(super) async fn put(
    State(local): State<Arc<Local>>,
    Json(ask): Json<Put>,
) -> Result<Response, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let into = folders(&ask.to)?;
    ask.paths.iter().try_for_each(|path| readable(path))?;
    let hub = Arc::clone(&local.hub);
    Ok(lines::answer(async move |events| {
        Ok(files::put(&hub, &channel, ask.paths, &into, &events).await?)
    }))
}

/// Makes entries of files that were on the disk before. The hub reads them itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Adopt {
    /// Which channel.
    pub channel: String,
    /// What, as an absolute path.
    pub path: PathBuf,
    /// The folder that it is to lie in; made if it is not there. Empty or `/` for the top.
    pub to: String,
    /// How.
    pub how: Adopting,
}

impl AskLines for Adopt {
    const PATH: &'static str = "/adopt";
    type Event = PutEvent;
}

pub(super) async fn adopt(
    State(local): State<Arc<Local>>,
    Json(ask): Json<Adopt>,
) -> Result<Response, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let into = folders(&ask.to)?;
    readable(&ask.path)?;
    let hub = Arc::clone(&local.hub);
    Ok(lines::answer(async move |events| {
        Ok(files::adopt(&hub, &channel, ask.path, &into, ask.how, &events).await?)
    }))
}

/// The names in a path of folders that are to be, if need be, made.
fn folders(path: &str) -> Result<Vec<String>, Failure> {
    let into: Vec<String> = names(path).into_iter().map(str::to_owned).collect();
    match into.iter().find(|name| !is_name(name)) {
        Some(bad) => Err(Failure::failed(format!("no folder may be called {:?}", visible(bad)))),
        None => Ok(into),
    }
}

/// What is named must be there; what is wrong below it is reported file by file.
pub(super) fn readable(path: &Path) -> Result<(), Failure> {
    let shown = || visible(&path.display().to_string());
    if !path.is_absolute() {
        return Err(Failure::failed(format!("{} is not an absolute path", shown())));
    }
    let looked = std::fs::symlink_metadata(path).and_then(|about| match about.is_dir() {
        true => std::fs::read_dir(path).map(drop),
        false if about.is_file() => std::fs::File::open(path).map(drop),
        false => Ok(()),
    });
    looked.map_err(|error| {
        let user = rustix::process::geteuid().as_raw();
        let message =
            format!("the hub, which runs as user {user}, cannot read {}: {error}", shown());
        match error.kind() {
            std::io::ErrorKind::NotFound => Failure::not_found(message),
            _ => Failure::failed(message),
        }
    })
}

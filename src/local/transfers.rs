//! What is on its way at this moment.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::{Ask, Failure, Local};
use crate::receiver::FileProgress;

/// Asks for the files that are being filled.
#[derive(Debug, Serialize, Deserialize)]
pub struct Transfers {}

/// A file that is being filled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Underway {
    /// Whose.
    pub channel: String,
    /// Its path there; its id where it has no place at the moment.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Bytes that are here for good.
    pub held: u64,
    /// Requests in flight.
    pub requests: u32,
    /// Hubs that they are addressed to.
    pub origins: u32,
    /// People who read it while it comes.
    pub readers: u32,
}

impl Ask for Transfers {
    const PATH: &'static str = "/transfers";
    type Answer = Vec<Underway>;
}

pub(super) async fn transfers(
    State(local): State<Arc<Local>>,
    Json(_): Json<Transfers>,
) -> Result<Json<Vec<Underway>>, Failure> {
    let channels = local.hub.catalog.channels().await?;
    let nicks: HashMap<i64, String> = channels.into_iter().map(|c| (c.id, c.nick)).collect();
    let mut all = Vec::new();
    for file in local.receiver.iter().flat_map(|r| r.progress()) {
        let Some(nick) = nicks.get(&file.channel) else { continue };
        all.push(underway(&local, nick, file).await?);
    }
    Ok(Json(all))
}

async fn underway(local: &Local, nick: &str, file: FileProgress) -> Result<Underway, Failure> {
    let path = local.hub.catalog.path_of(file.channel, &file.hash).await?;
    Ok(Underway {
        channel: nick.to_owned(),
        path: path.map_or_else(|| file.hash.to_string(), |names| format!("/{}", names.join("/"))),
        size: file.size,
        held: file.held,
        requests: file.requests,
        origins: file.origins,
        readers: file.readers,
    })
}

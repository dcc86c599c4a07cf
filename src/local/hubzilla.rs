//! The files of a Hubzilla channel, adopted out of its database and its store.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use zotferry_protocol::identity::BaseUrl;

use super::{AskLines, Failure, Local, lines};
use crate::hubzilla::{self, Address, Adopting, HubzillaEvent};

/// Adopts a channel's files out of Hubzilla. The hub reads them itself.
#[derive(Serialize, Deserialize)]
pub struct AdoptHubzilla {
    /// Which channel.
    pub channel: String,
    /// The URL of the database.
    pub database: String,
    /// Its password, where it is not in the URL.
    pub password: Option<String>,
    /// Hubzilla's folder `store`, as an absolute path.
    pub store: PathBuf,
    /// The URL at which Hubzilla runs, where the database does not say it.
    pub url: Option<String>,
    /// Reads also files that the channel has already.
    pub checksum: bool,
}

impl AskLines for AdoptHubzilla {
    const PATH: &'static str = "/adopt/hubzilla";
    type Event = HubzillaEvent;
}

pub(super) async fn adopt(
    State(local): State<Arc<Local>>,
    Json(ask): Json<AdoptHubzilla>,
) -> Result<Response, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let database =
        Address::parse(&ask.database, ask.password.as_deref()).map_err(Failure::failed)?;
    let url = ask.url.as_deref().map(BaseUrl::parse).transpose().map_err(Failure::failed)?;
    let what = Adopting { database, store: ask.store, url, checksum: ask.checksum };
    let hub = Arc::clone(&local.hub);
    Ok(lines::answer(async move |events| Ok(hubzilla::adopt(&hub, &channel, what, &events).await?)))
}

//! The hubs of a channel: listed, removed, let in, made primary, left; and the channel's key.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zotferry_protocol::codec;
use zotferry_protocol::identity::{KeyChain, SignedLocation};

use super::{Ask, Exported, Failure, Local};
use crate::catalog::{Channel, Location, LocationState, SiteNo, primary};
use crate::channels::{self, SealKey, clones, export};

/// Names the hubs of a channel.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListClones {
    /// Which channel.
    pub channel: String,
}

/// A hub of a channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloneInfo {
    /// Its base URL.
    pub url: String,
    /// Its id.
    pub site_id: String,
    /// Whether it is this hub.
    pub here: bool,
    /// Whether it is the one that others name first.
    pub primary: bool,
    /// How it stands to the channel.
    pub standing: Standing,
    /// Whether its own statement is signed by the channel's newest key.
    pub newest_key: bool,
}

/// How a hub stands to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is a clone.
    Clone,
    /// It has not proved itself yet.
    Pending,
    /// The channel has left it, or it was not kept when the key was rotated.
    Left,
    /// Another clone removed it.
    Removed,
    /// It does not speak this protocol.
    Foreign,
}

/// Removes a clone, or (`allow`) lets it come back.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveClone {
    /// Of which channel.
    pub channel: String,
    /// Its base URL.
    pub url: String,
    /// Whether it may come back.
    pub allow: bool,
}

/// Makes a hub the primary location.
#[derive(Debug, Serialize, Deserialize)]
pub struct MakePrimary {
    /// Of which channel.
    pub channel: String,
    /// Its base URL; `None`: this hub.
    pub url: Option<String>,
}

/// The channel leaves this hub.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeaveChannel {
    /// Which channel.
    pub channel: String,
    /// Whether its files and its key go from here as well.
    pub remove_files: bool,
    /// Also when something is here and nowhere else.
    pub force: bool,
}

/// What became of leaving.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Left {
    /// Hubs that could not be told.
    pub untold: Vec<String>,
}

/// Gives a channel another key.
#[derive(Serialize, Deserialize)]
pub struct RotateKey {
    /// Which channel.
    pub channel: String,
    /// Clones that are put out with it.
    pub without: Vec<String>,
    /// What the identity file with the new key is sealed under.
    pub key: SealKey,
}

impl Ask for ListClones {
    const PATH: &'static str = "/clone/list";
    type Answer = Vec<CloneInfo>;
}

impl Ask for RemoveClone {
    const PATH: &'static str = "/clone/remove";
    type Answer = Vec<CloneInfo>;
}

impl Ask for MakePrimary {
    const PATH: &'static str = "/clone/primary";
    type Answer = Vec<CloneInfo>;
}

impl Ask for LeaveChannel {
    const PATH: &'static str = "/clone/leave";
    type Answer = Left;
}

impl Ask for RotateKey {
    const PATH: &'static str = "/channel/rotate";
    type Answer = Exported;
}

pub(super) async fn list(
    State(local): State<Arc<Local>>,
    Json(ask): Json<ListClones>,
) -> Result<Json<Vec<CloneInfo>>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    Ok(Json(infos(&local, &channel).await?))
}

pub(super) async fn remove(
    State(local): State<Arc<Local>>,
    Json(ask): Json<RemoveClone>,
) -> Result<Json<Vec<CloneInfo>>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let place = clones::at(&local.hub, &channel, &ask.url).await?;
    match ask.allow {
        true => clones::allow(&local.hub, &channel, &place).await?,
        false => clones::remove(&local.hub, &channel, &place).await?,
    }
    Ok(Json(infos(&local, &channel).await?))
}

pub(super) async fn make_primary(
    State(local): State<Arc<Local>>,
    Json(ask): Json<MakePrimary>,
) -> Result<Json<Vec<CloneInfo>>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let place = match &ask.url {
        Some(url) => Some(clones::at(&local.hub, &channel, url).await?),
        None => None,
    };
    clones::make_primary(&local.hub, &channel, place.as_ref()).await?;
    Ok(Json(infos(&local, &channel).await?))
}

pub(super) async fn leave(
    State(local): State<Arc<Local>>,
    Json(ask): Json<LeaveChannel>,
) -> Result<Json<Left>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    if ask.remove_files && !ask.force {
        let only = clones::only_here(&local.hub, &channel).await?;
        if only != clones::OnlyHere::default() {
            return Err(Failure::failed(format!(
                "{} files and {} changes are known to be on this hub only; wait until another \
                 clone has them, or say --force to lose them",
                only.contents, only.operations
            )));
        }
    }
    let untold = clones::leave(&local.hub, &channel).await?;
    if let Some(receiver) = &local.receiver {
        receiver.drop_channel(channel.id);
    }
    if ask.remove_files {
        channels::forget(&local.hub, &channel).await?;
    }
    Ok(Json(Left { untold }))
}

pub(super) async fn rotate(
    State(local): State<Arc<Local>>,
    Json(ask): Json<RotateKey>,
) -> Result<Json<Exported>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let mut without = Vec::new();
    for url in &ask.without {
        without.push(clones::at(&local.hub, &channel, url).await?);
    }
    let channel = channels::rotate(&local.hub, &channel, &without).await?;
    let file = export::export(&local.hub, &channel, &ask.key).await?;
    Ok(Json(Exported { file: STANDARD.encode(file) }))
}

/// The primary location first, then those that count.
async fn infos(local: &Local, channel: &Channel) -> Result<Vec<CloneInfo>, Failure> {
    let hub = &local.hub;
    let channel = hub.catalog.channel(channel.id).await?;
    let chain = hub.chain(&channel).await?;
    let places = hub.catalog.locations(channel.id).await?;
    let first = primary(&places).map(|place| place.site);
    let mut infos: Vec<CloneInfo> =
        places.iter().map(|place| info(hub.site, first, &chain, place)).collect();
    infos.sort_by_key(|info| (!info.primary, info.standing != Standing::Clone));
    let mut seen = HashMap::new();
    // A hub that was made anew at its old address stands once, by the place that counts.
    infos.retain(|info| {
        let gone = matches!(info.standing, Standing::Left | Standing::Removed);
        seen.insert(info.url.clone(), ()).is_none() || !gone
    });
    Ok(infos)
}

fn info(here: SiteNo, first: Option<SiteNo>, chain: &KeyChain, place: &Location) -> CloneInfo {
    let record = codec::decode_owned::<SignedLocation>(&place.record);
    CloneInfo {
        url: place.url.clone(),
        site_id: place.site_id.to_string(),
        here: place.site == here,
        primary: first == Some(place.site),
        standing: match place {
            place if place.foreign => Standing::Foreign,
            place if place.removed => Standing::Removed,
            place if place.deleted => Standing::Left,
            place if place.state == LocationState::Listed => Standing::Clone,
            _ => Standing::Pending,
        },
        newest_key: record.is_ok_and(|record| chain.is_of_newest(&record)),
    }
}

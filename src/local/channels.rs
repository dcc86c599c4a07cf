//! Channels: made, listed, carried away, brought.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Ask, Failure, Local};
use crate::catalog::Channel;
use crate::channels::{self, SealKey, export};

/// Makes a channel that lives on this hub alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct MakeChannel {
    /// Its name here.
    pub nick: String,
}

/// Names every channel.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListChannels {}

/// Writes a channel's identity into a file.
#[derive(Serialize, Deserialize)]
pub struct ExportChannel {
    /// Which channel.
    pub nick: String,
    /// What the file is sealed under.
    pub key: SealKey,
}

/// Makes this hub a clone of the channel in a file.
#[derive(Serialize, Deserialize)]
pub struct ImportChannel {
    /// The file, in base64.
    pub file: String,
    /// What opens it; `None` when its key lies open.
    pub key: Option<SealKey>,
    /// Its name here; `None`: the one in the file.
    pub nick: Option<String>,
}

/// A channel of a hub.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// Its name here.
    pub nick: String,
    /// Its id everywhere.
    pub id: String,
    /// The random half of the id (ID-1).
    pub guid: String,
    /// Hubs where it lives, this one among them.
    pub hubs: Vec<String>,
    /// Whether its transfers rest.
    pub paused: bool,
}

/// An identity file.
#[derive(Serialize, Deserialize)]
pub struct Exported {
    /// Its bytes, in base64.
    pub file: String,
}

/// A channel that was brought.
#[derive(Debug, Serialize, Deserialize)]
pub struct Imported {
    /// The channel.
    pub channel: ChannelInfo,
    /// Something its owner should do now.
    pub warning: Option<String>,
}

impl Ask for MakeChannel {
    const PATH: &'static str = "/channel/new";
    type Answer = ChannelInfo;
}

impl Ask for ListChannels {
    const PATH: &'static str = "/channel/list";
    type Answer = Vec<ChannelInfo>;
}

impl Ask for ExportChannel {
    const PATH: &'static str = "/channel/export";
    type Answer = Exported;
}

impl Ask for ImportChannel {
    const PATH: &'static str = "/channel/import";
    type Answer = Imported;
}

pub(super) async fn make(
    State(local): State<Arc<Local>>,
    Json(ask): Json<MakeChannel>,
) -> Result<Json<ChannelInfo>, Failure> {
    let channel = channels::create(&local.hub, &ask.nick).await?;
    Ok(Json(info(&local, &channel).await?))
}

pub(super) async fn list(
    State(local): State<Arc<Local>>,
    Json(_): Json<ListChannels>,
) -> Result<Json<Vec<ChannelInfo>>, Failure> {
    let mut all = Vec::new();
    for channel in local.hub.catalog.channels().await? {
        all.push(info(&local, &channel).await?);
    }
    Ok(Json(all))
}

pub(super) async fn export(
    State(local): State<Arc<Local>>,
    Json(ask): Json<ExportChannel>,
) -> Result<Json<Exported>, Failure> {
    let channel = local.channel(&ask.nick).await?;
    let file = export::export(&local.hub, &channel, &ask.key).await?;
    Ok(Json(Exported { file: STANDARD.encode(file) }))
}

pub(super) async fn import(
    State(local): State<Arc<Local>>,
    Json(ask): Json<ImportChannel>,
) -> Result<Json<Imported>, Failure> {
    let file = Zeroizing::new(STANDARD.decode(&ask.file).map_err(Failure::failed)?);
    let opened = export::open(&file, ask.key.as_ref())?;
    let warning = opened.plain.then(|| PLAIN.to_owned());
    let channel = export::import(&local.hub, opened, ask.nick.as_deref()).await?;
    Ok(Json(Imported { channel: info(&local, &channel).await?, warning }))
}

const PLAIN: &str = "the channel's private key lies open in this file: destroy the file, and use \
    `zotferry channel export` to carry the channel on";

async fn info(local: &Local, channel: &Channel) -> Result<ChannelInfo, Failure> {
    let locations = local.hub.catalog.locations(channel.id).await?;
    Ok(ChannelInfo {
        nick: channel.nick.clone(),
        id: channel.portable_id.to_string(),
        guid: channel.guid.clone(),
        hubs: locations.into_iter().filter(|l| !l.deleted).map(|l| l.url).collect(),
        paused: channel.paused,
    })
}

//! App passwords: made, listed, removed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::{Ask, Failure, Local};
use crate::text::visible;

/// Makes a password.
#[derive(Debug, Serialize, Deserialize)]
pub struct MakePassword {
    /// For which channel.
    pub channel: String,
    /// What its owner calls it.
    pub label: String,
}

/// A password, said once.
#[derive(Serialize, Deserialize)]
pub struct MadePassword {
    /// All of it.
    pub password: String,
}

/// Names the passwords of a channel.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListPasswords {
    /// Which channel.
    pub channel: String,
}

/// What is known of a password; not the password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PasswordInfo {
    /// Its first part, by which it is called.
    pub name: String,
    /// What its owner calls it.
    pub label: String,
    /// When it was made, in Unix ms.
    pub created: u64,
    /// When it last opened the channel, in Unix ms, to a few minutes.
    pub used: Option<u64>,
}

/// Removes a password: it opens nothing any more.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemovePassword {
    /// Of which channel.
    pub channel: String,
    /// Its first part.
    pub name: String,
}

/// A password was removed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Removed {}

impl Ask for MakePassword {
    const PATH: &'static str = "/password/new";
    type Answer = MadePassword;
}

impl Ask for ListPasswords {
    const PATH: &'static str = "/password/list";
    type Answer = Vec<PasswordInfo>;
}

impl Ask for RemovePassword {
    const PATH: &'static str = "/password/remove";
    type Answer = Removed;
}

pub(super) async fn make(
    State(local): State<Arc<Local>>,
    Json(ask): Json<MakePassword>,
) -> Result<Json<MadePassword>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let (hub, label) = (&local.hub, &ask.label);
    let making = hub.passwords.make(&hub.catalog, &channel, label, hub.clock.now());
    Ok(Json(MadePassword { password: making.await? }))
}

pub(super) async fn list(
    State(local): State<Arc<Local>>,
    Json(ask): Json<ListPasswords>,
) -> Result<Json<Vec<PasswordInfo>>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let rows = local.hub.catalog.passwords(channel.id).await?;
    let info = rows.into_iter().map(|row| PasswordInfo {
        name: row.name,
        label: row.label,
        created: row.created.0,
        used: row.used.map(|used| used.0),
    });
    Ok(Json(info.collect()))
}

pub(super) async fn remove(
    State(local): State<Arc<Local>>,
    Json(ask): Json<RemovePassword>,
) -> Result<Json<Removed>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let (hub, name) = (&local.hub, &ask.name);
    match hub.passwords.remove(&hub.catalog, &channel, name).await? {
        true => Ok(Json(Removed {})),
        false => Err(Failure::not_found(format!(
            "{} has no password {}; `zotferry password ls` names those it has",
            visible(&channel.nick),
            visible(name)
        ))),
    }
}

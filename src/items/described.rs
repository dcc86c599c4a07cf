//! An item as hub software and people are told of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zotferry_protocol::codec;
use zotferry_protocol::ids::ResourceId;

use super::{ItemError, shown};
use crate::catalog::{CatalogError, Channel, Item};
use crate::hub::Hub;

/// An item with this hub's URLs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// Its message id: its name on every clone.
    pub mid: String,
    /// Its UUID.
    pub uuid: String,
    /// Hash of the entry that it sits on.
    pub resource: String,
    /// Path of that entry, from the top.
    pub path: Option<String>,
    /// Portable id of its author; empty where there is none.
    pub author: String,
    /// Whether the author is the channel.
    pub own: bool,
    /// The row; nothing once it was removed.
    pub item: Option<serde_json::Value>,
}

/// An item as it is told.
pub async fn described(
    hub: &Arc<Hub>,
    channel: &Channel,
    item: &Item,
    path: Option<String>,
) -> Result<Described, ItemError> {
    let row = shown(hub, channel, item).await?;
    let row = row.map(|row| codec::decode_owned(&row)).transpose()?;
    Ok(Described {
        mid: item.mid.clone(),
        uuid: item.uuid.clone(),
        resource: item.resource.to_string(),
        path,
        author: item.author.clone(),
        own: item.author == channel.portable_id.as_str(),
        item: row,
    })
}

/// The path of an entry that is there, with a `/` before each name.
pub async fn path_of(
    hub: &Hub,
    channel: &Channel,
    entry: &ResourceId,
) -> Result<Option<String>, CatalogError> {
    let there = hub.catalog.entry(channel.id, entry).await?.is_some_and(|entry| entry.alive);
    let path = hub.catalog.path_of(channel.id, entry).await?.filter(|_| there);
    Ok(path.map(|names| names.iter().map(|name| format!("/{name}")).collect()))
}

impl Described {
    /// A text of its row.
    pub fn text(&self, name: &str) -> &str {
        self.item.as_ref().and_then(|row| row[name].as_str()).unwrap_or("")
    }
}

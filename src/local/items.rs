//! Items: handed over by hub software beside this hub, and read by it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zotferry_protocol::ids::ResourceId;

use super::{Ask, AskLines, Failure, Local, lines, names};
use crate::catalog::{Channel, EditError, Item};
use crate::files::{self, AddItemsError};
use crate::items::{Captured, described, path_of};
use crate::text::visible;

pub use crate::items::Described;

/// Items read at once.
const PAGE: u32 = 32;
/// Bytes of items in one question.
const SOME: usize = 2 << 20;

/// Enters items: one, a list, or a whole sync packet of Hubzilla's.
#[derive(Debug, Serialize, Deserialize)]
pub struct AddItems {
    /// Which channel.
    pub channel: String,
    /// The items.
    pub items: Value,
}

/// What became of items.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AddedItems {
    /// New ones.
    pub added: u64,
    /// Ones that were changed.
    pub changed: u64,
    /// Ones that were the same already.
    pub unchanged: u64,
    /// Ones that were not taken.
    pub skipped: Vec<SkippedItem>,
}

/// An item that was not taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SkippedItem {
    /// Its name, as far as it has one.
    pub mid: String,
    /// Why not.
    pub why: String,
}

/// Removes an item.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveItem {
    /// Of which channel.
    pub channel: String,
    /// Its name.
    pub mid: String,
}

/// Reads an item.
#[derive(Debug, Serialize, Deserialize)]
pub struct GetItem {
    /// Of which channel.
    pub channel: String,
    /// Its name.
    pub mid: String,
}

/// Lists items.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListItems {
    /// Of which channel.
    pub channel: String,
    /// Of which file or folder; empty for all of the channel.
    pub path: String,
}

impl Ask for AddItems {
    const PATH: &'static str = "/item/add";
    type Answer = AddedItems;
}

impl Ask for RemoveItem {
    const PATH: &'static str = "/item/remove";
    type Answer = ();
}

impl Ask for GetItem {
    const PATH: &'static str = "/item/get";
    type Answer = Described;
}

impl AskLines for ListItems {
    const PATH: &'static str = "/item/list";
    type Event = Described;
}

impl AddItems {
    /// The items in a text, as questions that are not too long.
    pub fn of(channel: &str, text: &str) -> Result<Vec<Self>, Failure> {
        let Captured { items, at } = Captured::read(text).map_err(Failure::failed)?;
        let mut questions = Vec::new();
        let mut some = Vec::new();
        let mut room = SOME;
        let question = |items: Vec<Value>| Self {
            channel: channel.to_owned(),
            items: match &at {
                None => Value::Array(items),
                Some(at) => serde_json::json!({"relocate": at, "item": items}),
            },
        };
        for item in items {
            let size = item.to_string().len();
            if size > room && !some.is_empty() {
                questions.push(question(std::mem::take(&mut some)));
                room = SOME;
            }
            room = room.saturating_sub(size);
            some.push(item);
        }
        if !some.is_empty() {
            questions.push(question(some));
        }
        Ok(questions)
    }
}

pub(super) async fn add(
    State(local): State<Arc<Local>>,
    Json(ask): Json<AddItems>,
) -> Result<Json<AddedItems>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let captured = Captured::find(ask.items).map_err(Failure::failed)?;
    let added = files::add_items(&local.hub, &channel, captured).await?;
    let skipped = added.skipped.into_iter().map(|(mid, why)| SkippedItem { mid, why });
    let filed = added.filed;
    Ok(Json(AddedItems {
        added: filed.added,
        changed: filed.changed,
        unchanged: filed.unchanged,
        skipped: skipped.collect(),
    }))
}

pub(super) async fn remove(
    State(local): State<Arc<Local>>,
    Json(ask): Json<RemoveItem>,
) -> Result<Json<()>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    match files::remove_item(&local.hub, &channel, &ask.mid).await {
        Err(AddItemsError::Edit(EditError::NotFound)) => Err(no_item(&channel, &ask.mid)),
        done => Ok(Json(done?)),
    }
}

fn no_item(channel: &Channel, mid: &str) -> Failure {
    let (mid, nick) = (visible(mid), visible(&channel.nick));
    Failure::not_found(format!("{mid}: no such item in {nick}"))
}

pub(super) async fn get(
    State(local): State<Arc<Local>>,
    Json(ask): Json<GetItem>,
) -> Result<Json<Described>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let found = local.hub.catalog.items(channel.id, &[&ask.mid]).await?.remove(&ask.mid);
    let item = found.filter(|item| item.row.is_some());
    let item = item.ok_or_else(|| no_item(&channel, &ask.mid))?;
    let path = path_of(&local.hub, &channel, &item.resource).await?;
    Ok(Json(described(&local.hub, &channel, &item, path).await?))
}

pub(super) async fn list(
    State(local): State<Arc<Local>>,
    Json(ask): Json<ListItems>,
) -> Result<Response, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let resource = match names(&ask.path).as_slice() {
        [] => None,
        names => {
            let found = local.hub.catalog.by_path(channel.id, names).await?;
            let (path, nick) = (visible(&ask.path), visible(&channel.nick));
            let none = || Failure::not_found(format!("{path}: no such file or folder in {nick}"));
            Some(found.ok_or_else(none)?.hash)
        }
    };
    Ok(lines::answer(async move |events| {
        let mut after = String::new();
        let mut paths = HashMap::new();
        loop {
            let catalog = &local.hub.catalog;
            let page = catalog.items_after(channel.id, resource.as_ref(), &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.mid);
            for item in page {
                let Some(shown) = shown(&local, &channel, &item, &mut paths).await? else {
                    continue;
                };
                if events.send(shown).await.is_err() {
                    return Ok(());
                }
            }
        }
    }))
}

/// An item that is there, on an entry that is there.
async fn shown(
    local: &Local,
    channel: &Channel,
    item: &Item,
    paths: &mut HashMap<ResourceId, Option<String>>,
) -> Result<Option<Described>, Failure> {
    if !paths.contains_key(&item.resource) {
        if paths.len() >= PAGE as usize {
            paths.clear();
        }
        let path = path_of(&local.hub, channel, &item.resource).await?;
        paths.insert(item.resource.clone(), path);
    }
    let path = paths.get(&item.resource).cloned().flatten();
    if item.row.is_none() || path.is_none() {
        return Ok(None);
    }
    Ok(Some(described(&local.hub, channel, item, path).await?))
}

//! Items that hub software beside this hub hands over: found their entry, entered, told to the clones.
//!
//! Owns: which item sits on which entry. Not here: rows and signatures (`items`).
//! Spec: ITEM-4, ITEM-10, and the part of the chapter on items about entries.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zotferry_protocol::codec;
use zotferry_protocol::identity::PublicKey;
use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::packets::ItemRow;

use super::author::Here;
use super::edit::announce;
use super::put::date;
use crate::catalog::{CatalogError, Channel, EditError, Item, ItemsFiled, Maker, VersionBytes};
use crate::hub::Hub;
use crate::items::{self, Captured, Handed, ItemError, NoItem};
use crate::translate::Home;

/// Items entered in one transaction.
const SOME: usize = 200;

/// Why an item is skipped that has nothing to do with files.
pub const ELSEWHERE: &str = "it refers to no file of the channel, nor to an item on one";

/// What became of items that were handed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemsAdded {
    /// Those that were taken.
    pub filed: ItemsFiled,
    /// Those that were not: name, reason.
    pub skipped: Vec<(String, String)>,
}

/// Why items could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum AddItemsError {
    /// What was handed over.
    #[error(transparent)]
    NoItem(#[from] NoItem),
    /// The catalog.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A row, the key, or the catalog.
    #[error(transparent)]
    Item(#[from] ItemError),
}

impl From<CatalogError> for AddItemsError {
    fn from(error: CatalogError) -> Self {
        Self::Item(error.into())
    }
}

/// Enters items, in their order: what is answered stands before the answer. Those that refer to no
/// entry of the channel are skipped.
pub async fn add_items(
    hub: &Arc<Hub>,
    channel: &Channel,
    captured: Captured,
) -> Result<ItemsAdded, AddItemsError> {
    let here = learn_home(hub, channel, &captured).await?;
    let at = captured.at.map(|at| (at.url, at.channel_address));
    let from = match at.filter(|(url, nick)| (url, nick) != (&here.url, &here.nick)) {
        Some((url, nick)) => Home { url, nick, uid: None },
        None => here,
    };
    let mut added = ItemsAdded::default();
    let mut items = captured.items.into_iter();
    loop {
        let some: Vec<Value> = items.by_ref().take(SOME).collect();
        if some.is_empty() {
            return Ok(added);
        }
        let filed = add_some(hub, channel, &from, some, &mut added.skipped).await?;
        added.filed.added += filed.added;
        added.filed.changed += filed.changed;
        added.filed.unchanged += filed.unchanged;
    }
}

/// The channel's home here. Items that were written here tell its number in the hub software.
async fn learn_home(
    hub: &Arc<Hub>,
    channel: &Channel,
    captured: &Captured,
) -> Result<Home, CatalogError> {
    let here = items::here(hub, channel).await?;
    let elsewhere = captured
        .at
        .as_ref()
        .is_some_and(|at| (&at.url, &at.channel_address) != (&here.url, &here.nick));
    let told = captured.items.iter().find_map(|item| item["uid"].as_u64());
    match told.filter(|uid| !elsewhere && Some(*uid) != here.uid) {
        None => Ok(here),
        Some(uid) => {
            hub.catalog.set_uid(channel.id, uid).await?;
            Ok(Home { uid: Some(uid), ..here })
        }
    }
}

async fn add_some(
    hub: &Arc<Hub>,
    channel: &Channel,
    from: &Home,
    some: Vec<Value>,
    skipped: &mut Vec<(String, String)>,
) -> Result<ItemsFiled, AddItemsError> {
    let mut handed = Vec::new();
    for value in some {
        match Handed::of(value) {
            Ok(item) => handed.push(item),
            Err(NoItem::Bad(mid, why)) => skipped.push((mid, why)),
            Err(NoItem::Form) => skipped.push((String::new(), NoItem::Form.to_string())),
        }
    }
    let places = places(hub, channel, &handed).await?;
    let mids: Vec<&str> = handed.iter().map(|item| item.mid.as_str()).collect();
    let held = hub.catalog.items(channel.id, &mids).await?;
    let coming: HashSet<String> = handed.iter().filter_map(|h| own_uuid(channel, h)).collect();
    let (mut items, mut unchanged) = (Vec::new(), 0);
    for handed in &handed {
        let Some(resource) = places.get(&handed.mid) else {
            skipped.push((handed.mid.clone(), ELSEWHERE.to_owned()));
            continue;
        };
        let item = item(channel, from, handed, resource.clone());
        if held.get(&item.mid).is_some_and(|h| !h.uuid.is_empty() && h.uuid != item.uuid) {
            skipped.push((item.mid, "its uuid is another than before".to_owned()));
            continue;
        }
        if let Some(held) = held.get(&item.mid)
            && is_shown(hub, channel, held, &item).await?
        {
            unchanged += 1;
            continue;
        }
        let item = signed(hub, channel, item).await?;
        items.push(items::kept(hub, channel, item, &coming).await?);
    }
    let filed = enter(hub, channel, items).await?;
    Ok(ItemsFiled { unchanged: filed.unchanged + unchanged, ..filed })
}

/// Whether an item is as this hub shows it: software that hands back what it was told changes nothing, not
/// even the form in which others' items are kept.
async fn is_shown(
    hub: &Arc<Hub>,
    channel: &Channel,
    held: &Item,
    handed: &Item,
) -> Result<bool, ItemError> {
    let value = |row: &[u8]| codec::decode_owned::<Value>(row);
    let (Some(shown), Some(row)) = (items::shown(hub, channel, held).await?, &handed.row) else {
        return Ok(false);
    };
    Ok(held.resource == handed.resource && value(&shown)? == value(row)?)
}

fn own_uuid(channel: &Channel, handed: &Handed) -> Option<String> {
    let own = items::author(&handed.row, channel) == channel.portable_id.as_str();
    handed.row.text("uuid").filter(|_| own).map(str::to_owned)
}

/// The entry of each item: what it names itself, else that of what it answers.
async fn places(
    hub: &Arc<Hub>,
    channel: &Channel,
    handed: &[Handed],
) -> Result<HashMap<String, ResourceId>, CatalogError> {
    let named: Vec<Vec<ResourceId>> = handed.iter().map(|h| items::attached(&h.row)).collect();
    let above = |handed: &Handed| {
        let names = ["message_top", "message_parent"].map(|name| handed.row.text(name));
        names.into_iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    let answered: Vec<String> = handed.iter().flat_map(above).collect();
    let answered: Vec<&str> = answered.iter().map(String::as_str).collect();
    let held = hub.catalog.items(channel.id, &answered).await?;
    let asked: HashSet<ResourceId> = named.iter().flatten().cloned().collect();
    let mut asked: Vec<ResourceId> = asked.into_iter().collect();
    asked.extend(held.values().map(|item| item.resource.clone()));
    let entries = hub.catalog.entries(channel.id, &asked).await?;
    let alive = |id: &ResourceId| entries.get(id).is_some_and(|entry| entry.alive);
    let mut places: HashMap<String, ResourceId> = HashMap::new();
    for (handed, named) in handed.iter().zip(named) {
        // What says itself on which entry it sits, sits on no other.
        let placed = handed.row.text("resource_id").is_some_and(|id| !id.is_empty());
        let by_thread = || {
            let on = |mid: String| {
                let held = held.get(&mid).map(|item| &item.resource).filter(|id| alive(id));
                places.get(&mid).or(held).cloned()
            };
            above(handed).into_iter().find_map(on)
        };
        if let Some(place) =
            named.into_iter().find(|id| alive(id)).or_else(|| by_thread().filter(|_| !placed))
        {
            places.insert(handed.mid.clone(), place);
        }
    }
    Ok(places)
}

fn item(channel: &Channel, from: &Home, handed: &Handed, resource: ResourceId) -> Item {
    Item {
        mid: handed.mid.clone(),
        uuid: handed.row.text("uuid").unwrap_or("").to_owned(),
        resource,
        author: items::author(&handed.row, channel),
        row: Some(handed.row.0.clone()),
        url: from.url.to_string(),
        nick: from.nick.clone(),
        uid: from.uid.or(handed.uid),
        version: VersionBytes(Vec::new()),
        seq: None,
    }
}

/// An item of the channel's that its software did not sign, or not as it is now, is signed here.
async fn signed(hub: &Arc<Hub>, channel: &Channel, item: Item) -> Result<Item, ItemError> {
    let Some(row) = &item.row else { return Ok(item) };
    if item.author != channel.portable_id.as_str() || holds(channel, &ItemRow(row.clone())) {
        return Ok(item);
    }
    let row = items::resigned(hub, channel, row.clone()).await?;
    Ok(Item { row: Some(row), ..item })
}

fn holds(channel: &Channel, row: &ItemRow) -> bool {
    let signature = row.text("signature").and_then(|text| text.strip_prefix("sha256."));
    let signature = signature.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let key = PublicKey::from_pem(&channel.public_pem).ok();
    let body = row.text("body").unwrap_or("");
    key.zip(signature).is_some_and(|(key, sig)| key.verifies(body.as_bytes(), &sig))
}

/// Removes an item, on every clone.
pub async fn remove_item(
    hub: &Arc<Hub>,
    channel: &Channel,
    mid: &str,
) -> Result<(), AddItemsError> {
    let held = hub.catalog.items(channel.id, &[mid]).await?.remove(mid);
    let item = held.filter(|item| item.row.is_some()).ok_or(EditError::NotFound)?;
    enter(hub, channel, vec![Item { row: None, ..item }]).await.map(drop)
}

async fn enter(
    hub: &Arc<Hub>,
    channel: &Channel,
    items: Vec<Item>,
) -> Result<ItemsFiled, AddItemsError> {
    let now = hub.clock.now();
    let mut author = Here { replica: channel.replica, now };
    let maker = &mut Maker {
        channel: channel.id,
        creator: channel.portable_id.to_string(),
        date: date(now.0),
        now,
        author: &mut author,
    };
    let filed = hub.catalog.local_items(items, maker).await?;
    announce(hub, channel).await;
    Ok(filed)
}

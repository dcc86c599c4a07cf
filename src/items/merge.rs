//! Items of a packet: made ready before its transaction, merged within.
//!
//! Translating may need the channel's key, which takes milliseconds for each item; the catalog's one
//! transaction does not wait for that.
//! Spec: ITEM-5, ITEM-6, ITEM-9, ITEM-12, SYNC-24, SYNC-25, SYNC-27.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use zotferry_protocol::codec;
use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::packets::{self, ItemRow, OpReport, OpStatus, Operation};
use zotferry_protocol::version::{Relation, Version, join, relation, winner};

use super::{ItemError, row, shown};
use crate::catalog::{Apply, Channel, Item, VersionBytes};
use crate::hub::Hub;

/// The items of each operation of a packet, as they would be kept here.
#[derive(Debug, Default)]
pub struct Prepared(Vec<Vec<Item>>);

/// Makes the items of operations ready. What is older than what is held here is left out.
pub async fn prepare(
    hub: &Arc<Hub>,
    channel: &Channel,
    operations: &[Operation],
) -> Result<Prepared, ItemError> {
    if operations.iter().all(|operation| operation.item.is_empty()) {
        return Ok(Prepared::default());
    }
    let good: Vec<&Operation> = operations.iter().filter(|op| op.check().is_ok()).collect();
    let mids: Vec<&str> = good.iter().flat_map(|op| &op.item).map(|i| i.mid.as_str()).collect();
    let held = hub.catalog.items(channel.id, &mids).await?;
    let news = |item: &packets::Item| match held.get(&item.mid) {
        Some(held) => judge(held, &item.version).map(|judged| judged.is_some()),
        None => Ok(true),
    };
    let coming = coming(channel, &good);
    let mut prepared = Vec::new();
    for operation in operations {
        let mut items = Vec::new();
        let entry = operation.entry().filter(|_| operation.check().is_ok());
        for item in entry.map_or(&[][..], |_| &operation.item) {
            let Some(entry) = entry.filter(|_| news(item).unwrap_or(false)) else { continue };
            let item = received(channel, &entry.row.hash, item);
            items.push(shown::kept(hub, channel, item, &coming).await?);
        }
        prepared.push(items);
    }
    Ok(Prepared(prepared))
}

/// What comes with a packet and so is not unknown: its entries, and the channel's own items.
fn coming(channel: &Channel, operations: &[&Operation]) -> HashSet<String> {
    let entries = operations.iter().flat_map(|op| &op.attach).map(|e| e.row.hash.to_string());
    let rows = operations.iter().flat_map(|op| &op.item).filter_map(|item| item.row.as_ref());
    let own = rows.filter(|row| row::author(row, channel) == channel.portable_id.as_str());
    entries.chain(own.filter_map(|row| row.text("uuid")).map(str::to_owned)).collect()
}

fn received(
    channel: &Channel,
    resource: &zotferry_protocol::ids::ResourceId,
    item: &packets::Item,
) -> Item {
    let row = item.row.as_ref();
    let text = |name: &str| row.and_then(|row| row.text(name)).unwrap_or("").to_owned();
    Item {
        mid: item.mid.clone(),
        uuid: text("uuid"),
        resource: resource.clone(),
        author: row.map_or_else(String::new, |row| row::author(row, channel)),
        row: row.map(|row| row.0.clone()),
        url: item.url.to_string(),
        nick: item.nick.clone(),
        uid: item.uid,
        version: VersionBytes(codec::encode(&item.version)),
        seq: None,
    }
}

/// Merges what was made ready into the catalog, where its operation was not refused. An operation
/// that brought nothing else new has then brought an item.
pub async fn merge(
    apply: &mut Apply<'_>,
    channel: &Channel,
    prepared: Prepared,
    reports: &mut [OpReport],
) -> Result<(), ItemError> {
    let mids: Vec<String> = prepared.0.iter().flatten().map(|item| item.mid.clone()).collect();
    if mids.is_empty() {
        return Ok(());
    }
    let mids: Vec<&str> = mids.iter().map(String::as_str).collect();
    let mut held = apply.load_items(channel.id, &mids).await?;
    let mut changed: HashMap<String, Item> = HashMap::new();
    let mut hlc = 0;
    for (items, report) in prepared.0.into_iter().zip(reports) {
        if report.status == OpStatus::Refused {
            continue;
        }
        for theirs in items {
            let merged = merged(held.get(&theirs.mid), theirs)?;
            let Some((item, version)) = merged else { continue };
            hlc = hlc.max(version.hlc().0);
            if report.status == OpStatus::Duplicate {
                report.status = OpStatus::Stored;
            }
            held.insert(item.mid.clone(), item.clone());
            changed.insert(item.mid.clone(), item);
        }
    }
    let changed: Vec<Item> = changed.into_values().collect();
    apply.write_items(channel.id, &changed).await?;
    Ok(apply.observe_hlc(channel.id, hlc).await?)
}

/// ITEM-6: what is kept of an item that is held and one that comes; `None` if nothing changes.
pub(super) fn merged(
    held: Option<&Item>,
    theirs: Item,
) -> Result<Option<(Item, Version)>, ItemError> {
    let version = decoded(&theirs.version)?;
    let Some(ours) = held else { return Ok(Some((theirs, version))) };
    let Some((version, take)) = judge(ours, &version)? else { return Ok(None) };
    let uuid = if ours.uuid.is_empty() { theirs.uuid.clone() } else { ours.uuid.clone() };
    let item = if take { theirs } else { ours.clone() };
    let version_bytes = VersionBytes(codec::encode(&version));
    Ok(Some((Item { version: version_bytes, uuid, ..item }, version)))
}

/// The merged version, and whether theirs is the value; `None` if theirs is nothing new.
fn judge(ours: &Item, theirs: &Version) -> Result<Option<(Version, bool)>, ItemError> {
    let ours = decoded(&ours.version)?;
    Ok(match relation(&ours, theirs) {
        Relation::Equal | Relation::Newer => None,
        Relation::Older => Some((theirs.clone(), true)),
        Relation::Concurrent => {
            let both = join(&ours, theirs).map_err(|e| ItemError::Row(e.to_string()))?;
            Some((both, winner(&ours, theirs) == theirs))
        }
    })
}

fn decoded(version: &VersionBytes) -> Result<Version, ItemError> {
    Ok(codec::decode_owned(&version.0)?)
}

/// ITEM-5: an item as it travels: in the form that this hub has it in.
pub fn wire(item: &Item) -> Result<packets::Item, ItemError> {
    Ok(packets::Item {
        mid: item.mid.clone(),
        row: item.row.clone().map(ItemRow),
        version: decoded(&item.version)?,
        url: BaseUrl::parse(&item.url).map_err(|e| ItemError::Row(e.to_string()))?,
        nick: item.nick.clone(),
        uid: item.uid,
    })
}

//! A row as this hub keeps it and shows it.
//!
//! Spec: ITEM-9 to ITEM-12, TRANS-4.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zotferry_protocol::codec;
use zotferry_protocol::identity::Signer;
use zotferry_protocol::packets::ItemRow;

use super::ItemError;
use super::home::{Known, here, home_of};
use super::row::set_field;
use crate::catalog::{Channel, Item};
use crate::hub::Hub;
use crate::translate::{Home, Translation};

/// The row of an item with this hub's URLs, whoever wrote it; `None` if it was removed.
pub async fn shown(
    hub: &Arc<Hub>,
    channel: &Channel,
    item: &Item,
) -> Result<Option<Vec<u8>>, ItemError> {
    let Some(row) = &item.row else { return Ok(None) };
    let (from, to) = (home_of(item)?, here(hub, channel).await?);
    if from == to {
        return Ok(Some(row.clone()));
    }
    let own = own_names(channel, item);
    let known = Known::of(hub, channel, &[(&from, row)], own).await?;
    let (row, _) = translated(hub, channel, item, (&from, &to), &known).await?;
    Ok(Some(row))
}

/// ITEM-9, ITEM-12, ITEM-13: an item as it is kept here: translated if it is the channel's and all that it
/// names is known, as it came if not. ITEM-11: its version stays.
pub async fn kept(
    hub: &Arc<Hub>,
    channel: &Channel,
    mut item: Item,
    coming: &HashSet<String>,
) -> Result<Item, ItemError> {
    let (from, to) = (home_of(&item)?, here(hub, channel).await?);
    let Some(row) = &item.row else { return Ok(item) };
    if item.author != channel.portable_id.as_str() || from == to {
        return Ok(item);
    }
    let coming = coming.union(&own_names(channel, &item)).cloned().collect();
    let known = Known::of(hub, channel, &[(&from, row)], coming).await?;
    let (row, settled) = translated(hub, channel, &item, (&from, &to), &known).await?;
    if settled {
        item.row = Some(row);
        (item.url, item.nick, item.uid) = (to.url.to_string(), to.nick, to.uid);
    }
    Ok(item)
}

/// An item names itself, and is the channel's if its author is.
fn own_names(channel: &Channel, item: &Item) -> HashSet<String> {
    let own = item.author == channel.portable_id.as_str();
    own.then(|| item.uuid.clone()).into_iter().collect()
}

/// The row at another home, signed again if it is the channel's and its body changed (ITEM-10); and
/// whether all that it names is known.
async fn translated(
    hub: &Arc<Hub>,
    channel: &Channel,
    item: &Item,
    (from, to): (&Home, &Home),
    known: &Known,
) -> Result<(Vec<u8>, bool), ItemError> {
    let row = item.row.as_deref().unwrap_or_default();
    let (new, settled) = {
        let translation = Translation::new(from, to, known);
        let new = translation.row(row).map_err(|e| ItemError::Row(e.to_string()))?;
        (new.into_owned(), !translation.met_unknown())
    };
    let body = |row: &[u8]| ItemRow(row.to_vec()).text("body").map(str::to_owned);
    if item.author != channel.portable_id.as_str() || body(row) == body(&new) {
        return Ok((new, settled));
    }
    Ok((resigned(hub, channel, new).await?, settled))
}

/// The row with a signature of the channel's over its body.
pub async fn resigned(
    hub: &Arc<Hub>,
    channel: &Channel,
    row: Vec<u8>,
) -> Result<Vec<u8>, ItemError> {
    let key = hub.channel_key(channel)?;
    // RSA takes milliseconds: not on an async thread.
    tokio::task::spawn_blocking(move || signed(&*key, row)).await?
}

/// ITEM-10: the row with a signature of a key over its body.
pub(super) fn signed(key: &dyn Signer, row: Vec<u8>) -> Result<Vec<u8>, ItemError> {
    let row = ItemRow(row);
    let body = row.text("body").unwrap_or("");
    let signature = key.sign(body.as_bytes()).map_err(|e| ItemError::Row(e.to_string()))?;
    let text = format!("sha256.{}", URL_SAFE_NO_PAD.encode(signature));
    set_field(&row.0, "signature", &codec::encode(&text))
}

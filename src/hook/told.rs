//! News as JSON.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use zotferry_protocol::ids::{ResourceId, Role};

use super::HookError;
use crate::catalog::{Attach, Channel, DataState, News, Subject};
use crate::hub::Hub;
use crate::items::{self, Described};

/// Bytes after which no more is put into one call.
const ENOUGH: usize = 1 << 20;

/// What the hook reads on its standard input, or in the body of a POST.
#[derive(Serialize)]
struct Body {
    hub: String,
    changes: Vec<Value>,
}

/// An entry as it is now.
#[derive(Serialize)]
struct EntryNews {
    channel: String,
    kind: &'static str,
    what: Vec<&'static str>,
    hash: String,
    path: Option<String>,
    removed: bool,
    /// Whether its bytes are here: always, for a folder.
    present: bool,
    folder: bool,
    filename: String,
    filetype: String,
    size: u64,
    revision: u64,
    edited: String,
    title: Option<String>,
    allow_cid: String,
    allow_gid: String,
    deny_cid: String,
    deny_gid: String,
}

/// An item as it is now.
#[derive(Serialize)]
struct ItemNews {
    channel: String,
    kind: &'static str,
    what: Vec<&'static str>,
    removed: bool,
    #[serde(flatten)]
    item: Described,
}

/// News in one body, and how many of them: as many as are not too long together.
pub(super) async fn body(hub: &Arc<Hub>, news: &[News]) -> Result<(String, usize), HookError> {
    let (mut changes, mut size, mut count) = (Vec::new(), 0, 0);
    for one in news {
        let channel = hub.catalog.channel(one.channel).await?;
        let value = match &one.subject {
            Subject::Entry(hash) => entry(hub, &channel, one, hash).await?,
            Subject::Item(mid) => item(hub, &channel, one, mid).await?,
        };
        count += 1;
        // What is gone without a trace since is nothing to tell of.
        let Some(value) = value else { continue };
        size += value.to_string().len();
        changes.push(value);
        if size > ENOUGH {
            break;
        }
    }
    let body = Body { hub: hub.config.url.to_string(), changes };
    Ok((serde_json::to_string(&body).map_err(HookError::json)?, count))
}

async fn entry(
    hub: &Arc<Hub>,
    channel: &Channel,
    news: &News,
    hash: &str,
) -> Result<Option<Value>, HookError> {
    let Ok(id) = ResourceId::new(hash) else { return Ok(None) };
    let Some(row) = hub.catalog.entry(channel.id, &id).await? else { return Ok(None) };
    let path = items::path_of(hub, channel, &id).await?;
    let contents = hub.catalog.contents_of(channel.id, std::slice::from_ref(&row)).await?;
    let here = contents.values().flatten().any(|data| {
        data.role == Role::File && data.state == DataState::Present && Some(data.root) == row.root
    });
    let news = entry_news(channel, news, row, path, here);
    Ok(Some(serde_json::to_value(news).map_err(HookError::json)?))
}

fn entry_news(
    channel: &Channel,
    news: &News,
    row: Attach,
    path: Option<String>,
    here: bool,
) -> EntryNews {
    EntryNews {
        channel: channel.nick.clone(),
        kind: "entry",
        what: news.kinds(),
        hash: row.hash.to_string(),
        path,
        removed: !row.alive,
        present: row.is_dir || here,
        folder: row.is_dir,
        filename: row.filename,
        filetype: row.filetype,
        size: row.filesize,
        revision: row.revision,
        edited: row.edited,
        title: row.title,
        allow_cid: row.allow_cid,
        allow_gid: row.allow_gid,
        deny_cid: row.deny_cid,
        deny_gid: row.deny_gid,
    }
}

async fn item(
    hub: &Arc<Hub>,
    channel: &Channel,
    news: &News,
    mid: &str,
) -> Result<Option<Value>, HookError> {
    let Some(item) = hub.catalog.items(channel.id, &[mid]).await?.remove(mid) else {
        return Ok(None);
    };
    let path = items::path_of(hub, channel, &item.resource).await?;
    let described = match items::described(hub, channel, &item, path).await {
        Ok(described) => described,
        Err(error) => {
            // It would stand in the way of all that comes after it.
            tracing::error!(%error, mid = crate::text::visible(mid), "an item cannot be told of");
            return Ok(None);
        }
    };
    let news = ItemNews {
        channel: channel.nick.clone(),
        kind: "item",
        what: news.kinds(),
        removed: item.row.is_none(),
        item: described,
    };
    Ok(Some(serde_json::to_value(news).map_err(HookError::json)?))
}

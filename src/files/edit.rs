//! Edits of entries by path: made, moved, copied, removed, described; content that is stored already.
//!
//! Owns: who edits and when, telling the clones. Not here: what an edit does to the rows (the catalog).
//! Invariant: an edit that returned `Ok` is durable and will be announced, once, as one operation (a removed
//! or copied folder as one for each entry inside).
//! Spec: SYNC-3, SYNC-23, SYNC-33, SYNC-39.

use std::sync::Arc;

use zotferry_protocol::ids::Millis;

use super::author::Here;
use super::photo::looked_at;
use super::put::date;
use crate::catalog::{
    Access, Attach, Became, Brought, CatalogError, Channel, Clash, EditError, Filed, LocalContent,
    LocalPut, Maker, MetaChange, PutBatch, Renamed,
};
use crate::hub::Hub;

/// What is known of a file beside its bytes.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Mime type; guessed from the name without.
    pub filetype: Option<String>,
    /// Modification time.
    pub mtime: Option<Millis>,
    /// Whether it is executable.
    pub executable: Option<bool>,
}

/// Runs `$edit` of the catalog as this hub's clone of the channel, and has the clones told.
macro_rules! edited {
    ($hub:expr, $channel:expr, $maker:ident => $edit:expr) => {{
        let now = $hub.clock.now();
        let mut author = Here { replica: $channel.replica, now };
        let $maker = &mut Maker {
            channel: $channel.id,
            creator: $channel.portable_id.to_string(),
            date: date(now.0),
            now,
            author: &mut author,
        };
        let done = $edit.await;
        announce($hub, $channel).await;
        done
    }};
}

/// Makes a folder; the one above it must be there.
pub async fn mkdir(
    hub: &Arc<Hub>,
    channel: &Channel,
    path: &[String],
) -> Result<Attach, EditError> {
    edited!(hub, channel, maker => hub.catalog.local_mkdir(path, maker))
}

/// Makes a folder and those above it; what is there already is no error.
pub async fn make_dirs(
    hub: &Arc<Hub>,
    channel: &Channel,
    path: &[String],
) -> Result<(), EditError> {
    let Some((name, folders)) = path.split_last() else { return Ok(()) };
    let put = local_put(folders, name, None, &About::default());
    match enter(hub, channel, put).await? {
        Ok(_) => Ok(()),
        Err(_) => Err(EditError::Exists),
    }
}

/// Moves or renames; no bytes. With `replace`, what is at `to` goes.
pub async fn rename(
    hub: &Arc<Hub>,
    channel: &Channel,
    from: &[String],
    to: &[String],
    replace: bool,
) -> Result<Renamed, EditError> {
    edited!(hub, channel, maker => hub.catalog.local_rename(from, to, replace, maker))
}

/// Copies a file, or a folder with all inside; no bytes. With `replace`, what is at `to` goes.
pub async fn copy(
    hub: &Arc<Hub>,
    channel: &Channel,
    from: &[String],
    to: &[String],
    replace: bool,
) -> Result<Renamed, EditError> {
    edited!(hub, channel, maker => hub.catalog.local_copy(from, to, replace, maker))
}

/// Removes a file, or a folder with all inside. How many entries went.
pub async fn remove(hub: &Arc<Hub>, channel: &Channel, path: &[String]) -> Result<u64, EditError> {
    let removed = edited!(hub, channel, maker => hub.catalog.local_remove(path, maker));
    // What was on its way for it is let go.
    hub.tell_receiver();
    removed
}

/// Describes an entry: title, tags, access, photo rows, modification time.
pub async fn set_meta(
    hub: &Arc<Hub>,
    channel: &Channel,
    path: &[String],
    change: MetaChange,
) -> Result<Attach, EditError> {
    edited!(hub, channel, maker => hub.catalog.local_meta(path, &change, maker))
}

/// Gives access lists to all that lies below a path, not to the entry there. How many entries had others.
pub async fn set_sight_below(
    hub: &Arc<Hub>,
    channel: &Channel,
    path: &[String],
    access: &Access,
) -> Result<u64, EditError> {
    edited!(hub, channel, maker => hub.catalog.local_sight_below(path, access, maker))
}

/// Enters entries under the ids that they had elsewhere; their bytes are durable already, and the caller
/// holds `hub.storing` from before they were stored.
pub async fn bring(
    hub: &Arc<Hub>,
    channel: &Channel,
    brought: &[Brought],
) -> Result<Vec<Became>, EditError> {
    edited!(hub, channel, maker => hub.catalog.local_bring(brought, maker))
}

/// Gives a file content that is durable in storage: a new file in a folder that is there, or a new revision.
/// The caller holds `hub.storing` from before the bytes were stored.
pub async fn put_content(
    hub: &Arc<Hub>,
    channel: &Channel,
    path: &[String],
    content: LocalContent,
    about: About,
) -> Result<Filed, EditError> {
    let (name, folders) = path.split_last().ok_or(EditError::Top)?;
    if !folders.is_empty() {
        let names: Vec<&str> = folders.iter().map(String::as_str).collect();
        let above = hub.catalog.by_path(channel.id, &names).await?;
        above.filter(|a| a.is_dir).ok_or(EditError::NoParent)?;
    }
    match enter(hub, channel, local_put(folders, name, Some(content), &about)).await? {
        Ok(filed) => Ok(filed),
        Err(Clash::FolderInTheWay) => Err(EditError::IsFolder),
        Err(Clash::FileInTheWay) => Err(EditError::NoParent),
    }
}

async fn enter(
    hub: &Arc<Hub>,
    channel: &Channel,
    put: LocalPut,
) -> Result<Result<Filed, Clash>, CatalogError> {
    let puts = looked_at(hub, vec![put]).await;
    let now = hub.clock.now();
    let batch = PutBatch {
        channel: channel.id,
        creator: channel.portable_id.to_string(),
        access: Access::owner(channel.portable_id.as_str()),
        date: date(now.0),
        puts,
    };
    let mut author = Here { replica: channel.replica, now };
    let mut filed = hub.catalog.local_put(&batch, &mut author, now).await?;
    announce(hub, channel).await;
    Ok(filed.remove(0))
}

pub(super) fn local_put(
    folders: &[String],
    name: &str,
    content: Option<LocalContent>,
    about: &About,
) -> LocalPut {
    let guessed = || mime_guess::from_path(name).first_or_octet_stream().essence_str().to_owned();
    let filetype = match &content {
        None => "multipart/mixed".to_owned(),
        Some(_) => about.filetype.clone().unwrap_or_else(guessed),
    };
    LocalPut {
        folders: folders.to_vec(),
        name: name.to_owned(),
        is_photo: content.is_some() && filetype.starts_with("image/"),
        picture: None,
        filetype,
        mtime: about.mtime,
        executable: about.executable,
        dated: None,
        content,
    }
}

/// The edit is durable: where its delivery cannot be queued now, the next start finds it.
pub(super) async fn announce(hub: &Arc<Hub>, channel: &Channel) {
    if let Err(error) = hub.deliver_soon(channel.id).await {
        tracing::error!(%error, "the other clones hear of this edit at the next start");
    }
}

//! What is said about an entry: its title, its tags, and who may see it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use zotferry_protocol::codec;

use super::edit::{about, checked, found};
use super::{Ask, Failure, Local, names};
use crate::catalog::{Access, Attach, CatalogError, MetaChange};
use crate::files;
use crate::text::visible;

/// Describes an entry, or tells how it is described where nothing is to change.
#[derive(Debug, Serialize, Deserialize)]
pub struct Describe {
    /// Which channel.
    pub channel: String,
    /// Its path there.
    pub path: String,
    /// Its title; the empty text takes it away.
    pub title: Option<String>,
    /// Its tags, all of them.
    pub tags: Option<Vec<String>>,
    /// Who may see it.
    pub sight: Option<Sight>,
}

/// Says who may see all that lies in a folder, and the folder itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetSight {
    /// Which channel.
    pub channel: String,
    /// The folder's path there; `/` is the channel's top.
    pub path: String,
    /// Who may see it.
    pub sight: Sight,
}

/// What that changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SightSet {
    /// Entries that had other lists before, the folder among them.
    pub changed: u64,
}

impl Ask for SetSight {
    const PATH: &'static str = "/meta/below";
    type Answer = SightSet;
}

pub(super) async fn set_below(
    State(local): State<Arc<Local>>,
    Json(ask): Json<SetSight>,
) -> Result<Json<SightSet>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let access = lists(ask.sight, channel.portable_id.as_str())?;
    let failed = |error| about(&ask.path, &error);
    let path = if names(&ask.path).is_empty() { Vec::new() } else { checked(&ask.path)? };
    let mut changed = 0;
    if !path.is_empty() {
        let before = found(&local, &channel, &ask.path).await?;
        if !before.is_dir {
            return Err(Failure::failed(format!("{} is no folder", visible(&ask.path))));
        }
        let change = MetaChange { access: Some(access.clone()), ..Default::default() };
        let set = files::set_meta(&local.hub, &channel, &path, change).await.map_err(failed)?;
        changed += u64::from(set.meta_version != before.meta_version);
    }
    let below = files::set_sight_below(&local.hub, &channel, &path, &access).await;
    Ok(Json(SightSet { changed: changed + below.map_err(failed)? }))
}

/// Who may see an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sight {
    /// Everybody who may see the folder that it lies in.
    Public,
    /// The channel alone.
    Private,
    /// Whom the lists name, by their ids.
    Lists {
        /// Channels that may.
        allow: Vec<String>,
        /// Groups that may.
        allow_groups: Vec<String>,
        /// Channels that may not.
        deny: Vec<String>,
        /// Groups that may not.
        deny_groups: Vec<String>,
    },
}

/// How an entry is described.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// Its path.
    pub path: String,
    /// Its id on every clone.
    pub id: String,
    /// Its title.
    pub title: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Who may see it.
    pub sight: Sight,
}

impl Ask for Describe {
    const PATH: &'static str = "/meta";
    type Answer = Description;
}

pub(super) async fn describe(
    State(local): State<Arc<Local>>,
    Json(ask): Json<Describe>,
) -> Result<Json<Description>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let own = channel.portable_id.as_str();
    let access = ask.sight.map(|sight| lists(sight, own)).transpose()?;
    let entry = match (&ask.title, &ask.tags, &access) {
        (None, None, None) => found(&local, &channel, &ask.path).await?,
        _ => {
            let change =
                MetaChange { title: ask.title, tags: ask.tags, access, ..Default::default() };
            let path = checked(&ask.path)?;
            let set = files::set_meta(&local.hub, &channel, &path, change).await;
            set.map_err(|error| about(&ask.path, &error))?
        }
    };
    let path = format!("/{}", checked(&ask.path)?.join("/"));
    let (id, title, tags) = (entry.hash.to_string(), entry.title.clone(), tags(&entry)?);
    Ok(Json(Description { path, id, title, tags, sight: sight(&entry, own) }))
}

/// Lists as Hubzilla's columns hold them: each id in angle brackets.
fn lists(sight: Sight, own: &str) -> Result<Access, Failure> {
    Ok(match sight {
        Sight::Public => Access::default(),
        Sight::Private => Access::owner(own),
        Sight::Lists { allow, allow_groups, deny, deny_groups } => {
            let all = [&allow, &allow_groups, &deny, &deny_groups];
            let odd = |id: &&String| id.is_empty() || id.contains(['<', '>', '\0']);
            if let Some(bad) = all.into_iter().flatten().find(odd) {
                let bad = visible(bad);
                return Err(Failure::failed(format!("{bad:?} is no id of a channel or group")));
            }
            Access {
                allow_cid: bracketed(&allow),
                allow_gid: bracketed(&allow_groups),
                deny_cid: bracketed(&deny),
                deny_gid: bracketed(&deny_groups),
            }
        }
    })
}

fn bracketed(ids: &[String]) -> String {
    ids.iter().map(|id| format!("<{id}>")).collect()
}

fn sight(entry: &Attach, own: &str) -> Sight {
    let ids = |list: &str| -> Vec<String> {
        list.split(['<', '>'])
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (allow, allow_groups) = (ids(&entry.allow_cid), ids(&entry.allow_gid));
    let (deny, deny_groups) = (ids(&entry.deny_cid), ids(&entry.deny_gid));
    let only_channels = allow_groups.is_empty() && deny.is_empty() && deny_groups.is_empty();
    match (allow.is_empty(), only_channels) {
        (true, true) => Sight::Public,
        (false, true) if allow == [own] => Sight::Private,
        _ => Sight::Lists { allow, allow_groups, deny, deny_groups },
    }
}

/// The texts of an entry's `term` rows.
fn tags(entry: &Attach) -> Result<Vec<String>, CatalogError> {
    #[derive(Deserialize)]
    struct Term {
        term: String,
    }
    let Some(rows) = entry.extra_field("term")? else { return Ok(Vec::new()) };
    // Rows of another form came from elsewhere, and are passed on as they are.
    let rows: Vec<Term> = codec::decode_owned(&rows).unwrap_or_default();
    Ok(rows.into_iter().map(|row| row.term).collect())
}

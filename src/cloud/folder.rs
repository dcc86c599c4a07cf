//! A folder as a page: plain HTML that every browser reads.
//!
//! Owns: rows, breadcrumbs, pages of [`PAGE`] entries. Not here: how they look (`templates/`).
//! Invariant: what a name holds is text on the page, and control and direction characters in it are
//! written out.

use std::collections::HashMap;

use askama::Template;
use axum::body::Body;
use axum::http::Response;
use zotferry_protocol::ids::{ResourceId, Role};

use super::access::{Viewer, is_public};
use super::headers::{self, STYLE};
use super::place::{Place, encode};
use super::{Ask, Cloud, Nothing};
use crate::catalog::{Attach, Catalog, CatalogError, Channel, Data, DataState};
use crate::text::{bytes, visible};

/// Entries on a page.
const PAGE: u32 = 1000;
/// Pages of entries that are looked through for one page.
const LOOKED: usize = 20;

#[derive(Template)]
#[template(path = "folder.html")]
struct Page<'a> {
    style: &'static str,
    title: String,
    crumbs: Vec<Crumb>,
    here: String,
    rows: Vec<Row>,
    /// The query of the first page, when this is a later one.
    first: bool,
    /// The entry after which the next page goes on.
    next: Option<&'a str>,
    owner: bool,
}

/// A folder above.
struct Crumb {
    name: String,
    href: String,
}

/// An entry.
struct Row {
    name: String,
    href: String,
    folder: bool,
    size: String,
    changed: String,
    state: String,
    /// Whether others may not see it.
    closed: bool,
}

/// The page of a folder; `None` for the top.
pub(super) async fn page(
    cloud: &Cloud,
    channel: &Channel,
    place: &Place<'_>,
    folder: Option<&Attach>,
    ask: &Ask<'_>,
    viewer: Viewer,
) -> Result<Response<Body>, Nothing> {
    let catalog = &cloud.hub.catalog;
    let hash = folder.map(|folder| &folder.hash);
    let after = match ask.query.value("after").and_then(|hash| hash.parse().ok()) {
        Some(last) => catalog.entry(channel.id, &last).await?,
        None => None,
    };
    let (seen, last) = seen(catalog, channel, hash, after.as_ref(), viewer).await?;
    let rows = rows(cloud, channel, seen).await?;
    let names = std::iter::once(&place.nick).chain(&place.names);
    let depth = place.names.len();
    let mut crumbs: Vec<Crumb> = names
        .enumerate()
        .map(|(at, name)| Crumb { name: visible(name), href: "../".repeat(depth - at) })
        .collect();
    let here = crumbs.pop().map_or_else(String::new, |last| last.name);
    let title = crumbs.iter().map(|crumb| crumb.name.as_str()).chain([here.as_str()]);
    let page = Page {
        style: STYLE,
        title: title.collect::<Vec<_>>().join("/"),
        crumbs,
        here: here.clone(),
        rows,
        first: after.is_some(),
        next: last.as_deref(),
        owner: viewer == Viewer::Owner,
    };
    let html = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be written");
        Nothing::Missing
    })?;
    let mut response = Response::new(Body::from(html));
    headers::page(&mut response);
    Ok(response)
}

/// A page of what somebody may see, and after which entry the next one goes on. What he may not see takes no place on a page, so
/// that nothing tells of it; only beyond [`LOOKED`] pages of it the next page goes on behind what was not shown.
async fn seen(
    catalog: &Catalog,
    channel: &Channel,
    folder: Option<&ResourceId>,
    after: Option<&Attach>,
    viewer: Viewer,
) -> Result<(Vec<Attach>, Option<String>), CatalogError> {
    let mut seen: Vec<Attach> = Vec::new();
    let mut from = after.map(|last| (last.filename.clone(), last.hash.clone()));
    for _ in 0..LOOKED {
        let place = from.as_ref().map(|(name, hash)| (name.as_str(), hash));
        let found = catalog.children(channel.id, folder, place, PAGE).await?;
        let whole = found.len() < PAGE as usize;
        from = found.last().map(|last| (last.filename.clone(), last.hash.clone())).or(from);
        let may = |entry: &Attach| viewer == Viewer::Owner || is_public(entry);
        seen.extend(found.into_iter().filter(may));
        if seen.len() > PAGE as usize {
            seen.truncate(PAGE as usize);
            let last = seen.last().map(|entry| entry.hash.to_string());
            return Ok((seen, last));
        }
        if whole {
            return Ok((seen, None));
        }
    }
    Ok((seen, from.map(|(_, hash)| hash.to_string())))
}

async fn rows(cloud: &Cloud, channel: &Channel, entries: Vec<Attach>) -> Result<Vec<Row>, Nothing> {
    let mut contents = cloud.hub.catalog.contents_of(channel.id, &entries).await?;
    let underway: HashMap<i64, u64> =
        cloud.receiver.progress().iter().map(|file| (file.wanted, file.held)).collect();
    let names = cloud.hub.catalog.shown_names(channel.id, &entries).await?;
    let row = |(entry, name): (Attach, String)| {
        let contents = contents.remove(&entry.hash).unwrap_or_default();
        let content = contents.into_iter().find(|data| data.role == Role::File);
        row(&entry, &name, content.as_ref(), &underway)
    };
    Ok(entries.into_iter().zip(names).map(row).collect())
}

/// `shown` is what it is found under: its name, but for namesakes.
fn row(entry: &Attach, shown: &str, content: Option<&Data>, underway: &HashMap<i64, u64>) -> Row {
    let state = match content.map(|data| data.state) {
        _ if entry.is_dir => String::new(),
        Some(DataState::Present) => "here".to_owned(),
        Some(DataState::Failed) => "could not be fetched".to_owned(),
        _ => {
            let held = content.and_then(|data| underway.get(&data.id)).copied().unwrap_or(0);
            format!("on its way, {} %", percent(held, entry.filesize))
        }
    };
    let slash = if entry.is_dir { "/" } else { "" };
    Row {
        name: format!("{}{slash}", visible(shown)),
        href: format!("./{}{slash}", encode(shown)),
        folder: entry.is_dir,
        size: if entry.is_dir { String::new() } else { bytes(entry.filesize) },
        changed: visible(&entry.edited),
        state,
        closed: !is_public(entry),
    }
}

/// Never 100 before the last byte.
fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(99).min(99)
}

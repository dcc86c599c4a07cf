//! A channel's files for people with a browser: folders as pages, files with ranges.
//!
//! Owns: `/cloud/<channel>/…`, `/attach/<id>`, `/photo/<id>-<scale>`, who may see what there, and that nothing uploaded
//! runs in the hub's name. Not here: changing anything (`dav`), what other hubs ask for (`web`).
//! Invariant: whoever may not see an entry is answered as if it did not exist. A file that is
//! wanted is never called missing, and bytes that were not verified are never sent.
//!
//! | file | knows |
//! |---|---|
//! | `place.rs` | URLs to names, and names to URLs |
//! | `access.rs` | who looks, and what may be seen |
//! | `folder.rs` | a folder as a page |
//! | `file.rs` | a file as a response: ranges, conditions |
//! | `photo.rs` | scales of images |
//! | `headers.rs` | what a browser may do with it |
//! | `notice.rs` | pages that say why there is nothing to see |

mod access;
mod file;
mod folder;
mod headers;
mod notice;
mod photo;
mod place;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use axum::routing::get;

use crate::catalog::{Attach, CatalogError, Channel};
use crate::hub::Hub;
use crate::passwords::PasswordError;
use crate::receiver::Receiver;
use headers::set;
use place::{Place, Query};

/// What the pages are made from.
struct Cloud {
    hub: Arc<Hub>,
    receiver: Arc<Receiver>,
}

/// A question as it came.
struct Ask<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    query: Query<'a>,
}

/// Why there is nothing to show.
enum Nothing {
    /// It does not exist, or not for this viewer.
    Missing,
    /// Who looks must say who they are.
    Unknown,
    /// The catalog does not answer.
    Failed(CatalogError),
    /// A password cannot be checked now.
    Unchecked(PasswordError),
}

impl From<PasswordError> for Nothing {
    fn from(error: PasswordError) -> Self {
        Self::Unchecked(error)
    }
}

impl From<CatalogError> for Nothing {
    fn from(error: CatalogError) -> Self {
        Self::Failed(error)
    }
}

/// The routes for people.
pub fn router(hub: Arc<Hub>, receiver: Arc<Receiver>) -> Router {
    Router::new()
        .route("/cloud/{channel}", get(cloud))
        .route("/cloud/{channel}/", get(cloud))
        .route("/cloud/{channel}/{*path}", get(cloud))
        .route("/attach/{id}", get(attach))
        .route("/photo/{name}", get(photo))
        .with_state(Arc::new(Cloud { hub, receiver }))
}

/// `/cloud/<channel>/<path>`: a folder ends with a slash, a file does not.
async fn cloud(
    State(cloud): State<Arc<Cloud>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let ask = Ask { method: &method, headers: &headers, query: Query(uri.query().unwrap_or("")) };
    let shown = async {
        let place = Place::parse(uri.path()).ok_or(Nothing::Missing)?;
        cloud.show(&ask, &place).await
    };
    shown.await.unwrap_or_else(|nothing| notice::nothing(&nothing))
}

/// `/attach/<id>`: the file of that id, whichever channel of this hub has it.
async fn attach(
    State(cloud): State<Arc<Cloud>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let ask = Ask { method: &method, headers: &headers, query: Query(uri.query().unwrap_or("")) };
    let shown = async {
        let hash = uri.path().trim_start_matches("/attach/");
        let Found { channel, entry, above, public } = cloud.by_id(&ask, hash, |_| false).await?;
        if entry.is_dir {
            let names = above.iter().chain([&entry]).map(|a| a.filename.as_str());
            return Ok(redirect(&place::folder_url(&channel.nick, names)));
        }
        file::serve(&cloud, &channel, &entry, &ask, public).await
    };
    shown.await.unwrap_or_else(|nothing| notice::nothing(&nothing))
}

/// `/photo/<id>-<scale>`: an image at one of its scales.
async fn photo(
    State(cloud): State<Arc<Cloud>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let ask = Ask { method: &method, headers: &headers, query: Query(uri.query().unwrap_or("")) };
    let shown = photo::photo(&cloud, &ask, uri.path().trim_start_matches("/photo/")).await;
    shown.unwrap_or_else(|nothing| notice::nothing(&nothing))
}

/// What an id names.
struct Found {
    channel: Channel,
    entry: Attach,
    /// The folders above it, from the top.
    above: Vec<Attach>,
    /// Whether everybody may see it.
    public: bool,
}

impl Cloud {
    async fn show(&self, ask: &Ask<'_>, place: &Place<'_>) -> Result<Response<Body>, Nothing> {
        let catalog = &self.hub.catalog;
        let channel = catalog.channel_by_nick(&place.nick).await?;
        let viewer = access::viewer(&self.hub, &place.nick, channel.as_ref(), ask).await?;
        let channel = channel.ok_or(Nothing::Missing)?;
        let entry = self.entry(&channel, place).await?;
        let Some(entry) = entry else {
            // The top: always there, and shows what the viewer may see of it.
            return match place.slash {
                true => folder::page(self, &channel, place, None, ask, viewer).await,
                false => Ok(redirect(&place.with_slash())),
            };
        };
        let above = catalog.ancestors(channel.id, &entry).await?;
        access::check(viewer, above.iter().chain([&entry]))?;
        match (entry.is_dir, place.slash) {
            (true, true) => folder::page(self, &channel, place, Some(&entry), ask, viewer).await,
            (true, false) => Ok(redirect(&place.with_slash())),
            (false, false) => {
                let public = access::open_to_all(above.iter().chain([&entry]));
                file::serve(self, &channel, &entry, ask, public).await
            }
            (false, true) => Err(Nothing::Missing),
        }
    }

    /// The entry of an id with the folders above it, if the asker may see it: by its lists, or because
    /// what is asked of it is for all.
    async fn by_id(
        &self,
        ask: &Ask<'_>,
        hash: &str,
        for_all: impl FnOnce(&Attach) -> bool + Send,
    ) -> Result<Found, Nothing> {
        let catalog = &self.hub.catalog;
        let found = match hash.parse() {
            Ok(hash) => catalog.entry_anywhere(&hash).await?,
            Err(_) => None,
        };
        let Some((channel, entry)) = found else {
            access::viewer(&self.hub, "", None, ask).await?;
            return Err(Nothing::Missing);
        };
        let channel = catalog.channel(channel).await?;
        let viewer = access::viewer(&self.hub, &channel.nick, Some(&channel), ask).await?;
        let above = catalog.ancestors(channel.id, &entry).await?;
        let public = for_all(&entry) || access::open_to_all(above.iter().chain([&entry]));
        match public || viewer == access::Viewer::Owner {
            true => Ok(Found { channel, entry, above, public }),
            false => Err(Nothing::Missing),
        }
    }

    /// The entry at a place; `None` for the top.
    async fn entry(&self, channel: &Channel, place: &Place<'_>) -> Result<Option<Attach>, Nothing> {
        if place.names.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = place.names.iter().map(String::as_str).collect();
        let found = self.hub.catalog.by_path(channel.id, &names).await?;
        found.map(Some).ok_or(Nothing::Missing)
    }
}

fn redirect(to: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    set(&mut response, header::LOCATION, to);
    set(&mut response, header::CACHE_CONTROL, "private, no-cache");
    response
}

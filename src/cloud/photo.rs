//! `/photo/<id>-<scale>`: scales of images, as posts and pages show them.
//!
//! Owns: the address. Not here: making scales (`photos`), who may see them.
//! Invariant: what a scale is made of is fetched while somebody waits for it, if it is not here.

use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use zotferry_protocol::ids::Role;
use zotferry_protocol::photo::{Target, target};

use super::file::{self, Shown};
use super::{Ask, Cloud, Found, Nothing, notice};
use crate::catalog::{Attach, Channel, DataState};
use crate::packets::pieces;
use crate::photos::{PhotoError, Scale, open_scale};

/// How long what has been read is waited for to be committed.
const COMMIT: Duration = Duration::from_secs(10);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Answers for `<id>-<scale>`, with any ending.
pub(super) async fn photo(
    cloud: &Cloud,
    ask: &Ask<'_>,
    name: &str,
) -> Result<Response<Body>, Nothing> {
    let name = name.split_once('.').map_or(name, |(name, _)| name);
    let (hash, scale) = name.rsplit_once('-').unwrap_or((name, ""));
    let scale = scale.parse::<u8>();
    let for_all = |entry: &Attach| scale.as_ref().is_ok_and(|scale| is_of_profile(entry, *scale));
    let Found { channel, entry, public, .. } = cloud.by_id(ask, hash, for_all).await?;
    match scale {
        Ok(0) if !entry.is_dir => file::serve(cloud, &channel, &entry, ask, public).await,
        Ok(scale) if target(scale).is_some() => {
            match opened(cloud, &channel, &entry, scale).await? {
                Some(scale) => show(cloud, &entry, ask, public, scale).await,
                None => Ok(notice::not_now(entry.filesize)),
            }
        }
        _ => Err(Nothing::Missing),
    }
}

/// Whether it is what a profile photo or a cover shows, which is for everybody, whoever may see
/// the image that it was cut from.
fn is_of_profile(entry: &Attach, scale: u8) -> bool {
    match target(scale) {
        Some(Target::Cropped(shape) | Target::Of(shape, ..)) => entry.choice(shape).is_some(),
        _ => false,
    }
}

async fn show(
    cloud: &Cloud,
    entry: &Attach,
    ask: &Ask<'_>,
    public: bool,
    scale: Scale,
) -> Result<Response<Body>, Nothing> {
    let shown = Shown {
        etag: format!("\"{}\"", scale.etag),
        size: scale.content.size(),
        name: &entry.filename,
        mime: &scale.mime,
        public,
    };
    let body = async |part| Ok(Some(Body::from_stream(pieces(&cloud.hub, scale.content, part))));
    file::show(ask, &shown, body).await
}

/// The scale; `None` when what it is made of cannot be had now.
async fn opened(
    cloud: &Cloud,
    channel: &Channel,
    entry: &Attach,
    scale: u8,
) -> Result<Option<Scale>, Nothing> {
    let mut fetched = false;
    loop {
        match open_scale(&cloud.hub, channel, entry, scale).await {
            Ok(scale) => return Ok(Some(scale)),
            Err(PhotoError::NotHere) if !fetched => {
                fetched = true;
                if !fetch(cloud, channel, entry, scale).await? {
                    return Ok(None);
                }
            }
            Err(PhotoError::NotHere) => return Ok(None),
            Err(PhotoError::NoSuchScale(_) | PhotoError::Bad(_)) => return Err(Nothing::Missing),
            Err(PhotoError::Catalog(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, hash = %entry.hash, scale, "a scale could not be shown");
                return Ok(None);
            }
        }
    }
}

/// Fetches what a scale is made of, for good; whether it came.
async fn fetch(
    cloud: &Cloud,
    channel: &Channel,
    entry: &Attach,
    scale: u8,
) -> Result<bool, Nothing> {
    let role = match target(scale) {
        Some(Target::Cropped(shape) | Target::Of(shape, ..)) => shape.role(),
        _ => Role::File,
    };
    let catalog = &cloud.hub.catalog;
    let Some(data) = catalog.content_of(channel.id, &entry.hash, role).await? else {
        return Ok(false);
    };
    let Ok(mut reading) = cloud.receiver.read(&data, 0..data.size).await else { return Ok(false) };
    while let Some(piece) = reading.next().await {
        if piece.is_err() {
            return Ok(false);
        }
    }
    let committed = async {
        loop {
            let now = catalog.content_of(channel.id, &entry.hash, role).await?;
            match now.filter(|now| now.root == data.root).map(|now| now.state) {
                Some(DataState::Present) => return Ok(true),
                None => return Ok(false),
                Some(_) => tokio::time::sleep(LOOK).await,
            }
        }
    };
    tokio::time::timeout(COMMIT, committed).await.unwrap_or(Ok(false))
}

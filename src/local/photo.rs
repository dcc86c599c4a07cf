//! Profile photos, covers, and the scales of an image.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use zotferry_protocol::packets::PhotoRow;
use zotferry_protocol::photo::Shape;

use super::{Ask, Failure, Local, names};
use crate::catalog::{Attach, Channel, EditError};
use crate::files::{self, SetPhotoError};
use crate::photos::{self, PhotoError};
use crate::text::visible;

/// What a photo is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhotoUse {
    /// The profile photo.
    Profile,
    /// The cover.
    Cover,
}

impl PhotoUse {
    /// The folder that such photos are put into.
    pub fn folder(self) -> &'static str {
        files::album(self.shape())
    }

    fn shape(self) -> Shape {
        match self {
            Self::Profile => Shape::Profile,
            Self::Cover => Shape::Cover,
        }
    }
}

/// Makes an image of a channel its profile photo or its cover.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetPhoto {
    /// Which channel.
    pub channel: String,
    /// The image's path there.
    pub path: String,
    /// What it is for.
    pub usage: PhotoUse,
    /// What it shows of the image, as `X,Y,W,H` in pixels; `None`: the middle.
    pub crop: Option<String>,
}

/// A photo that was set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhotoWasSet {
    /// The entry.
    pub hash: String,
    /// What it shows of the image, as `X,Y,W,H` in pixels.
    pub crop: String,
    /// How many other photos are not it any more.
    pub unset: usize,
}

/// Names a channel's profile photo and cover, or the scales of one image.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShowPhotos {
    /// Which channel.
    pub channel: String,
    /// The image's path there; `None`: the profile photo and the cover.
    pub path: Option<String>,
}

/// One scale of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoScale {
    /// The image's path in the channel.
    pub path: String,
    /// The entry.
    pub hash: String,
    /// 0 for the original, 1 to 9.
    pub scale: u8,
    /// Pixels in a row, as shown.
    pub width: u32,
    /// Rows, as shown.
    pub height: u32,
    /// MIME type.
    pub mime: String,
    /// Bytes; 0 for a scale that is made when somebody asks.
    pub size: u64,
    /// What the image is used for.
    pub usage: Option<PhotoUse>,
    /// What the scale shows of the image, as `X,Y,W,H` in pixels.
    pub crop: Option<String>,
    /// What it is called.
    pub title: String,
    /// What it shows.
    pub description: String,
}

impl Ask for SetPhoto {
    const PATH: &'static str = "/photo/set";
    type Answer = PhotoWasSet;
}

impl Ask for ShowPhotos {
    const PATH: &'static str = "/photo/show";
    type Answer = Vec<PhotoScale>;
}

pub(super) async fn set(
    State(local): State<Arc<Local>>,
    Json(ask): Json<SetPhoto>,
) -> Result<Json<PhotoWasSet>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let path: Vec<String> = names(&ask.path).into_iter().map(str::to_owned).collect();
    let crop = ask.crop.map(|crop| crop.parse()).transpose().map_err(Failure::failed)?;
    let set = files::set_photo(&local.hub, &channel, &path, ask.usage.shape(), crop).await;
    let set = set.map_err(|error| failure(&error, &ask.path))?;
    let (hash, crop) = (set.entry.hash.to_string(), set.crop.to_string());
    Ok(Json(PhotoWasSet { hash, crop, unset: set.unset }))
}

fn failure(error: &SetPhotoError, path: &str) -> Failure {
    let message = format!("{}: {error}", visible(path));
    match error {
        SetPhotoError::Edit(EditError::NotFound) | SetPhotoError::Photo(PhotoError::NotHere) => {
            Failure::not_found(message)
        }
        _ => Failure::failed(message),
    }
}

pub(super) async fn show(
    State(local): State<Arc<Local>>,
    Json(ask): Json<ShowPhotos>,
) -> Result<Json<Vec<PhotoScale>>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let Some(path) = &ask.path else {
        return Ok(Json(chosen(&local, &channel).await?));
    };
    let found = local.hub.catalog.by_path(channel.id, &names(path)).await?;
    let entry = found.ok_or_else(|| {
        let (path, nick) = (visible(path), visible(&channel.nick));
        Failure::not_found(format!("{path}: no such file in {nick}"))
    })?;
    Ok(Json(scales(&local, &channel, &entry).await?))
}

/// The profile photo and the cover, as they were cropped.
async fn chosen(local: &Local, channel: &Channel) -> Result<Vec<PhotoScale>, Failure> {
    let current = photos::current(&local.hub, channel).await?;
    let mut found = Vec::new();
    for (entry, shape) in [(current.profile, Shape::Profile), (current.cover, Shape::Cover)] {
        let Some(entry) = entry else { continue };
        let scales = scales(local, channel, &entry).await?;
        found.extend(scales.into_iter().find(|scale| scale.scale == shape.scales()[0]));
    }
    Ok(found)
}

async fn scales(
    local: &Local,
    channel: &Channel,
    entry: &Attach,
) -> Result<Vec<PhotoScale>, Failure> {
    let rows = photos::rows(&local.hub, channel, entry).await.map_err(Failure::failed)?;
    let path = local.hub.catalog.path_of(channel.id, &entry.hash).await?.unwrap_or_default();
    let path: String = path.iter().map(|name| format!("/{name}")).collect();
    Ok(rows.into_iter().map(|row| described(row, &path)).collect())
}

fn described(row: PhotoRow, path: &str) -> PhotoScale {
    PhotoScale {
        path: path.to_owned(),
        hash: row.resource_id.to_string(),
        scale: row.imgscale,
        width: row.width,
        height: row.height,
        mime: row.mimetype,
        size: row.filesize,
        usage: Shape::of_usage(row.photo_usage).map(|shape| match shape {
            Shape::Profile => PhotoUse::Profile,
            Shape::Cover => PhotoUse::Cover,
        }),
        crop: row.crop.map(|crop| crop.to_string()),
        title: row.title,
        description: row.description,
    }
}

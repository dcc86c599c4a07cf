//! Makes an image the profile photo or the cover.
//!
//! Owns: the rows and the cropped scale that this takes. Not here: pixels (`photo`), scales as they are
//! served (`photos`).
//! Invariant: the cropped scale is durable before a row speaks of it; the one that was current before stays
//! so until then.
//! Spec: PHOTO-5, PHOTO-8, PHOTO-10.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinError;
use zotferry_protocol::packets::PhotoRow;
use zotferry_protocol::photo::{Crop, Shape, Target, target};

use super::edit::set_meta;
use crate::catalog::{
    Attach, CatalogError, Channel, EditError, LocalContent, LocalPut, MetaChange, RoleContent,
    plain_rows,
};
use crate::chunker::{ChunkerError, SmallBatch};
use crate::hub::Hub;
use crate::photo::{Made, Picture};
use crate::photos::{self, PhotoError};

/// Why a photo was not set.
#[derive(Debug, thiserror::Error)]
pub enum SetPhotoError {
    /// The entry.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The image.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The storage.
    #[error(transparent)]
    Store(#[from] ChunkerError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] JoinError),
}

impl From<CatalogError> for SetPhotoError {
    fn from(error: CatalogError) -> Self {
        Self::Edit(error.into())
    }
}

/// A photo that was set.
#[derive(Debug, Clone)]
pub struct PhotoSet {
    /// The entry as it is now.
    pub entry: Attach,
    /// What the cropped scale shows of it.
    pub crop: Crop,
    /// How many others said before that they were it.
    pub unset: usize,
}

/// Makes the image at a path the profile photo or the cover. Without a rectangle it shows the largest part
/// in the middle; a rectangle of another shape is cut to shape.
pub async fn set_photo(
    hub: &Arc<Hub>,
    channel: &Channel,
    path: &[String],
    shape: Shape,
    crop: Option<Crop>,
) -> Result<PhotoSet, SetPhotoError> {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let entry = hub.catalog.by_path(channel.id, &names).await?.ok_or(EditError::NotFound)?;
    if entry.is_dir {
        return Err(EditError::IsFolder.into());
    }
    let (made, crop, picture) = photos::cropped(hub, channel, &entry, shape, crop).await?;
    let before = hub.catalog.chosen_photos(channel.id, shape).await?;
    let ended = before.first().and_then(|entry| entry.choice(shape));
    let rows = rows(&entry, &picture, shape, &made, crop)?;
    let named = hub.storing.read().await;
    let (mime, content) = (made.mime.to_owned(), store(hub, made).await?);
    let cropped = RoleContent { role: shape.role(), content, mime };
    let photos = Some(encoded(&rows));
    let chosen = Some((shape, ended.map_or(0, |choice| choice.chosen)));
    let change = MetaChange { photos, cropped: Some(cropped), chosen, ..MetaChange::default() };
    let entry = set_meta(hub, channel, path, change).await?;
    drop(named);
    let mut unset = 0;
    for other in before.iter().filter(|other| other.hash != entry.hash) {
        unset += usize::from(end_use(hub, channel, other, shape).await?);
    }
    Ok(PhotoSet { entry, crop, unset })
}

/// Puts with what the headers of those say that are images. What is missed here costs the rows of an
/// image, which can be drawn from its bytes.
pub(super) async fn looked_at(hub: &Arc<Hub>, mut puts: Vec<LocalPut>) -> Vec<LocalPut> {
    let photos = puts.iter_mut().filter(|put| put.is_photo);
    let (mut photos, roots): (Vec<_>, Vec<_>) = photos
        .filter_map(|put| Some((put.content.as_ref()?.root, put)))
        .map(|(r, p)| (p, r))
        .unzip();
    if !roots.is_empty() {
        let storage = Arc::clone(&hub.storage);
        let looking =
            move || roots.iter().map(|root| photos::seen(&*storage, root)).collect::<Vec<_>>();
        let seen = tokio::task::spawn_blocking(looking).await.unwrap_or_default();
        photos.iter_mut().zip(seen).for_each(|(put, picture)| put.picture = picture);
    }
    puts
}

/// PHOTO-5, PHOTO-8: the entry's rows with those of a shape's three scales; title and description stay. When they were
/// chosen says the edit.
fn rows(
    entry: &Attach,
    picture: &Picture,
    shape: Shape,
    made: &Made,
    crop: Crop,
) -> Result<Vec<PhotoRow>, CatalogError> {
    let mut rows: BTreeMap<u8, PhotoRow> =
        entry.photo_rows()?.into_iter().map(|row| (row.imgscale, row)).collect();
    let plain = plain_rows(&entry.hash, picture, entry.filesize);
    for seen in &plain {
        let row = rows.entry(seen.imgscale).or_insert_with(|| seen.clone());
        (row.width, row.height, row.filesize) = (seen.width, seen.height, seen.filesize);
        row.mimetype.clone_from(&seen.mimetype);
    }
    for scale in shape.scales() {
        let row = rows.entry(scale).or_insert_with(|| plain[0].clone());
        let cut = matches!(target(scale), Some(Target::Cropped(_)));
        (row.width, row.height) = match target(scale) {
            Some(Target::Of(_, width, height)) => (width, height),
            _ => shape.size(),
        };
        row.imgscale = scale;
        row.mimetype = made.mime.to_owned();
        row.filesize = if cut { made.bytes.len() as u64 } else { 0 };
        row.photo_usage = shape.usage();
        album(shape).clone_into(&mut row.album);
        row.crop = cut.then_some(crop);
        row.chosen = None;
    }
    Ok(rows.into_values().collect())
}

/// The folder in which Hubzilla keeps such photos, and the album that it names in their rows.
pub fn album(shape: Shape) -> &'static str {
    match shape {
        Shape::Profile => "Profile Photos",
        Shape::Cover => "Cover Photos",
    }
}

fn encoded(rows: &[PhotoRow]) -> Vec<Vec<u8>> {
    rows.iter().map(PhotoRow::encode).collect()
}

async fn store(hub: &Arc<Hub>, made: Made) -> Result<LocalContent, SetPhotoError> {
    let storage = Arc::clone(&hub.storage);
    let storing = move || -> Result<LocalContent, ChunkerError> {
        let mut batch = SmallBatch::new(&*storage);
        let stored = batch.add(Bytes::from(made.bytes))?;
        batch.flush()?;
        Ok(LocalContent { root: stored.root, size: stored.size, digests: stored.inline_digests })
    };
    Ok(tokio::task::spawn_blocking(storing).await??)
}

/// PHOTO-10: the rows of one that was it say so no more. What was cropped stays, as links may lead to it.
async fn end_use(
    hub: &Arc<Hub>,
    channel: &Channel,
    other: &Attach,
    shape: Shape,
) -> Result<bool, SetPhotoError> {
    let Some(path) = hub.catalog.path_of(channel.id, &other.hash).await? else {
        return Ok(false);
    };
    let mut rows = other.photo_rows()?;
    for row in rows.iter_mut().filter(|row| row.photo_usage == shape.usage()) {
        (row.photo_usage, row.chosen) = (0, None);
    }
    let change = MetaChange { photos: Some(encoded(&rows)), ..MetaChange::default() };
    match set_meta(hub, channel, &path, change).await {
        Ok(_) => Ok(true),
        // Removed at this moment: then it is no photo any more, either.
        Err(EditError::NotFound) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

//! Photo rows as a person or hub software may see them.
//!
//! Owns: what is drawn from several entries, or from bytes that are here. Not here: the rows that travel.
//! Spec: PHOTO-8, PHOTO-9.

use std::collections::BTreeMap;
use std::sync::Arc;

use zotferry_protocol::ids::Role;
use zotferry_protocol::packets::PhotoRow;
use zotferry_protocol::photo::Shape;

use super::make::looked;
use super::{PhotoError, root_of};
use crate::catalog::{Attach, CatalogError, Channel, plain_rows};
use crate::hub::Hub;

/// A channel's profile photo and cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The entry of the profile photo.
    pub profile: Option<Attach>,
    /// The entry of the cover.
    pub cover: Option<Attach>,
}

/// PHOTO-9: the current ones.
pub async fn current(hub: &Arc<Hub>, channel: &Channel) -> Result<Current, CatalogError> {
    let first = async |shape| {
        let chosen = hub.catalog.chosen_photos(channel.id, shape).await?;
        Ok::<_, CatalogError>(chosen.into_iter().next())
    };
    Ok(Current { profile: first(Shape::Profile).await?, cover: first(Shape::Cover).await? })
}

/// The rows of an entry, in the order of their scales: sizes by its bytes, where they are here, and a use
/// only if it is the current one.
pub async fn rows(
    hub: &Arc<Hub>,
    channel: &Channel,
    entry: &Attach,
) -> Result<Vec<PhotoRow>, PhotoError> {
    let mut rows: BTreeMap<u8, PhotoRow> =
        entry.photo_rows()?.into_iter().map(|row| (row.imgscale, row)).collect();
    for seen in by_bytes(hub, channel, entry).await? {
        let row = rows.entry(seen.imgscale).or_insert_with(|| seen.clone());
        (row.width, row.height) = (seen.width, seen.height);
        (row.mimetype, row.filesize) = (seen.mimetype, seen.filesize);
    }
    let Current { profile, cover } = current(hub, channel).await?;
    for row in rows.values_mut() {
        let of_shape = match Shape::of_usage(row.photo_usage) {
            Some(Shape::Profile) => &profile,
            Some(Shape::Cover) => &cover,
            None => continue,
        };
        if of_shape.as_ref().is_none_or(|current| current.hash != entry.hash) {
            row.photo_usage = 0;
        }
    }
    Ok(rows.into_values().collect())
}

/// The rows of scales 0 to 3; none while the bytes are not here, or if they are no image.
async fn by_bytes(
    hub: &Arc<Hub>,
    channel: &Channel,
    entry: &Attach,
) -> Result<Vec<PhotoRow>, PhotoError> {
    let seen = match root_of(hub, channel, entry, Role::File, 0).await {
        Ok(root) => looked(hub, root).await,
        Err(error) => Err(error),
    };
    match seen {
        Ok(picture) => Ok(plain_rows(&entry.hash, &picture, entry.filesize)),
        Err(PhotoError::NotHere | PhotoError::NoSuchScale(_) | PhotoError::Bad(_)) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

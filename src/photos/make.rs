//! Makes scales of stored content.
//!
//! Owns: the order: header, memory, pixels, files. Not here: what a scale looks like (`photo`).
//! Invariant: one image is decoded by one at a time, all together within the hub's bound on memory; one
//! that cannot be decoded is tried once.
//! Spec: PHOTO-6.

use std::sync::Arc;

use zotferry_protocol::ids::{Digest, Role};
use zotferry_protocol::photo::{Crop, Shape, Target, target};

use super::cache::Cache;
use super::source::Reader;
use super::{PhotoError, root_of};
use crate::catalog::{Attach, Channel};
use crate::hub::Hub;
use crate::photo::{BadPicture, Decoded, Made, Picture, decode, probe};
use crate::storage::{Storage, read_exact_at};

/// A scale out of the cache, or made together with its kin.
pub(super) async fn made(
    hub: &Arc<Hub>,
    root: Digest,
    scale: u8,
    together: &'static [u8],
) -> Result<Vec<u8>, PhotoError> {
    if let Some(bytes) = kept(hub, root, scale).await? {
        return Ok(bytes);
    }
    let _turn = hub.decoding.turn(&root).await;
    if let Some(bytes) = kept(hub, root, scale).await? {
        return Ok(bytes);
    }
    let making = move |decoded: &Decoded| -> Result<Vec<(u8, Made)>, BadPicture> {
        together.iter().map(|scale| Ok((*scale, one(decoded, *scale)?))).collect()
    };
    let made = decoded(hub, root, making).await?;
    let cache = Cache::of(hub, root);
    let keeping = move || {
        for (scale, made) in &made {
            if let Err(error) = cache.keep(*scale, &made.bytes) {
                tracing::warn!(%root, scale, %error, "a scale cannot be kept; it is made again when it is asked for");
            }
        }
        made.into_iter().find(|(one, _)| *one == scale).map(|(_, made)| made.bytes)
    };
    tokio::task::spawn_blocking(keeping).await?.ok_or(PhotoError::NoSuchScale(scale))
}

fn one(decoded: &Decoded, scale: u8) -> Result<Made, BadPicture> {
    match target(scale) {
        Some(Target::Fit(side)) => decoded.fit(side),
        Some(Target::Of(_, width, height)) => decoded.crop(decoded.whole(), (width, height)),
        _ => Err(BadPicture::Damaged("no such scale".into())),
    }
}

async fn kept(hub: &Arc<Hub>, root: Digest, scale: u8) -> Result<Option<Vec<u8>>, PhotoError> {
    let cache = Cache::of(hub, root);
    let reading = move || match (cache.read(scale), cache.problem()) {
        (None, Some(problem)) => Err(BadPicture::Known(problem).into()),
        (bytes, _) => Ok(bytes),
    };
    tokio::task::spawn_blocking(reading).await?
}

/// PHOTO-5: cuts a profile photo or a cover out of an entry's original. Without a rectangle it is the
/// largest one in the middle; one of another shape is cut to shape. With the rectangle that counts, and
/// what the original is like.
pub async fn cropped(
    hub: &Arc<Hub>,
    channel: &Channel,
    entry: &Attach,
    shape: Shape,
    crop: Option<Crop>,
) -> Result<(Made, Crop, Picture), PhotoError> {
    let root = root_of(hub, channel, entry, Role::File, 0).await?;
    let _turn = hub.decoding.turn(&root).await;
    let cutting = move |decoded: &Decoded| {
        let picture = decoded.picture();
        let crop = crop.unwrap_or(decoded.whole());
        if !crop.lies_in(picture.width, picture.height) {
            return Err(BadPicture::Outside(crop, picture.width, picture.height));
        }
        let crop = shape.cut(crop);
        Ok((decoded.crop(crop, shape.size())?, crop, picture))
    };
    decoded(hub, root, cutting).await
}

/// Blocking: what the header of a stored content says, if it is an image that can be shown smaller.
pub fn seen(storage: &dyn Storage, root: &Digest) -> Option<Picture> {
    let content = storage.open(root).ok().flatten()?;
    probe(&mut Reader::new(&*content), content.size()).ok()
}

/// The header of a stored content.
pub(super) async fn looked(hub: &Arc<Hub>, root: Digest) -> Result<Picture, PhotoError> {
    let storage = Arc::clone(&hub.storage);
    let looking = move || -> Result<Picture, PhotoError> {
        let content = storage.open(&root)?.ok_or(PhotoError::NotHere)?;
        Ok(probe(&mut Reader::new(&*content), content.size())?)
    };
    tokio::task::spawn_blocking(looking).await?
}

/// Decodes a stored content, when its memory is free, and does something with its pixels.
async fn decoded<T: Send + 'static>(
    hub: &Arc<Hub>,
    root: Digest,
    then: impl FnOnce(&Decoded) -> Result<T, BadPicture> + Send + 'static,
) -> Result<T, PhotoError> {
    let done = try_decoded(hub, root, then).await;
    if let Err(PhotoError::Bad(bad)) = &done
        && bad.lasts()
    {
        tracing::warn!(%root, %bad, "no scales are made of an image");
        let (cache, why) = (Cache::of(hub, root), bad.to_string());
        let noting = move || cache.keep_problem(&why);
        if let Err(error) = tokio::task::spawn_blocking(noting).await? {
            tracing::debug!(%root, %error, "a note on an image cannot be kept");
        }
    }
    done
}

async fn try_decoded<T: Send + 'static>(
    hub: &Arc<Hub>,
    root: Digest,
    then: impl FnOnce(&Decoded) -> Result<T, BadPicture> + Send + 'static,
) -> Result<T, PhotoError> {
    let picture = looked(hub, root).await?;
    let memory = hub.decoding.memory(picture.memory).await;
    let storage = Arc::clone(&hub.storage);
    let decoding = move || -> Result<T, PhotoError> {
        let _memory = memory;
        let bytes = whole(&*storage, &root)?;
        Ok(then(&decode(picture, &bytes)?)?)
    };
    match tokio::task::spawn_blocking(decoding).await {
        // A decoder's bug is the image's fault: it is not fed to it again.
        Err(lost) if lost.is_panic() => {
            Err(BadPicture::Damaged("its decoder gave up".into()).into())
        }
        done => done?,
    }
}

fn whole(storage: &dyn Storage, root: &Digest) -> Result<Vec<u8>, PhotoError> {
    let content = storage.open(root)?.ok_or(PhotoError::NotHere)?;
    let size = usize::try_from(content.size()).map_err(|_| PhotoError::NotHere)?;
    let mut bytes = vec![0; size];
    read_exact_at(&*content, 0, &mut bytes)?;
    Ok(bytes)
}

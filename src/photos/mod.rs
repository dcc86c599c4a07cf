//! Scales of images, as they are served.
//!
//! Owns: which bytes a scale is made of, making it when somebody asks, keeping it. Not here: pixels
//! (`photo`), who may see what (the caller), choosing a profile photo (`files`).
//! Invariant: nothing waits for a scale but who asked for it; what is made is kept apart from content, and
//! can be made again.
//! Spec: PHOTO-4, PHOTO-5, PHOTO-6, PHOTO-9.

mod cache;
mod make;
mod rows;
mod source;

use std::sync::Arc;

use bytes::Bytes;
use zotferry_protocol::ids::{Digest, Role};
use zotferry_protocol::photo::{Shape, Target, target};

use crate::catalog::{Attach, CatalogError, Channel, DataState};
use crate::hub::Hub;
use crate::photo::{BadPicture, Kind};
use crate::storage::{Content, StorageError};

pub use cache::forget;
pub use make::{cropped, seen};
pub use rows::{Current, current, rows};

/// Why a scale cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// There is no such scale, or nobody cropped the entry for it.
    #[error("the file has no scale {0}")]
    NoSuchScale(u8),
    /// What it is made of has not arrived yet.
    #[error("its bytes are not here yet")]
    NotHere,
    /// No scales can be made of the file.
    #[error(transparent)]
    Bad(#[from] BadPicture),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// A scale that can be read.
pub struct Scale {
    /// Its MIME type.
    pub mime: String,
    /// Names exactly these bytes.
    pub etag: String,
    /// The bytes.
    pub content: Box<dyn Content>,
}

/// Opens a scale of an entry; one that is not kept is made first.
///
/// # Errors
/// [`PhotoError::NotHere`] while the bytes that it is, or is made of, have not arrived.
pub async fn open_scale(
    hub: &Arc<Hub>,
    channel: &Channel,
    entry: &Attach,
    scale: u8,
) -> Result<Scale, PhotoError> {
    match (scale, target(scale)) {
        (0, _) => {
            let root = root_of(hub, channel, entry, Role::File, scale).await?;
            stored(hub, root, Some(entry.filetype.clone())).await
        }
        (_, Some(Target::Cropped(shape))) => {
            let root = root_of(hub, channel, entry, shape.role(), scale).await?;
            stored(hub, root, None).await
        }
        (_, Some(Target::Fit(_))) => {
            let root = root_of(hub, channel, entry, Role::File, scale).await?;
            made(hub, root, scale, &[1, 2, 3]).await
        }
        (_, Some(Target::Of(shape, ..))) => {
            let root = root_of(hub, channel, entry, shape.role(), scale).await?;
            made(hub, root, scale, smaller(shape)).await
        }
        (_, None) => Err(PhotoError::NoSuchScale(scale)),
    }
}

/// The content of a role, when it is here.
async fn root_of(
    hub: &Arc<Hub>,
    channel: &Channel,
    entry: &Attach,
    role: Role,
    scale: u8,
) -> Result<Digest, PhotoError> {
    let rows = std::slice::from_ref(entry);
    let contents = hub.catalog.contents_of(channel.id, rows).await?.remove(&entry.hash);
    let content = contents.into_iter().flatten().find(|data| data.role == role);
    let content = content.ok_or(PhotoError::NoSuchScale(scale))?;
    if content.state == DataState::Present { Ok(content.root) } else { Err(PhotoError::NotHere) }
}

/// A content as it is; without a MIME type, by what its bytes say.
async fn stored(hub: &Arc<Hub>, root: Digest, mime: Option<String>) -> Result<Scale, PhotoError> {
    let storage = Arc::clone(&hub.storage);
    let opening = move || -> Result<Scale, PhotoError> {
        let content = storage.open(&root)?.ok_or(PhotoError::NotHere)?;
        let mime = match mime {
            Some(mime) => mime,
            None => {
                let mut head = [0; 32];
                let len = content.read_at(0, &mut head)?;
                mime_of(&head[..len])
            }
        };
        Ok(Scale { mime, etag: root.to_string(), content })
    };
    tokio::task::spawn_blocking(opening).await?
}

async fn made(
    hub: &Arc<Hub>,
    root: Digest,
    scale: u8,
    together: &'static [u8],
) -> Result<Scale, PhotoError> {
    let bytes = make::made(hub, root, scale, together).await?;
    let (mime, etag) = (mime_of(&bytes), format!("{root}-{scale}"));
    Ok(Scale { mime, etag, content: Box::new(Bytes::from(bytes)) })
}

fn mime_of(head: &[u8]) -> String {
    Kind::of(head).map_or("application/octet-stream", Kind::mime).to_owned()
}

/// The scales that are made of the cropped one, together.
fn smaller(shape: Shape) -> &'static [u8] {
    match shape {
        Shape::Profile => &[5, 6],
        Shape::Cover => &[8, 9],
    }
}

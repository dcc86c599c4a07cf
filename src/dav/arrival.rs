//! A file of a backup on its way into `.restore/`.
//!
//! Owns: its bytes until they are taken, and whether there is room for them. Not here: what becomes of it
//! (`backup`), what is said of it later (`restoring`).
//! Invariant: bytes have room before they are written; a file is looked at only when it is whole.
//! Spec: BACKUP-32.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use futures_util::StreamExt as _;
use tempfile::TempPath;

use super::Dav;
use super::restoring::{Failed, blocking};
use super::visit::Visit;
use crate::backup::{PER_FILE, Spool, Waiting, take_upload};
use crate::catalog::ChannelNo;
use crate::hub::{LATER, Turn};

/// Parts of a backup that nothing here needs; the identity must not lie about.
const NEEDLESS: [&str; 4] = ["README.txt", "files.tsv", "backup.jsonl", "identity"];
/// Bytes of a body for which there is no room that are read all the same.
const DRAINED: usize = 4 << 20;

/// BACKUP-32: an upload, which is taken when its last byte has come.
pub(super) async fn put(
    dav: &Arc<Dav>,
    visit: &Arc<Visit>,
    spool: Spool,
    name: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failed> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let mut pieces = body.into_data_stream();
    let status = take(dav, visit, spool, name, declared, &mut pieces).await?;
    Ok(match status {
        StatusCode::INSUFFICIENT_STORAGE => {
            drain(&mut pieces).await;
            status.into_response()
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            drain(&mut pieces).await;
            (status, [(header::RETRY_AFTER, LATER.to_string())]).into_response()
        }
        status => status.into_response(),
    })
}

/// A connection that is closed before its body was read may take the answer with it.
async fn drain(pieces: &mut BodyDataStream) {
    let mut left = DRAINED;
    while left > 0
        && let Some(Ok(piece)) = pieces.next().await
    {
        left = left.saturating_sub(piece.len());
    }
}

async fn take(
    dav: &Arc<Dav>,
    visit: &Arc<Visit>,
    spool: Spool,
    name: String,
    declared: Option<u64>,
    pieces: &mut BodyDataStream,
) -> Result<StatusCode, Failed> {
    let mut room = Room::of(dav, visit, &spool).await?;
    if !room.take(2 * PER_FILE).await? || !room.holds(declared.unwrap_or(0)).await? {
        return Ok(StatusCode::INSUFFICIENT_STORAGE);
    }
    let Ok(place) = visit.hub().uploads.take(visit.channel.id).await else {
        return Ok(StatusCode::SERVICE_UNAVAILABLE);
    };
    // When the connection is lost, this request just ends, wherever it is.
    let beginning = move || {
        let (file, path) = spool.begin()?;
        Ok((file, TempPath::try_from_path(path)?))
    };
    let (file, path) = blocking(beginning).await?;
    let size = match receive(file, pieces, &mut room).await {
        Ok(Some(size)) if declared.is_none_or(|declared| declared == size) => size,
        cut => {
            blocking(move || path.close()).await?;
            let full = matches!(cut, Ok(None));
            return Ok(if full {
                StatusCode::INSUFFICIENT_STORAGE
            } else {
                StatusCode::BAD_REQUEST
            });
        }
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    let needless = NEEDLESS.contains(&last) || name.split('/').any(|part| part == "digests");
    if needless || name.split('/').any(|part| part == "index") {
        blocking(move || path.close()).await?;
    } else {
        enter(dav, visit, &name, path, place).await?;
    }
    dav.restoring.remember(visit.channel.id, name, size);
    Ok(StatusCode::CREATED)
}

/// Of its own: when the connection is lost now, what came is taken all the same.
async fn enter(
    dav: &Arc<Dav>,
    visit: &Arc<Visit>,
    name: &str,
    path: TempPath,
    place: Turn,
) -> Result<(), Failed> {
    let (dav, visit, name) = (Arc::clone(dav), Arc::clone(visit), name.to_owned());
    let entering = tokio::spawn(async move {
        // Those who wait here are as many as have a place.
        let _place = place;
        let _one = dav.restoring.taking.in_channel(visit.channel.id).await;
        let path = path.keep().map_err(|error| error.error)?;
        Ok::<_, Failed>(take_upload(visit.hub(), &visit.channel, &name, path).await?)
    });
    entering.await?
}

/// The body into a file; how many bytes came, none if there is no room for them.
async fn receive(
    file: std::fs::File,
    pieces: &mut BodyDataStream,
    room: &mut Room<'_>,
) -> Result<Option<u64>, Failed> {
    let (mut file, mut size) = (Some(file), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        if !room.holds(size).await? {
            return Ok(None);
        }
        let mut writing = file.take().ok_or("the file is gone")?;
        file = Some(blocking(move || writing.write_all(&piece).map(|()| writing)).await?);
    }
    Ok(Some(size))
}

/// What one request may still add to what waits.
pub(super) struct Room<'a> {
    waiting: &'a Waiting,
    spool: Spool,
    channel: ChannelNo,
    /// What the quota leaves for all that waits; none where there is no quota.
    quota: Option<u64>,
    free: u64,
    /// Bytes of the body that have room.
    held: u64,
}

impl<'a> Room<'a> {
    pub(super) async fn of(dav: &'a Dav, visit: &Visit, spool: &Spool) -> Result<Self, Failed> {
        let quota = match visit.channel.quota {
            Some(_) => Some(visit.room(0).await?),
            None => None,
        };
        let (waiting, channel, free) =
            (&dav.restoring.waiting, visit.channel.id, visit.free_space().await?);
        Ok(Self { waiting, spool: spool.clone(), channel, quota, free, held: 0 })
    }

    /// Takes room for some bytes, if there is any.
    pub(super) async fn take(&self, bytes: u64) -> Result<bool, Failed> {
        let Some(quota) = self.quota else { return Ok(true) };
        Ok(self.waiting.take(&self.spool, self.channel, bytes, quota).await?)
    }

    /// Sees to it that a body of `size` bytes has room.
    async fn holds(&mut self, size: u64) -> Result<bool, Failed> {
        let more = size.saturating_sub(self.held);
        if size > self.free || more > 0 && !self.take(more).await? {
            return Ok(false);
        }
        self.held = self.held.max(size);
        Ok(true)
    }
}

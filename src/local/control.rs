//! Trying again, resting, going on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::{Ask, Failure, Local};
use crate::queue::QueueError;

/// Tries again what was given up.
#[derive(Debug, Serialize, Deserialize)]
pub struct Retry {
    /// Of which channel; `None`: of all.
    pub channel: Option<String>,
}

/// What is tried again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Retried {
    /// Jobs that were given up after too many attempts.
    pub jobs: usize,
    /// Contents that were given up.
    pub files: u64,
}

/// Lets a channel's transfers rest, or go on.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetPaused {
    /// Which channel.
    pub channel: String,
    /// Whether they rest.
    pub paused: bool,
}

/// Whether a channel's transfers rest now.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Paused {
    /// Whether they do.
    pub paused: bool,
}

impl Ask for Retry {
    const PATH: &'static str = "/retry";
    type Answer = Retried;
}

impl Ask for SetPaused {
    const PATH: &'static str = "/pause";
    type Answer = Paused;
}

pub(super) async fn retry(
    State(local): State<Arc<Local>>,
    Json(ask): Json<Retry>,
) -> Result<Json<Retried>, Failure> {
    let hub = &local.hub;
    let channels = match &ask.channel {
        Some(nick) => vec![local.channel(nick).await?],
        None => hub.catalog.channels().await?,
    };
    let ids: Vec<i64> = channels.iter().map(|channel| channel.id).collect();
    let mut files = 0;
    for id in &ids {
        files += hub.catalog.retry_failed(*id).await?;
    }
    let queue = Arc::clone(&hub.queue);
    let waking = move || -> Result<usize, QueueError> {
        queue.retry_dead(&|job| ids.contains(&job.lane.channel))
    };
    let jobs = tokio::task::spawn_blocking(waking).await??;
    hub.tell_receiver();
    hub.deliveries.notify_one();
    Ok(Json(Retried { jobs, files }))
}

pub(super) async fn set_paused(
    State(local): State<Arc<Local>>,
    Json(ask): Json<SetPaused>,
) -> Result<Json<Paused>, Failure> {
    let channel = local.channel(&ask.channel).await?;
    local.hub.catalog.set_paused(channel.id, ask.paused).await?;
    match &local.receiver {
        Some(receiver) if ask.paused => receiver.drop_channel(channel.id),
        _ => local.hub.tell_receiver(),
    }
    Ok(Json(Paused { paused: ask.paused }))
}

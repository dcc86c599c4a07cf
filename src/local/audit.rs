//! Comparing a channel with its other clones, and its files with their roots, because somebody asks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{AskLines, Failure, Local, lines};
use crate::audit::{Account, Checked, Mode, Pace, check_files, compare};
use crate::catalog::{Channel, LocationState};
use crate::hub::Hub;

/// Compares a channel with each of its other clones.
#[derive(Debug, Serialize, Deserialize)]
pub struct Audit {
    /// Which channel.
    pub channel: String,
    /// Whether both sides get what they lack.
    pub repair: bool,
    /// Whether the files of this hub are read again as well.
    pub files: bool,
}

/// What an audit tells as it goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditEvent {
    /// One clone was compared, or could not be.
    Clone(Account),
    /// So much has been read again.
    Reading {
        /// What was found so far.
        checked: Checked,
        /// Bytes that are to be read, about.
        of: u64,
    },
    /// All files have been read.
    Files(Checked),
}

impl AskLines for Audit {
    const PATH: &'static str = "/audit";
    type Event = AuditEvent;
}

pub(super) async fn audit(
    State(local): State<Arc<Local>>,
    Json(ask): Json<Audit>,
) -> Result<Response, Failure> {
    let channel = local.channel(&ask.channel).await?;
    let hub = Arc::clone(&local.hub);
    Ok(lines::answer(async move |events| {
        if ask.files {
            let checked = files(&hub, &events).await?;
            events.send(AuditEvent::Files(checked)).await.ok();
        }
        if ask.repair {
            hub.catalog.retry_failed(channel.id).await?;
            hub.tell_receiver();
        }
        clones(&hub, &channel, ask.repair, &events).await
    }))
}

/// One clone after the other; one that cannot be reached does not keep the others from it.
async fn clones(
    hub: &Arc<Hub>,
    channel: &Channel,
    repair: bool,
    events: &mpsc::Sender<AuditEvent>,
) -> Result<(), Failure> {
    let mode = if repair { Mode::Repair } else { Mode::Look };
    for location in hub.catalog.locations(channel.id).await? {
        let listed = location.state == LocationState::Listed && !location.deleted;
        if !listed || location.foreign || location.site == hub.site {
            continue;
        }
        let (peer, channel) = hub.peer_and_channel(location.site, channel.id).await?;
        let account = compare(hub, &peer, &channel, mode).await.unwrap_or_else(|error| {
            let error = Some(error.to_string());
            Account { url: location.url.clone(), error, ..Account::default() }
        });
        events.send(AuditEvent::Clone(account)).await.ok();
    }
    Ok(())
}

/// At full speed, on no other account than the background's.
async fn files(hub: &Arc<Hub>, events: &mpsc::Sender<AuditEvent>) -> Result<Checked, Failure> {
    let mut of = 0;
    for channel in hub.catalog.channels().await? {
        of += channel.used;
    }
    let mut told = |checked: &Checked, _| {
        let event = AuditEvent::Reading { checked: *checked, of };
        // Progress that nobody has read yet is out of date; whoever went away has closed the channel.
        !matches!(events.try_send(event), Err(mpsc::error::TrySendError::Closed(_)))
    };
    Ok(check_files(hub, None, Pace { bytes_per_second: None }, &mut told).await?)
}

//! How a hub and its channels are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use zotferry_protocol::ids::Millis;

use super::{Ask, Failure, Local};
use crate::catalog::{
    Channel, ChannelOverview, CloneOverview, DataState, LocationState, ScrubMark,
};
use crate::metrics::{self, Counts};
use crate::queue::Lane;

/// Asks how a hub is.
#[derive(Debug, Serialize, Deserialize)]
pub struct StatusOf {}

/// How a hub is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Its base URL.
    pub url: String,
    /// Its id.
    pub site_id: String,
    /// Its release.
    pub version: String,
    /// What only a running hub has.
    pub running: Option<Running>,
    /// Its jobs.
    pub jobs: Jobs,
    /// How far its files have been read again to find damage.
    #[serde(default)]
    pub files_read: FilesRead,
    /// Its channels, by nick.
    pub channels: Vec<ChannelStatus>,
}

/// How far files have been read again.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct FilesRead {
    /// How many, in this pass.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were damaged or missing.
    pub damaged: u64,
    /// Whether a pass goes on.
    pub underway: bool,
    /// When the last whole pass ended: Unix ms.
    pub ended: Option<u64>,
}

/// What only a running hub has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// How long it has been running, in s.
    pub uptime_s: u64,
    /// Peak resident memory, in bytes.
    pub peak_rss: Option<u64>,
    /// What it has done.
    pub counts: Counts,
}

/// Jobs in each state.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Jobs {
    /// Could be done now.
    pub due: usize,
    /// Being worked on.
    pub leased: usize,
    /// Waiting for their time.
    pub delayed: usize,
    /// Given up; `zotferry retry` brings them back.
    pub dead: usize,
}

/// How a channel is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// Its name here.
    pub nick: String,
    /// Its id everywhere.
    pub id: String,
    /// Whether its transfers rest.
    pub paused: bool,
    /// Bytes it may use; `None` = no limit.
    pub quota: Option<u64>,
    /// What is here.
    pub present: Tally,
    /// What is to be fetched.
    pub wanted: Tally,
    /// What was given up.
    pub failed: Tally,
    /// Entries, removed ones too.
    #[serde(default)]
    pub entries: u64,
    /// Bytes of what is wanted that are here already.
    pub underway: u64,
    /// Bytes a second that arrive, while something is wanted.
    pub rate: Option<u64>,
    /// Its other hubs.
    pub clones: Vec<CloneStatus>,
}

/// Files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub files: u64,
    /// How large.
    pub bytes: u64,
}

/// How another hub of a channel is, as this one knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloneStatus {
    /// Its base URL.
    pub url: String,
    /// Whether it takes part.
    pub state: CloneState,
    /// Operations of this hub that it has not answered for, at most.
    pub behind: u64,
    /// Contents that it has said to have.
    pub present: u64,
    /// Failed attempts since the last that succeeded.
    pub attempts: u32,
    /// What the last failed attempt said.
    pub last_error: Option<String>,
    /// How it was found when it was compared last; `None` before the first time.
    #[serde(default)]
    pub found: Option<Found>,
    /// Entries that are being asked of it.
    #[serde(default)]
    pub to_go: u64,
}

/// How a clone was found when both catalogs were compared.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Found {
    /// How long ago, in s.
    pub ago_s: Option<u64>,
    /// How long ago both were equal, in s.
    pub equal_ago_s: Option<u64>,
    /// Entries that differed, the last time.
    pub differing: u64,
    /// Whether it missed so much that it is brought up by comparing.
    pub by_audit: bool,
}

/// Whether another hub takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloneState {
    /// It does.
    Listed,
    /// It has to prove itself first.
    Pending,
    /// It does not speak this protocol.
    Foreign,
}

impl Ask for StatusOf {
    const PATH: &'static str = "/status";
    type Answer = Status;
}

pub(super) async fn status(
    State(local): State<Arc<Local>>,
    Json(_): Json<StatusOf>,
) -> Result<Json<Status>, Failure> {
    let hub = &local.hub;
    let overview = hub.catalog.overview().await?;
    let jobs = hub.queue.counts(hub.clock.now());
    Ok(Json(Status {
        url: hub.config.url.to_string(),
        site_id: hub.site_id.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        running: local.receiver.is_some().then(|| running(&local)),
        jobs: Jobs { due: jobs.due, leased: jobs.leased, delayed: jobs.delayed, dead: jobs.dead },
        files_read: files_read(&overview.scrub),
        channels: overview.channels.into_iter().map(|of| channel_status(&local, of)).collect(),
    }))
}

fn files_read(mark: &ScrubMark) -> FilesRead {
    FilesRead {
        files: mark.contents,
        bytes: mark.bytes,
        damaged: mark.damaged,
        underway: mark.after.is_some(),
        ended: mark.ended.map(|at| at.0),
    }
}

fn running(local: &Local) -> Running {
    Running {
        pid: std::process::id(),
        uptime_s: local.started.elapsed().as_secs(),
        peak_rss: metrics::peak_rss(),
        counts: local.hub.metrics.counts(),
    }
}

fn channel_status(local: &Local, of: ChannelOverview) -> ChannelStatus {
    let channel = of.channel;
    let tally = |state| {
        let tally = of.tallies.iter().find(|t| t.state == state);
        tally.map_or(Tally::default(), |t| Tally { files: t.files, bytes: t.bytes })
    };
    let wanted = tally(DataState::Wanted);
    let underway = local.underway(channel.id);
    let here = local.hub.site;
    let others = of
        .locations
        .into_iter()
        .filter(|clone| clone.location.site != here && !clone.location.deleted);
    ChannelStatus {
        entries: of.entries,
        id: channel.portable_id.to_string(),
        paused: channel.paused,
        quota: channel.quota,
        present: tally(DataState::Present),
        failed: tally(DataState::Failed),
        underway: underway.min(wanted.bytes),
        rate: local.rates.of(channel.id).filter(|_| wanted.files > 0),
        wanted,
        clones: others.map(|clone| clone_status(local, &channel, clone)).collect(),
        nick: channel.nick,
    }
}

fn clone_status(local: &Local, channel: &Channel, clone: CloneOverview) -> CloneStatus {
    let (hub, location) = (&local.hub, clone.location);
    let now = hub.clock.now();
    let ago = |at: Option<Millis>| at.map(|at| now.since(at) / 1000);
    CloneStatus {
        found: clone.compared.map(|c| Found {
            ago_s: ago(c.at),
            equal_ago_s: ago(c.equal_at),
            differing: c.differing,
            by_audit: c.by_audit,
        }),
        to_go: hub.audits.to_go(Lane { channel: channel.id, site: location.site }),
        state: match location.state {
            _ if location.foreign => CloneState::Foreign,
            LocationState::Listed => CloneState::Listed,
            LocationState::Pending => CloneState::Pending,
        },
        behind: channel.seq.saturating_sub(location.acked_seq),
        present: clone.present,
        attempts: location.attempts,
        last_error: location.last_error,
        url: location.url,
    }
}

impl Local {
    /// Durable bytes of a channel's files that are being filled.
    pub(super) fn underway(&self, channel: i64) -> u64 {
        let files = self.receiver.iter().flat_map(|r| r.progress());
        files.filter(|file| file.channel == channel).map(|file| file.held).sum()
    }
}

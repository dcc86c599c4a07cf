//! What a running hub offers its owner on the Unix socket in its folder.
//!
//! Owns: the questions, their answers, the socket, and a client for it. Not here: how a question
//! looks on a command line (`cli`), what other hubs may ask (`web`).
//! Invariant: the socket is its owner's alone (0600 in a folder of 0700); every command takes this
//! one way in, also where no hub runs (see [`client`]).
//!
//! A question is a JSON object posted to a path, an answer a JSON value; what takes long is
//! answered with lines of JSON (see `lines.rs`). One file per question, or per family of them.

mod audit;
mod backup;
mod channels;
pub mod client;
mod clones;
mod control;
mod edit;
mod failure;
mod get;
mod hubzilla;
mod items;
mod lines;
mod list;
mod meta;
mod passwords;
mod photo;
mod put;
mod rates;
mod socket;
mod status;
mod transfers;
mod watch;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::catalog::Channel;
use crate::hub::Hub;
use crate::receiver::Receiver;
use crate::watch::Watches;

pub use audit::{Audit, AuditEvent};
pub use backup::{ExportBackup, Piece, RestoreBackup};
pub use channels::{
    ChannelInfo, ExportChannel, Exported, ImportChannel, Imported, ListChannels, MakeChannel,
};
pub use clones::{
    CloneInfo, LeaveChannel, Left, ListClones, MakePrimary, RemoveClone, RotateKey, Standing,
};
pub use control::{Paused, Retried, Retry, SetPaused};
pub use edit::{Edited, MakeFolder, MoveEntry, RemoveEntry};
pub use failure::{Failure, Kind};
pub use get::Get;
pub use hubzilla::AdoptHubzilla;
pub use items::{AddItems, AddedItems, Described, GetItem, ListItems, RemoveItem, SkippedItem};
pub use lines::Line;
pub use list::{Entry, EntryState, List};
pub use meta::{Describe, Description, SetSight, Sight, SightSet};
pub use passwords::{
    ListPasswords, MadePassword, MakePassword, PasswordInfo, RemovePassword, Removed,
};
pub use photo::{PhotoScale, PhotoUse, PhotoWasSet, SetPhoto, ShowPhotos};
pub use put::{Adopt, Put};
pub use socket::Socket;
pub use status::{
    ChannelStatus, CloneState, CloneStatus, FilesRead, Found, Jobs, Running, Status, StatusOf,
    Tally,
};
pub use transfers::{Transfers, Underway};
pub use watch::Watch;

/// Bytes of a question at most: an identity file in base64 has room.
const MAX_QUESTION: usize = 4 << 20;

/// A question with one answer.
pub trait Ask: Serialize {
    /// Where it is posted.
    const PATH: &'static str;
    /// What comes back.
    type Answer: DeserializeOwned;
}

/// A question that is answered in lines.
pub trait AskLines: Serialize {
    /// Where it is posted.
    const PATH: &'static str;
    /// What a line carries.
    type Event: DeserializeOwned;
}

/// What the answers are made from.
pub struct Local {
    hub: Arc<Hub>,
    /// `None` where no hub runs and a command has opened the folder for itself.
    receiver: Option<Arc<Receiver>>,
    watches: Option<Arc<Watches>>,
    rates: rates::Rates,
    started: Instant,
}

impl Local {
    /// For a hub that runs.
    pub fn running(hub: Arc<Hub>, receiver: Arc<Receiver>, watches: Arc<Watches>) -> Arc<Self> {
        Self::of(hub, Some(receiver), Some(watches))
    }

    /// For a folder that no hub serves at the moment.
    pub fn resting(hub: Arc<Hub>) -> Arc<Self> {
        Self::of(hub, None, None)
    }

    fn of(
        hub: Arc<Hub>,
        receiver: Option<Arc<Receiver>>,
        watches: Option<Arc<Watches>>,
    ) -> Arc<Self> {
        let (rates, started) = (rates::Rates::default(), Instant::now());
        Arc::new(Self { hub, receiver, watches, rates, started })
    }

    async fn channel(&self, nick: &str) -> Result<Channel, Failure> {
        let found = self.hub.catalog.channel_by_nick(nick).await?;
        found.ok_or_else(|| {
            let nick = crate::text::visible(nick);
            Failure::not_found(format!(
                "no channel {nick} on this hub; `zotferry channel list` names those that are"
            ))
        })
    }
}

/// Every question.
pub fn router(local: Arc<Local>) -> Router {
    Router::new()
        .route(MakeChannel::PATH, post(channels::make))
        .route(ListChannels::PATH, post(channels::list))
        .route(ExportChannel::PATH, post(channels::export))
        .route(ImportChannel::PATH, post(channels::import))
        .route(MakePassword::PATH, post(passwords::make))
        .route(ListPasswords::PATH, post(passwords::list))
        .route(RemovePassword::PATH, post(passwords::remove))
        .route(RotateKey::PATH, post(clones::rotate))
        .route(ListClones::PATH, post(clones::list))
        .route(RemoveClone::PATH, post(clones::remove))
        .route(MakePrimary::PATH, post(clones::make_primary))
        .route(LeaveChannel::PATH, post(clones::leave))
        .route(Put::PATH, post(put::put))
        .route(Adopt::PATH, post(put::adopt))
        .route(AdoptHubzilla::PATH, post(hubzilla::adopt))
        .route(Get::PATH, post(get::get))
        .route(List::PATH, post(list::list))
        .route(AddItems::PATH, post(items::add))
        .route(RemoveItem::PATH, post(items::remove))
        .route(GetItem::PATH, post(items::get))
        .route(ListItems::PATH, post(items::list))
        .route(SetPhoto::PATH, post(photo::set))
        .route(ShowPhotos::PATH, post(photo::show))
        .route(StatusOf::PATH, post(status::status))
        .route(Audit::PATH, post(audit::audit))
        .route(ExportBackup::PATH, post(backup::export))
        .route(RestoreBackup::PATH, post(backup::restore))
        .route(Piece::PATH, post(backup::piece))
        .route(Transfers::PATH, post(transfers::transfers))
        .route(Retry::PATH, post(control::retry))
        .route(SetPaused::PATH, post(control::set_paused))
        .route(MakeFolder::PATH, post(edit::make_folder))
        .route(MoveEntry::PATH, post(edit::move_entry))
        .route(RemoveEntry::PATH, post(edit::remove_entry))
        .route(Describe::PATH, post(meta::describe))
        .route(SetSight::PATH, post(meta::set_below))
        .route(Watch::PATH, post(watch::watch))
        .layer(DefaultBodyLimit::max(MAX_QUESTION))
        .with_state(local)
}

/// Answers on a socket until the hub stops.
pub async fn serve(socket: Socket, local: Arc<Local>) {
    let stop = local.hub.stop.clone();
    let sampling = rates::sample(Arc::clone(&local));
    let serving = crate::web::serve_local(socket.listener, router(local), stop);
    tokio::join!(serving, sampling);
    // A socket that nobody listens on would only be in the way; the next hub replaces it anyway.
    std::fs::remove_file(&socket.path).ok();
}

/// The names in a path of a channel; none for the top.
fn names(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !name.is_empty()).collect()
}

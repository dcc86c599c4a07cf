//! The channels of a hub as identities: made, taken away, brought from elsewhere.
//!
//! Owns: what makes a hub a clone of a channel. Not here: how an identity travels as a file
//! (`export`), what is announced to whom (`clone_sync`).
//! Invariant: the private key is on disk before the catalog knows the channel; a replica id is
//! minted anew with every import.
//! Spec: ID-1, ID-2, ID-6, ID-7, ID-20.

pub mod export;
mod hubzilla;
mod sealed;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha512};
use uuid::Uuid;
use zotferry_protocol::identity::{SignedLocation, portable_id};
use zotferry_protocol::ids::{PortableId, ReplicaId};

use crate::catalog::{CatalogError, Channel, NewChannel};
use crate::hub::{CallError, Hub, HubError};
use crate::keys::{KeyFileError, PrivateKey};
use crate::packets::place;

pub use sealed::{SealError, SealKey};

/// Everything that makes a hub a clone of a channel.
pub struct Identity {
    /// The random half of the id.
    pub guid: String,
    /// The name that the channel had where it comes from.
    pub nick: String,
    /// The channel's key.
    pub key: PrivateKey,
    /// Where it lives, as far as the exporting hub knew.
    pub locations: Vec<SignedLocation>,
}

/// Why a channel could not be made or brought.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The name is taken, or no name.
    #[error("a channel's name is 1 to 64 lower-case letters, digits, '-', '_' or '.', not {0:?}")]
    Nick(String),
    /// It lives here already.
    #[error("the channel {0} lives on this hub already")]
    Here(String),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A location record of the identity.
    #[error("a location in the identity: {0}")]
    Location(#[from] CallError),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// A new channel that lives on this hub alone.
pub async fn create(hub: &Arc<Hub>, nick: &str) -> Result<Channel, ChannelError> {
    let key = tokio::task::spawn_blocking(PrivateKey::generate).await??;
    let random: Vec<u8> = (0..4).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
    let guid = URL_SAFE_NO_PAD.encode(Sha512::digest(random));
    adopt(hub, Identity { guid, nick: nick.to_owned(), key, locations: Vec::new() }, nick).await
}

/// Makes this hub a clone of a channel: key, channel, location record, and the announcements to the
/// places where it lives already.
pub async fn adopt(
    hub: &Arc<Hub>,
    identity: Identity,
    nick: &str,
) -> Result<Channel, ChannelError> {
    if !is_nick(nick) {
        return Err(ChannelError::Nick(nick.to_owned()));
    }
    let id = portable_id(&identity.guid, identity.key.public());
    if hub.catalog.channel_by_id(&id).await?.is_some()
        || hub.catalog.channel_by_nick(nick).await?.is_some()
    {
        return Err(ChannelError::Here(nick.to_owned()));
    }
    save_key(hub, &id, &identity.key)?;
    let quota = hub.config.limits.quota_mib;
    let new = NewChannel {
        portable_id: id.clone(),
        guid: identity.guid,
        nick: nick.to_owned(),
        public_pem: identity.key.public().pem().to_owned(),
        // ID-20: whatever brought the channel here.
        replica: ReplicaId(Uuid::new_v4().into_bytes()[..8].try_into().unwrap_or_default()),
        quota: (quota > 0).then_some(quota << 20),
    };
    let channel = hub.catalog.add_channel(&new, hub.clock.now()).await?;
    hub.state_location(&channel, identity.locations.is_empty(), false).await?;
    for record in &identity.locations {
        match record.verify(&id, identity.key.public()) {
            Ok(verified) => place(hub, channel.id, &verified).await?,
            Err(refusal) => tracing::warn!(%refusal, "a location in the identity does not hold"),
        }
    }
    Ok(channel)
}

/// A key left by an attempt that was cut off is the same key: it is kept.
fn save_key(hub: &Hub, id: &PortableId, key: &PrivateKey) -> Result<(), KeyFileError> {
    let path = hub.folder.channel_key(id);
    if path.exists() && PrivateKey::load(&path)?.public() == key.public() {
        return Ok(());
    }
    key.save_new(&path)
}

fn is_nick(nick: &str) -> bool {
    (1..=64).contains(&nick.len())
        && !nick.starts_with('.')
        && nick.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
}

//! The channels of a hub as identities: made, taken away, brought from elsewhere.
//!
//! Owns: what makes a hub a clone of a channel. Not here: how an identity travels as a file
//! (`export`), what is announced to whom (`clone_sync`).
//! Invariant: the private key is on disk before the catalog knows the channel; a replica id is
//! minted anew with every import.
//! Spec: ID-1, ID-2, ID-6, ID-7, ID-20, ID-26.

pub mod clones;
pub mod export;
mod hubzilla;
mod parting;
mod rotate;
mod sealed;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha512};
use uuid::Uuid;
use zotferry_protocol::codec;
use zotferry_protocol::identity::{
    KeyChain, PublicKey, Rotation, SignedLocation, SignedRotation, portable_id,
};
use zotferry_protocol::packets::Locations;
use zotferry_protocol::refusal::{Code, Refusal};

use crate::catalog::{CatalogError, Channel, NewChannel, Turn};
use crate::hub::{CallError, Hub, HubError};
use crate::keys::{KeyFileError, PrivateKey};
use crate::packets::statements::{Bringer, TakeError, fresh_replica, take};
use crate::queue::QueueError;
use crate::storage::StorageError;

pub(crate) use export::fuzzed;
pub use parting::forget;
pub use rotate::{rotate, rotate_to};
pub use sealed::{SealError, SealKey};

/// Everything that makes a hub a clone of a channel.
pub struct Identity {
    /// The random half of the id.
    pub guid: String,
    /// The name that the channel had where it comes from.
    pub nick: String,
    /// The channel's newest key.
    pub key: PrivateKey,
    /// How that key came from the first one, by which the id is made.
    pub rotations: Vec<SignedRotation>,
    /// Where it lives, as far as the exporting hub knew.
    pub locations: Vec<SignedLocation>,
}

impl Identity {
    /// ID-26: the channel's keys, which begin with the one that its id is made from and end with the
    /// one that is here.
    pub fn chain(&self) -> Result<KeyChain, Refusal> {
        let first = match self.rotations.first() {
            None => self.key.public().clone(),
            Some(first) => {
                let said: Rotation = codec::decode_owned(&first.record)?;
                PublicKey::from_pem(&said.old_key)
                    .map_err(|error| Refusal::with(Code::BadKey, error))?
            }
        };
        let chain = KeyChain::new(portable_id(&self.guid, &first), first).with(&self.rotations)?;
        match chain.newest() == self.key.public() {
            true => Ok(chain),
            false => Err(Refusal::with(Code::BadStatement, "the key is not the last one")),
        }
    }
}

/// Why a channel could not be made, brought or changed.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The name is taken, or no name.
    #[error("a channel's name is 1 to 64 lower-case letters, digits, '-', '_' or '.', not {0:?}")]
    Nick(String),
    /// It lives here already.
    #[error("the channel {0} lives on this hub already")]
    Here(String),
    /// It does not live here any more.
    #[error("the channel {0} has left this hub; import its identity to bring it back")]
    Left(String),
    /// It was rotated elsewhere, and the new key has not been brought here.
    #[error(
        "the newest key of {0} is not on this hub; export the identity on a hub that has it, and \
         import it here"
    )]
    OldKey(String),
    /// ID-26: a chain has an end.
    #[error("the channel's key was rotated 32 times; it cannot be rotated again")]
    TooManyKeys,
    /// No clone at this URL.
    #[error("the channel has no clone at {0}; `zotferry clone ls` names those that it has")]
    NoClone(String),
    /// A hub does not remove itself.
    #[error("this is the hub itself; `zotferry clone leave` takes the channel off it")]
    Itself,
    /// Nothing stands in its way.
    #[error("the clone at {0} was not removed")]
    NotRemoved(String),
    /// A signed statement does not hold.
    #[error("a signed statement about the channel: {0}")]
    Statement(String),
    /// The bytes.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
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
    let (nick, rotations, locations) = (nick.to_owned(), Vec::new(), Vec::new());
    let identity = Identity { guid, nick, key, rotations, locations };
    let nick = identity.nick.clone();
    adopt(hub, identity, &nick).await
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
    let chain = identity.chain().map_err(|e| ChannelError::Statement(e.to_string()))?;
    let id = chain.channel().clone();
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
        public_pem: chain.newest().pem().to_owned(),
        // ID-20: whatever brought the channel here.
        replica: fresh_replica(),
        quota: (quota > 0).then_some(quota << 20),
    };
    let channel = hub.catalog.add_channel(&new, hub.clock.now()).await?;
    let turn = Turn {
        rotations: chain.signed().iter().map(codec::encode).collect(),
        newest: channel.public_pem.clone(),
        ..Turn::default()
    };
    hub.catalog.turn(channel.id, &turn).await?;
    hub.state_location(&channel, identity.locations.is_empty(), false).await?;
    // One by one: a record of a hub that left does not spoil the others.
    for record in identity.locations {
        let said = Locations { records: vec![record], ..Locations::default() };
        match take(hub, &channel, &said, Bringer::Person).await {
            Ok(()) => {}
            Err(TakeError::Own(error)) => return Err(error.into()),
            Err(TakeError::Refused(refusal)) => {
                tracing::warn!(%refusal, "a location in the identity does not hold");
            }
        }
    }
    Ok(channel)
}

/// A key left by an attempt that was cut off is the same key: it is kept.
fn save_key(
    hub: &Hub,
    id: &zotferry_protocol::ids::PortableId,
    key: &PrivateKey,
) -> Result<(), KeyFileError> {
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

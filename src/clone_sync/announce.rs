//! Announces this hub's location to another, and challenges that one if it is not listed yet.
//!
//! Spec: ID-12 to ID-14, QUEUE-14.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zotferry_protocol::identity::{PublicKey, SignedLocation};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::{Challenge, Locations, Packet};

use crate::catalog::{Channel, LocationState};
use crate::hub::{CallError, Hub, Peer};
use crate::packets::place;
use crate::queue::{Lane, Task};

/// Challenges, lists, and says where the channel lives; keeps what the other answers.
pub(super) async fn announce(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
) -> Result<(), CallError> {
    let Some(location) = hub.catalog.location(channel.id, peer.row).await? else { return Ok(()) };
    let own = hub.own_location(channel).await?;
    if location.foreign || location.deleted {
        return Ok(());
    }
    if location.state == LocationState::Pending {
        challenge(hub, peer, channel, own.as_ref()).await?;
        hub.catalog.set_location_state(channel.id, peer.row, LocationState::Listed).await?;
        tracing::info!(site = %peer.url, channel = channel.nick, "a clone proved itself and is listed");
    }
    let records = Packet::from(Locations { records: own.iter().cloned().collect() });
    let answer = hub.call(peer, &channel.portable_id, &records, own.as_ref()).await?;
    if let Packet::Locations(known) = &*answer {
        keep(hub, channel, &known.records).await?;
    }
    let lane = Lane { channel: channel.id, site: peer.row };
    hub.push_keyed(lane, Task::Deliver).await?;
    hub.push_keyed(lane, Task::Report).await?;
    // Bytes that could not be had while it was away may be had now.
    hub.wake(peer.row).await
}

/// ID-13, ID-14: the site key signs our nonce, from that URL.
async fn challenge(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
    own: Option<&SignedLocation>,
) -> Result<(), CallError> {
    let random = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    let nonce = Digest(Sha256::digest(random).into());
    let packet = Packet::from(Challenge { nonce });
    let answer = hub.call(peer, &channel.portable_id, &packet, own).await?;
    match &*answer {
        Packet::Challenge(same) if same.nonce == nonce => Ok(()),
        _ => Err(CallError::Local(format!("{} did not answer its challenge", peer.url))),
    }
}

async fn keep(
    hub: &Arc<Hub>,
    channel: &Channel,
    records: &[SignedLocation],
) -> Result<(), CallError> {
    let key =
        PublicKey::from_pem(&channel.public_pem).map_err(|e| CallError::Local(e.to_string()))?;
    for record in records {
        match record.verify(&channel.portable_id, &key) {
            Ok(verified) => {
                place(hub, channel.id, &verified)
                    .await
                    .map_err(|e| CallError::Local(e.to_string()))?;
            }
            Err(refusal) => tracing::warn!(%refusal, "a location record does not hold"),
        }
    }
    Ok(())
}

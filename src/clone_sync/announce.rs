//! Announces where a channel lives and which keys it has, and challenges a hub that is not listed yet.
//!
//! Spec: ID-12 to ID-14, ID-17, ID-42, ID-34, QUEUE-14.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zotferry_protocol::identity::Introduction;
use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::{Challenge, Packet};
use zotferry_protocol::refusal::Code;

use crate::catalog::{Channel, LocationState};
use crate::hub::{CallError, Hub, Peer};
use crate::packets::statements::{Bringer, TakeError, known, take};
use crate::queue::{Lane, Task};

/// Challenges, lists, and says where the channel lives; keeps what the other answers.
pub(super) async fn announce(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
) -> Result<(), CallError> {
    let Some(location) = hub.catalog.location(channel.id, peer.row).await? else { return Ok(()) };
    if location.foreign || location.deleted {
        return Ok(());
    }
    let own = hub.introduction(channel).await?;
    if !hub.lives_here(channel.id).await? {
        return say_goodbye(hub, peer, channel, own.as_ref()).await;
    }
    if location.state == LocationState::Pending {
        challenge(hub, peer, channel, own.as_ref()).await?;
        hub.catalog.set_location_state(channel.id, peer.row, LocationState::Listed).await?;
        tracing::info!(site = %peer.url, channel = channel.nick, "a clone proved itself and is listed");
        hub.audits.wake();
    }
    let packet = Packet::from(known(hub, channel).await?);
    let answer = hub.call(peer, &channel.portable_id, &packet, own.as_ref()).await?;
    if let Packet::Locations(said) = &*answer {
        match take(hub, channel, said, Bringer::Clone).await {
            Ok(()) => {}
            Err(TakeError::Own(error)) => return Err(error),
            Err(TakeError::Refused(refusal)) => {
                tracing::warn!(site = %peer.url, %refusal, "a statement about a channel does not hold");
            }
        }
    }
    let lane = Lane { channel: channel.id, site: peer.row };
    hub.push_keyed(lane, Task::Deliver).await?;
    hub.push_keyed(lane, Task::Report).await?;
    // Bytes that could not be had while it was away may be had now.
    hub.wake(peer.row).await
}

/// The channel has left this hub: the others hear it, and nothing else.
async fn say_goodbye(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
    own: Option<&Introduction>,
) -> Result<(), CallError> {
    let packet = Packet::from(known(hub, channel).await?);
    match hub.call(peer, &channel.portable_id, &packet, own).await {
        // It has heard of it already.
        Err(error) if error.is(Code::NotAClone) => Ok(()),
        done => done.map(drop),
    }
}

/// ID-13, ID-14: the site key signs our nonce, from that URL.
async fn challenge(
    hub: &Arc<Hub>,
    peer: &Peer,
    channel: &Channel,
    own: Option<&Introduction>,
) -> Result<(), CallError> {
    // ID-42: who states where a channel lives may name somebody who knows nothing of it.
    let url = peer.url.to_url();
    hub.paces
        .challenge(url.host_str().unwrap_or_default())
        .map_err(|seconds| CallError::TooSoon { site: peer.url.clone(), seconds })?;
    let random = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    let nonce = Digest(Sha256::digest(random).into());
    let packet = Packet::from(Challenge { nonce });
    let answer = hub.call(peer, &channel.portable_id, &packet, own).await?;
    match &*answer {
        Packet::Challenge(same) if same.nonce == nonce => Ok(()),
        _ => Err(CallError::Local(format!("{} did not answer its challenge", peer.url))),
    }
}

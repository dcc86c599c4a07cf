//! Another hub says where the channel lives.
//!
//! Owns: which records are kept, and who is to be challenged. Not here: the challenge itself (an
//! announcement, see `clone_sync`), because a handler does not wait for other hubs.
//! Spec: ID-8 to ID-10, ID-13, ID-18, QUEUE-15.

use std::sync::Arc;

use zotferry_protocol::codec;
use zotferry_protocol::identity::{PublicKey, SignedLocation, VerifiedLocation};
use zotferry_protocol::packets::{Locations, Packet};
use zotferry_protocol::refusal::Refusal;

use super::{Caller, unavailable};
use crate::catalog::{LocationState, NewLocation, NewSite, Placed};
use crate::hub::{CallError, Hub};
use crate::queue::{Lane, Task};

/// Keeps what is newer, has new places challenged, wakes what waits for the sender, and answers with
/// all that is known here.
pub(super) async fn receive(
    hub: &Arc<Hub>,
    caller: &Caller,
    locations: Locations,
) -> Result<Packet, Refusal> {
    let key = PublicKey::from_pem(&caller.channel.public_pem).map_err(|e| unavailable(&e))?;
    for record in &locations.records {
        let verified = record.verify(&caller.channel.portable_id, &key)?;
        place(hub, caller.channel.id, &verified).await.map_err(|e| unavailable(&e))?;
    }
    // A place that is gone is asked no more, one that is new may be.
    hub.tell_receiver();
    hub.wake(caller.site.id).await.map_err(|e| unavailable(&e))?;
    catch_up(hub, caller).await.map_err(|e| unavailable(&e))?;
    known(hub, caller.channel.id).await
}

/// QUEUE-15: a clone that was away so long that its deliveries were given up is told what it missed.
async fn catch_up(hub: &Hub, caller: &Caller) -> Result<(), CallError> {
    let location = hub.catalog.location(caller.channel.id, caller.site.id).await?;
    if location.is_some_and(|l| !l.deleted && l.state == LocationState::Listed) {
        let lane = Lane { channel: caller.channel.id, site: caller.site.id };
        hub.push_keyed(lane, Task::Deliver).await?;
        hub.push_keyed(lane, Task::Report).await?;
    }
    Ok(())
}

/// All the signed records of a channel that this hub holds.
async fn known(hub: &Arc<Hub>, channel: i64) -> Result<Packet, Refusal> {
    let rows = hub.catalog.locations(channel).await.map_err(|e| unavailable(&e))?;
    let records = rows
        .iter()
        .filter(|row| !row.foreign)
        .filter_map(|row| codec::decode_owned::<SignedLocation>(&row.record).ok())
        .take(64)
        .collect();
    Ok(Locations { records }.into())
}

/// Stores a record if it is newer. A place that is new here has to prove itself before it is listed.
pub(crate) async fn place(
    hub: &Hub,
    channel: i64,
    verified: &VerifiedLocation,
) -> Result<(), CallError> {
    if *verified.site_id() == hub.site_id {
        return Ok(());
    }
    let location = verified.location();
    let new = NewSite {
        site_id: verified.site_id().clone(),
        url: location.url.to_string(),
        key_pem: verified.site_key().pem().to_owned(),
    };
    let site = hub.catalog.upsert_site(&new).await?;
    let known = hub.catalog.location(channel, site).await?;
    let state = known.map_or(LocationState::Pending, |row| row.state);
    let placed = hub
        .catalog
        .upsert_location(&NewLocation {
            channel,
            site,
            replica: location.replica,
            primary: location.primary,
            deleted: location.deleted,
            serial: location.serial,
            record: codec::encode(verified.signed()),
            state,
            foreign: false,
        })
        .await?;
    if placed == Placed::New && !location.deleted {
        hub.push_keyed(Lane { channel, site }, Task::Announce).await?;
    }
    Ok(())
}

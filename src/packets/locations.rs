//! Another hub says where the channel lives.
//!
//! Owns: who may bring what, and the answer. Not here: what is taken (`statements`); the challenge
//! (an announcement, see `clone_sync`), because a handler does not wait for other hubs.
//! Spec: ID-13, ID-18, ID-30, QUEUE-15.

use std::sync::Arc;

use zotferry_protocol::packets::{Locations, Packet};
use zotferry_protocol::refusal::Refusal;

use super::statements::{Bringer, TakeError, known, take};
use super::{Caller, unavailable};
use crate::catalog::LocationState;
use crate::hub::{CallError, Hub};
use crate::queue::{Lane, Task};

/// Keeps what is newer, has new places challenged, wakes what waits for the sender, and answers with
/// all that is known here.
pub(super) async fn receive(
    hub: &Arc<Hub>,
    caller: &Caller,
    locations: Locations,
) -> Result<Packet, Refusal> {
    let bringer = if caller.listed { Bringer::Clone } else { Bringer::Stranger };
    match take(hub, &caller.channel, &locations, bringer).await {
        Ok(()) => {}
        Err(TakeError::Refused(refusal)) => return Err(refusal),
        Err(TakeError::Own(error)) => return Err(unavailable(&error)),
    }
    // A place that is gone is asked no more, one that is new may be.
    hub.tell_receiver();
    hub.wake(caller.site.id).await.map_err(|e| unavailable(&e))?;
    catch_up(hub, caller).await.map_err(|e| unavailable(&e))?;
    let channel = hub.catalog.channel(caller.channel.id).await.map_err(|e| unavailable(&e))?;
    Ok(known(hub, &channel).await.map_err(|e| unavailable(&e))?.into())
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

//! A channel gets another key.
//!
//! Owns: making a rotation, and bringing the new key to a clone in an identity. Not here: what a
//! rotation is (the protocol), what follows from one (`packets::statements`).
//! Invariant: the new private key is on disk before anything says that it counts; it goes to other
//! hubs in a person's hands only.
//! Spec: ID-24, ID-28, ID-31, ID-32, ID-35.

use std::sync::Arc;

use zotferry_protocol::codec;
use zotferry_protocol::identity::{
    KeyChain, MAX_ROTATIONS, Notice, Rotation, SignedNotice, SignedRotation, Standing,
};
use zotferry_protocol::ids::SiteId;
use zotferry_protocol::packets::Locations;

use super::{ChannelError, Identity};
use crate::catalog::{Channel, Location, LocationState, NoticeRow};
use crate::hub::Hub;
use crate::keys::{KeyFileError, PrivateKey};
use crate::packets::statements::{self, Bringer, TakeError, fresh_replica};

/// The channel signs with a new key from now on; the clones at `without` are put out.
pub async fn rotate(
    hub: &Arc<Hub>,
    channel: &Channel,
    without: &[Location],
) -> Result<Channel, ChannelError> {
    let key = tokio::task::spawn_blocking(PrivateKey::generate).await??;
    rotate_to(hub, channel, key, without).await
}

/// The same with a key that is there already.
pub async fn rotate_to(
    hub: &Arc<Hub>,
    channel: &Channel,
    key: PrivateKey,
    without: &[Location],
) -> Result<Channel, ChannelError> {
    let _one_at_a_time = hub.statements.in_channel(channel.id).await;
    let channel = hub.catalog.channel(channel.id).await?;
    let chain = hub.chain(&channel).await?;
    may_state(hub, &channel).await?;
    if chain.rotations().len() == MAX_ROTATIONS {
        return Err(ChannelError::TooManyKeys);
    }
    let places = hub.catalog.locations(channel.id).await?;
    hub.keep_key(&channel.portable_id, &key)?;
    let rotation = state(hub, &channel, &chain, &key, &places, without)?;
    let next = [chain.signed(), vec![rotation]].concat();
    let first = chain.first().clone();
    let next = KeyChain::new(channel.portable_id.clone(), first).with(&next);
    let next = next.map_err(|refusal| ChannelError::Statement(refusal.to_string()))?;
    let notices = notices(hub, &channel, &key, without).await?;
    statements::turn(hub, &channel, &next, notices).await?;
    let turned = hub.catalog.channel(channel.id).await?;
    statements::settle(hub, &turned, &next, &places, true).await?;
    Ok(turned)
}

/// Who states something in the channel's name has to hold its newest key, and to be a clone.
pub(super) async fn may_state(hub: &Hub, channel: &Channel) -> Result<(), ChannelError> {
    if !hub.lives_here(channel.id).await? {
        return Err(ChannelError::Left(channel.nick.clone()));
    }
    if !hub.holds_newest_key(channel)? {
        return Err(ChannelError::OldKey(channel.nick.clone()));
    }
    Ok(())
}

/// ID-24: the statement. Hubs that are not listed are not kept: nobody knows them yet.
fn state(
    hub: &Hub,
    channel: &Channel,
    chain: &KeyChain,
    key: &PrivateKey,
    places: &[Location],
    without: &[Location],
) -> Result<SignedRotation, ChannelError> {
    let stays = |place: &&Location| {
        let listed = place.state == LocationState::Listed && !place.deleted && !place.foreign;
        listed && !without.iter().any(|out| out.site == place.site)
    };
    let others = places.iter().filter(|place| place.site != hub.site).filter(stays);
    let keep: Vec<SiteId> = std::iter::once(hub.site_id.clone())
        .chain(others.map(|place| place.site_id.clone()))
        .take(64)
        .collect();
    let rotation = Rotation {
        channel: channel.portable_id.clone(),
        number: u32::try_from(chain.rotations().len() + 1).unwrap_or(u32::MAX),
        old_key: chain.newest().pem().to_owned(),
        new_key: key.public().pem().to_owned(),
        keep,
        url: hub.config.url.clone(),
        site_key: hub.site_key.public().pem().to_owned(),
        at: hub.clock.now(),
    };
    let old = hub.channel_key(channel)?;
    SignedRotation::sign(&rotation, &*old, key, &*hub.site_key)
        .map_err(|e| KeyFileError::Form(e.to_string()).into())
}

/// ID-35: what was stated about other places, signed anew, and the removal of those that are put out.
async fn notices(
    hub: &Hub,
    channel: &Channel,
    key: &PrivateKey,
    without: &[Location],
) -> Result<Vec<NoticeRow>, ChannelError> {
    let known = hub.catalog.notices(channel.id).await?;
    let gone = |site: &SiteId| without.iter().any(|place| place.site_id == *site);
    let mut rows: Vec<NoticeRow> = known.iter().filter(|row| !gone(&row.site)).cloned().collect();
    for place in without {
        let last = known.iter().find(|row| row.site == place.site_id).map_or(0, |row| row.serial);
        rows.push(NoticeRow {
            site: place.site_id.clone(),
            removed: true,
            primary: false,
            serial: hub.clock.now().0.max(last.max(place.serial) + 1),
            record: Vec::new(),
        });
    }
    for row in &mut rows {
        row.record = sign(channel, row, key)?;
    }
    Ok(rows)
}

/// A notice, signed, as it is kept.
pub(super) fn sign(
    channel: &Channel,
    row: &NoticeRow,
    key: &PrivateKey,
) -> Result<Vec<u8>, ChannelError> {
    let notice = Notice {
        channel: channel.portable_id.clone(),
        site: row.site.clone(),
        removed: row.removed,
        primary: row.primary,
        serial: row.serial,
    };
    let signed = SignedNotice::sign(&notice, key).map_err(|e| KeyFileError::Form(e.to_string()))?;
    Ok(codec::encode(&signed))
}

/// ID-31: a person brings an identity of a channel that lives here: its newer key is taken into use,
/// and where the channel had left this hub it comes back.
pub(super) async fn renew(
    hub: &Arc<Hub>,
    channel: &Channel,
    identity: Identity,
) -> Result<Channel, ChannelError> {
    let chain = hub.chain(channel).await?;
    let theirs = identity.chain().map_err(|e| ChannelError::Statement(e.to_string()))?;
    let lives = hub.lives_here(channel.id).await?;
    let same = chain.newest() == theirs.newest();
    if chain.standing(&theirs) == Standing::Known
        && !(same && (!lives || !hub.holds_newest_key(channel)?))
    {
        return Err(ChannelError::Here(channel.nick.clone()));
    }
    hub.keep_key(&channel.portable_id, &identity.key)?;
    let said = Locations { rotations: identity.rotations, ..Locations::default() };
    match statements::take(hub, channel, &said, Bringer::Person).await {
        Ok(()) => {}
        Err(TakeError::Refused(refusal)) => {
            return Err(ChannelError::Statement(refusal.to_string()));
        }
        Err(TakeError::Own(error)) => return Err(error.into()),
    }
    {
        let _one_at_a_time = hub.statements.in_channel(channel.id).await;
        let channel = hub.catalog.channel(channel.id).await?;
        hub.settle_key(&channel, &hub.chain(&channel).await?)?;
        let own = hub.own_place(channel.id).await?;
        if !lives {
            // ID-20: what is written from now on is not what was written before it left.
            hub.catalog.set_replica(channel.id, fresh_replica()).await?;
            hub.catalog.set_paused(channel.id, false).await?;
        }
        let channel = hub.catalog.channel(channel.id).await?;
        let primary = own.is_some_and(|own| own.primary && !own.deleted);
        hub.state_location(&channel, primary, false).await?;
    }
    // Places that the identity knows, and what follows from all this.
    let said = Locations { records: identity.locations, ..Locations::default() };
    match statements::take(hub, channel, &said, Bringer::Person).await {
        Ok(()) => {}
        Err(TakeError::Own(error)) => return Err(error.into()),
        Err(TakeError::Refused(refusal)) => {
            tracing::warn!(%refusal, "a location in the identity does not hold");
        }
    }
    hub.announce_soon(channel.id).await?;
    Ok(hub.catalog.channel(channel.id).await?)
}

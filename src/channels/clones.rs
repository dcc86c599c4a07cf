//! The hubs of a channel, as its owner arranges them.
//!
//! Owns: removing a clone, letting one in again, choosing the primary one, leaving. Not here: what
//! follows from such a statement (`packets::statements`).
//! Spec: ID-11, ID-17, ID-35, ID-38 to ID-40.

use std::sync::Arc;
use std::time::Duration;

use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::packets::Packet;
use zotferry_protocol::refusal::Code;

use super::ChannelError;
use super::rotate::{may_state, sign};
use crate::catalog::{Channel, Location, NoticeRow, SiteNo};
use crate::hub::{CallError, Hub};
use crate::packets::statements::{known, lives_by_record, settle};

/// How long a hub that leaves waits for each other one to hear it.
const GOODBYE: Duration = Duration::from_secs(20);

/// The place of a channel at a base URL.
pub async fn at(hub: &Hub, channel: &Channel, url: &str) -> Result<Location, ChannelError> {
    let unknown = || ChannelError::NoClone(url.to_owned());
    let wanted = BaseUrl::parse(url).map_err(|_| unknown())?;
    let places = hub.catalog.locations(channel.id).await?;
    let here = places.into_iter().filter(|place| place.url == wanted.as_str() && !place.foreign);
    // A hub may have been made anew at its old address: the place that counts goes first.
    here.min_by_key(|place| (place.deleted, u64::MAX - place.serial)).ok_or_else(unknown)
}

/// ID-38: a hub is a clone no more.
pub async fn remove(
    hub: &Arc<Hub>,
    channel: &Channel,
    place: &Location,
) -> Result<(), ChannelError> {
    if place.site == hub.site {
        return Err(ChannelError::Itself);
    }
    state(hub, channel, place, true, false).await
}

/// A hub that was removed may come back: it has to introduce itself again.
pub async fn allow(
    hub: &Arc<Hub>,
    channel: &Channel,
    place: &Location,
) -> Result<(), ChannelError> {
    match place.removed {
        true => state(hub, channel, place, false, false).await,
        false => Err(ChannelError::NotRemoved(place.url.clone())),
    }
}

/// ID-11: another hub, or (`None`) this one, is the primary location.
pub async fn make_primary(
    hub: &Arc<Hub>,
    channel: &Channel,
    place: Option<&Location>,
) -> Result<(), ChannelError> {
    match place {
        Some(place) if place.site != hub.site => {
            if place.deleted {
                return Err(ChannelError::NoClone(place.url.clone()));
            }
            state(hub, channel, place, false, true).await
        }
        _ => claim(hub, channel).await,
    }
}

/// This hub says that it is the primary location, above every claim before.
async fn claim(hub: &Arc<Hub>, channel: &Channel) -> Result<(), ChannelError> {
    let _one_at_a_time = hub.statements.in_channel(channel.id).await;
    if !hub.lives_here(channel.id).await? {
        return Err(ChannelError::Left(channel.nick.clone()));
    }
    let places = hub.catalog.locations(channel.id).await?;
    let last = places.iter().filter_map(|place| place.claim).max().unwrap_or(0);
    hub.state_above(channel, true, false, last).await?;
    settle(hub, channel, &hub.chain(channel).await?, &places, true).await?;
    Ok(())
}

/// ID-35: a notice about another place, kept, and told to the others.
async fn state(
    hub: &Arc<Hub>,
    channel: &Channel,
    place: &Location,
    removed: bool,
    primary: bool,
) -> Result<(), ChannelError> {
    let _one_at_a_time = hub.statements.in_channel(channel.id).await;
    may_state(hub, channel).await?;
    let before = hub.catalog.locations(channel.id).await?;
    let last = hub.catalog.notice(channel.id, &place.site_id).await?.map_or(0, |row| row.serial);
    let claims = before.iter().filter_map(|place| place.claim).max().unwrap_or(0);
    let site = place.site_id.clone();
    let serial = hub.clock.now().0.max(last.max(place.serial).max(claims) + 1);
    let mut row = NoticeRow { site, removed, primary, serial, record: Vec::new() };
    row.record = sign(channel, &row, &*hub.channel_key(channel)?)?;
    let chain = hub.chain(channel).await?;
    let gone = removed || !lives_by_record(&chain, place);
    hub.catalog.put_notice(channel.id, &row, Some((place.site, gone))).await?;
    settle(hub, channel, &chain, &before, true).await?;
    Ok(())
}

/// What would be lost if this hub's copy went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnlyHere {
    /// Contents that no other clone has reported.
    pub contents: u64,
    /// Operations that no other clone has answered for.
    pub operations: u64,
}

/// What of a channel no other clone is known to have.
pub async fn only_here(hub: &Hub, channel: &Channel) -> Result<OnlyHere, ChannelError> {
    let channel = hub.catalog.channel(channel.id).await?;
    let places = hub.catalog.locations(channel.id).await?;
    let others = places.iter().filter(|p| p.site != hub.site && !p.deleted && !p.foreign);
    let heard = others.map(|place| place.acked_seq).max().unwrap_or(0);
    Ok(OnlyHere {
        contents: hub.catalog.only_here(channel.id, hub.site).await?,
        operations: channel.seq.saturating_sub(heard),
    })
}

/// ID-17: the channel leaves this hub. Its transfers rest, and it is served to nobody. Returns the
/// hubs that could not be told; they are told when they can be reached, as long as the channel's
/// files stay here.
pub async fn leave(hub: &Arc<Hub>, channel: &Channel) -> Result<Vec<String>, ChannelError> {
    {
        let _one_at_a_time = hub.statements.in_channel(channel.id).await;
        hub.state_location(channel, false, true).await?;
        hub.catalog.set_paused(channel.id, true).await?;
        hub.let_go_of(channel.id, hub.site).await?;
    }
    let mut untold = Vec::new();
    for place in hub.catalog.locations(channel.id).await? {
        if place.site == hub.site || place.deleted || place.foreign {
            continue;
        }
        let telling = tokio::time::timeout(GOODBYE, tell(hub, channel, place.site)).await;
        match telling {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(site = place.url, %error, "a clone could not be told");
                untold.push(place.url);
            }
            Err(_) => untold.push(place.url),
        }
    }
    if !untold.is_empty() {
        hub.announce_soon(channel.id).await?;
    }
    Ok(untold)
}

async fn tell(hub: &Arc<Hub>, channel: &Channel, site: SiteNo) -> Result<(), CallError> {
    let (peer, channel) = hub.peer_and_channel(site, channel.id).await?;
    let own = hub.introduction(&channel).await?;
    let packet = Packet::from(known(hub, &channel).await?);
    match hub.call(&peer, &channel.portable_id, &packet, own.as_ref()).await {
        Err(error) if error.is(Code::NotAClone) => Ok(()),
        done => done.map(drop),
    }
}

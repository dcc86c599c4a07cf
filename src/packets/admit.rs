//! Whether a packet counts: who signed it, for whom, when, and whether it was seen before.
//!
//! Owns: the order of the checks. Not here: the checks themselves (see the protocol's `envelope`).
//! Spec: SIGN-3 to SIGN-6, SIGN-9, SIGN-12 to SIGN-15, ID-14, ID-17, ID-21, ID-22, ID-34, ID-41, SYNC-1, SYNC-2.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use zotferry_protocol::envelope::{Authentic, Header, Sealed, Verified, open};
use zotferry_protocol::identity::{Introduction, KeyChain, PublicKey, VerifiedLocation};
use zotferry_protocol::ids::{Millis, PacketId};
use zotferry_protocol::packets::Packet;
use zotferry_protocol::refusal::{Code, Refusal};

use super::statements::{Bringer, Judged, judge};
use super::unavailable;
use crate::catalog::{Catalog, Channel, Location, LocationState, NewSite, Site};
use crate::hub::Hub;

/// A hub that speaks for one of our channels.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The channel, as it lives here.
    pub channel: Channel,
    /// The asking hub.
    pub site: Site,
    /// Whether it is a listed clone. If not, it may introduce itself and answer challenges, no more.
    pub listed: bool,
}

/// A packet that is not handled.
pub enum Denied {
    /// Its sender is not certain: no signature is spent on it.
    Unsigned(Refusal),
    /// Its sender is certain and gets a signed refusal.
    Signed(Header, Refusal),
    /// It was handled before: the same answer again.
    Again(Vec<u8>),
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Unsigned(refusal)
    }
}

/// Runs every check on a packet up to its policy.
pub(super) async fn admit(
    hub: &Arc<Hub>,
    bytes: &[u8],
) -> Result<(Caller, Verified<Packet>), Denied> {
    let (site, shown, authentic) = authenticate(hub, bytes).await?;
    let header = authentic.header().clone();
    let signed = |refusal: Refusal| Denied::Signed(header.clone(), refusal);
    let before = answered(&hub.catalog, &header, hub.clock.now()).await;
    if let Some(answer) = before.map_err(signed)? {
        return Err(Denied::Again(answer));
    }
    let packet = authentic.packet().map_err(signed)?;
    let (caller, place) = caller(hub, site, shown, &header).await.map_err(signed)?;
    let may = caller.listed || matches!(&*packet, Packet::Locations(_) | Packet::Challenge(_));
    if !may {
        // ID-14: a challenge that has failed is said to have failed.
        let failed = place.is_some_and(|l| !l.deleted && l.attempts > 0);
        return Err(signed(if failed { Code::ChallengeFailed } else { Code::NotAClone }.into()));
    }
    // QUEUE-10: whatever its hub, and whichever way it comes.
    if let Err(seconds) = hub.paces.packet(caller.channel.id) {
        return Err(signed(Refusal::new(Code::TooMany).after(seconds)));
    }
    if caller.listed {
        hub.catalog.seen(caller.site.id, hub.clock.now()).await.map_err(|e| unavailable(&e))?;
    }
    Ok((caller, packet))
}

/// SIGN-6, SIGN-9, SIGN-12: whether it is a packet's time, and how it was answered if it came before.
pub(super) async fn answered(
    catalog: &Catalog,
    header: &Header,
    now: Millis,
) -> Result<Option<Vec<u8>>, Refusal> {
    let purged = catalog.purged_through().await.map_err(|e| unavailable(&e))?;
    header.fresh(now.max(purged))?;
    if header.expires <= purged {
        return Err(Code::Stale.into());
    }
    catalog.replay_lookup(&heard(header)).await.map_err(|e| unavailable(&e))
}

/// SIGN-8: what a packet is remembered by: its id, among those of the hub that signed it. Whoever else uses the same id neither
/// hears what that one was answered nor keeps it from being heard.
pub(super) fn heard(header: &Header) -> PacketId {
    let name = [header.from.hub.as_str().as_bytes(), b"\n", header.id.as_bytes()].concat();
    let digest: [u8; 32] = Sha256::digest(name).into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    PacketId(id)
}

/// SIGN-3, SIGN-4: the signing hub is known, or introduces itself by a record that one of our
/// channels signed.
async fn authenticate<'a>(
    hub: &Arc<Hub>,
    bytes: &'a [u8],
) -> Result<(Site, Option<Introduction>, Authentic<'a>), Refusal> {
    let sealed = open(bytes)?;
    let known = hub.catalog.site_by_id(sealed.key()).await.map_err(|e| unavailable(&e))?;
    if let Some(site) = known {
        let key = PublicKey::from_pem(&site.key_pem).map_err(|e| unavailable(&e))?;
        let shown = sealed.introduction().and_then(Result::ok);
        return Ok((site, shown, sealed.authenticate(&key, &hub.site_id)?));
    }
    let shown = sealed.introduction().ok_or(Code::UnknownLocation)??;
    let introduced = introduction(hub, &sealed, &shown).await?;
    let authentic = sealed.authenticate(introduced.site_key(), &hub.site_id)?;
    if authentic.header().from.channel != introduced.location().channel {
        return Err(Refusal::with(Code::UnknownLocation, "the record is of another channel"));
    }
    let new = NewSite {
        site_id: introduced.site_id().clone(),
        url: introduced.location().url.to_string(),
        key_pem: introduced.site_key().pem().to_owned(),
    };
    let row = hub.catalog.upsert_site(&new).await.map_err(|e| unavailable(&e))?;
    let site = hub.catalog.site(row).await.map_err(|e| unavailable(&e))?;
    Ok((site.ok_or(Code::UnknownLocation)?, Some(shown), authentic))
}

/// ID-21: a record in the envelope that our channel and the signing hub signed.
async fn introduction(
    hub: &Arc<Hub>,
    sealed: &Sealed<'_>,
    shown: &Introduction,
) -> Result<VerifiedLocation, Refusal> {
    let id = shown.location().claimed_channel()?;
    let channel = hub.catalog.channel_by_id(&id).await.map_err(|e| unavailable(&e))?;
    let channel = channel.ok_or(Code::UnknownLocation)?;
    let verified = shown_place(hub, &channel, shown).await?;
    if verified.site_id() != sealed.key() {
        return Err(Refusal::with(Code::UnknownLocation, "the record is of another hub"));
    }
    // ID-43: each leaves a row, and whoever holds a channel's key can make hubs at will.
    if let Err(seconds) = hub.paces.introduction(channel.id) {
        return Err(Refusal::new(Code::TooMany).after(seconds));
    }
    Ok(verified)
}

/// ID-34: the record of an introduction, by the keys that are known here, or by those that it shows
/// where they count.
async fn shown_place(
    hub: &Arc<Hub>,
    channel: &Channel,
    shown: &Introduction,
) -> Result<VerifiedLocation, Refusal> {
    let ours = hub.chain(channel).await.map_err(|e| unavailable(&e))?;
    let theirs = KeyChain::new(channel.portable_id.clone(), ours.first().clone());
    let theirs = theirs.with(&shown.rotations)?;
    let places = hub.catalog.locations(channel.id).await.map_err(|e| unavailable(&e))?;
    match judge(&places, &ours, &theirs, Bringer::Stranger) {
        Judged::Theirs => theirs.verify_location(&shown.location()),
        Judged::Ours | Judged::Same => ours.verify_location(&shown.location()),
    }
}

/// SYNC-1, SYNC-2: the channel lives here, and at the asking hub.
async fn caller(
    hub: &Arc<Hub>,
    site: Site,
    shown: Option<Introduction>,
    header: &Header,
) -> Result<(Caller, Option<Location>), Refusal> {
    if header.from.channel != header.to.channel {
        return Err(Refusal::with(Code::NotAClone, "`from` and `to` name different channels"));
    }
    let channel = hub.catalog.channel_by_id(&header.to.channel).await;
    let channel = channel.map_err(|e| unavailable(&e))?.ok_or(Code::UnknownChannel)?;
    if !hub.lives_here(channel.id).await.map_err(|e| unavailable(&e))? {
        return Err(Code::UnknownChannel.into());
    }
    let place = hub.catalog.location(channel.id, site.id).await.map_err(|e| unavailable(&e))?;
    let notice = hub.catalog.notice(channel.id, &site.site_id).await;
    let removed = notice.map_err(|e| unavailable(&e))?.is_some_and(|notice| notice.removed);
    let left = place.as_ref().filter(|place| place.deleted);
    if removed || (left.is_some() && !returns(hub, &channel, &site, left, shown).await) {
        return Err(Code::NotAClone.into());
    }
    let listed = |l: &Location| !l.deleted && l.state == LocationState::Listed;
    let listed = place.as_ref().is_some_and(listed);
    Ok((Caller { channel, site, listed }, place))
}

/// ID-41: whether a hub that the channel left shows a newer record, by which it lives there again.
async fn returns(
    hub: &Arc<Hub>,
    channel: &Channel,
    site: &Site,
    left: Option<&Location>,
    shown: Option<Introduction>,
) -> bool {
    let Some(shown) = shown else { return false };
    let Ok(verified) = shown_place(hub, channel, &shown).await else { return false };
    let newer = left.is_none_or(|left| verified.location().serial > left.serial);
    newer && *verified.site_id() == site.site_id && !verified.location().deleted
}

//! Whether a packet counts: who signed it, for whom, when, and whether it was seen before.
//!
//! Owns: the order of the checks. Not here: the checks themselves (see the protocol's `envelope`).
//! Spec: SIGN-3 to SIGN-6, SIGN-9, SIGN-12 to SIGN-15, ID-17, ID-21, ID-22, SYNC-1, SYNC-2.

use std::sync::Arc;

use zotferry_protocol::envelope::{Authentic, Header, Sealed, Verified, open};
use zotferry_protocol::identity::{PublicKey, VerifiedLocation};
use zotferry_protocol::packets::Packet;
use zotferry_protocol::refusal::{Code, Refusal};

use super::unavailable;
use crate::catalog::{Channel, LocationState, NewSite, Site};
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
    let (site, authentic) = authenticate(hub, bytes).await?;
    let header = authentic.header().clone();
    let signed = |refusal: Refusal| Denied::Signed(header.clone(), refusal);
    let purged = hub.catalog.purged_through().await.map_err(|e| unavailable(&e))?;
    authentic.fresh(hub.clock.now().max(purged)).map_err(signed)?;
    if header.expires <= purged {
        return Err(signed(Code::Stale.into()));
    }
    if let Some(answer) =
        hub.catalog.replay_lookup(&header.id).await.map_err(|e| unavailable(&e))?
    {
        return Err(Denied::Again(answer));
    }
    let packet = authentic.packet().map_err(signed)?;
    let caller = caller(hub, site, &header).await.map_err(signed)?;
    let may = caller.listed || matches!(&*packet, Packet::Locations(_) | Packet::Challenge(_));
    if !may {
        return Err(signed(Code::NotAClone.into()));
    }
    if caller.listed {
        hub.catalog.seen(caller.site.id, hub.clock.now()).await.map_err(|e| unavailable(&e))?;
    }
    Ok((caller, packet))
}

/// SIGN-3, SIGN-4: the signing hub is known, or introduces itself by a record that one of our
/// channels signed.
async fn authenticate<'a>(
    hub: &Arc<Hub>,
    bytes: &'a [u8],
) -> Result<(Site, Authentic<'a>), Refusal> {
    let sealed = open(bytes)?;
    let known = hub.catalog.site_by_id(sealed.key()).await.map_err(|e| unavailable(&e))?;
    if let Some(site) = known {
        let key = PublicKey::from_pem(&site.key_pem).map_err(|e| unavailable(&e))?;
        return Ok((site, sealed.authenticate(&key, &hub.site_id)?));
    }
    let introduced = introduction(hub, &sealed).await?;
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
    Ok((site.ok_or(Code::UnknownLocation)?, authentic))
}

/// ID-21: a record in the envelope that our channel and the signing hub signed.
async fn introduction(hub: &Arc<Hub>, sealed: &Sealed<'_>) -> Result<VerifiedLocation, Refusal> {
    let record = sealed.introduction().ok_or(Code::UnknownLocation)??;
    let id = record.claimed_channel()?;
    let channel = hub.catalog.channel_by_id(&id).await.map_err(|e| unavailable(&e))?;
    let channel = channel.ok_or(Code::UnknownLocation)?;
    let key = PublicKey::from_pem(&channel.public_pem).map_err(|e| unavailable(&e))?;
    let verified = record.verify(&id, &key)?;
    if verified.site_id() != sealed.key() {
        return Err(Refusal::with(Code::UnknownLocation, "the record is of another hub"));
    }
    Ok(verified)
}

/// SYNC-1, SYNC-2: the channel lives here, and at the asking hub.
async fn caller(hub: &Arc<Hub>, site: Site, header: &Header) -> Result<Caller, Refusal> {
    if header.from.channel != header.to.channel {
        return Err(Refusal::with(Code::NotAClone, "`from` and `to` name different channels"));
    }
    let channel = hub.catalog.channel_by_id(&header.to.channel).await;
    let channel = channel.map_err(|e| unavailable(&e))?.ok_or(Code::UnknownChannel)?;
    let location = hub.catalog.location(channel.id, site.id).await.map_err(|e| unavailable(&e))?;
    let listed = location.is_some_and(|l| !l.deleted && l.state == LocationState::Listed);
    Ok(Caller { channel, site, listed })
}

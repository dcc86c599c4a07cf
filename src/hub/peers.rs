//! Other hubs as the catalog knows them, ready to be asked or believed; and what this hub states of itself.
//!
//! Owns: from rows to keys and signed statements. Not here: the rows themselves, private keys.
//! Spec: ID-7, ID-12, ID-17, ID-26, ID-34.

use zotferry_protocol::codec;
use zotferry_protocol::identity::{
    self, BaseUrl, Introduction, KeyChain, PublicKey, Rotation, SignedLocation, SignedRotation,
};

use super::{CallError, Hub, HubError, Peer};
use crate::catalog::{
    CatalogError, Channel, ChannelNo, Location, LocationState, NewLocation, Site, SiteNo,
};
use crate::keys::KeyFileError;
use crate::queue::{Lane, Task};

impl Hub {
    /// A known hub by its row.
    pub async fn peer(&self, site: SiteNo) -> Result<Option<Peer>, CatalogError> {
        Ok(self.catalog.site(site).await?.and_then(|row| peer_of(&row)))
    }

    /// A hub and a channel by their rows, for a request.
    pub async fn peer_and_channel(
        &self,
        site: SiteNo,
        channel: ChannelNo,
    ) -> Result<(Peer, Channel), CallError> {
        let peer = self.peer(site).await?;
        let peer = peer.ok_or_else(|| CallError::Local(format!("site {site} is not known")))?;
        Ok((peer, self.catalog.channel(channel).await?))
    }

    /// ID-26: the keys of a channel, from the first one on.
    pub async fn chain(&self, channel: &Channel) -> Result<KeyChain, HubError> {
        let damaged = |e: &dyn std::fmt::Display| HubError::Key(KeyFileError::Form(e.to_string()));
        let rows = self.catalog.rotations(channel.id).await?;
        let rotations = rows.iter().map(|row| codec::decode_owned::<SignedRotation>(row));
        let rotations = rotations.collect::<Result<Vec<_>, _>>().map_err(|e| damaged(&e))?;
        let first = match rotations.first() {
            None => channel.public_pem.clone(),
            Some(first) => {
                let said: Rotation = codec::decode_owned(&first.record).map_err(|e| damaged(&e))?;
                said.old_key
            }
        };
        let first = PublicKey::from_pem(&first).map_err(|e| damaged(&e))?;
        KeyChain::new(channel.portable_id.clone(), first).with(&rotations).map_err(|e| damaged(&e))
    }

    /// This hub's own place of a channel.
    pub async fn own_place(&self, channel: ChannelNo) -> Result<Option<Location>, CatalogError> {
        self.catalog.location(channel, self.site).await
    }

    /// ID-17: whether a channel lives on this hub still.
    pub async fn lives_here(&self, channel: ChannelNo) -> Result<bool, CatalogError> {
        Ok(self.own_place(channel).await?.is_some_and(|place| !place.deleted))
    }

    /// This hub's own location record of a channel.
    pub async fn own_location(
        &self,
        channel: &Channel,
    ) -> Result<Option<SignedLocation>, CatalogError> {
        let mine = self.own_place(channel.id).await?;
        Ok(mine.and_then(|row| codec::decode_owned(&row.record).ok()))
    }

    /// ID-12: how this hub introduces itself to another one.
    pub async fn introduction(&self, channel: &Channel) -> Result<Option<Introduction>, HubError> {
        let Some(own) = self.own_location(channel).await? else { return Ok(None) };
        Ok(Some(Introduction::new(own, self.chain(channel).await?.signed())))
    }

    /// Signs and stores a new statement that a channel lives here, or no longer does.
    pub async fn state_location(
        &self,
        channel: &Channel,
        primary: bool,
        deleted: bool,
    ) -> Result<(), HubError> {
        self.state_above(channel, primary, deleted, 0).await
    }

    /// The same under a serial that is higher than this one as well.
    pub async fn state_above(
        &self,
        channel: &Channel,
        primary: bool,
        deleted: bool,
        serial: u64,
    ) -> Result<(), HubError> {
        let known = self.own_place(channel.id).await?;
        let said = known.map_or(0, |row| row.serial.max(row.claim.unwrap_or(0))).max(serial);
        let location = identity::Location {
            channel: channel.portable_id.clone(),
            url: self.config.url.clone(),
            site_key: self.site_key.public().pem().to_owned(),
            replica: channel.replica,
            primary,
            deleted,
            serial: self.clock.now().0.max(said + 1),
        };
        let channel_key = self.channel_key(channel)?;
        let signed = SignedLocation::sign(&location, &*channel_key, &*self.site_key)
            .map_err(|e| KeyFileError::Form(e.to_string()))?;
        self.catalog
            .upsert_location(&NewLocation {
                channel: channel.id,
                site: self.site,
                replica: location.replica,
                primary,
                deleted,
                serial: location.serial,
                record: codec::encode(&signed),
                state: LocationState::Listed,
                foreign: false,
            })
            .await?;
        Ok(())
    }

    /// What is new about a channel's places or keys is told to its other hubs.
    pub async fn announce_soon(&self, channel: ChannelNo) -> Result<(), CallError> {
        for place in self.catalog.locations(channel).await? {
            if place.site != self.site && !place.deleted && !place.foreign {
                self.push_keyed(Lane { channel, site: place.site }, Task::Announce).await?;
            }
        }
        Ok(())
    }

    /// ID-17: a hub is a clone of a channel no more. What it is being sent ends here, what waits for
    /// it is due and finds nobody to go to, and what it was asked for is looked for elsewhere.
    pub async fn let_go_of(&self, channel: ChannelNo, site: SiteNo) -> Result<(), CallError> {
        tracing::info!(channel, site, "a hub is a clone no more: it gets nothing from here on");
        let lane = Lane { channel, site };
        match site == self.site {
            true => self.rights.end(channel, None),
            false => self.rights.end(channel, Some(site)),
        }
        let queue = std::sync::Arc::clone(&self.queue);
        let raising = move || queue.retry_dead(&|job| job.lane == lane);
        match tokio::task::spawn_blocking(raising).await {
            Ok(raised) => raised.map_err(|e| CallError::Local(e.to_string()))?,
            Err(stopped) => return Err(CallError::Local(stopped.to_string())),
        };
        self.tell_receiver();
        self.wake(site).await
    }
}

/// A site row with its key read; `None` when the row does not hold together.
pub(crate) fn peer_of(row: &Site) -> Option<Peer> {
    Some(Peer {
        row: row.id,
        id: row.site_id.clone(),
        url: BaseUrl::parse(&row.url).ok()?,
        key: PublicKey::from_pem(&row.key_pem).ok()?,
        clock_offset: row.clock_offset,
    })
}

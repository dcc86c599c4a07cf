//! Other hubs as the catalog knows them, ready to be asked or believed.
//!
//! Owns: from rows to keys. Not here: the rows themselves.

use zotferry_protocol::identity::{BaseUrl, PublicKey, SignedLocation};
use zotferry_protocol::{codec, identity};

use super::{CallError, Hub, HubError, Peer};
use crate::catalog::{CatalogError, Channel, ChannelNo, Site, SiteNo};

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

    /// This hub's own location record of a channel, by which it introduces itself.
    pub async fn own_location(
        &self,
        channel: &Channel,
    ) -> Result<Option<SignedLocation>, CatalogError> {
        let rows = self.catalog.locations(channel.id).await?;
        let mine = rows.into_iter().find(|row| row.site == self.site);
        Ok(mine.and_then(|row| codec::decode_owned(&row.record).ok()))
    }

    /// Signs and stores a new statement that a channel lives here, or no longer does.
    pub async fn state_location(
        &self,
        channel: &Channel,
        primary: bool,
        deleted: bool,
    ) -> Result<(), HubError> {
        let known = self.catalog.locations(channel.id).await?;
        let last = known.iter().find(|row| row.site == self.site).map_or(0, |row| row.serial);
        let location = identity::Location {
            channel: channel.portable_id.clone(),
            url: self.config.url.clone(),
            site_key: self.site_key.public().pem().to_owned(),
            replica: channel.replica,
            primary,
            deleted,
            serial: self.clock.now().0.max(last + 1),
        };
        let channel_key = self.channel_key(channel)?;
        let signed = SignedLocation::sign(&location, &*channel_key, &*self.site_key)
            .map_err(|e| crate::keys::KeyFileError::Form(e.to_string()))?;
        self.catalog
            .upsert_location(&crate::catalog::NewLocation {
                channel: channel.id,
                site: self.site,
                replica: location.replica,
                primary,
                deleted,
                serial: location.serial,
                record: codec::encode(&signed),
                state: crate::catalog::LocationState::Listed,
                foreign: false,
            })
            .await?;
        Ok(())
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

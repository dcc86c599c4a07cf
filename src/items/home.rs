//! The channel's home on this hub, and whose things are that a row names.
//!
//! Spec: ITEM-5, TRANS-2.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::ids::ResourceId;

use super::ItemError;
use crate::catalog::{CatalogError, Channel, Item, Named};
use crate::hub::Hub;
use crate::translate::{Home, Owns, Translation, Whose};

/// Where a channel lives here. ITEM-5: the number is the hub software's where its items have told it.
pub async fn here(hub: &Arc<Hub>, channel: &Channel) -> Result<Home, CatalogError> {
    let uid = hub.catalog.uid(channel.id).await?;
    let uid = uid.or_else(|| u64::try_from(channel.id).ok());
    Ok(Home { url: hub.config.url.clone(), nick: channel.nick.clone(), uid })
}

/// Where a row was written.
pub(super) fn home_of(item: &Item) -> Result<Home, ItemError> {
    let url = BaseUrl::parse(&item.url).map_err(|e| ItemError::Row(e.to_string()))?;
    Ok(Home { url, nick: item.nick.clone(), uid: item.uid })
}

/// Listens to what a translation asks for, and knows nothing.
#[derive(Default)]
struct Asked {
    resources: RefCell<BTreeSet<String>>,
    items: RefCell<BTreeSet<String>>,
}

impl Owns for Asked {
    fn resource(&self, id: &ResourceId) -> Whose {
        self.resources.borrow_mut().insert(id.to_string());
        Whose::Unknown
    }

    fn item(&self, uuid: &str) -> Whose {
        self.items.borrow_mut().insert(uuid.to_owned());
        Whose::Unknown
    }
}

/// What the catalog knows, and what comes with the row itself.
pub(super) struct Known {
    named: Named,
    /// Entries and own items that come in the same packet.
    coming: HashSet<String>,
}

impl Known {
    /// Whose the things are that some rows name.
    pub(super) async fn of(
        hub: &Hub,
        channel: &Channel,
        rows: &[(&Home, &[u8])],
        coming: HashSet<String>,
    ) -> Result<Self, ItemError> {
        let (resources, items) = {
            let asked = Asked::default();
            for (home, row) in rows {
                let translation = Translation::new(home, home, &asked);
                translation.row(row).map_err(|e| ItemError::Row(e.to_string()))?;
            }
            (asked.resources.into_inner(), asked.items.into_inner())
        };
        let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let named = match (resources.is_empty(), items.is_empty()) {
            (true, true) => Named::default(),
            _ => hub.catalog.named(channel.id, &resources, &items).await?,
        };
        Ok(Self { named, coming })
    }

    fn whose(&self, name: &str) -> Whose {
        if self.coming.contains(name) || self.named.own.contains(name) {
            return Whose::Channel;
        }
        if self.named.others.contains(name) { Whose::Other } else { Whose::Unknown }
    }
}

impl Owns for Known {
    fn resource(&self, id: &ResourceId) -> Whose {
        self.whose(id.as_str())
    }

    fn item(&self, uuid: &str) -> Whose {
        self.whose(uuid)
    }
}

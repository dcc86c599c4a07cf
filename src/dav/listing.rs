//! A folder, read page by page.
//!
//! Invariant: memory does not grow with the number of entries.

use std::sync::Arc;

use zotferry_protocol::ids::ResourceId;

use super::visit::Visit;
use crate::catalog::{Attach, CatalogError, Property};

/// Entries read at a time.
const PAGE: u32 = 256;

/// One entry, and what belongs to it.
pub(super) struct Listed {
    pub(super) entry: Attach,
    /// What it is shown as, which is not its name where another one bears that.
    pub(super) name: String,
    pub(super) properties: Vec<Property>,
}

/// The entries of a folder that have not been read yet.
pub(super) struct Pages {
    visit: Arc<Visit>,
    folder: Option<ResourceId>,
    /// The last entry that was read, to go on after.
    last: Option<(String, ResourceId)>,
    ended: bool,
}

impl Pages {
    /// Of a folder; `None` is the top.
    pub(super) fn of(visit: &Arc<Visit>, folder: Option<ResourceId>) -> Self {
        Self { visit: Arc::clone(visit), folder, last: None, ended: false }
    }

    /// The next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Listed>>, CatalogError> {
        if self.ended {
            return Ok(None);
        }
        let (catalog, channel) = (&self.visit.hub().catalog, self.visit.channel.id);
        let after = self.last.as_ref().map(|(name, hash)| (name.as_str(), hash));
        let page = catalog.children(channel, self.folder.as_ref(), after, PAGE).await?;
        self.ended = page.len() < PAGE as usize;
        self.last = page.last().map(|entry| (entry.filename.clone(), entry.hash.clone()));
        let names = catalog.shown_names(channel, &page).await?;
        // Most channels have none, which one question settles for the whole request.
        let mut properties = match self.visit.any_props().await? {
            true => catalog.properties(channel, page.iter().map(|a| Some(&a.hash))).await?,
            false => Default::default(),
        };
        let listed = page.into_iter().zip(names).map(|(entry, name)| {
            let properties = properties.remove(entry.hash.as_str()).unwrap_or_default();
            Listed { entry, name, properties }
        });
        Ok(Some(listed.collect()))
    }
}

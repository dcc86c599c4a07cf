//! Changing dead properties (RFC 4918, section 4): what programs keep with an entry, for themselves.
//!
//! Not here: asking for them (`propfind`), live properties (dav-server refuses to change them), the
//! rows (`catalog`).

use axum::http::StatusCode;
use dav_server::davpath::DavPath;
use dav_server::fs::{DavProp, FsError, FsResult};

use super::tree::names;
use super::visit::Visit;
use crate::catalog::{CatalogError, Property};

impl Visit {
    /// Whether any entry of the channel has properties.
    pub(super) async fn any_props(&self) -> Result<bool, CatalogError> {
        let ask = async || self.hub().catalog.has_properties(self.channel.id).await;
        self.any_props.get_or_try_init(ask).await.copied()
    }

    /// Sets and removes properties, all or none.
    pub(super) async fn change_props(
        &self,
        path: &DavPath,
        patch: Vec<(bool, DavProp)>,
    ) -> FsResult<Vec<(StatusCode, DavProp)>> {
        let names = names(path)?;
        let entry = match names.is_empty() {
            true => None,
            false => Some(self.lookup(&names).await?.ok_or(FsError::NotFound)?),
        };
        let changes: Vec<_> = patch.iter().map(|(set, prop)| (*set, kept(prop))).collect();
        let (catalog, channel) = (&self.hub().catalog, self.channel.id);
        let hash = entry.as_ref().map(|entry| &entry.hash);
        let fits = catalog.change_properties(channel, hash, &changes).await;
        let status = match fits.map_err(|error| self.catalog(&error))? {
            true => StatusCode::OK,
            false => StatusCode::INSUFFICIENT_STORAGE,
        };
        let answer = |(_, prop)| (status, DavProp { xml: None, ..prop });
        Ok(patch.into_iter().map(answer).collect())
    }
}

fn kept(prop: &DavProp) -> Property {
    let xml = prop.xml.as_deref().unwrap_or_default();
    Property {
        namespace: prop.namespace.clone().unwrap_or_default(),
        name: prop.name.clone(),
        xml: bare(xml).to_vec(),
    }
}

/// An element without the declaration before it, as it stands inside another document.
fn bare(xml: &[u8]) -> &[u8] {
    let declared = xml.strip_prefix(b"<?xml").and_then(|rest| {
        let end = rest.windows(2).position(|two| two == b"?>")?;
        Some(rest[end + 2..].trim_ascii_start())
    });
    declared.unwrap_or(xml)
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn a_property_is_kept_without_a_declaration() {
        assert_eq!(bare(b"<?xml version=\"1.0\"?>\n<a/>"), b"<a/>");
        assert_eq!(bare(b"<a?>x</a?>"), b"<a?>x</a?>");
    }
}

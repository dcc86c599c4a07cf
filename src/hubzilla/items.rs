//! Posts, comments and likes on files.
//!
//! Owns: where they were written. Not here: who wrote them (`people`), on which entry an item sits, its signature (`files::add_items`).
//! Spec: ITEM-3, ITEM-5.

use zotferry_protocol::identity::BaseUrl;

use super::people::{named, with_people};
use super::queries::Tagged;
use super::row::item;
use super::{AdoptError, HubzillaEvent, Import};
use crate::files::{ELSEWHERE, add_items};
use crate::items::{Captured, Relocate};

impl Import<'_> {
    /// Enters what was said about files.
    pub(super) async fn items(&mut self, url: Option<BaseUrl>) -> Result<(), AdoptError> {
        let mut at: Option<Relocate> = None;
        let mut after = 0;
        loop {
            let page = self.queries.items(after).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            let home = match at.take() {
                Some(home) => home,
                None => self.home(url.clone()).await?,
            };
            let ids: Vec<i64> = page.iter().map(|(id, _)| *id).collect();
            let mut terms = self.queries.terms(Tagged::Item, &ids).await?;
            let people = named(page.iter().map(|(_, fields)| fields));
            let people = self.queries.people(&people).await?;
            let items = page
                .into_iter()
                .map(|(id, fields)| (id, with_people(fields, &people)))
                .map(|(id, fields)| item(fields, terms.remove(&id).unwrap_or_default()))
                .collect();
            let captured = Captured { items, at: Some(home.clone()) };
            at = Some(home);
            let added = add_items(self.hub, self.channel, captured).await?;
            let (elsewhere, skipped): (Vec<_>, Vec<_>) =
                added.skipped.into_iter().partition(|(_, why)| why == ELSEWHERE);
            for (mid, why) in skipped {
                self.skip(&mid, why).await;
            }
            self.tell(HubzillaEvent::Items {
                added: added.filed.added,
                changed: added.filed.changed,
                unchanged: added.filed.unchanged,
                elsewhere: elsewhere.len() as u64,
            })
            .await;
        }
    }

    /// Where the channel lives in Hubzilla.
    async fn home(&mut self, url: Option<BaseUrl>) -> Result<Relocate, AdoptError> {
        let channel_address = self.queries.nick.clone();
        if let Some(url) = url {
            return Ok(Relocate { url, channel_address });
        }
        let urls = self.queries.urls(self.channel).await?;
        let url = urls.iter().find_map(|url| BaseUrl::parse(url.trim_end_matches('/')).ok());
        Ok(Relocate { url: url.ok_or(AdoptError::NoUrl)?, channel_address })
    }
}

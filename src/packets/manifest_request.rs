//! Manifest pages: the digests of a file's chunks, each page with its path to the root.
//!
//! Spec: FETCH-28 to FETCH-30, FETCH-51, FETCH-52, FILE-6, FILE-11.

use std::sync::Arc;

use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::{MIN_CHUNK, Manifest};
use zotferry_protocol::merkle;
use zotferry_protocol::packets::{
    ManifestPage, ManifestPages, ManifestRequest, Packet, PageRefused,
};
use zotferry_protocol::refusal::{Code, Refusal};

use super::{Caller, unavailable};
use crate::catalog::{ContentName, DataState, Served};
use crate::hub::Hub;
use crate::storage::{Storage, StorageError};

/// FETCH-51: digest bytes in one answer; the packet has room for paths and heads beside them.
const ROOM: usize = 900 << 10;

/// As many of the asked pages as fit.
pub(super) async fn receive(
    hub: &Arc<Hub>,
    caller: &Caller,
    ask: &ManifestRequest,
) -> Result<Packet, Refusal> {
    let names: Vec<ContentName> =
        ask.items.iter().map(|i| (i.resource.clone(), i.role, i.root)).collect();
    let here = served(hub, caller.channel.id, &names).await?;
    let (storage, ask) = (Arc::clone(&hub.storage), ask.clone());
    let reading = tokio::task::spawn_blocking(move || pages(&*storage, &ask, &here));
    Ok(reading.await.map_err(|e| unavailable(&e))?.into())
}

fn pages(
    storage: &dyn Storage,
    ask: &ManifestRequest,
    here: &[Result<Served, Refusal>],
) -> ManifestPages {
    let mut answer = ManifestPages::default();
    let mut room = ROOM;
    for (item, (wanted, here)) in (0u32..).zip(ask.items.iter().zip(here)) {
        let refuse = |code: Code| PageRefused { item, code: code.into() };
        let served = match here {
            Ok(served) => served,
            Err(refusal) => {
                answer.refused.push(refuse(refusal.code));
                continue;
            }
        };
        let pages = Manifest::of(served.size).map_or(0, |manifest| manifest.pages());
        for number in wanted.first..wanted.first.saturating_add(wanted.count) {
            if number >= pages {
                answer.refused.push(refuse(Code::BadRange));
                break;
            }
            if room == 0 || answer.pages.len() == 1024 {
                return answer;
            }
            match page(storage, served, item, number) {
                Ok(Some(page)) => {
                    room = room.saturating_sub(page.digests.len() + page.path.len() + 64);
                    answer.pages.push(page);
                }
                Ok(None) => {
                    answer.refused.push(refuse(Code::NotHere));
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, "a manifest page could not be read");
                    answer.refused.push(refuse(Code::Unavailable));
                    break;
                }
            }
        }
    }
    answer
}

/// One page; a content of one chunk has its root as its only digest.
fn page(
    storage: &dyn Storage,
    served: &Served,
    item: u32,
    number: u32,
) -> Result<Option<ManifestPage>, StorageError> {
    if served.size <= MIN_CHUNK.into() {
        return Ok(Some(ManifestPage::new(item, 0, &[served.root], &[])));
    }
    let Ok(manifest) = Manifest::of(served.size) else { return Ok(None) };
    let (root, chunks) = (&served.root, manifest.chunks());
    let Some(digests) = storage.digests(root, chunks, number)? else { return Ok(None) };
    let roots: Vec<Digest> = storage.page_roots(root, chunks)?.unwrap_or_default();
    let path = merkle::page_path(&roots, number);
    Ok(Some(ManifestPage::new(item, number, &digests, &path)))
}

/// FETCH-28 to FETCH-30: what this hub has under each name, or why it gives nothing.
pub(super) async fn served(
    hub: &Arc<Hub>,
    channel: i64,
    names: &[ContentName],
) -> Result<Vec<Result<Served, Refusal>>, Refusal> {
    let found = hub.catalog.serve_lookup(channel, names).await.map_err(|e| unavailable(&e))?;
    let verdict = |found: Option<Served>| {
        // FETCH-28: no content of this channel.
        let served = found.ok_or(Code::UnknownResource)?;
        match (served.state, served.held) {
            (DataState::Present | DataState::Superseded, true) => Ok(served),
            // FETCH-29: nobody is going to bring it any more.
            (DataState::Superseded, false) => Err(Refusal::new(Code::Gone)),
            // FETCH-30: announced, and not arrived yet; or damaged, and fetched again (AUDIT-17).
            _ => Err(Refusal::new(Code::NotHere)),
        }
    };
    Ok(found.into_iter().map(verdict).collect())
}

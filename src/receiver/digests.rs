//! Manifest pages: from the storage, or else from the origin, verified before they count.
//!
//! Spec: FETCH-50, FETCH-53, FETCH-54, FILE-9, FILE-12.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::Manifest;
use zotferry_protocol::merkle;
use zotferry_protocol::packets::{ManifestItem, ManifestRequest, Packet};
use zotferry_protocol::transfer::Input;

use super::file::ActiveFile;
use super::{Receiver, reuse};
use crate::catalog::SiteNo;
use crate::hub::CallError;
use crate::storage::StorageError;

/// The longest pause between attempts, in ms.
const LONGEST: u64 = 60_000;

/// Gets a page for a file, however often it takes, while the file is in hand. A hub that comes back
/// is asked at once.
pub(super) fn fetch(receiver: &Arc<Receiver>, file: &Arc<ActiveFile>, page: u32) {
    let (file, asking) = (Arc::clone(file), Arc::clone(receiver));
    receiver.tasks.spawn(async move {
        let mut pause = 500;
        let mut vain = BTreeSet::new();
        while !file.is_over() {
            let comeback = file.hub.comebacks.notified();
            let site = file.pick(&asking, &vain);
            let obtained = tokio::select! {
                obtained = obtain(&file, page, site) => obtained,
                () = file.leaving() => break,
            };
            match obtained {
                Ok(digests) => {
                    let copied = reuse::copy(&file, page, digests.clone()).await;
                    // In one go: nobody may ask meanwhile for what was copied.
                    let news = std::iter::once(Input::Digests { page, digests });
                    file.tell_all(news.chain(copied));
                    break;
                }
                Err(error) => {
                    tracing::info!(file = %file.name(), page, %error, "a manifest page is not to be had yet");
                }
            }
            // FETCH-54: the next hub at once; a pause when each was asked in vain.
            vain.extend(site);
            if file.pick(&asking, &vain).is_some() {
                continue;
            }
            vain.clear();
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                () = comeback => {}
                () = file.leaving() => {}
            }
            pause = (pause * 2).min(LONGEST);
        }
        file.hub.work.notify_one();
    });
}

async fn obtain(
    file: &Arc<ActiveFile>,
    page: u32,
    site: Option<SiteNo>,
) -> Result<Vec<Digest>, CallError> {
    let data = &file.data;
    if let (Some(digests), 0) = (&data.digests, page) {
        return keep(file, page, digests.clone()).await;
    }
    let (storage, root, chunks) = (Arc::clone(&file.hub.storage), data.root, file.chunks());
    let kept = tokio::task::spawn_blocking(move || storage.digests(&root, chunks, page)).await;
    if let Ok(Ok(Some(digests))) = kept {
        return Ok(digests);
    }
    let site = site.ok_or_else(|| CallError::Local("no clone has the file".into()))?;
    let digests = ask(file, page, site).await?;
    keep(file, page, digests).await
}

/// Pages are kept: a restart does not ask for them again, and this clone serves them later.
async fn keep(
    file: &Arc<ActiveFile>,
    page: u32,
    digests: Vec<Digest>,
) -> Result<Vec<Digest>, CallError> {
    let (storage, root, chunks) = (Arc::clone(&file.hub.storage), file.data.root, file.chunks());
    let keeping = tokio::task::spawn_blocking(move || {
        storage.put_digests(&root, chunks, page, &digests)?;
        Ok::<_, StorageError>(digests)
    });
    match keeping.await {
        Ok(Ok(digests)) => Ok(digests),
        Ok(Err(error)) => Err(CallError::Local(error.to_string())),
        Err(error) => Err(CallError::Local(error.to_string())),
    }
}

async fn ask(file: &Arc<ActiveFile>, page: u32, site: SiteNo) -> Result<Vec<Digest>, CallError> {
    let (hub, data) = (&file.hub, &file.data);
    let (peer, channel) = hub.peer_and_channel(site, data.channel).await?;
    let item = ManifestItem {
        resource: data.hash.clone(),
        role: data.role,
        root: data.root,
        first: page,
        count: 1,
    };
    let request = ManifestRequest { items: vec![item] }.into();
    let answer = hub.call(&peer, &channel.portable_id, &request, None).await?;
    let wrong = |what: String| CallError::NotOurs {
        site: peer.url.clone(),
        status: 200,
        hint: format!(": {what}"),
        retry_after: None,
    };
    let Packet::ManifestPages(pages) = &*answer else {
        return Err(wrong(format!("a {} instead of a manifest page", answer.kind())));
    };
    if let Some(refused) = pages.refused.first() {
        return Err(CallError::Refused {
            site: peer.url.clone(),
            code: refused.code,
            text: "the manifest page".into(),
            retry_after: None,
        });
    }
    let found = pages.pages.iter().find(|p| p.item == 0 && p.page == page);
    let found = found.ok_or_else(|| wrong("no such page in the answer".into()))?;
    let manifest = Manifest::of(data.size).map_err(|e| CallError::Local(e.to_string()))?;
    let digests = found.digests();
    merkle::verify_page(&data.root, &manifest, page, &digests, &found.path())
        .map_err(|e| wrong(format!("a page that does not prove itself: {e}")))?;
    Ok(digests)
}

//! Chunks that an earlier revision of the same file has are copied, not fetched.
//!
//! Spec: FILE-13, FETCH-36.

use std::sync::Arc;

use zotferry_protocol::ids::Digest;
use zotferry_protocol::transfer::Input;

use super::file::ActiveFile;
use crate::chunker::{ChunkerError, copy_page};

/// Copies what it can of one page; returns what to tell the transfer after the page's digests.
pub(super) async fn copy(
    file: &Arc<ActiveFile>,
    page: u32,
    digests: Vec<Digest>,
) -> Vec<Input<'static>> {
    let earlier = file.hub.catalog.earlier_contents(&file.data).await.unwrap_or_default();
    if earlier.is_empty() {
        return Vec::new();
    }
    let file = Arc::clone(file);
    let copying = move || -> Result<Vec<Input<'static>>, ChunkerError> {
        let number = file.file_number();
        let Some(assembly) = file.assembly() else { return Ok(Vec::new()) };
        let mut inputs = Vec::new();
        for older in &earlier {
            let storage = &*file.hub.storage;
            let wants = |chunk| file.wants(chunk);
            for chunk in copy_page(storage, &assembly, page, &digests, wants, older)? {
                let at = (chunk.0 % zotferry_protocol::manifest::PAGE) as usize;
                let Some(digest) = digests.get(at).copied() else { continue };
                let len = assembly.manifest().span(chunk).map_or(0, |span| span.len);
                file.hub.metrics.bytes_copied.add(u64::from(len));
                inputs.push(Input::Copied { chunk, digest, file: number });
            }
        }
        Ok(inputs)
    };
    match tokio::task::spawn_blocking(copying).await {
        Ok(Ok(inputs)) => inputs,
        Ok(Err(error)) => {
            tracing::warn!(%error, "an earlier revision could not be used");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

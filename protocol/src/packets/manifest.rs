//! `manifest-request` and `manifest-page`: the digests of a file's chunks, page by page.
//!
//! Spec: FETCH-50, FILE-6, FILE-11.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::codec;
use crate::ids::{Digest, ResourceId, Role};
use crate::manifest::PAGE;
use crate::refusal::{Code, CodeNumber, Refusal};

/// Some pages of one content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestItem {
    /// The entry.
    pub resource: ResourceId,
    /// Which of its bytes.
    pub role: Role,
    /// Which content.
    pub root: Digest,
    /// The first page.
    pub first: u32,
    /// How many pages.
    pub count: u32,
}

/// Asks for pages of up to 256 contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRequest {
    /// What is asked for. The answer counts in this order.
    #[serde(deserialize_with = "codec::bounded::<_, _, 256>")]
    pub items: Vec<ManifestItem>,
}

impl ManifestRequest {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.items.is_empty() || self.items.iter().any(|i| i.count == 0 || i.count > 256) {
            return Err(Refusal::with(Code::BadField, "1 to 256 items of 1 to 256 pages"));
        }
        Ok(())
    }
}

/// One page with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPage {
    /// Number of the item in the request.
    pub item: u32,
    /// Number of the page.
    pub page: u32,
    /// The leaf digests of the page's chunks, 32 bytes each, one after the other.
    pub digests: ByteBuf,
    /// The audit path to the root, 32 bytes a node, from below.
    pub path: ByteBuf,
}

/// An item of which no page can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRefused {
    /// Number of the item in the request.
    pub item: u32,
    /// The row of the refusal table.
    pub code: CodeNumber,
}

/// As many of the asked pages, in order, as fit one packet; what is missing is asked for again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPages {
    /// The pages.
    #[serde(deserialize_with = "codec::bounded::<_, _, 1024>")]
    pub pages: Vec<ManifestPage>,
    /// The items that are refused.
    #[serde(default, deserialize_with = "codec::bounded::<_, _, 256>")]
    pub refused: Vec<PageRefused>,
}

impl ManifestPages {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let whole = |bytes: &[u8], most: usize| {
            bytes.len().is_multiple_of(Digest::LEN) && bytes.len() / Digest::LEN <= most
        };
        let ok = self.pages.iter().all(|p| whole(&p.digests, PAGE as usize) && whole(&p.path, 32));
        if ok { Ok(()) } else { Err(Refusal::with(Code::BadField, "digests are 32 bytes each")) }
    }
}

impl ManifestPage {
    /// Makes a page from digests.
    pub fn new(item: u32, page: u32, digests: &[Digest], path: &[Digest]) -> Self {
        Self { item, page, digests: join(digests), path: join(path) }
    }

    /// The leaf digests.
    pub fn digests(&self) -> Vec<Digest> {
        split(&self.digests)
    }

    /// The audit path.
    pub fn path(&self) -> Vec<Digest> {
        split(&self.path)
    }
}

/// Digests one after the other.
pub(super) fn join(digests: &[Digest]) -> ByteBuf {
    ByteBuf::from(digests.iter().flat_map(|d| d.0).collect::<Vec<u8>>())
}

/// The reverse of [`join`]; what is left over after the last whole digest is not looked at.
pub(super) fn split(bytes: &[u8]) -> Vec<Digest> {
    bytes.chunks_exact(Digest::LEN).filter_map(|d| Digest::from_slice(d).ok()).collect()
}

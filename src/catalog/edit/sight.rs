//! Who may see all that lies in a folder.
//!
//! Invariant: entries change in the order of their paths, in transactions of bounded size; what was changed
//! before a cut stays changed, and doing it again changes the rest.
//! Spec: SYNC-36.

use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::packets::Op;

use super::{Edit, EditError, Maker};
use crate::catalog::error::CatalogError;
use crate::catalog::put::Access;
use crate::catalog::{Attach, Catalog};

/// Entries changed in one transaction.
const SOME: usize = 2000;

/// A folder whose entries are being looked at, and the last one that was.
struct Visited {
    folder: Option<ResourceId>,
    last: Option<(String, ResourceId)>,
}

impl Visited {
    fn new(folder: Option<ResourceId>) -> Self {
        Self { folder, last: None }
    }
}

impl Catalog {
    /// Gives access lists to all that lies below a path (the empty one: the channel's top), not to the entry
    /// there. Answers how many entries had others.
    pub async fn local_sight_below(
        &self,
        path: &[String],
        access: &Access,
        maker: &mut Maker<'_>,
    ) -> Result<u64, EditError> {
        let mut edit = Edit::begin(self, maker).await?;
        let mut below = vec![Visited::new(edit.folder_at(path).await?)];
        let (mut changed, mut uncommitted) = (0, 0);
        while let Some(mut visited) = below.pop() {
            let page = edit.page(visited.folder.as_ref(), visited.last.as_ref()).await?;
            if let Some(last) = page.last() {
                visited.last = Some((last.filename.clone(), last.hash.clone()));
                below.push(visited);
            }
            for entry in page {
                if entry.is_dir {
                    below.push(Visited::new(Some(entry.hash.clone())));
                }
                if edit.give(entry, access)? {
                    (changed, uncommitted) = (changed + 1, uncommitted + 1);
                }
            }
            edit.write().await?;
            if uncommitted >= SOME {
                edit.commit().await?;
                edit = Edit::begin(self, maker).await?;
                uncommitted = 0;
            }
        }
        edit.commit().await?;
        Ok(changed)
    }
}

impl Edit<'_, '_, '_> {
    /// Whether the entry had other lists.
    fn give(&mut self, before: Attach, access: &Access) -> Result<bool, CatalogError> {
        let mut row = before.clone();
        access.clone().give(&mut row);
        if row == before {
            return Ok(false);
        }
        row.meta_version = self.version(Some(&before.meta_version))?;
        self.file(Some(before), row, Op::Meta);
        Ok(true)
    }
}

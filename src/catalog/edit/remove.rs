//! Removes an entry and everything inside it: a tombstone for each that the remover sees.
//!
//! Invariant: what is inside goes before the folder, so that a removal cut short leaves a smaller folder
//! and no orphans.
//! Spec: SYNC-33 to SYNC-35.

use zotferry_protocol::packets::Op;

use super::{Edit, EditError, Maker, seen_content};
use crate::catalog::error::CatalogError;
use crate::catalog::{Attach, Catalog};

/// Entries removed in one transaction.
const SOME: usize = 2000;

impl Catalog {
    /// SYNC-43: removes what is at a path, what is inside first. Answers how many entries went.
    pub async fn local_remove(
        &self,
        path: &[String],
        maker: &mut Maker<'_>,
    ) -> Result<u64, EditError> {
        if path.is_empty() {
            return Err(EditError::Top);
        }
        let mut edit = Edit::begin(self, maker).await?;
        let entry = edit.at(path).await?.ok_or(EditError::NotFound)?;
        let (mut removed, mut uncommitted) = (0, 0);
        let mut below = vec![entry];
        while let Some(top) = below.last().cloned() {
            let inside = match top.is_dir {
                true => edit.page(Some(&top.hash), None).await?,
                false => Vec::new(),
            };
            let gone = if inside.is_empty() {
                below.pop();
                vec![top]
            } else {
                let (folders, files): (Vec<_>, Vec<_>) = inside.into_iter().partition(|a| a.is_dir);
                if files.is_empty() {
                    below.extend(folders.into_iter().next());
                }
                files
            };
            (removed, uncommitted) = (removed + gone.len() as u64, uncommitted + gone.len());
            edit.bury(gone).await?;
            if uncommitted >= SOME {
                edit.commit().await?;
                edit = Edit::begin(self, maker).await?;
                uncommitted = 0;
            }
        }
        edit.commit().await?;
        Ok(removed)
    }
}

impl Edit<'_, '_, '_> {
    /// Tombstones for entries inside which nothing is left.
    async fn bury(&mut self, rows: Vec<Attach>) -> Result<(), CatalogError> {
        for before in rows {
            let mut row = before.clone();
            row.removed_version = Some(self.version(seen_content(&before)?.as_ref())?);
            (row.alive, row.root) = (false, None);
            self.file(Some(before), row, Op::Remove);
        }
        self.write().await
    }
}

//! Moves and renames an entry: its place register alone, so no bytes.
//!
//! Spec: SYNC-35, SYNC-39.

use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::packets::Op;

use super::{Edit, EditError, Maker, Renamed};
use crate::catalog::attach::check_name;
use crate::catalog::{Attach, Catalog, tree};

impl Catalog {
    /// Moves the entry at `from` to the path `to`. With `replace`, what is there goes.
    pub async fn local_rename(
        &self,
        from: &[String],
        to: &[String],
        replace: bool,
        maker: &mut Maker<'_>,
    ) -> Result<Renamed, EditError> {
        if from.is_empty() || to.is_empty() {
            return Err(EditError::Top);
        }
        let replaced = self.make_way(from, to, replace, maker).await?;
        let (name, above) = to.split_last().ok_or(EditError::Top)?;
        check_name(name)?;
        let mut edit = Edit::begin(self, maker).await?;
        let before = edit.at(from).await?.ok_or(EditError::NotFound)?;
        let folder = edit.folder_at(above).await?;
        if let Some(there) = edit.at(to).await?.filter(|there| there.hash != before.hash) {
            tracing::debug!(hash = %there.hash, "something was put there meanwhile");
            return Err(EditError::Exists);
        }
        if edit.lies_below(folder.as_ref(), &before).await? {
            return Err(EditError::IntoItself);
        }
        let mut row = before.clone();
        if row.filename == *name && row.folder == folder {
            return Ok(Renamed { entry: row, replaced: false });
        }
        row.place_version = edit.version(Some(&before.place_version))?;
        name.clone_into(&mut row.filename);
        if folder != before.folder {
            row.was = before.folder.clone();
        }
        row.folder.clone_from(&folder);
        row.place_folder = folder;
        let hash = row.hash.clone();
        edit.file(Some(before), row, Op::Place);
        edit.commit().await?;
        let entry = self.entry(maker.channel, &hash).await?.ok_or(EditError::NotFound)?;
        Ok(Renamed { entry, replaced })
    }

    /// Removes what lies at `to`, if it may be replaced. Whether something did.
    pub(super) async fn make_way(
        &self,
        from: &[String],
        to: &[String],
        replace: bool,
        maker: &mut Maker<'_>,
    ) -> Result<bool, EditError> {
        let mut edit = Edit::begin(self, maker).await?;
        let source = edit.at(from).await?.ok_or(EditError::NotFound)?;
        let Some(there) = edit.at(to).await? else { return Ok(false) };
        if there.hash == source.hash {
            return Ok(false);
        }
        if !replace {
            return Err(EditError::Exists);
        }
        if edit.lies_below(Some(&source.hash), &there).await?
            || edit.lies_below(Some(&there.hash), &source).await?
        {
            return Err(EditError::IntoItself);
        }
        drop(edit);
        self.local_remove(to, maker).await.map(|_| true)
    }
}

impl Edit<'_, '_, '_> {
    /// Whether a folder is `entry` or lies below it.
    pub(super) async fn lies_below(
        &mut self,
        folder: Option<&ResourceId>,
        entry: &Attach,
    ) -> Result<bool, EditError> {
        let Some(folder) = folder else { return Ok(false) };
        if *folder == entry.hash {
            return Ok(true);
        }
        let above = tree::above(&mut self.tx, self.channel.id, folder).await?;
        Ok(above.contains_key(&entry.hash))
    }
}

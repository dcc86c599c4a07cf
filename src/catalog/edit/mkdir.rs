//! Makes a folder.

use zotferry_protocol::packets::Op;

use super::{Edit, EditError, Maker};
use crate::catalog::{Access, Attach, Catalog};

impl Catalog {
    /// Makes the folder at a path; the one above it must be there, and nothing of its name.
    /// Who sees that one sees the new one; at the top, the channel alone.
    pub async fn local_mkdir(
        &self,
        path: &[String],
        maker: &mut Maker<'_>,
    ) -> Result<Attach, EditError> {
        let (name, above) = path.split_last().ok_or(EditError::Exists)?;
        let mut edit = Edit::begin(self, maker).await?;
        let parent = match above.is_empty() {
            true => None,
            false => edit
                .at(above)
                .await?
                .filter(|row| row.is_dir)
                .map(Some)
                .ok_or(EditError::NoParent)?,
        };
        if edit.at(path).await?.is_some() {
            return Err(EditError::Exists);
        }
        let access = match &parent {
            Some(parent) => Access::of(parent),
            None => Access::owner(&edit.maker.creator),
        };
        let folder = parent.map(|row| row.hash);
        let mut row = Attach { is_dir: true, ..edit.blank(name, folder)? };
        access.give(&mut row);
        let hash = row.hash.clone();
        edit.file(None, row, Op::Put);
        edit.commit().await?;
        self.entry(maker.channel, &hash).await?.ok_or(EditError::NotFound)
    }
}

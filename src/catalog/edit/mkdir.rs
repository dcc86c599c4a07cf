//! Makes a folder.

use zotferry_protocol::packets::Op;

use super::{Edit, EditError, Maker};
use crate::catalog::{Attach, Catalog};

impl Catalog {
    /// Makes the folder at a path; the one above it must be there, and nothing of its name.
    pub async fn local_mkdir(
        &self,
        path: &[String],
        maker: &mut Maker<'_>,
    ) -> Result<Attach, EditError> {
        let (name, above) = path.split_last().ok_or(EditError::Exists)?;
        let mut edit = Edit::begin(self, maker).await?;
        let folder = edit.folder_at(above).await?;
        if edit.at(path).await?.is_some() {
            return Err(EditError::Exists);
        }
        let row = Attach { is_dir: true, ..edit.blank(name, folder)? };
        let hash = row.hash.clone();
        edit.file(None, row, Op::Put);
        edit.commit().await?;
        self.entry(maker.channel, &hash).await?.ok_or(EditError::NotFound)
    }
}

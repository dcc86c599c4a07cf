//! Copies entries: new ones with the same roots, so no bytes.

use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::packets::Op;

use super::{Edit, EditError, Maker, Renamed};
use crate::catalog::attach::check_name;
use crate::catalog::error::CatalogError;
use crate::catalog::{Attach, Catalog, data};

/// Entries copied in one transaction.
const SOME: usize = 2000;

/// A folder whose inside is to be copied.
struct Inside {
    from: ResourceId,
    to: ResourceId,
    after: Option<(String, ResourceId)>,
}

impl Catalog {
    /// Copies what is at `from` to the path `to`, folders with all inside. With `replace`, what is there
    /// goes.
    pub async fn local_copy(
        &self,
        from: &[String],
        to: &[String],
        replace: bool,
        maker: &mut Maker<'_>,
    ) -> Result<Renamed, EditError> {
        let (name, above) = to.split_last().ok_or(EditError::Top)?;
        if from.is_empty() {
            return Err(EditError::IntoItself);
        }
        check_name(name)?;
        let replaced = self.make_way(from, to, replace, maker).await?;
        let mut edit = Edit::begin(self, maker).await?;
        let mut source = edit.at(from).await?.ok_or(EditError::NotFound)?;
        let folder = edit.folder_at(above).await?;
        if edit.at(to).await?.is_some() {
            return Err(EditError::Exists);
        }
        if edit.lies_below(folder.as_ref(), &source).await? {
            return Err(EditError::IntoItself);
        }
        name.clone_into(&mut source.filename);
        let copies = edit.duplicate(vec![source], folder).await?;
        let copy = copies[0].clone();
        let mut below: Vec<Inside> = copies.into_iter().filter_map(Inside::of).collect();
        let mut uncommitted = 1;
        while let Some(pair) = below.last_mut() {
            let page = edit.page(Some(&pair.from), pair.after.as_ref()).await?;
            let Some(last) = page.last() else {
                below.pop();
                continue;
            };
            pair.after = Some((last.filename.clone(), last.hash.clone()));
            let to = pair.to.clone();
            uncommitted += page.len();
            let copies = edit.duplicate(page, Some(to)).await?;
            below.extend(copies.into_iter().filter_map(Inside::of));
            if uncommitted >= SOME {
                edit.commit().await?;
                edit = Edit::begin(self, maker).await?;
                uncommitted = 0;
            }
        }
        // What is copied counts in full, though its bytes are stored once.
        edit.commit().await?;
        let entry = self.entry(maker.channel, &copy.1).await?.ok_or(EditError::NotFound)?;
        Ok(Renamed { entry, replaced })
    }
}

/// What was copied: the original, the copy, whether it is a folder.
type Copied = (ResourceId, ResourceId, bool);

impl Inside {
    fn of((from, to, is_dir): Copied) -> Option<Self> {
        is_dir.then_some(Self { from, to, after: None })
    }
}

impl Edit<'_, '_, '_> {
    /// New entries like `rows` in another folder, with the same contents.
    async fn duplicate(
        &mut self,
        rows: Vec<Attach>,
        folder: Option<ResourceId>,
    ) -> Result<Vec<Copied>, CatalogError> {
        let mut copies = Vec::new();
        let mut contents = Vec::new();
        for row in rows {
            let fresh = self.blank(&row.filename, folder.clone())?;
            let copy = Attach {
                hash: fresh.hash.clone(),
                creator: fresh.creator,
                created: fresh.created,
                folder: fresh.folder,
                place_folder: fresh.place_folder,
                was: None,
                removed_version: None,
                revision: 0,
                photos: Vec::new(),
                content_version: row.content_version.is_some().then(|| fresh.meta_version.clone()),
                place_version: fresh.place_version,
                meta_version: fresh.meta_version,
                ..row.clone()
            };
            copies.push((row.hash.clone(), copy.hash.clone(), row.is_dir));
            self.file(None, copy, Op::Put);
            if let (Some(root), Some(filed)) = (row.root, self.changed.last()) {
                contents.push((row.hash, root, filed.hash.clone(), filed.op_id));
            }
        }
        self.write().await?;
        data::copy(&mut self.tx, self.channel.id, &contents, self.maker.now).await?;
        Ok(copies)
    }
}

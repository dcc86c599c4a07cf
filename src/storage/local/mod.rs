//! The storage in a folder of this machine.
//!
//! Owns: the layout below its folder. Not here: how one file is written (`partial`), rows (`small`).
//! Invariant: a name in `content/` or a row in `small.sqlite` stands for complete, verified,
//! durable bytes; everything else lies in `partial/`.
//!
//! ```text
//! content/ab/<root in hex>   content in a file of its own
//! partial/<root>.<size>.<n>  a wanted file on its way in, for channel n
//! partial/<uuid>             a file being put here
//! damaged/<root in hex>      a file that was found not to give its root
//! small.sqlite               contents of at most 64 KiB that were put whole; digest pages
//! ```

mod content;
mod folder;
mod group;
mod partial;
mod rows;
mod small;
mod tree;
mod wait;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use zotferry_protocol::ids::Digest;

use super::{Content, Partial, PartialKey, Result, SMALL, Storage, StorageError, Taking};
use content::FileContent;
use folder::Folder;
use partial::LocalPartial;
use small::Small;
use tree::Tree;

/// Content as files and rows below one folder.
pub struct LocalStorage {
    tree: Arc<Tree>,
    small: Small,
}

impl LocalStorage {
    /// Opens the storage in `dir`, or makes one when there is none.
    ///
    /// # Errors
    /// Whatever the file system refuses; a symbolic link in the place of one of our names;
    /// [`StorageError::Unusable`] when the rows or the files of a storage are missing, or the rows
    /// damaged: a storage that held something never opens as an empty one.
    pub fn open(dir: &Path) -> Result<Self> {
        let folder = Folder::root(dir)?;
        // The folders are made last: where they are, the rows were, and before them, no row was.
        let first = !Tree::exists(&folder)?;
        if first {
            Small::create(&folder, dir)?;
        }
        let small = Small::open(&folder, dir)?;
        if first && !small.is_empty()? {
            let (path, detail) = (dir.join("content"), "it is missing".into());
            return Err(StorageError::Unusable { path, detail });
        }
        let tree = Tree::open(&folder)?;
        // Of a release that kept one partial file of a root for all channels.
        for name in tree.partial.names()?.iter().filter(|name| is_root(name)) {
            tree.partial.unlink(name)?;
        }
        Ok(Self { tree: Arc::new(tree), small })
    }

    fn file(&self, root: &Digest) -> Result<Option<File>> {
        self.tree.home(root)?.read(&root.to_string())
    }
}

fn is_root(name: &str) -> bool {
    name.parse::<Digest>().is_ok_and(|root| root.to_string() == name)
}

impl Storage for LocalStorage {
    fn health(&self) -> Result<()> {
        self.tree.health()?;
        self.small.health()
    }

    fn free_space(&self) -> Result<u64> {
        self.tree.partial.free_space()
    }

    fn contains(&self, root: &Digest) -> Result<bool> {
        if self.tree.size(root)?.is_none() {
            return self.small.contains(root);
        }
        // Who hears that it is here relies on it.
        self.tree.confirm(root).map(|()| true)
    }

    fn open(&self, root: &Digest) -> Result<Option<Box<dyn Content>>> {
        if let Some(file) = self.file(root)? {
            return Ok(Some(Box::new(FileContent::new(file)?)));
        }
        Ok(self.small.read(root)?.map(|bytes| Box::new(bytes) as Box<dyn Content>))
    }

    fn read_small(&self, roots: &[Digest]) -> Result<Vec<Option<Bytes>>> {
        self.small.read_many(roots)
    }

    fn put_many(&self, items: &[(Digest, Bytes)]) -> Result<()> {
        let (rows, files): (Vec<_>, Vec<_>) =
            items.iter().partition(|(_, bytes)| bytes.len() <= SMALL);
        if !files.is_empty() {
            group::put(&self.tree, &files)?;
        }
        if rows.is_empty() { Ok(()) } else { self.small.put(&rows) }
    }

    fn partial(&self, key: &PartialKey, size: u64) -> Result<Arc<dyn Partial>> {
        Ok(Arc::new(LocalPartial::begin(&self.tree, *key, size)?))
    }

    fn take(
        &self,
        key: &PartialKey,
        source: &File,
        how: Taking,
    ) -> Result<Option<Arc<dyn Partial>>> {
        let taken = LocalPartial::take(&self.tree, *key, source, how)?;
        Ok(taken.map(|partial| Arc::new(partial) as Arc<dyn Partial>))
    }

    fn partials(&self) -> Result<Vec<PartialKey>> {
        let names = self.tree.partial.names()?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn put_digests(&self, root: &Digest, chunks: u32, page: u32, digests: &[Digest]) -> Result<()> {
        self.small.put_page(root, chunks, page, digests)
    }

    fn digests(&self, root: &Digest, chunks: u32, page: u32) -> Result<Option<Vec<Digest>>> {
        self.small.page(root, chunks, page)
    }

    fn page_roots(&self, root: &Digest, chunks: u32) -> Result<Option<Vec<Digest>>> {
        self.small.page_roots(root, chunks)
    }

    fn remove(&self, root: &Digest) -> Result<()> {
        self.tree.home(root)?.unlink(&root.to_string())?;
        self.small.remove(root)
    }

    fn set_aside(&self, root: &Digest) -> Result<()> {
        self.tree.set_aside(root)?;
        self.small.remove(root)
    }
}

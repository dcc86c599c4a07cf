//! The file system that dav-server is given: a channel's entries by path.
//!
//! Owns: which operation is meant by which calls. Not here: the operations (`files`).
//! Invariant: a MOVE, COPY or DELETE is one operation of `files`, whatever it holds.
//!
//! dav-server does these entry by entry: it empties the destination, copies folder by folder, and
//! removes what is inside before the folder. That would be an announcement for each entry and a
//! destination that is gone when the rest fails. So a folder looks empty to it (what it would list,
//! `propfind` does),
//! removing a destination only notes that it is to be replaced, and making the copied folder copies
//! all of it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::http::StatusCode;
use dav_server::davpath::DavPath;
use dav_server::fs::{
    DavDirEntry, DavFile, DavFileSystem, DavMetaData, DavProp, FsError, FsFuture, FsResult,
    FsStream, OpenOptions, ReadDirMeta,
};
use futures_util::stream;

use super::meta::Meta;
use super::visit::Visit;
use super::{download, upload};
use crate::catalog::Attach;
use crate::files::{self, EditError};

/// A channel as a file system, for one request.
#[derive(Clone)]
pub(super) struct Tree(pub(super) Arc<Visit>);

/// The names in a path, from the top. A name that is not UTF-8 is nobody's.
pub(super) fn names(path: &DavPath) -> FsResult<Vec<String>> {
    let parts = path.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    let names = parts.map(|part| std::str::from_utf8(part).map(str::to_owned));
    names.collect::<Result<_, _>>().map_err(|_| FsError::NotFound)
}

/// The same for what is to be made: 403 says that nothing can have this name.
fn new_names(path: &DavPath) -> FsResult<Vec<String>> {
    names(path).map_err(|_| FsError::Forbidden)
}

impl Visit {
    /// The entry at a path that is not the top.
    pub(super) async fn lookup(&self, names: &[String]) -> FsResult<Option<Attach>> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = self.hub().catalog.by_path(self.channel.id, &names).await;
        found.map_err(|error| self.catalog(&error))
    }

    /// Whether a folder is there.
    pub(super) async fn is_folder(&self, names: &[String]) -> FsResult<bool> {
        Ok(names.is_empty() || self.lookup(names).await?.is_some_and(|entry| entry.is_dir))
    }

    pub(super) fn edit(&self, error: &EditError) -> FsError {
        match error {
            EditError::NotFound => FsError::NotFound,
            EditError::Exists => FsError::Exists,
            EditError::NoParent => self.decide(StatusCode::CONFLICT, None),
            EditError::IsFolder => self.decide(StatusCode::METHOD_NOT_ALLOWED, None),
            EditError::IntoItself | EditError::Top => FsError::Forbidden,
            EditError::Catalog(error) => self.catalog(error),
        }
    }

    /// What kept a COPY, MOVE or DELETE from being done. It is the answer to all of it: dav-server would
    /// say which entry failed, as if others had not.
    fn whole(&self, error: &EditError) -> FsError {
        let status = match error {
            EditError::NotFound => StatusCode::NOT_FOUND,
            EditError::Exists => StatusCode::PRECONDITION_FAILED,
            EditError::NoParent | EditError::IsFolder => StatusCode::CONFLICT,
            EditError::IntoItself | EditError::Top => StatusCode::FORBIDDEN,
            EditError::Catalog(error) => match self.catalog(error) {
                FsError::InsufficientStorage => StatusCode::INSUFFICIENT_STORAGE,
                FsError::Forbidden => StatusCode::FORBIDDEN,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        };
        self.decide(status, None)
    }

    async fn make(&self, path: &DavPath) -> FsResult<()> {
        let names = new_names(path)?;
        if names.is_empty() {
            return Err(FsError::Exists);
        }
        let made = files::mkdir(self.hub(), &self.channel, &names).await;
        made.map(drop).map_err(|error| self.edit(&error))
    }

    async fn remove(&self, path: &DavPath) -> FsResult<()> {
        if self.method.as_str() != "DELETE" {
            self.replace.store(true, Relaxed);
            return Ok(());
        }
        let removed = files::remove(self.hub(), &self.channel, &names(path)?).await;
        removed.map(drop).map_err(|error| self.whole(&error))
    }

    async fn rename(&self, from: &DavPath, to: &DavPath) -> FsResult<()> {
        let (from, to) = (names(from)?, new_names(to)?);
        let replace = self.replace.load(Relaxed);
        let moved = files::rename(self.hub(), &self.channel, &from, &to, replace).await;
        moved.map(drop).map_err(|error| self.whole(&error))
    }

    /// Copies a file, or a folder with all inside, and their properties.
    async fn copy(&self, from: &[String], to: &DavPath) -> FsResult<()> {
        let to = new_names(to)?;
        let original = self.lookup(from).await?.ok_or(FsError::NotFound)?;
        let replace = self.replace.load(Relaxed);
        let copied = files::copy(self.hub(), &self.channel, from, &to, replace).await;
        let copy = copied.map_err(|error| self.whole(&error))?.entry;
        if self.any_props().await.map_err(|error| self.catalog(&error))? {
            let catalog = &self.hub().catalog;
            let copied = catalog.copy_properties(self.channel.id, &original.hash, &copy.hash).await;
            copied.map_err(|error| self.catalog(&error))?;
        }
        Ok(())
    }

    /// The folder at the destination of a COPY: with all that is inside, or (Depth: 0) by itself.
    async fn copy_folder(&self, to: &DavPath) -> FsResult<()> {
        if !self.shallow {
            return self.copy(&self.source, to).await;
        }
        self.make(to).await?;
        if self.any_props().await.map_err(|error| self.catalog(&error))?
            && let Some(original) = self.lookup(&self.source).await?
            && let Some(copy) = self.lookup(&names(to)?).await?
        {
            let catalog = &self.hub().catalog;
            let copied = catalog.copy_properties(self.channel.id, &original.hash, &copy.hash).await;
            copied.map_err(|error| self.catalog(&error))?;
        }
        Ok(())
    }

    async fn meta(&self, path: &DavPath) -> FsResult<Box<dyn DavMetaData>> {
        let names = names(path)?;
        if names.is_empty() {
            return Ok(Box::new(Meta::top()));
        }
        let entry = self.lookup(&names).await?.ok_or(FsError::NotFound)?;
        Ok(Box::new(Meta::of(&entry)))
    }

    /// Used, and what there could be in all.
    pub(super) async fn quota(&self) -> FsResult<(u64, u64)> {
        let used = self.channel.needed();
        let free = self.free_space().await?;
        Ok((used, self.channel.quota.unwrap_or(u64::MAX).min(used.saturating_add(free))))
    }

    /// Bytes that are free on the disk beyond the floor.
    pub(super) async fn free_space(&self) -> FsResult<u64> {
        let storage = Arc::clone(&self.hub().storage);
        let free = tokio::task::spawn_blocking(move || storage.free_space()).await;
        let free = free.map_err(|e| self.failed(&e))?.map_err(|e| self.failed(&e))?;
        Ok(free.saturating_sub(self.hub().config.limits.min_free_mib << 20))
    }

    /// Bytes that the quota leaves where content of `freed` bytes is replaced.
    pub(super) async fn room(&self, freed: u64) -> FsResult<u64> {
        let room = self.hub().catalog.room(&self.channel, freed).await;
        room.map_err(|error| self.catalog(&error))
    }
}

impl DavFileSystem for Tree {
    fn open<'a>(
        &'a self,
        path: &'a DavPath,
        options: OpenOptions,
    ) -> FsFuture<'a, Box<dyn DavFile>> {
        Box::pin(async move {
            if options.write {
                if path.is_collection() {
                    return Err(FsError::Exists);
                }
                return upload::begin(&self.0, new_names(path)?, &options).await;
            }
            let entry = self.0.lookup(&names(path)?).await?.ok_or(FsError::NotFound)?;
            download::open(&self.0, &entry).await
        })
    }

    fn read_dir<'a>(
        &'a self,
        _: &'a DavPath,
        _: ReadDirMeta,
    ) -> FsFuture<'a, FsStream<Box<dyn DavDirEntry>>> {
        Box::pin(std::future::ready(Ok(Box::pin(stream::empty()) as FsStream<_>)))
    }

    fn metadata<'a>(&'a self, path: &'a DavPath) -> FsFuture<'a, Box<dyn DavMetaData>> {
        Box::pin(self.0.meta(path))
    }

    fn create_dir<'a>(&'a self, path: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(async move {
            match self.0.method.as_str() {
                "COPY" => self.0.copy_folder(path).await,
                _ => self.0.make(path).await,
            }
        })
    }

    fn remove_dir<'a>(&'a self, path: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(self.0.remove(path))
    }

    fn remove_file<'a>(&'a self, path: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(self.0.remove(path))
    }

    fn rename<'a>(&'a self, from: &'a DavPath, to: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(self.0.rename(from, to))
    }

    fn copy<'a>(&'a self, from: &'a DavPath, to: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(async move { self.0.copy(&names(from)?, to).await })
    }

    fn have_props<'a>(
        &'a self,
        _: &'a DavPath,
    ) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(std::future::ready(true))
    }

    fn patch_props<'a>(
        &'a self,
        path: &'a DavPath,
        patch: Vec<(bool, DavProp)>,
    ) -> FsFuture<'a, Vec<(StatusCode, DavProp)>> {
        Box::pin(self.0.change_props(path, patch))
    }
}

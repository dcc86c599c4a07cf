//! Enters entries that were known elsewhere, under the ids and with all that they had there.
//!
//! Owns: whether one is new, newer, or left alone. Not here: where they come from, their bytes.
//! Invariant: what stands in the catalog gives way only to a later revision of its content; nothing that was
//! removed comes back.
//! Spec: SYNC-3, SYNC-7, SYNC-23.

use std::collections::HashMap;

use zotferry_protocol::ids::{OpId, ResourceId, Role};
use zotferry_protocol::packets::{Op, PhotoRow};

use super::{Edit, EditError, Maker, seen_content};
use crate::catalog::data::{self, NewData, Origin, Source};
use crate::catalog::put::{LocalContent, arrive_at_last};
use crate::catalog::{Attach, Catalog, CatalogError, RoleContent, attach, photos};

/// An entry that is to be as it was elsewhere.
#[derive(Debug, Clone)]
pub struct Brought {
    /// Its row; versions, root, operation and number are made here.
    pub row: Attach,
    /// A file's bytes, which are durable already; `None` for a folder.
    pub content: Option<LocalContent>,
    /// Its cropped photos, durable already.
    pub cropped: Vec<RoleContent>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// A new entry.
    Created,
    /// A later revision of an entry that was there.
    Replaced,
    /// It was there, and has got cropped photos that it lacked.
    Completed,
    /// It was there.
    Unchanged,
    /// It was removed from the channel, and stays so.
    Removed,
    /// What is there has other bytes that are not older, or is of another kind.
    Differs,
}

/// Bytes to be written: of which entry, by which operation, as what.
struct Bytes<'a> {
    hash: &'a ResourceId,
    op_id: OpId,
    role: Role,
    mime: &'a str,
    content: &'a LocalContent,
}

impl Bytes<'_> {
    fn new_data(&self) -> NewData<'_> {
        NewData {
            hash: self.hash,
            role: self.role,
            root: &self.content.root,
            size: self.content.size,
            mime: self.mime,
            source: Source::Fetch,
            digests: self.content.digests.as_deref(),
            site: None,
            op_id: &self.op_id,
        }
    }
}

impl Catalog {
    /// Enters entries, at most some hundred; a folder stands before what lies in it. One answer each, in
    /// order. All of it, or (on an error) nothing.
    pub async fn local_bring(
        &self,
        brought: &[Brought],
        maker: &mut Maker<'_>,
    ) -> Result<Vec<Became>, EditError> {
        let mut edit = Edit::begin(self, maker).await?;
        let hashes: Vec<ResourceId> = brought.iter().map(|one| one.row.hash.clone()).collect();
        let mut known = attach::load(&mut edit.tx, edit.channel.id, &hashes).await?;
        let mut became = Vec::with_capacity(brought.len());
        for one in brought {
            became.push(edit.bring(one, &mut known)?);
        }
        if edit.changed.is_empty() && became.iter().all(|one| *one != Became::Unchanged) {
            return Ok(became);
        }
        edit.write().await?;
        let here = brought.iter().zip(&became).filter(|(_, became)| became.is_here());
        edit.write_bytes(&bytes(here.map(|(one, _)| one), &known)).await?;
        edit.commit().await?;
        Ok(became)
    }
}

impl Became {
    fn is_here(self) -> bool {
        !matches!(self, Self::Removed | Self::Differs)
    }
}

/// The bytes of entries that are there: the roots say which are theirs.
fn bytes<'a>(
    brought: impl Iterator<Item = &'a Brought>,
    known: &HashMap<ResourceId, Attach>,
) -> Vec<Bytes<'a>> {
    let mut bytes = Vec::new();
    for one in brought {
        let (Some(content), Some(row)) = (&one.content, known.get(&one.row.hash)) else { continue };
        let (hash, op_id) = (&one.row.hash, row.op_id);
        let mime = one.row.filetype.as_str();
        bytes.push(Bytes { hash, op_id, role: Role::File, mime, content });
        bytes.extend(one.cropped.iter().map(|cropped| Bytes {
            hash,
            op_id,
            role: cropped.role,
            mime: &cropped.mime,
            content: &cropped.content,
        }));
    }
    bytes
}

/// The photo rows of an entry with those of cropped photos that it lacks; `None` when it lacks none.
fn added_photos(before: &Attach, one: &Brought) -> Result<Option<Vec<u8>>, CatalogError> {
    let mut rows = before.photo_rows()?;
    let has: Vec<u8> = rows.iter().map(|row| row.imgscale).collect();
    let mut added = one.row.photo_rows()?;
    added.retain(|row| !has.contains(&row.imgscale));
    let role = |scale| match scale {
        4 => Some(Role::Photo4),
        7 => Some(Role::Photo7),
        _ => None,
    };
    let comes = |row: &PhotoRow| one.cropped.iter().any(|c| Some(c.role) == role(row.imgscale));
    if !added.iter().any(comes) {
        return Ok(None);
    }
    rows.extend(added);
    Ok(Some(photos::kept(&rows)))
}

impl Edit<'_, '_, '_> {
    /// Files one entry. `known` has the rows as they are after those before it.
    fn bring(
        &mut self,
        one: &Brought,
        known: &mut HashMap<ResourceId, Attach>,
    ) -> Result<Became, CatalogError> {
        let root = one.content.as_ref().map(|content| content.root);
        let before = known.get(&one.row.hash);
        let became = match before {
            None => Became::Created,
            Some(before) if !before.alive => return Ok(Became::Removed),
            Some(before) if before.is_dir != one.row.is_dir => return Ok(Became::Differs),
            Some(before) if before.root == root => match added_photos(before, one)? {
                None => return Ok(Became::Unchanged),
                Some(photos) => {
                    let meta_version = self.version(Some(&before.meta_version))?;
                    let row = Attach { photos, meta_version, ..before.clone() };
                    self.note(Some(before.clone()), row, Op::Meta, known);
                    return Ok(Became::Completed);
                }
            },
            Some(before) if one.row.revision <= before.revision => return Ok(Became::Differs),
            Some(_) => Became::Replaced,
        };
        let row = match before.cloned() {
            None => self.arrived(one)?,
            Some(before) => self.revised(&before, one)?,
        };
        self.note(before.cloned(), Attach { root, ..row }, Op::Put, known);
        Ok(became)
    }

    fn note(
        &mut self,
        before: Option<Attach>,
        row: Attach,
        op: Op,
        known: &mut HashMap<ResourceId, Attach>,
    ) {
        self.file(before, row, op);
        if let Some(row) = self.changed.last() {
            known.insert(row.hash.clone(), row.clone());
        }
    }

    fn arrived(&mut self, one: &Brought) -> Result<Attach, CatalogError> {
        let version = self.version(None)?;
        Ok(Attach {
            content_version: one.content.is_some().then(|| version.clone()),
            place_version: version.clone(),
            meta_version: version,
            removed_version: None,
            alive: true,
            ..one.row.clone()
        })
    }

    /// Content and what is said about it are those of the later revision; its place stays.
    fn revised(&mut self, before: &Attach, one: &Brought) -> Result<Attach, CatalogError> {
        let row = &one.row;
        let content_version = Some(self.version(seen_content(before)?.as_ref())?);
        let meta_version = match before.photos == row.photos {
            true => before.meta_version.clone(),
            false => self.version(Some(&before.meta_version))?,
        };
        Ok(Attach {
            filetype: row.filetype.clone(),
            filesize: row.filesize,
            revision: row.revision,
            is_photo: row.is_photo,
            edited: row.edited.clone(),
            mtime: row.mtime,
            photos: row.photos.clone(),
            content_version,
            meta_version,
            ..before.clone()
        })
    }

    async fn write_bytes(&mut self, bytes: &[Bytes<'_>]) -> Result<(), CatalogError> {
        let new: Vec<NewData<'_>> = bytes.iter().map(Bytes::new_data).collect();
        let (channel, now) = (self.channel.id, self.maker.now);
        arrive_at_last(&mut self.tx, channel, &new).await?;
        data::write(&mut self.tx, channel, Origin::MadeHere, &new, now).await
    }
}

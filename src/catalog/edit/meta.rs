//! Describes an entry: title, tags, access lists, photo rows, modification time.
//!
//! Spec: PHOTO-8, SYNC-7, SYNC-36.

use serde_bytes::ByteBuf;
use zotferry_protocol::codec;
use zotferry_protocol::ids::{Millis, ResourceId, Role};
use zotferry_protocol::packets::Op;
use zotferry_protocol::photo::Shape;
use zotferry_protocol::version::Hlc;

use super::{Edit, EditError, Maker, decoded, seen_content};
use crate::catalog::columns::VersionBytes;
use crate::catalog::data::{self, NewData, Origin, Source};
use crate::catalog::error::CatalogError;
use crate::catalog::put::{Access, LocalContent};
use crate::catalog::{Attach, Catalog};

/// What is to be different; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct MetaChange {
    /// Its title; the empty text takes it away.
    pub title: Option<String>,
    /// Its tags, all of them.
    pub tags: Option<Vec<String>>,
    /// Who may see it.
    pub access: Option<Access>,
    /// Modification time.
    pub mtime: Option<Millis>,
    /// Its photo rows as they travel, all of them: MessagePack maps.
    pub photos: Option<Vec<Vec<u8>>>,
    /// A cropped photo that it gets; others stay. Its bytes are durable already.
    pub cropped: Option<RoleContent>,
    /// PHOTO-8: the shape as whose photo this edit chooses it, and when the one was chosen that it follows.
    pub chosen: Option<(Shape, u64)>,
}

/// Bytes of a role other than `file`.
#[derive(Debug, Clone)]
pub struct RoleContent {
    /// Which.
    pub role: Role,
    /// The bytes.
    pub content: LocalContent,
    /// Mime type.
    pub mime: String,
}

impl Catalog {
    /// Describes the entry at a path.
    pub async fn local_meta(
        &self,
        path: &[String],
        change: &MetaChange,
        maker: &mut Maker<'_>,
    ) -> Result<Attach, EditError> {
        if path.is_empty() {
            return Err(EditError::Top);
        }
        let mut edit = Edit::begin(self, maker).await?;
        let before = edit.at(path).await?.ok_or(EditError::NotFound)?;
        let hash = before.hash.clone();
        let mut row = before.clone();
        describe(&mut row, change)?;
        let meta = row != before || change.cropped.is_some();
        let dated = change.mtime.is_some() && change.mtime != before.mtime;
        if !meta && !dated {
            return Ok(before);
        }
        if meta {
            edit.follow(change.chosen);
            row.meta_version = edit.version(Some(&before.meta_version))?;
            change.chosen.map_or(Ok(()), |(shape, _)| choose(&mut row, shape))?;
        }
        if dated {
            edit.date(&mut row, &before, change.mtime)?;
        }
        edit.file(Some(before), row, Op::Meta);
        edit.write().await?;
        if let Some(cropped) = &change.cropped {
            edit.set_cropped(&hash, cropped).await?;
        }
        edit.commit().await?;
        self.entry(maker.channel, &hash).await?.ok_or(EditError::NotFound)
    }
}

fn describe(row: &mut Attach, change: &MetaChange) -> Result<(), CatalogError> {
    if let Some(title) = &change.title {
        row.title = (!title.is_empty()).then(|| title.clone());
    }
    if let Some(tags) = &change.tags {
        row.set_extra("term", (!tags.is_empty()).then(|| encoded_tags(tags)))?;
    }
    if let Some(access) = &change.access {
        access.clone().give(row);
    }
    if let Some(photos) = &change.photos {
        let rows: Vec<_> = photos.iter().map(|row| serde_bytes::Bytes::new(row)).collect();
        row.photos = if rows.is_empty() { Vec::new() } else { codec::encode(&rows) };
    }
    Ok(())
}

/// PHOTO-8: the rows of the shape were chosen by the edit that gave the entry this meta version.
fn choose(row: &mut Attach, shape: Shape) -> Result<(), CatalogError> {
    let edit = decoded(&row.meta_version)?.hlc().0;
    let mut rows = row.photo_rows()?;
    rows.iter_mut().filter(|row| row.photo_usage == shape.usage()).for_each(|row| {
        row.chosen = Some(edit);
    });
    let rows: Vec<_> = rows.iter().map(|row| ByteBuf::from(row.encode())).collect();
    row.photos = codec::encode(&rows);
    Ok(())
}

/// Tags as Hubzilla's `term` rows.
fn encoded_tags(tags: &[String]) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Term<'a> {
        ttype: u8,
        term: &'a str,
        url: &'a str,
    }
    let rows: Vec<_> = tags.iter().map(|term| Term { ttype: HASHTAG, term, url: "" }).collect();
    codec::encode(&rows)
}

/// Hubzilla's number for a tag that a person gave.
const HASHTAG: u8 = 1;

/// How far ahead of this clock a choice may lie and still be followed by a later one. A clone that is further ahead,
/// or says so, loses its choice by PHOTO-10 alone.
const AHEAD: u64 = 86_400_000;

impl Edit<'_, '_, '_> {
    /// The next version is later than the choice that it ends, which another register may hold: a ms later at least.
    fn follow(&mut self, chosen: Option<(Shape, u64)>) {
        let ended = chosen.map_or(Millis(0), |(_, ended)| Hlc(ended).millis());
        if ended <= self.maker.now.plus(AHEAD) {
            self.hlc = self.hlc.max(Hlc::after(Hlc(0), ended.plus(1)).0);
        }
    }

    /// A file's modification time goes with its content, a folder's with its meta.
    fn date(
        &mut self,
        row: &mut Attach,
        before: &Attach,
        mtime: Option<Millis>,
    ) -> Result<(), CatalogError> {
        row.mtime = mtime;
        if row.is_dir {
            row.meta_version = self.version(Some(&before.meta_version))?;
        } else {
            let version: VersionBytes = self.version(seen_content(before)?.as_ref())?;
            row.content_version = Some(version);
        }
        Ok(())
    }

    async fn set_cropped(
        &mut self,
        hash: &ResourceId,
        cropped: &RoleContent,
    ) -> Result<(), CatalogError> {
        let op_id = self.maker.author.operation();
        let new = NewData {
            hash,
            role: cropped.role,
            root: &cropped.content.root,
            size: cropped.content.size,
            mime: &cropped.mime,
            source: Source::Fetch,
            digests: cropped.content.digests.as_deref(),
            site: None,
            op_id: &op_id,
        };
        let (channel, now) = (self.channel.id, self.maker.now);
        data::write(&mut self.tx, channel, Origin::MadeHere, &[new], now).await
    }
}

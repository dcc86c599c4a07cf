//! Files, with their photos and tags, a page at a time.
//!
//! Owns: which files are read, the rows that go with them. Not here: their bytes (`content`).
//! Spec: SYNC-7, PHOTO-2, PHOTO-5.

use std::collections::HashMap;
use std::sync::Arc;

use zotferry_protocol::codec;
use zotferry_protocol::ids::{OpId, ResourceId, Role};
use zotferry_protocol::packets::{AttachRow, PhotoRow};

use super::content::{Cropped, Wanted};
use super::queries::{At, Entry, Scale, Tagged};
use super::row::{photo_row, with_terms};
use super::{AdoptError, HubzillaEvent, Import};
use crate::catalog::{Attach, Became};
use crate::files::{Skipped, bring};
use crate::packets::attach_of;

/// Bytes after which files are entered although the page is not through.
const BATCH_BYTES: u64 = 64 << 20;

/// A file of a page.
struct File {
    row: AttachRow,
    place: String,
    bytes: At,
}

impl Import<'_> {
    /// Enters all files whose bytes are there.
    pub(super) async fn files(&mut self) -> Result<(), AdoptError> {
        let mut after = 0;
        loop {
            let page = self.queries.files(after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            let bytes: HashMap<String, At> = page
                .iter()
                .filter_map(|e| Some((e.row.as_ref().ok()?.hash.to_string(), e.bytes.clone())))
                .collect();
            let rows = self.tagged(page).await?;
            let files = rows.into_iter().filter_map(|(row, place)| {
                let bytes = bytes.get(row.hash.as_str())?.clone();
                Some(File { row, place, bytes })
            });
            self.page(files.collect()).await?;
        }
    }

    /// The rows of a page that are some, with their tags.
    pub(super) async fn tagged(
        &mut self,
        page: Vec<Entry>,
    ) -> Result<Vec<(AttachRow, String)>, AdoptError> {
        let ids: Vec<i64> = page.iter().map(|entry| entry.id).collect();
        let mut terms = self.queries.terms(Tagged::Entry, &ids).await?;
        let mut rows = Vec::new();
        for entry in page {
            let terms = terms.remove(&entry.id).unwrap_or_default();
            match entry.row.and_then(|row| with_terms(row, terms)) {
                Ok(row) => rows.push((row, entry.place)),
                Err(reason) => self.skip(&entry.place, reason).await,
            }
        }
        Ok(rows)
    }

    async fn page(&mut self, files: Vec<File>) -> Result<(), AdoptError> {
        let named = files.iter().map(|file| &file.row.hash);
        let above = files.iter().filter_map(|file| file.row.parent());
        let asked: Vec<ResourceId> = named.cloned().chain(above).collect();
        let known = self.hub.catalog.entries(self.channel.id, &asked).await?;
        let hashes: Vec<&str> = files.iter().map(|file| file.row.hash.as_str()).collect();
        let mut photos = self.queries.photos(&hashes).await?;
        let files = self.pass_over(files, &known, &photos).await?;
        let (mut batch, mut size) = (Vec::new(), 0);
        for file in files {
            let scales = photos.remove(file.row.hash.as_str()).unwrap_or_default();
            size = u64::saturating_add(size, file.row.filesize);
            batch.push(self.wanted(file, scales, &known).await?);
            if size >= BATCH_BYTES {
                self.enter(std::mem::take(&mut batch)).await?;
                size = 0;
            }
        }
        self.enter(batch).await
    }

    /// Leaves out the files that the channel has already in this revision.
    async fn pass_over(
        &mut self,
        files: Vec<File>,
        known: &HashMap<ResourceId, Attach>,
        photos: &HashMap<String, Vec<Scale>>,
    ) -> Result<Vec<File>, AdoptError> {
        let settled = |file: &File| {
            let entry = known.get(&file.row.hash).filter(|entry| entry.alive && !self.checksum)?;
            let scales = photos.get(file.row.hash.as_str()).map_or(&[][..], Vec::as_slice);
            if lacks_cropped(entry, scales) {
                return None;
            }
            let newer = u64::from(file.row.revision) > entry.revision;
            entry.root.filter(|_| !newer && entry.filesize == file.row.filesize)
        };
        let roots: Vec<_> = files.iter().map(settled).collect();
        let storage = Arc::clone(&self.hub.storage);
        let looking = move || {
            let here =
                roots.iter().map(|root| root.map_or(Ok(false), |root| storage.contains(&root)));
            here.collect::<Result<Vec<bool>, _>>()
        };
        let here = tokio::task::spawn_blocking(looking).await?;
        let here = here.map_err(crate::chunker::ChunkerError::from)?;
        let mut rest = Vec::new();
        for (file, here) in files.into_iter().zip(here) {
            match here {
                true => {
                    let row = attach_of(&file.row, OpId([0; 16]));
                    self.tell_became(&row, file.place, Became::Unchanged).await;
                }
                false => rest.push(file),
            }
        }
        Ok(rest)
    }

    /// A file as an entry, with the bytes that it needs.
    async fn wanted(
        &mut self,
        file: File,
        scales: Vec<Scale>,
        known: &HashMap<ResourceId, Attach>,
    ) -> Result<Wanted, AdoptError> {
        let mut entry = attach_of(&file.row, OpId([0; 16]));
        let parent = file.row.parent();
        let lost = parent.filter(|above| !known.get(above).is_some_and(|e| e.alive && e.is_dir));
        if lost.is_some() {
            self.to_top(&mut entry);
            let reason = "the folder that it lay in is not there: it lies at the top now";
            let (path, reason) = (file.place.clone(), reason.to_owned());
            self.tell(HubzillaEvent::Changed(Skipped { path, reason })).await;
        }
        let (mut rows, mut cropped) = (Vec::new(), Vec::new());
        for scale in scales {
            match photo_row(scale.fields) {
                Ok(row) => {
                    cropped.extend(cropped_of(&row, scale.bytes));
                    rows.push(row);
                }
                Err(reason) => self.skip(&file.place, format!("a photo of it: {reason}")).await,
            }
        }
        Ok(Wanted { entry, place: file.place, bytes: file.bytes, rows, cropped })
    }

    /// Stores and enters some files.
    async fn enter(&mut self, batch: Vec<Wanted>) -> Result<(), AdoptError> {
        if batch.is_empty() {
            return Ok(());
        }
        let (hub, channel) = (self.hub, self.channel);
        let named = hub.storing.read().await;
        let mut stored = self.store(batch).await?;
        for one in &mut stored {
            // PHOTO-2: rows without what they are cropped from would promise what nobody can show.
            let rows = std::mem::take(&mut one.rows);
            let rows: Vec<PhotoRow> = rows
                .into_iter()
                .filter(|row| !one.lacks.contains(&source_of(row.imgscale)))
                .collect();
            one.brought.row.photos =
                if rows.is_empty() { Vec::new() } else { codec::encode(&rows) };
        }
        let (brought, places): (Vec<_>, Vec<_>) =
            stored.into_iter().map(|one| (one.brought, one.place)).unzip();
        let became = bring(hub, channel, &brought).await?;
        drop(named);
        for ((one, place), became) in brought.iter().zip(places).zip(became) {
            self.tell_became(&one.row, place, became).await;
        }
        Ok(())
    }
}

/// Scales 4 and 7 cannot be made again: their bytes come along.
fn cropped_of(row: &PhotoRow, bytes: At) -> Option<Cropped> {
    let role = match row.imgscale {
        4 => Role::Photo4,
        7 => Role::Photo7,
        _ => return None,
    };
    let (scale, size, mime) = (row.imgscale, row.filesize, row.mimetype.clone());
    Some(Cropped { role, scale, bytes, size, mime })
}

/// Whether the database has a cropped photo of an entry that the channel does not have.
fn lacks_cropped(entry: &Attach, scales: &[Scale]) -> bool {
    let has = entry.photo_rows().unwrap_or_default();
    let of = |scale: &Scale| scale.fields.get("imgscale").and_then(serde_json::Value::as_u64);
    let mut cropped = scales.iter().filter_map(of).filter(|scale| [4, 7].contains(scale));
    cropped.any(|scale| !has.iter().any(|row| u64::from(row.imgscale) == scale))
}

/// PHOTO-5: the scale whose bytes a scale is made of.
fn source_of(scale: u8) -> u8 {
    match scale {
        4..=6 => 4,
        7..=9 => 7,
        _ => 0,
    }
}

//! What a file is that somebody uploads: metadata, a content, or neither.
//!
//! Owns: telling them apart by what is in them. Not here: what becomes of them (`spool`).
//! Spec: BACKUP-6, BACKUP-32, BACKUP-34.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use zotferry_backup::{MAX_METADATA, Metadata};
use zotferry_protocol::ids::{Digest, Millis};
use zotferry_protocol::manifest::Manifest;
use zotferry_protocol::merkle::{LeafHasher, TreeBuilder};
use zotferry_protocol::packets::Operation;
use zotferry_protocol::version::{MAX_REPLICAS, Version};

/// Bytes read at once.
const PIECE: usize = 512 << 10;

/// BACKUP-34: versions of metadata may be so much ahead of this hub's clock, in ms: a day.
const AHEAD: u64 = 24 * 3600 * 1000;

/// More edits of an entry by one clone than there ever are.
const MOST_EDITS: u64 = 1 << 48;

/// What an upload is.
pub(super) enum Kind {
    /// Of an entry.
    Metadata(Box<Metadata>),
    /// A content.
    Data(Digest),
    /// Neither, and why.
    Bad(String),
}

/// What an upload is, by what is in it.
pub(super) fn look(path: &Path, now: Millis) -> io::Result<Kind> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = [0; 64];
    let read = file.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..read]).replace(char::is_whitespace, "");
    if !head.starts_with("{\"format\":\"zotferry-entry\"") {
        return root_of(path, size).map(Kind::Data);
    }
    if size > MAX_METADATA {
        return Ok(Kind::Bad("it is too large for metadata".into()));
    }
    let metadata = match Metadata::decode(&fs::read(path)?) {
        Ok(metadata) => metadata,
        Err(error) => return Ok(Kind::Bad(error.to_string())),
    };
    if latest(&metadata.operation) > now.plus(AHEAD) {
        return Ok(Kind::Bad("its versions lie in the future".into()));
    }
    if versions(&metadata.operation).any(is_absurd) {
        return Ok(Kind::Bad("its versions name more edits than were ever made".into()));
    }
    Ok(Kind::Metadata(Box::new(metadata)))
}

/// The latest moment of any version of an operation.
fn latest(operation: &Operation) -> Millis {
    versions(operation).map(|version| version.hlc().millis()).max().unwrap_or_default()
}

fn versions(operation: &Operation) -> impl Iterator<Item = &Version> {
    let entries = operation.attach.iter().flat_map(|entry| {
        [Some(&entry.place), Some(&entry.meta), entry.content.as_ref(), entry.removed.as_ref()]
    });
    let items = operation.item.iter().map(|item| Some(&item.version));
    entries.chain(items).flatten()
}

/// Whether a version leaves too little of what it may count (SYNC-21) for the edits that are still to come. A password opens
/// `.restore/`, and who has one may change an entry, not make it unchangeable.
fn is_absurd(version: &Version) -> bool {
    version.vector().len() > MAX_REPLICAS / 2 || version.vector().values().any(|n| *n > MOST_EDITS)
}

fn root_of(path: &Path, size: u64) -> io::Result<Digest> {
    let manifest = Manifest::of(size).map_err(io::Error::other)?;
    let (mut file, mut buffer, mut tree) = (File::open(path)?, vec![0; PIECE], TreeBuilder::new());
    for span in manifest.all().iter().filter_map(|chunk| manifest.span(chunk)) {
        let mut leaf = LeafHasher::new();
        let mut left = span.len as usize;
        while left > 0 {
            let piece = left.min(PIECE);
            file.read_exact(&mut buffer[..piece])?;
            leaf.update(&buffer[..piece]);
            left -= piece;
        }
        tree.push(leaf.finish());
    }
    Ok(tree.finish())
}

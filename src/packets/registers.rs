//! Registers of an entry: whose value counts, and what belongs to which.
//!
//! Owns: comparing versions, and values under equal versions; the fields of each register. Not here:
//! entries as a whole (`merge`).
//! Spec: SYNC-24, SYNC-25, SYNC-27, SYNC-33, SYNC-42.

use zotferry_protocol::codec;
use zotferry_protocol::ids::{OpId, ResourceId};
use zotferry_protocol::packets::{AttachEntry, Data, Source};
use zotferry_protocol::refusal::{Code, Refusal};
use zotferry_protocol::version::{Relation, Version, join, relation, winner};

use super::unavailable;
use crate::catalog::{self, Attach, VersionBytes, Want};

/// What becomes of an entry's bytes.
pub(super) enum Content {
    /// They are what they were; no version of theirs is new.
    Same,
    /// Ours stay; with the merged version where theirs were concurrent.
    Ours(Option<Version>),
    /// Theirs are taken, under this version.
    Theirs(Version),
}

/// SYNC-24, SYNC-25: whose bytes an entry has from now on, and the version that has seen both.
pub(super) fn judge_content(
    ours: Option<&Attach>,
    entry: &AttachEntry,
) -> Result<Content, Refusal> {
    let Some(theirs) = &entry.content else { return Ok(Content::Same) };
    let Some(ours) = ours.and_then(|row| row.content_version.as_ref()) else {
        return Ok(Content::Theirs(theirs.clone()));
    };
    let ours = version(ours)?;
    Ok(match relation(&ours, theirs) {
        Relation::Equal => Content::Same,
        Relation::Newer => Content::Ours(None),
        Relation::Older => Content::Theirs(theirs.clone()),
        Relation::Concurrent => {
            let merged = join(&ours, theirs).map_err(|e| Refusal::with(Code::BadField, e))?;
            match winner(&ours, theirs) == theirs {
                true => Content::Theirs(merged),
                false => Content::Ours(Some(merged)),
            }
        }
    })
}

/// The merged version of a register and whether the newcomer's value is its value; `None` when there is
/// nothing new in it. SYNC-42: of equal versions the larger value counts.
pub(super) fn later(
    ours: &VersionBytes,
    theirs: &Version,
    is_larger: impl FnOnce() -> bool,
) -> Result<Option<(Version, bool)>, Refusal> {
    let ours = version(ours)?;
    Ok(match relation(&ours, theirs) {
        Relation::Equal if is_larger() => Some((ours, true)),
        Relation::Equal | Relation::Newer => None,
        Relation::Older => Some((theirs.clone(), true)),
        Relation::Concurrent => {
            let merged = join(&ours, theirs).map_err(|e| Refusal::with(Code::BadField, e))?;
            Some((merged, winner(&ours, theirs) == theirs))
        }
    })
}

/// SYNC-33: removals are joined; `None` when there is nothing new in theirs.
pub(super) fn joined(
    ours: Option<&VersionBytes>,
    theirs: Option<&Version>,
) -> Result<Option<Version>, Refusal> {
    let Some(theirs) = theirs else { return Ok(None) };
    let Some(ours) = ours else { return Ok(Some(theirs.clone())) };
    Ok(later(ours, theirs, || false)?.map(|(version, _)| version))
}

pub(super) type PlaceValue<'a> = (&'a str, &'a str, &'a str);

/// SYNC-42: a place as it is compared: folder, name, where it was moved from.
pub(super) fn place_value(row: &Attach) -> PlaceValue<'_> {
    (
        row.place_folder.as_ref().map_or("", ResourceId::as_str),
        &row.filename,
        row.was.as_ref().map_or("", ResourceId::as_str),
    )
}

pub(super) type MetaValue<'a> = (&'a str, [&'a str; 4], Option<&'a str>, &'a [u8], &'a [u8], i64);

/// SYNC-42: meta as it is compared.
pub(super) fn meta_value(row: &Attach) -> MetaValue<'_> {
    (
        &row.creator,
        [&row.allow_cid, &row.allow_gid, &row.deny_cid, &row.deny_gid],
        row.title.as_deref(),
        &row.extra,
        &row.photos,
        row.flags,
    )
}

/// Everything of a row that is neither place nor content.
pub(super) fn take_meta(ours: &mut Attach, theirs: &Attach, subject: bool) {
    ours.creator.clone_from(&theirs.creator);
    ours.flags = theirs.flags;
    ours.created.clone_from(&theirs.created);
    ours.allow_cid.clone_from(&theirs.allow_cid);
    ours.allow_gid.clone_from(&theirs.allow_gid);
    ours.deny_cid.clone_from(&theirs.deny_cid);
    ours.deny_gid.clone_from(&theirs.deny_gid);
    ours.title.clone_from(&theirs.title);
    ours.extra.clone_from(&theirs.extra);
    if subject {
        ours.photos.clone_from(&theirs.photos);
    }
    if ours.is_dir {
        ours.edited.clone_from(&theirs.edited);
        ours.mtime = theirs.mtime;
        ours.executable = theirs.executable;
    }
}

pub(super) fn want(hash: ResourceId, data: &Data, op_id: OpId) -> Want {
    Want {
        hash,
        role: data.role,
        root: data.root,
        size: data.size,
        mime: data.mime.clone(),
        source: match data.source {
            Source::Fetch => catalog::Source::Fetch,
            Source::Backup => catalog::Source::Backup,
        },
        digests: data.inline_digests(),
        op_id,
    }
}

pub(super) fn version(bytes: &VersionBytes) -> Result<Version, Refusal> {
    codec::decode_owned(&bytes.0).map_err(|e| unavailable(&e))
}

pub(super) fn bytes(version: &Version) -> VersionBytes {
    VersionBytes(codec::encode(version))
}

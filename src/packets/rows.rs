//! Between catalog rows and what travels.
//!
//! Spec: SYNC-5, SYNC-7, SYNC-14, SYNC-19, SYNC-36, SYNC-39.

use serde_bytes::ByteBuf;
use zotferry_protocol::codec;
use zotferry_protocol::ids::{Millis, OpId};
use zotferry_protocol::packets::{AttachEntry, AttachRow, Data, Op, Operation, without_local};
use zotferry_protocol::version::Version;

use crate::catalog::{Attach, OutboxEntry, VersionBytes};

/// An entry with its parents and contents as an operation.
pub(crate) fn operation_of(entry: &OutboxEntry) -> Result<Operation, String> {
    let rows = entry.parents.iter().map(|p| &**p).chain([&entry.entry]);
    let attach = rows.map(attach_entry).collect::<Result<_, _>>()?;
    let data = entry
        .data
        .iter()
        .map(|d| Data::new(d.role, d.size, d.root, d.digests.as_deref(), &d.mime))
        .collect();
    let photo = codec_list(&entry.entry.photos)?;
    let (id, op) = (entry.entry.op_id, entry.entry.op.as_str().to_owned());
    Ok(Operation { id, op, attach, data, photo, item: Vec::new() })
}

/// What is kept as it travelled: a MessagePack array of bin, or nothing.
fn codec_list(bytes: &[u8]) -> Result<Vec<ByteBuf>, String> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    codec::decode_owned(bytes).map_err(|e| format!("rows in the catalog: {e}"))
}

/// The same the other way. PHOTO-3: without what means something at the sender only.
pub(super) fn kept_list(rows: &[ByteBuf]) -> Vec<u8> {
    if rows.is_empty() {
        return Vec::new();
    }
    let kept = rows.iter().map(|row| without_local(row).map_or_else(|| row.clone(), ByteBuf::from));
    codec::encode(&kept.collect::<Vec<ByteBuf>>())
}

fn attach_entry(row: &Attach) -> Result<AttachEntry, String> {
    let content = row.content_version.as_ref().map(version).transpose()?;
    let removed = row.removed_version.as_ref().map(version).transpose()?;
    Ok(AttachEntry {
        row: row_of(row)?,
        place: version(&row.place_version)?,
        meta: version(&row.meta_version)?,
        content,
        removed,
        was: row.was.clone(),
    })
}

fn version(bytes: &VersionBytes) -> Result<Version, String> {
    codec::decode_owned(&bytes.0).map_err(|e| format!("a version in the catalog: {e}"))
}

/// A catalog row as it travels.
fn row_of(row: &Attach) -> Result<AttachRow, String> {
    let extra = row.extra_fields().map_err(|e| e.to_string())?;
    let extra = extra.into_iter().map(|(name, raw)| (name, raw.into_vec())).collect();
    Ok(AttachRow {
        hash: row.hash.clone(),
        creator: row.creator.clone(),
        filename: row.filename.clone(),
        filetype: row.filetype.clone(),
        filesize: row.filesize,
        revision: u32::try_from(row.revision).unwrap_or(u32::MAX),
        folder: row.place_folder.as_ref().map_or_else(String::new, ToString::to_string),
        flags: u32::try_from(row.flags).unwrap_or(0),
        is_dir: row.is_dir.into(),
        is_photo: row.is_photo.into(),
        created: row.created.clone(),
        edited: row.edited.clone(),
        allow_cid: row.allow_cid.clone(),
        allow_gid: row.allow_gid.clone(),
        deny_cid: row.deny_cid.clone(),
        deny_gid: row.deny_gid.clone(),
        mtime: row.mtime.map(|m| m.0),
        executable: row.executable,
        title: row.title.clone(),
        extra,
    })
}

/// What travelled as a catalog row; versions, root and operation are the caller's to set.
pub(crate) fn attach_of(row: &AttachRow, op_id: OpId) -> Attach {
    let extra: Vec<(&str, &serde_bytes::Bytes)> =
        row.extra.iter().map(|(name, raw)| (name.as_str(), serde_bytes::Bytes::new(raw))).collect();
    Attach {
        hash: row.hash.clone(),
        creator: row.creator.clone(),
        filename: row.filename.clone(),
        filetype: row.filetype.clone(),
        filesize: row.filesize,
        revision: row.revision.into(),
        folder: row.parent(),
        place_folder: row.parent(),
        was: None,
        flags: row.flags.into(),
        is_dir: row.is_folder(),
        is_photo: row.is_photo != 0,
        created: row.created.clone(),
        edited: row.edited.clone(),
        allow_cid: row.allow_cid.clone(),
        allow_gid: row.allow_gid.clone(),
        deny_cid: row.deny_cid.clone(),
        deny_gid: row.deny_gid.clone(),
        extra: if extra.is_empty() { Vec::new() } else { codec::encode(&extra) },
        title: row.title.clone(),
        photos: Vec::new(),
        mtime: row.mtime.map(Millis),
        executable: row.executable,
        place_version: VersionBytes(Vec::new()),
        meta_version: VersionBytes(Vec::new()),
        content_version: None,
        removed_version: None,
        alive: true,
        root: None,
        op: Op::Put,
        op_id,
        seq: None,
    }
}

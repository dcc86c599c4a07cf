//! Between catalog rows and what travels.
//!
//! Spec: SYNC-5, SYNC-7, SYNC-14, SYNC-19.

use zotferry_protocol::codec;
use zotferry_protocol::ids::{Millis, OpId};
use zotferry_protocol::packets::{AttachEntry, AttachRow, Data, Operation};
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
    let op = Operation::PUT.to_owned();
    Ok(Operation { id: entry.entry.op_id, op, attach, data, item: Vec::new() })
}

fn attach_entry(row: &Attach) -> Result<AttachEntry, String> {
    let content = row.content_version.as_ref().map(version).transpose()?;
    Ok(AttachEntry {
        row: row_of(row)?,
        place: version(&row.place_version)?,
        meta: version(&row.meta_version)?,
        content,
    })
}

fn version(bytes: &VersionBytes) -> Result<Version, String> {
    codec::decode_owned(&bytes.0).map_err(|e| format!("a version in the catalog: {e}"))
}

/// A catalog row as it travels.
fn row_of(row: &Attach) -> Result<AttachRow, String> {
    let extra = if row.extra.is_empty() {
        Vec::new()
    } else {
        let extra: Vec<(String, serde_bytes::ByteBuf)> =
            codec::decode_owned(&row.extra).map_err(|e| format!("extra fields: {e}"))?;
        extra.into_iter().map(|(name, raw)| (name, raw.into_vec())).collect()
    };
    Ok(AttachRow {
        hash: row.hash.clone(),
        creator: row.creator.clone(),
        filename: row.filename.clone(),
        filetype: row.filetype.clone(),
        filesize: row.filesize,
        revision: u32::try_from(row.revision).unwrap_or(u32::MAX),
        folder: row.folder.as_ref().map_or_else(String::new, ToString::to_string),
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
        extra,
    })
}

/// What travelled as a catalog row; versions, root and operation are the caller's to set.
pub(super) fn attach_of(row: &AttachRow, op_id: OpId) -> Attach {
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
        mtime: row.mtime.map(Millis),
        executable: row.executable,
        place_version: VersionBytes(Vec::new()),
        meta_version: VersionBytes(Vec::new()),
        content_version: None,
        root: None,
        op_id,
        seq: None,
    }
}

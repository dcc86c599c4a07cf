//! A metadata file: one operation with everything that is known of its entry.
//!
//! Owns: the JSON schema, version 1. Not here: rows (`rows`), contents (`content`), how it is merged.
//! Invariant: what was decoded is an operation that passes all checks of a received one, and contents
//! whose digests give their roots.
//! Spec: BACKUP-5 to BACKUP-12.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;
use zotferry_protocol::identity::BaseUrl;
use zotferry_protocol::ids::{Digest, OpId, ReplicaId, ResourceId, Role};
use zotferry_protocol::packets::{AttachEntry, AttachRow, Item, ItemRow, Operation, Source};
use zotferry_protocol::version::{Hlc, Version};

use crate::content::{Content, Digests, EMBEDDED, INLINE};
use crate::error::{BackupError, Result};
use crate::rows;
use crate::text::Text;

/// BACKUP-5: the largest metadata file, in bytes.
pub const MAX_METADATA: u64 = 16 << 20;

const FORMAT: &str = "zotferry-entry";
const VERSION: u64 = 1;

/// Whether the bytes of a content go into the metadata.
pub fn embeds(role: Role, size: u64) -> bool {
    role != Role::File && size <= EMBEDDED
}

/// One metadata file.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// The entry as an operation; its `data` are the contents below.
    pub operation: Operation,
    /// Its contents.
    pub contents: Vec<Content>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct EntryJson {
    format: String,
    version: u64,
    id: Text<OpId>,
    op: String,
    attach: Vec<AttachJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    photo: Vec<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    item: Vec<ItemJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    data: Vec<DataJson>,
}

#[derive(Serialize, Deserialize)]
struct AttachJson {
    row: Box<RawValue>,
    place: VersionJson,
    meta: VersionJson,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<VersionJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed: Option<VersionJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    was: Option<Text<ResourceId>>,
}

#[derive(Serialize, Deserialize)]
struct VersionJson {
    vector: BTreeMap<Text<ReplicaId>, u64>,
    hlc: u64,
    replica: Text<ReplicaId>,
}

#[derive(Serialize, Deserialize)]
struct ItemJson {
    mid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<Box<RawValue>>,
    version: VersionJson,
    url: String,
    nick: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct DataJson {
    role: String,
    size: u64,
    root: Text<Digest>,
    mime: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    digests: Vec<Text<Digest>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
}

impl Metadata {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let operation = &self.operation;
        let json = EntryJson {
            format: FORMAT.to_owned(),
            version: VERSION,
            id: Text(operation.id),
            op: operation.op.clone(),
            attach: operation.attach.iter().map(AttachJson::of).collect(),
            photo: operation.photo.iter().map(|row| rows::to_json(row)).collect(),
            item: operation.item.iter().map(ItemJson::of).collect(),
            data: self.contents.iter().map(DataJson::of).collect(),
        };
        let mut bytes = serde_json::to_vec(&json).expect("metadata always encodes");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a file and checks it as a received operation is checked.
    ///
    /// # Errors
    /// What does not hold, or a later version of the format.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > MAX_METADATA {
            return Err(entry(format_args!("{} bytes", bytes.len())));
        }
        let head: Head = serde_json::from_slice(bytes).map_err(entry)?;
        if head.format != FORMAT {
            return Err(entry("it is no metadata of an entry"));
        }
        if head.version != VERSION {
            return Err(BackupError::Newer(head.version));
        }
        let json: EntryJson = serde_json::from_slice(bytes).map_err(entry)?;
        let contents: Vec<Content> =
            json.data.into_iter().map(DataJson::content).collect::<Result<_>>()?;
        contents.iter().try_for_each(Content::check).map_err(entry)?;
        let operation = Operation {
            id: json.id.0,
            op: json.op,
            attach: json.attach.into_iter().map(AttachJson::entry).collect::<Result<_>>()?,
            data: contents.iter().map(|content| content.data(Source::Backup)).collect(),
            photo: json
                .photo
                .iter()
                .map(|row| rows::from_json(row).map(ByteBuf::from))
                .collect::<Result<_>>()?,
            item: json.item.into_iter().map(ItemJson::item).collect::<Result<_>>()?,
        };
        operation.check().map_err(entry)?;
        let size = zotferry_protocol::codec::encode(&operation).len();
        if size > zotferry_protocol::codec::MAX_PACKET {
            return Err(entry(format_args!("an operation of {size} bytes fits no packet")));
        }
        Ok(Self { operation, contents })
    }

    /// The entry's row.
    pub fn row(&self) -> Option<&AttachRow> {
        self.operation.entry().map(|entry| &entry.row)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes errors by value")]
fn entry(why: impl ToString) -> BackupError {
    BackupError::Entry(why.to_string())
}

/// BACKUP-7: a version as an object.
impl VersionJson {
    fn of(version: &Version) -> Self {
        Self {
            vector: version.vector().iter().map(|(k, n)| (Text(*k), *n)).collect(),
            hlc: version.hlc().0,
            replica: Text(version.replica()),
        }
    }

    fn version(self) -> Result<Version> {
        let vector = self.vector.into_iter().map(|(k, n)| (k.0, n)).collect();
        Version::new(vector, Hlc(self.hlc), self.replica.0).map_err(entry)
    }
}

impl AttachJson {
    fn of(entry: &AttachEntry) -> Self {
        Self {
            row: rows::to_json(&entry.row.encode()),
            place: VersionJson::of(&entry.place),
            meta: VersionJson::of(&entry.meta),
            content: entry.content.as_ref().map(VersionJson::of),
            removed: entry.removed.as_ref().map(VersionJson::of),
            was: entry.was.clone().map(Text),
        }
    }

    fn entry(self) -> Result<AttachEntry> {
        Ok(AttachEntry {
            row: AttachRow::decode(&rows::from_json(&self.row)?).map_err(entry)?,
            place: self.place.version()?,
            meta: self.meta.version()?,
            content: self.content.map(VersionJson::version).transpose()?,
            removed: self.removed.map(VersionJson::version).transpose()?,
            was: self.was.map(|was| was.0),
        })
    }
}

impl ItemJson {
    fn of(item: &Item) -> Self {
        Self {
            mid: item.mid.clone(),
            row: item.row.as_ref().map(|row| rows::to_json(&row.0)),
            version: VersionJson::of(&item.version),
            url: item.url.to_string(),
            nick: item.nick.clone(),
            uid: item.uid,
        }
    }

    fn item(self) -> Result<Item> {
        Ok(Item {
            mid: self.mid,
            row: self.row.map(|row| rows::from_json(&row).map(ItemRow)).transpose()?,
            version: self.version.version()?,
            url: BaseUrl::parse(&self.url).map_err(entry)?,
            nick: self.nick,
            uid: self.uid,
        })
    }
}

impl DataJson {
    fn of(content: &Content) -> Self {
        let digests = content.inline().filter(|digests| digests.len() > 1);
        Self {
            role: content.role.as_str().to_owned(),
            size: content.size,
            root: Text(content.root),
            mime: content.mime.clone(),
            digests: digests.unwrap_or_default().iter().copied().map(Text).collect(),
            bytes: content.bytes.as_ref().map(|bytes| STANDARD.encode(bytes)),
            missing: content.missing,
        }
    }

    fn content(self) -> Result<Content> {
        let (size, root) = (self.size, self.root.0);
        let chunks = zotferry_protocol::manifest::Manifest::of(size).map_err(entry)?.chunks();
        let digests = match chunks > INLINE && self.digests.is_empty() {
            true => Digests::File,
            false => Digests::Inline(self.digests.into_iter().map(|digest| digest.0).collect()),
        };
        if self.mime.len() > 255 {
            return Err(entry("a MIME type of more than 255 bytes"));
        }
        let bytes = self.bytes.map(|text| STANDARD.decode(text).map_err(entry)).transpose()?;
        let role: Role = self.role.parse().map_err(entry)?;
        Ok(Content { role, size, root, mime: self.mime, digests, bytes, missing: self.missing })
    }
}

#[cfg(test)]
mod tests {
    use zotferry_protocol::ids::Millis;
    use zotferry_protocol::merkle;
    use zotferry_protocol::packets::Data;

    use super::*;

    fn row(hash: &str, folder: &str, name: &str, dir: bool, size: u64) -> AttachRow {
        let json = serde_json::json!({
            "hash": hash, "creator": "", "filename": name, "filetype": "text/plain", "filesize": size,
            "revision": 1, "folder": folder, "flags": 0, "is_dir": u8::from(dir), "is_photo": 0,
            "created": "2026-01-01 00:00:00", "edited": "2026-01-01 00:00:00", "allow_cid": "",
            "allow_gid": "", "deny_cid": "", "deny_gid": "", "term": [{"ttype": 1, "term": "tag"}],
        });
        AttachRow::decode(&rmp_serde::to_vec(&json).expect("encodes")).expect("a row")
    }

    fn sample(bytes: &[u8]) -> Metadata {
        let version =
            |n| Version::edit(None, ReplicaId([n; 8]), Millis(n.into())).expect("an edit");
        let entry = |row: AttachRow| AttachEntry {
            content: (!row.is_folder()).then(|| version(3)),
            row,
            place: version(1),
            meta: version(2),
            removed: None,
            was: None,
        };
        let root = merkle::leaf(bytes);
        let size = bytes.len() as u64;
        let content = |role, bytes| Content {
            role,
            size,
            root,
            mime: "text/plain".into(),
            digests: Digests::Inline(Vec::new()),
            bytes,
            missing: false,
        };
        let contents = vec![content(Role::File, None), content(Role::Photo4, Some(bytes.to_vec()))];
        let data: Vec<Data> = contents.iter().map(|c| c.data(Source::Backup)).collect();
        let attach =
            vec![entry(row("d", "", "docs", true, 0)), entry(row("f", "d", "a.txt", false, size))];
        let (op, item) = ("put".to_owned(), Vec::new());
        let operation = Operation { id: OpId([9; 16]), op, attach, data, photo: vec![], item };
        Metadata { operation, contents }
    }

    /// BACKUP-5, BACKUP-7, BACKUP-9, BACKUP-11: what is written is read again, to the last field.
    #[test]
    fn metadata_comes_back_whole() {
        let metadata = sample(b"abc");
        let bytes = metadata.encode();
        assert_eq!(Metadata::decode(&bytes).expect("reads"), metadata);
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(json["attach"][1]["row"]["filename"], "a.txt");
        assert_eq!(json["attach"][1]["row"]["term"][0]["term"], "tag");
        assert_eq!(json["attach"][1]["content"]["replica"], "0303030303030303");
        assert_eq!(json["data"][1]["bytes"], "YWJj");
    }

    fn changed(change: impl Fn(&mut serde_json::Value)) -> String {
        let mut json = serde_json::from_slice(&sample(b"abc").encode()).expect("JSON");
        change(&mut json);
        let bytes = serde_json::to_vec(&json).expect("encodes");
        Metadata::decode(&bytes).expect_err("refused").to_string()
    }

    /// BACKUP-6: names that lead out of a folder, claimed sizes and roots, other formats: all refused.
    #[test]
    fn what_does_not_hold_is_refused() {
        for name in ["../x", "a/b", "..", "", "a\0"] {
            let said = changed(|json| json["attach"][1]["row"]["filename"] = name.into());
            assert!(said.contains("name"), "{name:?}: {said}");
        }
        changed(|json| json["attach"][1]["row"]["hash"] = "../../x".into());
        changed(|json| json["data"][0]["size"] = 4.into());
        changed(|json| json["data"][0]["size"] = u64::MAX.into());
        changed(|json| json["data"][0]["root"] = "AB".repeat(32).into());
        changed(|json| json["data"][0]["digests"] = serde_json::json!(["00".repeat(32)]));
        changed(|json| json["data"][1]["bytes"] = "YWJk".into());
        changed(|json| json["data"][0]["bytes"] = "YWJj".into());
        changed(|json| json["attach"][0]["row"]["is_dir"] = 0.into());
        changed(|json| json["format"] = "tar".into());
        assert!(changed(|json| json["version"] = 2.into()).contains("newer program"));
    }
}

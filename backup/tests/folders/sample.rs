//! A channel of a few files, and a key that signs for it.

use std::path::Path;
use std::sync::Mutex;

use rsa::pkcs8::DecodePrivateKey as _;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest as _, Sha256};
use zotferry_backup::{
    Backup, BackupError, Content, Digests, Finding, Header, Identity, Kind, Line, LineData, Lock,
    Metadata, Pieces, Placed, Signer, Sums, Text, Writer, embeds, verify,
};
use zotferry_protocol::identity::{PublicKey, SignError, portable_id};
use zotferry_protocol::ids::{Digest, Millis, OpId, ReplicaId, ResourceId, Role};
use zotferry_protocol::manifest::Manifest;
use zotferry_protocol::merkle;
use zotferry_protocol::packets::{AttachEntry, AttachRow, Operation, Source};
use zotferry_protocol::version::Version;

pub(crate) const MIB: usize = 1 << 20;

pub(crate) struct Key(RsaPrivateKey);

impl Key {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/keys").join(name);
        Self(RsaPrivateKey::from_pkcs8_pem(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    pub(crate) fn identity(&self) -> Identity {
        use rsa::pkcs8::EncodePublicKey as _;
        let pem = self.0.to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        let public = PublicKey::from_pem(&pem).unwrap();
        Identity {
            channel: portable_id("guid", &public),
            guid: "guid".into(),
            nick: "alice".into(),
            key: pem,
            rotations: Vec::new(),
            url: "https://hub.example".into(),
        }
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let digest = Sha256::digest(message);
        let signature = self.0.sign(Pkcs1v15Sign::new::<Sha256>(), &digest);
        signature.map_err(|e| SignError(e.to_string()))
    }
}

/// A file as it is saved: id, name, bytes.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// A cropped profile photo beside it.
    pub(crate) photo: Option<Vec<u8>>,
}

pub(crate) fn sample(id: &str, name: &str, bytes: Vec<u8>) -> Sample {
    Sample { id: id.into(), name: name.into(), bytes, photo: None }
}

/// Files of all the sizes that matter, in the order of their ids.
pub(crate) fn samples() -> Vec<Sample> {
    let sizes = [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 1];
    let files = sizes
        .iter()
        .enumerate()
        .map(|(n, size)| sample(&format!("id{n}"), &format!("file {n}"), noise(n as u64, *size)));
    let mut files: Vec<Sample> = files.collect();
    files[2].photo = Some(noise(99, 5000));
    // Equal bytes under another name.
    files.push(sample("id9", "again", files[4].bytes.clone()));
    files
}

pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

fn leaves(bytes: &[u8]) -> Vec<Digest> {
    let chunk = Manifest::of(bytes.len() as u64).unwrap().chunk_size() as usize;
    bytes.chunks(chunk).map(merkle::leaf).collect()
}

pub(crate) fn root(bytes: &[u8]) -> Digest {
    merkle::root(&leaves(bytes))
}

fn content(role: Role, bytes: &[u8]) -> Content {
    let digests = leaves(bytes);
    let size = bytes.len() as u64;
    Content {
        role,
        size,
        root: merkle::root(&digests),
        mime: "application/octet-stream".into(),
        digests: Digests::Inline(if digests.len() > 1 { digests } else { Vec::new() }),
        bytes: embeds(role, size).then(|| bytes.to_vec()),
        missing: false,
    }
}

pub(crate) fn metadata(file: &Sample) -> Metadata {
    let row = serde_json::json!({
        "hash": file.id, "creator": "", "filename": file.name, "filetype": "image/jpeg",
        "filesize": file.bytes.len(), "revision": 1, "folder": "", "flags": 0, "is_dir": 0, "is_photo": 0,
        "created": "2026-01-01 00:00:00", "edited": "2026-01-01 00:00:00", "allow_cid": "",
        "allow_gid": "", "deny_cid": "", "deny_gid": "",
    });
    let row = AttachRow::decode(&rmp_serde::to_vec(&row).unwrap()).unwrap();
    let version = Version::edit(None, ReplicaId([1; 8]), Millis(1)).unwrap();
    let entry = AttachEntry {
        row,
        place: version.clone(),
        meta: version.clone(),
        content: Some(version),
        removed: None,
        was: None,
    };
    let mut contents = vec![content(Role::File, &file.bytes)];
    contents.extend(file.photo.iter().map(|bytes| content(Role::Photo4, bytes)));
    let data = contents.iter().map(|content| content.data(Source::Backup)).collect();
    let (id, op) = (OpId([7; 16]), "put".to_owned());
    let operation =
        Operation { id, op, attach: vec![entry], data, photo: Vec::new(), item: Vec::new() };
    Metadata { operation, contents }
}

/// Writes files into a backup; how many contents had to be written.
pub(crate) fn write_into(writer: &mut Writer, files: &[Sample]) -> Result<usize, BackupError> {
    let mut written = 0;
    for file in files {
        let metadata = metadata(file);
        let mut data = Vec::new();
        for content in metadata.contents.iter().filter(|content| content.in_data()) {
            let placed = writer.content(&content.root, content.size, |path| {
                std::fs::write(path, &file.bytes).map(|()| Placed::Copied)
            })?;
            written += usize::from(placed == Placed::Copied);
            data.push(LineData { root: Text(content.root), size: content.size });
        }
        let meta = vec![Text(writer.metadata(&metadata)?)];
        let (id, path) = (Text(ResourceId::new(&*file.id).unwrap()), Some(file.name.clone()));
        writer.entry(&Line { id, kind: Kind::File, path, meta, data, missing: Vec::new() })?;
    }
    Ok(written)
}

/// A whole backup; how many contents had to be written.
pub(crate) fn save(dir: &Path, files: &[Sample]) -> (Header, usize) {
    let key = Key::new("test-only-channel.pem");
    let whose = key.identity();
    let mut writer = Writer::begin(dir, &whose.channel).unwrap();
    let written = write_into(&mut writer, files).unwrap();
    (writer.finish(&whose, 1, &key).unwrap(), written)
}

/// Reads a backup again: what was found, by name, and the sums.
pub(crate) fn look(dir: &Path) -> (Vec<Finding>, Sums) {
    looked(dir, None)
}

/// The same, and mends it.
pub(crate) fn mended(dir: &Path, from: &dyn Pieces) -> (Vec<Finding>, Sums) {
    let lock = Lock::take(dir).unwrap();
    looked(dir, Some((&lock, from)))
}

fn looked(dir: &Path, mender: Option<(&Lock, &dyn Pieces)>) -> (Vec<Finding>, Sums) {
    let found = Mutex::new(Vec::new());
    let backup = Backup::open(dir).unwrap();
    let tell = |finding| found.lock().unwrap().push(finding);
    let sums = verify(&backup, 3, mender, &tell, &|_| {}).unwrap();
    let mut found = found.into_inner().unwrap();
    found.sort_by(|a: &Finding, b| a.name.cmp(&b.name));
    (found, sums)
}

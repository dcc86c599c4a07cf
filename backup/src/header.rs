//! The head of a backup: whose it is, and which index was signed.
//!
//! Owns: its two lines, the signature. Not here: the index.
//! Invariant: a [`Header`] that was read is signed by the newest key of the channel that it names.
//! Spec: BACKUP-3, BACKUP-4.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zotferry_protocol::codec;
use zotferry_protocol::identity::{KeyChain, PublicKey, SignedRotation, portable_id};
use zotferry_protocol::ids::{Digest, PortableId};

pub use zotferry_protocol::identity::Signer;

use crate::error::{BackupError, Result};
use crate::text::Text;

const FORMAT: &str = "zotferry-backup";
const VERSION: u64 = 1;
/// The largest head, in bytes.
const MAX_HEAD: u64 = 1 << 20;
/// What the signature covers before the line.
const CONTEXT: &[u8] = b"zot-file-backup\n";

/// Whose backup it is: all of it public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The channel.
    pub channel: PortableId,
    /// The text that its id is made from, with its first key.
    pub guid: String,
    /// Its name on the hub that was backed up.
    pub nick: String,
    /// Its newest key: SPKI PEM.
    pub key: String,
    /// How that key came from the first one.
    pub rotations: Vec<SignedRotation>,
    /// The hub that was backed up.
    pub url: String,
}

/// What the channel's key signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    format: String,
    version: u64,
    /// The channel.
    pub channel: Text<PortableId>,
    /// The text that its id is made from, with its first key.
    pub guid: String,
    /// Its name on the hub that was backed up.
    pub nick: String,
    /// Its newest key: SPKI PEM.
    pub key: String,
    /// Signed rotations, each as base64 of its MessagePack, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rotations: Vec<String>,
    /// The hub that was backed up.
    pub url: String,
    /// When, in Unix ms.
    pub made: u64,
    /// SHA-256 of the index.
    pub index: Text<Digest>,
    /// Lines of the index: entries, removed ones among them.
    pub entries: u64,
    /// Files among them.
    pub files: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Contents that were not on the hub.
    pub missing: u64,
    /// SHA-256 of the file `identity`, if it is in the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Text<Digest>>,
}

#[derive(Serialize, Deserialize)]
struct SignatureLine {
    signature: String,
}

/// What is known once the index is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) missing: u64,
}

impl Header {
    pub(crate) fn new(
        whose: &Identity,
        made: u64,
        index: Digest,
        totals: Totals,
        identity: Option<Digest>,
    ) -> Self {
        let rotations = whose.rotations.iter();
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            channel: Text(whose.channel.clone()),
            guid: whose.guid.clone(),
            nick: whose.nick.clone(),
            key: whose.key.clone(),
            rotations: rotations.map(|r| STANDARD.encode(codec::encode(r))).collect(),
            url: whose.url.clone(),
            made,
            index: Text(index),
            entries: totals.entries,
            files: totals.files,
            bytes: totals.bytes,
            missing: totals.missing,
            identity: identity.map(Text),
        }
    }

    /// BACKUP-3: the head's two lines.
    pub(crate) fn signed(&self, signer: &dyn Signer) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self).expect("a head always encodes");
        let signature = signer
            .sign(&[CONTEXT, &bytes].concat())
            .map_err(|e| BackupError::Sign(e.to_string()))?;
        let line = SignatureLine { signature: STANDARD.encode(signature) };
        bytes.push(b'\n');
        bytes.extend(serde_json::to_vec(&line).expect("a signature always encodes"));
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// BACKUP-4: reads a head; the key must be the channel's, and have signed the exact bytes.
    pub(crate) fn read(file: impl Read) -> Result<Self> {
        let mut text = Vec::new();
        let read = file.take(MAX_HEAD + 1).read_to_end(&mut text);
        read.map_err(|source| BackupError::Io { path: "backup.jsonl".into(), source })?;
        if text.len() as u64 > MAX_HEAD {
            return Err(wrong("it is too large"));
        }
        let mut lines = text.split(|byte| *byte == b'\n');
        let (line, signature) =
            (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let header = Self::parse(line)?;
        let chain = header.chain()?;
        let said: SignatureLine = serde_json::from_slice(signature).map_err(wrong)?;
        let signature = STANDARD.decode(said.signature).map_err(wrong)?;
        if !chain.newest().verifies(&[CONTEXT, line].concat(), &signature) {
            return Err(wrong("the channel's key has not signed this"));
        }
        Ok(header)
    }

    fn parse(line: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Kind {
            format: String,
            version: u64,
        }
        let kind: Kind = serde_json::from_slice(line).map_err(wrong)?;
        if kind.format != FORMAT {
            return Err(wrong("it is the head of something else"));
        }
        if kind.version != VERSION {
            return Err(BackupError::Newer(kind.version));
        }
        serde_json::from_slice(line).map_err(wrong)
    }

    /// BACKUP-24: whether it is of this channel, and one of the keys that count where that lives has signed it.
    pub fn is_of(&self, living: &KeyChain) -> bool {
        *living.channel() == self.channel.0 && living.keys().any(|key| key.pem() == self.key)
    }

    /// The channel's keys, as the head says them: they begin with the one that the id is made from.
    ///
    /// # Errors
    /// Guid and keys that do not give the id.
    pub fn chain(&self) -> Result<KeyChain> {
        let decoded = self.rotations.iter().map(|text| {
            let bytes = STANDARD.decode(text).map_err(wrong)?;
            codec::decode_owned::<SignedRotation>(&bytes).map_err(wrong)
        });
        let rotations = decoded.collect::<Result<Vec<_>>>()?;
        let newest = PublicKey::from_pem(&self.key).map_err(wrong)?;
        let first = match rotations.first() {
            None => newest.clone(),
            Some(first) => {
                let said: zotferry_protocol::identity::Rotation =
                    codec::decode_owned(&first.record).map_err(wrong)?;
                PublicKey::from_pem(&said.old_key).map_err(wrong)?
            }
        };
        let chain = KeyChain::new(portable_id(&self.guid, &first), first);
        let chain = chain.with(&rotations).map_err(wrong)?;
        if *chain.channel() != self.channel.0 || *chain.newest() != newest {
            return Err(wrong("guid and keys do not give the channel's id"));
        }
        Ok(chain)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes errors by value")]
fn wrong(why: impl ToString) -> BackupError {
    BackupError::Header(why.to_string())
}

//! A content as metadata speaks of it: its name, and the digests of its chunks.
//!
//! Spec: BACKUP-6, BACKUP-10, BACKUP-11.

use zotferry_protocol::ids::{Digest, Role};
use zotferry_protocol::manifest::{INLINE_DIGESTS, Manifest, PAGE};
use zotferry_protocol::merkle;
use zotferry_protocol::packets::{Data, Source};

/// BACKUP-11: the largest cropped photo that lies inside the metadata, in bytes.
pub const EMBEDDED: u64 = 2 << 20;
/// BACKUP-10: a content of at most so many chunks has their digests in its metadata.
pub const INLINE: u32 = PAGE;

/// Where the digests of a content's chunks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Digests {
    /// Here, in their order. None where there are fewer than two chunks: the root says it all.
    Inline(Vec<Digest>),
    /// In a file of the backup, beneath `digests/`.
    File,
}

/// One content of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Which bytes of the entry.
    pub role: Role,
    /// How many.
    pub size: u64,
    /// The Merkle root: the content's name.
    pub root: Digest,
    /// MIME type.
    pub mime: String,
    /// The chunks' digests.
    pub digests: Digests,
    /// BACKUP-11: the bytes themselves, of a small cropped photo.
    pub bytes: Option<Vec<u8>>,
    /// BACKUP-12: it was not on the hub when the backup was made.
    pub missing: bool,
}

impl Content {
    /// How it is cut into chunks.
    ///
    /// # Errors
    /// A size that no content has.
    pub fn manifest(&self) -> Result<Manifest, String> {
        Manifest::of(self.size).map_err(|e| e.to_string())
    }

    /// Whether its bytes are a file beneath `data/`.
    pub fn in_data(&self) -> bool {
        self.bytes.is_none() && !self.missing
    }

    /// The leaf digests, where they are here; of one chunk its root.
    pub fn inline(&self) -> Option<&[Digest]> {
        match &self.digests {
            Digests::Inline(digests) if digests.is_empty() && self.size > 0 => {
                Some(std::slice::from_ref(&self.root))
            }
            Digests::Inline(digests) => Some(digests),
            Digests::File => None,
        }
    }

    /// It as an operation announces it.
    pub fn data(&self, source: Source) -> Data {
        let digests = match &self.digests {
            Digests::Inline(digests) => Some(&digests[..]),
            Digests::File => None,
        };
        Data { source, ..Data::new(self.role, self.size, self.root, digests, &self.mime) }
    }

    /// BACKUP-6, BACKUP-10, BACKUP-11: digests exactly where they belong, that give the root; bytes that are the
    /// content.
    pub(crate) fn check(&self) -> Result<(), String> {
        let chunks = self.manifest()?.chunks();
        match &self.digests {
            Digests::File if chunks > INLINE => {}
            // What never was on the hub: nobody has told it more than travels with an announcement.
            Digests::Inline(digests)
                if self.missing && chunks > INLINE_DIGESTS && digests.is_empty() => {}
            Digests::Inline(digests) if chunks < 2 && digests.is_empty() => {
                if chunks == 0 && self.root != merkle::root(&[]) {
                    return Err("the root of an empty content".into());
                }
            }
            Digests::Inline(digests) if (2..=INLINE).contains(&chunks) => {
                if digests.len() != chunks as usize || merkle::root(digests) != self.root {
                    return Err(format!("the digests of {} do not give its root", self.root));
                }
            }
            _ => return Err(format!("digests of {} where none belong, or none", self.root)),
        }
        let Some(bytes) = &self.bytes else { return Ok(()) };
        if self.role == Role::File || self.missing || self.size > EMBEDDED {
            return Err("bytes in the metadata where none belong".into());
        }
        if bytes.len() as u64 != self.size || root_of(bytes) != self.root {
            return Err(format!("the bytes in the metadata are not {}", self.root));
        }
        Ok(())
    }
}

/// The root of bytes in memory.
fn root_of(bytes: &[u8]) -> Digest {
    let chunk = Manifest::of(bytes.len() as u64).map_or(1, |m| m.chunk_size() as usize);
    let leaves: Vec<Digest> = bytes.chunks(chunk).map(merkle::leaf).collect();
    merkle::root(&leaves)
}

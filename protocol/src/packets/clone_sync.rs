//! `clone-sync`: file operations with all their metadata, never file bytes.
//!
//! An operation carries the whole state of its entry, each register under its version; its name says
//! which edit caused it. So one that was lost, doubled or overtaken by a later one never matters.
//! Spec: SYNC-3 to SYNC-6, SYNC-14, SYNC-15, SYNC-33 to SYNC-36, FILE-14 to FILE-16.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::attach::AttachRow;
use super::item::{self, Item};
use super::manifest::{join, split};
use super::photo;
use crate::codec;
use crate::ids::{Digest, OpId, ResourceId, Role};
use crate::manifest::{INLINE_DIGESTS, Manifest};
use crate::merkle;
use crate::refusal::{Code, Refusal};
use crate::version::Version;

/// Most operations in one packet.
pub const MAX_OPERATIONS: usize = 256;
/// Most folders above an entry.
pub const MAX_PARENTS: usize = 127;

/// One to 256 operations that share a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneSync {
    /// The operations, in the order in which they were done.
    #[serde(deserialize_with = "codec::bounded::<_, _, 256>")]
    pub operations: Vec<Operation>,
}

/// One file operation, announced once to each clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The operation, the same on every delivery.
    pub id: OpId,
    /// [`Op`] as text, because an operation of a later version is refused alone, not with its packet.
    #[serde(deserialize_with = "codec::short_text::<_, 32>")]
    pub op: String,
    /// Parents first, from the top down, then the entry itself.
    #[serde(default, deserialize_with = "codec::bounded::<_, _, 128>")]
    pub attach: Vec<AttachEntry>,
    /// The bytes that the entry has.
    #[serde(default, deserialize_with = "codec::bounded::<_, _, 3>")]
    pub data: Vec<Data>,
    /// PHOTO-7: the entry's photo rows, each a MessagePack map; part of its meta register.
    #[serde(
        default,
        deserialize_with = "codec::bounded::<_, _, 16>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub photo: Vec<ByteBuf>,
    /// The posts, comments and likes that sit on the entry.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "codec::bounded::<_, _, 4096>"
    )]
    pub item: Vec<Item>,
}

/// Which edit an operation tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// The entry is new, or has new content.
    Put,
    /// It was moved or renamed.
    Place,
    /// Its metadata changed.
    Meta,
    /// It was removed.
    Remove,
}

impl Op {
    /// All of them, as the capability document lists them.
    pub const ALL: [Self; 4] = [Self::Put, Self::Place, Self::Meta, Self::Remove];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Place => "place",
            Self::Meta => "meta",
            Self::Remove => "remove",
        }
    }
}

impl std::str::FromStr for Op {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|op| op.as_str() == text);
        known.ok_or("not an operation of this version")
    }
}

/// A row with the versions of its registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachEntry {
    /// The metadata.
    pub row: AttachRow,
    /// Of parent and name.
    pub place: Version,
    /// Of everything else in the row.
    pub meta: Version,
    /// Of the bytes; none for a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Version>,
    /// SYNC-33: all that those who removed the entry had seen; none if nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Version>,
    /// SYNC-39: the folder that it was moved from; none for the top, or if it never was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<ResourceId>,
}

/// Where a receiver gets the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// From the announcing hub, or any that reported them present.
    Fetch,
    /// From a backup that a person brings: the web is not asked.
    Backup,
}

/// The bytes of one role, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Which bytes.
    pub role: Role,
    /// How many; the chunk size follows from it (FILE-1).
    pub size: u64,
    /// The Merkle root.
    pub root: Digest,
    /// With 2 to 32 chunks: their leaf digests, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<ByteBuf>,
    /// MIME type.
    #[serde(deserialize_with = "codec::short_text::<_, 255>")]
    pub mime: String,
    /// Where from.
    pub source: Source,
}

impl CloneSync {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.operations.is_empty() {
            return Err(Refusal::with(Code::BadField, "no operation"));
        }
        Ok(())
    }
}

impl Operation {
    /// SYNC-4, SYNC-5, SYNC-6, SYNC-36: an operation that this version knows, whose rows lead from the top to
    /// the entry. Asked for each operation alone: one bad operation does not spoil its packet.
    pub fn check(&self) -> Result<(), Refusal> {
        let Some(op) = self.kind() else {
            return Err(Refusal::with(Code::UnsupportedOperation, &self.op));
        };
        self.check_rows()?;
        let Some(entry) = self.entry() else {
            return Err(Refusal::with(Code::BadPlace, "no row"));
        };
        if op == Op::Remove && entry.removed.is_none() {
            return Err(Refusal::with(Code::BadField, "a removal that removes nothing"));
        }
        entry.check(&self.data)?;
        item::check(&self.item)?;
        self.data.iter().try_for_each(Data::check)?;
        photo::check(&self.photo, &entry.row)
    }

    /// Which edit it tells of; none if this version does not know it.
    pub fn kind(&self) -> Option<Op> {
        self.op.parse().ok()
    }

    /// SYNC-5: every row lies in the one before. Where moves made a cycle there is no top: then the
    /// first row's folder is one of the rows.
    fn check_rows(&self) -> Result<(), Refusal> {
        let mut above: Option<&str> = None;
        for (n, entry) in self.attach.iter().enumerate() {
            entry.row.check()?;
            let leads = match above {
                Some(above) => entry.row.folder == above,
                None => entry.row.folder.is_empty() || self.holds_folder(&entry.row.folder),
            };
            let last = n + 1 == self.attach.len();
            if !leads || !(last || entry.row.is_folder()) {
                return Err(Code::BadPlace.into());
            }
            above = Some(entry.row.hash.as_str());
        }
        Ok(())
    }

    fn holds_folder(&self, hash: &str) -> bool {
        self.attach.iter().any(|entry| entry.row.is_folder() && entry.row.hash.as_str() == hash)
    }

    /// The row that the operation is about.
    pub fn entry(&self) -> Option<&AttachEntry> {
        self.attach.last()
    }
}

impl AttachEntry {
    fn check(&self, data: &[Data]) -> Result<(), Refusal> {
        let file = data.iter().find(|d| d.role == Role::File);
        let roles: BTreeSet<Role> = data.iter().map(|d| d.role).collect();
        if roles.len() != data.len() {
            return Err(Refusal::with(Code::BadField, "a role stands twice"));
        }
        let fits = match (self.row.is_folder(), &self.content, file) {
            (true, None, None) => data.is_empty(),
            (false, Some(_), Some(file)) => file.size == self.row.filesize,
            // SYNC-34: what is removed has no bytes to be fetched.
            (false, Some(_), None) => data.is_empty() && self.is_removed(),
            _ => false,
        };
        if fits { Ok(()) } else { Err(Refusal::with(Code::BadField, "row and data disagree")) }
    }

    /// SYNC-33: whether the entry's own registers say that it is removed: who removed it had seen its
    /// content. (A folder lives on while something lives inside, which its row does not say.)
    pub fn is_removed(&self) -> bool {
        self.removed.as_ref().is_some_and(|removed| match &self.content {
            Some(content) => removed.has_seen(content),
            None => true,
        })
    }
}

impl Data {
    /// FILE-14: describes bytes; `digests` are their leaf digests, which travel when there are 2 to 32.
    pub fn new(
        role: Role,
        size: u64,
        root: Digest,
        digests: Option<&[Digest]>,
        mime: &str,
    ) -> Self {
        let few = |d: &&[Digest]| (2..=INLINE_DIGESTS as usize).contains(&d.len());
        let digests = digests.filter(few).map(join);
        Self { role, size, root, digests, mime: mime.to_owned(), source: Source::Fetch }
    }

    /// FILE-15, FILE-16: sizes within the protocol, and inline digests exactly where they belong, that give
    /// the root.
    fn check(&self) -> Result<(), Refusal> {
        let manifest = Manifest::of(self.size).map_err(|e| Refusal::with(Code::BadField, e))?;
        let chunks = manifest.chunks();
        if chunks == 0 && self.root != merkle::root(&[]) {
            return Err(Refusal::with(Code::BadContent, "the root of an empty file"));
        }
        let inline = (2..=INLINE_DIGESTS).contains(&chunks);
        match (&self.digests, self.inline_digests()) {
            (None, _) if !inline => Ok(()),
            (Some(_), Some(digests)) if inline && digests.len() == chunks as usize => {
                self.proves(&digests)
            }
            _ => Err(Refusal::with(Code::BadField, "no digests, or of another file")),
        }
    }

    fn proves(&self, digests: &[Digest]) -> Result<(), Refusal> {
        if merkle::root(digests) == self.root {
            return Ok(());
        }
        Err(Refusal::with(Code::BadContent, "the digests do not give the root"))
    }

    /// The leaf digests that travel with it.
    pub fn inline_digests(&self) -> Option<Vec<Digest>> {
        let bytes = self.digests.as_ref()?;
        bytes.len().is_multiple_of(Digest::LEN).then(|| split(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::super::attach::tests::sample;
    use super::*;
    use crate::ids::{Millis, ReplicaId};

    fn version() -> Version {
        Version::edit(None, ReplicaId([1; 8]), Millis(1)).expect("a first edit")
    }

    fn entry(hash: &str, folder: &str, name: &str, dir: bool) -> AttachEntry {
        let mut row = sample(hash, folder, name);
        row.is_dir = dir.into();
        let content = (!dir).then(version);
        let (place, meta) = (version(), version());
        AttachEntry { row, place, meta, content, removed: None, was: None }
    }

    fn put(attach: Vec<AttachEntry>) -> Operation {
        let data = vec![Data::new(Role::File, 3, merkle::leaf(b"abc"), None, "text/plain")];
        let op = Op::Put.as_str().to_owned();
        Operation { id: OpId([2; 16]), op, attach, data, photo: vec![], item: vec![] }
    }

    /// SYNC-5: parents stand first and lead from the top to the entry.
    #[test]
    fn parents_lead_to_the_entry() {
        let good = put(vec![
            entry("a", "", "A", true),
            entry("b", "a", "B", true),
            entry("f", "b", "f", false),
        ]);
        assert_eq!(good.check(), Ok(()));
        let orphan = put(vec![entry("f", "b", "f", false)]);
        assert_eq!(orphan.check().expect_err("no parent").code, Code::BadPlace);
        let gap = put(vec![entry("b", "a", "B", true), entry("f", "b", "f", false)]);
        assert_eq!(gap.check().expect_err("gap").code, Code::BadPlace);
        let file_as_folder = put(vec![entry("a", "", "A", false), entry("f", "a", "f", false)]);
        assert_eq!(file_as_folder.check().expect_err("file").code, Code::BadPlace);
    }

    /// SYNC-4: an operation of a later version is refused by name.
    #[test]
    fn unknown_operations_are_refused_alone() {
        let mut later = put(vec![entry("f", "", "f", false)]);
        later.op = "shred".to_owned();
        let bare =
            [&[0x82, 0xa2][..], b"id", &[0xc4, 16], &[7; 16], &[0xa2], b"op", &[0xa5], b"shred"];
        let bare: Operation = codec::decode_owned(&bare.concat()).expect("only id and op");
        assert_eq!(bare.check().expect_err("later").code, Code::UnsupportedOperation);
        assert_eq!(later.check().expect_err("later").code, Code::UnsupportedOperation);
    }

    /// SYNC-5: where moves made a cycle, the rows begin inside it.
    #[test]
    fn rows_may_begin_inside_a_cycle() {
        let cycle = vec![entry("a", "b", "A", true), entry("b", "a", "B", true)];
        let mut operation = put(cycle);
        operation.data = Vec::new();
        assert_eq!(operation.check(), Ok(()));
        operation.attach[0] = entry("a", "c", "A", true);
        assert_eq!(operation.check().expect_err("no such row").code, Code::BadPlace);
    }

    /// SYNC-33, SYNC-34: a removal says what its maker had seen, and has no data when that is all.
    #[test]
    fn a_removal_carries_what_was_seen() {
        let mut gone = put(vec![entry("f", "", "f", false)]);
        gone.op = Op::Remove.as_str().to_owned();
        assert_eq!(gone.check().expect_err("nothing removed").code, Code::BadField);
        gone.attach[0].removed = Some(version());
        assert_eq!(gone.check(), Ok(()));
        assert!(gone.attach[0].is_removed());
        gone.data = Vec::new();
        assert_eq!(gone.check(), Ok(()));
        let other = Version::edit(None, ReplicaId([2; 8]), Millis(9)).expect("a first edit");
        gone.attach[0].content = Some(other);
        assert_eq!(gone.check().expect_err("it lives, without data").code, Code::BadField);
    }

    /// SYNC-36: photo rows are rows of the entry's own scales, or the operation is refused, alone.
    #[test]
    fn photo_rows_are_judged_with_their_operation() {
        let mut operation = put(vec![entry("f", "", "f", false)]);
        operation.photo = vec![photo::tests::sample("f", 0), photo::tests::sample("f", 4)];
        assert_eq!(operation.check(), Ok(()));
        operation.photo.push(photo::tests::sample("g", 5));
        assert_eq!(operation.check().expect_err("another's").code, Code::BadField);
        operation.photo = vec![ByteBuf::from([0x91, 1])];
        assert_eq!(operation.check().expect_err("an array").code, Code::BadField);
    }

    /// FILE-14 to FILE-16: size, root and inline digests have to agree.
    #[test]
    fn data_that_contradicts_itself_is_refused() {
        let leaves = [merkle::leaf(b"1"), merkle::leaf(b"2")];
        let root = merkle::root(&leaves);
        let size = 2 << 20;
        let ok = |d: Data| d.check().map_err(|r| r.code);
        assert_eq!(ok(Data::new(Role::File, size, root, Some(&leaves), "")), Ok(()));
        assert_eq!(ok(Data::new(Role::File, size, root, None, "")), Err(Code::BadField));
        assert_eq!(
            ok(Data::new(Role::File, size + 1, root, Some(&leaves), "")),
            Err(Code::BadField)
        );
        let other = Digest([9; 32]);
        assert_eq!(
            ok(Data::new(Role::File, size, other, Some(&leaves), "")),
            Err(Code::BadContent)
        );
        assert_eq!(ok(Data::new(Role::File, 0, other, None, "")), Err(Code::BadContent));
        assert_eq!(ok(Data::new(Role::File, u64::MAX, root, None, "")), Err(Code::BadField));
    }
}

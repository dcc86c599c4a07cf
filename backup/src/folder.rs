//! A backup's folder: where everything lies in it.
//!
//! Owns: the names, opening them. Not here: what is in the files.
//! Invariant: every name is made here of digests; nothing that was read in the backup becomes a path.
//! Spec: BACKUP-1, BACKUP-2.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use zotferry_protocol::ids::Digest;

use crate::entry::{MAX_METADATA, Metadata};
use crate::error::{BackupError, Result};
use crate::header::Header;
use crate::platform;

/// The signed head.
pub(crate) const HEAD: &str = "backup.jsonl";
/// What a person reads.
pub(crate) const README: &str = "README.txt";
/// Which data file has which path.
pub(crate) const LIST: &str = "files.tsv";
/// The channel's identity under a passphrase.
pub(crate) const IDENTITY: &str = "identity";
/// Files on their way in, and the lock.
pub(crate) const TMP: &str = "tmp";
const LOCK: &str = "lock";

/// Folders of files that are named for a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Shelf {
    Data,
    Meta,
    Digests,
}

impl Shelf {
    pub(crate) const ALL: [Self; 3] = [Self::Data, Self::Meta, Self::Digests];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Meta => "meta",
            Self::Digests => "digests",
        }
    }

    /// BACKUP-2: `data/ab/<hex>`, `meta/ab/<hex>.json`, `digests/ab/<hex>`.
    pub(crate) fn of(self, digest: &Digest) -> String {
        let hex = digest.to_string();
        let ending = if self == Self::Meta { ".json" } else { "" };
        format!("{}/{}/{hex}{ending}", self.name(), &hex[..2])
    }
}

pub(crate) fn index_name(digest: &Digest) -> String {
    format!("index/{digest}.jsonl")
}

/// A backup that is there.
#[derive(Debug)]
pub struct Backup {
    pub(crate) root: PathBuf,
    header: Header,
}

impl Backup {
    /// Opens a backup and checks its head: the signature, and that the key is the channel's.
    ///
    /// # Errors
    /// No backup there, a head that does not hold, a later format.
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join(HEAD);
        let file = match platform::open_plain(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::None(root.to_owned()));
            }
            other => other.map_err(BackupError::io(&path))?,
        };
        let header = Header::read(file).map_err(|error| match error {
            BackupError::Io { source, .. } => BackupError::Io { path, source },
            other => other,
        })?;
        Ok(Self { root: root.to_owned(), header })
    }

    /// What the channel's key signed.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The data file of a content: as a path, for the system's own ways of copying.
    pub fn data_path(&self, root: &Digest) -> PathBuf {
        self.root.join(Shelf::Data.of(root))
    }

    /// The bytes of a content; `None` when there is no such file.
    pub fn data(&self, root: &Digest) -> Result<Option<File>> {
        self.file(&Shelf::Data.of(root))
    }

    /// BACKUP-5, BACKUP-6: a metadata file; `None` when it is missing, or not what its name says.
    ///
    /// # Errors
    /// What it says does not hold.
    pub fn metadata(&self, digest: &Digest) -> Result<Option<Metadata>> {
        let bytes = self.small(&Shelf::Meta.of(digest), MAX_METADATA)?;
        let whole = bytes.filter(|bytes| sha256(bytes) == *digest);
        whole.map(|bytes| Metadata::decode(&bytes)).transpose()
    }

    /// BACKUP-16: the identity that opens with a passphrase, if it is in the backup and the one that was signed.
    pub fn identity(&self) -> Result<Option<Vec<u8>>> {
        let Some(signed) = self.header.identity else { return Ok(None) };
        let bytes = self.small(IDENTITY, 1 << 20)?;
        let bytes = bytes.filter(|bytes| sha256(bytes) == signed.0);
        match bytes {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(BackupError::Header("the identity file is not the one it names".into())),
        }
    }

    /// A file below the backup, through no link; `None` when there is none.
    pub(crate) fn file(&self, name: &str) -> Result<Option<File>> {
        open_below(&self.root, name)
    }

    /// A whole file of at most so many bytes.
    pub(crate) fn small(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(max + 1).read_to_end(&mut bytes);
        read.map_err(BackupError::io(&self.root.join(name)))?;
        Ok((bytes.len() as u64 <= max).then_some(bytes))
    }
}

/// BACKUP-2: opens what lies below a folder; a link in the place of a folder or the file is refused.
pub(crate) fn open_below(root: &Path, name: &str) -> Result<Option<File>> {
    let path = root.join(name);
    let opening = || {
        let above = name.match_indices('/').map(|(at, _)| root.join(&name[..at]));
        above.into_iter().try_for_each(|folder| platform::plain_folder(&folder))?;
        platform::open_plain(&path)
    };
    match opening() {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackupError::io(&path)(error)),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest(<sha2::Sha256 as sha2::Digest>::digest(bytes).into())
}

/// Leave to write into a backup, for one program at a time; what another left unfinished is gone.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    tmp: PathBuf,
    number: AtomicU64,
}

impl Lock {
    /// Takes the lock of a folder.
    ///
    /// # Errors
    /// [`BackupError::Busy`] while another has it.
    pub fn take(root: &Path) -> Result<Self> {
        let tmp = root.join(TMP);
        platform::make_folder(&tmp).map_err(BackupError::io(&tmp))?;
        let path = tmp.join(LOCK);
        let file = match platform::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                platform::open_plain(&path).map_err(BackupError::io(&path))?
            }
            other => other.map_err(BackupError::io(&path))?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(BackupError::Busy(root.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(BackupError::io(&path)(error)),
        }
        let lock = Self { _file: file, tmp, number: AtomicU64::new(0) };
        lock.clear()?;
        Ok(lock)
    }

    /// Whether a folder has had a lock: a backup was begun there.
    pub(crate) fn was_taken(root: &Path) -> bool {
        root.join(TMP).join(LOCK).exists()
    }

    /// A place for a file on its way in.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.tmp.join(name)
    }

    /// A place that nothing else has.
    pub(crate) fn fresh(&self) -> PathBuf {
        self.place(&self.number.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.tmp).map_err(BackupError::io(&self.tmp))? {
            let path = entry.map_err(BackupError::io(&self.tmp))?.path();
            if path.file_name().is_some_and(|name| name != LOCK) {
                fs::remove_file(&path).map_err(BackupError::io(&path))?;
            }
        }
        Ok(())
    }
}

//! Writes a backup: what is there already stays, what is new comes, the head last.
//!
//! Owns: temporary files, the order in which things are written. Not here: where entries and bytes come
//! from, waiting for the disk (`settle`).
//! Invariant: a name stands for a whole and durable file. The head that is there speaks of files that
//! are all there, however often a run was killed; a run that goes on does not write them again.
//! Spec: BACKUP-1 to BACKUP-4, BACKUP-13, BACKUP-15, BACKUP-17.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zotferry_protocol::ids::{Digest, PortableId};

use crate::entry::Metadata;
use crate::error::{BackupError, Result};
use crate::folder::{Backup, HEAD, IDENTITY, LIST, Lock, README, Shelf, index_name, sha256};
use crate::header::{Header, Identity, Signer, Totals};
use crate::index::{Kind, Line};
use crate::platform;
use crate::settle::{Batch, Settling, rename};

/// Files that become visible together, after one sync.
const BATCH: usize = 2048;
/// And their bytes: the disk works on one batch while the next is written.
const BATCH_BYTES: u64 = 256 << 20;
const BUFFER: usize = 256 << 10;

/// What became of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// An earlier run has written it.
    There,
    /// It is another name of a file of the hub.
    Linked,
    /// Its bytes were written.
    Copied,
}

/// A backup that is being written.
#[derive(Debug)]
pub struct Writer {
    root: PathBuf,
    /// Ends before the lock does.
    settling: Settling,
    lock: Lock,
    /// What was written since.
    batch: Batch,
    /// Folders that are there.
    folders: HashSet<String>,
    index: BufWriter<File>,
    index_hash: Sha256,
    list: BufWriter<File>,
    totals: Totals,
    identity: Option<Digest>,
}

impl Writer {
    /// Begins to write a channel's backup, into a new or empty folder or over an earlier backup of it.
    ///
    /// # Errors
    /// The folder holds something else, another channel's backup, or one that is being written.
    pub fn begin(root: &Path, channel: &PortableId) -> Result<Self> {
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(BackupError::io(parent))?;
        }
        match platform::make_folder(root) {
            // The folder's own path is its owner's, and may be a link.
            Err(_) if root.is_dir() => {}
            other => other.map_err(BackupError::io(root))?,
        }
        let mut identity = None;
        match Backup::open(root) {
            Ok(there) if there.header().channel.0 == *channel => {
                identity = there.header().identity.map(|digest| digest.0);
            }
            Ok(there) => {
                let channel = there.header().channel.0.to_string();
                return Err(BackupError::Other { path: root.to_owned(), channel });
            }
            Err(BackupError::None(_)) => {
                let mut inside = fs::read_dir(root).map_err(BackupError::io(root))?;
                if inside.next().is_some() && !Lock::was_taken(root) {
                    return Err(BackupError::NotEmpty(root.to_owned()));
                }
            }
            Err(error) => return Err(error),
        }
        let lock = Lock::take(root)?;
        let begin = |name: &str| {
            let path = lock.place(name);
            let file = platform::create_new(&path).map_err(BackupError::io(&path))?;
            Ok::<_, BackupError>(BufWriter::with_capacity(BUFFER, file))
        };
        Ok(Self {
            root: root.to_owned(),
            index: begin("index")?,
            list: begin("list")?,
            lock,
            settling: Settling::default(),
            batch: Batch::default(),
            folders: HashSet::new(),
            index_hash: Sha256::new(),
            totals: Totals::default(),
            identity,
        })
    }

    /// A content, beneath `data/`. `place` makes the file at the path it is given, if it is not there yet.
    ///
    /// # Errors
    /// Those of `place`, and of the folder.
    pub fn content(
        &mut self,
        root: &Digest,
        size: u64,
        place: impl FnOnce(&Path) -> io::Result<Placed>,
    ) -> Result<Placed> {
        let name = Shelf::Data.of(root);
        if self.is_there(&name, size)? {
            return Ok(Placed::There);
        }
        let path = self.lock.fresh();
        let placed = place(&path).map_err(BackupError::io(&path))?;
        let written = if placed == Placed::Copied { size } else { 0 };
        self.comes(path, name, written)?;
        Ok(placed)
    }

    /// BACKUP-10: the digests of a content of more than a page of chunks, page by page.
    ///
    /// # Errors
    /// Those of the pages, and of the folder.
    pub fn digests(
        &mut self,
        root: &Digest,
        chunks: u32,
        pages: impl Iterator<Item = io::Result<Vec<Digest>>>,
    ) -> Result<()> {
        let name = Shelf::Digests.of(root);
        if self.is_there(&name, u64::from(chunks) * Digest::LEN as u64)? {
            return Ok(());
        }
        let path = self.lock.fresh();
        let writing = || {
            let mut file = BufWriter::with_capacity(BUFFER, platform::create_new(&path)?);
            for page in pages {
                page?.iter().try_for_each(|digest| file.write_all(digest.as_bytes()))?;
            }
            file.flush()
        };
        writing().map_err(BackupError::io(&path))?;
        self.comes(path, name, u64::from(chunks) * Digest::LEN as u64)
    }

    /// A metadata file: the first of an entry, or one with more of its items. Its digest goes into the
    /// entry's line.
    ///
    /// # Errors
    /// What the system says.
    pub fn metadata(&mut self, metadata: &Metadata) -> Result<Digest> {
        let bytes = metadata.encode();
        let digest = sha256(&bytes);
        self.whole(Shelf::Meta.of(&digest), &bytes)?;
        Ok(digest)
    }

    /// BACKUP-13: the line of an entry whose metadata was written. Entries come in the order of their ids.
    ///
    /// # Errors
    /// What the system says.
    pub fn entry(&mut self, line: &Line) -> Result<()> {
        self.totals.entries += 1;
        self.totals.missing += line.missing.len() as u64;
        self.totals.files += u64::from(line.kind == Kind::File);
        self.totals.bytes += line.data.iter().map(|data| data.size).sum::<u64>();
        let mut text = serde_json::to_vec(line).expect("a line always encodes");
        text.push(b'\n');
        self.index_hash.update(&text);
        let index = self.index.write_all(&text);
        index.map_err(BackupError::io(&self.lock.place("index")))?;
        if let Some(listed) = line.listed() {
            let list = self.list.write_all(listed.as_bytes());
            list.map_err(BackupError::io(&self.lock.place("list")))?;
        }
        Ok(())
    }

    /// BACKUP-16: the channel's identity, encrypted under a passphrase.
    ///
    /// # Errors
    /// What the system says.
    pub fn identity(&mut self, sealed: &[u8]) -> Result<()> {
        let path = self.lock.fresh();
        write(&path, sealed)?;
        self.identity = Some(sha256(sealed));
        self.comes(path, IDENTITY.to_owned(), sealed.len() as u64)
    }

    /// Makes everything durable and visible, and then the head that speaks of it.
    ///
    /// # Errors
    /// What the system says; a key that cannot sign.
    pub fn finish(mut self, whose: &Identity, made: u64, signer: &dyn Signer) -> Result<Header> {
        for (file, name) in [(&mut self.index, "index"), (&mut self.list, "list")] {
            file.flush().map_err(BackupError::io(&self.lock.place(name)))?;
        }
        let digest = Digest(self.index_hash.clone().finalize().into());
        self.whole(README.to_owned(), readme(whose).as_bytes())?;
        let index = self.lock.place("index");
        self.comes(index, index_name(&digest), 0)?;
        self.settle()?;
        self.settling.wait()?;
        let header = Header::new(whose, made, digest, self.totals, self.identity);
        let path = self.lock.fresh();
        write(&path, &header.signed(signer)?)?;
        let list = self.lock.place("list");
        let synced = platform::sync_many(&self.root, &mut [path.as_path(), &list].into_iter());
        synced.map_err(BackupError::io(&self.root))?;
        // Now, in one step, this is the backup.
        rename(&path, &self.root.join(HEAD))?;
        rename(&list, &self.root.join(LIST))?;
        platform::sync_folder(&self.root).map_err(BackupError::io(&self.root))?;
        Ok(header)
    }

    /// A small file as a whole; whether it had to be written.
    fn whole(&mut self, name: String, bytes: &[u8]) -> Result<bool> {
        // What people read may be of another release; all other names say what the bytes are.
        let named = name != README;
        if named && self.is_there(&name, bytes.len() as u64)? {
            return Ok(false);
        }
        let path = self.lock.fresh();
        write(&path, bytes)?;
        self.comes(path, name, bytes.len() as u64)?;
        Ok(true)
    }

    /// Whether a file of this name and size is there, or on its way.
    fn is_there(&mut self, name: &str, size: u64) -> Result<bool> {
        if self.batch.contains(name) || self.settling.contains(name) {
            return Ok(true);
        }
        self.make_folders(name)?;
        let path = self.root.join(name);
        match fs::symlink_metadata(&path) {
            Ok(about) => Ok(about.is_file() && about.len() == size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(BackupError::io(&path)(error)),
        }
    }

    fn comes(&mut self, path: PathBuf, name: String, written: u64) -> Result<()> {
        self.make_folders(&name)?;
        self.batch.push(path, self.root.join(&name), name, written);
        if self.batch.len() >= BATCH || self.batch.bytes() >= BATCH_BYTES {
            self.settle()?;
        }
        Ok(())
    }

    /// The folders of a name; a link in the place of one is refused.
    fn make_folders(&mut self, name: &str) -> Result<()> {
        for (at, _) in name.match_indices('/') {
            let folder = &name[..at];
            if !self.folders.contains(folder) {
                let path = self.root.join(folder);
                platform::make_folder(&path).map_err(BackupError::io(&path))?;
                self.folders.insert(folder.to_owned());
            }
        }
        Ok(())
    }

    /// BACKUP-17: what was written becomes durable and visible, while more is written.
    fn settle(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.settling.begin(&self.root, batch)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let writing = || platform::create_new(path)?.write_all(bytes);
    writing().map_err(BackupError::io(path))
}

fn readme(whose: &Identity) -> String {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    include_str!("readme.txt")
        .replace("@NICK@", &plain(&whose.nick))
        .replace("@CHANNEL@", whose.channel.as_str())
        .replace("@URL@", &plain(&whose.url))
}

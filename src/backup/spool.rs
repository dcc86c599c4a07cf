//! A backup that is uploaded file by file, in any order, with any program.
//!
//! Owns: the files that wait: metadata for its data, data for its metadata; what happens when they meet. Not
//! here: the uploads (`dav`), merging (`packets`).
//! Invariant: a file goes only when it was brought back, or because somebody removes it; each step may be
//! repeated. Names of uploads never become paths: files are named for the SHA-256 of theirs.
//! Spec: BACKUP-22, BACKUP-23, BACKUP-32 to BACKUP-34.
//!
//! ```text
//! tmp/<uuid>              an upload on its way in
//! held/<key>              its bytes, and <key>.json: what is known of it
//! waits/<root>/<key>      metadata that waits for a content
//! data/<root>/<key>       a content that is here
//! folders/<key>           a folder that somebody made: its path
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zotferry_backup::{BackupError, Content, Metadata, Reading};
use zotferry_protocol::ids::Digest;
use zotferry_protocol::packets::{OpStatus, Operation, Source};

use super::SaveError;
use super::bring::{Fault, Shelf, bring};
use super::upload::{Kind, look};
use crate::catalog::{Channel, Data};
use crate::durable;
use crate::hub::Hub;
use crate::packets::merge_answer;

/// Bytes that a file takes beside its own: its name, and what is not filled of a block.
pub const PER_FILE: u64 = 4096;
/// Folders that somebody may make.
const MAX_FOLDERS: usize = 4096;

/// A file that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What it was uploaded as: names with `/` between them.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Why it is still here.
    pub reason: String,
    /// The content that it is; none of metadata.
    root: Option<String>,
    /// When it came.
    #[serde(skip, default = "SystemTime::now")]
    pub came: SystemTime,
}

impl Held {
    /// A file that does not wait any more.
    pub fn gone(name: &str, size: u64, reason: String) -> Self {
        Self { name: name.to_owned(), size, reason, root: None, came: SystemTime::now() }
    }
}

/// The files of one channel that wait.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
}

impl Spool {
    /// Of a channel of a hub.
    pub fn of(hub: &Hub, channel: &Channel) -> Self {
        Self { dir: hub.folder.restoring(&channel.portable_id) }
    }

    /// A file for an upload on its way in.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(&self) -> io::Result<(File, PathBuf)> {
        let folder = self.made("tmp")?;
        let path = folder.join(Uuid::new_v4().to_string());
        Ok((durable::create(&path)?, path))
    }

    /// What waits under a name.
    ///
    /// # Errors
    /// What the system says.
    pub fn find(&self, name: &str) -> io::Result<Option<Held>> {
        self.read(&key(name))
    }

    /// The bytes of what waits under a name.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.dir.join("held").join(key(name)))
    }

    /// Every file that waits, however deep.
    ///
    /// # Errors
    /// What the system says.
    pub fn each(&self, told: &mut dyn FnMut(Held)) -> io::Result<()> {
        for name in names(&self.dir.join("held"))? {
            if let Some(held) = name.strip_suffix(".json").map(|key| self.read(key)).transpose()? {
                held.into_iter().for_each(&mut *told);
            }
        }
        Ok(())
    }

    /// Bytes that all of it takes.
    ///
    /// # Errors
    /// What the system says.
    pub fn bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for folder in ["tmp", "held", "folders"].map(|name| self.dir.join(name)) {
            for name in names(&folder)? {
                match fs::metadata(folder.join(name)) {
                    Ok(about) => bytes += about.len() + PER_FILE,
                    Err(error) => gone_is_fine(Err(error))?,
                }
            }
        }
        Ok(bytes)
    }

    /// Whether there are as many folders as there may be.
    ///
    /// # Errors
    /// What the system says.
    pub fn is_full_of_folders(&self) -> io::Result<bool> {
        Ok(names(&self.dir.join("folders"))?.len() >= MAX_FOLDERS)
    }

    /// Makes a folder; false when it is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn make_folder(&self, name: &str) -> io::Result<bool> {
        let path = self.made("folders")?.join(key(name));
        match durable::create(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, name.as_bytes()))
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Whether somebody made this folder.
    pub fn has_folder(&self, name: &str) -> bool {
        self.dir.join("folders").join(key(name)).exists()
    }

    /// The folders that somebody made.
    ///
    /// # Errors
    /// What the system says.
    pub fn folders(&self) -> io::Result<Vec<String>> {
        let folder = self.dir.join("folders");
        names(&folder)?.iter().map(|name| fs::read_to_string(folder.join(name))).collect()
    }

    /// Removes a file that waits, or a folder with all that waits in it. Whether there was any.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        let below = format!("{name}/");
        let mut gone = Vec::new();
        self.each(&mut |held| {
            if held.name == name || held.name.starts_with(&below) {
                gone.push(held);
            }
        })?;
        let mut any = !gone.is_empty();
        for held in gone {
            self.drop_held(&key(&held.name), held.root.as_deref())?;
        }
        for folder in self.folders()? {
            if folder == name || folder.starts_with(&below) {
                any = true;
                gone_is_fine(fs::remove_file(self.dir.join("folders").join(key(&folder))))?;
            }
        }
        Ok(any)
    }

    fn read(&self, key: &str) -> io::Result<Option<Held>> {
        let path = self.dir.join("held").join(format!("{key}.json"));
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let held: Option<Held> = serde_json::from_slice(&bytes).ok();
        let came = fs::metadata(&path).and_then(|about| about.modified());
        Ok(held.map(|held| Held { came: came.unwrap_or(SystemTime::UNIX_EPOCH), ..held }))
    }

    fn made(&self, name: &str) -> io::Result<PathBuf> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = self.dir.join(name);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Keeps an upload under its name, and what is known of it.
    fn keep(&self, held: &Held, upload: Option<&Path>) -> io::Result<()> {
        let (folder, key) = (self.made("held")?, key(&held.name));
        if let Some(upload) = upload {
            File::open(upload)?.sync_all()?;
            fs::rename(upload, folder.join(&key))?;
        }
        let new = self.made("tmp")?.join(Uuid::new_v4().to_string());
        durable::write_new(&new, &serde_json::to_vec(held)?)?;
        fs::rename(&new, folder.join(format!("{key}.json")))?;
        File::open(folder)?.sync_all()
    }

    fn mark(&self, what: &str, root: &str, key: &str) -> io::Result<()> {
        let path = self.made(&format!("{what}/{root}"))?.join(key);
        match durable::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map(drop),
        }
    }

    fn unmark(&self, what: &str, root: &str, key: &str) -> io::Result<()> {
        let folder = self.dir.join(what).join(root);
        gone_is_fine(fs::remove_file(folder.join(key)))?;
        // It stays while another is in it.
        fs::remove_dir(folder).ok();
        Ok(())
    }

    fn marked(&self, what: &str, root: &str) -> io::Result<Vec<String>> {
        names(&self.dir.join(what).join(root))
    }

    fn drop_held(&self, key: &str, root: Option<&str>) -> io::Result<()> {
        let folder = self.dir.join("held");
        gone_is_fine(fs::remove_file(folder.join(format!("{key}.json"))))?;
        gone_is_fine(fs::remove_file(folder.join(key)))?;
        root.map_or(Ok(()), |root| self.unmark("data", root, key))
    }

    /// Metadata and data have met: both go, data only when nothing else waits for it.
    fn met(&self, key: &str, contents: &[Content]) -> io::Result<()> {
        self.drop_held(key, None)?;
        for content in contents {
            let root = content.root.to_string();
            self.unmark("waits", &root, key)?;
            if self.marked("waits", &root)?.is_empty() {
                for data in self.marked("data", &root)? {
                    self.drop_held(&data, Some(&root))?;
                }
            }
        }
        Ok(())
    }
}

impl Shelf for Spool {
    fn data(&self, root: &Digest) -> Result<Option<File>, BackupError> {
        let io = |source| BackupError::Io { path: self.dir.clone(), source };
        let keys = self.marked("data", &root.to_string()).map_err(io)?;
        let Some(key) = keys.first() else { return Ok(None) };
        File::open(self.dir.join("held").join(key)).map(Some).map_err(io)
    }

    fn reading(&self, content: &Content) -> Result<Result<Reading, Fault>, BackupError> {
        let io = |source| BackupError::Io { path: self.dir.clone(), source };
        let Some(file) = self.data(&content.root)? else {
            return Ok(Err("its data is gone".into()));
        };
        let hashed = Reading::hashed(&file, content).map_err(io)?;
        Ok(hashed.ok_or_else(|| "its data is damaged".into()))
    }
}

/// Removes what uploads left that a crash cut off. Nothing may be being uploaded yet.
///
/// # Errors
/// What the system says.
pub fn clear_uploads(hub: &Hub) -> io::Result<()> {
    let folder = hub.folder.path().join("restoring");
    for channel in names(&folder)? {
        let uploads = folder.join(channel).join("tmp");
        for name in names(&uploads)? {
            gone_is_fine(fs::remove_file(uploads.join(name)))?;
        }
    }
    Ok(())
}

/// Takes an upload that is whole. The caller lets one at a time in for a channel.
///
/// # Errors
/// Something of this hub; what is wrong with the upload is its reason to wait.
pub async fn take(
    hub: &Arc<Hub>,
    channel: &Channel,
    name: &str,
    upload: PathBuf,
) -> Result<(), SaveError> {
    let spool = Spool::of(hub, channel);
    let (path, now) = (upload.clone(), hub.clock.now());
    let (kind, size) = blocking(move || {
        let kind = look(&path, now)?;
        Ok((kind, fs::metadata(&path)?.len()))
    })
    .await?;
    let held = |reason: &str, root: Option<String>| Held {
        name: name.to_owned(),
        size,
        reason: reason.to_owned(),
        root,
        came: SystemTime::now(),
    };
    let key = key(name);
    match kind {
        Kind::Bad(reason) => {
            let held = held(&reason, None);
            blocking(move || spool.keep(&held, Some(&upload))).await
        }
        Kind::Metadata(metadata) => {
            let (held, keeping, waiting) =
                (held("it has just come", None), spool.clone(), key.clone());
            let roots: Vec<String> = metadata
                .contents
                .iter()
                .filter(|content| content.in_data())
                .map(|content| content.root.to_string())
                .collect();
            blocking(move || {
                keeping.keep(&held, Some(&upload))?;
                roots.iter().try_for_each(|root| keeping.mark("waits", root, &waiting))
            })
            .await?;
            settle(hub, channel, &spool, &key).await
        }
        Kind::Data(root) => {
            // Brought before, by a run that was cut off: its metadata has been met, and may not come again.
            let known = hub.catalog.has_bytes(channel.id, &root).await?;
            let (keeping, named) = (spool.clone(), root.to_string());
            let held = held("no metadata names it yet", Some(named.clone()));
            let waiting = blocking(move || {
                if known {
                    fs::remove_file(&upload)?;
                } else {
                    keeping.keep(&held, Some(&upload))?;
                    keeping.mark("data", &named, &key)?;
                }
                keeping.marked("waits", &named)
            })
            .await?;
            for metadata in waiting {
                settle(hub, channel, &spool, &metadata).await?;
            }
            Ok(())
        }
    }
}

/// BACKUP-32: brings back the entry of metadata if all its data is here; else says what it waits for.
async fn settle(
    hub: &Arc<Hub>,
    channel: &Channel,
    spool: &Spool,
    key: &str,
) -> Result<(), SaveError> {
    let (reading, name) = (spool.clone(), key.to_owned());
    let found = blocking(move || {
        let Some(held) = reading.read(&name)? else { return Ok(None) };
        let bytes = fs::read(reading.dir.join("held").join(&name))?;
        let Ok(metadata) = Metadata::decode(&bytes) else { return Ok(None) };
        let mut missing = Vec::new();
        for content in metadata.contents.iter().filter(|content| content.in_data()) {
            if reading.marked("data", &content.root.to_string())?.is_empty() {
                missing.push(content.root);
            }
        }
        Ok(Some((held, metadata, missing)))
    })
    .await?;
    let Some((held, metadata, missing)) = found else { return Ok(()) };
    let here = hub.catalog.holding(channel.id, &missing).await?;
    let lacking = missing.into_iter().find(|root| !here.contains_key(root));
    let reason = match lacking {
        Some(root) => {
            let root = root.to_string();
            Some(format!("it waits for its data file, data/{}/{root}", &root[..2]))
        }
        None => restore(hub, channel, spool, &metadata).await?,
    };
    let (spool, key) = (spool.clone(), key.to_owned());
    blocking(move || match reason {
        Some(reason) => spool.keep(&Held { reason, ..held }, None),
        None => spool.met(&key, &metadata.contents),
    })
    .await
}

/// One entry, and then its bytes; why it could not be, if that is its own affair.
async fn restore(
    hub: &Arc<Hub>,
    channel: &Channel,
    spool: &Spool,
    metadata: &Metadata,
) -> Result<Option<String>, SaveError> {
    let mut operation: Operation = metadata.operation.clone();
    for (data, content) in operation.data.iter_mut().zip(&metadata.contents) {
        data.source = if content.missing { Source::Fetch } else { Source::Backup };
    }
    let Some(entry) = operation.entry().map(|entry| entry.row.hash.clone()) else {
        return Ok(Some("it names no entry".into()));
    };
    let merged = merge_answer(hub, channel, hub.site, &[operation]).await;
    for report in merged.map_err(SaveError::Merge)? {
        if report.status == OpStatus::Refused {
            let code = report.code.map_or_else(|| "refused".to_owned(), |code| code.to_string());
            return Ok(Some(format!("the entry was refused: {code}")));
        }
    }
    let lacking = hub.catalog.lacking(channel.id, &[entry]).await?;
    let wanted: Vec<Content> = metadata
        .contents
        .iter()
        .filter(|content| !content.missing && lacking.iter().any(|row| is_of(row, content)))
        .cloned()
        .collect();
    let _until_named = hub.storing.read().await;
    let roots: Vec<Digest> = wanted.iter().map(|content| content.root).collect();
    let held = hub.catalog.holding(channel.id, &roots).await?;
    let (storage, shelf, contents) = (Arc::clone(&hub.storage), spool.clone(), wanted.clone());
    let bringing = move || bring(&*storage, &shelf, &contents, &held, false);
    let outcomes = tokio::task::spawn_blocking(bringing).await??;
    for (outcome, content) in outcomes.into_iter().zip(&wanted) {
        if let Err(fault) = outcome {
            return Ok(Some(fault));
        }
        let ids = lacking.iter().filter(|row| is_of(row, content)).map(|row| row.id);
        hub.catalog.mark_present(&ids.collect::<Vec<_>>()).await?;
    }
    hub.report_soon(channel.id);
    Ok(None)
}

/// Whether a row waits for a content: a root may have been announced with another size than it has bytes.
fn is_of(row: &Data, content: &Content) -> bool {
    (row.root, row.size) == (content.root, content.size)
}

/// BACKUP-33: what a file is called here: nothing of its name is in a path.
fn key(name: &str) -> String {
    Digest(Sha256::digest(name).into()).to_string()
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SaveError> {
    let done = tokio::task::spawn_blocking(work).await?;
    done.map_err(|source| BackupError::Io { path: "restoring".into(), source }.into())
}

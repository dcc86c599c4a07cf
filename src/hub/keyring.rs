//! The private keys of this hub's channels: which are in its folder, and which one is used.
//!
//! Owns: the files, their change in place. Not here: which key counts (the chain says so).
//! Invariant: a key is on disk before anything says that it counts; the one in use is the newest of
//! the chain that is here; there is one at every moment, also after a crash between two steps.
//! Spec: ID-32, ID-33.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use sha2::{Digest as _, Sha256};
use zotferry_protocol::identity::{KeyChain, PublicKey};
use zotferry_protocol::ids::PortableId;

use super::{Hub, HubError};
use crate::catalog::Channel;
use crate::durable;
use crate::keys::{KeyFileError, PrivateKey};

impl Hub {
    /// The private key of one of this hub's channels: the newest that is here.
    pub fn channel_key(&self, channel: &Channel) -> Result<Arc<PrivateKey>, HubError> {
        let mut keys = self.channel_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(&channel.id) {
            return Ok(Arc::clone(key));
        }
        let path = self.folder.channel_key(&channel.portable_id);
        let key = Arc::new(PrivateKey::load(&path)?);
        keys.insert(channel.id, Arc::clone(&key));
        Ok(key)
    }

    /// Whether the private key of a channel's newest key is here.
    pub fn holds_newest_key(&self, channel: &Channel) -> Result<bool, HubError> {
        Ok(self.channel_key(channel)?.public().pem() == channel.public_pem)
    }

    /// Writes a private key beside the one in use, if it is not there already.
    pub fn keep_key(&self, channel: &PortableId, key: &PrivateKey) -> Result<(), HubError> {
        let path = self.beside(channel, key.public());
        if path.exists() && PrivateKey::load(&path).is_ok_and(|kept| kept.public() == key.public())
        {
            return Ok(());
        }
        // A file that a crash left half written is of no use to anybody.
        std::fs::remove_file(&path).ok();
        Ok(key.save_new(&path)?)
    }

    /// Takes the newest key of a chain that is here into use; the one used before stays beside it.
    pub fn settle_key(&self, channel: &Channel, chain: &KeyChain) -> Result<(), HubError> {
        let id = &channel.portable_id;
        let current = self.folder.channel_key(id);
        let used = PrivateKey::load(&current).ok();
        for key in chain.keys() {
            if used.as_ref().is_some_and(|used| used.public() == key) {
                break;
            }
            let found = self.beside(id, key);
            if !PrivateKey::load(&found).is_ok_and(|private| private.public() == key) {
                continue;
            }
            if let Some(used) = &used {
                self.keep_key(id, used)?;
            }
            replace(&found, &current)?;
            break;
        }
        self.channel_keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel.id);
        Ok(())
    }

    /// ID-33: destroys every private key of a channel but the one in use. Returns how many there were.
    pub fn destroy_other_keys(&self, channel: &PortableId) -> Result<usize, HubError> {
        let others = self.others(channel);
        for path in &others {
            std::fs::remove_file(path).map_err(|e| KeyFileError::File(path.clone(), e))?;
        }
        if let Some(first) = others.first() {
            sync_folder(first)?;
        }
        Ok(others.len())
    }

    /// The channel leaves this hub for good: all its private keys are destroyed.
    pub fn destroy_keys(&self, channel: &Channel) -> Result<(), HubError> {
        self.destroy_other_keys(&channel.portable_id)?;
        self.channel_keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel.id);
        let path = self.folder.channel_key(&channel.portable_id);
        std::fs::remove_file(&path).map_err(|e| KeyFileError::File(path.clone(), e))?;
        sync_folder(&path)
    }

    /// Finishes changes of keys that a crash has cut off.
    pub(super) async fn settle_keys(&self) -> Result<(), HubError> {
        for channel in self.catalog.channels().await? {
            if !self.others(&channel.portable_id).is_empty() {
                let chain = self.chain(&channel).await?;
                self.settle_key(&channel, &chain)?;
            }
        }
        Ok(())
    }

    fn beside(&self, channel: &PortableId, key: &PublicKey) -> PathBuf {
        let name = hex::encode(&Sha256::digest(key.pem())[..8]);
        self.folder.channel_key(channel).with_extension(format!("{name}.pem"))
    }

    /// The key files of a channel beside the one in use.
    fn others(&self, channel: &PortableId) -> Vec<PathBuf> {
        let current = self.folder.channel_key(channel);
        let stem = current.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let entries = current.parent().and_then(|folder| std::fs::read_dir(folder).ok());
        let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
        paths
            .filter(|path| *path != current)
            .filter(|path| name(path).is_some_and(|name| name.starts_with(&format!("{stem}."))))
            .collect()
    }
}

fn replace(from: &Path, to: &Path) -> Result<(), HubError> {
    std::fs::rename(from, to).map_err(|e| KeyFileError::File(to.to_owned(), e))?;
    sync_folder(to)
}

fn sync_folder(of: &Path) -> Result<(), HubError> {
    let folder = durable::folder_of(of);
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    Ok(synced.map_err(|e| KeyFileError::File(folder.to_owned(), e))?)
}

//! What people do on each clone.

use zotferry_protocol::codec;
use zotferry_protocol::ids::{Digest, OpId, ResourceId};
use zotferry_protocol::version::{Hlc, Version};

use bytes::Bytes;

use super::world::World;
use crate::catalog::{
    Access, Attach, Author, CatalogError, EditError, LocalContent, LocalPut, Maker, MetaChange,
    PutBatch, VersionBytes,
};
use crate::storage::Storage;
use crate::storage::memory::MemoryStorage;

/// Ids and versions of one clone.
struct Hand {
    replica: zotferry_protocol::ids::ReplicaId,
    now: zotferry_protocol::ids::Millis,
}

impl Author for Hand {
    fn resource(&mut self) -> ResourceId {
        ResourceId::new(uuid::Uuid::new_v4().to_string()).expect("an id")
    }

    fn operation(&mut self) -> OpId {
        OpId(uuid::Uuid::now_v7().into_bytes())
    }

    fn version(
        &mut self,
        previous: Option<&VersionBytes>,
        hlc: &mut u64,
    ) -> Result<VersionBytes, CatalogError> {
        let previous: Option<Version> =
            previous.map(|p| codec::decode_owned(&p.0).expect("a version"));
        let now = Hlc::after(Hlc(*hlc), self.now).millis().max(self.now);
        let version = Version::edit(previous.as_ref(), self.replica, now).expect("an edit");
        *hlc = (*hlc).max(version.hlc().0);
        Ok(VersionBytes(codec::encode(&version)))
    }
}

fn names(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

/// Runs an edit of the catalog as a clone.
macro_rules! edited {
    ($world:expr, $clone:expr, $maker:ident, $catalog:ident => $edit:expr) => {{
        let channel = $world.channel($clone).await;
        let hub = std::sync::Arc::clone(&$world.hubs[$clone]);
        let (now, $catalog) = (hub.clock.now(), &hub.catalog);
        let mut author = Hand { replica: channel.replica, now };
        let $maker = &mut Maker {
            channel: channel.id,
            creator: "creator".to_owned(),
            date: "2026-11-22 16:20:01".to_owned(),
            now,
            author: &mut author,
        };
        $edit.await
    }};
}

impl World {
    /// Something that a person might do, on entries that the clone knows.
    pub(super) async fn edit(&mut self, clone: usize) {
        let tree = self.tree(clone).await;
        let some = |world: &mut Self| -> Option<String> {
            (!tree.is_empty()).then(|| tree[world.random.below(tree.len())].clone())
        };
        let n = 1000 + self.random.below(usize::MAX / 2) as u64;
        let name = ["a", "b", "c.txt", "d.txt"][self.random.below(4)];
        let fresh =
            |above: Option<String>| above.map_or(name.to_owned(), |a| format!("{a}/{name}"));
        match self.random.below(10) {
            0 | 1 => {
                let path = fresh(some(self));
                self.try_put(clone, &path, n).await;
            }
            2 | 3 => {
                let path = some(self).unwrap_or_else(|| name.to_owned());
                self.try_put(clone, &path, n).await;
            }
            4 => {
                let path = fresh(some(self));
                drop(
                    edited!(self, clone, maker, catalog => catalog.local_mkdir(&names(&path), maker)),
                );
            }
            5 | 6 => {
                let (Some(from), to) = (some(self), fresh(some(self))) else { return };
                self.try_rename(clone, &from, &to).await.ok();
            }
            7 => {
                let Some(path) = some(self) else { return };
                self.try_remove(clone, &path).await;
            }
            8 => {
                let (Some(from), to) = (some(self), fresh(some(self))) else { return };
                let (from, to) = (names(&from), names(&to));
                let before = self.held(clone).await;
                drop(
                    edited!(self, clone, maker, catalog => catalog.local_copy(&from, &to, false, maker)),
                );
                self.was_edited(clone, &before).await;
            }
            _ => {
                let Some(path) = some(self) else { return };
                let change = MetaChange {
                    title: Some(n.to_string()),
                    tags: Some(vec![name.to_owned()]),
                    access: Some(Access { allow_cid: format!("<{n}>"), ..Access::default() }),
                    ..MetaChange::default()
                };
                drop(
                    edited!(self, clone, maker, catalog => catalog.local_meta(&names(&path), &change, maker)),
                );
            }
        }
    }

    pub(super) async fn mkdir(&self, clone: usize, path: &str) {
        let made = edited!(self, clone, maker, catalog => catalog.local_mkdir(&names(path), maker));
        made.expect("made");
    }

    pub(super) async fn put(&mut self, clone: usize, path: &str, n: u64) {
        assert!(self.try_put(clone, path, n).await, "{path} was put");
    }

    async fn try_put(&mut self, clone: usize, path: &str, n: u64) -> bool {
        let before = self.held(clone).await;
        let channel = self.channel(clone).await;
        let (root, size) = self.store(clone, n);
        let mut folders = names(path);
        let name = folders.pop().expect("a name");
        let put = LocalPut {
            folders,
            name,
            content: Some(LocalContent { root, size, digests: None }),
            filetype: "text/plain".to_owned(),
            is_photo: false,
            picture: None,
            mtime: Some(zotferry_protocol::ids::Millis(n)),
            executable: None,
            dated: None,
        };
        let batch = PutBatch {
            channel: channel.id,
            creator: "creator".to_owned(),
            access: Access::default(),
            date: "2026-11-22 16:20:01".to_owned(),
            puts: vec![put],
        };
        let now = self.hubs[clone].clock.now();
        let mut author = Hand { replica: channel.replica, now };
        let filed = self.hubs[clone].catalog.local_put(&batch, &mut author, now).await;
        let filed = filed.expect("entered").remove(0).is_ok();
        self.was_edited(clone, &before).await;
        filed
    }

    pub(super) async fn rename(&self, clone: usize, from: &str, to: &str) {
        self.try_rename(clone, from, to).await.expect("renamed");
    }

    async fn try_rename(&self, clone: usize, from: &str, to: &str) -> Result<(), EditError> {
        let (from, to) = (names(from), names(to));
        edited!(self, clone, maker, catalog => catalog.local_rename(&from, &to, false, maker))
            .map(drop)
    }

    pub(super) async fn remove(&mut self, clone: usize, path: &str) {
        assert!(self.try_remove(clone, path).await > 0);
    }

    async fn try_remove(&mut self, clone: usize, path: &str) -> u64 {
        let before = self.held(clone).await;
        let removed =
            edited!(self, clone, maker, catalog => catalog.local_remove(&names(path), maker));
        self.was_edited(clone, &before).await;
        removed.expect("removed")
    }

    async fn find(&self, clone: usize, path: &str) -> Option<Attach> {
        let channel = self.channel(clone).await;
        let path = names(path);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.hubs[clone].catalog.by_path(channel.id, &path).await.expect("read")
    }

    pub(super) async fn finds(&self, clone: usize, path: &str) -> bool {
        self.find(clone, path).await.is_some()
    }

    /// Every path that a clone shows, sorted.
    pub(super) async fn tree(&self, clone: usize) -> Vec<String> {
        let (channel, catalog) = (self.channel(clone).await, &self.hubs[clone].catalog);
        let mut paths = Vec::new();
        let mut below: Vec<(Option<ResourceId>, String)> = vec![(None, String::new())];
        while let Some((folder, above)) = below.pop() {
            let inside =
                catalog.children(channel.id, folder.as_ref(), None, 1000).await.expect("read");
            let shown = catalog.shown_names(channel.id, &inside).await.expect("read");
            for (entry, name) in inside.into_iter().zip(shown) {
                let path = if above.is_empty() { name } else { format!("{above}/{name}") };
                paths.push(path.clone());
                if entry.is_dir {
                    below.push((Some(entry.hash), path));
                }
            }
        }
        paths.sort();
        paths
    }
}

/// What is stored under a root.
pub(super) fn bytes_of(storage: &MemoryStorage, root: &Digest) -> Option<Vec<u8>> {
    let small = storage.read_small(&[*root]).expect("read").remove(0);
    small.map(|bytes| bytes.to_vec())
}

pub(super) fn put_bytes(storage: &MemoryStorage, bytes: &[u8]) {
    let root = zotferry_protocol::merkle::leaf(bytes);
    storage.put_many(&[(root, Bytes::copy_from_slice(bytes))]).expect("stored");
}

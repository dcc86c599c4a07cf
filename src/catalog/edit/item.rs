//! Enters items that the hub software beside this hub hands over, and removes them.
//!
//! Invariant: an item that changed gets a version, and its entry an operation that tells of it; one
//! that did not change costs nothing.
//! Spec: ITEM-4, ITEM-8, SYNC-23.

use std::collections::HashMap;

use zotferry_protocol::ids::ResourceId;
use zotferry_protocol::packets::Op;

use super::{Edit, EditError, Maker};
use crate::catalog::item::{self, Item};
use crate::catalog::{Catalog, attach};

/// What became of items that were handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ItemsFiled {
    /// New ones.
    pub added: u64,
    /// Ones that were changed or removed.
    pub changed: u64,
    /// Ones that were the same already.
    pub unchanged: u64,
}

impl Catalog {
    /// Enters items, at most a few hundred, each on an entry that is alive. Their versions and numbers
    /// are made here. All of them, or (on an error) none.
    pub async fn local_items(
        &self,
        items: Vec<Item>,
        maker: &mut Maker<'_>,
    ) -> Result<ItemsFiled, EditError> {
        let mut edit = Edit::begin(self, maker).await?;
        let mids: Vec<&str> = items.iter().map(|item| item.mid.as_str()).collect();
        let mut held = item::load(&mut edit.tx, edit.channel.id, &mids).await?;
        let mut filed = ItemsFiled::default();
        let mut changed: Vec<Item> = Vec::new();
        for mut item in items {
            let before = held.remove(&item.mid);
            match &before {
                Some(before) if same(before, &item) => {
                    filed.unchanged += 1;
                    held.insert(item.mid.clone(), before.clone());
                    continue;
                }
                Some(before) if before.row.is_some() => filed.changed += 1,
                _ => filed.added += 1,
            }
            item.version = edit.version(before.as_ref().map(|before| &before.version))?;
            held.insert(item.mid.clone(), item.clone());
            changed.retain(|earlier| earlier.mid != item.mid);
            changed.push(item);
        }
        if !changed.is_empty() {
            edit.tell_of(&mut changed).await?;
            edit.commit().await?;
        }
        Ok(filed)
    }
}

/// The order of two edits of one row does not matter, their content does.
fn same(a: &Item, b: &Item) -> bool {
    let of = |i: &Item| (i.row.clone(), i.resource.clone(), i.url.clone(), i.nick.clone(), i.uid);
    of(a) == of(b)
}

impl Edit<'_, '_, '_> {
    /// One operation for each entry whose items changed.
    async fn tell_of(&mut self, changed: &mut [Item]) -> Result<(), EditError> {
        let hashes: Vec<ResourceId> = changed.iter().map(|item| item.resource.clone()).collect();
        let entries = attach::load(&mut self.tx, self.channel.id, &hashes).await?;
        let mut told: HashMap<ResourceId, u64> = HashMap::new();
        for item in changed.iter_mut() {
            let entry = entries.get(&item.resource).filter(|entry| entry.alive);
            let entry = entry.ok_or(EditError::NotFound)?;
            if !told.contains_key(&entry.hash) {
                self.file(Some(entry.clone()), entry.clone(), Op::Meta);
                told.insert(entry.hash.clone(), self.seq);
            }
            item.seq = told.get(&entry.hash).copied();
        }
        self.write().await?;
        item::upsert(&mut self.tx, self.channel.id, changed).await?;
        Ok(())
    }
}

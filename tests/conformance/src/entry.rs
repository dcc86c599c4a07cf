//! Entries of the test channel, and the operations that tell of them.
//!
//! Owns: rows, versions, operations, as maps that a case may change anywhere. Not here: sending them.
//! Spec: SYNC-5, SYNC-14, SYNC-18, SYNC-20, SYNC-22, SYNC-23, SYNC-33.

use crate::actor::Actor;
use crate::content::{Content, TwoPages};
use crate::keys::{new_id, now, random};
use crate::wire::{Value, list, map};

/// A file or folder as a case wants it to be.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The row's fields.
    pub row: Value,
    /// Version of the place.
    pub place: Value,
    /// Version of the metadata.
    pub meta: Value,
    /// Version of the content; none for a folder.
    pub content: Option<Value>,
    /// Version of the removal.
    pub removed: Option<Value>,
    /// Elements of `data`.
    pub data: Vec<Value>,
    /// Further fields of the operation.
    pub more: Vec<(&'static str, Value)>,
    /// The folders above, from the top down.
    pub above: Vec<Entry>,
}

/// A first edit at a hub of ours (SYNC-22, SYNC-23).
pub fn version(actor: &Actor) -> Value {
    at_clock(actor, now() << 16)
}

/// The same with another clock.
pub fn at_clock(actor: &Actor, hlc: u64) -> Value {
    vector_of(&[(actor.replica(), 1)], hlc, actor.replica())
}

/// Any version.
pub fn vector_of(counters: &[([u8; 8], u64)], hlc: u64, replica: [u8; 8]) -> Value {
    let vector =
        counters.iter().map(|(replica, counter)| (replica.to_vec().into(), (*counter).into()));
    map([
        ("vector", Value::Map(vector.collect())),
        ("hlc", hlc.into()),
        ("replica", replica.into()),
    ])
}

/// The edit of a version at a hub of ours (SYNC-23).
pub fn edit(previous: &Value, actor: &Actor) -> Value {
    let own: Value = actor.replica().into();
    let Some(Value::Map(mut vector)) = previous.at("vector").cloned() else {
        return version(actor);
    };
    match vector.iter_mut().find(|(replica, _)| *replica == own) {
        Some((_, Value::Uint(counter))) => *counter += 1,
        _ => vector.push((own.clone(), 1u64.into())),
    }
    let hlc = (now() << 16).max(previous.uint("hlc").unwrap_or(0) + 1);
    map([("vector", Value::Map(vector)), ("hlc", hlc.into()), ("replica", own)])
}

/// A resource id that nobody else has.
pub fn resource() -> String {
    format!("conformance-{}", hex::encode(random::<12>()))
}

/// A name that no other entry of the channel has; `conformance` is how the suite finds its own again.
pub fn name(what: &str) -> String {
    format!("conformance {} {what}", hex::encode(random::<4>()))
}

impl Entry {
    /// A new file at the top.
    pub fn file(actor: &Actor, name: &str, content: &Content) -> Self {
        let mut entry = Self::new(actor, name);
        entry.row.set("filetype", "application/octet-stream").set("filesize", content.size());
        entry.content = Some(entry.place.clone());
        entry.data = vec![content.data("file")];
        entry
    }

    /// A new file at the top of which there are only digests.
    pub fn of_two_pages(actor: &Actor, name: &str, content: &TwoPages) -> Self {
        let mut entry = Self::file(actor, name, &Content::noise(1));
        entry.row.set("filesize", content.size());
        entry.data[0].set("size", content.size()).set("root", content.root.0);
        entry
    }

    /// A new folder at the top.
    pub fn folder(actor: &Actor, name: &str) -> Self {
        let mut entry = Self::new(actor, name);
        entry.row.set("filetype", "multipart/mixed").set("is_dir", 1u64);
        entry
    }

    fn new(actor: &Actor, name: &str) -> Self {
        let version = version(actor);
        let date = "2027-01-15 08:00:00";
        let row = map([
            ("hash", resource().into()),
            ("creator", "".into()),
            ("filename", name.into()),
            ("filetype", "".into()),
            ("filesize", 0u64.into()),
            ("revision", 0u64.into()),
            ("folder", "".into()),
            ("flags", 0u64.into()),
            ("is_dir", 0u64.into()),
            ("is_photo", 0u64.into()),
            ("created", date.into()),
            ("edited", date.into()),
            ("allow_cid", "".into()),
            ("allow_gid", "".into()),
            ("deny_cid", "".into()),
            ("deny_gid", "".into()),
        ]);
        let (place, meta) = (version.clone(), version);
        let (content, removed) = (None, None);
        let (data, more, above) = (Vec::new(), Vec::new(), Vec::new());
        Self { row, place, meta, content, removed, data, more, above }
    }

    /// Lies in a folder.
    #[must_use]
    pub fn inside(mut self, folder: &Self) -> Self {
        self.row.set("folder", folder.hash());
        self.above = folder.above.clone();
        self.above.push(Self { above: Vec::new(), ..folder.clone() });
        self
    }

    /// Its resource id.
    pub fn hash(&self) -> &str {
        self.row.text("hash").unwrap_or_default()
    }

    /// Its name.
    pub fn filename(&self) -> &str {
        self.row.text("filename").unwrap_or_default()
    }

    /// The element of `attach`.
    fn attach(&self) -> Value {
        let mut attach = map([
            ("row", self.row.bytes().into()),
            ("place", self.place.clone()),
            ("meta", self.meta.clone()),
        ]);
        if let Some(content) = &self.content {
            attach.set("content", content.clone());
        }
        if let Some(removed) = &self.removed {
            attach.set("removed", removed.clone());
        }
        attach
    }

    /// An operation that tells of it as it is.
    pub fn operation(&self, op: &str) -> Value {
        let rows = self.above.iter().chain([self]).map(Self::attach);
        let mut operation = map([
            ("id", new_id().into()),
            ("op", op.into()),
            ("attach", list(rows)),
            ("data", list(self.data.clone())),
        ]);
        for (name, value) in &self.more {
            operation.set(name, value.clone());
        }
        operation
    }

    /// The same with other bytes, as an edit.
    #[must_use]
    pub fn replaced(&self, actor: &Actor, content: &Content) -> Self {
        let mut entry = self.clone();
        entry.row.set("filesize", content.size());
        entry.content = self.content.as_ref().map(|version| edit(version, actor));
        entry.data = vec![content.data("file")];
        entry
    }

    /// The same, removed by who has seen it (SYNC-33).
    #[must_use]
    pub fn gone(&self, actor: &Actor) -> Self {
        let seen = self.removed.as_ref().or(self.content.as_ref());
        let removed = seen.map_or_else(|| version(actor), |seen| edit(seen, actor));
        Self { removed: Some(removed), data: Vec::new(), ..self.clone() }
    }
}

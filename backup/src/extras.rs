//! Files in a backup's folder that the signed index does not name.
//!
//! Owns: finding them, removing those that earlier runs left. Not here: whether the others are whole.
//! Invariant: memory is bounded: the index is read once for each part of the folders that fits. Nothing
//! is removed but files that a backup made, named as it names them.
//! Spec: BACKUP-19, BACKUP-21.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use zotferry_protocol::ids::Digest;
use zotferry_protocol::manifest::Manifest;

use crate::content::INLINE;
use crate::error::{BackupError, Result};
use crate::folder::{Backup, HEAD, IDENTITY, LIST, Lock, README, Shelf, TMP, index_name};
use crate::index::Index;

/// Digests in memory at a time: 16 MiB of them.
const AT_ONCE: u64 = 256 << 10;

/// A file that is not in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// Its name in the folder.
    pub name: String,
    /// Whether an earlier run made it: it is named as a backup's files are.
    pub earlier: bool,
}

/// Names every file that does not belong to the backup as it is signed.
///
/// # Errors
/// An index that does not hold; what the system says.
pub fn extras(backup: &Backup, told: &mut dyn FnMut(Extra) -> Result<()>) -> Result<()> {
    top(backup, told)?;
    let parts = (backup.header().entries.saturating_mul(3) / AT_ONCE + 1).min(256);
    let width = 256_u64.div_ceil(parts);
    let mut first = 0;
    while first < 256 {
        let last = (first + width - 1).min(255);
        let (first_byte, last_byte) = (first as u8, last as u8);
        let named = named(backup, first_byte..=last_byte)?;
        for shelf in Shelf::ALL {
            for byte in first_byte..=last_byte {
                shelved(backup, shelf, byte, &named, told)?;
            }
        }
        first = last + 1;
    }
    Ok(())
}

/// Removes what earlier runs made and the index does not name any more. Returns how many files went.
///
/// # Errors
/// As [`extras`].
pub fn prune(backup: &Backup, _lock: &Lock) -> Result<u64> {
    let mut gone = 0;
    extras(backup, &mut |extra| {
        if extra.earlier {
            let path = backup.path().join(&extra.name);
            fs::remove_file(&path).map_err(BackupError::io(&path))?;
            gone += 1;
        }
        Ok(())
    })?;
    Ok(gone)
}

/// The files that the index names, of those whose digests begin so.
fn named(backup: &Backup, bytes: std::ops::RangeInclusive<u8>) -> Result<HashSet<(Shelf, Digest)>> {
    let mut named = HashSet::new();
    let mut index = Index::open(backup)?;
    while let Some(line) = index.next_line()? {
        let mut add = |shelf, digest: Digest| {
            if bytes.contains(&digest.0[0]) {
                named.insert((shelf, digest));
            }
        };
        line.meta.iter().for_each(|digest| add(Shelf::Meta, digest.0));
        for data in &line.data {
            add(Shelf::Data, data.root.0);
        }
        for data in line.data.iter().chain(&line.missing) {
            if Manifest::of(data.size).is_ok_and(|manifest| manifest.chunks() > INLINE) {
                add(Shelf::Digests, data.root.0);
            }
        }
    }
    Ok(named)
}

fn top(backup: &Backup, told: &mut dyn FnMut(Extra) -> Result<()>) -> Result<()> {
    let identity = backup.header().identity.is_some();
    each(backup.path(), "", &mut |name| match name {
        HEAD | README | LIST | TMP | "index" => Ok(()),
        IDENTITY if identity => Ok(()),
        _ if Shelf::ALL.iter().any(|shelf| shelf.name() == name) => Ok(()),
        _ => told(Extra { name: name.to_owned(), earlier: false }),
    })?;
    let signed = index_name(&backup.header().index.0);
    each(&backup.path().join("index"), "index/", &mut |name| {
        let digest = name.strip_prefix("index/").and_then(|name| name.strip_suffix(".jsonl"));
        let digest = digest.and_then(|hex| hex.parse::<Digest>().ok());
        let earlier = digest.is_some_and(|digest| index_name(&digest) == name);
        if name == signed { Ok(()) } else { told(Extra { name: name.to_owned(), earlier }) }
    })?;
    for shelf in Shelf::ALL {
        let prefix = format!("{}/", shelf.name());
        each(&backup.path().join(shelf.name()), &prefix, &mut |name| {
            let inner = &name[prefix.len()..];
            let ours = inner.len() == 2
                && u8::from_str_radix(inner, 16).is_ok_and(|byte| format!("{byte:02x}") == inner);
            if ours { Ok(()) } else { told(Extra { name: name.to_owned(), earlier: false }) }
        })?;
    }
    Ok(())
}

fn shelved(
    backup: &Backup,
    shelf: Shelf,
    byte: u8,
    named: &HashSet<(Shelf, Digest)>,
    told: &mut dyn FnMut(Extra) -> Result<()>,
) -> Result<()> {
    let prefix = format!("{}/{byte:02x}/", shelf.name());
    each(&backup.path().join(&prefix), &prefix, &mut |name| {
        let file = name[prefix.len()..].trim_end_matches(".json");
        let digest = file.parse::<Digest>().ok().filter(|digest| shelf.of(digest) == name);
        match digest {
            Some(digest) if named.contains(&(shelf, digest)) => Ok(()),
            found => {
                let path = backup.path().join(name);
                let file = fs::symlink_metadata(&path).is_ok_and(|about| about.is_file());
                told(Extra { name: name.to_owned(), earlier: found.is_some() && file })
            }
        }
    })
}

/// Every name in a folder, with a prefix; of no folder none.
fn each(folder: &Path, prefix: &str, found: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    let io = BackupError::io(folder);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(());
        }
        Err(error) => return Err(io(error)),
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::io(folder))?;
        found(&format!("{prefix}{}", entry.file_name().to_string_lossy()))?;
    }
    Ok(())
}

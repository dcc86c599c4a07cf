//! The index: a line for each entry, in the order of their ids.
//!
//! Owns: the lines, reading them one by one. Not here: writing the file (`writer`).
//! Invariant: lines come out of an index only after all of it was found to be what was signed; no more
//! than one of them is in memory.
//! Spec: BACKUP-13, BACKUP-14.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zotferry_protocol::ids::{Digest, ResourceId};

use crate::error::{BackupError, Result};
use crate::folder::{Backup, Shelf, index_name};
use crate::text::Text;

/// The longest line, in bytes: a path of 127 folders, escaped, and some thousand metadata files.
const MAX_LINE: u64 = 4 << 20;
const BUFFER: usize = 256 << 10;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// It was removed; what is known of it stays, so that it does not come back.
    Removed,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its id.
    pub id: Text<ResourceId>,
    /// What it is.
    pub kind: Kind,
    /// Where it was shown, for people: names with `/` between them. None of what was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// SHA-256 of each of its metadata files: the first, and those with more items.
    pub meta: Vec<Text<Digest>>,
    /// Its contents that are files beneath `data/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<LineData>,
    /// Its contents that were not on the hub.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<LineData>,
}

/// A content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineData {
    /// Its name.
    pub root: Text<Digest>,
    /// Its bytes.
    pub size: u64,
}

impl Line {
    /// BACKUP-15: its line in the list for people: data file, tab, path. Characters that would end the line
    /// or move a cursor are `_` there.
    pub fn listed(&self) -> Option<String> {
        let path: String = self.path.as_ref()?.chars().map(shown).collect();
        match (self.kind, self.data.first()) {
            (Kind::Folder, _) => Some(format!("folder\t{path}\n")),
            (Kind::File, Some(data)) => Some(format!("{}\t{path}\n", Shelf::Data.of(&data.root.0))),
            _ => None,
        }
    }
}

fn shown(c: char) -> char {
    if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
        return '_';
    }
    c
}

/// An index that is what was signed.
#[derive(Debug)]
pub struct Index {
    file: BufReader<File>,
    hash: Sha256,
    signed: Digest,
    last: Option<ResourceId>,
    buffer: Vec<u8>,
}

impl Index {
    /// Reads the whole index once and compares it with what was signed; then its lines can be read.
    ///
    /// # Errors
    /// [`BackupError::Index`] when it is missing or another one.
    pub fn open(backup: &Backup) -> Result<Self> {
        let signed = backup.header().index.0;
        let name = index_name(&signed);
        let path = backup.path().join(&name);
        let mut file = backup.file(&name)?.ok_or_else(|| wrong(format!("{name} is missing")))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer).map_err(BackupError::io(&path))? {
                0 => break,
                got => hash.update(&buffer[..got]),
            }
        }
        if Digest(hash.finalize().into()) != signed {
            return Err(wrong(format!("{name} is not what was signed")));
        }
        file.seek(SeekFrom::Start(0)).map_err(BackupError::io(&path))?;
        let file = BufReader::with_capacity(BUFFER, file);
        Ok(Self { file, hash: Sha256::new(), signed, last: None, buffer: Vec::new() })
    }

    /// The next line; `None` after the last.
    ///
    /// # Errors
    /// A line that does not hold, or a file that changed meanwhile.
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        self.buffer.clear();
        let mut line = (&mut self.file).take(MAX_LINE);
        let read = line.read_until(b'\n', &mut self.buffer);
        let got = read.map_err(|e| wrong(e.to_string()))?;
        self.hash.update(&self.buffer);
        if got == 0 {
            let found = Digest(self.hash.clone().finalize().into());
            let same = found == self.signed;
            return if same { Ok(None) } else { Err(wrong("it changed while it was read")) };
        }
        let line: Line = serde_json::from_slice(&self.buffer).map_err(|e| wrong(e.to_string()))?;
        let rises = self.last.as_ref().is_none_or(|last| *last < line.id.0);
        if !rises || line.meta.is_empty() {
            return Err(wrong(format!("the line of {}", line.id.0)));
        }
        self.last = Some(line.id.0.clone());
        Ok(Some(line))
    }
}

fn wrong(why: impl Into<String>) -> BackupError {
    BackupError::Index(why.into())
}

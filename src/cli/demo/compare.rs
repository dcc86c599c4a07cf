//! Whether a channel on a hub holds what a folder holds: the same names, the same bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zotferry::files::walk;
use zotferry::local::client::Client;
use zotferry::local::{Get, List};
use zotferry::text::visible;

use crate::cli::exit::Failure;

/// Differences that are named; the rest is counted.
const NAMED: usize = 20;

/// A file with its size, or a folder.
#[derive(Debug, PartialEq, Eq)]
enum Thing {
    Folder,
    File(u64),
}

/// The differences, in words.
pub(super) async fn compare(
    source: &Path,
    client: &Client,
    channel: &str,
) -> Result<Vec<String>, Failure> {
    let expected = expected(source);
    let mut found = found(client, channel).await?;
    let mut differences = Differences::default();
    for (path, (thing, at)) in &expected {
        match (thing, found.remove(path)) {
            (_, None) => differences.add(path, "is missing"),
            (Thing::Folder, Some(Thing::Folder)) => {}
            (Thing::File(_), Some(Thing::File(_))) => {
                if let Some(how) = bytes_differ(at, client, channel, path).await {
                    differences.add(path, &how);
                }
            }
            (..) => differences.add(path, "is a file in one place and a folder in the other"),
        }
    }
    found.keys().for_each(|path| differences.add(path, "was never put"));
    Ok(differences.words())
}

/// What can be put of the source, by its path in the channel.
fn expected(source: &Path) -> BTreeMap<String, (Thing, PathBuf)> {
    let mut all = BTreeMap::new();
    walk(source, &[], &mut |item| {
        if let Ok(found) = item {
            let above: String = found.folders.iter().map(|name| format!("/{name}")).collect();
            let thing = if found.is_folder { Thing::Folder } else { Thing::File(found.size) };
            all.insert(format!("{above}/{}", found.name), (thing, found.path));
        }
        true
    });
    all
}

async fn found(client: &Client, channel: &str) -> Result<BTreeMap<String, Thing>, Failure> {
    let question = List { channel: channel.into(), path: "/".into(), recursive: true };
    let mut entries = client.lines(&question).await?;
    let mut all = BTreeMap::new();
    while let Some(entry) = entries.next().await? {
        let thing = if entry.folder { Thing::Folder } else { Thing::File(entry.size) };
        all.insert(entry.path, thing);
    }
    Ok(all)
}

/// How the bytes differ; `None` when they do not.
async fn bytes_differ(at: &Path, client: &Client, channel: &str, path: &str) -> Option<String> {
    let question = Get { channel: channel.into(), path: path.into() };
    let mut cloned = match client.get(&question).await {
        Ok(cloned) => cloned,
        Err(error) => return Some(error.to_string()),
    };
    let mut source = match File::open(at) {
        Ok(source) => source,
        Err(error) => return Some(format!("the source: {error}")),
    };
    let (mut buffer, mut offset) = (Vec::new(), 0);
    loop {
        let piece = match cloned.next().await {
            Ok(piece) => piece.unwrap_or_default(),
            Err(error) => return Some(error.to_string()),
        };
        // At the end one byte more is asked of the source, which should not be there.
        buffer.resize(piece.len().max(1), 0);
        match fill(&mut source, &mut buffer) {
            Ok(read) if buffer[..read] == piece[..] => {}
            Ok(_) => return Some(format!("differs after {offset} bytes")),
            Err(error) => return Some(format!("the source: {error}")),
        }
        if piece.is_empty() {
            return None;
        }
        offset += piece.len();
    }
}

/// Reads until the buffer is full or the source ends.
fn fill(source: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match source.read(&mut buffer[read..])? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}

#[derive(Default)]
struct Differences {
    named: Vec<String>,
    others: usize,
}

impl Differences {
    fn add(&mut self, path: &str, how: &str) {
        if self.named.len() < NAMED {
            self.named.push(format!("{} {how}", visible(path)));
        } else {
            self.others += 1;
        }
    }

    fn words(mut self) -> Vec<String> {
        if self.others > 0 {
            self.named.push(format!("and {} others", self.others));
        }
        self.named
    }
}

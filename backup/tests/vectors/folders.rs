//! The kinds `folders` and `folders_bad`: whole backups, written and read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use rsa::pkcs8::DecodePrivateKey as _;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use zotferry_backup::{
    Backup, Header, Identity, Line, Metadata, Placed, Signer, Trouble, Writer, groups, verify,
};
use zotferry_protocol::identity::SignError;

use super::{cases, text};

/// A folder's files by their paths.
type Files = BTreeMap<String, Vec<u8>>;

/// The bytes of a file as a vector gives them.
fn bytes(file: &Value) -> Vec<u8> {
    if let Some(text) = file["text"].as_str() {
        return text.as_bytes().to_vec();
    }
    let len = file["pattern"].as_u64().expect("a length");
    let mut bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
    if file["last_bit"] == "other" {
        *bytes.last_mut().expect("some") ^= 1;
    }
    bytes
}

fn files(case: &Value) -> Files {
    let files = case["files"].as_object().expect("files");
    files.iter().map(|(path, file)| (path.clone(), bytes(file))).collect()
}

fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, bytes).expect("written");
}

fn laid_out(files: &Files) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    files.iter().for_each(|(path, bytes)| put(dir.path(), path, bytes));
    dir
}

/// What is in a folder, but for what is there for people alone, and unfinished files.
fn found(dir: &Path) -> Files {
    let (mut found, mut folders) = (Files::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(dir).expect("below").to_str().expect("UTF-8").to_owned();
            match path.is_dir() {
                true if name != "tmp" => folders.push(path),
                false if name != "README.txt" => {
                    found.insert(name, fs::read(path).expect("read"));
                }
                _ => {}
            }
        }
    }
    found
}

/// The files that reading a backup again finds to be bad, and whether it says why.
fn bad(backup: &Backup) -> Vec<String> {
    let found = Mutex::new(Vec::new());
    let tell = |finding: zotferry_backup::Finding| {
        if matches!(finding.trouble, Trouble::Damaged(_) | Trouble::Missing) {
            found.lock().expect("no panic").push(finding.name);
        }
    };
    match verify(backup, 2, None, &tell, &|_| {}) {
        Ok(_) => {
            let mut found = found.into_inner().expect("no panic");
            found.sort();
            found
        }
        Err(_) => vec!["refused".to_owned()],
    }
}

/// The entries that come back from a backup: their metadata files' operations.
fn taken(backup: &Backup) -> (bool, Vec<Metadata>) {
    let mut taken = Vec::new();
    let read = groups(backup, 1 << 20, |group| {
        assert!(group.troubles.is_empty(), "{:?}", group.troubles);
        taken.extend(group.coming.into_iter().map(|one| {
            let operation = one.operation;
            Metadata { operation, contents: one.contents }
        }));
        true
    });
    (read.is_ok(), taken)
}

struct Key(RsaPrivateKey);

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signed = self.0.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message));
        signed.map_err(|e| SignError(e.to_string()))
    }
}

fn key() -> Key {
    let path = "../spec/vectors/keys/test-only-channel.pem";
    let pem = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    Key(RsaPrivateKey::from_pkcs8_pem(&pem.expect("a key")).expect("a key"))
}

/// Writes again what a backup holds, with the same key at the same time.
fn written(header: &Header, case: &Value, files: &Files) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let said: Value = serde_json::to_value(header).expect("a head");
    let whose = Identity {
        channel: header.channel.0.clone(),
        guid: text(&said, "guid").to_owned(),
        nick: header.nick.clone(),
        key: header.key.clone(),
        rotations: Vec::new(),
        url: text(&said, "url").to_owned(),
    };
    let mut writer = Writer::begin(dir.path(), &whose.channel).expect("begun");
    for entry in case["entries"].as_array().expect("entries") {
        let mut line: Line = serde_json::from_str(text(entry, "line")).expect("a line");
        let named = line.meta.clone();
        line.meta.clear();
        for digest in named {
            let hex = digest.0.to_string();
            let bytes = &files[&format!("meta/{}/{hex}.json", &hex[..2])];
            let metadata = Metadata::decode(bytes).expect("good metadata");
            line.meta.push(zotferry_backup::Text(writer.metadata(&metadata).expect("written")));
        }
        for data in &line.data {
            let hex = data.root.0.to_string();
            let bytes = &files[&format!("data/{}/{hex}", &hex[..2])];
            let place = |path: &Path| fs::write(path, bytes).map(|()| Placed::Copied);
            writer.content(&data.root.0, data.size, place).expect("written");
        }
        assert_eq!(serde_json::to_string(&line).expect("a line"), text(entry, "line"));
        writer.entry(&line).expect("written");
    }
    writer.finish(&whose, said["made"].as_u64().expect("a time"), &key()).expect("signed");
    dir
}

/// BACKUP-2, BACKUP-9, BACKUP-13, BACKUP-18: a backup is read, and written again byte by byte.
#[test]
fn folders_are_written_and_read_as_specified() {
    for case in cases("folders") {
        println!("{}", case["name"]);
        let files = files(&case);
        let dir = laid_out(&files);
        let backup = Backup::open(dir.path()).expect("a good head");
        assert_eq!(bad(&backup), [""; 0]);
        let (whole, taken) = taken(&backup);
        let metadata = files.iter().filter(|(path, _)| path.starts_with("meta/"));
        let mut expected: Vec<&[u8]> = metadata.map(|(_, bytes)| bytes.as_slice()).collect();
        let mut came: Vec<Vec<u8>> = taken.iter().map(Metadata::encode).collect();
        came.sort();
        expected.sort_unstable();
        assert!(whole && came == expected, "{}", case["name"]);
        let again = written(backup.header(), &case, &files);
        assert!(found(again.path()) == files, "{}: written otherwise", case["name"]);
    }
}

/// Puts something else in the place of a file or folder; a link leads to what was there.
fn replaced(dir: &Path, away: &Path, path: &str, instead: &Value) {
    let there = dir.join(path);
    if instead == "link" {
        let moved = away.join("moved");
        fs::rename(&there, &moved).expect("moved");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&moved, &there).expect("a link");
    } else if instead.is_null() {
        fs::remove_file(&there).expect("removed");
    } else {
        put(dir, path, &bytes(instead));
    }
}

/// BACKUP-2, BACKUP-14, BACKUP-18: what does not lead to the head is found, and of an index that does not hold nothing
/// is used.
#[test]
fn folders_that_do_not_hold_are_found() {
    let folders = cases("folders");
    for case in cases("folders_bad") {
        println!("{}", case["name"]);
        let of = folders.iter().find(|folder| folder["name"] == case["of"]).expect("the folder");
        let (dir, away) = (laid_out(&files(of)), tempfile::tempdir().expect("a folder"));
        for (path, instead) in case["instead"].as_object().expect("changes") {
            replaced(dir.path(), away.path(), path, instead);
        }
        let backup = Backup::open(dir.path());
        let found = backup.as_ref().map_or_else(|_| vec!["refused".to_owned()], bad);
        let expected = match &case["found"] {
            Value::String(word) => vec![word.clone()],
            list => serde_json::from_value(list.clone()).expect("paths"),
        };
        assert_eq!(found, expected, "{}", case["name"]);
        if found[0].starts_with("index/") || found[0] == "refused" {
            let taken = backup.map_or((false, Vec::new()), |backup| taken(&backup));
            assert!(!taken.0 && taken.1.is_empty(), "{}: something is used", case["name"]);
        }
    }
}

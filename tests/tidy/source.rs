//! The project's files, as text.

use std::path::{Path, PathBuf};

/// A file of Rust, cut where its tests begin.
pub(crate) struct Source {
    /// From the project's root.
    pub(crate) path: String,
    /// Its lines.
    pub(crate) lines: Vec<String>,
    /// The first line that is test code.
    tests_from: usize,
}

/// One line: where it stands, and what it says.
pub(crate) struct Line<'a> {
    pub(crate) path: &'a str,
    pub(crate) number: usize,
    pub(crate) text: &'a str,
    pub(crate) is_test: bool,
}

impl Line<'_> {
    /// `path:number: text`, to jump to.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}: {}", self.path, self.number, self.text.trim())
    }

    /// The part before a comment.
    pub(crate) fn code(&self) -> &str {
        self.text.find("//").map_or(self.text, |at| &self.text[..at])
    }

    /// The part from a comment on.
    pub(crate) fn comment(&self) -> &str {
        self.text.find("//").map_or("", |at| &self.text[at..])
    }
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let is_test = parts.contains(&"tests")
            || ["tests.rs", "testing.rs", "contract.rs"].contains(&parts[parts.len() - 1]);
        let inline = lines.windows(2).position(|w| w[0] == "#[cfg(test)]" && w[1].ends_with('{'));
        let tests_from = if is_test { 0 } else { inline.unwrap_or(lines.len()) };
        Self { path, lines, tests_from }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines.iter().enumerate().map(|(n, text)| Line {
            path: &self.path,
            number: n + 1,
            text,
            is_test: n >= self.tests_from,
        })
    }

    /// The module below `src` that it belongs to: `hub` for `src/hub/call.rs`.
    pub(crate) fn module(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap();
        below.split('/').next().unwrap().trim_end_matches(".rs")
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of Rust below some folders, in order.
pub(crate) fn sources(folders: &[&str]) -> Vec<Source> {
    let files = folders.iter().flat_map(|folder| files(folder, "rs"));
    let sources: Vec<Source> = files.map(|path| Source::read(&path)).collect();
    assert!(!sources.is_empty(), "nothing below {folders:?}");
    sources
}

/// Every file below a folder whose name ends with `.extension`, in order.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Fails with every finding, one a line.
pub(crate) fn none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}
